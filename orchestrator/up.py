"""Start the whole service on one machine: ``cxr up``, which is what ``make run`` calls."""

import fcntl
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click
import httpx

import serving
from orchestrator import dashboard, embedded_redis, logs, model_source
from orchestrator.access.mode import choose_access
from orchestrator.listening import listen
from orchestrator.publish_model import explained
from orchestrator.settings import Settings, SettingsError, names_redis
from orchestrator.startup import (
    read_settings,
    require_data_dir,
    require_what_is_kept,
    settings_explained,
)
from orchestrator.supervisor import Child, stop_all

_POLL: Final = 0.2
_HIGHEST_PORT: Final = 65535
_LOOPBACK: Final = "127.0.0.1"
_SERVING: Final = Path(serving.__file__).parent


@click.command()
def up() -> None:
    """Start model server, Redis, workers, dashboard and API on this machine, and keep them running until Ctrl-C."""
    settings = read_settings()
    logs.configure(settings.log_level)
    require_data_dir(settings)
    require_what_is_kept(settings)
    with settings_explained():
        choose_access(settings)
        _check_metrics_ports(settings)
    with _only_one(settings.data_dir):
        with settings_explained():
            port = _free_port(settings.host, settings.port)
        folder = _servable(settings)
        _run(settings, port, _children(settings, port, folder))


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Refuse to start twice on one data folder."""
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise click.ClickException(
                f"another 'cxr up' is running on {data_dir}; stop it, or set DATA_DIR to another folder"
            ) from err
        yield


def _servable(settings: Settings) -> Path:
    """Return the folder of the model to serve, exporting it first unless it was the last one exported there."""
    with explained():
        folder = model_source.servable_folder(settings)
        if not model_source.is_published(settings, folder):
            click.echo("Exporting the model; the next start finds it there.")
            model_source.publish(settings, folder)
    return folder


def _children(settings: Settings, port: int, folder: Path) -> list[Child]:
    model_port, status_port = _free_port(_LOOPBACK, 0), _free_port(_LOOPBACK, 0)
    cxr = [sys.executable, "-m", "orchestrator"]
    model_server = [
        *cxr,
        "model-server",
        f"--port={model_port}",
        f"--rest_api_port={status_port}",
        f"--model_name={settings.model_name}",
        f"--model_base_path={folder.resolve()}",
        "--enable_batching=true",
        f"--batching_parameters_file={_SERVING / 'batching.config'}",
        f"--monitoring_config_file={_SERVING / 'monitoring.config'}",
        "--grpc_max_threads=64",
        "--enable_serialization_as_tensor_content=true",
        # batches side by side use the cores better than one batch's operations split between them
        "--tensorflow_intra_op_parallelism=1",
    ]
    shared = {"MODEL_SERVER": f"{_LOOPBACK}:{model_port}"}
    children = [Child("model-server", model_server)]
    if _embeds_redis():
        redis_port = _free_port(_LOOPBACK, 0)
        shared["REDIS_URL"] = f"redis://{_LOOPBACK}:{redis_port}/0"
        data = settings.data_dir / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        children.append(Child("redis", embedded_redis.server_command(data, redis_port)))
    workers = [
        Child(f"worker-{number}", [*cxr, "worker"], shared | _metrics_port(settings, number))
        for number in range(1, settings.workers + 1)
    ]
    api = Child("api", [*cxr, "serve"], shared | {"PORT": str(port)} | _metrics_port(settings, 0))
    return [*children, *workers, *_dashboard(settings, port, [*cxr, "dashboard"], shared), api]


def _check_metrics_ports(settings: Settings) -> None:
    """Make sure that counting on from METRICS_PORT ends at a port, and meets none that is asked for otherwise."""
    if settings.metrics_port is None:
        return
    counted = range(settings.metrics_port, settings.metrics_port + settings.workers + 1)
    for name, port in (("PORT", settings.port), ("DASHBOARD_PORT", settings.dashboard_port)):
        if port in counted:
            raise SettingsError(
                f"METRICS_PORT: expected a number such that {name}={port} is none of the {len(counted)} ports from it"
                f" on, one for the API and one for each worker, got {settings.metrics_port}; set it to another"
            )
    highest = _HIGHEST_PORT - settings.workers
    if settings.metrics_port > highest:
        raise SettingsError(
            f"METRICS_PORT: expected a number up to {highest}, as each of WORKERS={settings.workers} takes one of the"
            f" next, got {settings.metrics_port}; lower one of them"
        )


def _metrics_port(settings: Settings, number: int) -> dict[str, str]:
    """Return a port for the figures of one process, the API being number 0: they can't share one."""
    if settings.metrics_port is None:
        return {}
    return {"METRICS_PORT": str(settings.metrics_port + number)}


def _embeds_redis() -> bool:
    """Tell whether to start a Redis of our own: if none was named, and the wheel is there."""
    return not names_redis() and embedded_redis.is_installed()


def _dashboard(
    settings: Settings, api_port: int, command: Sequence[str], environment: Mapping[str, str]
) -> list[Child]:
    """Return the dashboard, or nothing where its port is taken: another checkout may be running."""
    if not dashboard.is_installed():
        return []
    with settings_explained():
        dashboard.check_access(settings)
    try:
        port = _free_port(settings.dashboard_host, settings.dashboard_port, "DASHBOARD_")
    except SettingsError as err:
        click.echo(f"No dashboard: {err}.")
        return []
    if port == api_port:
        click.echo(
            f"No dashboard: PORT and DASHBOARD_PORT are both {port}; set one of them to another."
        )
        return []
    return [Child("dashboard", command, {**environment, "DASHBOARD_PORT": str(port)})]


def _run(settings: Settings, port: int, children: list[Child]) -> None:
    """Tend the children until a signal asks to stop; then stop every one of them."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup(1)
            signal.signal(number, stop)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    announced = False
    try:
        while not stopping:
            for child in children:
                child.tend(time.monotonic())
            announced = announced or _announce(url)
            time.sleep(_POLL)
    finally:
        with suppress(
            OSError
        ):  # nobody may read it any more, as where Ctrl-C has ended a `tee` first
            click.echo("Stopping.")
        # What the others need while they end goes last.
        needed = [child for child in children if child.name in ("model-server", "redis")]
        stop_all([child for child in children if child not in needed])
        stop_all(needed)


def _announce(url: str) -> bool:
    """Say where the service is, once it is ready."""
    try:
        answers = [
            httpx.get(f"{url}/health/{what}", timeout=1, trust_env=False)
            for what in ("ready", "workers")
        ]
    except httpx.TransportError:
        return False
    if any(answer.status_code != httpx.codes.OK for answer in answers):
        return False
    ready = answers[0]
    click.echo(f"Ready on {url} (Ctrl-C stops it). Not for clinical use.")
    for warning in ready.json()["model"]["warnings"]:
        click.echo(f"Note: {warning}")
    return True


def _free_port(host: str, port: int, prefix: str = "") -> int:
    """Return a port that can be bound: the one asked for, or any if it is 0."""
    sockets = listen(prefix, host, port)
    bound: int = sockets[0].getsockname()[1]
    for each in sockets:
        each.close()
    return bound
