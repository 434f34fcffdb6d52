"""Serve the model with LitServe: ``python -m benchmarks.rivals.litserve_server PORT SERVABLE``.

As its documentation says for a CPU: ``decode_request``, ``predict``, ``encode_response``; batching with a short
wait; as many workers as there are cores, each with a network of its own on one thread, which answered a fifth
more than one worker with two threads.
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Request, Response

from benchmarks.rivals.network import Network
from benchmarks.rivals.work import MAX_BATCH, answer, prepare

WORKERS = 2
WAIT_SECONDS = 0.001  # as in serving/batching.config


class Radiographs(litserve.LitAPI):
    """Decode, predict and draw in a worker; LitServe makes the batches."""

    def __init__(self, version: Path) -> None:
        super().__init__(
            max_batch_size=MAX_BATCH, batch_timeout=WAIT_SECONDS, api_path="/densenet_predict"
        )
        self._version = version

    def setup(self, device: str) -> None:  # noqa: ARG002 - the framework's signature
        """Load the network, in each worker."""
        self._network = Network(self._version)

    def decode_request(self, request: Request) -> Any:
        """Return the radiograph, its pixels, and what to draw."""
        radiograph, pixels = prepare(request["file"].file.read(), self._network.card)
        return radiograph, pixels, request["heatmaps"]

    def predict(self, batch: Any) -> Any:
        """Predict a batch."""
        probabilities, maps = self._network.gradcam(np.stack([pixels for _, pixels, _ in batch]))
        return [
            (radiograph, heatmaps, *found)
            for (radiograph, _, heatmaps), *found in zip(batch, probabilities, maps, strict=True)
        ]

    def batch(self, inputs: Any) -> Any:
        """Leave the inputs as they are; `predict` stacks the pixels."""
        return list(inputs)

    def unbatch(self, output: Any) -> Any:
        """Leave the outputs as they are: one for each input."""
        return output

    def encode_response(self, output: Any) -> Response:
        """Draw and pack."""
        radiograph, heatmaps, probabilities, maps = output
        content = answer(radiograph, self._network.card, probabilities, maps, heatmaps)
        return Response(content, media_type="application/zip")


def main() -> None:
    """Serve until a signal comes."""
    port, version = sys.argv[1:]
    server = litserve.LitServer(
        Radiographs(Path(version)), accelerator="cpu", workers_per_device=WORKERS, timeout=60
    )
    server.run(host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
