"""Writes the first settings file for a folder of images: looks at the images, and leaves nothing to be edited."""

from __future__ import annotations

import json
import os
import shlex
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import PluginTable, create_plugin
from ..data import DataCheck, Splits
from ..errors import ConfigError, DataError, DataWarning
from ..files import parse_json

HUB_CHECKPOINT = "facebook/dino-vits16"
BATCH = 32
EPOCHS, FEWEST_STEPS, MOST_STEPS = 3, 100, 1000
FEWEST_GUIDE = 100  # images: the mistakes on fewer say little
_MOST_CONFIG = 1 << 22  # bytes of a checkpoint's config.json


@dataclass(frozen=True)
class FirstSettings:
    """A settings file to be written.

    Attributes:
        text: TOML, commented, at most 25 lines.
        counts: images by split and class.
        notes: what the user should know, a sentence each.
    """

    text: str
    counts: dict[str, dict[str, int]]
    notes: tuple[str, ...]


def write_first_settings(data: str | Path, checkpoint: str | None, into: Path) -> FirstSettings:
    """Writes a settings file for a folder of images.

    Args:
        data: `split/class/image` or `class/image`, or a manifest in CSV.
        checkpoint: a folder of a classifier to start from, or a name on the model hub; None: a small vision transformer
            of the hub.
        into: the file; it must not be there.

    Raises:
        ConfigError: the file is there already, or the checkpoint cannot be used.
        DataError: the images cannot be used as they are; it names the files.
    """
    if os.path.lexists(into):
        raise ConfigError(f"{into} already exists; remove it, or choose another file with --into")
    data = Path(data).expanduser()
    if not data.exists():
        raise DataError(f"there is no folder {data}")
    found = _look_at(data)
    classifier = _choose_checkpoint(checkpoint, found.splits.labels)
    text = "".join(f"{line}\n" for line in _lines(data, found, classifier, into))
    notes = (*found.warnings, *_cautions(found))
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with into.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{into} already exists; remove it, or choose another file with --into") from None
    except OSError as error:
        raise ConfigError(f"{into} cannot be written: {error.strerror or error}") from error
    return FirstSettings(text, found.counts, notes)


def _look_at(data: Path) -> DataCheck:
    """The images, where what a run would refuse is left out."""
    options: dict[str, Any] = {"on_bad_image": "skip", "on_leak": "drop", "on_near_duplicate": "drop"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # what is skipped stands in the file that is written
        splits = Splits.from_manifest(data, **options) if data.is_file() else Splits.from_folder(data, **options)
        return splits.check()


@dataclass(frozen=True)
class _Start:
    checkpoint: str
    comment: str
    fitted: bool  # whether it tells the classes of the data apart


def _choose_checkpoint(checkpoint: str | None, labels: Sequence[str]) -> _Start:
    if checkpoint is None:
        return _Start(HUB_CHECKPOINT, "from the model hub, downloaded on the first run; or a folder", fitted=False)
    place = Path(checkpoint).expanduser()
    if place.suffix.lower() == ".onnx":
        raise ConfigError(
            f"{checkpoint}: an ONNX file cannot be trained, so there is no run to write settings for; "
            f"`xaiaug diagnose DATA --checkpoint {checkpoint}` finds its mistakes and their causes"
        )
    if not place.exists():
        return _Start(checkpoint, "from the model hub, downloaded on the first run", fitted=False)
    plugin = create_plugin("classifier", PluginTable(name="transformers", checkpoint=str(place)))  # type: ignore[call-arg]
    plugin.check()
    fitted = set(labels) <= _read_head(place)
    comment = "its head knows these classes" if fitted else "gets a new head for these classes"
    return _Start(str(place.absolute()), comment, fitted)


def _read_head(folder: Path) -> set[str]:
    """The classes of a checkpoint's trained head; empty where it has none."""
    try:
        content = (folder / "config.json").read_bytes()[:_MOST_CONFIG]
        config = parse_json(content)
    except (OSError, ValueError):
        return set()
    if not isinstance(config, dict) or not any(
        "Classification" in str(name) for name in config.get("architectures") or ()
    ):
        return set()
    names = config.get("id2label")
    return {str(name) for name in names.values()} if isinstance(names, dict) else set()


def _lines(data: Path, found: DataCheck, start: _Start, into: Path) -> Iterator[str]:
    splits, base, name = found.splits, into.absolute().parent, _word(into.name)
    sizes = {name: sum(classes.values()) for name, classes in found.counts.items() if any(classes.values())}
    steps = _choose_steps(sizes.get("train", 0))
    drawn = "splits as given" if splits.given else "splits drawn by fractions (guide = 0.15 …) and seed = 0"
    yield f"# `xaiaug plan {name}` says what it will take, `xaiaug run {name}` runs it."
    yield "[data]"
    yield f"{'manifest' if data.is_file() else 'folder'} = {_path(data, base)}"
    yield f"# {len(splits.labels)} classes; {', '.join(f'{one} {size:,}' for one, size in sizes.items())}; {drawn}"
    yield from _policies(found)
    yield ""
    yield "[classifier]"
    yield f"checkpoint = {_path(Path(start.checkpoint), base)}  # {start.comment}"
    yield ""
    yield "[mistakes]"
    yield 'max = 200      # analysed and learned from; or "all". For a short run: --limit 20'
    yield "slices = true  # look for what groups of mistakes have in common"
    yield ""
    yield "[experiment]"
    yield 'arms = "basic"  # or "remedies": published methods compete with new images; see docs/evidence.md'
    yield "seeds = [0]     # [0, 1, 2, 3, 4] before you believe a difference: three or more give a verdict"
    if start.fitted:
        yield "fit_baseline = false  # the classifier as it is; true trains it first"
    yield ""
    yield "[recipe]"
    passes = steps * BATCH / max(1, sizes.get("train", 1))
    yield f"steps = {steps}      # of each training: {passes:.1f} passes over all images. For a short run: --steps 50"
    yield f"batch_size = {BATCH}"


def _policies(found: DataCheck) -> Iterator[str]:
    near = sum(leak.kind == "near" for leak in found.dropped)
    same = len(found.dropped) - near
    if found.skipped:
        first = _name(found.skipped[0].file)
        yield f'on_bad_image = "skip"       # {len(found.skipped)} files cannot be read, such as {first}'
    if same:
        yield f'on_leak = "drop"            # {same} images are also in another split'
    if near:
        yield f'on_near_duplicate = "drop"  # {near} images look like one of another split; "allow" keeps them'


def _choose_steps(train: int) -> int:
    steps = EPOCHS * train / BATCH
    return int(min(MOST_STEPS, max(FEWEST_STEPS, round(steps, -1))))


def _cautions(found: DataCheck) -> Iterator[str]:
    guide = sum(found.counts.get("guide", {}).values())
    if guide < FEWEST_GUIDE:
        yield f"guide has {guide} images: few mistakes will be found, and they will say little"
    test = sum(found.counts.get("test", {}).values())
    if test < FEWEST_GUIDE:
        yield f"test has {test} images: only large differences can be detected"


def _path(path: Path, base: Path) -> str:
    """A path as TOML: relative to the settings where it lies below them; a name on the hub as it is."""
    if not path.exists():
        return json.dumps(str(path), ensure_ascii=False)
    whole = path.absolute()
    shown = whole.relative_to(base).as_posix() if whole.is_relative_to(base) else whole.as_posix()
    return json.dumps(shown, ensure_ascii=False)


def _name(text: str) -> str:
    """A file name within a comment: one line, whatever it holds."""
    return json.dumps(text[:60], ensure_ascii=not text.isprintable())


def _word(name: str) -> str:
    """A file name within a command within a comment, quoted as a shell needs it."""
    return shlex.quote(name) if name.isprintable() else _name(name)
