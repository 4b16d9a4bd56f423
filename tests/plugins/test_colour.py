"""Colours: their numbers and their everyday names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.plugins._image_stats import NAMES, hex_of, lab, lab_of, name_of, rgb

BYTES = st.integers(0, 255)


@given(st.tuples(BYTES, BYTES, BYTES))
def test_lab_and_back_is_the_same_colour(colour: tuple[int, int, int]) -> None:
    assert np.abs(rgb(lab(np.array(colour))).astype(int) - colour).max() <= 1
    red, green, blue = colour
    assert np.allclose(lab_of(f"#{red:02x}{green:02x}{blue:02x}"), lab(np.array(colour)))


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_that_of_its_own_shade(name: str) -> None:
    assert name_of(lab_of(NAMES[name])) == name
    assert hex_of(lab_of(NAMES[name])) == NAMES[name]


def test_names_of_css_are_read_too() -> None:
    assert name_of(lab_of("saddlebrown")) in ("brown", "reddish brown")
    with pytest.raises(ValueError, match="no colour at all"):
        lab_of("no colour at all")


def test_a_colour_no_screen_shows_is_the_nearest_one_that_it_does() -> None:
    assert hex_of(np.array([50, 200, 200], np.float32)).startswith("#ff")
