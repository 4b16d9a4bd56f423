"""Image statistics: colours, their everyday names, and sharpness."""

import numpy as np
import pytest
from blobs import blob
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from xaiaug.imaging.image_stats import (
    COLOUR_NAMES,
    colour_name,
    css_to_lab,
    lab_to_hex,
    lab_to_rgb,
    rgb_to_lab,
    sharpness,
)

BYTES = st.integers(0, 255)


@given(st.tuples(BYTES, BYTES, BYTES))
def test_lab_and_back_is_the_same_colour(colour: tuple[int, int, int]) -> None:
    assert np.abs(lab_to_rgb(rgb_to_lab(np.array(colour))).astype(int) - colour).max() <= 1
    red, green, blue = colour
    assert np.allclose(css_to_lab(f"#{red:02x}{green:02x}{blue:02x}"), rgb_to_lab(np.array(colour)))


@pytest.mark.parametrize("name", COLOUR_NAMES)
def test_every_name_is_that_of_its_own_shade(name: str) -> None:
    assert colour_name(css_to_lab(COLOUR_NAMES[name])) == name
    assert lab_to_hex(css_to_lab(COLOUR_NAMES[name])) == COLOUR_NAMES[name]


def test_names_of_css_are_read_too() -> None:
    assert colour_name(css_to_lab("saddlebrown")) in ("brown", "reddish brown")
    with pytest.raises(ValueError, match="no colour at all"):
        css_to_lab("no colour at all")


def test_a_colour_no_screen_shows_is_the_nearest_one_that_it_does() -> None:
    assert lab_to_hex(np.array([50, 200, 200], np.float32)).startswith("#ff")


def test_the_more_blur_the_less_sharpness() -> None:
    values = [sharpness(blob(1, blur=radius)) for radius in (0, 0.7, 1.4, 2.8)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 2 * values[-1]


def test_light_does_not_change_sharpness() -> None:
    assert abs(sharpness(blob(2)) - sharpness(blob(2, light=0.6))) < 0.05


def test_an_image_of_one_colour_is_not_sharp() -> None:
    assert sharpness(Image.new("RGB", (40, 30), "#406080")) == 0


def test_sharpness_is_a_share() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8))
    for image in (noise, noise.filter(ImageFilter.GaussianBlur(5)), noise.resize((7, 5)), noise.resize((1, 1))):
        assert 0 <= sharpness(image) <= 1


def test_lab_of_pixels_is_that_of_skimage_to_the_bit():
    from skimage.color import rgb2lab

    rng = np.random.default_rng(0)
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for pixels in (levels, rng.integers(0, 256, (67, 53, 3), dtype=np.uint8), levels[17]):
        expected = rgb2lab(np.asarray(pixels, np.float32) / 255)
        assert rgb_to_lab(pixels).dtype == expected.dtype == np.float32
        assert np.array_equal(rgb_to_lab(pixels), expected)
        assert np.array_equal(rgb_to_lab(pixels.astype(np.float32)), expected)
