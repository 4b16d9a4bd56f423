"""Copies subject masks into one folder, named by the ids of their images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import ImageOps

from ..errors import DataError
from ..files import Directory
from ..records import Sample
from .decode import SUFFIXES
from .entries import leads_outside
from .image_file import ImageFile
from .image_header import open_image, open_regular, read_all


def link_masks(samples: Iterable[Sample], masks: str | Path, into: str | Path) -> int:
    """Copies the mask of every sample that has one to `into/ID.png`; returns how many samples have one.

    A mask belongs to an image if its path in `masks`, without the suffix, is the image's path in the data or the end of
    it: `train/cat/1.png`, `cat/1.png` and `1.png` all match the image `train/cat/1.jpg`; the longest match wins.

    Args:
        samples: those not opened from files are ignored.
        masks: folder of masks, in any supported image format.
        into: folder for the copies; created if missing.

    Raises:
        DataError: the folder is missing, no mask matches, a mask matches two images, two masks match an image equally
            well, or a mask cannot be read; it names the files.
    """
    root = Path(masks).expanduser()
    by_stem = _masks_by_stem(root)
    mask_of = {
        (opener.name, sample.id): file
        for sample in samples
        if isinstance(opener := sample.opener, ImageFile)
        and (file := next((by_stem[tail] for tail in _path_tails(opener.name) if tail in by_stem), None))
    }
    if not mask_of:
        example = next(iter(by_stem.values())).relative_to(root).as_posix() if by_stem else "nothing"
        raise DataError(f"no mask in {root} is named like an image of the data; the folder has {example}")
    _check_one_image_per_mask({name: file for (name, _), file in mask_of.items()})
    folder = Path(into).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    for (_, image_id), file in mask_of.items():
        _copy_mask(file, folder / f"{image_id}.png")
    return len(mask_of)


def _masks_by_stem(root: Path) -> dict[str, Path]:
    """The masks in a folder by relative path without suffix."""
    if not root.is_dir():
        raise DataError(f"mask folder {root} {'is a file' if root.exists() else 'does not exist'}")
    masks: dict[str, Path] = {}
    for file in sorted(_walk(root)):
        if file.suffix.lower() not in SUFFIXES or file.name.startswith(".") or not file.is_file():
            continue
        if leads_outside(str(file), root.resolve()):
            raise DataError(f"mask {file} is a symlink that leads outside the mask folder")
        stem = _stem(file.relative_to(root).as_posix())
        if (other := masks.setdefault(stem, file)) != file:
            raise DataError(f"two masks for one image: {other} and {file}; keep one of them")
    return masks


def _walk(root: Path) -> Iterator[Path]:
    """Every file below a folder; links to folders are not followed."""

    def refuse(error: OSError) -> None:
        raise DataError(f"mask folder {error.filename} cannot be read ({error.strerror})") from error

    for folder, _, names in os.walk(root, onerror=refuse):
        yield from (Path(folder, name) for name in names)


def _path_tails(name: str) -> Iterator[str]:
    """The path without suffix, then ever shorter ends of it: "train/cat/1", "cat/1", "1"."""
    parts = _stem(name).split("/")
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _check_one_image_per_mask(mask_of: dict[str, Path]) -> None:
    owners: dict[Path, str] = {}
    for name, file in mask_of.items():
        if (other := owners.setdefault(file, name)) != name:
            raise DataError(
                f"mask {file} matches two images, {other} and {name}; move it to a folder named like that of its image"
            )


def _copy_mask(file: Path, target: Path) -> None:
    """Writes the mask as a PNG; the bytes of a PNG are copied unchanged."""
    try:
        content = BytesIO()
        with open_regular(file) as source:
            with open_image(source) as picture:
                if picture.format == "PNG":
                    picture.verify()
                else:
                    ImageOps.exif_transpose(picture).save(content, "PNG")
            source.seek(0)
            Directory(target.parent).write(target.name, content.getvalue() or read_all(source), sync=False)
    except Exception as error:  # image decoders may raise anything
        raise DataError(f"mask {file} cannot be read: {error}") from error
