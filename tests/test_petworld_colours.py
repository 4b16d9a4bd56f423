"""Colour words and codes find their tone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xaiaug.petworld import BACKDROPS, COATS
from xaiaug.petworld.colours import colour_words, nearest_tone
from xaiaug.petworld.palette import rgb


@pytest.mark.parametrize("tones", [COATS, BACKDROPS], ids=["coats", "backdrops"])
def test_every_tone_is_found_by_its_own_colour_and_word(tones: dict) -> None:
    for name, tone in tones.items():
        assert nearest_tone(rgb(tone.colour), tones) == name
        assert nearest_tone(colour_words()[tone.hue.replace("-", " ")], tones) == name


@pytest.mark.parametrize(
    ("word", "coat"),
    [
        ("tan", "cream"),
        ("dark grey", "charcoal"),
        ("sienna", "russet"),
        ("light grey", "silver"),
        ("saddlebrown", "russet"),
    ],
)
def test_css_names_and_shades_find_the_nearest_coat(word: str, coat: str) -> None:
    assert nearest_tone(colour_words()[word], COATS) == coat


@given(st.tuples(*[st.integers(0, 255)] * 3), st.sets(st.sampled_from(sorted(COATS)), max_size=7))
def test_what_is_left_out_is_never_found(colour: tuple[int, int, int], without: set[str]) -> None:
    assert nearest_tone(colour, COATS, without) not in without


def test_leaving_out_every_tone_leaves_out_none() -> None:
    assert nearest_tone(rgb("#ffffff"), COATS, set(COATS)) == "white"


def test_a_colour_somebody_has_used_before_is_still_understood():
    before = colour_words()["white"]
    colour_words.cache_clear()
    Image.new("RGB", (2, 2), "white")  # Pillow now holds a tuple where it held a code
    assert colour_words()["white"] == before == (255, 255, 255)
