"""Run the stack of compose.yaml as an operator does, use it, say what was seen, and take it down.

    make stack-test                 # the published images of Redis, TensorFlow Serving, Prometheus and Grafana
    make stack-test STAND_INS=yes   # where they can't be had: images of the same behaviour, and no Grafana
    make stack-test RADIOGRAPH=chest.png SCREENSHOT=tasks.png

It needs Docker or Podman and is no part of ``make check``.
"""

import io
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import httpx
import yaml
from PIL import Image

from export.demo.phantoms import phantom
from tests.containers.caller import Caller
from tests.containers.closedness import check_containers
from tests.containers.engine import LABEL, STAND_INS, Engine, EngineError, find_engine
from tests.containers.env_example import COMPOSE
from tests.containers.outage import check_outage
from tests.containers.saying import answered, say, wait_for
from tests.containers.watchers import check_dashboard, check_grafana, check_prometheus
from tests.support.ports import free_port

_TAG: Final = "stack-test"
_OWN: Final = tuple(f"cxr-{name}:{_TAG}" for name in ("service", "export", "model-server"))
_LARGEST_SERVICE_IMAGE: Final = 400_000_000
_SERVING: Final = "tensorflow/serving:2.21.0"
_KILLED: Final = 128 + 9
# What builds software, and must be in no image that runs it.
_TOOLS: Final = ("pip", "pip3", "gcc", "cc", "g++", "make", "ld", "uv", "wheel")
_FOLDERS: Final = ("pip", "setuptools", "wheel", "ensurepip", "tensorflow", "keras")


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    stand_ins: bool
    keep: bool
    radiograph: Path | None
    screenshot: Path | None


@click.command()
@click.option("--stand-ins", is_flag=True, help="Build stand-ins for images that are not here.")
@click.option("--keep", is_flag=True, help="Leave the stack running.")
@click.option(
    "--radiograph",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is sent; a phantom if left out.",
)
@click.option(
    "--screenshot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where a picture of the dashboard of tasks goes; needs Chromium.",
)
def main(*, stand_ins: bool, keep: bool, radiograph: Path | None, screenshot: Path | None) -> None:
    """Build, start, use, and take down the stack."""
    ports = {
        name: str(free_port())
        for name in ("PORT", "DASHBOARD_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
    }
    password = secrets.token_urlsafe(16)
    with tempfile.NamedTemporaryFile("w", suffix=".env") as empty:
        own = {
            "DASHBOARD_PASSWORD": password,
            "GRAFANA_PASSWORD": password,
            "ENV_FILE": empty.name,
            "TAG": _TAG,
        }
        try:
            engine = find_engine("cxr-stack-test", {**ports, **own})
            _test(engine, ports, password, Options(stand_ins, keep, radiograph, screenshot))
        except (EngineError, AssertionError) as err:
            raise click.ClickException(str(err)) from err


def _test(engine: Engine, ports: Mapping[str, str], password: str, options: Options) -> None:
    services = [name for name, service in _services().items() if "profiles" not in service]
    if options.stand_ins:
        services.remove("grafana")
    say(f"Engine: {engine.run('--version').strip()}")
    build(engine, services, stand_ins=options.stand_ins)
    show_images(engine, services)
    check_no_tools(engine)
    address = f"http://127.0.0.1:{ports['PORT']}"
    with running(engine, services, keep=options.keep), httpx.Client(base_url=address) as api:
        api.timeout = httpx.Timeout(60)
        wait_for(lambda: answered(api, "/health/ready"), "the API is ready", 300)
        wait_for(lambda: _workers(api) == 2, "two workers live", 60)
        say(f"  {api.get('/health').json()}, {_workers(api)} workers")
        caller = Caller(api, _radiograph(options.radiograph))
        task_id = caller.use()
        check_dashboard(ports["DASHBOARD_PORT"], password, task_id, options.screenshot)
        check_prometheus(ports["PROMETHEUS_PORT"])
        if "grafana" in services:
            check_grafana(ports["GRAFANA_PORT"], password)
        check_containers(engine)
        check_second_start(engine)
        check_outage(engine, caller)


def _radiograph(path: Path | None) -> bytes:
    """Return what is to be sent."""
    if path is not None:
        content = path.read_bytes()
        say(f"A radiograph of {len(content)} bytes:")
        return content
    file = io.BytesIO()
    Image.fromarray(phantom(7, 512).image).save(file, "PNG")
    say(f"A phantom of {file.tell()} bytes:")
    return file.getvalue()


def build(engine: Engine, services: Sequence[str], *, stand_ins: bool) -> None:
    """Build the project's images, and have those of others: pulled, or stand-ins for what is not here."""
    began = time.monotonic()
    if not stand_ins:
        # A base image that only a build took is not among the engine's own.
        for image in [*_published(services), _SERVING]:
            engine.run("pull", _address(image), seconds=900)
    else:
        _stand_in(engine, _services()["redis"]["image"], "redis")
        _stand_in(engine, _services()["prometheus"]["image"], "prometheus")
    engine.up("build", "model-export")
    if stand_ins:
        export = f"EXPORT_IMAGE={_OWN[1]}"
        _stand_in(engine, _SERVING, "tensorflow-serving", "--build-arg", export)
    for service in ("api", "model-server"):
        engine.up("build", service)
    say(f"Built in {time.monotonic() - began:.0f} s")


def _stand_in(engine: Engine, image: str, name: str, *arguments: str) -> None:
    """Build a stand-in under an image's name, unless the image itself is here."""
    found = engine.image(image)
    if found is None or LABEL in (found["Config"].get("Labels") or {}):
        engine.build(_address(image), STAND_INS / f"{name}.Dockerfile", *arguments)


def _published(services: Iterable[str]) -> list[str]:
    """Return the images of others that services run."""
    images = {_services()[name]["image"] for name in services}
    return sorted(image for image in images if "${" not in image)


def _address(image: str) -> str:
    """Return an image's name in full."""
    return f"docker.io/{image}" if "/" in image else f"docker.io/library/{image}"


def show_images(engine: Engine, services: list[str]) -> None:
    """Say which images are used, how large they are, and what they stand in for."""
    say("Images:")
    python = engine.image("python:3.11-slim")
    if python is not None and not any(
        text.startswith("PYTHON_VERSION=") for text in python["Config"].get("Env") or []
    ):
        say("  python:3.11-slim is a stand-in: it is not the published image")
    used = {_services()[name]["image"] for name in services}
    for name in sorted(
        {image.split(":")[0] + f":{_TAG}" if "${" in image else image for image in used}
        | {_SERVING}
    ):
        found = engine.image(name)
        assert found is not None, f"expected the image {name}, found none"
        stand_in = (found["Config"].get("Labels") or {}).get(LABEL)
        note = f"  (stand-in: {stand_in})" if stand_in else ""
        say(f"  {name:34} {found['Size'] / 1e6:7.0f} MB{note}")
    size = engine.image(_OWN[0])["Size"]
    assert size <= _LARGEST_SERVICE_IMAGE, f"expected {_OWN[0]} to have 400 MB at most, got {size}"


def check_no_tools(engine: Engine) -> None:
    """See that no program and no package in the service's image builds software, and that there is no TensorFlow."""
    programs = " ".join(_TOOLS)
    names = " -o ".join(f"-name {name}" for name in _FOLDERS)
    look = f"which {programs}; find / -xdev -type d \\( {names} \\) -path '*/python3*'; exit 0"
    seen = engine.run("run", "--rm", "--entrypoint", "sh", _OWN[0], "-c", look).split()
    assert not seen, f"expected nothing in {_OWN[0]} that builds, found {seen}"
    say(f"  {_OWN[0]} has none of {programs}, and no package {', '.join(_FOLDERS)}")


@contextmanager
def running(engine: Engine, services: list[str], *, keep: bool) -> Iterator[None]:
    """Start the stack; at the end show the logs of what failed, and take everything down."""
    began = time.monotonic()
    try:
        engine.up("up", "--detach", *services)
        say(f"Started in {time.monotonic() - began:.0f} s, the model's export included")
        yield
    except BaseException:
        for name, container in engine.containers().items():
            say(f"--- {name}: {container['State']['Status']}")
            say(engine.logs(name))
        raise
    finally:
        if not keep:
            _take_down(engine)


def _take_down(engine: Engine) -> None:
    began = time.monotonic()
    engine.up("stop")
    codes = {
        name.removeprefix(f"{engine.project}_"): container["State"]["ExitCode"]
        for name, container in engine.containers().items()
    }
    say(f"Stopped in {time.monotonic() - began:.0f} s by SIGTERM; exit codes {codes}")
    engine.up("down", "--volumes")
    left = engine.containers()
    assert not left, f"expected no container to be left, found {sorted(left)}"
    # TensorFlow Serving is deaf to SIGTERM (https://github.com/tensorflow/serving/issues/1853).
    bad = {
        name: code
        for name, code in codes.items()
        if code != 0 and not (code == _KILLED and "model-server" in name)
    }
    assert not bad, f"expected every container to end with status 0, got {bad}"


def check_second_start(engine: Engine) -> None:
    """See that the model is not exported anew."""
    said = engine.up("run", "--rm", "--no-deps", "-T", "model-export")
    assert "nothing to do" in said, said
    say(f"model-export once more: {said.strip().splitlines()[-1]}")


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def _workers(api: httpx.Client) -> int:
    found: int = api.get("/health/workers").json().get("workers", 0)
    return found


if __name__ == "__main__":
    main()
