"""A photograph as interventions see it: pixels, colours and the mask of its subject, each computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.image_stats import centroid, rgb_to_lab, sharpness, to_pixels, typical_colour
from ..records import Failure

Floats = NDArray[np.float32]
Segment = Callable[[Image.Image], Floats | Failure]

SIDE = 256  # longer side, in pixels, to which an image is shrunk before it is edited
CLEAR = (0.01, 0.95)  # a subject's share of the image; beyond it there is no subject to edit


@dataclass(eq=False)
class Photo:
    """One image, shrunk to at most `SIDE` pixels.

    Attributes:
        id: of its sample.
        image: RGB.
        segment: finds the subject: RGB image to mask, h w, float32, 0 to 1; or a Failure.
    """

    id: str
    image: Image.Image
    segment: Segment

    def __post_init__(self) -> None:
        self.image = self.image.convert("RGB")
        if max(self.image.size) > SIDE:
            self.image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)

    @cached_property
    def lab(self) -> Floats:
        """Its colours: h w 3, Lab."""
        return rgb_to_lab(to_pixels(self.image))

    @cached_property
    def mask(self) -> Floats:
        """How much each pixel belongs to the subject: h w, 0 to 1; zeros where none is found."""
        found = self.segment(self.image)
        if isinstance(found, Failure):
            return np.zeros(self.image.size[::-1], np.float32)
        return np.asarray(found, np.float32)

    @property
    def has_subject(self) -> bool:
        """Whether the subject can be told from its backdrop."""
        return CLEAR[0] <= float(self.mask.mean()) <= CLEAR[1] and float(self.mask.max()) > 0.5

    @property
    def lightness(self) -> float:
        """Mean lightness, 0 to 1."""
        return float(self.lab[..., 0].mean()) / 100

    @cached_property
    def sharpness(self) -> float:
        """Sharpness, 0 (blurred) to 1."""
        return sharpness(self.image)

    @property
    def tint(self) -> Floats:
        """Mean colour of the whole image: 3, Lab."""
        mean: Floats = self.lab.mean(axis=(0, 1))
        return mean

    @cached_property
    def subject(self) -> Floats:
        """The subject's typical colour: 3, Lab."""
        return typical_colour(self.lab, self.mask)

    @cached_property
    def backdrop(self) -> Floats:
        """The backdrop's typical colour: 3, Lab."""
        return typical_colour(self.lab, 1 - self.mask)

    @property
    def size(self) -> float:
        """The subject's share of the image, 0 to 1."""
        return float(self.mask.mean())

    @cached_property
    def place(self) -> Floats:
        """x y of the subject's centroid, 0 to 1 from the left and the top."""
        return centroid(self.mask)
