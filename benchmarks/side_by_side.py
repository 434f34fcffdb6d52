"""Time things against each other: in turn, so that a machine that slows down slows all of them."""

import time
from collections.abc import Callable, Mapping

_PAUSE = 0.05  # seconds


def rounds_of(calls: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Call each in turn, ``rounds`` times; return the seconds of every counted call.

    Before a counted call there is a pause and one that doesn't count: the threads of the one before
    spin for a while after its end, and its data fill the caches.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(_PAUSE)
            call()
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    return seconds
