"""Masks of subjects, put where a plugin finds them: in one folder, under the ids of their images."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps

from ..errors import DataError
from ..records import Sample
from .decode import FORMATS, SUFFIXES
from .entries import leaves
from .image_file import ImageFile


def link_masks(samples: Iterable[Sample], masks: str | Path, into: str | Path) -> int:
    """Copies the mask of every sample that has one to `into/ID.png`; how many samples have one.

    A mask belongs to an image when its path in `masks`, without the ending, is that of the image in the data, or the
    end of it: `train/cat/1.png`, `cat/1.png` and `1.png` all fit the image `train/cat/1.jpg`; the longest wins.

    Args:
        samples: those that come from files.
        masks: folder of masks, in any allowed image format.
        into: folder for the copies; made if it is not there.

    Raises:
        DataError: there is no such folder, nothing fits, one mask fits two images or two masks fit one as well, or a
            mask cannot be read; it names the files.
    """
    root = Path(masks).expanduser()
    by_stem = _by_stem(root)
    found = {
        (opener.name, sample.id): file
        for sample in samples
        if isinstance(opener := sample.opener, ImageFile)
        and (file := next((by_stem[tail] for tail in _tails(opener.name) if tail in by_stem), None))
    }
    if not found:
        example = next(iter(by_stem.values())).relative_to(root).as_posix() if by_stem else "nothing"
        raise DataError(f"no mask in {root} is called like an image of the data; it holds {example}")
    _check_one_image_each({name: file for (name, _), file in found.items()})
    folder = Path(into).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    for (_, image_id), file in found.items():
        _copy(file, folder / f"{image_id}.png")
    return len(found)


def _by_stem(root: Path) -> dict[str, Path]:
    """The masks in a folder by their paths in it, without the ending."""
    if not root.is_dir():
        raise DataError(f"folder of masks {root} {'is a file' if root.exists() else 'is not there'}")
    found: dict[str, Path] = {}
    for file in sorted(root.rglob("*")):
        if file.suffix.lower() not in SUFFIXES or file.name.startswith(".") or not file.is_file():
            continue
        if leaves(str(file), root.resolve()):
            raise DataError(f"mask {file} is a symlink that leaves the folder of the masks")
        stem = _stem(file.relative_to(root).as_posix())
        if (other := found.setdefault(stem, file)) != file:
            raise DataError(f"two masks for one image: {other} and {file}; keep one of them")
    return found


def _tails(name: str) -> Iterator[str]:
    """The path without its ending, then ever shorter ends of it: "train/cat/1", "cat/1", "1"."""
    parts = _stem(name).split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _check_one_image_each(found: dict[str, Path]) -> None:
    owners: dict[Path, str] = {}
    for name, file in found.items():
        if (other := owners.setdefault(file, name)) != name:
            raise DataError(
                f"mask {file} fits two images, {other} and {name}; put it into a folder called like that of its image"
            )


def _copy(file: Path, target: Path) -> None:
    """The mask as a PNG: its bytes, where it is one already."""
    try:
        with Image.open(file, formats=FORMATS) as picture:
            if picture.format == "PNG":
                picture.verify()
            else:
                ImageOps.exif_transpose(picture).save(target, "PNG")
                return
        shutil.copyfile(file, target)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"mask {file} cannot be read: {error}") from error
