"""Pack a report and its overlays into a ZIP.

Entries are stored, not deflated: the pictures are compressed already. Their names are made of the
labels, their dates are fixed, so nothing of the upload shows and equal results give equal archives.
"""

import io
import json
import re
import zipfile
from typing import Final

from orchestrator.answers import PackedReportAnswer
from orchestrator.study import Analysis, Overlay

REPORT_NAME: Final = "report.json"
PICTURE_NAME: Final = re.compile(r"\d{2,}_[A-Za-z0-9_]+\.(jpg|png|webp)")
DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest a ZIP can say


def as_zip(analysis: Analysis) -> bytes:
    """Return the archive: ``report.json`` first, then one picture per overlay."""
    named = [
        (_entry_name(number, overlay), overlay)
        for number, overlay in enumerate(analysis.overlays, 1)
    ]
    report: PackedReportAnswer = {
        **analysis.report.as_json(),
        "overlays": [{"file": name, **overlay.as_json()} for name, overlay in named],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(REPORT_NAME, DATE), json.dumps(report, indent=2))
        for name, overlay in named:
            archive.writestr(zipfile.ZipInfo(name, DATE), overlay.content)
    return buffer.getvalue()


def _entry_name(number: int, overlay: Overlay) -> str:
    slug = re.sub(r"[^A-Za-z0-9]+", "_", overlay.label).strip("_") or "label"
    return f"{number:02d}_{slug}{overlay.extension}"
