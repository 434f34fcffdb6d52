"""Translate what gRPC and TensorFlow Serving answer into this service's errors, in one table."""

from collections.abc import Callable
from typing import Final

import grpc

from orchestrator import errors

BUSY_RETRY_SECONDS: Final = 1
UNAVAILABLE_RETRY_SECONDS: Final = 5

# Wordings of TensorFlow's batch scheduler and TF Serving's thread pool, whatever their codes.
_BUSY_WORDINGS: Final = ("batch scheduling queue", "Threadpool Exhausted")
# Images of different sizes met in one batch, say TensorFlow Serving's BatchingSession and TensorFlow's concatenation.
_MIXED_WORDINGS: Final = ("have different shapes and padding", "Dimensions of inputs should match")
_LABEL_WORDING: Final = "Unrecognized servable version label"
_MESSAGE_SIZE_WORDING: Final = "message larger than max"


def busy() -> errors.BusyError:
    """Say that the model has as much work as it takes."""
    return errors.BusyError(
        "the model has as much work as it takes at once; try again shortly",
        retry_after=BUSY_RETRY_SECONDS,
    )


def unavailable() -> errors.ModelUnavailableError:
    """Say that no model can be reached."""
    return errors.ModelUnavailableError(
        "the model server can't be reached or has no model loaded yet; try again shortly",
        retry_after=UNAVAILABLE_RETRY_SECONDS,
    )


def unlabelled() -> errors.ModelUnavailableError:
    """Say that no version has the label: servers that are being rolled may get it in a moment."""
    return errors.ModelUnavailableError(
        "the model server has no version of the label that MODEL_LABEL names; its models.config has to",
        retry_after=UNAVAILABLE_RETRY_SECONDS,
    )


def moved() -> errors.ModelMovedError:
    """Say that the version which was asked for is not served there, or no longer."""
    return errors.ModelMovedError(
        "the model is being replaced by another version; try again shortly",
        retry_after=UNAVAILABLE_RETRY_SECONDS,
    )


def failed() -> errors.ModelFailedError:
    """Say that the server could not do what it does with any image."""
    return errors.ModelFailedError(
        "the model server failed inside; try again shortly, and if that goes on, look at its log",
        retry_after=UNAVAILABLE_RETRY_SECONDS,
    )


def timeout() -> errors.ModelTimeoutError:
    """Say that the deadline passed while the model was at work."""
    return errors.ModelTimeoutError(
        "the model did not answer within its deadline; try again shortly",
        retry_after=UNAVAILABLE_RETRY_SECONDS,
    )


def unexpected(what: str) -> errors.ModelContractError:
    """Say that the model server and this service don't agree on the contract."""
    return errors.ModelContractError(f"the model server does not keep the model contract: {what}")


# https://grpc.io/docs/guides/status-codes/; tests/serving/ shows which TF Serving answers when.
TRANSLATION: Final[dict[grpc.StatusCode, Callable[[], errors.DependencyError]]] = {
    grpc.StatusCode.UNAVAILABLE: unavailable,
    grpc.StatusCode.NOT_FOUND: unavailable,
    grpc.StatusCode.CANCELLED: unavailable,
    grpc.StatusCode.ABORTED: unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: timeout,
    grpc.StatusCode.RESOURCE_EXHAUSTED: busy,
    # TensorFlow says so of a GPU that fails, gRPC of an answer that breaks off
    grpc.StatusCode.INTERNAL: failed,
    grpc.StatusCode.UNKNOWN: failed,
    grpc.StatusCode.DATA_LOSS: failed,
} | {
    code: lambda code=code: unexpected(f"it answered {code.name}")
    for code in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    )
}


def translate(error: grpc.RpcError) -> errors.DependencyError:
    """Choose the error to raise from a failed call; the server's own words stay out of it."""
    details = error.details() or ""
    if any(wording in details for wording in _BUSY_WORDINGS):
        return busy()
    if any(wording in details for wording in _MIXED_WORDINGS):
        return moved()
    if _LABEL_WORDING in details:
        return unlabelled()
    if _MESSAGE_SIZE_WORDING in details:
        return unexpected("its message is larger than the limit")
    return TRANSLATION[error.code()]()
