"""Choose the media type of an answer by the Accept header (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from orchestrator.errors import NotAcceptableError


def negotiate(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type that a header prefers; the first offered where it doesn't care.

    Raises:
        NotAcceptableError: The header takes none of them.
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda kind: _quality(kind, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(
            f"expected Accept to allow one of {', '.join(offered)}, got one that allows none of them"
        )
    return best


def _range(part: str) -> tuple[str, float]:
    """Read one media range and its weight; a weight that can't be read counts as none."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return name, 0.0
    return name, 1.0


def _quality(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the most specific range that a media type is in."""
    matching = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    weights = dict(reversed(ranges))
    return next((weights[name] for name in matching if name in weights), 0.0)
