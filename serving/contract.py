"""Name what a servable offers: model, signatures, tensors, and the model card it carries.

The exporter, the model server and the orchestrator share it; it imports the standard library only.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, get_args

MODEL_NAME: Final = "densenet"

SIGNATURE_PREDICT: Final = "serving_default"
SIGNATURE_GRADCAM: Final = "gradcam"
SIGNATURE_DESCRIBE: Final = "describe"

INPUT_IMAGE: Final = "image"  # uint8 [N, H, W, 1]
INPUT_REQUEST: Final = "request"  # int32 [N]
OUTPUT_PROBABILITIES: Final = "probabilities"  # float32 [N, L]
OUTPUT_LOGITS: Final = "logits"  # float32 [N, L]
OUTPUT_ACTIVATION_MAPS: Final = "activation_maps"  # float32 [N, L, h, w], in logits
OUTPUT_CARD: Final = "card"  # string [N]

NO_FINDING: Final = "No Finding"

# Wang et al., "ChestX-ray8", CVPR 2017, and its extension to fourteen findings; names as in the data set's own files.
CHESTXRAY14_FINDINGS: Final = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
DEFAULT_LABELS: Final = (*CHESTXRAY14_FINDINGS, NO_FINDING)

CARD_FORMAT: Final = 1

ResizeMode = Literal["squash", "crop"]
Activation = Literal["sigmoid", "softmax"]
WeightsOrigin = Literal["untrained", "demo", "user", "published"]
# What the service's parameter heatmaps takes in place of labels; it splits a form's text at commas.
HeatmapsKeyword = Literal["positive", "all", "none"]


class ContractError(ValueError):
    """A model card that does not say what the contract asks for."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Describe one servable: what it expects, what it answers, and how far it may be trusted.

    Attributes:
        name: Name of the model, as in its TF Serving configuration.
        labels: Class names, in the order of the output tensors, all different. The export refuses a keyword of the
            parameter ``heatmaps``, whatever its case, and a name with a comma, as neither can be asked for there.
        thresholds: Operating point per label, in [0, 1], in the same order.
        input_height: Rows of the input tensor, in pixels.
        input_width: Columns of the input tensor, in pixels.
        resize: ``squash`` scales both sides independently; ``crop`` cuts the centre to the input's aspect ratio first.
        preprocessing: What the graph does to the uint8 pixels, in words.
        architecture: The network, in words.
        activation: How probabilities follow from logits.
        target_layer: Name of the layer whose activation the maps explain.
        map_height: Rows of an activation map.
        map_width: Columns of an activation map.
        weights: Where the weights come from; ``untrained`` and ``demo`` must never be taken for medical evidence.
        weights_sha256: Digest of the weights, hexadecimal.
        training_data: What the weights were trained on, in words.
        intended_use: What the model is for, in words.
        warnings: Sentences that every report repeats.
        derived: Labels that follow from a rule rather than from the network, with the rule in words.
        verification: Figures measured at export.
        details: Anything else worth keeping.
    """

    name: str = MODEL_NAME
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    input_height: int
    input_width: int
    resize: ResizeMode = "squash"
    preprocessing: str
    architecture: str
    activation: Activation
    target_layer: str
    map_height: int
    map_width: int
    weights: WeightsOrigin
    weights_sha256: str
    training_data: str = "unknown"
    intended_use: str = "research and demonstration; not for clinical use"
    warnings: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        """Refuse a card that contradicts itself."""
        if self.format != CARD_FORMAT:
            raise ContractError(
                f"expected a model card of format {CARD_FORMAT}, got {self.format}; export the model again"
            )
        if len(set(self.labels)) != len(self.labels) or not self.labels:
            raise ContractError(f"expected labels that are all different, got {list(self.labels)}")
        if len(self.thresholds) != len(self.labels):
            raise ContractError(
                f"expected one threshold per label ({len(self.labels)}), got {len(self.thresholds)}"
            )
        if not all(0.0 <= threshold <= 1.0 for threshold in self.thresholds):
            raise ContractError(f"expected thresholds in [0, 1], got {list(self.thresholds)}")
        sizes = (self.input_height, self.input_width, self.map_height, self.map_width)
        if min(sizes) < 1:
            raise ContractError(f"expected positive sizes of input and map, got {sizes}")
        for name, value, kind in (
            ("resize", self.resize, ResizeMode),
            ("activation", self.activation, Activation),
            ("weights", self.weights, WeightsOrigin),
        ):
            if value not in get_args(kind):
                raise ContractError(f"expected {name} to be one of {get_args(kind)}, got {value!r}")

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of the card's canonical JSON, hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Write the card as canonical JSON: sorted keys, no spaces, so equal cards have equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "ModelCard":
        """Read a card, ignoring fields of later formats that this version does not know.

        Raises:
            ContractError: The text is not a card, or the card contradicts itself.
        """
        try:
            values = json.loads(text)
            known = {f.name for f in dataclasses.fields(cls)}
            values = {key: value for key, value in values.items() if key in known}
            for name in ("labels", "thresholds", "warnings"):
                if name in values:
                    values[name] = tuple(values[name])
            return cls(**values)
        except ContractError:
            raise
        except (ValueError, TypeError, AttributeError) as err:
            raise ContractError(
                f"expected a model card as JSON, got something else: {err}"
            ) from err
