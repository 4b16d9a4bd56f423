"""Encodes images for upload: not too small or large, and without metadata."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass, field

from PIL import Image

from .._pixels import to_rgb

SMALLEST = 200  # pixels of the longer side; models read smaller images badly
TALLEST = 3  # maximum height as a multiple of the side: services reject or shrink taller images
QUALITY = 90


@dataclass(frozen=True)
class EncodedImage:
    """An image ready for upload.

    Attributes:
        data: a JPEG file without metadata.
        size: width and height in pixels.
        digest: of the pixels before encoding.
    """

    data: bytes = field(repr=False)
    size: tuple[int, int]
    digest: str

    @property
    def media_type(self) -> str:
        """The HTTP media type."""
        return "image/jpeg"

    @property
    def base64(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """The file as a data URL."""
        return f"data:{self.media_type};base64,{self.base64}"


def encode_image(image: Image.Image, side: int) -> EncodedImage:
    """Encodes an image at most `side` pixels wide; one with sides below 200 pixels is enlarged to `side`.

    Args:
        image: of any size and mode; transparent pixels become white. Metadata (EXIF, colour profile, text) is dropped.
        side: pixels.
    """
    pixels = _resize(_flatten(image), side)
    file = io.BytesIO()
    # Without chroma subsampling thin letters and heatmap edges keep their colour.
    pixels.save(file, "JPEG", quality=QUALITY, subsampling=0)
    digest = hashlib.sha256(f"{pixels.size}".encode() + pixels.tobytes()).hexdigest()
    return EncodedImage(file.getvalue(), pixels.size, digest)


def _flatten(image: Image.Image) -> Image.Image:
    rgb = image.convert("RGB") if not image.has_transparency_data else to_rgb(image)
    bare = Image.new("RGB", rgb.size)  # a copy would keep the metadata, and `save` would write it
    bare.paste(rgb)
    return bare


def _resize(image: Image.Image, side: int) -> Image.Image:
    scale = min(side / image.width, TALLEST * side / image.height)
    if scale >= 1:
        scale = side / max(image.size) if max(image.size) < SMALLEST else 1
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
