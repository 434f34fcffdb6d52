from typing import Any

import pytest
from starlette.datastructures import FormData, ImmutableMultiDict, QueryParams

from orchestrator.errors import ParameterError
from orchestrator.routes.parameters import options
from orchestrator.routes.queries import START
from orchestrator.study import Options


def test_nothing_given_means_the_defaults() -> None:
    expected = Options(font_size=40, heatmaps="positive", format="jpeg", max_size=1024)
    assert options({}) == expected
    assert options({"font_size": "", "heatmaps": None}) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("font_size", "12", 12),
        ("font_size", 200, 200),
        ("font_size", 40.0, 40),
        ("max_size", "original", None),
        ("max_size", " Original ", None),
        ("max_size", "2048", 2048),
        ("format", "PNG", "png"),
        ("format", "jpg", "jpeg"),
        ("format", " WebP\n", "webp"),
        ("maps", " True", True),
        ("heatmaps", "all", "all"),
        ("heatmaps", "none", "none"),
        ("heatmaps", "ALL", "all"),
        ("heatmaps", " all", "all"),
        ("heatmaps", "None\n", "none"),
        ("heatmaps", "Positive", "positive"),
        ("heatmaps", [], ()),
        ("heatmaps", "Mass, Pleural_Thickening", ("Mass", "Pleural_Thickening")),
        ("heatmaps", ["Mass"], ("Mass",)),
        ("heatmaps", ["all"], "all"),
        ("heatmaps", ["Positive "], "positive"),
        ("heatmaps", ["none"], "none"),
        ("heatmaps", ["all", "Mass"], ("all", "Mass")),
    ],
)
def test_a_value_is_understood(field: str, value: Any, expected: Any) -> None:
    assert getattr(options({field: value}), field) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("font_size", "abc"),
        ("font_size", "-1"),
        ("font_size", "1e9"),
        ("font_size", "7"),
        ("font_size", "201"),
        ("font_size", "²"),
        ("font_size", True),
        ("font_size", 40.5),
        ("font_size", 1e300),
        ("font_size", float("inf")),
        ("font_size", "9" * 5000),
        ("max_size", "255"),
        ("max_size", "8193"),
        ("max_size", "huge"),
        ("format", "gif"),
        ("heatmaps", 5),
        ("heatmaps", [1]),
        ("heatmaps", {}),
    ],
)
def test_a_value_out_of_bounds_is_refused_naming_the_parameter(field: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=rf"^{field}: expected .*, got ") as caught:
        options({field: value})
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("value", ["2026-02-29", "2026-13-01", "2026-00-10"])
def test_a_day_that_there_is_not_is_refused_as_such(value: str) -> None:
    with pytest.raises(ParameterError, match=rf"^start: expected a day of the calendar, .*{value}"):
        START.read({"start": value})


@pytest.mark.parametrize("kind", [FormData, QueryParams])
def test_a_parameter_that_is_there_twice_is_refused(
    kind: type[ImmutableMultiDict[str, Any]],
) -> None:
    assert options(kind([("heatmaps", "Edema"), ("maps", "true")])).heatmaps == ("Edema",)
    with pytest.raises(ParameterError, match=r"^maps: expected it once, got it 3 times$"):
        options(kind([("maps", "true")] * 3))


def test_labels_in_fields_of_their_own_are_refused_with_how_to_send_them() -> None:
    """As HTTP libraries send a list in a form."""
    fields = FormData([("heatmaps", "Edema"), ("heatmaps", "Mass")])
    advice = (
        r"^heatmaps: expected it once, got it 2 times; separate labels by commas, as in Mass,Edema$"
    )
    with pytest.raises(ParameterError, match=advice):
        options(fields)
    assert options(FormData([("heatmaps", "Mass,Edema")])).heatmaps == ("Mass", "Edema")
