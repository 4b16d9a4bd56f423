"""The command `export`: the new images of a run in a folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, RunFolder
from .terminal import print_json, print_line

Format = Annotated[
    str,
    typer.Option("--format", help="imagefolder, huggingface (labels as ClassLabel) or csv (with a manifest)."),
]


def export(
    run_dir: RunFolder,
    into: Annotated[Path, typer.Option("--into", help="The folder to write; it must be new or empty.")],
    format_name: Format = "imagefolder",
    arm: Annotated[
        str | None, typer.Option("--arm", help="Only the images that this arm trains on; all by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the new images into a folder. These are the ones that arms train on, for use without xaiaug."""
    from ..results import open_run

    count = open_run(run_dir).export(into, format_name, arm)
    if as_json:
        print_json({"folder": str(into), "format": format_name, "images": count})
        return
    print_line(f"{count:,} images: {into}")
    print_line(f"to load them: {_LOADERS[format_name].format(into=into)}")


_LOADERS = {
    "imagefolder": 'datasets.load_dataset("imagefolder", data_dir="{into}"), or torchvision\'s ImageFolder',
    "huggingface": 'datasets.load_dataset("{into}")',
    "csv": 'xaiaug.Splits.from_manifest("{into}/manifest.csv", guide=0, validation=0, test=0)',  # all are for training
}
