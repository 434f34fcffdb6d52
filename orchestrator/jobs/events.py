"""Follow a task for somebody who would rather listen than ask."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import anyio

from orchestrator.answers import TaskAnswer
from orchestrator.errors import ServiceError
from orchestrator.jobs.task import DONE

_LOOK_SECONDS: Final = 0.4
# Proxies close what is silent for long; a comment is no event.
_SILENT_LOOKS: Final = 35


async def follow(
    look: Callable[[], Awaitable[TaskAnswer]],
    is_stopping: Callable[[], bool],
    note: Callable[[ServiceError], None],
) -> AsyncIterator[str]:
    """Yield server-sent events: the task whenever it has changed, until it is done or the server is to stop.

    Args:
        look: Returns the task as JSON.
        is_stopping: Tells whether the server waits for its connections to end.
        note: Is told of the error that the events end in.
    """
    last: TaskAnswer | None = None
    silent = 0
    while last is None or not (last["status"] in DONE or is_stopping()):
        try:
            now = await look()
        except ServiceError as err:
            note(err)
            yield _event("error", {"code": err.code, "detail": err.detail})
            return
        silent += 1
        if now != last:
            yield _event("task", now)
            silent = 0
        elif silent >= _SILENT_LOOKS:
            yield ": still there\n\n"
            silent = 0
        last = now
        if last["status"] not in DONE:
            await anyio.sleep(_LOOK_SECONDS)


def _event(name: str, data: Mapping[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
