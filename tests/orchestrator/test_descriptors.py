"""The limit of open files, in processes of their own: one that is lowered stays so."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from orchestrator import logs
from orchestrator.descriptors import allow_connections

logs.configure("info")
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_connections(connections)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "after"),
    [
        (256, 1000, 100, "500 1000"),  # a caller's, two to Redis, and 200 others
        (600, 1000, 100, "600 1000"),
        (256, 400, 100, "400 400"),
    ],
)
def test_as_many_files_may_be_open_as_connections_take(
    soft: int, hard: int, connections: int, after: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(connections)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == after
    told = [json.loads(line) for line in done.stderr.splitlines()]
    is_enough = int(after.split(maxsplit=1)[0]) >= 3 * connections + 200
    assert [(each["limit"], each["needed"]) for each in told] == ([] if is_enough else [(400, 500)])
