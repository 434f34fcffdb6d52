"""Print what rates need, and draw it: ``python -m benchmarks.capacity [--measure] [--plot PATH]``."""

import argparse
from pathlib import Path

from benchmarks.capacity import costs as figures
from benchmarks.capacity.picture import draw
from benchmarks.capacity.plan import MODEL_CORES, Plan, limits
from benchmarks.capacity.simulate import Outcome, size

RATES = (10, 100, 1000)
HEADER = (
    *("images/s", "model servers", "workers", "cores at work", "driver"),
    *("p50 ms", "p99 ms", "workers busy", "models busy"),
)


def main() -> None:
    """Print one table per device, then the limits."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure what a job costs, anew")
    parser.add_argument("--overlays", type=int, default=1, help="overlays per image")
    parser.add_argument("--plot", type=Path, help="write an SVG here")
    arguments = parser.parse_args()
    if arguments.measure:
        from benchmarks.capacity.measure import measure  # noqa: PLC0415 - starts the service

        figures.write(measure())
    costs = figures.read()
    print(f"Measured on {costs.processor}; {arguments.overlays} overlay(s) per image.")
    plans: list[Plan] = []
    for accelerator in (None, figures.GPU):
        print(f"\n{device(accelerator)}")
        rows: list[tuple[str, ...]] = [HEADER]
        for rate in RATES:
            wanted, found = size(costs, rate, accelerator, arguments.overlays)
            plans.append(wanted)
            rows.append(_row(wanted, found))
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
        for row in rows:
            print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print("\nWhat is not multiplied gives way at (images/s):")
    for name, limit in limits(costs, arguments.overlays).items():
        print(f"{limit:8.1f}  {name}")
    if arguments.plot:
        arguments.plot.write_text(draw(plans))


def device(accelerator: figures.Accelerator | None) -> str:
    """Name what a model server computes on, and where its figure comes from."""
    if accelerator is None:
        return f"CPU: {MODEL_CORES} cores per model server, float32, measured"
    return (
        f"GPU: {accelerator.name}, {accelerator.images_per_second:g} images/s as published"
        f" ({accelerator.source}), of which {accelerator.derating:.0%} is reckoned with"
    )


def _row(wanted: Plan, found: Outcome) -> tuple[str, ...]:
    return (
        f"{wanted.rate:g}",
        str(wanted.model_servers),
        str(wanted.workers),
        f"{sum(wanted.cores.values()):.1f}",
        wanted.driver,
        f"{found.median:.0f}",
        f"{found.p99:.0f}",
        f"{found.workers_busy:.0%}",
        f"{found.models_busy:.0%}",
    )


if __name__ == "__main__":
    main()
