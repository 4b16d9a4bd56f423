"""Turns files found in a data source into entries: of an allowed format, inside the root, with a content digest."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ..errors import DataError
from ..records import JSON
from .cache import FactCache, file_state, is_settled
from .decode import SUFFIXES, Decoder, digest_bytes
from .image_file import ImageFile
from .image_header import FORMATS, check_regular, digest_file, open_regular
from .label_names import is_usable_name

SPLITS = ("train", "guide", "validation", "test", "reserve")
# Formats that we do not read, though Pillow or others could: such files are reported as unusable, not ignored.
UNSUPPORTED_SUFFIXES = tuple(
    f".{ending}"
    for ending in (
        *("gif", "heic", "heif", "avif", "jp2", "jxl", "ico", "psd", "svg", "tga", "ppm", "pgm"),
        *("raw", "dng", "cr2", "nef", "arw", "dcm", "nii"),
    )
)


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """A file listed as an image of a class, not yet checked.

    Attributes:
        path: where it is.
        name: its path relative to the root of the data.
        label: name of its class.
        split: the split it is listed in, if any.
        groups: its value in each group, such as {"patient": "17"}.
        weight: how much it counts in training.
    """

    path: str
    name: str
    label: str
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One usable labelled image.

    Attributes:
        name: its name in messages: its path relative to the root of the data, or its row.
        digest: of its bytes and, where it changes the pixels, of the decoder.
        label: name of its class.
        opener: returns the image.
        split: the split it was found in; None where splits are still to be drawn.
        groups: as in `ListedFile`.
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
class UnusableFile:
    """A file that cannot be used, and why.

    Attributes:
        file: its path relative to the root of the data.
        reason: why it cannot be used.
        split: the split it would belong to, if known.
        label: name of its class.
    """

    file: str
    reason: str
    split: str | None = None
    label: str | None = None

    def to_json(self) -> dict[str, JSON]:
        """The attributes, by name."""
        return dict(vars(self))


@dataclass(frozen=True)
class Scan:
    """Everything found in a folder, manifest or dataset.

    Attributes:
        labels: names of the classes, sorted, including classes without images.
        entries: the images, in a stable order.
        splits: the splits that the source defines; empty where they are still to be drawn.
        unusable: files that look like images but cannot be used.
        notes: remarks for the user, one line each.
    """

    labels: tuple[str, ...]
    entries: tuple[Entry, ...]
    splits: tuple[str, ...] = ()
    unusable: tuple[UnusableFile, ...] = ()
    notes: tuple[str, ...] = ()


def to_entries(
    files: Sequence[ListedFile], root: Path, decoder: Decoder
) -> tuple[tuple[Entry, ...], tuple[UnusableFile, ...]]:
    """Entries for the usable files and reasons for the others, both in order.

    Args:
        files: as listed.
        root: resolved; no symlink may lead outside it.
        decoder: how the images are decoded.
    """
    reasons = {file.path: _unusable_reason(file, root) for file in files}
    contents = _digest_files([file.path for file in files if reasons[file.path] is None], reasons)
    entries, unusable = [], []
    for file in files:
        reason = reasons[file.path]
        if reason is not None:
            unusable.append(UnusableFile(_printable(file.name), reason, file.split, file.label))
            continue
        entries.append(
            Entry(
                name=file.name,
                digest=digest_image(contents[file.path].digest, decoder),
                label=file.label,
                opener=ImageFile(file.path, file.name, decoder, *contents[file.path]),
                split=file.split,
                groups=file.groups,
                weight=file.weight,
            )
        )
    return tuple(entries), tuple(unusable)


def digest_image(digest: str, decoder: Decoder) -> str:
    """The digest of an image: of its bytes, and of the decoder where that is not the default one."""
    return digest if decoder == Decoder() else digest_bytes(f"{digest}/{decoder}".encode())


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def check_weight(where: str, value: Any) -> float:
    """A weight in training; raises DataError, which begins with `where`, unless it is a positive number."""
    try:
        weight = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 < weight < math.inf:
        raise DataError(f"{where}: weight must be a positive number, got {str(value)[:80]!r}")
    return weight


def has_image_suffix(name: str) -> bool:
    """Whether a file name ends like that of an image, in a supported format or not."""
    return name.lower().endswith(SUFFIXES + UNSUPPORTED_SUFFIXES)


def leads_outside(path: str, root: Path) -> bool:
    """Whether a symlink at `path` is broken or leads outside `root`."""
    target = Path(os.path.realpath(path))  # unlike Path.resolve, without an error where a link leads to itself
    return not target.is_relative_to(root) or not target.exists()


def is_url(file: str) -> bool:
    """Whether the name of a file is the address of one elsewhere."""
    return "://" in file


def explain_missing(file: ListedFile) -> str:
    """Why there is no file of that name, as far as the name tells."""
    if is_url(file.name):
        return "is a URL; images are not fetched: download them and list the files"
    if re.match(r"[A-Za-z]:[\\/]", file.name):
        return "is a path from another computer; write it relative to the data folder"
    found = next((ending for ending in SUFFIXES if os.path.exists(file.path + ending)), None)  # noqa: PTH110
    return f"does not exist, but {file.name}{found} does; write names with their ending" if found else "does not exist"


def _unusable_reason(file: ListedFile, root: Path) -> str | None:
    if not os.path.lexists(file.path):
        return explain_missing(file)
    if not is_usable_name(file.name):
        return "has a name with control characters, or bytes that are not text"
    if os.path.islink(file.path) and leads_outside(file.path, root):  # noqa: PTH114
        return "is a symlink that is broken or leads outside the data folder"
    if not file.name.lower().endswith(SUFFIXES) and not _begins_like_image(file.path):
        ending = os.path.splitext(file.name)[1].lower() or "no ending"  # noqa: PTH122
        return f"is not in one of the formats {', '.join(FORMATS)} (its name has {ending})"
    return None


def _begins_like_image(path: str) -> bool:
    """Whether a file is an image of ours under another name: phones write JPEG as .heic, and downloads lose endings.

    A raw photo begins like a TIFF, and its first page is a thumbnail, so none is taken for one.
    """
    try:
        with open_regular(path) as file:
            start = file.read(12)
    except (OSError, DataError):
        return False
    return start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n")) or (start[:4], start[8:]) == (b"RIFF", b"WEBP")


class _Content(NamedTuple):
    digest: str
    size: int
    state: str  # as in `ImageFile`


def _digest_files(paths: Sequence[str], reasons: dict[str, str | None]) -> dict[str, _Content]:
    """The content of each file; what cannot be read is left out, and the reason noted."""
    stats: dict[str, os.stat_result] = {}
    for path in paths:
        try:
            stat = os.stat(path)  # noqa: PTH116  (twice as fast as a Path, for each of 20,000 files)
            check_regular(stat)
        except OSError as error:
            reasons[path] = f"cannot be read ({error.strerror})"
        except DataError as error:
            reasons[path] = str(error)
        else:
            stats[path] = stat
    states = {path: file_state(stat) for path, stat in stats.items() if is_settled(stat)}
    cache = FactCache("bytes/1")
    digests = cache.read(states)
    new = {path: digest for path in stats if path not in digests and (digest := _digest_file(path, reasons))}
    cache.write(states, new)
    digests.update(new)
    return {path: _Content(digest, stats[path].st_size, states.get(path, "")) for path, digest in digests.items()}


def _digest_file(path: str, reasons: dict[str, str | None]) -> str | None:
    try:
        with open_regular(path) as file:
            return digest_file(file)
    except OSError as error:
        reasons[path] = f"cannot be read ({error.strerror})"
    except DataError as error:
        reasons[path] = str(error)
    return None
