"""Kill Redis while tasks wait: what was accepted is done when it is back."""

import httpx

from tests.containers.caller import Caller
from tests.containers.engine import Engine
from tests.containers.saying import answered, say, wait_for


def check_outage(engine: Engine, caller: Caller) -> None:
    """Let tasks wait without a worker, kill Redis, start both anew, and see the tasks done."""
    (redis,), workers = engine.named("redis"), engine.named("worker")
    engine.run("stop", *workers)
    tasks = [caller.submit() for _ in range(3)]
    assert {caller.status(task) for task in tasks} == {"PENDING"}
    before = engine.containers()[redis]["State"]["Pid"]
    engine.run("kill", "--signal", "KILL", redis)
    engine.run("start", redis)  # Podman starts it by itself, Docker leaves what was killed by hand
    wait_for(
        lambda: engine.containers()[redis]["State"]["Pid"] not in (0, before), "Redis runs", 30
    )
    wait_for(lambda: answered(caller.api, "/health/redis"), "Redis answers", 60)
    engine.run("start", *workers)
    for task in tasks:
        assert caller.result(task).status_code == httpx.codes.OK
    say(f"Redis killed while {len(tasks)} tasks waited: all done after its start")
