import json
import resource
import signal
from pathlib import Path

import pytest

from orchestrator.errors import ModelContractError
from orchestrator.thresholds import ThresholdsError, ThresholdSet, read_thresholds, write_thresholds
from tests.support.cards import card

CARD = card()


def made_for(digest: str, **thresholds: float) -> ThresholdSet:
    return ThresholdSet(
        model_name="densenet", card_digest=digest, thresholds=thresholds, method="youden", images=9
    )


def test_thresholds_come_in_the_order_of_the_card() -> None:
    assert made_for(CARD.digest, Edema=0.2, Mass=0.7).for_card(CARD) == (0.7, 0.2)


def test_a_set_made_for_another_model_is_refused_with_both_digests() -> None:
    with pytest.raises(ModelContractError) as refused:
        made_for("a" * 64, Edema=0.2, Mass=0.7).for_card(CARD)
    assert "aaaaaaaaaaaa" in refused.value.detail
    assert CARD.digest[:12] in refused.value.detail


def test_a_set_without_one_of_the_labels_is_refused() -> None:
    with pytest.raises(ModelContractError, match="Edema"):
        made_for(CARD.digest, Mass=0.7).for_card(CARD)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "thresholds.json"
    values = made_for(CARD.digest, Edema=0.123456789, Mass=0.7)
    write_thresholds(path, values)
    assert read_thresholds(path) == values


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format 1"),
        ({"thresholds": {"Mass": 1.5}}, "1.5"),
        ({"thresholds": {"Mass": float("nan")}}, "nan"),
        ({"thresholds": {"Mass": "high"}}, "high"),
        ({"thresholds": {}}, "none"),
        ({"thresholds": [0.5]}, "expected"),
        ({"images": None}, "expected"),
    ],
)
def test_a_file_that_is_no_set_is_refused(
    change: dict[str, object], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "thresholds.json"
    write_thresholds(path, made_for(CARD.digest, Mass=0.7))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ThresholdsError, match=reason):
        read_thresholds(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_other_json_is_refused_with_the_way_to_a_set(text: str, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(text)
    with pytest.raises(ThresholdsError, match="cxr calibrate"):
        read_thresholds(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ThresholdsError, match="No such file"):
        read_thresholds(tmp_path / "absent.json")


def test_a_disk_that_is_full_leaves_the_earlier_set(
    tmp_path: Path,
) -> None:
    path = tmp_path / "thresholds.json"
    earlier = made_for(CARD.digest, Edema=0.2, Mass=0.7)
    write_thresholds(path, earlier)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_thresholds(path, made_for("a" * 64, Edema=0.3, Mass=0.6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, usual)

    assert read_thresholds(path) == earlier
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_leads_to_what_is_written(tmp_path: Path) -> None:
    link = tmp_path / "current.json"
    link.symlink_to(tmp_path / "thresholds.json")
    values = made_for(CARD.digest, Edema=0.2, Mass=0.7)
    for _ in range(2):
        write_thresholds(link, values)
    assert link.is_symlink()
    assert read_thresholds(tmp_path / "thresholds.json") == values
