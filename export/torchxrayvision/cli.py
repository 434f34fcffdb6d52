"""Bring TorchXRayVision's published weights into a Keras file: ``cxr import-torchxrayvision``.

TensorFlow is imported only when the command runs: it takes seconds, and ``cxr --help`` must not.
"""

from pathlib import Path

import click

from export.errors import ExportError
from export.folder import make_folder
from export.quiet import import_tensorflow_quietly
from export.torchxrayvision.published import CITATION, TERMS, published, release


@click.command()
@click.argument(
    "weights", metavar="WEIGHTS.pt", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--output",
    required=True,
    metavar="MODEL.keras",
    type=click.Path(dir_okay=False, path_type=Path),
)
@click.option(
    "--weights",
    "name",
    metavar="NAME",
    help=f"Which set the file is, if neither it nor its name says: {', '.join(each.name for each in published())}.",
)
def import_torchxrayvision(weights: Path, output: Path, name: str | None) -> None:
    """Convert WEIGHTS.pt, a DenseNet121 of TorchXRayVision, to MODEL.keras for 'cxr export'.

    The file is read without running what a pickle carries. Labels, operating points, cropping and origin are written
    beside the model, for the model card.
    """
    if output.suffix != ".keras":
        raise click.UsageError(f"expected --output to end in .keras, got {output}")
    make_folder(output.parent, "--output")
    click.echo(f"Weights are published at {release()}\n{TERMS}\nPlease cite: {CITATION}", err=True)
    import_tensorflow_quietly()
    from export.torchxrayvision.convert import (  # noqa: PLC0415  # loads TensorFlow: seconds, and only here
        convert,
    )

    try:
        done = convert(weights, output, name)
    except ExportError as err:
        raise click.ClickException(str(err)) from err
    left_out = f" ({done.untrained} untrained outputs left out)" if done.untrained else ""
    click.echo(
        f"Wrote {done.model} and {done.sidecar}: {len(done.labels)} labels{left_out}", err=True
    )
    if done.unknown:
        click.echo(
            f"No operating point is known for {done.unknown} of the labels: their threshold is 0.5, until "
            "cxr calibrate sets others on your data",
            err=True,
        )
    click.echo(f"Next: cxr export {done.model} --output models/densenet", err=True)
