"""Build networks small enough to know by hand what they answer."""

import keras
import numpy as np

PLANTED_LABELS = ("Bright", "Dark", "Contrast")
PLANTED_CELL = 16
BRIGHT_FROM = 0.75
DARK_UNTIL = 0.25
PLANTED_BIAS = -1.0
PLANTED_WEIGHT = 40.0


def planted_model() -> keras.Model:
    """Build a network that sees bright and dark blobs, and where they are.

    Export it with ``preprocess="rescale"`` and ``labels=PLANTED_LABELS``. Input ``[N, 96, 128, 1]``, pixels x in
    [0, 1]. The feature tensor is layer ``features``, ``[N, 6, 8, 2]``: each cell is the mean, over its own 16x16
    pixels, of

    * channel 0: ``relu(x - 0.75)``: bright pixels; 0.25 where the cell is white,
    * channel 1: ``relu(0.25 - x)``: dark pixels; 0.25 where the cell is black.

    Mid-gray (0.25 to 0.75, so 64 to 191 in uint8) fires neither. Global average pooling, then a dense sigmoid layer:

    * ``Bright``: logit = 40·mean(channel 0) - 1, map = 40·channel 0: a white cell is 10, a gray or black one 0;
    * ``Dark``: logit = 40·mean(channel 1) - 1, map = 40·channel 1: a black cell is 10, others 0;
    * ``Contrast``: logit = 40·(mean(channel 0) - mean(channel 1)), map = 40·(channel 0 - channel 1): white +10, black
      -10.

    One white cell among 6x8 on gray gives Bright a logit of 10/48 - 1 = -0.79 (probability 0.31); half the image white
    gives 4 (0.98).
    """
    image = keras.Input((96, 128, 1), name="image")
    evidence = keras.layers.Conv2D(2, 1, activation="relu", name="evidence")(image)
    features = keras.layers.AveragePooling2D(PLANTED_CELL, name="features")(evidence)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    labels = keras.layers.Dense(3, activation="sigmoid", name="labels")(pooled)
    model = keras.Model(image, labels, name="planted")
    model.get_layer("evidence").set_weights(
        [np.array([[[[1.0, -1.0]]]], np.float32), np.array([-BRIGHT_FROM, DARK_UNTIL], np.float32)]
    )
    weight = PLANTED_WEIGHT
    model.get_layer("labels").set_weights(
        [
            np.array([[weight, 0.0, weight], [0.0, weight, -weight]], np.float32),
            np.array([PLANTED_BIAS, PLANTED_BIAS, 0.0], np.float32),
        ]
    )
    return model


def small_model(channels: int = 3, outputs: int = 15, seed: int = 0) -> keras.Model:
    """Build an untrained convolutional network of a few thousand weights: conv, batch norm, ReLU, pooling, dense.

    The feature tensor is layer ``relu``, ``[N, 8, 8, 16]``; outputs are sigmoid.
    """
    keras.utils.set_random_seed(seed)
    image = keras.Input((32, 32, channels), name="image")
    values = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="conv1")(image)
    values = keras.layers.BatchNormalization(name="bn1")(values)
    values = keras.layers.ReLU(name="relu1")(values)
    values = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="conv2")(values)
    values = keras.layers.ReLU(name="relu")(values)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(values)
    labels = keras.layers.Dense(outputs, activation="sigmoid", name="labels")(pooled)
    model = keras.Model(image, labels, name="small")
    shake_batch_norm(model, seed)
    return model


def shake_batch_norm(model: keras.Model, seed: int = 0) -> None:
    """Give batch norm layers statistics that training would have left, so that they are no identity."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weight.shape for weight in layer.get_weights()]
            low_high = [(0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.5, 1.5)]
            layer.set_weights(
                [random.uniform(*ends, shape) for ends, shape in zip(low_high, shapes, strict=True)]
            )
