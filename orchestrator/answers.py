"""Say what the JSON answers of the HTTP API look like.

The types bind whoever writes an answer, and the API's description is made of them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from gradcam.encode import FORMATS


@dataclass(frozen=True, eq=False)  # types with notes are hashed
class Note:
    """Describe a value beyond its type: a sentence, and keywords of JSON Schema."""

    text: str = ""
    keywords: dict[str, Any] = field(default_factory=dict)


def note(text: str = "", **keywords: Any) -> Note:
    """Return a note."""
    return Note(text, keywords)


Uuid = Annotated[str, note(format="uuid")]
Moment = Annotated[str, note(format="date-time")]
Day = Annotated[str, note(format="date")]
Probability = Annotated[float, note(minimum=0, maximum=1)]
Count = Annotated[int, note(minimum=0)]
Pixels = Annotated[int, note("In pixels.", minimum=0)]
Digest = Annotated[str, note("SHA-256, hexadecimal.", pattern="^[0-9a-f]{64}$")]

Status = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE"]
EntryStatus = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "FORGOTTEN"]
BatchStatus = Literal["PENDING", "STARTED", "SUCCESS", "FAILURE"]


class UsedModel(TypedDict):
    """The model that answered."""

    name: str
    version: Annotated[Count, note("Version directory of the model server.")]
    card_digest: Annotated[Digest, note("Digest of the model card.")]
    thresholds: Annotated[
        str,
        note("Where the thresholds come from: the model's `card`, or the method of a set."),
    ]


class LabelPrediction(TypedDict):
    """One label of one view."""

    label: str
    probability: Probability
    threshold: Probability
    positive: Annotated[bool, note("Whether the probability reached the threshold.")]


class DerivedLabel(TypedDict):
    """A label that follows from a rule rather than from the network; it has no probability."""

    label: str
    rule: str
    positive: bool


class UprightImage(TypedDict):
    """The upright radiograph."""

    width: Pixels
    height: Pixels
    sha256: Annotated[Digest, note("Digest of the uploaded bytes.")]


class Box(TypedDict):
    """A rectangle in pixels; the origin is the upper left corner."""

    x: Pixels
    y: Pixels
    width: Pixels
    height: Pixels


class ActivationMapsAnswer(TypedDict):
    """Grad-CAM of every label before its ReLU."""

    labels: list[str]
    shape: Annotated[
        list[Count], note("Labels, rows and columns of the data.", minItems=3, maxItems=3)
    ]
    dtype: Literal["float32"]
    unit: Literal["logit"]
    placement: Annotated[Box, note("The part of the upright radiograph that the maps cover.")]
    data: Annotated[
        str,
        note("Little-endian float32 in C order.", contentEncoding="base64"),
    ]


class ShownRadiographAnswer(TypedDict):
    """The radiograph as it was analysed: upright, 8-bit gray, no larger than `max_size`."""

    media_type: Annotated[str, note(enum=[kind.media_type for kind in FORMATS.values()])]
    width: Pixels
    height: Pixels
    data: Annotated[str, note("The image file.", contentEncoding="base64")]


class ReportAnswer(TypedDict):
    """What the model answered about one view."""

    analysis_id: Annotated[Uuid, note("Random identifier of this analysis.")]
    model: UsedModel
    predictions: Annotated[list[LabelPrediction], note("One per label, in the model's order.")]
    findings: Annotated[list[str], note('The positive labels, without "No Finding".')]
    derived: list[DerivedLabel]
    image: UprightImage
    heatmap_scale_logits: Annotated[
        float, note("Logits at which a heatmap reaches 1; the same for all labels.", minimum=0)
    ]
    timings_ms: Annotated[dict[str, float], note("Milliseconds per stage.")]
    warnings: Annotated[list[str], note("Must be shown to whoever reads the result.")]
    notice: str
    activation_maps: NotRequired[
        Annotated[ActivationMapsAnswer, note("Only if `maps` was asked for.")]
    ]
    radiograph: NotRequired[
        Annotated[ShownRadiographAnswer, note("Only if `radiograph` was asked for.")]
    ]


class Picture(TypedDict):
    """One annotated overlay."""

    label: str
    probability: Probability
    width: Pixels
    height: Pixels
    radiograph: Annotated[Box, note("Where in the picture the radiograph lies.")]


class PackedPicture(Picture):
    """One annotated overlay in a ZIP."""

    file: Annotated[str, note("Name of its entry.")]


class PackedReportAnswer(ReportAnswer):
    """`report.json`, the first entry of a ZIP."""

    overlays: list[PackedPicture]


class HostedPicture(Picture):
    """One annotated overlay in a store."""

    url: Annotated[str, note(format="uri")]
    media_type: Annotated[str, note(enum=[kind.media_type for kind in FORMATS.values()])]


class HostedReportAnswer(ReportAnswer):
    """A report with the URLs of its overlays."""

    image_urls: list[Annotated[str, note(format="uri")]]
    images: list[HostedPicture]


class TaskAnswer(TypedDict):
    """One analysis that was accepted to be done later."""

    task_id: Uuid
    status: Status
    created_at: Moment
    attempts: Annotated[Count, note("How often it was begun.")]
    started_at: NotRequired[Moment]
    finished_at: NotRequired[Moment]
    stage: NotRequired[
        Annotated[
            str,
            note("What is being done.", enum=["decoding", "predicting", "rendering", "storing"]),
        ]
    ]
    position: NotRequired[
        Annotated[int, note("Place in the queue, from 1, while it waits.", minimum=1)]
    ]
    error: NotRequired[Annotated[str, note("Why it failed.")]]
    waiting_for: NotRequired[Annotated[str, note("Why it is tried again.")]]
    code: NotRequired[Annotated[str, note("The `code` of that reason.")]]


class AcceptedTaskAnswer(TaskAnswer):
    """A task that was just accepted."""

    status_url: Annotated[str, note("Path of the task.", format="uri-reference")]
    result_url: Annotated[str, note("Path of its result.", format="uri-reference")]


class TaskDone(TypedDict):
    """What a task's `callback_url` is sent once it is done."""

    event: Literal["task.done"]
    task_id: Uuid
    status: Status
    code: NotRequired[Annotated[str, note("Why it failed.")]]


class BatchEntry(TypedDict):
    """One image of a batch, known by its place."""

    index: Annotated[int, note("Place of the image, from 1.", minimum=1)]
    task_id: Uuid
    status: Annotated[
        EntryStatus,
        note("`FORGOTTEN` once its task was cancelled or deleted, or its time is over."),
    ]
    error: NotRequired[str]
    code: NotRequired[str]


class BatchAnswer(TypedDict):
    """The tasks of many images that were accepted together."""

    batch_id: Uuid
    status: Annotated[
        BatchStatus, note("`SUCCESS` once all are done and at least one of them succeeded.")
    ]
    count: Annotated[int, note("How many images it has.", minimum=1)]
    counts: Annotated[dict[str, int], note("How many tasks have each status.")]
    tasks: list[BatchEntry]


class AcceptedBatchAnswer(BatchAnswer):
    """A batch that was just accepted."""

    status_url: Annotated[str, note("Path of the batch.", format="uri-reference")]
    result_url: Annotated[str, note("Path of its result.", format="uri-reference")]


class CountedModel(TypedDict):
    """How many analyses one model version answered."""

    name: str
    version: Count
    analyses: Count


class CountedLabel(TypedDict):
    """What was answered for one label in one period."""

    label: str
    analyses: Annotated[Count, note("Analyses by models that have the label.")]
    positives: Annotated[Count, note("Those that reached the label's threshold.")]
    mean_probability: Annotated[Probability | None, note("Over the analyses; null without any.")]


class CountedPeriod(TypedDict):
    """What was answered in one period of whole UTC days, both ends included."""

    start: Day
    end: Day
    analyses: Count
    labels: list[CountedLabel]


class CountedDay(CountedPeriod):
    """What was answered on one day."""

    date: Day


class CountedWeek(CountedPeriod):
    """What was answered in one ISO week."""

    week: Annotated[str, note(pattern="^[0-9]{4}-W[0-9]{2}$")]


class SummaryAnswer(CountedPeriod):
    """Counts and means over all days that are kept."""

    timezone: Literal["UTC"]
    models: list[CountedModel]


class SeriesSpan(TypedDict):
    """The days and models that a series covers."""

    timezone: Literal["UTC"]
    start: Day
    end: Day
    models: list[CountedModel]


class DailyAnswer(SeriesSpan):
    """Counts and means per UTC day, oldest first."""

    days: list[CountedDay]


class WeeklyAnswer(SeriesSpan):
    """Counts and means per ISO week, oldest first."""

    weeks: list[CountedWeek]


class HealthAnswer(TypedDict):
    """The process answers."""

    status: Literal["ok"]
    version: str


class RedisHealthAnswer(TypedDict):
    """Redis answers, and is no replica."""

    status: Literal["ok"]


class ServedModel(TypedDict):
    """The version that the model server serves, as its card describes it."""

    name: str
    version: Count
    card_digest: Digest
    labels: list[str]
    weights: str
    warnings: list[str]


class ModelHealthAnswer(TypedDict):
    """The model server has a version available."""

    status: Literal["ok"]
    model: ServedModel


class ReadyAnswer(TypedDict):
    """An analysis sent now would be answered."""

    status: Literal["ready"]
    model: ServedModel


class QueueFigures(TypedDict):
    """Figures of queue and workers at one moment."""

    workers: Annotated[Count, note("Workers that live.")]
    busy: Annotated[Count, note("Those of them that have a task.")]
    waiting: Annotated[Count, note("Tasks in the queue.")]
    running: Annotated[Count, note("Tasks that a worker has.")]
    retrying: Annotated[Count, note("Tasks that wait for their next try.")]
    failed: Annotated[Count, note("Tasks that failed and are still kept.")]
    oldest_waiting_seconds: float
    held_bytes: Annotated[Count, note("Bytes of uploads and results.")]


class WorkersHealthAnswer(QueueFigures):
    """A worker lives."""

    status: Literal["ok"]


class AuditEntry(TypedDict):
    """Something that was done."""

    id: Annotated[str, note("Place in the trail.", pattern="^[0-9]+-[0-9]+$")]
    time: Moment
    caller: Annotated[str, note("Name of the key; empty where access is open.")]
    action: Annotated[str, note("Name of the operation, or `task` for the end of a task.")]
    outcome: Annotated[str, note("`ok`, the `code` of the error, or `client_closed`.")]
    status: NotRequired[Annotated[int, note("HTTP status of the answer.")]]
    task_id: NotRequired[Uuid]
    batch_id: NotRequired[Uuid]
    analysis_id: NotRequired[Uuid]
    request_id: NotRequired[str]


class AuditAnswer(TypedDict):
    """A part of the audit trail, oldest entries first."""

    entries: list[AuditEntry]
    next: Annotated[str | None, note("What `after` goes on from; null at the end.")]


class ProblemAnswer(TypedDict):
    """An error, as problem details (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: Annotated[int, note("The HTTP status.", minimum=400, maximum=599)]
    code: Annotated[str, note("Stable, for programs.")]
    detail: Annotated[str, note("For people: what was expected, what came, what to do.")]
    request_id: Annotated[str, note("The answer's `X-Request-ID`.")]
