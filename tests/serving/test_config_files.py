"""Test the configuration that production runs on: it parses, agrees with itself and is known."""

import re
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from export.cli import export
from serving.contract import MODEL_NAME
from serving.embedded import config
from serving.embedded.cli import model_server

SERVING = Path(__file__).parents[2] / "serving"
KNOWN_FLAGS = {
    line.partition("=")[0]
    for line in Path(__file__).with_name("tf_serving_flags.txt").read_text().splitlines()
}


def dockerfile_flags() -> dict[str, str]:
    entrypoint = (SERVING / "Dockerfile").read_text().partition("ENTRYPOINT")[2]
    return dict(re.findall(r'"--([a-z_]+)=([^"]*)"', entrypoint))


def test_models_config_parses_as_its_official_message() -> None:
    text = (SERVING / "models.config").read_text()
    message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = message.model_config_list.config
    assert (model.name, model.model_platform) == (MODEL_NAME, "tensorflow")
    assert Path(model.base_path).is_absolute()
    assert config.read_models(SERVING / "models.config") == [model]


def test_batching_config_keeps_the_rules_of_the_scheduler() -> None:
    batching = config.read_batching(SERVING / "batching.config")
    assert list(batching.allowed_batch_sizes) == sorted(set(batching.allowed_batch_sizes))
    assert batching.allowed_batch_sizes[-1] == batching.max_batch_size
    assert batching.num_batch_threads >= 1
    assert batching.max_enqueued_batches >= 1


def test_the_exporter_warms_up_the_batch_sizes_that_are_served() -> None:
    (option,) = (parameter for parameter in export.params if parameter.name == "batch_sizes")
    warmed_up = tuple(int(size) for size in str(option.default).split(","))
    assert warmed_up == config.read_batching(SERVING / "batching.config").allowed_batch_sizes


def test_monitoring_config_enables_prometheus() -> None:
    path = config.read_metrics_path(SERVING / "monitoring.config")
    assert path == "/monitoring/prometheus/metrics"


def test_the_dockerfile_has_no_flag_that_would_be_ignored() -> None:
    flags = dockerfile_flags()
    assert flags
    assert set(flags) <= KNOWN_FLAGS


def test_the_stand_in_takes_the_flags_of_the_dockerfile() -> None:
    assert set(dockerfile_flags()) <= {parameter.name for parameter in model_server.params}


def test_labels_may_be_read_before_their_versions_are_loaded() -> None:
    assert dockerfile_flags()["allow_version_labels_for_unavailable_models"] == "true"


def test_the_dockerfile_copies_the_files_it_names() -> None:
    text = (SERVING / "Dockerfile").read_text()
    copied = re.search(r"^COPY (.+) (/\S+)/$", text, re.MULTILINE)
    assert copied is not None
    directory = copied[2]
    for flag, value in dockerfile_flags().items():
        if flag.endswith("_file"):
            name = value.removeprefix(f"{directory}/")
            assert name in copied[1].split()
            assert (SERVING / name).is_file()


def test_the_image_runs_as_nobody_special() -> None:
    assert re.search(r"^USER 1000", (SERVING / "Dockerfile").read_text(), re.MULTILINE)
