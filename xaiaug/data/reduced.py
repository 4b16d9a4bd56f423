"""Keeps reduced copies of large images in the user's cache folder, so that they are decoded whole but once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from .cache import Stamp, cache_folder
from .reading import Reading

# Bytes of a file: smaller ones decode as fast as their copy would.
LARGE = 200_000
_LEAST_FREE = 2 * 2**30


def reduced(stamp: Stamp, reading: Reading, decode: Callable[[], Image.Image]) -> Image.Image:
    """The image that `decode` gives, by its reduced copy where there is one.

    A reduced image always goes through the codec of its copy, whether the copy was there or not: the pixels are the
    same on every reading, with and without a cache.

    Args:
        stamp: of the file.
        reading: how the file is read; its `side` is set.
        decode: reads the file itself.
    """
    if reading.side is None or stamp[1] < LARGE:
        return decode()
    key = hashlib.blake2b(f"{stamp}/{reading}".encode(), digest_size=16).hexdigest()
    path = cache_folder() / "reduced" / key[:2] / f"{key}.jpg"
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        return _open(path)
    image = decode()
    if min(image.size) < reading.side:  # it is small, whatever its bytes
        return image
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=95, subsampling=0)
    with contextlib.suppress(OSError):
        _write(path, encoded.getvalue())
    return _open(encoded)


def _open(source: Path | BytesIO) -> Image.Image:
    with Image.open(source, formats=("JPEG",)) as image:
        rgb = image.convert("RGB")
    rgb.info = {}
    return rgb


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < _LEAST_FREE:
        return
    # Workers may write the same copy at the same time: each replaces it whole.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).replace(path)
