"""Reckon what processes may take in memory; docs/operations.md gives the same sums."""

from typing import Final

from orchestrator.settings import Settings

_AT_REST: Final = 100e6
# Measured with images of 40 megapixels of every kind that is read, decoded and then drawn at their original size: 16.1
# for WebP, 9.2 for colours of 16 bits, 7.5 for what is usual.
_BYTES_A_PIXEL: Final = 16.1
_UNITS: Final = {"mi": 2**20, "m": 2**20, "gi": 2**30, "g": 2**30}


def api_memory(settings: Settings) -> float:
    """Return the bytes that an API process may take while it refuses nobody."""
    bodies = 2 * settings.body_bytes  # as they came, and the images read out of them
    analyses = settings.request_threads * _analysis(settings)
    return _AT_REST + bodies + settings.batch_bytes + analyses


def worker_memory(settings: Settings) -> float:
    """Return the bytes that a worker and its work-horse may take together."""
    return _AT_REST + settings.max_upload_bytes + _analysis(settings)


def _analysis(settings: Settings) -> float:
    """Return the bytes of one analysis: its pixels, its overlays, and the ZIP that they are packed into."""
    return settings.max_pixels * _BYTES_A_PIXEL + 2 * settings.max_result_bytes


def memory_limit(text: str) -> int:
    """Return the bytes that Kubernetes or Compose calls so."""
    number = text.rstrip("MGmgi")
    return int(number) * _UNITS[text[len(number) :].lower()]
