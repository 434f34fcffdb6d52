import subprocess
import sys
from importlib.metadata import EntryPoint

from click.testing import CliRunner

from orchestrator.cli import _load, main

COMMANDS = {
    "calibrate",
    "dashboard",
    "evaluate",
    "export",
    "import-torchxrayvision",
    "key",
    "model-server",
    "phantoms",
    "predict",
    "publish-model",
    "serve",
    "train-demo",
    "up",
    "worker",
}
SCRIPT = """
import sys
from click.testing import CliRunner
from orchestrator.cli import main
answer = CliRunner().invoke(main, ["--help"])
assert answer.exit_code == 0, answer.output
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""


def test_every_command_is_listed_with_help_of_its_own() -> None:
    answer = CliRunner().invoke(main, ["--help"])
    listed = answer.output.partition("Commands:")[2]
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ")} >= COMMANDS
    assert "needs the package" not in listed


def test_asking_for_help_loads_no_tensorflow() -> None:
    run = [sys.executable, "-c", SCRIPT]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_command_whose_packages_are_missing_says_how_to_get_them() -> None:
    entry = EntryPoint("paint", "no_such_package.cli:paint [model]", "cxr.commands")
    answer = CliRunner().invoke(_load(entry), ["--any", "thing"])
    assert answer.exit_code == 1
    assert "needs the package 'no_such_package'" in answer.output
    assert "install this project with its extra 'model'" in answer.output
