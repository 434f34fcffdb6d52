"""Run what a container of the manifests runs, with its folders moved to where a test may write."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.k8s.manifests import Manifests, Object


def command(container: Object, moved: Mapping[str, str]) -> list[str]:
    """Return a container's command, with some of its texts replaced."""
    return [replaced(word, moved) for word in container["command"]]


def replaced(text: str, moved: Mapping[str, str]) -> str:
    """Replace every occurrence, each of which must be there as a whole word or path."""
    for old, new in moved.items():
        text = re.sub(rf"(?<![\w/-]){re.escape(old)}(?![\w-])", new, text)
    return text


def write_config(manifests: Manifests, name: str, folder: Path, moved: Mapping[str, str]) -> None:
    """Write the files of a ConfigMap, whose name a hash may follow."""
    (config,) = [
        each
        for each in manifests.of("ConfigMap")
        if re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", each["metadata"]["name"])
    ]
    folder.mkdir(parents=True)
    for file, text in config["data"].items():
        (folder / file).write_text(replaced(text, moved))


@contextmanager
def running(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Run a command until the block is done."""
    process = subprocess.Popen(words, env=dict(environment))
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(30) == 0
