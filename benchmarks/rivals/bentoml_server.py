"""Serve the model with BentoML: ``bentoml serve benchmarks.rivals.bentoml_server:Radiographs``.

As its documentation says for a model with work before and after it: one service that decodes and draws, in as many
processes as there are cores, and one that runs the network, with adaptive batching; the first depends on the
second. Of one process of the network with two threads, one with two threads within an operation, and two processes,
the last answered most.
"""

import os
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType
from numpy.typing import NDArray

from benchmarks.rivals.network import Network
from benchmarks.rivals.work import MAX_BATCH, answer, prepare
from serving.contract import ModelCard

CORES = 2
QUIET = {"access": {"enabled": False}}


@bentoml.service(workers=CORES, threads=1, traffic={"timeout": 60}, logging=QUIET)
class Densenet:
    """The network."""

    def __init__(self) -> None:
        self._network = Network(Path(os.environ["SERVABLE"]))

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=60_000)
    def gradcam(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return ``[N, L, 1 + h·w]``: the probability, then the map."""
        probabilities, maps = self._network.gradcam(pixels)
        flat = maps.reshape(*probabilities.shape, -1)
        return np.concatenate([probabilities[..., None], flat], axis=2)

    @bentoml.api
    def card(self) -> str:
        """Return the model card."""
        return self._network.card.to_json()


@bentoml.service(workers=CORES, threads=8, traffic={"timeout": 60}, logging=QUIET)
class Radiographs:
    """What is around it."""

    densenet = bentoml.depends(Densenet)

    def __init__(self) -> None:
        self._card: ModelCard | None = None

    @bentoml.api(route="/densenet_predict")
    def densenet_predict(
        self,
        file: Path,
        heatmaps: str,
        max_size: int = 1024,  # noqa: ARG002 - in the form, and what options() takes
    ) -> Annotated[bytes, ContentType("application/zip")]:
        """Analyse a radiograph."""
        if self._card is None:
            self._card = ModelCard.from_json(self.densenet.card())
        card = self._card
        radiograph, pixels = prepare(file.read_bytes(), card)
        found = self.densenet.gradcam(pixels[None])[0]
        maps = found[:, 1:].reshape(len(card.labels), card.map_height, card.map_width)
        return answer(radiograph, card, found[:, 0], maps, heatmaps)
