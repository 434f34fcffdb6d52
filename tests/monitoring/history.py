"""Make up days of a model's figures, so that a Prometheus shows what otherwise takes a week to see."""

import math
import random
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.telemetry.definitions import PROBABILITY
from serving.contract import DEFAULT_LABELS

DAY: Final = 86400
_STEP: Final = 900
_A_DAY: Final = 1000
_THRESHOLD: Final = 0.5
_BOUNDS: Final = (*PROBABILITY.buckets, math.inf)


@dataclass
class LabelFigures:
    """Counters of one label, as a process would answer them."""

    label: str
    buckets: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS))
    total: float = 0.0
    positives: int = 0

    def observe(self, probability: float) -> None:
        """Count one analysis."""
        self.total += probability
        self.positives += probability >= _THRESHOLD
        for number, bound in enumerate(_BOUNDS):
            self.buckets[number] += probability <= bound


def write_history(file: Path, end: int, days: int, drifting: Sequence[str]) -> None:
    """Write OpenMetrics for 1,000 analyses a day up to a moment; some labels are likelier on the last day.

    Args:
        file: Where it goes.
        end: The last moment, in seconds since 1970.
        days: How many.
        drifting: Labels whose probabilities move on the last day.
    """
    rng = random.Random(7)
    figures = [LabelFigures(label) for label in DEFAULT_LABELS]
    moments: list[tuple[int, list[str]]] = []
    for moment in range(end - days * DAY, end + 1, _STEP):
        arrivals = _arrivals(rng, moment)
        for each in figures:
            moved = each.label in drifting and moment > end - DAY
            for _ in range(arrivals):
                each.observe(rng.betavariate(1.8 if moved else 1, 3 + 6 * _rarity(each.label)))
        moments.append((moment, [*_samples(figures), *_MODEL]))
    lines = [
        line for name in _NAMES for line in (f"# TYPE {name} {_NAMES[name]}", *_of(name, moments))
    ]
    file.write_text("\n".join([*lines, "# EOF\n"]))


_NAMES: Final = {
    PROBABILITY.name: "histogram",
    "cxr_label_positives": "counter",
    "cxr_model_info": "gauge",
    "cxr_model_up": "gauge",
}


_MODEL: Final = (
    'cxr_model_info{name="densenet",version="1",thresholds="card",job="cxr-api",instance="api:5000"} 1',
    'cxr_model_up{job="cxr-api",instance="api:5000"} 1',
)


def _arrivals(rng: random.Random, moment: int) -> int:
    """Return how many are analysed in a step: more by day than by night."""
    by_day = 1 + math.sin(2 * math.pi * (moment % DAY) / DAY - math.pi / 2)
    return round(rng.uniform(0.5, 1.5) * by_day * _A_DAY * _STEP / DAY)


def _rarity(label: str) -> float:
    return DEFAULT_LABELS.index(label) / len(DEFAULT_LABELS)


def _samples(figures: Sequence[LabelFigures]) -> Iterator[str]:
    for each in figures:
        labels = f'label="{each.label}",model_version="1",job="cxr-worker",instance="worker:9100"'
        for bound, count in zip(_BOUNDS, each.buckets, strict=True):
            shown = "+Inf" if bound == math.inf else str(bound)
            yield f'{PROBABILITY.name}_bucket{{{labels},le="{shown}"}} {count}'
        yield f"{PROBABILITY.name}_count{{{labels}}} {each.buckets[-1]}"
        yield f"{PROBABILITY.name}_sum{{{labels}}} {each.total:.4f}"
        yield f"cxr_label_positives_total{{{labels}}} {each.positives}"


def _of(name: str, moments: Sequence[tuple[int, Sequence[str]]]) -> Iterator[str]:
    for moment, samples in moments:
        yield from (f"{sample} {moment}" for sample in samples if sample.startswith(name))


def run_promtool(promtool: str, *arguments: str) -> None:
    """Run promtool, which must end well."""
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
