"""Decodes an image: upright, RGB, never silently clipped, optionally reduced."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from ..errors import DataError
from ..files import MAX_PIXELS, Directory, parse_image
from .cache import cache_folder
from .image_header import FORMATS, check_last_rows, open_image

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
MIN_CACHED_BYTES = 200_000  # smaller files decode as fast as a reduced copy would
_MOST_COPIED = 2**28  # bytes of a reduced copy
_MIN_FREE_BYTES = 2 * 2**30
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LONGEST_REASON = 300
# What is often named like an image of another format, by its first bytes.
_STARTS = {
    b"version https://git-lfs": "a Git LFS pointer (fetch the files with git lfs pull)",
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"PK\3\4": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop file",
    b"\x93NUMPY": "a NumPy array",
    b"\0\0\0\x0cjP": "a JPEG 2000",
    b"\0\0\0\x0cJXL": "a JPEG XL",
    b"\xff\x0a": "a JPEG XL",
    b"data:image": "a data URL, not its content",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<svg": "an SVG",
    b"<?xml": "an XML file",
}
_BRANDS = {b"heic": "a HEIC", b"heix": "a HEIC", b"mif1": "a HEIF", b"avif": "an AVIF", b"avis": "an AVIF"}
_OWN_STARTS = {b"\xff\xd8": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WEBP", b"BM": "BMP"}
_VERSION = 3  # of the decoding: other pixels are cached under other keys

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

    def decode(self, source: BinaryIO, name: str) -> Image.Image:
        """The image: h w c, RGB, uint8, upright.

        Args:
            source: file of the encoded image.
            name: its name in messages.

        Raises:
            DataError: it is not a readable image in a supported format, or is too large.
        """
        try:
            with open_image(source) as image:
                return self._decode(image, source)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        except Exception as error:  # image decoders may raise anything
            raise DataError(f"{name}: {_reason(error, source)}") from error

    def _decode(self, image: Image.Image, source: BinaryIO) -> Image.Image:
        if self.side is not None:
            # A JPEG decodes to a half, a quarter or an eighth many times faster than at full size.
            image.draft("RGB", (self.side, self.side))
        image.load()  # a PNG may have its orientation behind its pixels, and a TIFF is turned as it is loaded
        check_last_rows(source, image)
        rgb = _reduce(_turn_upright(to_rgb(image, self.window), _orientation(image)), self.side)
        rgb.info = {}  # drops location, date and camera
        return rgb


def to_rgb(image: Image.Image, window: Window | None = None) -> Image.Image:
    """The image in RGB; transparent pixels become white.

    Args:
        image: of any mode.
        window: the grey values mapped to black and white; only grey images of more than 8 bits, or of signed values,
            need it.

    Raises:
        DataError: such a grey image without a window, or with values that are not finite; nothing is opaque.
    """
    if image.mode.startswith(("I", "F")) or _is_signed(image):
        return _apply_window(image, window).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema() == (0, 0):
            raise DataError("is transparent everywhere, so it shows nothing; save it without its alpha channel")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """How the camera was held, as EXIF numbers it; 1, upright, where that is missing or cannot be read."""
    with contextlib.suppress(Exception):  # a broken EXIF block spoils no pixel
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _is_signed(image: Image.Image) -> bool:
    """Whether a TIFF of 8 bits has signed values, which Pillow reads as unsigned ones."""
    return _tiff_tag(image, _SAMPLE_FORMAT, 1) == 2 and image.mode == "L"


def _grey_values(image: Image.Image) -> NDArray[np.float64]:
    """The values as they stand in the file: h w."""
    values = np.asarray(image)
    if _tiff_tag(image, _SAMPLE_FORMAT, 1) == 1 and _tiff_tag(image, _BITS, 0) == 32 and values.dtype == np.int32:
        values = values.view(np.uint32)  # Pillow reads unsigned values as signed ones
    if _is_signed(image):
        values = values.view(np.int8)
    return values.astype(np.float64)


def _tiff_tag(image: Image.Image, tag: int, default: int) -> int | None:
    """A number in a TIFF file's directory; None in other files."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _apply_window(image: Image.Image, window: Window | None) -> Image.Image:
    values = _grey_values(image)
    if not np.isfinite(values).all():
        raise DataError("has grey values that are not finite")
    if window is None:
        kind = "floating-point" if image.mode.startswith("F") else "16- or 32-bit"
        kind = "signed 8-bit" if image.mode == "L" else kind
        raise DataError(
            f"is a {kind} grey image with values from {values.min():g} to {values.max():g}; "
            "choose the values for black and white, such as window=(0, 4095)"
        )
    low, high = window
    scaled = np.clip((values - low) / (high - low), 0, 1) * 255
    if _tiff_tag(image, _PHOTOMETRIC, 1) == 0:  # white is zero; Pillow inverts such files of 8 bits only
        scaled = 255 - scaled
    if isinstance(image.info.get("transparency"), int):
        scaled[values == image.info["transparency"]] = 255
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _reduce(image: Image.Image, side: int | None) -> Image.Image:
    shorter = min(image.size)
    if side is None or shorter <= side:
        return image
    width, height = (max(1, round(length * side / shorter)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _reason(error: Exception, source: BinaryIO) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {MAX_PIXELS:,} pixels; reduce it first"
    if isinstance(error, UnidentifiedImageError):
        source.seek(0)
        return _describe_start(source.read(200))
    return f"cannot be decoded ({type(error).__name__}: {str(error)[:_LONGEST_REASON]})"


def _describe_start(start: bytes) -> str:
    """Why a file is no image that can be read, as far as its first bytes tell."""
    no_image = f"is not an image in one of the formats {', '.join(FORMATS)}"
    if not start:
        return f"has 0 bytes, so it {no_image}"
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return (
            "is a TIFF that is damaged, or has a number of channels or bits or a compression that cannot be read; save "
            "it with 8 bits in RGB"
        )
    own = next((name for first, name in _OWN_STARTS.items() if start.startswith(first)), None)
    if own:
        return f"begins like a {own}, but is damaged"
    kind = next((name for first, name in _STARTS.items() if start.lstrip().lower().startswith(first.lower())), None)
    if start[4:8] == b"ftyp":
        kind = _BRANDS.get(start[8:12], "a video, or an image in a container of videos")
    elif start[128:132] == b"DICM":
        kind = "a DICOM file"
    elif not any(start):
        kind = "a file of zeros"
    return f"is {kind}, so it {no_image}" if kind else no_image


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
        return parse_image(Directory(cache_folder()).read(_name_copy(key), _MOST_COPIED), ("JPEG",))
    image = decode()
    if min(image.size) < decoder.side:  # few pixels, however many bytes
        return image
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=95, subsampling=0)
    with contextlib.suppress(OSError):
        _write_copy(_name_copy(key), encoded.getvalue())
    return parse_image(encoded.getvalue(), ("JPEG",))


def _name_copy(key: str) -> str:
    return f"reduced/{key[:2]}/{key}.jpg"


def _write_copy(name: str, content: bytes) -> None:
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(cache).free >= _MIN_FREE_BYTES:
        # Workers may write the same copy at the same time: each replaces it atomically.
        Directory(cache).write(name, content, sync=False)
