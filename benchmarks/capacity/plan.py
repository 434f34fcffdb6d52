"""Reckon how many of each part a rate needs, what drives the cost, and what gives way next."""

import math
from dataclasses import dataclass
from typing import Final

from benchmarks.capacity.costs import Accelerator, Costs

# What is left free for bursts and for one part being away.
UTILISATION: Final = 0.7
BATCH: Final = 8
MODEL_CORES: Final = 2  # of a model server without GPU: two batches at once, each on a core
QUEUE_BYTES: Final = 1e9  # the setting's default
RESULT_TTL: Final = 3600.0  # likewise
LINK_BYTES: Final = 1.25e9  # 10 Gbit/s


@dataclass(frozen=True)
class Plan:
    """What a rate needs.

    Attributes:
        rate: Images per second.
        accelerator: The GPU of each model server, or None.
        overlays: Per image.
        workers: How many, each with a core to itself while it works.
        model_servers: How many, each with a GPU or two cores.
        cores: Cores at work, by part, without what is left free.
    """

    rate: float
    accelerator: Accelerator | None
    overlays: int
    workers: int
    model_servers: int
    cores: dict[str, float]

    @property
    def driver(self) -> str:
        """Return the part that most cores work for."""
        return max(self.cores, key=lambda part: self.cores[part])


def worker_milliseconds(costs: Costs, overlays: int) -> float:
    """Return what a job costs its worker, in milliseconds of a core."""
    return costs.worker + (costs.first + (overlays - 1) * costs.overlay if overlays else 0)


def model_milliseconds(costs: Costs, accelerator: Accelerator | None) -> float:
    """Return how long an image takes of a GPU, or of a core: batches are no faster there."""
    return accelerator.milliseconds if accelerator is not None else costs.model


def plan(
    costs: Costs, rate: float, accelerator: Accelerator | None = None, overlays: int = 1
) -> Plan:
    """Size a deployment for a steady rate of images per second, as if nothing ever waited.

    A worker is held by a job as long as it works and the model server does.
    """
    work, model = worker_milliseconds(costs, overlays), model_milliseconds(costs, accelerator)
    cores = {
        "workers": rate * work / 1000,
        "API": rate * costs.api / 1000,
        "Redis": rate * costs.redis / 1000,
    }
    if accelerator is None:
        cores["model"] = rate * model / 1000
        servers = cores["model"] / MODEL_CORES
    else:
        servers = rate * model / 1000
    return Plan(
        rate=rate,
        accelerator=accelerator,
        overlays=overlays,
        workers=math.ceil(rate * (work + model) / 1000 / UTILISATION),
        model_servers=math.ceil(servers / UTILISATION),
        cores=cores,
    )


def limits(costs: Costs, overlays: int = 1) -> dict[str, float]:
    """Return the images per second at which parts that are not multiplied give way, least first."""
    result = costs.report_bytes + overlays * costs.overlay_bytes
    # in by the API, into Redis, out to a worker; the result into Redis and out again
    moved = 2 * costs.upload_bytes + 2 * result
    found = {
        "QUEUE_BYTES holds the results of RESULT_TTL (nobody deletes them)": QUEUE_BYTES
        / (RESULT_TTL * result),
        "one core of Redis": 1000 / costs.redis * UTILISATION,
        "10 Gbit/s to Redis": LINK_BYTES / moved * UTILISATION,
        "one core of the API (one process)": 1000 / costs.api * UTILISATION,
    }
    return dict(sorted(found.items(), key=lambda pair: pair[1]))
