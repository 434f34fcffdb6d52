import math

import numpy as np

from orchestrator.evaluation.figures import Figures, Row
from orchestrator.evaluation.localisation import Pointing
from orchestrator.evaluation.plot import draw
from orchestrator.evaluation.table import as_table

POINTING = Pointing(0.9, 0.1, 0.8, 0.05, 0.4, 0.02, 0.3, 0.04)


def figures(*rows: Row) -> Figures:
    model = {"name": "densenet", "version": 1, "card_digest": "d"}
    return Figures(model, 7, rows, {"macro_auroc": 0.8}, ("Gout",), ("Fever",), {})


def row(label: str, auroc: float, pointing: Pointing | None = None) -> Row:
    return Row(label, 3, 4, auroc, 0.1, 0.5, 0.7, 0.8, 3 if pointing else 0, pointing)


def test_the_table_has_a_line_per_label_and_chance_in_brackets() -> None:
    lines = as_table(figures(row("Mass", 0.875, POINTING), row("Edema", math.nan))).splitlines()
    assert lines[0].split()[:2] == ["label", "positives"]
    assert "0.875" in lines[1]
    assert "0.900 (0.100)" in lines[1]
    assert lines[2].split() == [
        "Edema",
        "3",
        "-",
        "0.100",
        "0.700",
        "0.800",
        "0",
        "-",
        "-",
        "-",
        "-",
    ]
    assert "macro auroc: 0.800" in lines
    assert any("Gout" in line for line in lines)
    assert any("Fever" in line for line in lines)


def test_the_table_leaves_localisation_out_where_there_are_no_boxes() -> None:
    table = as_table(figures(row("Mass", 0.875)))
    assert "IoU" not in table
    assert "bracket" not in table


def blue(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    return int((picture[..., 2].astype(int) - picture[..., 0] > 80).sum())


def test_a_bar_is_as_long_as_its_figure() -> None:
    full, half, none = (
        np.asarray(draw(figures(row("Mass", value)))) for value in (1.0, 0.5, math.nan)
    )
    lengths = [blue(picture) - blue(none) for picture in (full, half)]
    assert lengths[0] > 0
    assert 0.45 < lengths[1] / lengths[0] < 0.55


def test_the_picture_grows_with_labels_and_panels() -> None:
    one = draw(figures(row("Mass", 0.9)))
    two = draw(figures(row("Mass", 0.9, POINTING), row("Edema", 0.8)))
    assert two.height > one.height
    assert two.width > one.width


def test_the_longest_label_ends_before_the_bars() -> None:
    long = "Support devices and catheters of all kinds, " * 2
    picture = np.asarray(draw(figures(row(long, 1.0)))).astype(int)
    line = picture[86:108]
    is_ink = (line.max(axis=2) < 100).any(axis=0)
    is_bar = (line[..., 2] - line[..., 0] > 80).all(axis=0)
    start = int(np.flatnonzero(is_bar)[0])

    assert is_ink[:start].any()
    assert not is_ink[start - 5 : start + 140].any()
    assert picture.shape[1] > draw(figures(row("Mass", 1.0))).width
