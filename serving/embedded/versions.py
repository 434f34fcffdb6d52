"""Choose which version directories to serve."""

from pathlib import Path
from typing import Any


def aspired_versions(base_path: Path, policy: Any) -> dict[int, Path]:
    """Return the version directories that a model's policy asks for.

    Args:
        base_path: Directory that holds a directory per version, named as a number.
        policy: ``ServableVersionPolicy``: the latest (default: one), all, or specific ones.

    Raises:
        OSError: The base path can't be read; what is served should stay.
    """
    found = {int(child.name): child for child in base_path.iterdir() if _is_version(child.name)}
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return found
    if choice == "specific":
        return {number: found[number] for number in policy.specific.versions if number in found}
    count = max(policy.latest.num_versions, 1)
    return {number: found[number] for number in sorted(found)[-count:]}


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit()
