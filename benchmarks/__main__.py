"""Run the measurements: ``make bench``, or ``python -m benchmarks [--quick] [PART...]`` for some.

What was measured replaces the same parts in ``benchmarks/results.json``; the tables and the plot of
``docs/performance.md`` are made of all parts in it. Ends with status 1, naming what falls short of its bound.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks.effort import Effort
from benchmarks.figures import Figure, lines
from benchmarks.machine import describe
from benchmarks.page import publish
from benchmarks.results import RESULTS, Part, merge, missed, read

ROOT: Final = Path(__file__).parents[1]

# Imported when they run: some load TensorFlow.
PARTS: Final = {
    "start": "benchmarks.start",
    "model": "benchmarks.model",
    "request": "benchmarks.request",
    "load": "benchmarks.load",
    "jobs": "benchmarks.jobs",
    "rivals": "benchmarks.rivals.compare",
    "memory": "benchmarks.memory",
}


def main(arguments: Sequence[str]) -> int:
    """Print the figures of the parts; return 1 if a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"out of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="try the measuring; keep nothing")
    parser.add_argument(
        "--keep-in", type=Path, metavar="FOLDER", help="write into this copy of the project"
    )
    parser.add_argument(
        "--draw", action="store_true", help="measure nothing; write tables and plot anew"
    )
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.parts) - set(PARTS))
    if unknown:
        parser.error(f"expected parts out of {', '.join(PARTS)}, got {', '.join(unknown)}")
    root = asked.keep_in or (None if asked.quick else ROOT)
    if asked.draw:
        publish(root or ROOT, in_order(read((root or ROOT) / RESULTS)))
        return 0
    found: dict[str, Part] = {}
    for name in asked.parts or PARTS:
        found[name] = measure(name, Effort(asked.quick))
        if root is not None:
            merge(root / RESULTS, name, found[name])
            # The page shows what is kept, to its digits
            publish(root, in_order(read(root / RESULTS)))
    short = missed(found)
    for figure in short:
        print(
            f"falls short: {figure.name}: {figure.median}, bound {figure.limit} {figure.note}".rstrip()
        )
    return int(bool(short))


def measure(name: str, effort: Effort) -> Part:
    """Measure one part and print what it found."""
    print(f"{name}:", flush=True)
    begin = time.monotonic()
    figures: list[Figure] = import_module(PARTS[name]).measure(effort)
    seconds = time.monotonic() - begin
    print(f"{lines(figures)}\n{name} took {seconds:.0f} s\n", flush=True)
    return Part(datetime.now(UTC).date().isoformat(), round(seconds), describe(), figures)


def in_order(parts: dict[str, Part]) -> dict[str, Part]:
    """Return parts in the order in which a whole run measures them."""
    return {name: parts[name] for name in PARTS if name in parts}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
