"""Define the ``cxr model-server`` command, with the flags that it shares with ``tensorflow_model_server``."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from serving.embedded.config import ConfigError
from serving.embedded.options import read_options
from serving.scheduling import work_in_batches

_F = TypeVar("_F", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path, exists=True, dir_okay=False)


def _flag(name: str, default: bool, text: str) -> Callable[[_F], _F]:
    """Declare a boolean that may be written as ``--name``, ``--name=true`` or ``--name=false``."""
    return click.option(
        f"--{name}", type=bool, is_flag=False, flag_value=True, default=default, help=text
    )


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to bind. Not a flag of TF Serving.")
@click.option("--port", default=8500, help="gRPC port; 0 takes a free one.")
@click.option("--rest_api_port", default=0, help="Port of the status page; 0 leaves it out.")
@click.option("--model_config_file", type=_PATH, help="models.config.")
@click.option("--model_name", default="default", help="Without models.config: the model's name.")
@click.option(
    "--model_base_path",
    default="",
    help="Without models.config: absolute path of the version directories.",
)
@_flag("enable_batching", False, "Gather requests into batches.")
@click.option("--batching_parameters_file", type=_PATH, help="batching.config.")
@click.option("--monitoring_config_file", type=_PATH, help="monitoring.config.")
@click.option(
    "--file_system_poll_wait_seconds",
    default=1,
    help="Seconds between looks for new versions; 0 looks once.",
)
@click.option(
    "--num_load_threads",
    default=0,
    help="Taken, and without effect: a version that fails to load keeps no other waiting.",
)
@click.option("--max_num_load_retries", default=5, help="How often a failed load is tried again.")
@click.option("--load_retry_interval_micros", default=60_000_000, help="Pause before it is.")
@_flag("enable_model_warmup", True, "Run the warm-up requests of the SavedModel.")
@_flag(
    "allow_version_labels_for_unavailable_models", False, "Accept labels of versions not yet there."
)
@_flag("enable_serialization_as_tensor_content", False, "Answer tensors as bytes.")
@click.option(
    "--grpc_max_threads", default=4 * (os.cpu_count() or 1), help="Requests answered at once."
)
@click.option("--grpc_channel_arguments", default="", help="Comma-separated name=number pairs.")
@click.option("--tensorflow_intra_op_parallelism", default=0, help="Threads within an operation.")
@click.option("--tensorflow_inter_op_parallelism", default=0, help="Operations at once.")
def model_server(**flags: Any) -> None:
    """Serve SavedModels as TensorFlow Serving would, where its binary is not to be had.

    The same gRPC services, status page, configuration files, flags, answers and errors, on
    TensorFlow's Python package. A convenience for a desk and for tests: production runs
    tensorflow/serving. Unlike there, an unknown flag is refused.

    When the models are loaded the ports open, and one line of JSON on standard output tells them.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        options = read_options(flags)
    except ConfigError as err:
        raise click.ClickException(str(err)) from err
    work_in_batches()
    # TensorFlow's native part reads this when it is imported. Its errors come as exceptions too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # noqa: TID251 - written, not read
    with _quiet_stderr():
        from serving.embedded.run import leave, run  # noqa: PLC0415 - takes seconds to import

    leave(run(options))


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what native code writes while it is imported: remarks that no log level silences."""
    saved = os.dup(2)
    with Path(os.devnull).open("wb") as devnull:
        os.dup2(devnull.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
