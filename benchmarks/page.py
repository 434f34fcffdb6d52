"""Write the figures into docs/performance.md, between its markers, and draw the plot beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure
from benchmarks.machine import Machine
from benchmarks.picture import draw
from benchmarks.results import Part

PAGE: Final = Path("docs") / "performance.md"
PLOT: Final = Path("docs") / "images" / "performance.svg"
BEGIN: Final = "<!-- figures: written by make bench -->"
END: Final = "<!-- end of figures -->"


def publish(root: Path, parts: dict[str, Part]) -> None:
    """Write the tables into the page and the plot beside it."""
    page = root / PAGE
    page.write_text(insert(page.read_text("utf-8"), tables(parts)), "utf-8")
    plot = root / PLOT
    plot.parent.mkdir(parents=True, exist_ok=True)
    plot.write_text(draw(parts), "utf-8")


def insert(page: str, text: str) -> str:
    """Put a text between the markers of a page."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected a page with the lines {BEGIN!r} and {END!r}; put them back")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def tables(parts: dict[str, Part]) -> str:
    """Return all figures as Markdown: what has a bound first, then part by part."""
    if not parts:
        return "Not measured yet: `make bench`."
    bounded = [figure for part in parts.values() for figure in part.figures if figure.limit]
    sections = [f"### Bounds\n\n{_table(bounded)}"] if bounded else []
    machines: list[Machine] = []
    for name, part in parts.items():
        if part.machine not in machines:
            machines.append(part.machine)
        number = machines.index(part.machine) + 1
        where = f"{part.date}, {part.seconds / 60:.1f} min, machine {number}"
        sections.append(f"### {name}\n\n{where}\n\n{_table(part.figures)}")
    sections += [_machine(number, machine) for number, machine in enumerate(machines, 1)]
    return "\n\n".join(sections)


def _table(figures: Sequence[Figure]) -> str:
    rows = ["| figure | median | range | bound |", "|---|---:|---:|---:|"]
    return "\n".join([*rows, *(_row(figure) for figure in figures)])


def _row(figure: Figure) -> str:
    limit = figure.limit if figure.holds else f"**{figure.limit}, falls short**"
    name = f"{figure.name} ({figure.note})" if figure.note else figure.name
    return f"| {name.replace('|', '/')} | {figure.median} | {figure.spread} | {limit} |"


def _machine(number: int, machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"Machine {number}: {machine.processor}, {machine.cores} cores, {machine.memory_gb:g} GB,"
        f" {machine.system}; {versions}."
    )
