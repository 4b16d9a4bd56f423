"""Colours: their numbers and their everyday names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.plugins._image_stats import COLOUR_NAMES, colour_name, css_to_lab, lab_to_hex, lab_to_rgb, rgb_to_lab

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
