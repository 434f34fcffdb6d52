"""Compute Grad-CAM in NumPy, the reference that served maps are compared with.

Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2, before the ReLU and times the number of
cells, so that a map is in units of the logit: with global average pooling and a dense head its mean
plus the bias *is* the logit.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def class_activation_maps(activations: Floats, weights: Floats) -> NDArray[np.float32]:
    """Weigh the channels that feed a global average pooling by the dense head after it.

    This is Grad-CAM in closed form for such a head: the gradient of logit k by every cell of
    channel c is ``weights[c, k] / (h * w)``, so no differentiation is needed (Zhou et al., "Learning
    deep features for discriminative localization", CVPR 2016).

    Args:
        activations: Input of the pooling, ``[h, w, c]``.
        weights: Kernel of the dense layer, ``[c, L]``.

    Returns:
        Activation maps ``[L, h, w]`` in logits, float32, of either sign.
    """
    if activations.ndim != 3 or weights.ndim != 2 or activations.shape[2] != weights.shape[0]:
        raise ValueError(
            "expected activations [h, w, c] and weights [c, L], "
            f"got {activations.shape} and {weights.shape}"
        )
    maps: NDArray[np.float32] = np.einsum("hwc,cl->lhw", activations, weights).astype(np.float32)
    return maps


def grad_cam(activations: Floats, gradients: Floats) -> NDArray[np.float32]:
    """Weigh the channels of a layer by the spatial mean of each logit's gradient.

    Args:
        activations: Output of the target layer, ``[h, w, c]``.
        gradients: Derivative of every logit by that output, ``[L, h, w, c]``.

    Returns:
        Activation maps ``h * w * sum_c(alpha_kc * A_c)``, ``[L, h, w]`` in logits, float32, of
        either sign.
    """
    if activations.ndim != 3 or gradients.ndim != 4 or gradients.shape[1:] != activations.shape:
        raise ValueError(
            "expected activations [h, w, c] and gradients [L, h, w, c], "
            f"got {activations.shape} and {gradients.shape}"
        )
    height, width, _ = activations.shape
    alpha = gradients.mean(axis=(1, 2))  # equation 1, [L, c]
    return class_activation_maps(activations, height * width * alpha.T)  # equation 2
