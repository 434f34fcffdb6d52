"""Refuse to take a model's probabilities for logits."""

from collections.abc import Callable

import numpy as np

from export.activation import ends_in_weights, squashes
from export.anatomy import Anatomy
from export.errors import UnsupportedModelError
from export.probes import flat_images, probe_images
from export.reference import Floats, Pixels


def require_logits(anatomy: Anatomy, output: Callable[[Pixels], Floats]) -> None:
    """Refuse a model without a last activation whose output looks like probabilities all the same.

    What comes straight from a layer of weights are logits, whatever few of them happen to be, unless a sigmoid or
    softmax lies in the head.

    Args:
        anatomy: The network.
        output: What the live model answers, ``[N, L]``, to uint8 ``[N, H, W, 1]``.

    Raises:
        UnsupportedModelError: The output may be probabilities by its structure, and all answers are in [0, 1].
    """
    squashed = squashes(anatomy.features, anatomy.logits)
    if not anatomy.assumed or (ends_in_weights(anatomy.logits) and not squashed):
        return
    size = anatomy.image.shape[1:3]
    answers = output(np.concatenate([probe_images(5, *size), flat_images(*size)]))
    if ((answers >= 0) & (answers <= 1)).all():
        raise UnsupportedModelError(
            "expected a model that ends in sigmoid or softmax, or answers logits, got one whose last operation is "
            f"{anatomy.logits._keras_history.operation.name!r}, and which answers numbers from 0 to 1 to every image, "
            "as probabilities are; end it with one layer of activation sigmoid or softmax for all labels, or say with "
            "--activation how probabilities follow if these are logits"
        )
