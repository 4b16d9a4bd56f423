"""The command `init`: reads a folder of images and writes a settings file that is ready to run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson
from .table_layout import print_table
from .terminal import print_json, print_line


def init(
    data: Annotated[Path, typer.Argument(help="Images: class/image or split/class/image; or a manifest in CSV.")],
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="A classifier to start from: a folder, or a name on the hub.")
    ] = None,
    into: Annotated[Path | None, typer.Option("--into", help="The settings file; by default DATA.toml.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a settings file for a folder of images, ready to run.

    Every image is read once, to find unreadable files and images that are in two splits. An existing file is never
    overwritten.
    """
    from ..loop.first_settings import write_first_settings

    target = into or Path(f"{data.expanduser().resolve().stem or 'settings'}.toml")
    print_line(f"reading the images in {data}", error=True)
    written = write_first_settings(data, checkpoint, target)
    if as_json:
        print_json({"settings": str(target), "counts": written.counts, "notes": list(written.notes)})
        return
    splits = {name: classes for name, classes in written.counts.items() if any(classes.values())}
    labels = list(next(iter(splits.values())))
    few = len(labels) <= 6
    heads = ("split", "images", *(labels if few else ("smallest class", "largest class")))
    rows = [
        (name, f"{sum(classes.values()):,}", *(f"{n:,}" for n in (classes.values() if few else _ends(classes))))
        for name, classes in splits.items()
    ]
    print_table(heads, rows)
    for note in written.notes:
        print_line(f"! {note}")
    print_line("")
    print_line(f"wrote {target}; next:")
    word = shlex.quote(str(target))
    print_line(f"  xaiaug plan {word}")
    print_line(f"  xaiaug run {word} --limit 20 --steps 50 --until critique  # why it fails")
    print_line(f"  xaiaug run {word} --limit 20 --steps 50                   # and what helps")


def _ends(classes: dict[str, int]) -> tuple[int, int]:
    return min(classes.values()), max(classes.values())
