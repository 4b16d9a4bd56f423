"""A picture made ready to be sent: large enough, small enough, and without anything but its pixels."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass, field

from PIL import Image

SMALLEST = 200  # below this side models read a picture badly
TALLEST = 3  # times the side: services refuse or shrink what is higher
QUALITY = 90


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent.

    Attributes:
        data: a JPEG file without metadata.
        size: width and height in pixels.
        digest: of the pixels, before they were encoded.
    """

    data: bytes = field(repr=False)
    size: tuple[int, int]
    digest: str

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return "image/jpeg"

    @property
    def base64(self) -> str:
        """The file as text."""
        return base64.b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """The file as a data URL."""
        return f"data:{self.media_type};base64,{self.base64}"


def prepare(image: Image.Image, side: int) -> Picture:
    """A picture of at most `side` pixels across; one below 200 pixels is enlarged to `side`.

    Args:
        image: of any size and mode; what is transparent becomes white. Metadata (EXIF, colour profile, text) is left.
        side: pixels.
    """
    pixels = _fitted(_opaque(image), side)
    file = io.BytesIO()
    # Thin letters and edges of the heatmap keep their colour without subsampling.
    pixels.save(file, "JPEG", quality=QUALITY, subsampling=0)
    named = hashlib.sha256(f"{pixels.size}".encode() + pixels.tobytes()).hexdigest()
    return Picture(file.getvalue(), pixels.size, named)


def _opaque(image: Image.Image) -> Image.Image:
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA"):
        rgb = image.convert("RGB")
    else:
        above = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    bare = Image.new("RGB", rgb.size)  # `save` would write the metadata that a copy carries along
    bare.paste(rgb)
    return bare


def _fitted(image: Image.Image, side: int) -> Image.Image:
    scale = min(side / image.width, TALLEST * side / image.height)
    if scale >= 1:
        scale = side / max(image.size) if max(image.size) < SMALLEST else 1
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
