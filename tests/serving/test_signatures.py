"""Test what a model server answers to right requests of the model contract."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire
from orchestrator.model.client import ModelClient
from serving.contract import ModelCard
from tests.support.model_server import RunningServer, pixels

pytestmark = pytest.mark.tensorflow

SHAPE = (8, 6, 1)


def dark(batch: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = pixels(batch, *SHAPE, seed=seed)
    image[:, 0, 0] = 0  # the brighter, the slower
    return image


def test_gradcam_answers_logits_probabilities_and_maps(server: RunningServer) -> None:
    response = server.predict("gradcam", {"image": dark(2)})
    outputs = {name: tensors.decode(proto) for name, proto in response.outputs.items()}
    shapes = {name: (array.shape, array.dtype.name) for name, array in outputs.items()}
    assert shapes == {
        "logits": ((2, 3), "float32"),
        "probabilities": ((2, 3), "float32"),
        "activation_maps": ((2, 3, 4, 3), "float32"),
    }
    cells = dark(2).reshape(2, 4, 2, 3, 2).mean(axis=(2, 4)) / 255
    expected = np.array([1.0, 2.0, 3.0])[:, None, None] * cells[:, None]
    np.testing.assert_allclose(outputs["activation_maps"], expected, atol=1e-6)
    np.testing.assert_allclose(outputs["logits"], expected.mean(axis=(2, 3)), atol=1e-6)


def test_an_answer_names_model_version_and_signature(server: RunningServer) -> None:
    spec = server.predict("gradcam", {"image": dark(1)}).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("densenet", 1, "gradcam")


def test_no_signature_means_the_default_one(server: RunningServer) -> None:
    response = server.predict("", {"image": dark(1)})
    assert list(response.outputs) == ["probabilities"]
    assert response.model_spec.signature_name == "serving_default"


def test_describe_answers_the_card_for_each_row(server: RunningServer) -> None:
    response = server.predict("describe", {"request": np.zeros(2, np.int32)})
    first, second = tensors.decode(response.outputs["card"])
    assert first == second
    assert ModelCard.from_json(first).labels == ("Edema", "Effusion", "Mass")


def test_an_output_filter_leaves_the_others_out(server: RunningServer) -> None:
    response = server.predict("gradcam", {"image": dark(1)}, output_filter=["logits"])
    assert list(response.outputs) == ["logits"]


def test_values_may_be_sent_one_by_one(server: RunningServer) -> None:
    image = dark(1)
    typed = wire.TensorProto(dtype=wire.DT_UINT8, int_val=image.ravel().tolist())
    typed.tensor_shape.dim.extend(wire.TensorShapeProto.Dim(size=size) for size in image.shape)
    answers = [server.predict("gradcam", {"image": value}) for value in (image, typed)]
    assert answers[0].outputs["logits"] == answers[1].outputs["logits"]


def test_requests_that_are_gathered_get_their_own_answers(server: RunningServer) -> None:
    images = [dark(batch, seed) for seed, batch in enumerate([1, 2, 1, 1, 3, 1, 4, 1])]
    alone = [server.predict("gradcam", {"image": image}).outputs["logits"] for image in images]
    with ThreadPoolExecutor(6) as callers:
        together = list(callers.map(lambda i: server.predict("gradcam", {"image": i}), images))
    for expected, response in zip(alone, together, strict=True):
        np.testing.assert_allclose(
            tensors.decode(response.outputs["logits"]), tensors.decode(expected), atol=1e-6
        )


def test_the_client_of_the_service_is_served(server: RunningServer) -> None:
    client = ModelClient(server.target)
    servable, prediction = client.predict(lambda _: dark(1)[0, :, :, 0])
    client.close()
    assert (servable.version, servable.card.map_width) == (1, 3)
    assert prediction.activation_maps.shape == (3, 4, 3)


def test_metadata_lists_the_signatures(server: RunningServer) -> None:
    # Read as bytes: the messages of GetModelMetadata are none that the service uses.
    method = "/tensorflow.serving.PredictionService/GetModelMetadata"
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = server.channel.unary_unary(method)
    spec = wire.ModelSpec(name="densenet").SerializeToString()
    request = b"\x0a" + bytes([len(spec)]) + spec + b"\x12\x0dsignature_def"
    answer = call(request, timeout=10)
    assert b"type.googleapis.com/tensorflow.serving.SignatureDefMap" in answer
    for name in (b"gradcam", b"serving_default", b"describe", b"activation_maps"):
        assert name in answer


def test_the_status_page_tells_the_state(server: RunningServer) -> None:
    expected = {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    for path in ("/v1/models/densenet", "/v1/models/densenet/versions/1"):
        status, body = server.get(path)
        assert (status, json.loads(body)) == (200, expected)


@pytest.mark.parametrize(
    ("path", "expected", "words"),
    [
        ("/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("/v1/models/densenet/versions/9", 404, "Could not find version 9 of model densenet"),
        (f"/v1/models/densenet/versions/{2**63}", 400, f"convert version: {2**63} to numeric"),
        (f"/v1/models/densenet/versions/{'9' * 5000}", 400, "Failed to convert version"),
        ("/v1/other", 400, "Malformed request: GET /v1/other"),
    ],
)
def test_the_status_page_says_what_is_wrong(
    server: RunningServer, path: str, expected: int, words: str
) -> None:
    status, body = server.get(path)
    assert status == expected
    assert words in json.loads(body)["error"]


def test_requests_are_counted_at_the_configured_path(server: RunningServer) -> None:
    server.predict("gradcam", {"image": dark(1)})
    status, body = server.get("/metrics/here")
    assert status == 200
    assert ':tensorflow:serving:request_count{model_name="densenet",status="OK"}' in body
