"""Offer the demo's training as a command.

TensorFlow is imported only when the command runs: it takes seconds, and ``cxr --help`` must not.
"""

from pathlib import Path
from typing import Final

import click

from export.demo.recipe import Recipe
from export.folder import make_folder
from export.quiet import import_tensorflow_quietly

_WEIGHTS: Final = Path(__file__).with_name("weights.npz")  # as in export/demo/model.py


@click.command("train-demo")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_WEIGHTS,
    show_default="the weights that come with the project",
    help="File of the weights (.npz); the record goes beside it (.json).",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".train-demo"),
    show_default=True,
    help="Folder of the state; a second run goes on where the first stopped.",
)
@click.option("--seed", type=click.IntRange(0, 99), default=Recipe.seed, show_default=True)
@click.option(
    "--draws",
    type=click.IntRange(min=2 * Recipe.batch),
    default=Recipe().draws,
    show_default=True,
    help="Phantoms to train on; fewer shorten every stage.",
)
def train_demo(output: Path, state: Path, seed: int, draws: int) -> None:
    """Train the demo weights on synthetic phantoms, which takes an hour or so on two cores."""
    if output.suffix != ".npz":
        raise click.BadParameter(
            f"expected a file that ends in .npz, got {output}", param_hint="--output"
        )
    make_folder(output.parent, "--output")
    make_folder(state, "--state")
    import_tensorflow_quietly()
    from export.demo.run import run_training  # noqa: PLC0415  # loads TensorFlow: only here

    run_training(Recipe(seed=seed).shortened(draws), state, output)
