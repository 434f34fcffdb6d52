"""Say how much to measure: everything, or so little that only the measuring itself is tried."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How often things are done.

    Attributes:
        quick: Do each as seldom as possible: the figures are worth nothing, the way to them is tried.
    """

    quick: bool = False

    def of(self, full: int, quick: int) -> int:
        """Return one number or the other."""
        return quick if self.quick else full

    def rounds(self, count: int, subject: str) -> Iterator[int]:
        """Count rounds, one of them if in a hurry, and print that each begins."""
        count = self.of(count, 1)
        for number in range(count):
            say(f"{subject}, round {number + 1} of {count}")
            yield number


def say(text: str) -> None:
    """Print what is being done."""
    print(f"  {text}", flush=True)
