"""New images that a critic looks at, and whether they show what was wished for."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, eq=False)
class ImageToCheck:
    """A new image, and what it should show.

    Attributes:
        id: an opaque digest; equal for equal images with equal wishes.
        image: h w c, RGB.
        label: name of the class that it was made for.
        wish: the prompt that it was made by.
    """

    id: str
    image: Image.Image
    label: str
    wish: str


@dataclass(frozen=True)
class ImageCheck:
    """What a critic says of a new image.

    Attributes:
        shown: whether it shows the wish.
        reason: in one sentence.
    """

    shown: bool
    reason: str = ""
