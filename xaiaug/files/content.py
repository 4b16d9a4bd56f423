"""Arrays, images and JSON from bytes that are not trusted: headers are checked before anything is decoded."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image, ImageFile

MAX_PIXELS = 50_000_000  # of an image
MAX_TEXT = 1 << 30  # bytes of a text file
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def parse_array(data: bytes) -> NDArray[Any]:
    """The numbers in the bytes of a .npy file.

    Raises:
        ValueError: it is no such file, holds anything but numbers, or is not as long as its header says.
    """
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"it has version {version[0]}.{version[1]}")
        shape, fortran, dtype = _HEADERS[version](file)
    except Exception as error:  # what numpy's parser raises depends on what it is given
        raise ValueError(f"is not an array of numpy: {str(error)[:200]}") from error
    if dtype.kind not in "biuf" or fortran or len(shape) > 8:
        raise ValueError(f"holds {dtype} of the shape {str(shape)[:100]}, expected numbers")
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != len(data) - file.tell():
        raise ValueError(f"has {len(data) - file.tell():,} bytes of numbers, but its header says {expected:,}")
    numbers = np.frombuffer(data, dtype, offset=file.tell()) if expected else np.empty(0, dtype)
    return numbers.reshape(shape).copy()


def parse_image(data: bytes, formats: tuple[str, ...] = ("PNG",)) -> Image.Image:
    """The image in the bytes of an image file: h w c, RGB, uint8.

    Args:
        data: of the file.
        formats: names of Pillow's formats that it may have.

    Raises:
        ValueError: it is no such image, is torn, or has more than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is stricter
            with refuse_truncated(), Image.open(io.BytesIO(data), formats=formats) as image:
                width, height = image.size
                if width * height <= MAX_PIXELS:
                    rgb = image.convert("RGB")
                    rgb.info = {}
                    return rgb
    except Exception as error:  # what Pillow's decoders raise depends on what they are given
        raise ValueError(f"cannot be decoded as {' or '.join(formats)}: {str(error)[:200]}") from error
    raise ValueError(f"has {width:,} × {height:,} pixels, more than the {MAX_PIXELS:,} that are decoded")


class _TruncatedImages:
    """Pillow's switch for half images, held off while any thread is inside `refuse_truncated`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._inside = 0
        self._before = False
        if hasattr(os, "register_at_fork"):  # a worker must not inherit the lock while a thread holds it
            os.register_at_fork(
                before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self.lock.release
            )

    def hold(self) -> None:
        with self.lock:
            if self._inside == 0:
                self._before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
            self._inside += 1

    def release(self) -> None:
        with self.lock:
            self._inside -= 1
            if self._inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._before


_truncated_images = _TruncatedImages()


@contextlib.contextmanager
def refuse_truncated() -> Iterator[None]:
    """Makes Pillow refuse files that break off, even where another library has set `LOAD_TRUNCATED_IMAGES`.

    With that switch on, half a picture over grey passes for a whole one.
    """
    _truncated_images.hold()
    try:
        yield
    finally:
        _truncated_images.release()


def parse_json(data: bytes | str) -> Any:
    """The value in a JSON text.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
