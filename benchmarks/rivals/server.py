"""Run a rival's server as a process of its own, on a free port of this machine only."""

import http.client
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from PIL import Image

from benchmarks.client import CONTENT_TYPE, form
from benchmarks.rivals.environment import RivalError, interpreter
from benchmarks.service import THREE, exported
from tests.support.ports import free_port

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Answer:
    """What a server said about an image.

    Attributes:
        probabilities: By label.
        sizes: Width and height of each overlay.
    """

    probabilities: dict[str, float]
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Rival:
    """A server that serves.

    Attributes:
        port: Where it listens.
        process: The process that was started; it may have started others.
    """

    port: int
    process: psutil.Process

    @property
    def family(self) -> list[psutil.Process]:
        """Return its process and those that it started."""
        return [self.process, *self.process.children(recursive=True)]

    def core_seconds(self) -> float:
        """Return the processor time that it and the processes it started have taken."""
        times = [process.cpu_times() for process in self.family]
        return float(sum(each.user + each.system for each in times))


@contextmanager
def running_rival(name: str) -> Iterator[Rival]:
    """Run a rival until the block ends; yield it once it serves.

    Raises:
        RivalError: It can't be installed, or doesn't serve.
    """
    python = interpreter(name)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "SERVABLE": str(exported("float32") / "1"),
            "BENTOML_HOME": folder,
            "BENTOML_DO_NOT_TRACK": "True",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(name, python, port, Path(folder)),
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            _wait_until_served(name, port, process, log)
            yield Rival(port, psutil.Process(process.pid))
        finally:
            _end(process)


@contextmanager
def running_unserved(file: Path, processes: int) -> Iterator[Callable[[int, int], float]]:
    """Run the work without a server, in as many processes.

    Yields:
        A function that does some images, in batches of some size, and returns images per second.

    Raises:
        RivalError: It can't be installed, or doesn't run.
    """
    python = interpreter("litserve")
    model = str(exported("float32") / "1")
    command = [str(python), "-m", "benchmarks.rivals.unserved", model, str(file), THREE]
    with tempfile.TemporaryFile() as log, ExitStack() as stack:
        started = []
        for _ in range(processes):
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            started.append(stack.enter_context(process))
            stack.callback(process.terminate)

        def expect(word: str) -> None:
            for process in started:
                assert process.stdout is not None
                if process.stdout.readline().strip() != word:
                    log.seek(0)
                    raise RivalError(f"the work without a server ended: {log.read()[-2000:]!r}")

        def rate(images: int, size: int) -> float:
            each = max(1, images // processes // size) * size
            begin = time.perf_counter()
            for process in started:
                assert process.stdin is not None
                process.stdin.write(f"{each} {size}\n")
                process.stdin.flush()
            expect("done")
            return processes * each / (time.perf_counter() - begin)

        expect("ready")
        yield rate


def ask(port: int, upload: bytes, heatmaps: str = THREE, timeout: float = 60) -> Answer:
    """Post an image and read the answer.

    Raises:
        RivalError: The answer is no archive of a report and overlays.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        body = form(upload, heatmaps)
        connection.request("POST", "/densenet_predict", body, {"Content-Type": CONTENT_TYPE})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RivalError(f"expected status 200, got {answer.status}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        report = json.loads(archive.read("report.json"))
        pictures = [name for name in archive.namelist() if name != "report.json"]
        sizes = tuple(Image.open(io.BytesIO(archive.read(name))).size for name in pictures)
    probabilities = {each["label"]: each["probability"] for each in report["predictions"]}
    return Answer(probabilities, sizes)


def _command(name: str, python: Path, port: int, folder: Path) -> Sequence[str]:
    match name:
        case "bentoml":
            service = "benchmarks.rivals.bentoml_server:Radiographs"
            serve = [str(python.with_name("bentoml")), "serve", service]
            return [*serve, "--host", "127.0.0.1", "--port", str(port)]
        case "litserve":
            model = exported("float32") / "1"
        case _:
            model = _keras_file(folder)
    return [str(python), "-m", f"benchmarks.rivals.{name}_server", str(port), str(model)]


def _keras_file(folder: Path) -> Path:
    """Save the network that was exported, of the same seed, as a Keras file."""
    path = folder / "network.keras"
    script = f"from export.untrained import build_untrained; build_untrained().save({str(path)!r})"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT)
    return path


def _wait_until_served(name: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (256, 256), 128).save(buffer, "PNG")
    until = time.monotonic() + START_SECONDS
    last = "nothing"
    while process.poll() is None and time.monotonic() < until:
        try:
            ask(port, buffer.getvalue())
        except (OSError, http.client.HTTPException, RivalError) as err:
            last = repr(err)
            time.sleep(1)
        else:
            return
    tail = log.read_text(errors="replace")[-2000:]
    raise RivalError(f"{name} doesn't serve; last: {last}; its log ends with: {tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and the processes that it started."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(family, timeout=5)
    for each in left:
        each.kill()
