"""Write ``.env.example`` out of the settings, so that none is missing: ``make env-example``."""

import dataclasses
from pathlib import Path
from typing import Final

import yaml

from orchestrator.settings import Settings

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / ".env.example"
COMPOSE: Final = ROOT / "compose.yaml"

# Shown ready to be filled in: those that a first start is about.
_FIRST: Final = (
    "DASHBOARD_PASSWORD",
    "CLOUDINARY_CLOUD_NAME",
    "CLOUDINARY_API_KEY",
    "CLOUDINARY_API_SECRET",
    "MODEL_PATH",
)
# What compose.yaml reads beside the settings, with its defaults.
STACK: Final = (
    ("GRAFANA_PASSWORD", "", "Password of Grafana's `admin`; `admin`, to be changed, if unset."),
    (
        "PUBLISH_ADDRESS",
        "127.0.0.1",
        "Address of this machine that API and dashboard are published on; 0.0.0.0 is every one, and needs ACCESS=keys.",
    ),
    ("PROMETHEUS_PORT", "9090", "Port of Prometheus, on loopback."),
    ("GRAFANA_PORT", "3000", "Port of Grafana, on loopback."),
    ("COMPOSE_PROFILES", "", "`gpu` starts the model server for NVIDIA's GPUs."),
    ("CPU_MODEL_SERVERS", "1", "Model servers on the CPU; 0 beside the profile `gpu`."),
    ("WORKER_CONTAINERS", "2", "Containers of the worker."),
    ("TAG", "latest", "Tag of the project's own images."),
    ("REVISION", "", "Revision that the images are built from; part of the version they tell."),
    ("ENV_FILE", ".env", "File that the containers take the settings from."),
)
_HEAD: Final = """\
# Settings of the stack: copy to .env and fill in. docs/containers.md tells what needs to be set first.
# A line that is commented out shows the default. Written by `make env-example`.
"""
_INSIDE: Final = (
    "# compose.yaml sets these itself inside the containers: {}.\n"
    "# Here PORT and DASHBOARD_PORT are those at which API and dashboard are published; ACCESS is `open` if unset.\n"
)


def env_example() -> str:
    """Return the text of ``.env.example``."""
    wiring = yaml.safe_load(COMPOSE.read_text())["x-wiring"]
    parts = [_HEAD, _INSIDE.format(", ".join(sorted(wiring)))]
    for field in dataclasses.fields(Settings):
        name = field.name.upper()
        default = "" if field.default in (None, ()) else str(field.default)
        parts.append(_entry(name, default, str(field.metadata["help"])))
    parts.append("# Of the stack alone.\n")
    parts += [_entry(*entry) for entry in STACK]
    return "\n".join(parts)


def _entry(name: str, default: str, text: str) -> str:
    mark = "" if name in _FIRST or name == "GRAFANA_PASSWORD" else "#"
    return f"# {text}\n{mark}{name}={default}\n"


if __name__ == "__main__":
    FILE.write_text(env_example())
