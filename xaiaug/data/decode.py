"""Decodes one image: upright, RGB, never silently clipped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError
from .cache import Stamp, cache_folder

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
MAX_PIXELS = 50_000_000

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """How images are read.

    Attributes:
        window: grey values that become black and white, for grey images of more than 8 bits; None for none.
        side: the shorter side is reduced to this many pixels where it is longer; None keeps the image as it is.
    """

    window: Window | None = None
    side: int | None = None

    def __str__(self) -> str:
        return f"{self.window}/{self.side}"

    def decode(self, source: str | BytesIO, name: str) -> Image.Image:
        """The image: h w c, RGB, uint8, upright.

        Args:
            source: path or bytes of the encoded image.
            name: what it is called in messages.

        Raises:
            DataError: it cannot be read as an image of an allowed format, or is too large.
        """
        try:
            with Image.open(source, formats=FORMATS) as image:
                return self._decode(image)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        except Exception as error:  # decoders of foreign bytes raise whatever they like
            raise DataError(f"{name}: {_reason(error)}") from error

    def _decode(self, image: Image.Image) -> Image.Image:
        _check_header(image)
        if self.side is not None:
            # A JPEG decodes to a half, a quarter or an eighth many times faster than whole.
            image.draft("RGB", (self.side, self.side))
        rgb = _reduce(to_rgb(ImageOps.exif_transpose(image), self.window), self.side)
        rgb.info = {}  # no place, date or camera travels further
        return rgb


def to_rgb(image: Image.Image, window: Window | None = None) -> Image.Image:
    """The image in RGB; what is transparent becomes white.

    Args:
        image: of any mode.
        window: grey values that become black and white; only grey images of more than 8 bits need it.

    Raises:
        DataError: a grey image of more than 8 bits without a window, or with values that are not finite.
    """
    if image.mode.startswith(("I", "F")):
        return _apply_window(image, window).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply_window(image: Image.Image, window: Window | None) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("holds grey values that are not finite")
    if window is None:
        kind = "floating-point" if image.mode.startswith("F") else "16- or 32-bit"
        raise DataError(
            f"is a {kind} grey image with values from {values.min():g} to {values.max():g}; "
            "say which become black and white, as in window=(0, 4095)"
        )
    low, high = window
    scaled = np.clip((values - low) / (high - low), 0, 1) * 255
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width} x {height} pixels, the most is {MAX_PIXELS:,}; reduce it first")
    # An MPO is a JPEG from a phone: its further frames are previews of the first.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise DataError(f"has {frames} frames, expected one; save the frame you mean as an image of its own")


def _reduce(image: Image.Image, side: int | None) -> Image.Image:
    shorter = min(image.size)
    if side is None or shorter <= side:
        return image
    width, height = (max(1, round(length * side / shorter)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {MAX_PIXELS:,} pixels; reduce it first"
    if isinstance(error, FileNotFoundError):
        return "is not there"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, UnidentifiedImageError):
        return f"is not an image in one of the formats {', '.join(FORMATS)}"
    return f"cannot be decoded ({type(error).__name__}: {error})"


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
