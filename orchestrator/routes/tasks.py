"""Accept analyses to be done later, and tell what became of them."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.answers import AcceptedTaskAnswer, TaskAnswer
from orchestrator.errors import ParameterError, TaskNotFoundError
from orchestrator.hosted import with_base
from orchestrator.jobs.callbacks import checked_url
from orchestrator.jobs.events import follow
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.task import Kind
from orchestrator.problems import note
from orchestrator.routes.bodies import receive_json_upload
from orchestrator.routes.event_response import EventResponse
from orchestrator.routes.forms import read_form, uploaded_file
from orchestrator.routes.kinds import Parameter, Text, refuse_in_query
from orchestrator.routes.labels import refuse_early
from orchestrator.routes.parameters import options
from orchestrator.scope import caller_name, tell_subject
from orchestrator.services import public_path, public_url, services
from orchestrator.study import Options

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONGEST_KEY: Final = 255
POLL_AGAIN: Final = "1"

CALLBACK_URL: Final = Parameter(
    "callback_url",
    Text(),
    "Address that is called once the task is done; its host must be one of `CALLBACK_HOSTS`.",
    "",
)


async def submit_file(request: Request) -> Response:
    """Accept a radiograph sent as a form; its task results in a ZIP."""
    form = await read_form(request)
    wanted = options(form)
    callback = callback_url(request, form)
    upload = await uploaded_file(form)
    submission = _submission(request, upload, wanted, "zip", callback)
    return await _accept(request, lambda: submission)


async def submit_json(request: Request) -> Response:
    """Accept a radiograph sent as base64 in JSON; its task results in a report with URLs."""
    read_upload = await receive_json_upload(request)

    def read() -> Submission:
        upload, wanted, fields = read_upload()
        callback = callback_url(request, fields)
        return _submission(request, upload, wanted, "hosted", callback)

    return await _accept(request, read)


async def show(request: Request) -> Response:
    """Say how a task stands."""
    here = services(request)
    return JSONResponse(await here.task_threads.run(partial(here.desk.show, identifier(request))))


async def result(request: Request) -> Response:
    """Answer what the synchronous call would have answered; 202 while there is nothing yet."""
    here = services(request)
    task, content = await here.task_threads.run(partial(here.desk.result, identifier(request)))
    if content is None:
        return JSONResponse(task.as_json(), 202, {"Retry-After": POLL_AGAIN})
    if task.kind == "hosted":
        return JSONResponse(with_base(json.loads(content), public_url(request)))
    return Response(
        content,
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="result.zip"'},
    )


async def events(request: Request) -> Response:
    """Send the task whenever it has changed, until it is done."""
    here = services(request)
    look = partial(here.task_threads.run, partial(here.desk.show, identifier(request)))
    await look()  # an unknown task is answered with 404, and not with a stream
    if request.method == "HEAD":
        return Response(media_type=EventResponse.media_type)
    told = follow(look, request.app.state.is_stopping, partial(note, request.scope))
    return EventResponse(told, here.streams)


async def forget(request: Request) -> Response:
    """Cancel a waiting task, or forget one that is done."""
    here = services(request)
    await here.deletion_threads.run(partial(here.desk.forget, identifier(request)))
    return Response(status_code=204)


def identifier(request: Request, name: Literal["task_id", "batch_id"] = "task_id") -> str:
    """Return the identifier in the path, of a task or a batch.

    Raises:
        TaskNotFoundError: It is none that one can have.
    """
    found: str = request.path_params[name].lower()
    if not _UUID.fullmatch(found):
        kind = name.removesuffix("_id")
        raise TaskNotFoundError(f"expected the identifier of a {kind} (a UUID), got something else")
    tell_subject(request.scope, name, found)
    return found


def callback_url(request: Request, fields: Mapping[str, Any]) -> str:
    """Return the address to call when the task is done, or an empty text.

    Raises:
        ParameterError: It may not be called, or stands in the query.
    """
    refuse_in_query(request.query_params, [CALLBACK_URL])
    return checked_url(CALLBACK_URL.read(fields), services(request).settings.called_hosts)


def idempotency(request: Request) -> str:
    """Return the request's Idempotency-Key, or an empty text.

    Raises:
        ParameterError: It is too long.
    """
    found = request.headers.get("Idempotency-Key", "")
    if len(found) > LONGEST_KEY:
        raise ParameterError(
            f"Idempotency-Key: expected at most {LONGEST_KEY} characters, got {len(found)}"
        )
    return found


def _submission(
    request: Request, upload: bytes, wanted: Options, kind: Kind, callback: str
) -> Submission:
    return Submission([upload], wanted, kind, callback, caller=caller_name(request.scope))


async def _accept(request: Request, read: Callable[[], Submission]) -> Response:
    here = services(request)
    key = idempotency(request)

    def work() -> TaskAnswer:
        submission = read()
        refuse_early(submission.options, here.model)
        return here.desk.submit(submission, key)

    task = await here.task_threads.run(work)
    tell_subject(request.scope, "task_id", task["task_id"])
    location = public_path(request, "task", task_id=task["task_id"])
    answer: AcceptedTaskAnswer = {
        **task,
        "status_url": location,
        "result_url": f"{location}/result",
    }
    return JSONResponse(answer, 202, {"Location": location, "Retry-After": POLL_AGAIN})


ROUTES = [
    Route("/async/densenet_predict", submit_file, methods=["POST"]),
    Route("/async/v2/densenet_predict", submit_json, methods=["POST"]),
    Route("/tasks/{task_id}", show, name="task"),
    Route("/tasks/{task_id}", forget, methods=["DELETE"]),
    Route("/tasks/{task_id}/result", result),
    Route("/tasks/{task_id}/events", events),
]
