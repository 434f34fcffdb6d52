"""Play the part of Kubernetes for the model servers: a Service before pods that are replaced one by one.

A pod is a process of the embedded server with the flags of image and manifest. It joins when its readiness probe says
so, and is taken out and ended when another has joined, as a Deployment with ``maxUnavailable: 0`` does.
"""

import re
import select
import shutil
import socket
import subprocess
import threading
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.k8s.build import K8S, ROOT
from tests.k8s.manifests import Object
from tests.support.model_server import DidNotStartError, RunningServer, model_server

READY_SECONDS = 120.0


@dataclass(frozen=True)
class Release:
    """What a Deployment of model servers says: which versions its image has, and models.config.

    Attributes:
        versions: The servable of each version.
        stable: The version that this label is at.
        canary: The version that this label is at.
    """

    versions: dict[int, Path]
    stable: int
    canary: int

    def config(self, models: Path) -> str:
        """Return the base's models.config with these versions and labels, for models elsewhere."""
        text = (K8S / "base" / "models.config").read_text()
        served = " ".join(f"versions: {number}" for number in self.versions)
        text = text.replace('"/models/densenet"', f'"{models}"').replace("versions: 1", served)
        for label, version in (("stable", self.stable), ("canary", self.canary)):
            text = text.replace(f'"{label}" value: 1', f'"{label}" value: {version}')
        return text


class Pod:
    """One model server, and what started it."""

    def __init__(self, folder: Path, release: Release, probe: list[str], stack: ExitStack) -> None:
        models = folder / "models" / "densenet"
        models.mkdir(parents=True)
        for number, servable in release.versions.items():  # what the init container does
            shutil.copytree(servable, models / str(number))
        config = folder / "models.config"
        config.write_text(release.config(models))
        image = dict(
            re.findall(r'"--(\w+)=([^"]+)"', (ROOT / "serving" / "Dockerfile").read_text())
        )
        kept = (
            "allow_version_labels_for_unavailable_models",
            "enable_batching",
            "grpc_max_threads",
            "enable_serialization_as_tensor_content",
        )
        flags = [f"--{name}={image[name]}" for name in kept]
        started: AbstractContextManager[RunningServer] = model_server(
            "embedded",
            folder / "log",
            f"--model_config_file={config}",
            "--max_num_load_retries=0",
            "--load_retry_interval_micros=1000",
            *flags,
        )
        self.server = stack.enter_context(started)
        self._probe = [word.replace("8501", str(self.server.rest_port)) for word in probe]

    def is_ready(self) -> bool:
        """Run the readiness probe of the manifest."""
        done = subprocess.run(self._probe, check=False, capture_output=True, timeout=20)
        return done.returncode == 0

    def becomes_ready(self) -> bool:
        """Wait until it is ready, as long as a rollout may make no progress."""
        until = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return True


class Deployment:
    """Model servers that are rolled from one release to another, behind one address."""

    def __init__(self, folder: Path, container: Object, stack: ExitStack) -> None:
        self._folder = folder
        self._probe = list(container["readinessProbe"]["exec"]["command"])
        self._stack = stack
        self._pods: list[Pod] = []
        self._started = 0
        self.history: list[Release] = []
        self.service = stack.enter_context(Service())

    def roll(self, release: Release, replicas: int = 1) -> bool:
        """Replace every pod; stop at the first that does not become ready, and leave the old ones."""
        self.history.append(release)
        old = list(self._pods)
        for _ in range(replicas):
            pod = self._start(release)
            if pod is None:
                return False
            self._pods.append(pod)
            self._publish()
            if old:
                self._end(old.pop(0))
        while old:
            self._end(old.pop(0))
        return True

    def undo(self) -> bool:
        """Go back to the release before, as ``kubectl rollout undo`` does."""
        return self.roll(self.history[-2])

    def _start(self, release: Release) -> Pod | None:
        """Start a pod and return it once it is ready, if it ever is."""
        self._started += 1
        try:
            pod = Pod(self._folder / str(self._started), release, self._probe, self._stack)
        except DidNotStartError:  # again and again, on a cluster
            return None
        return pod if pod.becomes_ready() else None

    def _end(self, pod: Pod) -> None:
        self._pods.remove(pod)
        self._publish()
        pod.server.process.terminate()

    def _publish(self) -> None:
        self.service.ports = [pod.server.grpc_port for pod in self._pods]


class Service:
    """An address that passes connections on to one pod after the other."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._turn = 0

    def __enter__(self) -> "Service":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(inside,), daemon=True).start()

    def _pass_on(self, inside: socket.socket) -> None:
        with inside:
            if not self.ports:
                return
            self._turn += 1
            port = self.ports[self._turn % len(self.ports)]
            try:
                outside = socket.create_connection(("127.0.0.1", port))
            except OSError:
                return
            with outside:
                _copy(inside, outside)


def _copy(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until either end closes."""
    ways = {one: other, other: one}
    while True:
        for source in select.select(list(ways), [], [])[0]:
            try:
                content = source.recv(1 << 16)
                ways[source].sendall(content)
            except OSError:
                return
            if not content:
                return
