"""Let a client process post an image, and hold what it found."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import percentile


@dataclass(frozen=True)
class Load:
    """What a client found.

    Attributes:
        milliseconds: Of every answered request.
        refused: How many were answered 503.
        failed: How many were answered something else.
        seconds: From the first request to the last answer.
        processor: Seconds of processor time that the client itself took.
    """

    milliseconds: list[float]
    refused: int
    failed: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        """Return answered requests per second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the milliseconds that a share of the requests kept within."""
        return percentile(self.milliseconds, share)


def post(
    port: int, file: Path, heatmaps: str, clients: int, requests: int, *, strict: bool = True
) -> Load:
    """Let clients share a number of requests to a port of this machine.

    Raises:
        RuntimeError: A request failed, which only a strict one minds, or none was answered.
    """
    arguments = [str(port), str(file), heatmaps, str(clients), str(requests)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    load = Load(
        found["answered"], found["refused"], found["failed"], found["seconds"], found["processor"]
    )
    if (load.failed and strict) or not load.milliseconds:
        raise RuntimeError(f"{load.failed} of {requests} requests failed")
    return load
