"""Stand in for the model server where it must answer as a test says: gRPC by the contract, without TensorFlow."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np
from numpy.typing import NDArray

from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire
from orchestrator.model.client import ModelClient
from serving.contract import ModelCard
from tests.support.cards import card

CARD = card(labels=("Edema", "Mass"), input_width=6, map_width=3, weights="untrained")
LOGITS = np.array([[1.0, -2.0]], np.float32)
PROBABILITIES = np.array([[0.75, 0.125]], np.float32)
MAPS = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
OUTPUTS = {"logits": LOGITS, "probabilities": PROBABILITIES, "activation_maps": MAPS}


@dataclass
class FakeServer:
    """Answer as a model server would, or as the test says."""

    cards: dict[int, ModelCard] = field(default_factory=lambda: {1: CARD})
    labels: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, NDArray[np.float32]] = field(default_factory=lambda: dict(OUTPUTS))
    told: bytes = b""  # in place of a card
    cut: bool = False  # whether tensors come with a byte too few
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    during_predict: Callable[[], None] = lambda: None
    describes: int = 0
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def predict(
        self, request: wire.PredictRequest, context: grpc.ServicerContext
    ) -> wire.PredictResponse:
        if self.failures:
            context.abort(*self.failures.pop(0))
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else max(self.cards)
        if label := spec.version_label:
            if label not in self.labels:
                words = f"Unrecognized servable version label: {label}"
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, words)
            version = self.labels[label]
        if version not in self.cards:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
        card = self.cards[version]
        response = wire.PredictResponse()
        response.model_spec.CopyFrom(wire.ModelSpec(name=spec.name))
        response.model_spec.version.value = version
        if spec.signature_name == "describe":
            self.describes += 1
            response.outputs["card"].dtype = wire.DT_STRING
            response.outputs["card"].tensor_shape.dim.add(size=1)
            response.outputs["card"].string_val.append(self.told or card.to_json().encode())
            return response
        shape = tensors.decode(request.inputs["image"]).shape
        self.shapes.append(shape)
        if shape != (1, card.input_height, card.input_width, 1):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong shape")
        self.during_predict()
        for name, array in self.outputs.items():
            response.outputs[name].CopyFrom(tensors.encode(array))
            if self.cut:
                response.outputs[name].tensor_content = response.outputs[name].tensor_content[1:]
        return response

    def status(
        self, _: wire.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> wire.GetModelStatusResponse:
        if not self.cards:
            context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model x")
        response = wire.GetModelStatusResponse()
        for version in self.cards:
            response.model_version_status.add(version=version, state=30)
        return response


@contextmanager
def serving(fake: FakeServer, port: int = 0) -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.PredictionService",
                {
                    "Predict": grpc.unary_unary_rpc_method_handler(
                        fake.predict,
                        wire.PredictRequest.FromString,
                        wire.PredictResponse.SerializeToString,
                    )
                },
            ),
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.ModelService",
                {
                    "GetModelStatus": grpc.unary_unary_rpc_method_handler(
                        fake.status,
                        wire.GetModelStatusRequest.FromString,
                        wire.GetModelStatusResponse.SerializeToString,
                    )
                },
            ),
        )
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@contextmanager
def connected(
    fake: FakeServer, *, deadline: float = 5.0, label: str | None = None
) -> Iterator[ModelClient]:
    with serving(fake) as port:
        client = ModelClient(f"127.0.0.1:{port}", label=label, deadline=deadline)
        yield client
        client.close()
