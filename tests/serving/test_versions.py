"""Test how versions come, take over and go."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from orchestrator.model import tensors
from orchestrator.model.client import ModelClient
from tests.serving.conftest import BATCHING, Start
from tests.support.model_server import DidNotStartError, RunningServer, model_flags

pytestmark = pytest.mark.tensorflow

IMAGE = np.zeros((1, 8, 6, 1), np.uint8)


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


def version_of_answer(server: RunningServer, **choice: int | str) -> int:
    response = server.predict("gradcam", {"image": IMAGE}, **choice)  # type: ignore[arg-type]
    return response.model_spec.version.value


def test_a_new_version_takes_over_and_the_old_one_is_drained(
    start: Start, servables: Path, base_path: Path, tmp_path: Path
) -> None:
    (base_path / "1").symlink_to(servables / "one")
    (base_path / "not-a-version").mkdir()
    (tmp_path / "batching.config").write_text(BATCHING)
    slow = IMAGE.copy()
    slow[0, 0, 0] = 255
    with start(
        *model_flags(base_path),
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
        "--grpc_max_threads=64",
    ) as server:
        client = ModelClient(server.target)
        assert client.describe().version == 1
        stop = time.monotonic() + 240

        def keep_calling(_: int) -> set[int]:
            """Call until version 2 answers; no call may fail meanwhile."""
            seen: set[int] = set()
            while 2 not in seen and time.monotonic() < stop:
                answer = server.predict("gradcam", {"image": slow})
                seen.add(answer.model_spec.version.value)
            return seen

        with ThreadPoolExecutor(3) as callers:
            calls = [callers.submit(keep_calling, n) for n in range(3)]
            (base_path / "2").symlink_to(servables / "two")
            assert {version for call in calls for version in call.result()} == {1, 2}
        server.wait_for({1: "END", 2: "AVAILABLE"})
        assert client.predict(lambda _: IMAGE[0, :, :, 0])[0].card.architecture.endswith("2")
        with pytest.raises(grpc.RpcError) as caught:
            version_of_answer(server, version=1)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

        # A version that does not load leaves the old one at work.
        (base_path / "3").mkdir()
        server.wait_for({2: "AVAILABLE", 3: "END"})
        assert version_of_answer(server) == 2
        entry = json.loads(server.get("/v1/models/densenet/versions/3")[1])
        status = entry["model_version_status"][0]["status"]
        assert status["error_code"] != "OK"
        assert "saved_model.pb" in status["error_message"]

        # The newest that is left comes back.
        (base_path / "2").unlink()
        (base_path / "3").rmdir()
        server.wait_for({1: "AVAILABLE", 2: "END"})
        assert version_of_answer(server) == 1
        client.close()


def test_versions_can_be_pinned_and_labelled(
    start: Start, servables: Path, base_path: Path, tmp_path: Path
) -> None:
    for number, name in (("1", "one"), ("2", "two"), ("3", "two")):
        (base_path / number).symlink_to(servables / name)
    models = tmp_path / "models.config"
    models.write_text(
        f"""
        model_config_list {{ config {{
          name: "densenet" base_path: "{base_path}" model_platform: "tensorflow"
          model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
          version_labels {{ key: "stable" value: 1 }}
          version_labels {{ key: "canary" value: 2 }}
        }} }}
        """
    )
    with start(
        f"--model_config_file={models}", "--allow_version_labels_for_unavailable_models=true"
    ) as server:
        server.wait_for({1: "AVAILABLE", 2: "AVAILABLE"})
        assert 3 not in server.status()
        assert version_of_answer(server) == 2
        assert version_of_answer(server, version=1) == 1
        assert version_of_answer(server, label="stable") == 1
        assert version_of_answer(server, label="canary") == 2
        for label, expected in (("stable", 1), ("canary", 2)):
            client = ModelClient(server.target, label=label)
            assert client.predict(lambda _: IMAGE[0, :, :, 0])[1].version == expected
            client.close()
        image = np.full_like(IMAGE, 100)
        image[0, 0, 0] = 0
        one, two = (
            tensors.decode(
                server.predict("gradcam", {"image": image}, version=version).outputs["logits"]
            )
            for version in (1, 2)
        )
        np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_a_label_keeps_the_server_from_starting_unless_its_version_may_be_away(
    start: Start, servables: Path, base_path: Path, tmp_path: Path
) -> None:
    (base_path / "1").symlink_to(servables / "one")
    models = tmp_path / "models.config"
    models.write_text(
        f"""
        model_config_list {{ config {{
          name: "densenet" base_path: "{base_path}" model_platform: "tensorflow"
          version_labels {{ key: "stable" value: 1 }}
        }} }}
        """
    )
    with (
        pytest.raises(DidNotStartError, match="assign label stable to version 1"),
        start(f"--model_config_file={models}"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "words"),
    [("too_large_warmup", "is larger than maximum input batch size 4"), ("nothing", "saved_model")],
)
def test_a_first_version_that_does_not_load_ends_the_server(
    start: Start, servables: Path, base_path: Path, tmp_path: Path, name: str, words: str
) -> None:
    (servables / "nothing").mkdir(exist_ok=True)
    (base_path / "1").symlink_to(servables / name)
    (tmp_path / "batching.config").write_text(BATCHING)
    flags = (
        *model_flags(base_path),
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching.config'}",
    )
    with pytest.raises(DidNotStartError, match=words), start(*flags):
        pass


def test_a_servable_that_only_tensorflow_loads_is_not_served(
    start: Start, servables: Path, base_path: Path
) -> None:
    (base_path / "1").symlink_to(servables / "keras_in_module")
    with start(*model_flags(base_path)) as server, pytest.raises(grpc.RpcError) as caught:
        server.predict("serving_default", {"image": np.zeros((1, 4), np.float32)})
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "Could not find variable" in (caught.value.details() or "")
