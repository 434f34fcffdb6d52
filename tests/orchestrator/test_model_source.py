from pathlib import Path

import pytest

from export.card_file import card_file
from orchestrator.model_source import digest
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
