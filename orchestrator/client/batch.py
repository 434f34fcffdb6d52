"""Send many images to a running service as batches, and fetch what becomes of each."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from orchestrator.client.client import (
    MOST_WAITING,
    ClientError,
    TooLargeError,
    read_image,
    reason,
    retry_after,
    send,
)

_Kept = TypeVar("_Kept")

_PATH: Final = "/async/batch"
_MOST_FILES: Final = 100
_MOST_BYTES: Final = 100_000_000
_ZIP: Final = b"PK"  # which no image begins with
_LOOK_SECONDS: Final = 0.5
# The service may be started anew meanwhile: what it has accepted it still knows then.
_MOST_SILENCE: Final = 120.0


def request_archives(
    client: httpx.Client,
    images: Sequence[Path],
    form: Mapping[str, str],
    keep: Callable[[int, bytes], _Kept | ClientError],
) -> Iterator[tuple[int, _Kept | ClientError]]:
    """Yield the place of each image with what is kept of its ZIP, or with why there is none, as they are done.

    Images go out as batches of up to a hundred; the next is sent when the one before is done, so that the
    service's queue is not filled by one caller. A result that is kept is deleted at the service once the next is asked
    for.

    Args:
        client: Asks the service.
        images: The files.
        form: The other fields of the form.
        keep: Given the place of an image and its ZIP, returns what is kept of it, or why that can't be done.
    """
    for places in _portions(images):
        contents: dict[int, bytes] = {}
        for place in places:
            try:
                contents[place] = _read(images[place])
            except ClientError as err:
                yield place, err
        if contents:
            yield from _request_batch(client, contents, form, keep)


def _read(image: Path) -> bytes:
    """Read an image.

    Raises:
        ClientError: It can't be read, or is a ZIP, which the service would take for the images in it.
    """
    content = read_image(image)
    if content.startswith(_ZIP):
        raise ClientError("expected an image, got a ZIP; unpack it")
    return content


def _request_batch(
    client: httpx.Client,
    contents: Mapping[int, bytes],
    form: Mapping[str, str],
    keep: Callable[[int, bytes], _Kept | ClientError],
) -> Iterator[tuple[int, _Kept | ClientError]]:
    """Yield the place of each image of one batch with what became of it.

    A batch that is too large is sent again in halves, so that one image that is too large is refused alone.
    """
    places = list(contents)
    try:
        batch = _submit(client, list(contents.values()), form)
    except ClientError as err:
        if isinstance(err, TooLargeError) and len(places) > 1:
            middle = len(places) // 2
            for half in (places[:middle], places[middle:]):
                part = {place: contents[place] for place in half}
                yield from _request_batch(client, part, form, keep)
        else:
            yield from ((place, err) for place in places)
        return
    yield from _follow(client, batch, places, keep)


def _portions(images: Sequence[Path]) -> Iterator[list[int]]:
    portion: list[int] = []
    size = 0
    for place, image in enumerate(images):
        bytes_ = _size(image)
        if portion and (len(portion) == _MOST_FILES or size + bytes_ > _MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(place)
        size += bytes_
    if portion:
        yield portion


def _size(image: Path) -> int:
    """Return the bytes of a file; none of one that is gone, as reading it will say why."""
    try:
        return image.stat().st_size
    except OSError:
        return 0


def _submit(client: httpx.Client, contents: Sequence[bytes], form: Mapping[str, str]) -> str:
    """Send one batch and return the path at which its state is told."""
    # The name sent is always the same: file names often are patients' names.
    files = [("file", ("image", content)) for content in contents]
    # An answer that was lost is asked for again, and not the work.
    once = {"Idempotency-Key": str(uuid.uuid4())}
    # Not its status_url, which begins with what the client's base_url may end with.
    return f"/batches/{_member(send(client, _PATH, form, files, once), 'batch_id')}"


def _follow(
    client: httpx.Client,
    location: str,
    places: Sequence[int],
    keep: Callable[[int, bytes], _Kept | ClientError],
) -> Iterator[tuple[int, _Kept | ClientError]]:
    """Yield the place of each image of a batch with what is kept of its result, or with why there is none."""
    left = set(range(len(places)))
    while left:
        try:
            tasks = _member(_patiently(client, location), "tasks")
        except ClientError as err:
            yield from ((places[index], err) for index in sorted(left))
            return
        for index in sorted(left):
            if tasks[index]["status"] not in ("PENDING", "STARTED", "RETRY"):
                left.discard(index)
                result = _result(client, tasks[index])
                kept = result if isinstance(result, ClientError) else keep(places[index], result)
                yield places[index], kept
                if not isinstance(kept, ClientError):
                    _delete(client, tasks[index])
        if left:
            time.sleep(_LOOK_SECONDS)


def _result(client: httpx.Client, task: Mapping[str, Any]) -> bytes | ClientError:
    if task["status"] != "SUCCESS":
        return ClientError(str(task.get("error", "the task was forgotten")))
    try:
        return _patiently(client, f"/tasks/{task['task_id']}/result").content
    except ClientError as err:
        return err


def _delete(client: httpx.Client, task: Mapping[str, Any]) -> None:
    """Have the service forget a task whose result is kept here: those that it still knows fill its queue.

    One that it can't forget now goes by itself within an hour or so.
    """
    with suppress(httpx.RequestError):
        client.delete(f"/tasks/{task['task_id']}")


def _patiently(client: httpx.Client, path: str) -> httpx.Response:
    """Fetch a path, though the service may be away for a while, or asked too often, which is waited for as in `send`.

    Raises:
        ClientError: It stays so, or refuses.
    """
    waited = 0.0
    while True:
        response = _answer(client, path)
        if response.status_code != httpx.codes.TOO_MANY_REQUESTS or waited > MOST_WAITING:
            break
        pause = retry_after(response)
        waited += max(pause, 1.0)
        time.sleep(pause)
    if response.status_code != httpx.codes.OK:
        raise ClientError(reason(response))
    return response


def _answer(client: httpx.Client, path: str) -> httpx.Response:
    """Ask for a path until the service is there to answer.

    Raises:
        ClientError: It is away for too long.
    """
    until = time.monotonic() + _MOST_SILENCE
    while True:
        try:
            response = client.get(path)
        except httpx.RequestError as err:
            why = f"no answer from {client.base_url} ({type(err).__name__})"
        else:
            if not response.is_server_error:
                return response
            why = reason(response)
        if time.monotonic() > until:
            raise ClientError(why)
        time.sleep(_LOOK_SECONDS)


def _member(response: httpx.Response, name: str) -> Any:
    """Return what an answer in JSON holds by a name.

    Raises:
        ClientError: It is another kind of answer.
    """
    try:
        return response.json()[name]
    except (ValueError, KeyError, TypeError) as err:
        raise ClientError(
            f"expected an answer with {name}, got another; is this the service?"
        ) from err
