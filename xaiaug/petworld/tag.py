"""A planted local mark: a small coloured square in a corner of an image."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFilter

from .palette import rgb

CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
SIDE, GAP = 0.19, 0.03  # of the image's width and height
COLOUR = "#ecc828"
SOFTNESS = 0.6  # standard deviation of the edge's blur, in pixels


def tag_box(corner: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the tag in that corner, 0 to 1."""
    left = GAP if "left" in corner else 1 - GAP - SIDE
    top = GAP if "top" in corner else 1 - GAP - SIDE
    return left, top, left + SIDE, top + SIDE


def tag_mask(corner: str, size: tuple[int, int]) -> Image.Image:
    """White on the tag, black elsewhere, for an image of that width and height."""
    mask = Image.new("L", size)
    left, top, right, bottom = tag_box(corner)
    box = (left * size[0], top * size[1], right * size[0] - 1, bottom * size[1] - 1)
    ImageDraw.Draw(mask).rectangle([round(edge) for edge in box], fill=255)
    return mask


def paint_tag(image: Image.Image, corner: str, colour: str = COLOUR) -> Image.Image:
    """The RGB image with a tag in that corner; the image given is changed."""
    image.paste(rgb(colour), mask=tag_mask(corner, image.size).filter(ImageFilter.GaussianBlur(SOFTNESS)))
    return image
