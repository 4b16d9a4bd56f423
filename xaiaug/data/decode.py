"""Decodes an image: upright, RGB, never silently clipped, optionally reduced."""

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
from typing import BinaryIO

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError
from .cache import cache_folder

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
SUFFIXES = (
    *(
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".jif",
        ".pjpeg",
        ".pjp",
        ".mpo",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".dib",
    ),
)
MAX_PIXELS = 50_000_000
MIN_CACHED_BYTES = 200_000  # smaller files decode as fast as a reduced copy would
_MIN_FREE_BYTES = 2 * 2**30
_VERSION = 2  # of the decoding: other pixels are cached under other keys

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Decoder:
    """How images are decoded.

    Attributes:
        window: the grey values mapped to black and white, for grey images of more than 8 bits; None if there are none.
        side: a longer shorter side is reduced to this many pixels; None keeps the size.
    """

    window: Window | None = None
    side: int | None = None

    def __str__(self) -> str:
        return f"{self.window}/{self.side}"

    def decode(self, source: str | BinaryIO, name: str) -> Image.Image:
        """The image: h w c, RGB, uint8, upright.

        Args:
            source: path or file of the encoded image.
            name: its name in messages.

        Raises:
            DataError: it is not a readable image in a supported format, or is too large.
        """
        try:
            with Image.open(source, formats=FORMATS) as image:
                return self._decode(image)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        except Exception as error:  # image decoders may raise anything
            raise DataError(f"{name}: {_reason(error)}") from error

    def _decode(self, image: Image.Image) -> Image.Image:
        _check_header(image)
        if self.side is not None:
            # A JPEG decodes to a half, a quarter or an eighth many times faster than at full size.
            image.draft("RGB", (self.side, self.side))
        rgb = _reduce(to_rgb(ImageOps.exif_transpose(image), self.window), self.side)
        rgb.info = {}  # drops location, date and camera
        return rgb


def to_rgb(image: Image.Image, window: Window | None = None) -> Image.Image:
    """The image in RGB; transparent pixels become white.

    Args:
        image: of any mode.
        window: the grey values mapped to black and white; only grey images of more than 8 bits need it.

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
        raise DataError("has grey values that are not finite")
    if window is None:
        kind = "floating-point" if image.mode.startswith("F") else "16- or 32-bit"
        raise DataError(
            f"is a {kind} grey image with values from {values.min():g} to {values.max():g}; "
            "choose the values for black and white, such as window=(0, 4095)"
        )
    low, high = window
    scaled = np.clip((values - low) / (high - low), 0, 1) * 255
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}; reduce it first")
    # An MPO is a JPEG from a phone: its further frames are previews of the first.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise DataError(f"has {frames} frames, expected one; save the frame you want as a separate image")


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
        return "does not exist"
    if isinstance(error, PermissionError):
        return "cannot be read (permission denied)"
    if isinstance(error, UnidentifiedImageError):
        return f"is not an image in one of the formats {', '.join(FORMATS)}"
    return f"cannot be decoded ({type(error).__name__}: {error})"


def digest_bytes(content: bytes) -> str:
    """20 hex digits of a hash of the bytes."""
    return hashlib.blake2b(content, digest_size=10).hexdigest()


def load_reduced(digest: str, size: int, decoder: Decoder, decode: Callable[[], Image.Image]) -> Image.Image:
    """The decoded image, from a cached reduced copy where there is one.

    A reduced image always goes through the JPEG codec of the copy, so that its pixels are the same with and without a
    cache.

    Args:
        digest: of the encoded image.
        size: of the encoded image, in bytes.
        decoder: how it is decoded.
        decode: decodes it.
    """
    if decoder.side is None or size < MIN_CACHED_BYTES:
        return decode()
    key = digest_bytes(f"{_VERSION}/{digest}/{decoder}/{PIL.__version__}".encode())
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        return _open_copy(_copy_path(key))
    image = decode()
    if min(image.size) < decoder.side:  # few pixels, however many bytes
        return image
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=95, subsampling=0)
    with contextlib.suppress(OSError):
        _write_copy(_copy_path(key), encoded.getvalue())
    return _open_copy(encoded)


def _copy_path(key: str) -> Path:
    return cache_folder() / "reduced" / key[:2] / f"{key}.jpg"


def _open_copy(source: Path | BytesIO) -> Image.Image:
    with Image.open(source, formats=("JPEG",)) as image:
        rgb = image.convert("RGB")
    rgb.info = {}
    return rgb


def _write_copy(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < _MIN_FREE_BYTES:
        return
    # Workers may write the same copy at the same time: each replaces it atomically.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).replace(path)
