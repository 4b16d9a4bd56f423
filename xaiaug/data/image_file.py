"""Opens one image file: upright, RGB, never silently clipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
MAX_PIXELS = 50_000_000

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """Opens the image in a file when it is called; small, and picklable.

    Attributes:
        path: where the file is.
        name: what it is called in messages: its path relative to the root of the data.
        window: grey values that become black and white, for images of more than 8 bits; None for none.
        side: the shorter side is reduced to this many pixels where it is longer; None keeps the image as it is.
    """

    path: str
    name: str
    window: Window | None = None
    side: int | None = None

    def __call__(self) -> Image.Image:
        """The image: h w c, RGB, uint8, upright.

        Raises:
            DataError: the file cannot be read as an image of an allowed format, or is too large.
        """
        try:
            return self._decode()
        except DataError as error:
            raise DataError(f"{self.name}: {error}") from None
        except Exception as error:  # decoders of foreign bytes raise whatever they like
            raise DataError(f"{self.name}: {_reason(error, self.path)}") from error

    def stamp(self) -> tuple[str, int, int]:
        """What changes when the image may have changed: path, bytes, time of the last change in nanoseconds."""
        stat = Path(self.path).stat()
        return self.path, stat.st_size, stat.st_mtime_ns

    def _decode(self) -> Image.Image:
        with Image.open(self.path, formats=FORMATS) as image:
            _check_header(image)
            if self.side is not None:
                image.draft("RGB", (self.side, self.side))
            upright = ImageOps.exif_transpose(image)
            rgb = _reduce(to_rgb(upright, self.window), self.side)
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


def _reason(error: Exception, path: str) -> str:
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"has more than {MAX_PIXELS:,} pixels; reduce it first"
    if isinstance(error, FileNotFoundError):
        return "is not there any more"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, UnidentifiedImageError):
        empty = Path(path).stat().st_size == 0
        return "is empty" if empty else f"is not an image in one of the formats {', '.join(FORMATS)}"
    return f"cannot be decoded ({type(error).__name__}: {error})"
