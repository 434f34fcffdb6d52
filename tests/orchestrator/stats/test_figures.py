"""Test what is made of reports, against numbers worked out by hand."""

import csv
import io
from datetime import date

from orchestrator.stats import table
from orchestrator.stats.figures import LabelFigures, ModelFigures, ModelFilter, series
from orchestrator.stats.periods import Period, each_day
from orchestrator.stats.tally import Cell, of_report, total
from tests.support.reports import report

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
PERIOD = Period(MONDAY, TUESDAY)
DAYS = {
    MONDAY: total(
        [
            of_report(report({"Edema": 0.75, "Mass": 0.25})),
            of_report(report({"Edema": 0.5, "Mass": 0.25})),
        ]
    ),
    TUESDAY: total([of_report(report({"Edema": 0.25, "Nodule": 1.0}, version=2))]),
}


def test_a_report_adds_one_analysis_and_three_numbers_per_label() -> None:
    assert of_report(report({"Edema": 0.75, "Mass": 0.25})) == {
        Cell("densenet", 1, "", "analyses"): 1,
        Cell("densenet", 1, "Edema", "analyses"): 1,
        Cell("densenet", 1, "Edema", "positives"): 1,
        Cell("densenet", 1, "Edema", "sum"): 750_000_000,
        Cell("densenet", 1, "Mass", "analyses"): 1,
        Cell("densenet", 1, "Mass", "positives"): 0,
        Cell("densenet", 1, "Mass", "sum"): 250_000_000,
    }


def test_a_cell_survives_as_text_whatever_its_label() -> None:
    cell = Cell('a "model", é', 3, "Pleural, Thickening|\\", "sum")
    assert Cell.loads(cell.dumps().encode()) == cell


def test_a_mean_is_over_the_analyses_that_had_the_label() -> None:
    (whole,) = series([PERIOD], DAYS).periods
    assert whole.analyses == 3
    assert whole.labels == (
        LabelFigures("Edema", 3, 2, 0.5),
        LabelFigures("Mass", 2, 0, 0.25),
        LabelFigures("Nodule", 1, 1, 1.0),
    )


def test_every_period_has_every_label_of_the_series() -> None:
    monday, tuesday = series(each_day(PERIOD), DAYS).periods
    assert monday.labels[2] == LabelFigures("Nodule", 0, 0, None)
    assert tuesday.labels == (
        LabelFigures("Edema", 1, 0, 0.25),
        LabelFigures("Mass", 0, 0, None),
        LabelFigures("Nodule", 1, 1, 1.0),
    )


def test_models_can_be_told_apart() -> None:
    both = series([PERIOD], DAYS)
    assert both.models == (ModelFigures("densenet", 1, 2), ModelFigures("densenet", 2, 1))
    second = series([PERIOD], DAYS, ModelFilter(version=2))
    assert [each.label for each in second.periods[0].labels] == ["Edema", "Nodule"]
    assert second.periods[0].analyses == 1
    assert series([PERIOD], DAYS, ModelFilter(name="other")).periods[0].analyses == 0


def test_tenths_add_up_exactly() -> None:
    # 0.1 + 0.2 + 0.3 is 0.6000000000000001 in floating point, and 0.6 in another order
    day = total(of_report(report({"Edema": each})) for each in (0.1, 0.2, 0.3))
    (figures,) = series([Period(MONDAY, MONDAY)], {MONDAY: day}).periods
    assert figures.labels[0].mean_probability == 0.2


def test_labels_are_in_the_order_of_the_alphabet_with_no_finding_last() -> None:
    day = of_report(report({"No Finding": 0.5, "Nodule": 0.5, "Edema": 0.5, "Pneumonia": 0.5}))
    (figures,) = series([Period(MONDAY, MONDAY)], {MONDAY: day}).periods
    names = [each.label for each in figures.labels]
    assert names == ["Edema", "Nodule", "Pneumonia", "No Finding"]


def test_nothing_recorded_is_an_empty_series() -> None:
    (figures,) = series([PERIOD], {}).periods
    assert (figures.analyses, figures.labels) == (0, ())


def test_csv_has_a_line_per_period_and_label() -> None:
    lines = list(csv.reader(io.StringIO(table.as_csv(series(each_day(PERIOD), DAYS)))))
    assert lines[0] == [
        "period",
        "start",
        "end",
        "label",
        "analyses",
        "positives",
        "mean_probability",
    ]
    day = ["2026-11-16"] * 3
    assert lines[1] == [*day, "Edema", "2", "2", "0.625"]
    assert lines[3] == [*day, "Nodule", "0", "0", ""]
    assert len(lines) == 1 + 2 * 3


def test_json_names_periods_and_models() -> None:
    found = table.daily_as_json(series(each_day(PERIOD), DAYS))
    assert found["timezone"] == "UTC"
    assert (found["start"], found["end"]) == ("2026-11-16", "2026-11-17")
    assert found["models"][1] == {"name": "densenet", "version": 2, "analyses": 1}
    assert found["days"][0] == {
        "date": "2026-11-16",
        "start": "2026-11-16",
        "end": "2026-11-16",
        "analyses": 2,
        "labels": [
            {"label": "Edema", "analyses": 2, "positives": 2, "mean_probability": 0.625},
            {"label": "Mass", "analyses": 2, "positives": 0, "mean_probability": 0.25},
            {"label": "Nodule", "analyses": 0, "positives": 0, "mean_probability": None},
        ],
    }
