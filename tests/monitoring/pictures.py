"""Draw the dashboards from a real Prometheus into docs/images: ``make dashboards``; it takes some six minutes.

*service* and *queue* show two APIs, two workers and the demo model under mixed load, with an outage of the model
server, a burst and a killed worker. *model* shows days that were made up, as drift takes a week to see.
"""

import base64
import io
import itertools
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
from PIL import Image

from export.demo.phantoms import phantom
from tests.monitoring.drawing import View, draw, read
from tests.monitoring.history import DAY, run_promtool, write_history
from tests.support.crew import Crew, running_crew
from tests.support.prometheus_server import MONITORING, Prometheus, running_prometheus

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
_NOTE: Final = "drawn from Prometheus by this project's script, not by Grafana"
_CALM: Final = 40.0  # seconds of each part of the load
_BACK: Final = 9 * DAY


def main() -> None:
    """Draw every dashboard."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as scratch:
        draw_drift(Path(scratch), folder)
        draw_load(Path(scratch), folder)


def draw_load(scratch: Path, folder: Path) -> None:
    """Draw *service* and *queue* after some minutes of everything that may happen."""
    from export.demo.servable import export_demo  # loads TensorFlow

    export_demo(scratch / "densenet")
    settings = {"REQUEST_THREADS": "2", "REQUEST_QUEUE": "2", "QUEUE_LIMIT": "40"}
    settings |= {"MODEL_TIMEOUT": "5", "JOB_RETRIES": "20"}
    with running_crew(scratch / "stack", scratch / "densenet", **settings) as crew:
        addresses = [
            [each.client.base_url.netloc.decode() for each in part]
            for part in (crew.apis, crew.workers)
        ]
        targets = dict(zip(("cxr-api", "cxr-worker"), addresses, strict=True))
        with running_prometheus(_found("prometheus"), scratch / "load", targets) as prometheus:
            prometheus.wait_for_targets(4)
            began = time.time()
            happen(crew)
            _draw(prometheus, ("service", "queue"), folder, int(time.time() - began), "30s")


def happen(crew: Crew) -> None:
    """Put the service under every kind of load, and do it harm."""
    with _going_on(crew):
        time.sleep(_CALM)
        crew.stack.model.kill()
        time.sleep(_CALM / 2)
        crew.stack.model.start()
        time.sleep(_CALM)
        with ThreadPoolExecutor(12) as pool:  # more than threads, queue and workers take
            for number in range(90):
                pool.submit(_submit, crew.stack.client, number)
                pool.submit(_analyse, crew.stack.client, number)
        crew.workers[1].service.kill()  # most likely with a task in hand
        time.sleep(_CALM / 2)
        crew.workers[1].service.start()
        time.sleep(2 * _CALM)


@contextmanager
def _going_on(crew: Crew) -> Iterator[None]:
    """Send requests of every kind until the block ends."""
    end = threading.Event()
    jobs: Sequence[tuple[Callable[[httpx.Client, int], object], float]] = (
        (_analyse, 0.6),
        (_analyse_hosted, 1.1),
        (_submit, 0.8),
        (_err, 2.0),
        (_ask, 1.5),
    )

    def repeat(job: Callable[[httpx.Client, int], object], pause: float) -> None:
        for number in itertools.count():
            if end.wait(pause):
                return
            # A connection that was kept may be closed meanwhile
            with suppress(httpx.TransportError):
                job(crew.apis[number % 2].client, number)

    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(repeat, *job) for job in jobs]
        try:
            yield
        finally:
            end.set()
    for each in running:
        each.result()


def _analyse(client: httpx.Client, number: int) -> None:
    client.post("/densenet_predict", files={"file": _radiograph(number)})


def _analyse_hosted(client: httpx.Client, number: int) -> None:
    encoded = base64.b64encode(_radiograph(number)).decode()
    client.post("/v2/densenet_predict", json={"image": encoded})


def _submit(client: httpx.Client, number: int) -> None:
    client.post("/async/densenet_predict", files={"file": _radiograph(number)})


def _err(client: httpx.Client, number: int) -> None:
    """Send what can't be answered, as callers do."""
    if number % 3 == 0:
        client.post("/densenet_predict", files={"file": b"no image"})
    elif number % 3 == 1:
        client.post("/async/densenet_predict", files={"file": b"no image"})
    else:
        client.post("/densenet_predict", files={"file": _radiograph(0)}, data={"font_size": "-1"})


def _ask(client: httpx.Client, number: int) -> None:
    client.get(("/stats/diseases/summary", "/tasks/0", "/stats/diseases/daily?days=7")[number % 3])


_FILES: Final[dict[int, bytes]] = {}


def _radiograph(number: int) -> bytes:
    """Return one of a dozen phantoms."""
    number %= 12
    if number not in _FILES:
        file = io.BytesIO()
        Image.fromarray(phantom(number, 512).image).save(file, "PNG")
        _FILES[number] = file.getvalue()
    return _FILES[number]


def draw_drift(scratch: Path, folder: Path) -> None:
    """Draw *model* after days that were made up: on the last one Effusion and Nodule are likelier."""
    promtool, data = _found("promtool"), scratch / "drift" / "data"
    end = int(time.time()) // 900 * 900
    write_history(scratch / "history", end, _BACK // DAY, ("Effusion", "Nodule"))
    data.mkdir(parents=True)
    blocks = ("tsdb", "create-blocks-from")
    at_once = f"--max-block-duration={_BACK}s"
    run_promtool(promtool, *blocks, at_once, "openmetrics", str(scratch / "history"), str(data))
    with running_prometheus(_found("prometheus"), scratch / "drift", {}) as prometheus:
        run_promtool(
            *(promtool, *blocks, "rules", f"--start={end - _BACK}", f"--end={end}"),
            *("--eval-interval=900s", f"--url={prometheus.client.base_url}"),
            *(f"--output-dir={data}", str(MONITORING / "drift.yaml")),
        )
    # started anew it reads what the rules have become
    with running_prometheus(_found("prometheus"), scratch / "drift", {}) as prometheus:
        _draw(prometheus, ("model",), folder, 7 * DAY, "1h", end)


def _draw(
    prometheus: Prometheus,
    names: Sequence[str],
    folder: Path,
    span: int,
    interval: str,
    end: float | None = None,
) -> None:
    view = View(prometheus.client, end or time.time(), span, interval)
    note = _NOTE if end is None else f"days made up, {_NOTE}"
    for name in names:
        draw(read(name), view, note).save(folder / f"dashboard-{name}.png", optimize=True)


def _found(program: str) -> str:
    path = shutil.which(program)
    assert path, f"expected {program} of Debian's package prometheus, found none"
    return path


if __name__ == "__main__":
    main()
