"""Ask the model server for probabilities and activation maps, by the model contract."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ModelContractError, ModelMovedError, ModelUnavailableError
from orchestrator.model import grpc_errors, tensors
from orchestrator.model import wire_pb2 as wire
from orchestrator.model.channel import ModelChannel
from orchestrator.settings import Settings
from orchestrator.telemetry.telemetry import NO_TELEMETRY, Telemetry
from orchestrator.thresholds import ThresholdSet, read_thresholds
from serving import contract
from serving.contract import ModelCard

# A version's card can't change while the server runs, but a server may come back with another model
# under the same number: this long a card is believed without asking again.
CARD_SECONDS: Final = 10.0
# While servers of different versions answer in turn, so often is it tried to meet one twice.
_ATTEMPTS: Final = 5
# A probe should answer before it times out itself.
_PROBE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Servable:
    """A model version, its card, and the thresholds in force.

    Attributes:
        version: Its integer directory.
        card: What it says of itself.
        thresholds: Operating point per label, in the card's order: the card's own or a calibrated set's.
        calibration: How the set was chosen; empty where the thresholds are the card's own.
    """

    version: int
    card: ModelCard
    thresholds: tuple[float, ...]
    calibration: str = ""


@dataclass(frozen=True)
class RawPrediction:
    """What the network says about one image: float32 arrays in the order of the card's labels.

    Attributes:
        version: The model version that answered.
        probabilities: ``[L]``.
        activation_maps: ``[L, h, w]``, in logits, before ReLU.
    """

    version: int
    probabilities: NDArray[np.float32]
    activation_maps: NDArray[np.float32]


class ModelClient:
    """Call the signatures of the model contract, from any thread and without TensorFlow.

    The channel is opened by the first call, in the process that makes it. Every method raises one
    of the errors of `orchestrator.errors`: nothing of gRPC passes.

    Args:
        target: ``host:port`` of the model server's gRPC, or a gRPC URI.
        name: Name of the model there.
        label: Which version to ask for, by a label of the server's models.config; the newest that
            it serves if None.
        deadline: Seconds that one method may take in all.
        thresholds: A calibrated set to use in place of the card's thresholds; refused with
            ModelContractError for a card that it was not made for.
        telemetry: Is told of every call.
    """

    def __init__(
        self,
        target: str,
        name: str = contract.MODEL_NAME,
        *,
        label: str | None = None,
        deadline: float = 10.0,
        thresholds: ThresholdSet | None = None,
        telemetry: Telemetry = NO_TELEMETRY,
    ) -> None:
        self.name = name
        self._label = label
        self.deadline = deadline
        self._thresholds = thresholds
        self._telemetry = telemetry
        self._channel = ModelChannel(target, deadline=deadline)
        self._described: dict[int | None, tuple[float, Servable]] = {}

    def predict(
        self, preprocess: Callable[[ModelCard], NDArray[np.uint8]]
    ) -> tuple[Servable, RawPrediction]:
        """Prepare an image as the served model wants it, and predict.

        The call names no version, at most a label: whichever is served answers and says which it
        was. Where that one wants its pixels otherwise than the one they were made for, they are
        made again, so that a result always goes with the card of the version that made it. From
        then on the call names the version that they were made for: servers that are replaced one
        by one may answer in turn.

        Args:
            preprocess: Makes the input pixels for a card; called again if the version moved.
        """
        until = self._until()
        servable = self._describe(None, until)
        version: int | None = None
        for _ in range(_ATTEMPTS):
            image = preprocess(servable.card)
            try:
                prediction = self._gradcam(image, until, version)
            except (ModelContractError, ModelMovedError) as err:
                self.forget()
                latest = self._describe(None, until)
                is_its_own = version == servable.version and latest == servable
                if is_its_own and isinstance(err, ModelContractError):
                    raise
                servable, version = latest, latest.version
                continue
            actual = self._describe(prediction.version, until)
            if _input(actual.card) == _input(servable.card):
                return actual, prediction
            servable, version = actual, actual.version
        raise grpc_errors.moved()

    def describe(self, *, timeout: float | None = None) -> Servable:
        """Return the version that is served, with its card."""
        return self._describe(None, self._until(timeout))

    def available(self) -> Servable:
        """Return the version that is served, if the server says so now: a card alone may be remembered."""
        states = self.states(timeout=_PROBE_SECONDS)
        if "AVAILABLE" not in states:
            raise ModelUnavailableError(
                f"expected a version that is AVAILABLE, got {', '.join(states) or 'none'}",
                retry_after=grpc_errors.UNAVAILABLE_RETRY_SECONDS,
            )
        return self.describe(timeout=_PROBE_SECONDS)

    @property
    def last(self) -> Servable | None:
        """Return the version that was served when somebody last asked, however long ago, or None."""
        found = self._described.get(None)
        return found[1] if found else None

    def forget(self) -> None:
        """Believe no card any more that was read before."""
        self._described.clear()

    def states(self, *, timeout: float | None = None) -> list[str]:
        """Return the state of every version that the server knows of, as it names it, newest first."""
        request = wire.GetModelStatusRequest(model_spec=wire.ModelSpec(name=self.name))
        response = self._channel.status(request, timeout=timeout or self.deadline)
        known = sorted(response.model_version_status, key=lambda each: each.version, reverse=True)
        return [wire.ModelVersionStatus.State.Name(each.state) for each in known]

    def close(self) -> None:
        """Close the channel; a later call opens another."""
        self._channel.close()

    def _until(self, timeout: float | None = None) -> float:
        return time.monotonic() + (timeout or self.deadline)

    def _describe(self, version: int | None, until: float) -> Servable:
        known = self._described.get(version)
        if known is not None and time.monotonic() - known[0] < CARD_SECONDS:
            return known[1]
        spec = self._spec(contract.SIGNATURE_DESCRIBE, version)
        inputs = {contract.INPUT_REQUEST: np.zeros(1, np.int32)}
        try:
            response = self._call(spec, inputs, until)
        except (ModelMovedError, ModelUnavailableError):
            if version is None and self._label is None:
                raise
            response = self._call(spec, inputs, until)  # the next replica may have it
        text = _output(response, contract.OUTPUT_CARD, (1,), np.dtype(object))[0]
        try:
            card = ModelCard.from_json(text)
        except contract.ContractError as err:
            raise grpc_errors.unexpected("its model card can't be read") from err
        servable = self._servable(response.model_spec.version.value, card)
        if version is None:
            told = self._telemetry.model_served
            told(card.name, servable.version, card.digest, servable.calibration)
        for key in {version, servable.version}:
            self._described[key] = (time.monotonic(), servable)
        return servable

    def _servable(self, version: int, card: ModelCard) -> Servable:
        if self._thresholds is None:
            return Servable(version, card, card.thresholds)
        return Servable(version, card, self._thresholds.for_card(card), self._thresholds.method)

    def _gradcam(
        self, image: NDArray[np.uint8], until: float, version: int | None
    ) -> RawPrediction:
        if image.ndim != 2 or image.size == 0 or image.dtype != np.uint8:
            raise ValueError(f"expected uint8 pixels [H, W], got {image.dtype} {image.shape}")
        spec = self._spec(contract.SIGNATURE_GRADCAM, version)
        inputs = {contract.INPUT_IMAGE: image[np.newaxis, :, :, np.newaxis]}
        response = self._call(spec, inputs, until)
        actual = response.model_spec.version.value
        card = self._describe(actual, until).card
        labels = (1, len(card.labels))
        maps = (*labels, card.map_height, card.map_width)
        return RawPrediction(
            version=actual,
            probabilities=_output(response, contract.OUTPUT_PROBABILITIES, labels)[0],
            activation_maps=_output(response, contract.OUTPUT_ACTIVATION_MAPS, maps)[0],
        )

    def _spec(self, signature: str, version: int | None = None) -> wire.ModelSpec:
        """Name a signature of one version, or else of the labelled one, or else of the newest."""
        spec = wire.ModelSpec(name=self.name, signature_name=signature)
        if version is not None:
            spec.version.value = version
        elif self._label is not None:
            spec.version_label = self._label
        return spec

    def _call(
        self, spec: wire.ModelSpec, inputs: dict[str, NDArray[Any]], until: float
    ) -> wire.PredictResponse:
        remaining = until - time.monotonic()
        if remaining <= 0:
            raise grpc_errors.timeout()
        request = wire.PredictRequest(
            model_spec=spec,
            inputs={name: tensors.encode(array) for name, array in inputs.items()},
        )
        with self._telemetry.model_call(spec.signature_name):
            try:
                return self._channel.predict(request, timeout=remaining)
            except ModelUnavailableError as err:
                if spec.HasField("version"):  # another may well be there
                    raise grpc_errors.moved() from err
                raise


def chosen_thresholds(settings: Settings) -> ThresholdSet | None:
    """Read the calibrated thresholds that the settings name; None if they name none.

    Raises:
        ThresholdsError: The file is no threshold set.
    """
    return None if settings.thresholds is None else read_thresholds(settings.thresholds)


def open_model(
    settings: Settings,
    thresholds: ThresholdSet | None,
    telemetry: Telemetry = NO_TELEMETRY,
) -> ModelClient:
    """Return a client of the model that the settings name, with thresholds that :func:`chosen_thresholds` has read."""
    return ModelClient(
        settings.model_server,
        settings.model_name,
        label=settings.model_label,
        deadline=settings.model_timeout,
        thresholds=thresholds,
        telemetry=telemetry,
    )


def _input(card: ModelCard) -> tuple[object, ...]:
    """Return what of a card decides how pixels are prepared."""
    return card.input_height, card.input_width, card.resize


def _output(
    response: wire.PredictResponse,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any] = np.dtype(np.float32),  # noqa: B008
) -> NDArray[Any]:
    if name not in response.outputs:
        raise grpc_errors.unexpected(f"it answered no {name}")
    try:
        array = tensors.decode(response.outputs[name])
    except tensors.TensorError as err:
        raise grpc_errors.unexpected(f"its {name} can't be read") from err
    if array.shape != shape or array.dtype != dtype:
        raise grpc_errors.unexpected(
            f"expected {name} of {dtype} {list(shape)}, got {array.dtype} {list(array.shape)}"
        )
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise grpc_errors.unexpected(f"expected finite {name}, got some that are not")
    return array
