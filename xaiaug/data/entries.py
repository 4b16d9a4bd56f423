"""Files that were located become entries: allowed, inside the root, and known by a digest of their bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from PIL import Image

from ..records import JSON
from .cache import FactCache, Stamp
from .decode import FORMATS, SUFFIXES, Reading
from .image_file import ImageFile

SPLITS = ("train", "guide", "validation", "test", "reserve")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One labelled image that was found.

    Attributes:
        name: what it is called in messages: its path relative to the root of the data, or its row.
        digest: of its bytes, and of how they are read.
        label: name of its class.
        opener: returns the image.
        split: the split it was found in; None where splits are still to be drawn.
        groups: what else is known of it.
        weight: how much it counts in training, > 0.
    """

    name: str
    digest: str
    label: str
    opener: Callable[[], Image.Image]
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True)
class Refusal:
    """A file that is not used, and why.

    Attributes:
        file: its path relative to the root of the data.
        reason: why it is not used.
        split: the split it would be in, where that is known.
        label: the name of its class.
    """

    file: str
    reason: str
    split: str | None = None
    label: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attributes, by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Found:
    """All that a folder, a manifest or a data set holds.

    Attributes:
        labels: names of the classes, sorted; also of classes without an image.
        entries: the images, in a stable order.
        splits: the splits it has itself; none where they are still to be drawn.
        refused: files that look like images but are not used.
        notes: what a person may want to know, a line each.
    """

    labels: tuple[str, ...]
    entries: tuple[Entry, ...]
    splits: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


# Pictures that Pillow or others could read, but that we do not: better refused by name than left out in silence.
FOREIGN = tuple(
    f".{ending}"
    for ending in (
        *("gif", "heic", "heif", "avif", "jp2", "jfif", "ico", "psd", "svg", "tga", "ppm", "pgm"),
        *("raw", "dng", "cr2", "nef", "arw", "dcm", "nii"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Located:
    """A file that is meant to be an image of a class.

    Attributes:
        path: where it is.
        name: its path relative to the root of the data.
        label: name of its class.
        split: the split it was found in, if any.
        groups: what else is known of it.
        weight: how much it counts in training.
    """

    path: str
    name: str
    label: str
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


def to_entries(
    located: Sequence[Located], root: Path, reading: Reading
) -> tuple[tuple[Entry, ...], tuple[Refusal, ...]]:
    """Entries for the files that may be used, and refusals for the others, both in order.

    Args:
        located: the files.
        root: resolved; no symlink may lead out of it.
        reading: how they are read.
    """
    reasons = {file.path: _why_not(file, root) for file in located}
    stamps = _stamps([file.path for file in located if reasons[file.path] is None], reasons)
    digests = _digests(stamps, reasons)
    entries, refused = [], []
    for file in located:
        reason = reasons[file.path]
        if reason is not None:
            refused.append(Refusal(file.name, reason, file.split, file.label))
            continue
        entries.append(
            Entry(
                name=file.name,
                digest=digest_as_read(digests[file.path], reading),
                label=file.label,
                opener=ImageFile(file.path, file.name, reading),
                split=file.split,
                groups=file.groups,
                weight=file.weight,
            )
        )
    return tuple(entries), tuple(refused)


def digest_as_read(digest: str, reading: Reading) -> str:
    """The digest of an image: of its bytes, and of how they are read where that changes its pixels."""
    return digest if reading == Reading() else digest_of(f"{digest}/{reading}".encode())


def looks_like_an_image(name: str) -> bool:
    """Whether a file's ending says that it is a picture, of an allowed format or another."""
    return name.lower().endswith(SUFFIXES + FOREIGN)


def leaves(path: str, root: Path) -> bool:
    """Whether a symlink at `path` leads out of `root`, or nowhere."""
    target = Path(path).resolve()
    return not target.is_relative_to(root) or not target.exists()


def _why_not(file: Located, root: Path) -> str | None:
    if not file.name.lower().endswith(SUFFIXES):
        return f"is not one of the formats {', '.join(FORMATS)}"
    if not file.name.isprintable():
        return "has a name that cannot be printed"
    if os.path.islink(file.path) and leaves(file.path, root):  # noqa: PTH114
        return "is a symlink that leaves the folder of the data, or leads nowhere"
    return None


def _stamps(paths: Sequence[str], reasons: dict[str, str | None]) -> list[Stamp]:
    stamps = []
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116
        except OSError as error:
            reasons[path] = f"cannot be read ({error.strerror})"
            continue
        if S_ISREG(stat.st_mode):
            stamps.append((path, stat.st_size, stat.st_mtime_ns))
        else:
            reasons[path] = "is no regular file"
    return stamps


def _digests(stamps: Sequence[Stamp], reasons: dict[str, str | None]) -> dict[str, str]:
    cache = FactCache("bytes/1")
    known = cache.read(stamps)
    new = [stamp for stamp in stamps if stamp[0] not in known]
    for path, *_ in new:
        try:
            known[path] = digest_of(Path(path).read_bytes())
        except OSError as error:
            reasons[path] = f"cannot be read ({error.strerror})"
    cache.write(new, known)
    return known


def digest_of(content: bytes) -> str:
    """20 hexadecimal digits that stand for these bytes."""
    return hashlib.blake2b(content, digest_size=10).hexdigest()
