"""A new model version is tried by a canary, taken over, and taken back: docs/operations.md with real processes."""

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.k8s.build import Combination, build, can_build
from tests.k8s.cluster import Deployment, Release
from tests.support.api import running_api
from tests.support.images import png
from tests.support.model_server import pixels
from tests.support.redis_server import running_redis

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.slow,
    pytest.mark.skipif(not can_build(), reason="there is no kubectl with kustomize 5"),
]

SECONDS = 120.0


@dataclass
class Site:
    """Model servers, and an API for either label that asks them."""

    servables: Path
    deployment: Deployment
    apis: dict[str, httpx.Client]

    def answers(self, label: str) -> int:
        """Return the version that answers, after as many tries as a caller is asked to make."""
        until = time.monotonic() + SECONDS
        while True:
            answer = self.apis[label].post(
                "/densenet_predict",
                files={"file": png(pixels(32, 32))},
                data={"heatmaps": "none"},
            )
            if answer.status_code == 200:
                with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                    return int(json.loads(archive.read("report.json"))["model"]["version"])
            assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable")
            assert time.monotonic() < until
            time.sleep(float(answer.headers["Retry-After"]) / 10)

    def settles(self, label: str, version: int) -> bool:
        """Wait until a version answers, and tell whether it goes on doing so."""
        until = time.monotonic() + SECONDS
        while self.answers(label) != version:
            assert time.monotonic() < until, f"version {version} does not answer to {label}"
        return all(self.answers(label) == version for _ in range(10))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    servables = tmp_path / "servables"
    subprocess.run(
        [sys.executable, "-m", "tests.serving.servables", str(servables)],
        check=True,
        capture_output=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    (found,) = [
        each for each in build(Combination("cpu", ())).workloads() if "model-server" in each.name
    ]
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(tmp_path / "redis"))
        deployment = Deployment(tmp_path / "pods", found.spec["containers"][0], stack)
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{deployment.service.port}",
            "REDIS_URL": redis.url,
        }
        apis = {
            label: stack.enter_context(
                running_api(tmp_path / f"{label}.log", MODEL_LABEL=label, **settings)
            )
            for label in ("stable", "canary")
        }
        yield Site(servables, deployment, apis)


def test_a_version_is_tried_taken_over_and_taken_back(site: Site) -> None:
    one, two = site.servables / "one", site.servables / "two"
    both = {1: one, 2: two}

    assert site.deployment.roll(Release({1: one}, stable=1, canary=1))
    assert site.settles("stable", 1)
    assert site.settles("canary", 1)

    assert site.deployment.roll(Release(both, stable=1, canary=2))
    assert site.settles("canary", 2)
    assert site.settles("stable", 1)

    assert site.deployment.roll(Release(both, stable=2, canary=2))
    assert site.settles("stable", 2)

    assert site.deployment.undo()
    assert site.settles("stable", 1)
    assert site.settles("canary", 2)

    # A version that does not load never gets to answer, and what answers goes on.
    broken = site.servables / "broken"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"nothing that could be parsed")
    assert not site.deployment.roll(Release({**both, 3: broken}, stable=1, canary=3))
    assert site.settles("stable", 1)
    assert site.settles("canary", 2)
