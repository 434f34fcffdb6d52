"""Accept many images at once, and give their results out together."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestrator.answers import AcceptedBatchAnswer, BatchAnswer
from orchestrator.errors import MalformedBodyError, MissingFileError, ServiceError
from orchestrator.images import archive
from orchestrator.jobs.submit import Submission
from orchestrator.middleware.throttle import charge
from orchestrator.problems import note
from orchestrator.routes.forms import read_form, uploaded_files
from orchestrator.routes.labels import refuse_early
from orchestrator.routes.parameters import options
from orchestrator.routes.tasks import POLL_AGAIN, callback_url, idempotency, identifier
from orchestrator.scope import caller_name, tell_subject
from orchestrator.services import public_path, services
from orchestrator.settings import Settings

PATH: Final = "/async/batch"


async def submit(request: Request) -> Response:
    """Accept the files of a form, or those in a ZIP, as one batch: all of them or none."""
    here = services(request)
    form = await read_form(request, max_files=here.settings.batch_files)
    wanted = options(form)
    callback = callback_url(request, form)
    files = uploaded_files(form)
    caller, key = caller_name(request.scope), idempotency(request)

    def work() -> tuple[BatchAnswer, int]:
        refuse_early(wanted, here.model)
        uploads = _images(_contents(files), here.settings)
        submission = Submission(uploads, wanted, "zip", callback, is_batch=True, caller=caller)
        return here.desk.submit_batch(submission, key)

    batch, count = await here.batch_threads.run(work)
    tell_subject(request.scope, "batch_id", batch["batch_id"])
    await charge(request, count - 1)  # the request itself counts as one, with none that is new too
    location = public_path(request, "batch", batch_id=batch["batch_id"])
    answer: AcceptedBatchAnswer = {
        **batch,
        "status_url": location,
        "result_url": f"{location}/result",
    }
    return JSONResponse(answer, 202, {"Location": location, "Retry-After": POLL_AGAIN})


async def show(request: Request) -> Response:
    """Say how the tasks of a batch stand."""
    here = services(request)
    find = partial(here.desk.batches.find, identifier(request, "batch_id"))
    batch = await here.task_threads.run(find)
    return JSONResponse(batch.as_json())


async def result(request: Request) -> Response:
    """Answer one ZIP with a folder per image and a table of all; 202 while tasks are not done."""
    here = services(request)
    batches = here.desk.batches
    batch = await here.task_threads.run(partial(batches.find, identifier(request, "batch_id")))
    if not batch.done:
        return JSONResponse(batch.as_json(), 202, {"Retry-After": POLL_AGAIN})
    pieces = batches.archive(batch)
    first = await here.batch_threads.run(partial(next, pieces))  # may fail, and is answered so
    return _ArchiveResponse(chain([first], pieces))


class _ArchiveResponse(StreamingResponse):
    """Send an archive piece by piece; if one can't be had, break the connection off: 200 has been answered by then."""

    media_type = "application/zip"

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__(
            pieces, headers={"Content-Disposition": 'attachment; filename="batch.zip"'}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the server closes a connection whose answer has no end."""
        try:
            await super().__call__(scope, receive, send)
        except ServiceError as err:
            note(scope, err)


def _contents(files: Sequence[UploadFile]) -> Iterator[bytes]:
    """Give what files hold, each of which frees its own copy."""
    for file in files:
        yield file.file.read()
        file.file.close()


def _images(contents: Iterable[bytes], settings: Settings) -> list[bytes]:
    """Return the images of a form in their order; a single ZIP stands for the files in it."""
    images = list(contents)
    archives = [
        place for place, content in enumerate(images, 1) if content.startswith(archive.MAGICS)
    ]
    if archives and len(images) > 1:
        raise MalformedBodyError(
            f"image {archives[0]}: expected images, or one ZIP of images, got a ZIP beside other files; send each ZIP"
            " as a batch of its own"
        )
    if archives:
        images = archive.unpack(
            images[0],
            most_files=settings.batch_files,
            most_bytes=settings.batch_bytes,
            most_each=settings.max_upload_bytes,
        )
    if not images:
        raise MissingFileError(
            "expected images as files of the form, or one ZIP of images, got none"
        )
    archive.refuse_large([len(image) for image in images], settings.max_upload_bytes)
    return images


ROUTES = [
    Route(PATH, submit, methods=["POST"]),
    Route("/batches/{batch_id}", show, name="batch"),
    Route("/batches/{batch_id}/result", result),
]
