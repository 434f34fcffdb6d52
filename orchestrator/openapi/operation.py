"""Hold what the description of one operation says beyond its route and its handler's docstring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestrator.errors import ServiceError
from orchestrator.routes.kinds import Parameter

Tag = Literal[
    "Analyses", "Tasks", "Batches", "Pictures", "Statistics", "Access", "Health", "Description"
]


@dataclass(frozen=True, kw_only=True)
class Body:
    """What a request carries.

    Attributes:
        media_type: ``multipart/form-data`` or ``application/json``.
        image: Name of the field with the image, and its schema.
        fields: The other fields.
        example: A body that works; only JSON can hold one.
    """

    media_type: str
    image: tuple[str, Mapping[str, Any]]
    fields: tuple[Parameter[Any], ...]
    example: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer that is no error.

    Attributes:
        status: Its status.
        text: What it means.
        content: By media type, the type of a JSON answer, or the schema of another one.
        headers: Names of the headers it may have.
        links: Operations that go on from here: name to path, with the field that leads there.
    """

    text: str
    status: int = 200
    content: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    links: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation.

    Attributes:
        tag: The heading it stands under.
        answers: What it answers when all is well.
        errors: What it answers when not; every operation may also answer a defect.
        more: Sentences after those of the handler's docstring.
        query: Parameters of the query.
        headers: Names of the request headers it looks at.
        body: What the request carries.
    """

    tag: Tag
    answers: tuple[Answer, ...]
    errors: tuple[type[ServiceError], ...] = ()
    more: str = ""
    query: tuple[Parameter[Any], ...] = ()
    headers: tuple[str, ...] = ()
    body: Body | None = None
