"""Test what a model server answers to requests that it can't serve: the codes and the words."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from orchestrator.model import wire_pb2 as wire
from tests.serving.conftest import Start
from tests.support.model_server import RunningServer, model_flags

pytestmark = pytest.mark.tensorflow

IMAGE = np.zeros((1, 8, 6, 1), np.uint8)


def failure(server: RunningServer, *arguments: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        server.predict(*arguments, **options)
    return caught.value.code().name, caught.value.details() or ""


def slow(steps: int = 255) -> dict[str, Any]:
    image = IMAGE.copy()
    image[0, 0, 0] = steps
    return {"image": image}


def test_an_unknown_model_or_version_is_not_found(server: RunningServer) -> None:
    assert failure(server, "gradcam", {"image": IMAGE}, model="nope") == (
        "NOT_FOUND",
        "Servable not found for request: Latest(nope)",
    )
    assert failure(server, "gradcam", {"image": IMAGE}, version=9) == (
        "NOT_FOUND",
        "Servable not found for request: Specific(densenet, 9)",
    )


def test_an_unknown_model_has_no_status(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.status("nope")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Could not find any versions of model nope"


def test_an_unknown_signature_is_a_failed_precondition(server: RunningServer) -> None:
    code, words = failure(server, "zzz", {"image": IMAGE})
    assert (code, words) == ("FAILED_PRECONDITION", 'Serving signature key "zzz" not found.')


def test_an_unknown_label_is_an_invalid_argument(server: RunningServer) -> None:
    code, words = failure(server, "gradcam", {"image": IMAGE}, label="canary")
    assert code == "INVALID_ARGUMENT"
    assert "Unrecognized servable version label: canary" in words


def test_an_unknown_input_is_an_invalid_argument(server: RunningServer) -> None:
    code, words = failure(server, "gradcam", {"picture": IMAGE})
    assert code == "INVALID_ARGUMENT"
    assert "Signature input alias: image(feed name: gradcam_image:0) not found in request" in words


@pytest.mark.parametrize(
    "inputs", [{}, {"image": IMAGE, "other": IMAGE}], ids=["none", "one too many"]
)
def test_a_wrong_number_of_inputs_is_an_invalid_argument(
    server: RunningServer, inputs: dict[str, Any]
) -> None:
    code, words = failure(server, "gradcam", inputs)
    assert code == "INVALID_ARGUMENT"
    assert f"input size does not match signature: {len(inputs)}!=1" in words


def test_another_type_is_an_invalid_argument(server: RunningServer) -> None:
    code, words = failure(server, "gradcam", {"image": IMAGE.astype(np.float32)})
    assert code == "INVALID_ARGUMENT"
    assert "to be uint8 but float is provided" in words


def test_too_few_values_are_an_invalid_argument(server: RunningServer) -> None:
    proto = wire.TensorProto(dtype=wire.DT_UINT8, tensor_content=b"\0\0\0")
    proto.tensor_shape.dim.add(size=4)
    code, words = failure(server, "gradcam", {"image": proto})
    assert code == "INVALID_ARGUMENT"
    assert "tensor parsing error: image" in words


def test_an_unknown_output_is_an_invalid_argument(server: RunningServer) -> None:
    code, words = failure(server, "gradcam", {"image": IMAGE}, output_filter=["zzz"])
    assert code == "INVALID_ARGUMENT"
    assert "output tensor alias not found in signature: zzz" in words


def test_an_output_asked_for_twice_is_an_invalid_argument(server: RunningServer) -> None:
    code, words = failure(server, "gradcam", {"image": IMAGE}, output_filter=["logits"] * 2)
    assert (code, words) == ("INVALID_ARGUMENT", "duplicate output tensor alias: logits")


@pytest.mark.parametrize("shape", [(), (3,), (1, 8, 6), (1, 8, 7, 1), (1, 1, 8, 6, 1)], ids=str)
def test_another_rank_or_size_is_answered_and_the_server_lives(
    server: RunningServer, shape: tuple[int, ...]
) -> None:
    code, _ = failure(server, "gradcam", {"image": np.zeros(shape, np.uint8)})
    assert code == "INVALID_ARGUMENT"
    assert server.predict("gradcam", {"image": IMAGE}).outputs


def test_more_rows_than_a_batch_holds_are_an_invalid_argument(server: RunningServer) -> None:
    code, words = failure(server, "gradcam", {"image": np.repeat(IMAGE, 5, axis=0)})
    assert code == "INVALID_ARGUMENT"
    assert "Task size 5 is larger than maximum input batch size 4" in words


def test_more_callers_than_threads_are_turned_away(server: RunningServer) -> None:
    codes, words = crowd(server, callers=40)
    assert "OK" in codes
    assert "RESOURCE_EXHAUSTED" in codes
    assert any("Server Threadpool Exhausted" in word for word in words)


def test_a_full_queue_turns_away(start: Start, servables: Path, tmp_path: Path) -> None:
    base_path = tmp_path / "models"
    base_path.mkdir()
    (base_path / "1").symlink_to(servables / "two")
    (tmp_path / "batching.config").write_text(
        """
        max_batch_size { value: 1 } allowed_batch_sizes: 1 batch_timeout_micros { value: 0 }
        num_batch_threads { value: 1 } max_enqueued_batches { value: 1 }
        """
    )
    with start(
        *model_flags(base_path),
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
        "--grpc_max_threads=64",
    ) as server:
        codes, words = crowd(server, callers=6)
    assert "OK" in codes
    assert "UNAVAILABLE" in codes
    assert any("The batch scheduling queue" in word and "is full" in word for word in words)


def crowd(server: RunningServer, callers: int) -> tuple[set[str], set[str]]:
    """Send slow requests at once; return the codes and the words of the answers."""

    def call(_: int) -> tuple[str, str]:
        try:
            server.predict("gradcam", slow())
        except grpc.RpcError as err:
            return err.code().name, err.details() or ""
        return "OK", ""

    with ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(call, range(callers)))
    return {code for code, _ in answers}, {words for _, words in answers}
