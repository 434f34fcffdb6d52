"""Write a result into its folder, in the place of an earlier one."""

import io
import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.client.client import ClientError, read_report
from orchestrator.package import PICTURE_NAME, REPORT_NAME


def unpack(content: bytes, folder: Path) -> dict[str, Any]:
    """Unpack a ZIP, remove the pictures that an earlier one left in the folder, and return the report.

    What lies there stays as it is until all of the new result is written.

    Raises:
        ClientError: It is no result, or it can't be written.
    """
    report = read_report(content)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as aside:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                archive.extractall(aside)
            for name in earlier_pictures(folder):
                (folder / name).unlink(missing_ok=True)
            for path in sorted(Path(aside).iterdir(), key=_is_report):  # which tells of the others
                path.replace(folder / path.name)
    except OSError as err:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise ClientError(f"expected to write the result, got: {err.strerror}") from err
    return report


def _is_report(path: Path) -> bool:
    return path.name == REPORT_NAME


def earlier_pictures(folder: Path) -> list[str]:
    """Return the names of the pictures that the report in a folder tells of, if they are named as this project does."""
    try:
        report = json.loads((folder / REPORT_NAME).read_bytes())
        names = [str(picture["file"]) for picture in report["overlays"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return [name for name in names if PICTURE_NAME.fullmatch(name)]
