import subprocess
from pathlib import Path
from typing import Any

import pytest

from export.card_file import card_file
from export.cli import export as command_line
from orchestrator.model_source import digest, export
from orchestrator.settings import Settings


@pytest.mark.parametrize("name", ["best.keras", "link.keras", "best.v2.keras"])
def test_the_card_file_is_the_one_that_the_exporter_reads(name: str, tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "best.keras").write_bytes(b"weights")
    if name == "link.keras":
        (tmp_path / name).symlink_to("v1/best.keras")
    else:
        (tmp_path / name).write_bytes(b"weights")
    settings = Settings.from_mapping({"MODEL_PATH": str(tmp_path / name)})
    without = digest(settings)
    card_file(tmp_path / name).write_text("{}")
    first = digest(settings)
    card_file(tmp_path / name).write_text('{"resize": "crop"}')
    assert len({without, first, digest(settings)}) == 3


def test_the_card_file_beside_what_a_link_leads_to_is_not_the_links(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "best.keras").write_bytes(b"weights")
    (tmp_path / "link.keras").symlink_to("v1/best.keras")
    settings = Settings.from_mapping({"MODEL_PATH": str(tmp_path / "link.keras")})
    before = digest(settings)
    (tmp_path / "v1" / "best.card.json").write_text("{}")
    assert digest(settings) == before


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what the exporter's command line reads of each command that would be run."""
    options: list[dict[str, Any]] = []

    def run(command: list[str], *, check: bool, preexec_fn: object) -> None:
        assert check
        arguments = command[command.index("export") + 1 :]
        options.append(command_line.make_context("export", arguments).params)

    monkeypatch.setattr(subprocess, "run", run)
    return options


@pytest.mark.parametrize("model", [{}, {"MODEL_PATH": "best.keras"}])
def test_the_card_names_the_model_as_the_server_does(
    model: dict[str, str], asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    for name in ("densenet", "chest"):
        export(Settings.from_mapping({**model, "MODEL_NAME": name}), tmp_path)
    assert [options["name"] for options in asked] == ["densenet", "chest"]
    assert [options["demo"] for options in asked] == [not model] * 2


def test_another_name_is_another_export_and_the_exporters_own_is_none(tmp_path: Path) -> None:
    (tmp_path / "best.keras").write_bytes(b"weights")
    path = {"MODEL_PATH": str(tmp_path / "best.keras")}
    unnamed, own, other = (
        digest(Settings.from_mapping({**path, **name}))
        for name in ({}, {"MODEL_NAME": "densenet"}, {"MODEL_NAME": "chest"})
    )
    assert unnamed == own != other
