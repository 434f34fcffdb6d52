"""Trace without knowing OpenTelemetry: spans as the rest of the service uses them, and none where tracing is off.

The span in force is known by its ``traceparent`` (https://www.w3.org/TR/trace-context/), which is what travels: in a
request's header, a task's record, a gRPC call's metadata.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, Literal, Protocol

Kind = Literal["server", "internal", "client", "producer", "consumer"]
Attributes = dict[str, str | int]

_current: ContextVar[str] = ContextVar("traceparent", default="")


def traceparent() -> str:
    """Return the ``traceparent`` of the span in force, or nothing."""
    return _current.get()


@contextmanager
def in_force(parent: str) -> Iterator[None]:
    """Put a span in force."""
    token = _current.set(parent)
    try:
        yield
    finally:
        _current.reset(token)


class Span(Protocol):
    """A span that has not ended."""

    def name(self, name: str) -> None:
        """Give it another name."""
        ...

    def add(self, attributes: Attributes) -> None:
        """Add attributes: templates, codes and counts, never identifiers of patients or pixels."""
        ...

    def fail(self, code: str) -> None:
        """Mark it as failed, with the stable code of the error."""
        ...


class Tracer(Protocol):
    """Make spans."""

    def span(
        self, name: str, kind: Kind = "internal", parent: str | None = None
    ) -> AbstractContextManager[Span]:
        """Open a span and put it in force; an exception that passes marks it as failed.

        Args:
            name: What is done.
            kind: Its part in a call.
            parent: The ``traceparent`` it belongs to; that of the span in force if None.
        """
        ...

    def close(self) -> None:
        """Send what was not sent yet."""
        ...


class _NoSpan:
    def name(self, name: str) -> None:
        """Do nothing."""

    def add(self, attributes: Attributes) -> None:
        """Do nothing."""

    def fail(self, code: str) -> None:
        """Do nothing."""


class NoTracer:
    """Make no spans."""

    def span(
        self,
        name: str,  # noqa: ARG002 - the protocol's
        kind: Kind = "internal",  # noqa: ARG002 - the protocol's
        parent: str | None = None,  # noqa: ARG002 - the protocol's
    ) -> AbstractContextManager[Span]:
        """Open nothing."""
        return _NOTHING

    def close(self) -> None:
        """Do nothing."""


_NOTHING: Final = nullcontext[Span](_NoSpan())
NO_TRACER: Final = NoTracer()
