"""Ask the live Keras model what a servable must answer, by ways that share nothing with the servable's graph."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.anatomy import Anatomy
from export.preprocess import Preprocessing

Floats = np.ndarray[Any, np.dtype[np.float32]]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Answer:
    """Hold what a model says of a batch.

    Attributes:
        logits: ``[N, L]``.
        probabilities: ``[N, L]``.
        maps: ``[N, L, h, w]``, in logits.
    """

    logits: Floats
    probabilities: Floats
    maps: Floats


@dataclass(frozen=True)
class ReferenceAnswer(Answer):
    """Hold what the live model says of a batch, and how far its maps can be told from roundings.

    Attributes:
        terms: ``[N]``, the largest ``h·w · Σ_c |α_kc A_c|`` of an image: where the terms cancel, as behind a head that
            does not mind its input's scale, a map is their roundings.
    """

    terms: Floats


class Reference:
    """Answer as the live model does: its own call for probabilities, a tape over the whole network for maps.

    Args:
        model: The live model.
        anatomy: Its feature tensor and logits.
        preprocessing: What its pixels go through.
    """

    def __init__(self, model: keras.Model, anatomy: Anatomy, preprocessing: Preprocessing) -> None:
        self._model = model
        self._anatomy = anatomy
        self._preprocessing = preprocessing
        height, width, channels = anatomy.image.shape[1:]
        signature = tf.TensorSpec([None, height, width, channels], tf.float32)
        # Traced, since an eager tape of a deep network costs a second per label.
        self._tape = tf.function(_tape_function(anatomy), input_signature=[signature])

    def __call__(self, images: Pixels) -> ReferenceAnswer:
        """Answer to uint8 ``[N, H, W, 1]``."""
        probabilities = self.output(images)
        if self._anatomy.assumed:
            probabilities = _activate(probabilities, self._anatomy.activation)
        logits, maps, terms = (each.numpy() for each in self._tape(self._pixels(images)))
        return ReferenceAnswer(logits, probabilities, maps, terms)

    def output(self, images: Pixels) -> Floats:
        """Return what the model itself answers, ``[N, L]``: probabilities, or logits."""
        (output,) = keras.tree.flatten(self._model(self._pixels(images), training=False))
        return np.asarray(output, np.float32).reshape(len(images), -1)

    def _pixels(self, images: Pixels) -> Floats:
        return _preprocess(images, self._preprocessing, self._anatomy.image.shape[-1])


def _tape_function(anatomy: Anatomy) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
    """Return a function that differentiates each logit with respect to the features, one label after the other."""
    network = keras.Model(anatomy.image, [anatomy.features, anatomy.logits], name="reference")
    height, width = anatomy.features.shape[1:3]

    def explain(pixels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape(persistent=True) as tape:
            features, logits = network(pixels, training=False)
            each = tf.unstack(logits, axis=1)
        values = tf.cast(features, tf.float32)
        maps, sizes = [], []
        for logit in each:
            gradient = tf.cast(tape.gradient(logit, features), tf.float32)
            alpha = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
            terms = height * width * alpha * values
            maps.append(tf.reduce_sum(terms, axis=-1))
            sizes.append(tf.reduce_sum(tf.abs(terms), axis=-1))
        largest = tf.reduce_max(tf.stack(sizes, axis=1), axis=(1, 2, 3))
        return tf.cast(logits, tf.float32), tf.stack(maps, axis=1), largest

    return explain


def _preprocess(images: Pixels, kind: Preprocessing, channels: int) -> Floats:
    pixels = np.repeat(images.astype(np.float32), channels, axis=-1)
    if kind == "densenet":
        pixels = keras.applications.densenet.preprocess_input(pixels)
    elif kind == "rescale":
        pixels = pixels / np.float32(255)
    return np.asarray(pixels, np.float32)


def _activate(logits: Floats, activation: str) -> Floats:
    if activation == "softmax":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
