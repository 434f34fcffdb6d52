"""What listeners of a task hear when it does not change, or can't be told."""

from typing import Any

import anyio
import pytest

from orchestrator.errors import RedisUnavailableError
from orchestrator.jobs import events


def heard(*looks: Any) -> list[str]:
    left = iter(looks)

    async def look() -> Any:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    async def listen() -> list[str]:
        return [event async for event in events.follow(look, lambda: False)]

    return anyio.run(listen)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_LOOK_SECONDS", 0)


def test_a_task_that_does_not_change_is_not_silent_for_long() -> None:
    waiting, done = {"status": "PENDING"}, {"status": "SUCCESS"}
    told = heard(*[waiting] * 71, done)
    assert told == [
        'event: task\ndata: {"status": "PENDING"}\n\n',
        ": still there\n\n",
        ": still there\n\n",
        'event: task\ndata: {"status": "SUCCESS"}\n\n',
    ]


def test_a_task_that_can_not_be_told_any_more_ends_the_events_with_the_reason() -> None:
    told = heard({"status": "PENDING"}, RedisUnavailableError("away"))
    assert told[1:] == ['event: error\ndata: {"code": "redis_unavailable", "detail": "away"}\n\n']
