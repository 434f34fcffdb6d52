"""Have the model of the settings exported as a version of a servable, where that was not done yet."""

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from orchestrator.settings import Settings
from orchestrator.supervisor import run
from serving.contract import MODEL_NAME

_CARD_SUFFIX: Final = ".card.json"  # as in export/card_file.py
# TensorFlow Serving ignores what is no integer in a model's folder.
_SOURCE: Final = ".source"


def servable_folder(settings: Settings) -> Path:
    """Return the folder of version directories that the service on one machine serves."""
    return settings.data_dir / "models" / settings.model_name


def is_published(settings: Settings, folder: Path) -> bool:
    """Tell whether the model was exported last in a folder, and is still there: a broken version may be taken away."""
    source = folder / _SOURCE
    said = source.read_text() if source.is_file() else ""
    found = digest(settings)
    return said in {f"{found} {each}" for each in versions(folder)}


def publish(settings: Settings, folder: Path) -> None:
    """Export the model as the next version in a folder, so that a number means one model while its version lies there.

    Raises:
        OSError: A file of the model can't be read, or the folder can't be written.
        subprocess.CalledProcessError: The export was refused; it has said why.
    """
    found = digest(settings)
    export(settings, folder)
    (folder / _SOURCE).write_text(f"{found} {max(versions(folder))}")


def digest(settings: Settings) -> str:
    """Return what tells one export from another: model file, options, and the exporter's version, hexadecimal."""
    release = version("cxr-service").partition("+")[0]  # a revision alone exports nothing anew
    found = hashlib.sha256("\n".join([release, *_arguments(settings)]).encode())
    for path in _files(settings):
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: found)
    return found.hexdigest()


def versions(folder: Path) -> list[int]:
    """Return the versions that a folder holds."""
    return [int(child.name) for child in folder.glob("*") if child.name.isdigit()]


def export(settings: Settings, folder: Path) -> None:
    """Run the exporter in a process of its own.

    Raises:
        subprocess.CalledProcessError: The export was refused; it has said why.
    """
    command = [sys.executable, "-m", "orchestrator", "export", *_arguments(settings)]
    run([*command, "--output", str(folder)])


def _arguments(settings: Settings) -> list[str]:
    # Left out where it is the exporter's own, so that what was exported under that name stays the same export.
    name = [] if settings.model_name == MODEL_NAME else ["--name", settings.model_name]
    if settings.model_path is None:
        return ["--demo", *name]
    labels = [] if settings.model_labels is None else ["--labels", str(settings.model_labels)]
    preprocess = settings.model_preprocess
    wanted = [] if preprocess is None else ["--preprocess", preprocess]
    return [str(settings.model_path), *labels, *wanted, *name]


def _files(settings: Settings) -> list[Path]:
    """Return the files that an export reads: model, labels, and the card file beside the model."""
    files = [path for path in (settings.model_path, settings.model_labels) if path is not None]
    if settings.model_path is not None:
        path = settings.model_path
        card = path.parent / f"{path.stem}{_CARD_SUFFIX}"
        files += [card] if card.exists() else []
    return files
