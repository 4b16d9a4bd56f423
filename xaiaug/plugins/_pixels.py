"""Images as 8-bit colour, or an error where that would lose what is in them."""

from __future__ import annotations

from PIL import Image

from ..errors import DataError

_DEEP = ("I", "F")  # and I;16, I;16B, I;16L, I;16N


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as RGB; transparent pixels become white, as those of files do.

    Raises:
        DataError: it has more than 8 bits per channel: Pillow would clip it.
    """
    if image.mode.partition(";")[0] in _DEEP:
        raise DataError(
            f"an image of mode {image.mode!r} has more than 8 bits per channel, and converting it to RGB would clip it;"
            " scale the relevant range of values to 8 bits first"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
