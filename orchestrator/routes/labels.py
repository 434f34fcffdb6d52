"""Refuse labels that the model doesn't have before a task is made of them, where that can be told."""

from contextlib import suppress
from typing import Final

from orchestrator.errors import DependencyError, ParameterError
from orchestrator.model.client import ModelClient
from orchestrator.rendering import refuse_unknown
from orchestrator.study import Options

_ASK_SECONDS: Final = 2.0


def refuse_early(options: Options, model: ModelClient) -> None:
    """Refuse options that ask for a label which the served model doesn't have.

    Tasks are accepted while the model server is away, so nobody is asked unless the card that was read last says no:
    another model may be served by now. What can't be told here, the task tells.

    Raises:
        ParameterError: They do.
    """
    last = model.last
    if last is None:
        return
    try:
        refuse_unknown(options, last.card.labels)
    except ParameterError:
        model.forget()
        with suppress(DependencyError):
            refuse_unknown(options, model.describe(timeout=_ASK_SECONDS).card.labels)
