"""Run the measurements: ``make bench``, or ``python -m benchmarks PART...`` for some.

Ends with status 1, naming what falls short of its bound.
"""

import sys
from collections.abc import Callable
from typing import Final

from benchmarks import footprint, jobs, load, memory, model, request
from benchmarks.bounds import Figure, table

PARTS: Final[dict[str, Callable[[], list[Figure]]]] = {
    "footprint": footprint.measure,
    "model": model.measure,
    "request": request.measure,
    "load": load.measure,
    "jobs": jobs.measure,
    "memory": memory.measure,
}


def main(names: list[str]) -> int:
    """Print the figures of the parts; return 1 if a bound is missed, 2 if there is no such part."""
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        print(f"expected parts out of {', '.join(PARTS)}, got {', '.join(unknown)}")
        return 2
    figures: list[Figure] = []
    for name in names or PARTS:
        measured = PARTS[name]()
        print(table(measured), flush=True)
        figures += measured
    missed = [figure.name for figure in figures if not figure.holds]
    for name in missed:
        print(f"falls short: {name}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
