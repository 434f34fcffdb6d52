"""Run the stack of compose.yaml as an operator does, use it, say what was seen, and take it down.

    make stack-test                 # the published images of Redis, TensorFlow Serving, Prometheus and Grafana
    make stack-test STAND_INS=yes   # where they can't be had: images of the same behaviour, and no Grafana

It needs Docker or Podman and is no part of ``make check``.
"""

import base64
import io
import json
import secrets
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import httpx
import yaml
from PIL import Image

from export.demo.phantoms import phantom
from serving.contract import DEFAULT_LABELS
from tests.containers.engine import LABEL, STAND_INS, Engine, EngineError, find_engine
from tests.containers.env_example import COMPOSE
from tests.support.model_server import free_port

_TAG: Final = "stack-test"
_OWN: Final = tuple(f"cxr-{name}:{_TAG}" for name in ("service", "export", "model-server"))
_LARGEST_SERVICE_IMAGE: Final = 400_000_000
_SERVING: Final = "tensorflow/serving:2.21.0"
_ANSWERING: Final = ("SUCCESS", "FAILURE")


@click.command()
@click.option("--stand-ins", is_flag=True, help="Build stand-ins for images that are not here.")
@click.option("--keep", is_flag=True, help="Leave the stack running.")
def main(*, stand_ins: bool, keep: bool) -> None:
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
            _test(engine, ports, password, stand_ins=stand_ins, keep=keep)
        except (EngineError, AssertionError) as err:
            raise click.ClickException(str(err)) from err


def _test(
    engine: Engine, ports: Mapping[str, str], password: str, *, stand_ins: bool, keep: bool
) -> None:
    services = [name for name, service in _services().items() if "profiles" not in service]
    if stand_ins:
        services.remove("grafana")
    say(f"Engine: {engine.run('--version').strip()}")
    build(engine, stand_ins=stand_ins)
    show_images(engine, services)
    with running(engine, services, keep=keep):
        with httpx.Client(base_url=f"http://127.0.0.1:{ports['PORT']}", timeout=60) as api:
            wait_for(lambda: _ok(api, "/health/ready"), "the API is ready", 300)
            wait_for(lambda: _ok(api, "/health/workers"), "workers live", 60)
            say(f"  {api.get('/health').json()}  {_workers(api)}")
            task_id = use(api)
        check_dashboard(ports["DASHBOARD_PORT"], password, task_id)
        check_prometheus(ports["PROMETHEUS_PORT"])
        if "grafana" in services:
            check_grafana(ports["GRAFANA_PORT"], password)
        check_containers(engine)
        check_second_start(engine)


def build(engine: Engine, *, stand_ins: bool) -> None:
    """Build the project's images, and stand-ins for those of others that are not here."""
    began = time.monotonic()
    if stand_ins:
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
        engine.build(f"docker.io/{_full(image)}", STAND_INS / f"{name}.Dockerfile", *arguments)


def _full(image: str) -> str:
    return image if "/" in image else f"library/{image}"


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
    look = "import importlib.util as u; print([n for n in ('pip', 'setuptools', 'tensorflow') if u.find_spec(n)])"
    seen = engine.run("run", "--rm", "--entrypoint", "python", _OWN[0], "-c", look).strip()
    assert seen == "[]", f"expected neither pip nor TensorFlow in {_OWN[0]}, found {seen}"


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
    say(f"Stopped in {time.monotonic() - began:.0f} s; exit codes {codes}")
    engine.up("down", "--volumes")
    left = engine.containers()
    assert not left, f"expected no container to be left, found {sorted(left)}"


def use(api: httpx.Client) -> str:
    """Send one phantom through every way, and return the task of one of them."""
    drawn = phantom(7, 512)
    shown = [name for name, there in zip(DEFAULT_LABELS, drawn.labels, strict=True) if there]
    file = io.BytesIO()
    Image.fromarray(drawn.image).save(file, "PNG")
    content = file.getvalue()
    say(f"A phantom of {len(content)} bytes that shows {', '.join(shown)}:")
    answer = _checked(api.post("/densenet_predict", files={"file": content}), 200)
    say(f"  /densenet_predict: {_archive(answer.content)}, {answer.elapsed.total_seconds():.2f} s")
    task = _checked(api.post("/async/densenet_predict", files={"file": content}), 202).json()
    say(f"  /async/densenet_predict: {_archive(_result(api, task['task_id']).content)}")
    encoded = {"image": _base64(content)}
    hosted = _checked(api.post("/v2/densenet_predict", json=encoded), 200).json()
    say(f"  /v2/densenet_predict: {hosted['findings']}, {_fetched(api, hosted)}")
    second = _checked(api.post("/async/v2/densenet_predict", json=encoded), 202).json()
    later = _result(api, second["task_id"]).json()
    say(f"  /async/v2/densenet_predict: {later['findings']}, {_fetched(api, later)}")
    summary = _checked(api.get("/stats/diseases/summary"), 200).json()
    assert summary["analyses"] == 4, summary
    say(f"  /stats/diseases/summary: {summary['analyses']} analyses")
    identifier: str = task["task_id"]
    return identifier


def check_dashboard(port: str, password: str, task_id: str) -> None:
    """See the task in the dashboard, and nothing without the password."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        assert client.get("/").status_code == 401
        client.auth = ("admin", password)
        job = _checked(client.get(f"/0/data/job/{task_id}.json"), 200).json()
        assert job["status"] == "finished", job
        say(f"Dashboard: 401 without password; job {job['description']!r} {job['status']}")


def check_prometheus(port: str) -> None:
    """See that every target was scraped, each process once, and that the rules were read."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as client:
        wait_for(lambda: _all_up(client), "Prometheus has scraped every target", 120)
        targets = client.get("/targets").json()["data"]["activeTargets"]
        jobs = [target["labels"]["job"] for target in targets]
        counted = {job: jobs.count(job) for job in sorted(set(jobs))}
        say(f"Prometheus: targets up {counted}")
        assert sorted(counted.values()) == [1, 1, 1, 2], counted
        rules = client.get("/rules").json()["data"]["groups"]
        assert rules, "expected alert rules, found none"
        query = {"query": "sum by (job) (cxr_stage_duration_seconds_count)"}
        found = client.get("/query", params=query).json()["data"]["result"]
        seen = {each["metric"]["job"]: each["value"][1] for each in found}
        say(f"  {sum(len(group['rules']) for group in rules)} rules; stages counted {seen}")


def _all_up(client: httpx.Client) -> bool:
    targets = client.get("/targets").json()["data"]["activeTargets"]
    return len(targets) >= 5 and all(target["health"] == "up" for target in targets)


def check_grafana(port: str, password: str) -> None:
    """See that the dashboards were provisioned."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("admin", password)) as client:
        wait_for(lambda: _ok(client, "/api/health"), "Grafana answers", 120)
        titles = [each["title"] for each in client.get("/api/search?type=dash-db").json()]
        assert titles, "expected dashboards, found none"
        say(f"Grafana: {titles}")


def check_containers(engine: Engine) -> None:
    """See that the containers are as closed as compose.yaml says, and that their health checks pass."""
    say("Containers:")
    for name, container in sorted(engine.containers().items()):
        host = container["HostConfig"]
        ports = (container["NetworkSettings"].get("Ports") or {}).values()
        addresses = {each["HostIp"] for bound in ports for each in bound or []}
        assert host["ReadonlyRootfs"], name
        assert addresses <= {"127.0.0.1"}, (name, addresses)
        if container["State"]["Status"] != "running":
            assert container["State"]["ExitCode"] == 0, name
            say(f"  {name}: ended with status 0")
            continue
        status = Path(f"/proc/{container['State']['Pid']}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        user = int(fields["Uid"].split()[0])
        assert user != 0, name
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, name
        assert fields["NoNewPrivs"] == "1", name
        say(
            f"  {name}: user {user}, no capabilities, read-only; health {_health(engine, name, container)}"
        )


def _health(engine: Engine, name: str, container: Any) -> str:
    if engine.program == "podman":  # runs them by timers of systemd, which a machine may lack
        wait_for(lambda: engine.healthy(name), f"the health check of {name} passes", 60)
        return "checked by hand: passed"
    state: str = container["State"]["Health"]["Status"]
    assert state != "unhealthy", name
    return state


def check_second_start(engine: Engine) -> None:
    """See that the model is not exported anew."""
    said = engine.up("run", "--rm", "--no-deps", "-T", "model-export")
    assert "nothing to do" in said, said
    say(f"model-export once more: {said.strip().splitlines()[-1]}")


def _services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def _workers(api: httpx.Client) -> str:
    return f"{api.get('/health/workers').json()['workers']} workers"


def _result(api: httpx.Client, task_id: str) -> httpx.Response:
    wait_for(
        lambda: api.get(f"/tasks/{task_id}").json()["status"] in _ANSWERING, "the task ends", 60
    )
    return _checked(api.get(f"/tasks/{task_id}/result"), 200)


def _archive(content: bytes) -> str:
    """Return what a result's archive holds, in a line."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        report = json.loads(archive.read("report.json"))
        pictures = [name for name in archive.namelist() if name != "report.json"]
    assert pictures, "expected an overlay, found none"
    return f"{report['findings']}, {len(pictures)} overlays, model version {report['model']['version']}"


def _fetched(api: httpx.Client, report: Any) -> str:
    """Fetch the pictures of a report, and return how many there were."""
    for url in report["image_urls"]:
        assert _checked(api.get(url), 200).headers["content-type"] == "image/jpeg"
    assert report["image_urls"], "expected pictures, found none"
    return f"{len(report['image_urls'])} pictures fetched"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _checked(response: httpx.Response, status: int) -> httpx.Response:
    assert response.status_code == status, f"{response.request.url.path}: {response.text[:500]}"
    return response


def _ok(client: httpx.Client, path: str) -> bool:
    return client.get(path).status_code == httpx.codes.OK


def wait_for(check: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until a check passes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if check():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"expected within {seconds:.0f} s that {what}, waited in vain")


def say(line: str) -> None:
    """Print a line at once."""
    click.echo(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
