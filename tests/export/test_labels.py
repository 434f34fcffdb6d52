"""Check how labels are read."""

from pathlib import Path

import pytest

from export.errors import ExportError
from export.labels import check_count, check_heatmaps, check_no_finding, read_labels


def test_blank_lines_comments_and_a_byte_order_mark_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\ufeff# ours\n Mass \n\nNodule\r\n", encoding="utf-8")
    assert read_labels(path) == ("Mass", "Nodule")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n# nothing\n", "one label per line"),
        (b"Mass\nNodule\nMass\n", r"\['Mass'\] more than once"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_unusable_label_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=message):
        read_labels(path)


def test_a_missing_label_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No such file"):
        read_labels(tmp_path / "none.txt")


def test_a_count_that_differs_is_refused_with_both_numbers() -> None:
    check_count(("a", "b"), 2)
    with pytest.raises(ExportError, match="it has 3 outputs, got 2 labels"):
        check_count(("a", "b"), 3)


@pytest.mark.parametrize(
    "label", ["No finding", "No_Finding", "no-finding", "NO  FINDING", "No Finding "]
)
def test_no_finding_in_another_spelling_is_refused_with_the_right_one(label: str) -> None:
    with pytest.raises(ExportError, match="write 'No Finding'"):
        check_no_finding(("Mass", label))


def test_no_finding_and_findings_pass() -> None:
    check_no_finding(("No Finding", "Nodule", "Pleural_Thickening", "No Findings Today"))


@pytest.mark.parametrize("label", ["positive", "Positive", " ALL ", "none", "Edema, mild"])
def test_labels_that_cannot_be_asked_for_are_refused_with_what_else_they_mean(label: str) -> None:
    with pytest.raises(ExportError) as refused:
        check_heatmaps(("negative", label))
    assert str(refused.value) == (
        f"expected labels that the service's parameter heatmaps can ask for, got {label!r}: positive, all, none are "
        "keywords there, and a comma separates labels; rename it in the labels file, or in the card file beside the "
        "model"
    )


def test_labels_that_hold_a_keyword_among_other_words_pass() -> None:
    check_heatmaps(("Tuberculosis_positive", "none of these", "Overall", "No Finding"))


def test_labels_that_differ_in_case_or_underscores_alone_are_refused() -> None:
    with pytest.raises(ExportError, match=r"got \['Pleural_Effusion', 'pleural effusion'\]: "):
        check_heatmaps(("Mass", "Pleural_Effusion", "pleural effusion"))
