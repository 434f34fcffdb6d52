"""Bodies that never come; what a server makes of slow ones is in test_connections."""

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from orchestrator.errors import RequestTimeoutError
from orchestrator.middleware.body_timeout import BodyTimeoutMiddleware

SCOPE: Scope = {"type": "http"}
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


async def receive_nothing() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def send_nowhere(_: Message) -> None:
    pass


def test_a_late_read_after_the_answer_has_begun_says_that_the_caller_has_gone() -> None:
    read: list[Message] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        read.append(await receive())

    anyio.run(BodyTimeoutMiddleware(app, 0.1), SCOPE, receive_nothing, send_nowhere)
    assert read == [{"type": "http.disconnect"}]


def test_a_late_read_before_the_answer_is_an_error() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()

    with pytest.raises(RequestTimeoutError, match=r"within 0\.1 seconds"):
        anyio.run(BodyTimeoutMiddleware(app, 0.1), SCOPE, receive_nothing, send_nowhere)
