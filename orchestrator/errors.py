"""Say what went wrong, in one tree.

    ServiceError
    ├── RequestError                 the caller can mend it
    │   ├── ParameterError       422
    │   ├── MissingFileError     422
    │   ├── MalformedBodyError   400
    │   ├── MalformedBase64Error 400
    │   ├── NotAnImageError      400
    │   ├── EmptyFileError       400
    │   ├── MultipleFramesError  415
    │   ├── UnsupportedFormatError 415
    │   ├── UnsupportedMediaTypeError 415
    │   ├── TooManyBytesError    413
    │   ├── TooManyPixelsError   413
    │   ├── ImplausibleSizeError 422
    │   ├── ResultTooLargeError  422
    │   ├── UnauthorizedError    401
    │   ├── InsufficientScopeError 403
    │   ├── RateLimitError       429
    │   ├── RequestTimeoutError  408
    │   ├── CrossSiteError       403
    │   ├── HostNotAllowedError  421
    │   ├── LinkInvalidError     403
    │   ├── LinkExpiredError     410
    │   ├── NotFoundError        404
    │   ├── TaskNotFoundError    404
    │   ├── TaskExpiredError     410
    │   ├── TaskRunningError     409
    │   ├── IdempotencyConflictError 409
    │   ├── UploadExpiredError   410
    │   ├── TooManyFilesError    413
    │   ├── NotAcceptableError   406
    │   └── MethodNotAllowedError 405
    └── DependencyError              the operator can mend it; the caller may try again
        ├── BusyError            503
        ├── ModelUnavailableError 503
        ├── ModelTimeoutError    504
        ├── ModelMovedError      503
        ├── ModelFailedError     503
        ├── ModelContractError   502
        ├── StoreUnavailableError 503
        ├── StoreRejectedError   502
        ├── RedisUnavailableError 503
        ├── BlobsUnavailableError 503
        ├── WorkersAwayError     503
        ├── QueueFullError       503
        ├── JobExpiredError      503
        ├── JobTimeoutError      504
        └── JobCrashedError      500

``detail`` is written for the caller: what was expected, what came, what to do. It never holds a
file name, an identifier or pixels. Problem details follow RFC 9457; ``code`` is stable, so programs
may rely on it.
"""

from typing import ClassVar

from orchestrator.answers import ProblemAnswer


class ServiceError(Exception):
    """Carry an HTTP status, a stable code and a sentence for the caller."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    def as_json(self, request_id: str) -> ProblemAnswer:
        """Return the problem document of a request, whose identifier is empty where it has none yet."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
        }


class RequestError(ServiceError):
    """The request can't be served as it is; sending it again unchanged will not help."""

    status = 400
    code = "bad_request"
    title = "Bad request"


class ParameterError(RequestError):
    """A parameter is missing, out of its range or not where it belongs, or unknown to a path that overlooks none."""

    status = 422
    code = "invalid_parameter"
    title = "Invalid parameter"


class MissingFileError(RequestError):
    """The form has no image in its field."""

    status = 422
    code = "missing_file"
    title = "No file in the request"


class MalformedBodyError(RequestError):
    """The body can't be parsed as what its content type says."""

    status = 400
    code = "malformed_body"
    title = "Malformed body"


class MalformedBase64Error(RequestError):
    """The image in a JSON body is no base64."""

    status = 400
    code = "malformed_base64"
    title = "Malformed base64"


class NotAnImageError(RequestError):
    """The bytes are no image, or a damaged one."""

    status = 400
    code = "not_an_image"
    title = "Not a readable image"


class EmptyFileError(RequestError):
    """The file has no bytes."""

    status = 400
    code = "empty_file"
    title = "Empty file"


class MultipleFramesError(RequestError):
    """The file holds an animation or several pages."""

    status = 415
    code = "multiple_frames"
    title = "More than one frame"


class UnsupportedFormatError(RequestError):
    """The image is of a format or pixel type that is not accepted."""

    status = 415
    code = "unsupported_format"
    title = "Unsupported image format"


class UnsupportedMediaTypeError(RequestError):
    """The body's content type is not the one that the path takes."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported content type"


class TooManyBytesError(RequestError):
    """The upload is larger than the limit."""

    status = 413
    code = "too_many_bytes"
    title = "Upload too large"


class TooManyPixelsError(RequestError):
    """The image has more pixels than the limit."""

    status = 413
    code = "too_many_pixels"
    title = "Image too large"


class ImplausibleSizeError(RequestError):
    """The image is too small or too narrow to be a radiograph."""

    status = 422
    code = "implausible_size"
    title = "Implausible image size"


class ResultTooLargeError(RequestError):
    """The overlays that were asked for take more bytes together than the limit, or one more than the store takes."""

    status = 422
    code = "result_too_large"
    title = "Result too large"


class UnauthorizedError(RequestError):
    """The request shows no API key, or one that the service does not know."""

    status = 401
    code = "unauthorized"
    title = "API key needed"


class InsufficientScopeError(RequestError):
    """The API key is known, but may not do this."""

    status = 403
    code = "insufficient_scope"
    title = "Not allowed with this key"


class RateLimitError(RequestError):
    """The caller has asked as often as it may for now."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"


class RequestTimeoutError(RequestError):
    """The body came too slowly."""

    status = 408
    code = "request_timeout"
    title = "Request too slow"


class CrossSiteError(RequestError):
    """A browser sent the request for another site, which may not ask with what the browser remembers."""

    status = 403
    code = "cross_site"
    title = "Sent for another site"


class HostNotAllowedError(RequestError):
    """The service is open to its own machine only, and the request names another host."""

    status = 421
    code = "host_not_allowed"
    title = "Not a host of this service"


class LinkInvalidError(RequestError):
    """The signature of a link does not fit it."""

    status = 403
    code = "invalid_link"
    title = "Invalid link"


class LinkExpiredError(RequestError):
    """The link was good until a while ago."""

    status = 410
    code = "expired_link"
    title = "Expired link"


class NotFoundError(RequestError):
    """There is nothing at this path."""

    status = 404
    code = "not_found"
    title = "Not found"


class TaskNotFoundError(RequestError):
    """No task has this identifier, or it was forgotten long ago."""

    status = 404
    code = "task_not_found"
    title = "Unknown task"


class TaskExpiredError(RequestError):
    """The task was done, and its result is no longer kept."""

    status = 410
    code = "task_expired"
    title = "Result no longer kept"


class TaskRunningError(RequestError):
    """The task is being worked on and can't be cancelled."""

    status = 409
    code = "task_running"
    title = "Task is running"


class IdempotencyConflictError(RequestError):
    """The Idempotency-Key was used before, for another request."""

    status = 409
    code = "idempotency_conflict"
    title = "Idempotency-Key used before"


class UploadExpiredError(RequestError):
    """The task's upload is no longer kept, so it can't be tried again."""

    status = 410
    code = "upload_expired"
    title = "Upload no longer kept"


class TooManyFilesError(RequestError):
    """The batch has more files than the limit."""

    status = 413
    code = "too_many_files"
    title = "Too many files"


class NotAcceptableError(RequestError):
    """The Accept header allows none of the media types that the path answers."""

    status = 406
    code = "not_acceptable"
    title = "Not acceptable"


class MethodNotAllowedError(RequestError):
    """The path exists, but not with this method."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class DependencyError(ServiceError):
    """Something the service needs is away or overloaded; the same request may succeed later.

    Attributes:
        passes: Whether waiting may help, so that a task is worth trying again.
    """

    passes: ClassVar[bool] = True
    status = 503
    code = "dependency_unavailable"
    title = "Dependency unavailable"


class BusyError(DependencyError):
    """The service has as much work as it takes at once."""

    status = 503
    code = "busy"
    title = "Too busy"


class ModelUnavailableError(DependencyError):
    """The model server can't be reached or has no servable yet."""

    status = 503
    code = "model_unavailable"
    title = "Model unavailable"


class ModelTimeoutError(DependencyError):
    """The model server did not answer within the deadline."""

    status = 504
    code = "model_timeout"
    title = "Model timed out"


class ModelMovedError(DependencyError):
    """Another version of the model took over while it was asked."""

    status = 503
    code = "model_moved"
    title = "Model is being replaced"


class ModelFailedError(DependencyError):
    """The model server failed inside, or its answer broke off."""

    status = 503
    code = "model_failed"
    title = "Model failed"


class ModelContractError(DependencyError):
    """The model server answered with something else than the model contract."""

    passes = False
    status = 502
    code = "model_contract"
    title = "Unexpected answer of the model server"


class StoreUnavailableError(DependencyError):
    """The store of overlays can't be reached, is overloaded or full."""

    status = 503
    code = "store_unavailable"
    title = "Store unavailable"


class StoreRejectedError(DependencyError):
    """The store of overlays refuses what the service sends; waiting won't help."""

    passes = False
    status = 502
    code = "store_rejected"
    title = "Refused by the store"


class RedisUnavailableError(DependencyError):
    """Redis can't be reached, or can't do what is asked now."""

    status = 503
    code = "redis_unavailable"
    title = "Redis unavailable"


class BlobsUnavailableError(DependencyError):
    """The folder for uploads and results can't be used now."""

    status = 503
    code = "blobs_unavailable"
    title = "Blobs unavailable"


class WorkersAwayError(DependencyError):
    """No worker is there to take tasks."""

    status = 503
    code = "workers_away"
    title = "No workers"


class QueueFullError(DependencyError):
    """As many tasks, or as many bytes, are waiting as the queue may hold."""

    status = 503
    code = "queue_full"
    title = "Queue full"


class JobExpiredError(DependencyError):
    """No worker came to the task within the time that tasks are kept, or its tries in it failed."""

    status = 503
    code = "job_expired"
    title = "Task waited too long"


class JobTimeoutError(DependencyError):
    """The task took longer than a job may take."""

    status = 504
    code = "job_timeout"
    title = "Task timed out"


class JobCrashedError(DependencyError):
    """The worker ended while it was at the task."""

    status = 500
    code = "job_crashed"
    title = "Worker ended"
