"""Calibrated thresholds in force: for the model they were made for, and for no other."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.thresholds import ThresholdSet, write_thresholds
from tests.support.api import running_api
from tests.support.images import gradient, png
from tests.support.model_server import RunningServer, model_flags, model_server

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serve a network of two labels whose own thresholds are 0.5."""
    from export.servable import export_model
    from tests.support.tiny_models import small_model

    folder = tmp_path_factory.mktemp("small")
    export_model(small_model(outputs=2), folder / "densenet", labels=("Mass", "Edema"))
    with model_server("embedded", folder / "log", *model_flags(folder / "densenet")) as running:
        yield running


def served_digest(server: RunningServer, log: Path) -> str:
    with running_api(log, MODEL_SERVER=server.target) as api:
        digest: str = api.get("/health/model").json()["model"]["card_digest"]
        return digest


def thresholds_for(digest: str, path: Path) -> str:
    chosen = {"Mass": 0.001, "Edema": 0.999}
    write_thresholds(
        path,
        ThresholdSet(
            model_name="densenet", card_digest=digest, thresholds=chosen, method="youden", images=9
        ),
    )
    return str(path)


def test_a_calibrated_set_decides_what_is_a_finding(server: RunningServer, tmp_path: Path) -> None:
    digest = served_digest(server, tmp_path / "first.log")
    path = thresholds_for(digest, tmp_path / "thresholds.json")
    with running_api(tmp_path / "log", MODEL_SERVER=server.target, THRESHOLDS=path) as api:
        answer = api.post("/v2/densenet_predict", json={"image": as_base64()})
    report = answer.json()
    assert [each["threshold"] for each in report["predictions"]] == [0.001, 0.999]
    assert report["findings"] == ["Mass"]
    assert report["model"]["thresholds"] == "youden"
    assert report["model"]["card_digest"] == digest


def test_a_set_made_for_another_model_is_refused(server: RunningServer, tmp_path: Path) -> None:
    path = thresholds_for("a" * 64, tmp_path / "thresholds.json")
    with running_api(tmp_path / "log", MODEL_SERVER=server.target, THRESHOLDS=path) as api:
        health = api.get("/health/ready")
        answer = api.post("/densenet_predict", files={"file": png(gradient(64, 64))})
    assert (health.status_code, health.json()["code"]) == (503, "model_unavailable")
    assert (answer.status_code, answer.json()["code"]) == (502, "model_contract")
    assert health.json()["detail"] == answer.json()["detail"]
    assert "cxr calibrate" in answer.json()["detail"]


def test_a_file_that_is_no_set_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    path = str(tmp_path / "wrong.json")
    with (
        pytest.raises(AssertionError, match="ended with status 1"),
        running_api(tmp_path / "log", THRESHOLDS=path),
    ):
        pass
    assert "THRESHOLDS: expected a threshold set" in (tmp_path / "log").read_text()


def as_base64() -> str:
    return base64.b64encode(png(gradient(64, 64))).decode()
