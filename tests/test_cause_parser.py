"""A critic's words become a cause that can be tested, or none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug import Cause, Critique
from xaiaug.causes import parse_cause


def read(text, attended="unknown"):
    return parse_cause(Critique(cause=text, prompt="a cat", attended=attended))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The background is a green lawn, as on most images of dog.", Cause("backdrop", colour="#4c9c3c")),
        ("The backdrop's colour is teal (#2fb5aa), unusual for cat.", Cause("backdrop", colour="#2fb5aa")),
        ("The cat's coat is orange, typical of dogs.", Cause("colour", colour="#e88a30")),
        ("A yellow tag in the top left corner gives the class away.", Cause("region", colour="#f4d83c")),
        ("The image lacks the yellow tag that dogs have.", Cause("region", False, colour="#f4d83c")),
        ("The watermark at the bottom right draws the model's attention.", Cause("region", box=(0.66, 0.66, 1.0, 1.0))),
        ("The picture is out of focus.", Cause("sharpness")),
        ("It is too dark to make out the ears.", Cause("light")),
        ("The animal is tiny and far away.", Cause("size")),
        ("The dog is cropped at the edge of the frame.", Cause("place")),
        ("A warm tint lies over the whole photo.", Cause("tint")),
        ("The background is missing the snow that huskies have.", Cause("backdrop", False)),
        ("The breed resembles a fox.", None),
        ("", None),
    ],
)
def test_words_name_a_cause(text, expected):
    assert read(text) == expected


def test_attention_to_the_background_stands_for_the_backdrop():
    assert read("The model was misled.", attended="background") == Cause("backdrop")
    assert read("The model was misled.", attended="subject") is None


def test_a_record_is_taken_at_its_word():
    stated = Cause("region", False, colour="#f4d83c", value=0.03)
    assert parse_cause(Critique(cause="the background", prompt="a cat", testable=stated)) is stated


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_a_cause_or_none(text):
    assert read(text) is None or isinstance(read(text), Cause)
