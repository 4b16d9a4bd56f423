"""Writes the drawn world as image folders; the path of its pre-trained checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from ..errors import DataError
from .drawing import EDITION, draw
from .sampling import BIAS, UNBIASED, sample_scenes
from .scene import Scene

_MARK = "petworld"


def write_world(
    folder: Path | str,
    *,
    sizes: Mapping[str, int],
    seed: int,
    bias: float = BIAS,
    unbiased: Collection[str] = ("test",),
    tagged: float | None = None,
) -> dict[str, Scene]:
    """Writes `split/class/number.png` and returns the scene of every file, by its path below `folder`.

    Existing images drawn with the same arguments are kept; images of another drawn world are replaced. Files and
    their names reveal nothing about the scene except the label.

    Args:
        folder: where to write; created if missing.
        sizes: images in each split, half cats and half dogs, such as {"train": 1000, "test": 600}.
        seed: the same seed gives the same world; splits of equal name, size and bias are equal.
        bias: share of images in which both coat and backdrop go with the label; see `sample_scenes`.
        unbiased: splits in which coat and backdrop are independent of the label.
        tagged: share of the dogs, 0 to 1, that have a yellow tag in a random corner; of the cats it is one less
            this. In unbiased splits half of both have one. None: there are no tags.

    Raises:
        DataError: the folder holds files that this module did not write, `unbiased` names an unknown split, or
            `tagged` is no share.
    """
    if tagged is not None and not 0 <= tagged <= 1:
        raise DataError(f"write_world: tagged must lie in 0..1, the share of the dogs with a tag; got {tagged}")
    root = Path(folder)
    if missing := set(unbiased) - {"test", *sizes}:
        raise DataError(f"write_world: unbiased names {', '.join(sorted(missing))}, but sizes has {', '.join(sizes)}")
    world: dict[str, Scene] = {}
    marks: dict[str, str] = {}
    for split, size in sizes.items():
        odds, tags = UNBIASED if split in unbiased else bias, _tag_shares(tagged, split in unbiased)
        for number, scene in enumerate(sample_scenes(size, seed=[seed, *split.encode()], bias=odds, tags=tags)):
            file = f"{split}/{scene.animal}/{number:05d}.png"
            world[file], marks[file] = scene, _mark(split, size, seed, odds, *([tags] if any(tags) else []))
    existing = _read_marks(root)
    for file in existing.keys() - world.keys():
        (root / file).unlink()
    for file, scene in world.items():
        if existing.get(file) != marks[file]:
            _write(root / file, scene, marks[file])
    return world


def _tag_shares(tagged: float | None, unbiased: bool) -> tuple[float, float]:
    """Of the cats and of the dogs."""
    if tagged is None:
        return 0.0, 0.0
    return (0.5, 0.5) if unbiased else (1 - tagged, tagged)


def _mark(*arguments: object) -> str:
    """The mark stored in the drawings of a split: a digest of the arguments."""
    return hashlib.sha256(" ".join(map(str, (EDITION, *arguments))).encode()).hexdigest()[:16]


def _read_marks(root: Path) -> dict[str, str]:
    """Marks of the drawings that are already in the folder, by path; deletes incomplete files."""
    marks = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix == ".part":
            path.unlink()
        elif path.is_file():
            marks[path.relative_to(root).as_posix()] = _read_mark(path)
    return marks


def _read_mark(path: Path) -> str:
    try:
        with Image.open(path) as image:
            mark = image.info.get(_MARK)
    except UnidentifiedImageError:
        mark = None
    if mark is None:
        raise DataError(f"write_world: {path} is not a drawing of petworld; choose an empty or new folder")
    return str(mark)


def _write(path: Path, scene: Scene, mark: str) -> None:
    """Writes one drawing atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    note, part = PngInfo(), path.with_suffix(".part")
    note.add_text(_MARK, mark)
    draw(scene).save(part, "PNG", pnginfo=note, compress_level=1)
    part.replace(path)


def checkpoint() -> Path:
    """Folder of a small ViT (64 px, patch 8), pre-trained on six drawn animals other than cats and dogs.

    `AutoModelForImageClassification.from_pretrained` and `AutoImageProcessor.from_pretrained` read it;
    `benchmarks/pretrain_petworld.py` trained it.
    """
    return Path(__file__).parent / "vit"
