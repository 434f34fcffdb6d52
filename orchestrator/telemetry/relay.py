"""Hand samples from a work-horse to its worker, which keeps them.

A horse is forked and may be killed; its worker outlives it and has the port that Prometheus asks. Each datagram holds
the samples of one moment: it arrives whole or not at all, and what was sent before a horse was killed is still read.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from orchestrator.telemetry.definitions import DEFINITIONS
from orchestrator.telemetry.recorder import Recorder, Sample

_log = logging.getLogger(__name__)

_LARGEST: Final = 1 << 20
# A task doesn't wait for its figures, should nobody take them.
_PATIENCE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 1.0
_BY_NAME: Final = {metric.name: metric for metric in DEFINITIONS}


class Relay:
    """Carry samples from children to the process that made it.

    Args:
        recorder: Who keeps them there.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.settimeout(_PATIENCE_SECONDS)

    def start(self) -> None:
        """Begin to listen, in a thread that ends with the process."""
        threading.Thread(target=self._listen, name="relay", daemon=True).start()

    def record(self, samples: Sequence[Sample]) -> None:
        """Send samples; gauges that go up and down stay away, as a killed horse would leave them up."""
        lasting = [
            (metric.name, value, labels)
            for metric, value, labels in samples
            if metric.kind != "in_flight"
        ]
        if not lasting:
            return
        try:
            self._sender.send(json.dumps(lasting).encode())
        except OSError:
            _log.warning("samples lost", extra={"samples": len(lasting)})

    def _listen(self) -> None:
        while True:
            try:
                self.receive()
            except Exception:  # noqa: BLE001 - this loop is the outermost of its thread
                _log.exception("samples lost")
                time.sleep(_PAUSE_SECONDS)

    def receive(self) -> None:
        """Wait for one datagram and keep what it holds."""
        found: list[tuple[str, float, list[Any]]] = json.loads(self._receiver.recv(_LARGEST))
        self._recorder.record(
            [Sample(_BY_NAME[name], value, tuple(labels)) for name, value, labels in found]
        )

    def close(self) -> None:
        """Free both ends; nobody may be listening any more."""
        self._receiver.close()
        self._sender.close()
