"""Sharpness: falls with blur, and with nothing else."""

import numpy as np
from blobs import blob
from PIL import Image, ImageFilter

from xaiaug.plugins._image_stats import sharpness


def test_the_more_blur_the_less_sharpness() -> None:
    values = [sharpness(blob(1, blur=radius)) for radius in (0, 0.7, 1.4, 2.8)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 2 * values[-1]


def test_light_does_not_change_it() -> None:
    assert abs(sharpness(blob(2)) - sharpness(blob(2, light=0.6))) < 0.05


def test_an_image_of_one_colour_is_not_sharp() -> None:
    assert sharpness(Image.new("RGB", (40, 30), "#406080")) == 0


def test_it_is_a_share() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8))
    for image in (noise, noise.filter(ImageFilter.GaussianBlur(5)), noise.resize((7, 5)), noise.resize((1, 1))):
        assert 0 <= sharpness(image) <= 1
