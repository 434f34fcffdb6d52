"""Stand in for the service: what it answers is written into the first pixels of the image."""

import base64
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DIGEST = "d" * 64
SIZE = 40
THRESHOLD = 0.5
ANOTHER: Mapping[str, Any] = {"digest": "e" * 64}
MARK = b"\x89PNG"


def write_image(
    path: Path, probability: float, row: int = 0, column: int = 0, broken: bool = False
) -> None:
    """Write an image that is answered with this probability of Mass, its evidence in one cell of 4 by 4."""
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    pixels[0, :4] = round(probability * 200), row, column, broken
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


class Service(ThreadingHTTPServer):
    """Count the requests, and answer as another model, or as is said, from some request on."""

    def __init__(
        self, replaced_after: int = 10**9, replacement: Mapping[str, Any] = ANOTHER
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []
        self.replaced_after = replaced_after
        self.replacement = replacement
        self.vanishes: Path | None = None
        self.lock = threading.Lock()

    def count(self, body: bytes) -> int:
        """Keep a request and return its number: several come at once."""
        with self.lock:
            self.bodies.append(body)
            return len(self.bodies)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        number = self.server.count(body)
        if self.server.vanishes:
            self.server.vanishes.unlink(missing_ok=True)
        picture = Image.open(io.BytesIO(body[body.index(MARK) :]))
        head = np.asarray(picture)[0, :4].astype(int)
        if head[3]:
            self.answer(400, b'{"detail": "expected an image"}')
            return
        served = {} if number <= self.server.replaced_after else self.server.replacement
        report = report_of(
            head[0] / 200, int(head[1]), int(head[2]), maps=b'"maps"' in body, **served
        )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("report.json", json.dumps(report))
        self.answer(200, buffer.getvalue())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def report_of(
    mass: float,
    row: int,
    column: int,
    *,
    maps: bool,
    digest: str = DIGEST,
    version: int = 3,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "model": {"name": "densenet", "version": version, "card_digest": digest},
        "predictions": [
            {"label": label, "probability": probability, "threshold": threshold}
            for label, probability in (("Mass", mass), ("Fracture", 0.25), ("No Finding", 1 - mass))
        ],
        "image": {"width": SIZE, "height": SIZE},
    }
    if maps:
        values = np.full((3, 4, 4), -1.0, "<f4")
        values[0, row, column] = 2.0
        report["activation_maps"] = {
            "labels": ["Mass", "Fracture", "No Finding"],
            "shape": [3, 4, 4],
            "dtype": "float32",
            "unit": "logit",
            "placement": {"x": 0, "y": 0, "width": SIZE, "height": SIZE},
            "data": base64.b64encode(values.tobytes()).decode(),
        }
    return report


@contextmanager
def running(
    replaced_after: int = 10**9, replacement: Mapping[str, Any] = ANOTHER
) -> Iterator[Service]:
    service = Service(replaced_after, replacement)
    thread = threading.Thread(target=service.serve_forever)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()
