from datetime import date
from typing import Annotated, Literal, NotRequired, TypedDict

import pytest

from orchestrator.answers import note
from orchestrator.openapi.json_schema import Schemas


class Spot(TypedDict):
    """A place."""

    x: Annotated[int, note("In pixels.", minimum=0)]


class Shape(TypedDict):
    """Something drawn."""

    kind: Literal["line", "dot"]
    spots: list[Spot]
    weight: NotRequired[float | None]


class NamedShapeAnswer(Shape):
    """A shape that has a name."""

    name: Annotated[str, note(pattern="^[a-z]$")]
    fixed: Literal["yes"]
    sizes: dict[str, int]
    on: bool


def test_a_type_becomes_the_schema_written_by_hand() -> None:
    schemas = Schemas()
    assert schemas.of(NamedShapeAnswer) == {"$ref": "#/components/schemas/NamedShape"}
    assert schemas.components == {
        "Spot": {
            "type": "object",
            "description": "A place.",
            "properties": {"x": {"type": "integer", "description": "In pixels.", "minimum": 0}},
            "required": ["x"],
        },
        "NamedShape": {
            "type": "object",
            "description": "A shape that has a name.",
            "properties": {
                "kind": {"type": "string", "enum": ["line", "dot"]},
                "spots": {"type": "array", "items": {"$ref": "#/components/schemas/Spot"}},
                "weight": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                "name": {"type": "string", "pattern": "^[a-z]$"},
                "fixed": {"type": "string", "const": "yes"},
                "sizes": {"type": "object", "additionalProperties": {"type": "integer"}},
                "on": {"type": "boolean"},
            },
            "required": ["kind", "spots", "name", "fixed", "sizes", "on"],
        },
    }


def test_a_type_that_json_can_not_hold_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a type that JSON can hold, got .*date"):
        Schemas().of(date)
