"""Turn a Keras file into a servable from the command line.

TensorFlow is imported only when the command runs: it takes seconds, and ``cxr --help`` must not.
"""

import re
from pathlib import Path
from typing import Any

import click

from export.errors import ExportError
from export.quiet import import_tensorflow_quietly


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--untrained", is_flag=True, help="Export a randomly initialised DenseNet121 instead of a file."
)
@click.option("--demo", is_flag=True, help="Export the demo model that comes with the project.")
@click.option(
    "--seed", default=0, show_default=True, help="Seed of the random weights of --untrained."
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="Text file, one label per line.  [default: ChestX-ray14's]",
)
@click.option(
    "--preprocess",
    type=click.Choice(["densenet", "rescale", "none"]),
    show_default="what is written beside MODEL, else densenet",
    help="What the network's pixels went through in training; to be said for a model that normalises them itself.",
)
@click.option(
    "--resize",
    type=click.Choice(["squash", "crop"]),
    show_default="what is written beside MODEL, else squash",
    help="How radiographs are brought to the input's size: both sides scaled, or the centre cut out first.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What the network computes in; bfloat16 must keep probabilities and maps, or the export stops.",
)
@click.option(
    "--radiographs",
    type=click.Path(path_type=Path),
    help="Folder of images to verify on, beside synthetic ones.",
)
@click.option("--input-size", help="Input as HEIGHTxWIDTH, for a model that leaves it open.")
@click.option("--target-layer", help="Layer to explain.  [default: the one that feeds the pooling]")
@click.option(
    "--activation",
    type=click.Choice(["sigmoid", "softmax"]),
    help="How probabilities follow, for a model that answers logits.  [default: sigmoid]",
)
@click.option(
    "--name", default="densenet", show_default=True, help="Name that the model is served under."
)
@click.option(
    "--batch-sizes",
    default="1,2,3,4,5,6,7,8",
    show_default=True,
    help="Batch sizes to warm up. With one above the server's max_batch_size (8 in serving/batching.config) the "
    "version does not load.",
)
@click.option(
    "--trust-custom-objects",
    is_flag=True,
    help="Run code that the file names or carries: only for files you trust.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The model's folder, as models/densenet.",
)
def export(
    model: Path | None, *, untrained: bool, demo: bool, output: Path, **options: Any
) -> None:
    """Export MODEL, a Keras file, as the next version of a servable for TensorFlow Serving.

    The servable is compared with the model before it is published. What an importer wrote beside MODEL
    (NAME.card.json) fills in what the options leave open.
    """
    chosen = [model is not None, untrained, demo].count(True)
    if chosen != 1:
        raise click.UsageError(
            f"expected one of MODEL, --untrained and --demo, got {chosen or 'none'} of them"
        )
    options["batch_sizes"] = _numbers(options["batch_sizes"], ",", "--batch-sizes", "1,2,4,8")
    if options["input_size"] is not None:
        size = _numbers(options["input_size"], "x", "--input-size", "224x224")
        if len(size) != 2:
            raise click.UsageError(
                f"expected --input-size like 224x224, got {options['input_size']!r}"
            )
        options["input_size"] = size
    import_tensorflow_quietly()
    from export.run import run_export  # noqa: PLC0415  # loads TensorFlow: seconds, and only here

    try:
        version = run_export(model, output, demo=demo, report=_progress, **options)
    except ExportError as err:
        raise click.ClickException(str(err)) from err
    click.echo(version)


def _progress(step: str) -> None:
    click.echo(step, err=True)


def _numbers(text: str, separator: str, option: str, example: str) -> tuple[int, ...]:
    """Read positive whole numbers."""
    if not re.fullmatch(rf"[1-9]\d*({separator}[1-9]\d*)*", text):
        raise click.UsageError(f"expected {option} like {example}, got {text!r}")
    return tuple(int(part) for part in text.split(separator))
