"""What the C library keeps, in a process of its own."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import threading
import psutil
from orchestrator.memory import give_back_freed_memory, keep_freed_memory

keep_freed_memory()
barrier = threading.Barrier(8)
kept = []

def work():
    barrier.wait()
    blocks = [bytearray(100_000) for _ in range(500)]
    barrier.wait()
    kept.append(blocks[::100])

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
before = psutil.Process().memory_info().rss
give_back_freed_memory()
print(before, psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_threads_have_freed_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert before > 250_000_000  # of the 400 MB that they had
    assert after < 150_000_000
