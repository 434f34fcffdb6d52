"""Test the flags of the stand-in and the configuration files that they name."""

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from serving.embedded import cli
from serving.embedded.options import read_options

FLAGS_OF_TF_SERVING = Path(__file__).with_name("tf_serving_flags.txt").read_text().splitlines()
OWN_FLAGS = {"--host", "--help"}


def invoke(*flags: str) -> Result:
    return CliRunner().invoke(cli.model_server, flags)


def parsed(*flags: str) -> dict[str, Any]:
    return cli.model_server.make_context("model-server", list(flags)).params


def test_every_flag_but_its_own_is_one_of_tf_serving() -> None:
    flags = {name for parameter in cli.model_server.params for name in parameter.opts}
    known = {f"--{line.partition('=')[0]}" for line in FLAGS_OF_TF_SERVING}
    assert flags - known <= OWN_FLAGS


def test_defaults_are_those_of_tf_serving() -> None:
    flags = parsed()
    for line in FLAGS_OF_TF_SERVING:
        name, _, default = line.partition("=")
        if name in flags and name != "grpc_max_threads":  # follows the number of cores
            value = flags[name]
            text = str(value).lower() if isinstance(value, bool) else str(value or 0)
            assert text == (default.strip('"') or "0"), name


def test_flags_are_read_before_tensorflow_is_imported() -> None:
    assert invoke("--model_base_path=models").exit_code == 1
    assert not any(name == "serving.embedded.run" for name in sys.modules)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--enable_batching", True),
        ("--enable_batching=true", True),
        ("--enable_batching=false", False),
    ],
)
def test_a_boolean_may_be_written_in_three_ways(flag: str, expected: bool) -> None:
    assert parsed(flag)["enable_batching"] is expected


def test_an_unknown_flag_is_refused() -> None:
    result = invoke("--enable_baching")
    assert result.exit_code == 2
    assert "No such option" in result.output


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "expected --model_config_file or --model_base_path"),
        (("--model_base_path=models",), "to have an absolute path"),
        (("--model_base_path=/m", "--grpc_channel_arguments=a=b"), "expected gRPC channel"),
    ],
)
def test_bad_flags_are_answered_with_a_sentence(flags: tuple[str, ...], words: str) -> None:
    result = invoke(*flags)
    assert result.exit_code == 1
    assert words in result.output


def test_a_bad_configuration_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "batching.config"
    path.write_text("max_batch_sise { value: 4 }")
    result = invoke(
        "--model_base_path=/m", "--enable_batching", f"--batching_parameters_file={path}"
    )
    assert result.exit_code == 1
    assert str(path) in result.output
    assert "max_batch_sise" in result.output


def test_a_model_that_is_listed_twice_is_refused_in_the_words_of_tf_serving(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    model = 'config { name: "chest" base_path: "/m" model_platform: "tensorflow" }'
    path.write_text(f"model_config_list {{ {model} {model} }}")
    result = invoke(f"--model_config_file={path}")
    assert result.exit_code == 1
    assert "Illegal to list model chest multiple times in config list" in result.output


def test_batching_without_a_file_has_the_defaults_of_tf_serving() -> None:
    batching = read_options(parsed("--model_base_path=/m", "--enable_batching")).batching
    assert batching is not None
    assert (batching.max_batch_size, batching.max_enqueued_batches) == (1000, 10)


def test_channel_arguments_are_numbers_by_name() -> None:
    flags = parsed("--model_base_path=/m", "--grpc_channel_arguments=grpc.a_ms=1,grpc.b=2")
    assert read_options(flags).grpc_channel_arguments == {"grpc.a_ms": 1, "grpc.b": 2}
