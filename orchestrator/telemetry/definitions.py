"""Name every metric that this service counts itself; docs/metrics.md tells what each is for.

Labels hold templates of routes, stable codes, stages, labels of the model: things of which there are few, and none of
which a caller or a patient could have written.
"""

from dataclasses import dataclass
from typing import Final, Literal

_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_REQUEST: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# From a moment to an hour, with the bound of the alert on an old queue (300 s) among them.
_LONG: Final = (
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
# Finer at the ends, where most probabilities of a sound model lie.
_PROBABILITY: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)


@dataclass(frozen=True)
class Definition:
    """One metric.

    Attributes:
        name: Its name, without the suffix that its kind adds.
        kind: ``counter`` adds up, ``histogram`` observes, ``in_flight`` goes up and down, ``info`` is 1 for the
            labels it was told last.
        text: What it counts.
        labels: Names of its labels.
        buckets: Upper bounds of a histogram.
    """

    name: str
    kind: Literal["counter", "histogram", "in_flight", "info"]
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


HTTP_DURATION: Final = Definition(
    "cxr_http_request_duration_seconds",
    "histogram",
    "Time from a request's head to the end of its answer.",
    ("method", "route", "status"),
    _REQUEST,
)
HTTP_IN_FLIGHT: Final = Definition(
    "cxr_http_requests_in_flight", "in_flight", "Requests that are being answered."
)
HTTP_PROBLEMS: Final = Definition(
    "cxr_http_problems",
    "counter",
    "Answers that are problem documents, by their stable code.",
    ("route", "code"),
)
STAGE_DURATION: Final = Definition(
    "cxr_stage_duration_seconds",
    "histogram",
    "Time that a stage of an analysis took, if it ended well.",
    ("mode", "stage"),
    _QUICK,
)
STAGE_ERRORS: Final = Definition(
    "cxr_stage_errors",
    "counter",
    "Stages of an analysis that ended in an error, by its stable code.",
    ("mode", "stage", "code"),
)
PROBABILITY: Final = Definition(
    "cxr_label_probability",
    "histogram",
    "Probabilities that the model gave a label.",
    ("label", "model_version"),
    _PROBABILITY,
)
POSITIVES: Final = Definition(
    "cxr_label_positives",
    "counter",
    "Analyses in which a label reached its threshold.",
    ("label", "model_version"),
)
TASK_WAIT: Final = Definition(
    "cxr_task_wait_seconds",
    "histogram",
    "Time from a task's acceptance to its first begin.",
    buckets=_LONG,
)
TASK_DURATION: Final = Definition(
    "cxr_task_duration_seconds",
    "histogram",
    "Time from a task's acceptance to its success.",
    buckets=_LONG,
)
MODEL_CALL_DURATION: Final = Definition(
    "cxr_model_call_duration_seconds",
    "histogram",
    "Time that a call to the model server took, if it was answered.",
    ("signature",),
    _QUICK,
)
MODEL_CALL_ERRORS: Final = Definition(
    "cxr_model_call_errors",
    "counter",
    "Calls to the model server that failed, by the stable code of the error.",
    ("signature", "code"),
)
MODEL_CALLS_IN_FLIGHT: Final = Definition(
    "cxr_model_calls_in_flight", "in_flight", "Calls to the model server that are not answered yet."
)
MODEL_INFO: Final = Definition(
    "cxr_model_info",
    "info",
    "The model that was served when its card was last read; always 1.",
    ("name", "version", "card_digest", "thresholds"),
)

DEFINITIONS: Final = (
    HTTP_DURATION,
    HTTP_IN_FLIGHT,
    HTTP_PROBLEMS,
    STAGE_DURATION,
    STAGE_ERRORS,
    PROBABILITY,
    POSITIVES,
    TASK_WAIT,
    TASK_DURATION,
    MODEL_CALL_DURATION,
    MODEL_CALL_ERRORS,
    MODEL_CALLS_IN_FLIGHT,
    MODEL_INFO,
)
