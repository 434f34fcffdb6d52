"""Measure and trace what the service does, in its own words."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Literal

from orchestrator.errors import ServiceError
from orchestrator.study import Report
from orchestrator.telemetry.definitions import (
    MODEL_CALL_DURATION,
    MODEL_CALL_ERRORS,
    MODEL_CALLS_IN_FLIGHT,
    MODEL_INFO,
    POSITIVES,
    PROBABILITY,
    STAGE_DURATION,
    STAGE_ERRORS,
    TASK_DURATION,
    TASK_WAIT,
)
from orchestrator.telemetry.recorder import SILENT, Recorder, Sample
from orchestrator.telemetry.trace import NO_TRACER, Tracer

Mode = Literal["sync", "task"]


class Stages:
    """Time the stages of one analysis, each from its begin to the next one's."""

    def __init__(self, recorder: Recorder, tracer: Tracer, mode: Mode) -> None:
        self._recorder = recorder
        self._tracer = tracer
        self._mode = mode
        self._stage = ""
        self._began = 0.0
        self._span = ExitStack()

    def begin(self, stage: str) -> None:
        """End the stage before and begin another."""
        self.end()
        self._span.enter_context(self._tracer.span(stage))
        self._stage, self._began = stage, time.perf_counter()

    def end(self) -> None:
        """End the stage that goes on, if one does."""
        if self._stage:
            seconds = time.perf_counter() - self._began
            self._recorder.record([Sample(STAGE_DURATION, seconds, (self._mode, self._stage))])
        self._stage = ""
        self._span.close()

    def fail(self, error: Exception) -> None:
        """End the stage that goes on in an error."""
        stage, self._stage = self._stage or "before", ""
        self._recorder.record([Sample(STAGE_ERRORS, 1, (self._mode, stage, code_of(error)))])
        self._span.__exit__(type(error), error, error.__traceback__)


class Telemetry:
    """Tell a recorder and a tracer what happens.

    Attributes:
        recorder: Keeps samples.
        tracer: Makes spans.
    """

    def __init__(self, recorder: Recorder = SILENT, tracer: Tracer = NO_TRACER) -> None:
        self.recorder = recorder
        self.tracer = tracer

    @contextmanager
    def analysis(self, mode: Mode) -> Iterator[Stages]:
        """Time the stages of one analysis; an exception that passes is the last stage's."""
        stages = Stages(self.recorder, self.tracer, mode)
        try:
            yield stages
        except Exception as err:
            stages.fail(err)
            raise
        else:
            stages.end()

    def analysed(self, report: Report) -> None:
        """Count what a model said of one image."""
        version = str(report.model_version)
        samples = [
            Sample(PROBABILITY, prediction.probability, (prediction.label, version))
            for prediction in report.predictions
        ]
        samples += [
            Sample(POSITIVES, float(prediction.positive), (prediction.label, version))
            for prediction in report.predictions
        ]
        self.recorder.record(samples)

    def task_began(self, seconds: float) -> None:
        """Count how long a task waited for its first begin."""
        self.recorder.record([Sample(TASK_WAIT, max(0.0, seconds))])

    def task_succeeded(self, seconds: float) -> None:
        """Count how long a task took from its acceptance on."""
        self.recorder.record([Sample(TASK_DURATION, max(0.0, seconds))])

    @contextmanager
    def model_call(self, signature: str) -> Iterator[None]:
        """Time a call to the model server."""
        self.recorder.record([Sample(MODEL_CALLS_IN_FLIGHT, 1)])
        begin = time.perf_counter()
        try:
            with self.tracer.span(f"Predict {signature}", "client") as span:
                span.add({"rpc.system": "grpc", "rpc.method": "Predict"})
                yield
        except ServiceError as err:
            self.recorder.record([Sample(MODEL_CALL_ERRORS, 1, (signature, err.code))])
            raise
        else:
            seconds = time.perf_counter() - begin
            self.recorder.record([Sample(MODEL_CALL_DURATION, seconds, (signature,))])
        finally:
            self.recorder.record([Sample(MODEL_CALLS_IN_FLIGHT, -1)])

    def model_served(self, name: str, version: int, digest: str, thresholds: str) -> None:
        """Say which model is served."""
        labels = (name, str(version), digest, thresholds or "card")
        self.recorder.record([Sample(MODEL_INFO, 1, labels)])


def code_of(error: BaseException) -> str:
    """Return the stable code of an error; of a defect, that of any defect."""
    return error.code if isinstance(error, ServiceError) else ServiceError.code


NO_TELEMETRY: Final = Telemetry()
