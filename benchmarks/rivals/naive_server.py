"""Serve the model as tutorials do: ``python -m benchmarks.rivals.naive_server PORT KERAS_FILE``.

Keras ``predict`` in the web process, an eager gradient tape for each label that is shown, a Matplotlib figure for
each overlay. Kinder than most: the model of features and answer is built once, and labels that are not shown
cost nothing.
"""

import io
import json
import os
import sys
import zipfile
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import matplotlib as mpl
import numpy as np
import tensorflow as tf
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.contract import DEFAULT_LABELS

mpl.use("Agg")

from matplotlib import pyplot

LAYER = "relu"
SIDE = 224


class Naive:
    """The model, and what is done with it for one image."""

    def __init__(self, path: str) -> None:
        self._model = keras.models.load_model(path)
        features = self._model.get_layer(LAYER).output
        self._both = keras.Model(self._model.input, [features, self._model.output])

    async def densenet_predict(self, request: Request) -> Response:
        """Analyse a radiograph."""
        form = await request.form()
        image = Image.open(io.BytesIO(await form["file"].read())).convert("RGB")
        shown = form["heatmaps"].split(",")
        pixels = np.array(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
        batch = keras.applications.densenet.preprocess_input(pixels[None])
        probabilities = self._model.predict(batch, verbose=0)[0]
        predictions = [
            {"label": label, "probability": float(probability)}
            for label, probability in zip(DEFAULT_LABELS, probabilities, strict=True)
        ]
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("report.json", json.dumps({"predictions": predictions}))
            for index, label in enumerate(DEFAULT_LABELS):
                if label in shown:
                    heat = self._grad_cam(batch, index)
                    title = f"{label}: {probabilities[index]:.2f}"
                    archive.writestr(f"{label}.png", _figure(image, heat, title))
        return Response(buffer.getvalue(), media_type="application/zip")

    def _grad_cam(self, batch: Any, index: int) -> Any:
        with tf.GradientTape() as tape:
            features, answer = self._both(batch)
            score = answer[:, index]
        gradients = tape.gradient(score, features)
        weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
        heat = tf.nn.relu(tf.reduce_sum(features[0] * weights, axis=-1))
        return (heat / (tf.reduce_max(heat) + 1e-8)).numpy()


def _figure(image: Image.Image, heat: Any, title: str) -> bytes:
    """Draw a figure of 1024 pixels."""
    figure, axes = pyplot.subplots(figsize=(10.24, 10.24), dpi=100)
    axes.imshow(image)
    axes.imshow(
        Image.fromarray(heat).resize(image.size, Image.Resampling.BILINEAR), cmap="jet", alpha=0.4
    )
    axes.set_title(title)
    axes.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    pyplot.close(figure)
    return buffer.getvalue()


def main() -> None:
    """Serve until a signal comes."""
    port, path = sys.argv[1:]
    naive = Naive(path)
    app = Starlette(routes=[Route("/densenet_predict", naive.densenet_predict, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
