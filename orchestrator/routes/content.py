"""Refuse a body that is of another kind than an operation takes, or whose parameters stand in the query."""

from starlette.requests import Request

from orchestrator.errors import UnsupportedMediaTypeError
from orchestrator.routes.kinds import refuse_in_query
from orchestrator.routes.parameters import OPTIONS


def expect_content(request: Request, media_type: str, hint: str) -> None:
    """Refuse a body of another media type, one that is compressed, and one whose parameters stand in the query.

    Args:
        request: The request.
        media_type: What its Content-Type must be, whatever its parameters.
        hint: What to do, for whoever sent another one.

    Raises:
        UnsupportedMediaTypeError: It is another one (RFC 9110, section 15.5.16).
        ParameterError: A parameter stands in the query.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != media_type:
        raise UnsupportedMediaTypeError(
            f"expected {media_type}, got another content type or none; {hint}"
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaTypeError(
            "expected a body as it is, got one with a Content-Encoding; send it uncompressed, as images are already"
        )
    refuse_in_query(request.query_params, OPTIONS)
