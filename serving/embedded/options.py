"""Turn the flags into options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.embedded import config
from serving.embedded.config import ConfigError


@dataclass(frozen=True)
class LoadPolicy:
    """How often to look for versions, and how often to try again a load that failed."""

    poll_seconds: float = 1.0
    max_retries: int = 5
    retry_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The flags with their files read; `serving.embedded.cli` says what each flag does."""

    host: str
    port: int
    rest_api_port: int
    models: Sequence[Any]
    batching: config.Batching | None
    metrics_path: str | None
    load_policy: LoadPolicy
    enable_model_warmup: bool
    allow_version_labels_for_unavailable_models: bool
    enable_serialization_as_tensor_content: bool
    grpc_max_threads: int
    grpc_channel_arguments: Mapping[str, int]
    intra_op_threads: int
    inter_op_threads: int


def read_options(flags: Mapping[str, Any]) -> ServerOptions:
    """Read the configuration files that the flags name.

    Raises:
        ConfigError: A file can't be used, no model is named, or one twice.
    """
    if flags["model_config_file"] is not None:
        models = config.read_models(flags["model_config_file"])
    elif flags["model_base_path"]:
        models = config.single_model(flags["model_name"], flags["model_base_path"])
    else:
        raise ConfigError("expected --model_config_file or --model_base_path, got neither")
    names = set()
    for model in models:
        if model.name in names:
            raise ConfigError(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
        if not Path(model.base_path).is_absolute():
            raise ConfigError(
                f"Expected model {model.name} to have an absolute path or URI; "
                f"got base_path()={model.base_path}"
            )
    batching = flags["enable_batching"]
    return ServerOptions(
        host=flags["host"],
        port=flags["port"],
        rest_api_port=flags["rest_api_port"],
        models=models,
        batching=config.read_batching(flags["batching_parameters_file"]) if batching else None,
        metrics_path=config.read_metrics_path(flags["monitoring_config_file"]),
        load_policy=LoadPolicy(
            poll_seconds=flags["file_system_poll_wait_seconds"],
            max_retries=flags["max_num_load_retries"],
            retry_seconds=flags["load_retry_interval_micros"] / 1e6,
        ),
        enable_model_warmup=flags["enable_model_warmup"],
        allow_version_labels_for_unavailable_models=flags[
            "allow_version_labels_for_unavailable_models"
        ],
        enable_serialization_as_tensor_content=flags["enable_serialization_as_tensor_content"],
        grpc_max_threads=flags["grpc_max_threads"],
        grpc_channel_arguments=config.read_channel_arguments(flags["grpc_channel_arguments"]),
        intra_op_threads=flags["tensorflow_intra_op_parallelism"],
        inter_op_threads=flags["tensorflow_inter_op_parallelism"],
    )
