"""Measure the servables beside ONNX Runtime and OpenVINO, and what the maps cost on top of the forward pass.

Every call is given ready tensors and runs in this process, in turn with the others. Each contender is
timed with one and with two threads, and the faster setting counts: TensorFlow loses more at batch 1 to
handing small operations between threads than the second one brings.
"""

import logging
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Without it the first session's number of threads holds for every other one of the process.
os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"

import keras
import numpy as np
import onnxruntime
import openvino
import tensorflow as tf

from benchmarks.effort import Effort, say
from benchmarks.figures import Figure, ratio
from benchmarks.onnx_network import write_onnx
from benchmarks.service import exported
from benchmarks.side_by_side import rounds_of
from export.untrained import build_untrained
from serving.contract import INPUT_IMAGE, SIGNATURE_GRADCAM, SIGNATURE_PREDICT

# How often each is called, by the size of the batch: the large ones take longer, and vary less.
ROUNDS = {1: 21, 4: 11, 8: 9, 16: 7}
BOUNDED = (1, 8)
THREADS = (1, 2)
PRECISIONS = ("float32", "bfloat16")
SIGNATURES = (SIGNATURE_PREDICT, SIGNATURE_GRADCAM)
RUNTIMES = {
    "float32": ("ONNX Runtime float32", "OpenVINO float32"),
    "bfloat16": ("ONNX Runtime float32", "OpenVINO bfloat16"),
}
GRADCAM_BOUND = 1.05
RUNTIME_BOUND = 1.0
TOLERANCE = 1e-3

Call = Callable[[], Any]


def measure(effort: Effort) -> list[Figure]:
    """Export DenseNet121 in both precisions and time it beside the other runtimes."""
    # The session loader is deprecated, and what servers use
    tf.get_logger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        network = Path(name) / "network.onnx"
        write_onnx(build_untrained(), network)  # of the same seed as the exported one
        return [
            figure
            for batch, rounds in ROUNDS.items()
            for figure in _at(batch, network, effort.of(rounds, 1))
        ]


def _at(batch: int, network: Path, rounds: int) -> list[Figure]:
    """Time every contender at one size of the batch, once all have given the same answer."""
    say(f"batch {batch}, {rounds} rounds")
    images = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 1), np.uint8)
    calls: dict[str, Call] = {}
    for threads in THREADS:
        calls[f"ONNX Runtime float32 {threads}"] = _onnx(network, images, threads)
        for precision in PRECISIONS:
            name = f"OpenVINO {precision} {threads}"
            calls[name] = _openvino(network, images, precision, threads)
            calls |= _servable(exported(precision) / "1", precision, images, threads)
    _agree(calls)
    seconds = rounds_of(calls, rounds=rounds)
    fastest = {
        name: _fastest(seconds, name) for name in {name.rpartition(" ")[0] for name in calls}
    }
    return [figure for precision in PRECISIONS for figure in _figures(precision, batch, fastest)]


def _figures(precision: str, batch: int, seconds: Mapping[str, list[float]]) -> list[Figure]:
    forward = seconds[f"{precision} {SIGNATURE_PREDICT}"]
    gradcam = seconds[f"{precision} {SIGNATURE_GRADCAM}"]
    figures = [
        ratio(
            f"{precision}: gradcam signature / forward pass, batch {batch}",
            gradcam,
            forward,
            bound=GRADCAM_BOUND if batch in BOUNDED else None,
        )
    ]
    timed = {"forward pass": forward, "gradcam signature": gradcam}
    for runtime in RUNTIMES[precision]:
        timed[runtime] = seconds[runtime]
        bounded = batch in BOUNDED and precision == "bfloat16" and "ONNX" in runtime
        bound = RUNTIME_BOUND if bounded else None
        name = f"{precision}: forward pass / {runtime}, batch {batch}"
        figures.append(ratio(name, forward, seconds[runtime], bound=bound))
    for name, found in timed.items():
        if precision in name or "Runtime" not in name:
            text = f"{precision}: {name.removesuffix(' ' + precision)}, batch {batch}"
            figures.append(Figure.of(text, [1000 * value for value in found], "ms"))
    return figures


def _fastest(seconds: Mapping[str, list[float]], name: str) -> list[float]:
    """Return the calls of a contender with the number of threads that suits it."""
    return min((seconds[f"{name} {threads}"] for threads in THREADS), key=statistics.median)


def _agree(calls: Mapping[str, Call]) -> None:
    """Refuse to time networks that answer differently: bfloat16 within its own precision."""
    expected = calls[f"float32 {SIGNATURE_PREDICT} 1"]()[0]
    for name, call in calls.items():
        if SIGNATURE_GRADCAM in name:
            continue
        apart = float(np.abs(call()[0] - expected).max())
        allowed = 10 * TOLERANCE if "bfloat16" in name else TOLERANCE
        if apart > allowed:
            raise RuntimeError(f"{name} answers something else: {apart:.4f} apart")


def _servable(version: Path, precision: str, images: Any, threads: int) -> dict[str, Call]:
    """Load a servable as TensorFlow Serving does, with so many threads within an operation."""
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=1,
        use_per_session_threads=True,
    )
    with tf.Graph().as_default():
        session = tf.compat.v1.Session(config=config)
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(version))
        return {
            f"{precision} {name} {threads}": _signature(session, loaded.signature_def[name], images)
            for name in SIGNATURES
        }


def _signature(session: Any, signature: Any, images: Any) -> Call:
    outputs = [signature.outputs[name].name for name in sorted(signature.outputs, reverse=True)]
    run = session.make_callable(outputs, [signature.inputs[INPUT_IMAGE].name])
    return lambda: run(images)


def _onnx(path: Path, images: Any, threads: int) -> Call:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    pixels = _pixels(images)
    return lambda: session.run(None, {"image": pixels})


def _openvino(path: Path, images: Any, precision: str, threads: int) -> Call:
    """Compile for latency: one call at a time, as the others are called."""
    compiled = openvino.Core().compile_model(
        path,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # without it a processor that can computes in bfloat16, whatever the network says
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        },
    )
    pixels = _pixels(images)
    request = compiled.create_infer_request()

    def run() -> Any:
        request.infer({0: pixels}, share_inputs=True)
        return [request.get_output_tensor(0).data]

    return run


def _pixels(images: Any) -> Any:
    """Do outside the network what a servable does in its graph: three channels, scaled, channels first."""
    scaled = keras.applications.densenet.preprocess_input(
        np.repeat(images, 3, axis=3).astype(np.float32)
    )
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
