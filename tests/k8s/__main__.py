"""Build every overlay with every set of components, and hold each against every check: ``make manifests``."""

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.k8s.build import Combination, build, can_build, every_combination
from tests.k8s.every_check import CHECKS, complaints


def _hold(combination: Combination) -> list[str]:
    return [f"{combination}: {complaint}" for complaint in complaints(build(combination))]


def main() -> int:
    """Print what is wrong, or how much was right."""
    if not can_build():
        print("expected kubectl with kustomize 5 or newer, which builds the manifests; install it")  # noqa: T201
        return 1
    combinations = list(every_combination())
    with ThreadPoolExecutor(4) as pool:
        found = [each for some in pool.map(_hold, combinations) for each in some]
    count = (
        f"{len(combinations)} combinations, {len(CHECKS)} checks of each, {len(found)} complaints"
    )
    print(*found, count, sep="\n")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
