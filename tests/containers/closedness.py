"""See from inside that containers are as closed as compose.yaml says, and that their health checks pass."""

from typing import Final

from tests.containers.engine import Engine, EngineError
from tests.containers.saying import say, wait_for

_FORBIDDEN: Final = ("/wrote", "/usr/wrote", "/etc/wrote")


def check_containers(engine: Engine) -> None:
    """Look at each container of the stack."""
    say("Containers:")
    for name, container in sorted(engine.containers().items()):
        ports = (container["NetworkSettings"].get("Ports") or {}).values()
        addresses = {each["HostIp"] for bound in ports for each in bound or []}
        assert container["HostConfig"]["ReadonlyRootfs"], name
        assert addresses <= {"127.0.0.1"}, (name, addresses)
        if container["State"]["Status"] == "running":
            user = _check_rights(engine, name)
            _check_root(engine, name)
            say(f"  {name}: {user}, no capabilities, can't write; {_health(engine, name)}")
        else:
            assert container["State"]["ExitCode"] == 0, name
            say(f"  {name}: ended with status 0")


def _check_rights(engine: Engine, name: str) -> str:
    """Return whom the first process runs as; it must be nobody special and unable to become so."""
    status = engine.run("exec", name, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] != "0", name
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, name
    assert fields["NoNewPrivs"] == "1", name
    return engine.run("exec", name, "id").strip()


def _check_root(engine: Engine, name: str) -> None:
    """Try to write where nothing may be written, whoever asks."""
    for path in _FORBIDDEN:
        refusal = _refusal(engine, name, path)
        assert "Read-only file system" in refusal, f"{name} {path}: expected EROFS, got {refusal!r}"


def _refusal(engine: Engine, name: str, path: str) -> str:
    try:
        return engine.run("exec", name, "sh", "-c", f": > {path}")
    except EngineError as err:
        return str(err)


def _health(engine: Engine, name: str) -> str:
    if engine.program == "podman":  # runs them by timers of systemd, which a machine may lack
        wait_for(lambda: engine.healthy(name), f"the health check of {name} passes", 60)
        return "health checked by hand: passed"
    wait_for(
        lambda: engine.containers()[name]["State"]["Health"]["Status"] == "healthy",
        f"{name} is healthy",
        120,
    )
    return "healthy"
