"""Labelled images that are opened when needed, and class names in sentences."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One labelled image, not yet opened.

    Attributes:
        id: an opaque digest of the image's content, never a path.
        label: index of the class in the labels of its splits, from 0.
        opener: returns the image; picklable, so that workers can open it too.
        groups: the image's value in each group, such as {"patient": "17"}.
        weight: how much it counts in training, > 0.
        subject: returns how much each pixel belongs to the subject, h w of the image's size, 0 to 1; None where the
            subject is not clear. Given to trainings that read it; without it, none is known.
    """

    id: str
    label: int
    opener: Callable[[], Image.Image] = field(repr=False, compare=False)
    groups: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    subject: Callable[[], NDArray[np.float32] | None] | None = field(default=None, repr=False, compare=False)

    def open(self) -> Image.Image:
        """The image, decoded: h w c, RGB, uint8.

        Raises:
            DataError: it has grey values of more than 8 bits, which would be clipped.
        """
        image = self.opener()
        if image.mode.startswith(("I", "F")):
            raise DataError(
                f"the sample {self.id[:80]} has grey values of more than 8 bits (mode {image.mode}), expected an RGB "
                "image; map them to 0 to 255 in its opener, or let Splits do so with window=(low, high)"
            )
        return image


def label_to_words(label: str) -> str:
    """A class name as it is written in a sentence: "tabby_cat" becomes "tabby cat"."""
    return label.replace("_", " ")
