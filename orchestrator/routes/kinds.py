"""Say once what a parameter takes: the same bounds refuse values and stand in the API's description."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Generic, Protocol, TypeVar, get_args

from starlette.datastructures import ImmutableMultiDict

from orchestrator.errors import ParameterError
from serving.contract import HeatmapsKeyword

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Text = TypeVar("_Text", bound=str)

_KEYWORDS: Final[tuple[HeatmapsKeyword, ...]] = get_args(HeatmapsKeyword)
_ORIGINAL: Final = "original"
_MAX_SHOWN: Final = 60
_MOST_DIGITS: Final = 10


class Kind(Protocol[_T_co]):
    """What values a parameter takes."""

    @property
    def expected(self) -> str:
        """Return what is told to whoever sends something else."""
        ...

    def read(self, value: Any) -> _T_co:
        """Return what a form field, a query parameter or a JSON value means.

        Raises:
            ValueError: It is none of those that are taken.
        """
        ...

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken; a form or a query can't hold its arrays."""
        ...


@dataclass(frozen=True)
class Parameter(Generic[_T]):
    """One parameter.

    Attributes:
        name: Its name.
        kind: What it takes.
        description: What it does.
        default: What it means when it is absent or empty.
        example: A value as a caller would write it.
        advice: What to do instead, told to whoever sends it several times.
    """

    name: str
    kind: Kind[_T]
    description: str
    default: _T
    example: Any = None
    advice: str = ""

    def read(self, fields: Mapping[str, Any]) -> _T:
        """Return its value among the fields of a form, a query or a JSON object.

        Raises:
            ParameterError: It is none of those that it takes, or there are several.
        """
        times = len(fields.getlist(self.name)) if isinstance(fields, ImmutableMultiDict) else 1
        if times > 1:
            advice = f"; {self.advice}" if self.advice else ""
            raise ParameterError(f"{self.name}: expected it once, got it {times} times{advice}")
        value = fields.get(self.name)
        if value is None or value == "":
            return self.default
        try:
            return self.kind.read(value)
        except ValueError as err:
            raise ParameterError(
                f"{self.name}: expected {self.kind.expected}, got {_shown(value)}"
            ) from err


def refuse_unknown(fields: Iterable[str], known: Sequence[Parameter[Any]]) -> None:
    """Refuse parameters that would be overlooked: a misspelt filter must not answer unfiltered figures.

    Raises:
        ParameterError: A name is none of the known.
    """
    names = [parameter.name for parameter in known]
    if not set(fields) <= set(names):
        raise ParameterError(f"expected no parameters but {', '.join(names)}, got another one")


def refuse_in_query(query: Mapping[str, Any], known: Sequence[Parameter[Any]]) -> None:
    """Refuse parameters of a body that stand in the query, where they would be overlooked.

    Raises:
        ParameterError: The query has one of the known.
    """
    for parameter in known:
        if parameter.name in query:
            raise ParameterError(
                f"{parameter.name}: expected it in the body, as a field of the form or of the JSON object, got it in"
                " the query; send it beside the image"
            )


def _shown(value: Any) -> str:
    """Return a value as an error may repeat it: short, and no file with its name."""
    if not isinstance(value, str | int | float | list | dict):
        return "a file"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _word(value: Any) -> str:
    """Return a value as a word that callers may write in capitals and with spaces around it."""
    return str(value).strip().lower()


@dataclass(frozen=True)
class WholeNumber:
    """Take a whole number within bounds, both included."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """Return what is told to whoever sends something else."""
        return f"a whole number from {self.low} to {self.high}"

    def read(self, value: Any) -> int:
        """Return the number; JSON may hold it as text as well, or as 40.0."""
        whole = isinstance(value, float) and value.is_integer()
        text = str(int(value) if whole else value).strip()
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if isinstance(value, bool) or not is_number or not self.low <= int(text) <= self.high:
            raise ValueError(self.expected)
        return int(text)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Size:
    """Take a whole number within bounds, or ``original``, in capitals as well, which is read as None."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """Return what is told to whoever sends something else."""
        return f"{WholeNumber(self.low, self.high).expected} or '{_ORIGINAL}'"

    def read(self, value: Any) -> int | None:
        """Return the number, or None for the word."""
        return None if _word(value) == _ORIGINAL else WholeNumber(self.low, self.high).read(value)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        number = WholeNumber(self.low, self.high).schema()
        return {"anyOf": [number, {"type": "string", "const": _ORIGINAL}]}


@dataclass(frozen=True)
class Choice(Generic[_Text]):
    """Take one of some words, in capitals as well."""

    words: tuple[_Text, ...]
    aliases: Mapping[str, _Text] = field(default_factory=dict)

    @property
    def expected(self) -> str:
        """Return what is told to whoever sends something else."""
        return f"one of {', '.join(self.words)}"

    def read(self, value: Any) -> _Text:
        """Return the word."""
        name = _word(value)
        for word in self.words:
            if word == self.aliases.get(name, name):
                return word
        raise ValueError(self.expected)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True)
class Heatmaps:
    """Take a keyword or labels, in capitals as well: a comma-separated text, or a list in JSON."""

    expected: str = "'positive', 'all', 'none' or labels, comma-separated"

    def read(self, value: Any) -> HeatmapsKeyword | tuple[str, ...]:
        """Return the keyword or the labels."""
        names: Sequence[Any] = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(self.expected)
        words = [_word(name) for name in names]
        for keyword in _KEYWORDS:
            if words == [keyword]:
                return keyword
        return tuple(name.strip() for name in names)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        text: dict[str, Any] = {"type": "string"}
        return {"anyOf": [text, {"type": "array", "items": text}]}


@dataclass(frozen=True)
class Flag:
    """Take ``true`` or ``false``."""

    expected: str = "'true' or 'false'"

    def read(self, value: Any) -> bool:
        """Return which."""
        text = _word(value)
        if text not in ("true", "false"):
            raise ValueError(self.expected)
        return text == "true"

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class IsoDate:
    """Take a date of this millennium."""

    expected: str = "a day of the calendar, from 2000 to 2999, such as 2026-11-22"
    pattern: str = "^2[0-9]{3}-[0-9]{2}-[0-9]{2}$"

    def read(self, value: Any) -> date:
        """Return the date; ``date.fromisoformat`` alone takes 2026-W47-7 as well."""
        text = str(value)
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.expected)
        return date.fromisoformat(text)

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        return {"type": "string", "format": "date", "pattern": self.pattern}


@dataclass(frozen=True)
class Text:
    """Take a text, of a pattern or any; further rules are the reader's."""

    expected: str = "text"
    pattern: str = ""

    def read(self, value: Any) -> str:
        """Return the text."""
        if not isinstance(value, str) or (self.pattern and not re.fullmatch(self.pattern, value)):
            raise ValueError(self.expected)
        return value

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what is taken."""
        return {"type": "string"} | ({"pattern": self.pattern} if self.pattern else {})
