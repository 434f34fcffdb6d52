"""The model server's pods: when they are ready, and where their models come from."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from serving.contract import MODEL_NAME
from tests.k8s.build import ROOT, Combination, build, can_build
from tests.k8s.manifests import Object
from tests.support.ports import free_port

pytestmark = pytest.mark.skipif(not can_build(), reason="there is no kubectl with kustomize 5")

# As tensorflow_model_server 2.21 prints it.
VERSION = """  {
   "version": "%d",
   "state": "%s",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }"""


@pytest.fixture(scope="module")
def pod() -> Object:
    (found,) = [
        each for each in build(Combination("cpu", ())).workloads() if "model-server" in each.name
    ]
    return found.spec


@contextmanager
def page(*states: str, status: int = 200) -> Iterator[int]:
    """Answer the status page with a version in each state, and give the port."""
    versions = ",\n".join(VERSION % (number, state) for number, state in enumerate(states, 1))
    body = f'{{\n "model_version_status": [\n{versions}\n ]\n}}\n'

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == f"/v1/models/{MODEL_NAME}" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_ready(pod: Object, port: int) -> bool:
    words = pod["containers"][0]["readinessProbe"]["exec"]["command"]
    here = [word.replace("8501", str(port)) for word in words]
    return subprocess.run(here, check=False, capture_output=True, timeout=20).returncode == 0


@pytest.mark.parametrize(
    ("states", "ready"),
    [
        (("AVAILABLE",), True),
        (("AVAILABLE", "AVAILABLE"), True),
        (("LOADING",), False),
        (("AVAILABLE", "LOADING"), False),
        (("END", "AVAILABLE"), False),
        ((), False),
    ],
)
def test_a_pod_is_ready_when_every_version_is_available(
    pod: Object, states: tuple[str, ...], ready: bool
) -> None:
    with page(*states) as port:
        assert is_ready(pod, port) is ready


def test_a_pod_that_does_not_answer_is_not_ready(pod: Object) -> None:
    assert not is_ready(pod, free_port())


def test_the_image_of_models_is_pinned_and_filled_where_the_pod_looks(pod: Object) -> None:
    text = (ROOT / "export" / "model.Dockerfile").read_text()
    tags = dict(re.findall(r"^ARG (\w+)_TAG=(\S+)$", text, re.MULTILINE))
    assert set(tags) == {"EXPORT", "BUSYBOX"}
    assert all(re.match(r"\d+\.\d+", tag) for tag in tags.values())
    assert f'version = "{tags["EXPORT"]}"' in (ROOT / "pyproject.toml").read_text()
    copied = pod["initContainers"][0]["command"]
    assert copied == ["cp", "-R", "/models/.", "/to"]
    assert f"COPY . /models/{MODEL_NAME}" in text
    assert f'"publish-model", "/models/{MODEL_NAME}"' in text
    assert "COPY --from=export /models /models" in text
