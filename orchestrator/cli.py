"""Collect the commands of ``cxr``."""

from importlib.metadata import EntryPoint, entry_points
from typing import Final

import click

from orchestrator.client.predict import predict
from orchestrator.dashboard import dashboard
from orchestrator.env_file import load_env_file
from orchestrator.evaluation.calibrate import calibrate
from orchestrator.evaluation.evaluate import evaluate
from orchestrator.key import key
from orchestrator.publish_model import publish_model
from orchestrator.serve import serve
from orchestrator.up import up
from orchestrator.worker import worker

_GROUP: Final = "cxr.commands"


class _Commands(click.Group):
    """Add the commands that other packages register, so that TensorFlow is imported only for those that use it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(entry.name for entry in _entries())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        found = [entry for entry in _entries() if entry.name == cmd_name]
        return _load(found[0]) if found else None


def _entries() -> list[EntryPoint]:
    return list(entry_points(group=_GROUP))


def _load(entry: EntryPoint) -> click.Command:
    try:
        command: click.Command = entry.load()
    except ModuleNotFoundError as err:
        extras = ",".join(entry.extras)
        return _unavailable(
            entry.name,
            f"'cxr {entry.name}' needs the package '{err.name}', which is not installed;"
            f" install this project with its extra '{extras}'",
        )
    return command


def _unavailable(name: str, message: str) -> click.Command:
    """Stand in for a command whose packages are missing: listed, and refused with the way to get it."""

    def refuse() -> None:
        raise click.ClickException(message)

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, help=message, context_settings=settings)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cxr-service")
def main() -> None:
    """Classify chest radiographs and show where the evidence lies. Not for clinical use."""
    load_env_file()


main.add_command(dashboard)
main.add_command(calibrate)
main.add_command(evaluate)
main.add_command(key)
main.add_command(predict)
main.add_command(publish_model)
main.add_command(serve)
main.add_command(up)
main.add_command(worker)
