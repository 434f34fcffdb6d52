"""See that the model servers get flags that exist, files that parse, and labels that clients ask for."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.contract import MODEL_NAME
from serving.embedded import config
from tests.k8s.build import ROOT
from tests.k8s.manifests import Manifests, Object, Workload, image_name


@cache
def known_flags() -> dict[str, str]:
    """Return the flags of tensorflow_model_server, with their defaults."""
    text = (ROOT / "tests" / "serving" / "tf_serving_flags.txt").read_text()
    return dict(line.split("=", 1) for line in text.splitlines())


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of what TensorFlow Serving would ignore or refuse."""
    for workload in manifests.workloads():
        for container in workload.spec["containers"]:
            if image_name(container) == "cxr-model-server":
                for complaint in (
                    *_flags(container),
                    *_files(manifests, workload, container),
                ):
                    yield f"{workload.name}: {complaint}"


def _flags(container: Object) -> Iterator[str]:
    if "command" in container:
        yield "its command replaces the flags of the image"
    for argument in container.get("args", []):
        name, _, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in known_flags():
            yield f"{argument} would be ignored"
            continue
        default = known_flags()[name]
        if default in ("true", "false") and value not in ("true", "false"):
            yield f"{argument} is not true or false"
        if default.isdigit() and not value.lstrip("-").isdigit():
            yield f"{argument} is not a number"


def _files(manifests: Manifests, workload: Workload, container: Object) -> Iterator[str]:
    name = next(v["configMap"]["name"] for v in workload.spec["volumes"] if "configMap" in v)
    files = (manifests.named("ConfigMap", name) or {}).get("data", {})
    with TemporaryDirectory() as folder:
        for file, text in files.items():
            (Path(folder) / file).write_text(text)
        try:
            config.read_batching(Path(folder) / "batching.config")
            config.read_metrics_path(Path(folder) / "monitoring.config")
        except config.ConfigError as err:
            yield str(err)
    try:
        text = files.get("models.config", "")
        server = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as err:
        yield f"models.config: {err}"
        return
    models = list(server.model_config_list.config)
    if [model.name for model in models] != [MODEL_NAME]:
        yield f"models.config: expected one model {MODEL_NAME}, got {[m.name for m in models]}"
        return
    yield from _model(models[0], manifests, container)


def _model(model: Any, manifests: Manifests, container: Object) -> Iterator[str]:
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    if str(Path(model.base_path).parent) not in mounts or Path(model.base_path).name != model.name:
        yield f"no model at {model.base_path}"
    served = set(model.model_version_policy.specific.versions)
    for label, version in model.version_labels.items():
        if version not in served:
            yield f"label {label} is at version {version}, which is not served"
    for workload in manifests.workloads():
        for each in workload.containers():
            label = manifests.environment(each).get("MODEL_LABEL")
            if label is not None and label not in model.version_labels:
                yield f"{workload.name} asks for the label {label!r}, which no version has"
