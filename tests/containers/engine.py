"""Drive a container engine, Docker or Podman, through its command line."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.containers.env_example import ROOT

STAND_INS = Path(__file__).parent / "standins"
LABEL = "cxr.stand-in"


class EngineError(Exception):
    """A command of the engine failed; the message is what it wrote."""


@dataclass(frozen=True)
class Engine:
    """One engine and one project of its compose.

    Attributes:
        program: ``docker`` or ``podman``.
        compose: The command that reads compose files.
        project: Name of the project: prefix of containers, networks and volumes.
        environment: Variables for compose, beside this process's.
    """

    program: str
    compose: Sequence[str]
    project: str
    environment: Mapping[str, str] = field(repr=False)

    def run(self, *arguments: str, seconds: float = 120) -> str:
        """Run a command of the engine, and return what it printed."""
        return self._run([self.program, *arguments], seconds)

    def up(self, *arguments: str, seconds: float = 900) -> str:
        """Run a command of compose, and return what it printed."""
        return self._run([*self.compose, *arguments], seconds)

    def build(self, tag: str, dockerfile: Path, *arguments: str) -> None:
        """Build an image whose Dockerfile needs no files."""
        self.run(
            *("build", *self._build_options(), *arguments, "--tag", tag),
            *("--file", str(dockerfile), str(dockerfile.parent)),
            seconds=900,
        )

    def image(self, name: str) -> Any:
        """Return what is known of an image, or nothing if it is not here."""
        try:
            (found,) = json.loads(self.run("image", "inspect", name))
        except EngineError:
            return None
        return found

    def containers(self) -> dict[str, Any]:
        """Return what is known of the project's containers, by their names."""
        label = "com.docker.compose.project=" + self.project
        names = self.run("ps", "--all", "--quiet", "--filter", f"label={label}").split()
        found = json.loads(self.run("inspect", *names)) if names else []
        return {container["Name"].strip("/"): container for container in found}

    def named(self, service: str) -> list[str]:
        """Return the names of a service's containers."""
        return [
            name
            for name, container in self.containers().items()
            if container["Config"]["Labels"]["com.docker.compose.service"] == service
        ]

    def healthy(self, container: str) -> bool:
        """Run a container's health check by hand; Podman only."""
        command = ["podman", "healthcheck", "run", container]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def logs(self, container: str) -> str:
        """Return the last lines that a container wrote."""
        command = [self.program, "logs", "--tail", "15", container]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.stdout + done.stderr

    def _build_options(self) -> list[str]:
        # Podman's own format of images knows no HEALTHCHECK.
        return ["--network=host", "--format=docker"] if self.program == "podman" else []

    def _run(self, command: Sequence[str], seconds: float) -> str:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=ROOT,
            env={**os.environ, **self.environment},
        )
        if done.returncode != 0:
            raise EngineError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout


def find_engine(project: str, environment: Mapping[str, str]) -> Engine:
    """Return Docker with its compose, or Podman with podman-compose.

    Raises:
        EngineError: There is neither.
    """
    if shutil.which("docker") and _works("docker", "compose", "version"):
        compose = ["docker", "compose", "--project-name", project]
        return Engine("docker", compose, project, environment)
    if shutil.which("podman") and shutil.which("podman-compose"):
        compose = [
            *("podman-compose", "--project-name", project),
            "--podman-build-args=--network=host --format=docker",
        ]
        return Engine("podman", compose, project, environment)
    raise EngineError("expected Docker with Compose, or Podman with podman-compose, found neither")


def _works(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
