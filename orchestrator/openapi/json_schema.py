"""Turn the types of answers into JSON Schema (draft 2020-12, as OpenAPI 3.1 takes it)."""

import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from orchestrator.answers import Note

Schema = dict[str, Any]

_PLAIN: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}


class Schemas:
    """Collect the schemas of named types, and refer to them.

    Attributes:
        components: Schema by name, of every type that was referred to.
    """

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._forms: dict[Any, Callable[..., Schema]] = {
            Annotated: self._noted,
            NotRequired: self.of,
            Literal: _literal,
            Union: self._union,
            UnionType: self._union,
            list: lambda items: {"type": "array", "items": self.of(items)},
            dict: lambda _, values: {"type": "object", "additionalProperties": self.of(values)},
        }

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type: a reference for a TypedDict, the schema itself for others.

        Raises:
            TypeError: It is of a kind that no answer has.
        """
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        if is_typeddict(kind):
            return self._reference(kind)
        of_form = self._forms.get(get_origin(kind))
        if of_form is None:
            raise TypeError(f"expected a type that JSON can hold, got {kind}")
        return of_form(*get_args(kind))

    def _reference(self, kind: Any) -> Schema:
        name = kind.__name__.removesuffix("Answer")
        if name not in self.components:
            hints = get_type_hints(kind, include_extras=True)
            self.components[name] = {
                "type": "object",
                "description": inspect.getdoc(kind),
                "properties": {field: self.of(hint) for field, hint in hints.items()},
                "required": [field for field in hints if field in kind.__required_keys__],
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def _union(self, *kinds: Any) -> Schema:
        return {"anyOf": [self.of(kind) for kind in kinds]}

    def _noted(self, kind: Any, *notes: Note) -> Schema:
        schema = self.of(kind)
        for note in notes:
            schema |= {"description": note.text} if note.text else {}
            schema |= note.keywords
        return schema


def _literal(*values: str) -> Schema:
    if len(values) == 1:
        return {"type": "string", "const": values[0]}
    return {"type": "string", "enum": list(values)}
