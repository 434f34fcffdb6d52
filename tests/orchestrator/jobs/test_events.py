"""What listeners of a task hear when it does not change, or can't be told."""

from typing import Any

import anyio
import pytest

from orchestrator.errors import RedisUnavailableError, ServiceError
from orchestrator.jobs import events


def heard(*looks: Any) -> tuple[list[str], list[ServiceError]]:
    left = iter(looks)
    noted: list[ServiceError] = []

    async def look() -> Any:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    async def listen() -> list[str]:
        return [event async for event in events.follow(look, lambda: False, noted.append)]

    return anyio.run(listen), noted


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_LOOK_SECONDS", 0)


def test_a_task_that_does_not_change_is_not_silent_for_long() -> None:
    waiting, done = {"status": "PENDING"}, {"status": "SUCCESS"}
    told, noted = heard(*[waiting] * 71, done)
    assert noted == []
    assert told == [
        'event: task\ndata: {"status": "PENDING"}\n\n',
        ": still there\n\n",
        ": still there\n\n",
        'event: task\ndata: {"status": "SUCCESS"}\n\n',
    ]


def test_a_task_that_can_not_be_told_any_more_ends_the_events_with_the_reason() -> None:
    error = RedisUnavailableError("away")
    told, noted = heard({"status": "PENDING"}, error)
    assert noted == [error]
    assert told[1:] == ['event: error\ndata: {"code": "redis_unavailable", "detail": "away"}\n\n']
