"""Do the work of requests without a server: ``python -m benchmarks.rivals.unserved SERVABLE FILE HEATMAPS``.

The same decoding, network, drawing and packing, but no HTTP, nobody who waits, and batches that are always full. One
such process for each core estimates the most that a server of this network could answer, and so what ratio to a rival
could be reached.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.rivals.network import Network
from benchmarks.rivals.work import answer, prepare


def main() -> None:
    """Do the images that each line of the standard input counts, in batches of its second number; answer each."""
    version, file, heatmaps = sys.argv[1:]
    network = Network(Path(version))
    upload = Path(file).read_bytes()
    print("ready", flush=True)
    for line in sys.stdin:
        images, size = map(int, line.split())
        for _ in range(images // size):
            _work(network, [upload] * size, heatmaps)
        print("done", flush=True)


def _work(network: Network, uploads: list[bytes], heatmaps: str) -> None:
    prepared = [prepare(upload, network.card) for upload in uploads]
    found = network.gradcam(np.stack([pixels for _, pixels in prepared]))
    for (radiograph, _), probabilities, maps in zip(prepared, *found, strict=True):
        answer(radiograph, network.card, probabilities, maps, heatmaps)


if __name__ == "__main__":
    main()
