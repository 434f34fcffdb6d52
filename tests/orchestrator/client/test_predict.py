"""The client on the command line, against a stand-in of the service that answers as HTTP allows."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.client.predict import collect

PREDICTIONS = [{"label": "Mass", "probability": 0.9}, {"label": "No Finding", "probability": 0.1}]
PICTURE = "01_Mass.jpg"
WARNINGS = ["The weights are untrained.", "Adults only; no lateral views."]
NOTICE = "Not for clinical use."


def archive(picture: bytes = b"picture") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        report = {
            "model": {"name": "densenet", "version": 3},
            "predictions": PREDICTIONS,
            "findings": ["Mass"],
            "warnings": WARNINGS,
            "notice": NOTICE,
            "overlays": [{"file": PICTURE}],
        }
        opened.writestr("report.json", json.dumps(report))
        opened.writestr(PICTURE, picture)
    return buffer.getvalue()


class Service(ThreadingHTTPServer):
    """Answer 503 once, then a result; 400 for whatever holds the word BROKEN, no ZIP for the word STRANGE."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []
        self.result = archive()
        self.seconds = 0.0
        self.refusals = 1
        self.retry_after = "0"
        self.vanishes: Path | None = None


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        if self.server.vanishes:
            self.server.vanishes.unlink(missing_ok=True)
        if self.server.refusals:
            self.server.refusals -= 1
            self.answer(503, b"{}", {"Retry-After": self.server.retry_after})
        elif b"BROKEN" in body:
            self.answer(400, b'{"detail": "expected an image"}', {})
        else:
            time.sleep(self.server.seconds)
            self.answer(200, b"<html>" if b"STRANGE" in body else self.server.result, {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def running() -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


def test_a_folder_is_sent_and_its_results_are_written(tmp_path: Path) -> None:
    images = tmp_path / "night"
    (images / "ward").mkdir(parents=True)
    (images / "DOE_JANE.png").write_bytes(b"one")
    (images / "ward" / "a.JPG").write_bytes(b"two")
    (images / "notes.txt").write_bytes(b"no image")
    output = tmp_path / "results"
    with running() as service:
        url = f"http://127.0.0.1:{service.server_port}"
        run = CliRunner().invoke(
            main, ["predict", str(images), "--server", url, "--output", str(output)]
        )
    assert run.exit_code == 0, run.output
    assert "2 of 2 images analysed" in run.output
    assert (output / "DOE_JANE" / "01_Mass.jpg").read_bytes() == b"picture"
    assert json.loads((output / "ward" / "a" / "report.json").read_text())["findings"] == ["Mass"]
    origin = ["densenet", "3", "The weights are untrained.|Adults only; no lateral views."]
    assert list(csv.reader((output / "predictions.csv").read_text().splitlines())) == [
        ["image", "findings", "Mass", "No Finding", "source", "model", "version", "warnings"],
        ["DOE_JANE", "Mass", "0.9", "0.1", str(images / "DOE_JANE.png"), *origin],
        ["ward/a", "Mass", "0.9", "0.1", str(images / "ward" / "a.JPG"), *origin],
    ]
    # two images and one that was sent again after the 503; never a file's name
    assert len(service.bodies) == 3
    assert not any(b"DOE" in body for body in service.bodies)


def test_a_service_of_this_machine_is_found_at_its_port(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"good")
    with running() as service:
        (tmp_path / "settings").write_text(f"PORT={service.server_port}\n")
        run = CliRunner().invoke(
            main,
            ["predict", str(image), "--output", str(tmp_path / "results")],
            env={"CXR_ENV_FILE": str(tmp_path / "settings"), "PORT": None},
        )
    assert run.exit_code == 0, run.output
    assert len(service.bodies) == 2  # the second after the 503


def test_one_bad_image_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(b"good")
    (tmp_path / "bad.png").write_bytes(b"BROKEN")
    output = tmp_path / "results"
    with running() as service:
        url = f"http://127.0.0.1:{service.server_port}"
        run = CliRunner().invoke(
            main, ["predict", str(tmp_path), "--server", url, "--output", str(output)]
        )
    assert run.exit_code == 1
    assert "bad.png: status 400: expected an image" in run.output
    assert "1 of 2 images analysed" in run.output


def test_a_file_that_goes_meanwhile_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"good")
    output = tmp_path / "results"
    with running() as service:
        service.vanishes = tmp_path / "b.png"
        where = ["--server", f"http://127.0.0.1:{service.server_port}", "--output", str(output)]
        run = CliRunner().invoke(main, ["predict", str(tmp_path), *where, "--jobs", "1"])
    assert run.exit_code == 1
    assert "b.png: expected a file that can be read: No such file" in run.output
    assert "2 of 3 images analysed" in run.output
    assert (output / "c" / "report.json").exists()


def test_a_result_that_can_not_be_written_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"good" if name != "c.png" else b"STRANGE")
    output = tmp_path / "results"
    output.mkdir()
    (output / "a").write_text("in the way of a folder")
    with running() as service:
        where = ["--server", f"http://127.0.0.1:{service.server_port}", "--output", str(output)]
        run = CliRunner().invoke(main, ["predict", str(tmp_path), *where])
    assert run.exit_code == 1
    assert "a.png: expected to write the result, got: File exists" in run.output
    assert "c.png: expected a ZIP with a report" in run.output
    assert "1 of 3 images analysed" in run.output
    assert (output / "predictions.csv").exists()


def some_images(folder: Path, number: int) -> Path:
    folder.mkdir()
    for index in range(number):
        (folder / f"{index}.png").write_bytes(b"good")
    return folder


@pytest.mark.parametrize("refusals", [0, 100])
def test_who_interrupts_it_keeps_what_is_done_and_sends_no_more(
    refusals: int, tmp_path: Path
) -> None:
    images, output = some_images(tmp_path / "night", 60), tmp_path / "results"
    with running() as service:
        service.refusals, service.retry_after, service.seconds = refusals, "30", 0.2
        where = ["--server", f"http://127.0.0.1:{service.server_port}", "--output", str(output)]
        command = [sys.executable, "-m", "orchestrator", "predict", str(images), *where]
        with subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE) as process:
            try:
                while len(service.bodies) < (2 if refusals else 10):
                    time.sleep(0.01)
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=20)
            finally:
                process.kill()
        sent = len(service.bodies)
    assert process.returncode == 1
    assert b"Aborted!" in errors
    assert sent < 20
    if not refusals:
        lines = len((output / "predictions.csv").read_text().splitlines()) - 1
        assert lines >= 5
        # it may have been interrupted between a result and its line
        assert len(list(output.glob("*/report.json"))) - lines in (0, 1)


def test_results_do_not_gather_in_memory(tmp_path: Path) -> None:
    images = some_images(tmp_path / "night", 60)
    with running() as service:
        service.result = archive(os.urandom(1_000_000))
        where = ["--server", f"http://127.0.0.1:{service.server_port}"]
        arguments = ["predict", str(images), *where, "--output", str(tmp_path / "out")]
        tracemalloc.start()
        try:
            run = CliRunner().invoke(main, [*arguments, "--jobs", "2"])
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert run.exit_code == 0, run.output
    assert most < 25_000_000


def test_overlays_of_earlier_results_are_no_images(tmp_path: Path) -> None:
    images = some_images(tmp_path / "night", 2)
    (images / "01_Mass.jpg").write_bytes(b"good")  # named like an overlay, but of no result
    with running() as service:
        where = ["--server", f"http://127.0.0.1:{service.server_port}"]
        for output in (images / "results", images, images):
            command = ["predict", str(images), *where, "--output", str(output)]
            run = CliRunner().invoke(main, command)
            assert run.exit_code == 0, run.output
            assert "3 of 3 images analysed" in run.output


def test_images_of_one_name_are_told_apart_in_the_table(tmp_path: Path) -> None:
    folders = [some_images(tmp_path / ward, 1) for ward in ("ward 1", "ward 2")]
    output = tmp_path / "out"
    with running() as service:
        where = ["--server", f"http://127.0.0.1:{service.server_port}", "--output", str(output)]
        CliRunner().invoke(main, ["predict", *map(str, folders), *where], catch_exceptions=False)
    table = list(csv.DictReader((output / "predictions.csv").read_text().splitlines()))
    assert [(row["image"], row["source"]) for row in table] == [
        ("0", str(folders[0] / "0.png")),
        ("0_2", str(folders[1] / "0.png")),
    ]


def test_where_nothing_is_analysed_an_earlier_table_stays_and_nothing_else_is_said(
    tmp_path: Path,
) -> None:
    images, output = some_images(tmp_path / "night", 1), tmp_path / "out"
    output.mkdir()
    (output / "predictions.csv").write_text("earlier")
    where = ["--server", "http://127.0.0.1:9", "--output", str(output)]
    run = CliRunner().invoke(main, ["predict", str(images), *where])
    assert run.exit_code == 1
    assert run.stdout == "0 of 1 images analysed; nothing was written\n"
    assert "clinical" not in run.stderr
    assert (output / "predictions.csv").read_text() == "earlier"


def test_a_table_that_can_not_be_written_is_told_of(tmp_path: Path) -> None:
    images, output = some_images(tmp_path / "night", 1), tmp_path / "results"
    (output / "predictions.csv").mkdir(parents=True)
    with running() as service:
        where = ["--server", f"http://127.0.0.1:{service.server_port}", "--output", str(output)]
        run = CliRunner().invoke(main, ["predict", str(images), *where])
    assert run.exit_code == 1
    assert "expected to write predictions.csv, got: Is a directory" in run.output
    assert (output / "0" / "report.json").exists()


def test_progress_is_not_part_of_what_is_printed(tmp_path: Path) -> None:
    images = some_images(tmp_path / "night", 2)
    with running() as service:
        where = ["--server", f"http://127.0.0.1:{service.server_port}"]
        arguments = ["predict", str(images), *where, "--output", str(tmp_path / "out")]
        run = CliRunner().invoke(main, arguments)
    assert "Analysing" in run.stderr
    assert run.stderr.splitlines()[-3:] == [*WARNINGS, NOTICE]
    for sentence in (*WARNINGS, NOTICE):
        assert run.stderr.count(sentence) == 1
    assert run.stdout == f"2 of 2 images analysed; results in {tmp_path / 'out'}\n"


def test_nothing_is_sent_where_no_result_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"good")
    with running() as service:
        url = f"http://127.0.0.1:{service.server_port}"
        output = str(tmp_path / "a.png" / "results")
        run = CliRunner().invoke(
            main, ["predict", str(tmp_path), "--server", url, "--output", output]
        )
    assert run.exit_code == 1
    assert "a folder for results that can be written" in run.output
    assert service.bodies == []


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf", "1e300"])
@pytest.mark.parametrize("command", ["predict", "evaluate", "calibrate"])
def test_a_time_that_nothing_can_wait_for_is_refused(
    command: str, seconds: str, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,labels\na.png,Mass\n")
    more = [] if command == "predict" else ["--labels", str(labels)]
    where = ["--server", "http://127.0.0.1:9", "--output", str(tmp_path / "out")]
    run = CliRunner().invoke(main, [command, str(tmp_path), *where, *more, "--timeout", seconds])
    assert run.exit_code == 2
    assert "'--timeout': expected more than 0" in run.output


@pytest.mark.parametrize("command", ["predict", "evaluate", "calibrate"])
def test_a_server_that_is_no_address_is_refused_once(command: str, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,labels\na.png,Mass\nb.png,Mass\n")
    more = [] if command == "predict" else ["--labels", str(labels)]
    where = ["--server", "localhost:5000", "--output", str(tmp_path / "out")]
    run = CliRunner().invoke(main, [command, str(tmp_path), *where, *more])
    assert run.exit_code == 2
    assert run.output.count("localhost:5000") == 1
    assert "'--server': expected an address such as http://127.0.0.1:5000" in run.output


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    run = CliRunner().invoke(
        main,
        ["predict", str(tmp_path), "--server", "http://127.0.0.1:9", "--output", str(tmp_path)],
    )
    assert run.exit_code == 1
    assert "no answer from http://127.0.0.1:9" in run.output


def test_files_of_one_name_get_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"")
    targets = [item.target.name for item in collect([tmp_path, tmp_path / "a.png"])]
    assert targets == ["a", "a_2", "b", "a_3"]


def test_no_image_gets_the_name_of_another(tmp_path: Path) -> None:
    for name in ("x.jpg", "x.png", "x_2.png", "x_3.tif"):
        (tmp_path / name).write_bytes(b"good")
    targets = {item.path.name: item.target.name for item in collect([tmp_path])}
    assert targets == {"x.jpg": "x", "x.png": "x_4", "x_2.png": "x_2", "x_3.tif": "x_3"}


@pytest.mark.parametrize("name", ["..png", "...png", "predictions.csv.png", "Predictions.CSV.jpg"])
def test_no_name_leads_out_of_the_output_or_to_the_table(name: str, tmp_path: Path) -> None:
    ward = tmp_path / "predictions.csv"
    ward.mkdir()
    for image in (tmp_path / name, tmp_path / "image.png", ward / name):
        image.write_bytes(b"good")
    named = [item.target.as_posix() for item in collect([tmp_path / name])]
    assert named == ["image"]
    found = {item.path: item.target.as_posix() for item in collect([tmp_path])}
    assert found[ward / name] == "image/image"
    assert {found[tmp_path / name], found[tmp_path / "image.png"]} == {"image", "image_2"}


def test_names_that_are_no_utf_8_are_written_as_they_are(tmp_path: Path) -> None:
    for name in (b"\xffgood.png", b"\xffbad.png"):
        image = tmp_path / os.fsdecode(name)
        image.write_bytes(b"BROKEN" if b"bad" in name else b"good")
    output = tmp_path / os.fsdecode(b"\xfe")
    with running() as service:
        where = ["--server", f"http://127.0.0.1:{service.server_port}"]
        command = [sys.executable, "-m", "orchestrator", "predict", str(tmp_path), *where]
        run = subprocess.run(
            [*command, "--output", str(output)], capture_output=True, text=True, check=False
        )
    assert "\ufffdbad.png: status 400: expected an image" in run.stderr
    assert "1 of 2 images analysed" in run.stdout
    assert run.returncode == 1
    line = b"\xffgood,Mass,0.9,0.1," + os.fsencode(tmp_path / os.fsdecode(b"\xffgood.png"))
    assert (output / "predictions.csv").read_bytes().splitlines()[1].startswith(line + b",")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    run = CliRunner().invoke(main, ["predict", str(tmp_path), "--output", str(tmp_path / "out")])
    assert run.exit_code == 1
    assert "found none" in run.output
