"""What bodies take in memory together; what one may take is in test_bad_input."""

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from orchestrator.errors import BusyError
from orchestrator.middleware.body_limit import BodyLimitMiddleware

SCOPE: Scope = {"type": "http", "path": "/densenet_predict", "headers": []}


async def read(_: Scope, receive: Receive, __: Send) -> None:
    while (await receive()).get("more_body"):
        pass


async def send_nowhere(_: Message) -> None:
    pass


def chunks(*sizes: int, then: anyio.Event | None = None) -> Receive:
    """Return what gives a body in chunks, and waits before the last of them."""
    left = list(sizes)

    async def receive() -> Message:
        if len(left) == 1 and then is not None:
            await then.wait()
        return {"type": "http.request", "body": bytes(left.pop(0)), "more_body": bool(left)}

    return receive


def test_bodies_take_no_more_memory_together_than_was_agreed() -> None:
    limit = BodyLimitMiddleware(read, 1000, "/async/batch", 1000, 100)

    async def scene() -> None:
        await limit(SCOPE, chunks(300, 300), send_nowhere)  # alone, one may have more
        end = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(limit, SCOPE, chunks(60, 30, then=end), send_nowhere)
            await anyio.wait_all_tasks_blocked()
            await limit(SCOPE, chunks(40), send_nowhere)
            with pytest.raises(BusyError, match="try again"):
                await limit(SCOPE, chunks(41), send_nowhere)
            await limit(SCOPE, chunks(40), send_nowhere)  # what was refused is not held
            end.set()
        await limit(SCOPE, chunks(100, 100), send_nowhere)

    anyio.run(scene)


def test_of_two_that_are_too_large_together_the_first_is_taken() -> None:
    limit = BodyLimitMiddleware(read, 1000, "/async/batch", 1000, 100)

    async def scene() -> None:
        end = anyio.Event()
        async with anyio.create_task_group() as group:
            for sizes in ((40, 200), (60, 0)):
                group.start_soon(limit, SCOPE, chunks(*sizes, then=end), send_nowhere)
                await anyio.wait_all_tasks_blocked()
            with pytest.raises(BusyError):
                await limit(SCOPE, chunks(1), send_nowhere)
            await limit(SCOPE, chunks(0), send_nowhere)  # whoever sends nothing is not concerned
            end.set()

    anyio.run(scene)
