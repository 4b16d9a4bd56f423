"""Refuses files before they cost memory or time: no regular file, too many bytes, pixels, pages or scans."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from collections.abc import Iterator
from io import BytesIO
from stat import S_ISREG
from typing import BinaryIO

from PIL import Image

from ..errors import DataError
from ..files import MAX_PIXELS, refuse_truncated

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
MAX_BYTES = 250_000_000  # of an image file; more than MAX_PIXELS take in any format
MAX_RATIO = 200  # of the longer side to the shorter
MAX_SCANS = 100  # of a JPEG; encoders write about 10, and each takes as long as decoding a whole image
_MAX_SEGMENTS = 10_000  # of a JPEG before its end
_MAX_CHUNKS = 100_000  # of a PNG: MAX_BYTES in the small ones that encoders write
_MAX_TAG_VALUES = 1_000_000  # of a TIFF: the rows of an image of MAX_PIXELS are fewer
_BLOCK = 1 << 20
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_IMAGE, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FILLED = {127, 128}  # what a reader of JPEG puts where there is no data
_BYTE_TYPES = {1, 2, 6, 7}  # of TIFF tags
_TYPE_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TILE_WIDTH, _TILE_LENGTH = 322, 323


def open_regular(path: str | os.PathLike[str], most: int = MAX_BYTES) -> BinaryIO:
    """A file opened for reading, without waiting for what is on the other side of a pipe or device.

    Args:
        path: of the file; links are followed.
        most: bytes that it may have.

    Raises:
        DataError: it is not a regular file, or has more bytes.
        OSError: it cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    check_regular(os.stat(path), most)  # noqa: PTH116  some devices act when they are opened
    file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115  the caller closes it
    try:
        check_regular(os.fstat(file.fileno()), most)
    except BaseException:
        file.close()
        raise
    return file


def check_regular(stat: os.stat_result, most: int = MAX_BYTES) -> None:
    """Raises DataError unless it is a regular file of at most `most` bytes."""
    if not S_ISREG(stat.st_mode):
        raise DataError("is not a regular file")
    check_length(stat.st_size, most)


def check_length(size: int, most: int = MAX_BYTES) -> None:
    """Raises DataError if a file has more than `most` bytes."""
    if size > most:
        raise DataError(f"has {size:,} bytes, more than {most:,}; reduce it first")


def read_all(file: BinaryIO, most: int = MAX_BYTES) -> bytes:
    """The content of a file; raises DataError if there are more than `most` bytes, whatever its size was said to be."""
    content = file.read(most + 1)
    check_length(len(content), most)
    return content


def digest_file(file: BinaryIO) -> str:
    """20 hex digits of a hash of the rest of a file, read in blocks; raises DataError after `MAX_BYTES` bytes."""
    digest, size = hashlib.blake2b(digest_size=10), 0
    while block := file.read(_BLOCK):
        size += len(block)
        check_length(size)
        digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def open_image(source: BinaryIO) -> Iterator[Image.Image]:
    """The image in a file, opened once its header allows, not yet decoded.

    Raises:
        DataError: it has too many bytes, pixels, scans or frames, or is a strip.
        Exception: whatever the reader of its format raises.
    """
    _check_start(source)
    with refuse_truncated(), Image.open(source, formats=FORMATS) as image:
        _check_header(image)
        yield image


def _check_start(source: BinaryIO) -> None:
    """What must not even be opened: the reader of a format reads all segments, or all values of tags, as it opens."""
    check_length(source.seek(0, os.SEEK_END))
    source.seek(0)
    start = source.read(16)
    if start.startswith(b"\xff\xd8"):
        _check_scans(start + read_all(source))
    elif start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        _check_tags(source, start)
    elif start.startswith(b"\x89PNG"):
        _check_chunks(source)
    source.seek(0)


def _check_chunks(source: BinaryIO) -> None:
    """The number of chunks of a PNG."""
    source.seek(8)
    for _ in range(_MAX_CHUNKS):
        head = source.read(8)
        if len(head) < 8 or head.endswith(b"IEND"):
            return
        source.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    raise DataError(f"is a PNG of more than {_MAX_CHUNKS:,} chunks, which takes very long to read; save it again")


def _check_scans(content: bytes) -> None:
    """The segments of a JPEG up to the end of its first image; what a camera appends does not count."""
    scans = segments = 0
    for kind, _ in _markers(content):
        scans, segments = scans + (kind == _SCAN), segments + (kind != _END)
        if scans > MAX_SCANS or segments > _MAX_SEGMENTS:
            raise DataError(
                f"is a JPEG of more than {MAX_SCANS} scans or {_MAX_SEGMENTS:,} segments, which takes very long to "
                "decode; save it again"
            )


def _markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Kind and place of each marker of a JPEG up to the end of its first image."""
    position = 0
    while marker := _MARKER.search(content, position):
        position, kind = marker.end(), marker[1][0]
        yield kind, marker.start()
        if kind == _END:
            return
        if kind not in (_IMAGE, 0x01):  # those two have no content
            position += max(2, int.from_bytes(content[position : position + 2], "big"))


def check_last_rows(source: BinaryIO, image: Image.Image) -> None:
    """Raises DataError where a JPEG has an end but no data for its last rows, which Pillow fills with grey in silence.

    Not found are blocks lost in the middle, and rows of a progressive JPEG, which are blurred and not grey.

    Args:
        source: the file.
        image: from it, loaded.
    """
    corner = image.getpixel((image.width - 1, image.height - 1))
    values = corner if isinstance(corner, tuple) else (corner,)
    if image.format not in ("JPEG", "MPO") or "progressive" in image.info or not set(values) <= _FILLED:
        return
    source.seek(0)
    content = read_all(source)
    end = next((place for kind, place in _markers(content) if kind == _END), len(content))
    # Zeros instead of the end: a reader with data for every row needs none of them, one without runs out of them.
    with Image.open(BytesIO(content[:end] + bytes(8)), formats=("JPEG",)) as again:
        again.draft(None, (1, 1))  # an eighth of the size, from all of the data
        try:
            again.load()
        except OSError:
            raise DataError("is a JPEG whose data break off: its last rows are missing") from None


def _check_tags(source: BinaryIO, start: bytes) -> None:
    """How much the tags of a TIFF's first page hold; their values are read as the file is opened."""
    order = "<" if start.startswith(b"I") else ">"
    big = b"+" in start[:4]
    (offset,) = struct.unpack(f"{order}8xQ" if big else f"{order}4xL8x", start.ljust(16, b"\0"))
    if offset >= 2**63:
        return  # no TIFF, as its reader will find
    source.seek(offset)
    count_format, entry_format = (f"{order}Q", f"{order}HHQ8s") if big else (f"{order}H", f"{order}HHL4s")
    (count,) = struct.unpack(count_format, source.read(struct.calcsize(count_format)).ljust(8 if big else 2, b"\0"))
    size = struct.calcsize(entry_format)
    values = total = 0
    for number in range(min(count, _MAX_SEGMENTS + 1)):
        entry = source.read(size)
        if len(entry) < size:
            return
        _, kind, length, _ = struct.unpack(entry_format, entry)
        values += 0 if kind in _BYTE_TYPES else length
        total += length * _TYPE_BYTES.get(kind, 1)
        if values > _MAX_TAG_VALUES or total > MAX_BYTES or number == _MAX_SEGMENTS:
            raise DataError(f"is a TIFF whose tags hold more than {_MAX_TAG_VALUES:,} values; save it again")


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}; reduce it first")
    if max(width, height) > MAX_RATIO * min(width, height):
        # Most classifiers first scale the shorter side to a few hundred pixels: a strip would become huge.
        raise DataError(f"has {width} x {height} pixels, one side over {MAX_RATIO} times the other; crop it first")
    _check_frames(image)
    tile = _tile_size(image)
    if tile[0] * tile[1] > MAX_PIXELS:
        raise DataError(f"has tiles of {tile[0]} x {tile[1]} pixels, more than {MAX_PIXELS:,}; save it again")


def _check_frames(image: Image.Image) -> None:
    # An MPO is a JPEG from a phone: its further frames are previews of the first.
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return
    # Counting the pages of a TIFF reads them all, and takes the square of their number.
    frames = "more than one page" if image.format == "TIFF" else f"{getattr(image, 'n_frames', 'many')} frames"
    raise DataError(f"has {frames}, expected one; save the one you want as a separate image")


def _tile_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of the tiles of a TIFF; 0 of other files."""
    tags = getattr(image, "tag_v2", None) or {}
    width, height = (tags.get(tag, 0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)
