"""Read what an analysis should draw out of form fields or JSON values."""

from collections.abc import Mapping
from typing import Any, Final

from gradcam.encode import FORMATS
from gradcam.plan import FONT_SIZES, SMALLEST_LIMIT
from orchestrator.routes.kinds import (
    Choice,
    Flag,
    Heatmaps,
    Parameter,
    Size,
    WholeNumber,
)
from orchestrator.study import Options

_LARGEST_LIMIT: Final = 8192  # pixels
HEATMAPS: Final = Parameter(
    "heatmaps",
    Heatmaps(),
    "Whose evidence to draw: `positive` (the findings; the likeliest label if there are none), `all`, `none`, or"
    " labels, comma-separated.",
    Options.heatmaps,
    example="all",
    advice="separate labels by commas, as in Mass,Edema",
)
FONT_SIZE: Final = Parameter(
    "font_size",
    WholeNumber(FONT_SIZES[0], FONT_SIZES[-1]),
    "Height of the annotations in pixels of the picture; smaller where the picture has no room for it.",
    Options.font_size,
)
FORMAT: Final = Parameter(
    "format",
    Choice(tuple(FORMATS), {"jpg": "jpeg"}),
    f"File format of the pictures. A side of a WebP ends at {FORMATS['webp'].longest_side} pixels, of a JPEG at"
    f" {FORMATS['jpeg'].longest_side}; what would be longer is refused.",
    Options.format,
)
MAX_SIZE: Final = Parameter(
    "max_size",
    Size(SMALLEST_LIMIT, _LARGEST_LIMIT),
    f"Longest side of a picture in pixels, caption and legend included, {SMALLEST_LIMIT} to {_LARGEST_LIMIT}, or"
    " `original` for all of the radiograph's pixels.",
    Options.max_size,
)
MAPS: Final = Parameter(
    "maps",
    Flag(),
    "Whether the report holds the activation maps of every label.",
    Options.maps,
)
RADIOGRAPH: Final = Parameter(
    "radiograph",
    Flag(),
    "Whether the report holds the radiograph as it was analysed, upright and gray, for drawing the maps over it.",
    Options.radiograph,
)

OPTIONS: Final[tuple[Parameter[Any], ...]] = (
    HEATMAPS,
    FONT_SIZE,
    FORMAT,
    MAX_SIZE,
    MAPS,
    RADIOGRAPH,
)


def options(fields: Mapping[str, Any]) -> Options:
    """Build the options out of form fields or JSON values; what is absent takes its default.

    Raises:
        ParameterError: A value is none of those that the parameter takes.
    """
    return Options(**{parameter.name: parameter.read(fields) for parameter in OPTIONS})
