"""A part of the measurements that takes no time: one figure that holds, one that falls short."""

from benchmarks.effort import Effort
from benchmarks.figures import Figure


def measure(effort: Effort) -> list[Figure]:
    rounds = [float(number) for number in effort.rounds(3, "counting")]
    return [Figure.of("counted", rounds, bound=2.0), Figure("too little", 0.5, least=1.0)]
