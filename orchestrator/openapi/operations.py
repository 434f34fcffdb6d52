"""Describe every operation, by the handler that serves it."""

import base64
import io
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from gradcam.encode import FORMATS
from orchestrator import answers as types
from orchestrator import errors
from orchestrator.openapi.operation import Answer, Body, Operation
from orchestrator.routes import (
    audit,
    batch,
    docs,
    files,
    health,
    hosted,
    metrics,
    page,
    predict,
    stats,
    tasks,
)
from orchestrator.routes.bodies import IMAGE_FIELD
from orchestrator.routes.forms import FILE_FIELD
from orchestrator.routes.kinds import Parameter, Text
from orchestrator.routes.parameters import OPTIONS

Handler = Callable[[Request], Awaitable[Response]]

_FILE: Final = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": "The image: PNG (8 or 16 bits; gray, RGB, palette, alpha), JPEG (8 bits; gray, RGB, CMYK), TIFF, BMP"
    " or WebP; one frame.",
}
_FILES: Final = {
    "type": "array",
    "items": {"type": "string", "format": "binary"},
    "minItems": 1,
    "description": "The images, or one ZIP of images.",
}
_BASE64: Final = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "The image file as base64. A `data:image/…;base64,` prefix, line breaks, the URL-safe alphabet and"
    " missing padding are fine.",
}
_ZIP: Final = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/zip",
    "description": "`report.json` (the schema `PackedReport`) and one annotated overlay per reported label.",
}
_BATCH_ZIP: Final = {
    **_ZIP,
    "description": "A folder per image (`0001/report.json`, …) and `summary.csv`.",
}
_PICTURE: Final = {"type": "string", "format": "binary"}
_TEXT: Final = {"type": "string"}
_EVENTS: Final = {
    "type": "string",
    "description": "Server-sent events: lines `event: NAME` and `data: JSON`, and an empty line after each event.",
}

_FORM: Final = (
    errors.MalformedBodyError,
    errors.UnsupportedMediaTypeError,
    errors.TooManyBytesError,
    errors.MissingFileError,
    errors.ParameterError,
)
_JSON: Final = (*_FORM, errors.MalformedBase64Error)
_IMAGE: Final = (
    errors.EmptyFileError,
    errors.NotAnImageError,
    errors.MultipleFramesError,
    errors.UnsupportedFormatError,
    errors.TooManyPixelsError,
    errors.ImplausibleSizeError,
    errors.ResultTooLargeError,
)
_MODEL: Final = (
    errors.ModelUnavailableError,
    errors.ModelTimeoutError,
    errors.ModelMovedError,
    errors.ModelFailedError,
    errors.ModelContractError,
)
_STORE: Final = (errors.StoreUnavailableError, errors.StoreRejectedError)
_QUEUE: Final = (
    errors.IdempotencyConflictError,
    errors.BusyError,
    errors.QueueFullError,
    errors.RedisUnavailableError,
    errors.BlobsUnavailableError,
)
_DESK: Final = (errors.TaskNotFoundError, errors.BusyError, errors.RedisUnavailableError)
_JOB: Final = (
    *_IMAGE,
    *_MODEL,
    *_STORE,
    errors.ParameterError,
    errors.BlobsUnavailableError,
    errors.JobExpiredError,
    errors.JobTimeoutError,
    errors.JobCrashedError,
)


def _example_image() -> str:
    """Return a small image as base64: the examples of the description can be sent as they stand."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


_EXAMPLE: Final = {IMAGE_FIELD: _example_image(), "heatmaps": "all"}
_LATER: Final = (*OPTIONS, tasks.CALLBACK_URL)


def _form(image: tuple[str, Mapping[str, Any]], fields: tuple[Parameter[Any], ...]) -> Body:
    return Body(media_type="multipart/form-data", image=image, fields=fields)


def _json(fields: tuple[Parameter[Any], ...]) -> Body:
    return Body(
        media_type="application/json",
        image=(IMAGE_FIELD, _BASE64),
        fields=fields,
        example=_EXAMPLE,
    )


_ACCEPTED_TASK: Final = Answer(
    status=202,
    text="The task was accepted.",
    content={"application/json": types.AcceptedTaskAnswer},
    headers=("Location", "Retry-After"),
    links={
        "task": ("/tasks/{task_id}", "task_id"),
        "result": ("/tasks/{task_id}/result", "task_id"),
        "events": ("/tasks/{task_id}/events", "task_id"),
    },
)
_ACCEPTED_BATCH: Final = Answer(
    status=202,
    text="All images of the batch were accepted.",
    content={"application/json": types.AcceptedBatchAnswer},
    headers=("Location", "Retry-After"),
    links={
        "batch": ("/batches/{batch_id}", "batch_id"),
        "result": ("/batches/{batch_id}/result", "batch_id"),
    },
)


def _statistics(answer: type, query: tuple[Parameter[Any], ...]) -> Operation:
    return Operation(
        tag="Statistics",
        query=query,
        answers=(
            Answer(
                text="The figures, as JSON, CSV or SVG.",
                content={"application/json": answer, "text/csv": _TEXT, "image/svg+xml": _TEXT},
                headers=("Vary", "Cache-Control", "Content-Disposition"),
            ),
        ),
        errors=(
            errors.ParameterError,
            errors.NotAcceptableError,
            errors.RedisUnavailableError,
        ),
    )


def _health(answer: type, text: str, *away: type[errors.ServiceError]) -> Operation:
    return Operation(
        tag="Health",
        answers=(Answer(text=text, content={"application/json": answer}),),
        errors=away,
    )


_WORKERS: Final = _health(
    types.WorkersHealthAnswer,
    "A worker lives.",
    errors.WorkersAwayError,
    errors.RedisUnavailableError,
    errors.BusyError,
)

OPERATIONS: Final[Mapping[Handler, Operation]] = {
    predict.densenet_predict: Operation(
        tag="Analyses",
        body=_form((FILE_FIELD, _FILE), OPTIONS),
        answers=(
            Answer(
                text="The report and its overlays.",
                content={"application/zip": _ZIP},
                headers=("Content-Disposition",),
            ),
        ),
        errors=(*_FORM, *_IMAGE, *_MODEL, errors.BusyError),
    ),
    hosted.densenet_predict: Operation(
        tag="Analyses",
        body=_json(OPTIONS),
        answers=(
            Answer(
                text="The report, and where its overlays are.",
                content={"application/json": types.HostedReportAnswer},
            ),
        ),
        errors=(*_JSON, *_IMAGE, *_MODEL, *_STORE, errors.BusyError),
    ),
    files.file: Operation(
        tag="Pictures",
        more="The link is one that an analysis has answered.",
        query=(
            Parameter(
                "expires", Text(), "Moment at which the link ends, in seconds since 1970.", ""
            ),
            Parameter("signature", Text(), "Signature of the link.", ""),
        ),
        answers=(
            Answer(
                text="The picture.",
                content={kind.media_type: _PICTURE for kind in FORMATS.values()},
                headers=("Cache-Control",),
            ),
        ),
        errors=(
            errors.LinkInvalidError,
            errors.LinkExpiredError,
            errors.NotFoundError,
            errors.StoreUnavailableError,
        ),
    ),
    tasks.submit_file: Operation(
        tag="Tasks",
        headers=("Idempotency-Key",),
        body=_form((FILE_FIELD, _FILE), _LATER),
        answers=(_ACCEPTED_TASK,),
        errors=(*_FORM, *_QUEUE),
    ),
    tasks.submit_json: Operation(
        tag="Tasks",
        headers=("Idempotency-Key",),
        body=_json(_LATER),
        answers=(_ACCEPTED_TASK,),
        errors=(*_JSON, *_QUEUE),
    ),
    tasks.show: Operation(
        tag="Tasks",
        answers=(Answer(text="The task.", content={"application/json": types.TaskAnswer}),),
        errors=_DESK,
    ),
    tasks.forget: Operation(
        tag="Tasks",
        answers=(Answer(status=204, text="The task is cancelled, or forgotten with its result."),),
        errors=(*_DESK, *_STORE, errors.TaskRunningError, errors.BlobsUnavailableError),
    ),
    tasks.result: Operation(
        tag="Tasks",
        more="A task that failed answers its own error.",
        answers=(
            Answer(
                text="The result: a ZIP, or JSON with URLs if the image came as JSON.",
                content={
                    "application/zip": _ZIP,
                    "application/json": types.HostedReportAnswer,
                },
                headers=("Content-Disposition",),
            ),
            Answer(
                status=202,
                text="There is no result yet.",
                content={"application/json": types.TaskAnswer},
                headers=("Retry-After",),
            ),
        ),
        errors=(*_DESK, *_JOB, errors.TaskExpiredError, errors.UploadExpiredError),
    ),
    tasks.events: Operation(
        tag="Tasks",
        more="Every event is `event: task`, with the task as JSON in `data:`; `event: error`, with `code` and `detail`,"
        " is the last one if the task can't be looked at any more.",
        answers=(
            Answer(
                text="Server-sent events, until the task is done.",
                content={"text/event-stream": _EVENTS},
                headers=("Cache-Control",),
            ),
        ),
        errors=_DESK,
    ),
    batch.submit: Operation(
        tag="Batches",
        headers=("Idempotency-Key",),
        body=_form((FILE_FIELD, _FILES), _LATER),
        answers=(_ACCEPTED_BATCH,),
        errors=(*_FORM, *_QUEUE, errors.TooManyFilesError),
    ),
    batch.show: Operation(
        tag="Batches",
        answers=(Answer(text="The batch.", content={"application/json": types.BatchAnswer}),),
        errors=_DESK,
    ),
    batch.result: Operation(
        tag="Batches",
        answers=(
            Answer(
                text="The results.",
                content={"application/zip": _BATCH_ZIP},
                headers=("Content-Disposition",),
            ),
            Answer(
                status=202,
                text="Tasks are not done yet.",
                content={"application/json": types.BatchAnswer},
                headers=("Retry-After",),
            ),
        ),
        errors=(*_DESK, errors.TaskExpiredError, errors.BlobsUnavailableError),
    ),
    stats.summary: _statistics(types.SummaryAnswer, stats.SUMMARY.parameters),
    stats.weekly: _statistics(types.WeeklyAnswer, stats.WEEKLY.parameters),
    stats.daily: _statistics(types.DailyAnswer, stats.DAILY.parameters),
    health.health: _health(types.HealthAnswer, "The process answers."),
    health.health_model: _health(
        types.ModelHealthAnswer,
        "The model server answers.",
        errors.ModelUnavailableError,
        errors.BusyError,
    ),
    health.health_ready: _health(
        types.ReadyAnswer,
        "An analysis sent now would be answered.",
        errors.ModelUnavailableError,
        errors.BusyError,
    ),
    health.health_redis: _health(
        types.RedisHealthAnswer,
        "Redis answers, and is no replica.",
        errors.RedisUnavailableError,
        errors.BusyError,
    ),
    health.health_workers: _WORKERS,
    metrics.metrics: Operation(
        tag="Health",
        answers=(Answer(text="Prometheus' text format.", content={"text/plain": _TEXT}),),
        errors=(errors.BusyError,),
    ),
    page.page: Operation(
        tag="Description",
        answers=(
            Answer(text="The page.", content={"text/html": _TEXT}, headers=("Cache-Control",)),
        ),
    ),
    audit.audit: Operation(
        tag="Access",
        query=audit.PARAMETERS,
        answers=(
            Answer(
                text="A part of the trail.",
                content={"application/json": types.AuditAnswer, "text/csv": _TEXT},
                headers=("Content-Disposition",),
            ),
        ),
        errors=(
            errors.ParameterError,
            errors.NotFoundError,
            errors.RedisUnavailableError,
            errors.BusyError,
        ),
    ),
    docs.page: Operation(
        tag="Description",
        answers=(Answer(text="The page.", content={"text/html": _TEXT}),),
    ),
    docs.document: Operation(
        tag="Description",
        answers=(Answer(text="This document.", content={"application/json": {"type": "object"}}),),
    ),
}
