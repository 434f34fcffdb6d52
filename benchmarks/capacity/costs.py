"""Hold what an image costs: measured on CPU, published for GPU."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

MEASURED: Final = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Costs:
    """What one job costs each part, in milliseconds of one core, and in bytes.

    Attributes:
        processor: What it was measured on.
        model: The model server, at batches of eight, float32.
        worker: A worker and its work-horse, without overlays.
        first: The work-horse, for one overlay, and what all share.
        overlay: The work-horse, for each further one.
        api: The API, for taking the upload and telling the state.
        redis: Redis.
        upload_bytes: Of the radiographs that were sent.
        report_bytes: Of a result without overlays.
        overlay_bytes: Of each overlay in a result.
        worker_memory: Bytes that a worker and its work-horse hold.
    """

    processor: str
    model: float
    worker: float
    first: float
    overlay: float
    api: float
    redis: float
    upload_bytes: float
    report_bytes: float
    overlay_bytes: float
    worker_memory: float


@dataclass(frozen=True)
class Accelerator:
    """A GPU as others have measured it.

    Attributes:
        name: Its name.
        images_per_second: DenseNet121, 224x224, forward pass, with the GPU full.
        source: Who published that.
        derating: Share of it that is reckoned with here: a guess for batches of eight, for Grad-CAM's signature and
            for TensorFlow Serving's copies, to be replaced by a measurement of one's own.
    """

    name: str
    images_per_second: float
    source: str
    derating: float

    @property
    def milliseconds(self) -> float:
        """Return what an image takes here."""
        return 1000 / (self.images_per_second * self.derating)


GPU: Final = Accelerator(
    name="RTX 3090",
    images_per_second=2764.0,
    source=(
        "timm, results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv: densenet121, 224, mixed precision,"
        " batches of 1024, PyTorch 2.4"
    ),
    derating=0.5,
)


def read(path: Path = MEASURED) -> Costs:
    """Read what was measured."""
    return Costs(**json.loads(path.read_text()))


def write(costs: Costs, path: Path = MEASURED) -> None:
    """Keep what was measured."""
    path.write_text(json.dumps(asdict(costs), indent=2) + "\n")
