"""Reckon what an API process may take in memory; docs/operations.md gives the same sum."""

from typing import Final

from orchestrator.settings import Settings

_AT_REST: Final = 100e6
# Measured on two cores: eight requests at once of 40 megapixels of noise, with fifteen overlays at original size.
_BYTES_A_PIXEL: Final = 7.5
_UNITS: Final = {"mi": 2**20, "m": 2**20, "gi": 2**30, "g": 2**30}


def most_memory(settings: Settings) -> float:
    """Return the bytes that an API process may take while it refuses nobody."""
    bodies = 2 * settings.body_bytes  # as they came, and the images read out of them
    analyses = settings.request_threads * settings.max_pixels * _BYTES_A_PIXEL
    return _AT_REST + bodies + settings.batch_bytes + analyses


def memory_limit(text: str) -> int:
    """Return the bytes that Kubernetes or Compose calls so."""
    number = text.rstrip("MGmgi")
    return int(number) * _UNITS[text[len(number) :].lower()]
