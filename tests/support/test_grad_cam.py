"""Check Grad-CAM against examples worked by hand."""

import numpy as np
import pytest

from tests.support.grad_cam import class_activation_maps, grad_cam

# Two channels on a 2x2 grid: channel 0 counts 1..4, channel 1 is lit in the lower left cell only.
ACTIVATIONS = np.array([[[1, 0], [2, 0]], [[3, 10], [4, 0]]], np.float32)


def test_class_activation_maps_weigh_each_channel_by_the_heads_kernel() -> None:
    weights = np.array([[1, -1, 0], [0, 0.5, 2]], np.float32)

    maps = class_activation_maps(ACTIVATIONS, weights)

    np.testing.assert_array_equal(
        maps,
        [
            [[1, 2], [3, 4]],
            [[-1, -2], [2, -4]],
            [[0, 0], [20, 0]],
        ],
    )
    assert maps.dtype == np.float32


def test_the_mean_of_a_map_plus_the_bias_is_the_logit() -> None:
    rng = np.random.default_rng(0)
    activations = rng.normal(size=(3, 5, 8)).astype(np.float32)
    weights = rng.normal(size=(8, 4)).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)

    logits = activations.mean(axis=(0, 1)) @ weights + bias

    maps = class_activation_maps(activations, weights)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + bias, logits, rtol=1e-5)


def test_grad_cam_weighs_by_the_mean_gradient_times_the_number_of_cells() -> None:
    # Channel 0: mean gradient (1 + 2 + 3 + 2) / 4 = 2. Channel 1: (4 + 0 + 0 + 0) / 4 = 1.
    # Times four cells: 8 * channel 0 + 4 * channel 1.
    gradients = np.array([[[[1, 4], [2, 0]], [[3, 0], [2, 0]]]], np.float32)

    maps = grad_cam(ACTIVATIONS, gradients)

    np.testing.assert_array_equal(maps, [[[8, 16], [64, 32]]])
    assert maps.dtype == np.float32


def test_grad_cam_of_a_pooled_head_is_the_class_activation_map() -> None:
    weights = np.array([[1, -1], [0.25, 0.5]], np.float32)
    gradients = np.broadcast_to(weights.T[:, None, None, :] / 4, (2, 2, 2, 2))

    np.testing.assert_allclose(
        grad_cam(ACTIVATIONS, gradients), class_activation_maps(ACTIVATIONS, weights)
    )


def test_negative_evidence_is_kept() -> None:
    assert class_activation_maps(ACTIVATIONS, -np.ones((2, 1))).max() < 0


@pytest.mark.parametrize(("activations", "weights"), [((2, 2), (2, 1)), ((2, 2, 3), (2, 1))])
def test_class_activation_maps_refuse_shapes_that_do_not_match(
    activations: tuple[int, ...], weights: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"expected activations \[h, w, c\] and weights"):
        class_activation_maps(np.zeros(activations), np.zeros(weights))


@pytest.mark.parametrize("gradients", [(2, 2, 2), (1, 2, 2, 3)])
def test_grad_cam_refuses_shapes_that_do_not_match(gradients: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected activations .* and gradients"):
        grad_cam(ACTIVATIONS, np.zeros(gradients))
