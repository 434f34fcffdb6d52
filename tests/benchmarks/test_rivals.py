"""Check who is let into the comparison, and what becomes of those who are missing."""

import math
from collections import Counter

import pytest

from benchmarks.rivals.compare import BETTER, MOST, OURS, Turns, check, figures
from benchmarks.rivals.environment import RivalError
from benchmarks.rivals.server import Answer

EXPECTED = Answer({"Mass": 0.5, "Edema": 0.25}, ((1024, 1200), (1024, 1200)))
SECONDS = {OURS: [0.1, 0.2], "naive shape": [3.0, 8.0]}
RATES = {OURS: [20.0, 30.0], "BentoML": [10.0, 20.0], "LitServe": [16.0, 15.0]}


def test_who_answers_the_same_is_let_in() -> None:
    check("LitServe", Answer({"Mass": 0.5009, "Edema": 0.25}, EXPECTED.sizes), EXPECTED)
    # its figures have other margins
    check("naive shape", Answer(EXPECTED.probabilities, ((1024, 1024),) * 2), EXPECTED)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Answer({"Mass": 0.5}, EXPECTED.sizes), "other labels"),
        (Answer({"Mass": 0.502, "Edema": 0.25}, EXPECTED.sizes), "0.0020 apart"),
        (Answer(EXPECTED.probabilities, EXPECTED.sizes[:1]), "1 overlays, not 2"),
        (Answer(EXPECTED.probabilities, ((512, 600),) * 2), "512, 600"),
    ],
)
def test_who_does_less_is_not(found: Answer, reason: str) -> None:
    with pytest.raises(RivalError, match=reason):
        check("BentoML", found, EXPECTED)


def test_ratios_by_hand() -> None:
    naive, frameworks, *_ = figures(Turns(SECONDS, RATES))

    assert naive.value == pytest.approx(35.0)  # 30 and 40
    assert naive.holds
    # the better one of each round: 20 / 16 and 30 / 20
    assert frameworks.name == BETTER
    assert (frameworks.low, frameworks.high) == (1.25, 1.5)
    assert frameworks.holds


def test_what_could_be_reached_stands_beside_what_was() -> None:
    found = {each.name: each for each in figures(Turns(SECONDS, RATES, unserved=[24.0, 22.0]))}

    most = found[MOST]
    assert (most.low, most.high) == (1.1, 1.5)  # to the better one of each round
    assert most.limit == ""


def test_a_rival_that_is_missing_lets_its_ratio_fall_short_and_says_why() -> None:
    rates = {name: values for name, values in RATES.items() if name != "LitServe"}

    naive, frameworks, *others = figures(
        Turns(SECONDS, rates, missing={"LitServe": "can't be installed: no"})
    )

    assert naive.holds
    assert math.isnan(frameworks.value)
    assert not frameworks.holds
    assert frameworks.note == "can't be installed: no"
    assert "LitServe" not in " ".join(figure.name for figure in others)


def test_requests_that_a_rival_fails_are_named() -> None:
    _, _, *shown = figures(Turns(SECONDS, RATES, failed=Counter(BentoML=2)))

    notes = {figure.name: figure.note for figure in shown if figure.note}
    assert notes == {
        "images per second with 8 clients, BentoML": "2 requests of all were answered with an error"
    }
