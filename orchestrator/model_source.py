"""Decide which servable the embedded default serves, and have it exported where that was not done yet."""

import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from orchestrator.settings import Settings
from orchestrator.supervisor import run
from serving.contract import MODEL_NAME

_CARD_SUFFIX: Final = ".card.json"  # as in export/card_file.py


def servable_folder(settings: Settings) -> Path:
    """Return the folder of version directories that belongs to the settings' model.

    Its name follows from the content of the model file and the options of its export, so that each is
    exported once, and a changed file is a new servable.
    """
    return settings.data_dir / "models" / digest(settings)[:16] / settings.model_name


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
