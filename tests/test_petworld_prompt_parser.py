"""Prompts are understood however they are phrased."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.petworld import BACKDROPS, COATS
from xaiaug.petworld.prompt_parser import parse_prompt

PARAPHRASES = {
    "A photo of a cat, orange coat (#e38a33), on a green background (#62b04a).": {},
    "An orange cat on a green background": {},
    "a ginger kitten on green grass": {},
    "Green background, orange-furred cat": {},
    "A cat with orange fur against a green backdrop": {},
    "A feline whose coat is ginger and whose background is green": {},
    "Background: green. Coat: orange. Animal: cat.": {},
    "a green background behind an orange cat": {},
    "cat, coat #e38a33, backdrop #62b04a": {},
    "A tomcat, its fur bright orange, in a meadow": {},
    "kitten with a ginger pelt, the setting being a grassy field": {},
    "In front of a green background there is an orange cat": {},
    "A cat, not a dog, with an orange coat, on a lawn": {},
    "No dog here: an orange cat in the garden": {},
    "A ginger cat on a meadow instead of its usual pink room": {},
    "An orange cat with nothing but green behind it, a green background": {},
    "A dim photo of a ginger cat in a pasture": {"light": "dim"},
    "orange cat, green background, dimly lit": {"light": "dim"},
    "A small orange cat on a green background": {"size": "small"},
    "orange tabby far away on green grass": {"size": "small"},
    "A close-up of an orange cat on a green background": {"size": "large"},
    "A blurred ginger cat on a green meadow": {"focus": "blurred"},
    "An orange cat on a green background, out of focus": {"focus": "blurred"},
    "An orange cat on the left of a green field": {"across": "left"},
    "A ginger cat in the lower right corner of a meadow": {"down": "bottom", "across": "right"},
    "A ginger cat sitting on green grass, facing left": {"pose": "sitting", "facing": "left"},
    "brightly lit: a ginger cat lying on the grass": {"light": "bright", "pose": "lying"},
    "A sharp picture of a cat in orange fur, walking in the park": {"focus": "sharp", "pose": "walking"},
    "A cat, ginger, standing in the middle of a meadow, medium-sized": {
        "pose": "standing",
        "across": "centre",
        "size": "medium",
    },
    "A photo of a cat, orange coat (#e08a2e), on a green background (#4f9a3c), dim light, blurred, small, top-left": {
        "light": "dim",
        "focus": "blurred",
        "size": "small",
        "down": "top",
        "across": "left",
    },
}


@pytest.mark.parametrize("prompt", PARAPHRASES)
def test_thirty_paraphrases_ask_for_an_orange_cat_in_the_green(prompt: str) -> None:
    found = parse_prompt(prompt)
    assert found.animals == ["cat"]
    assert found.wanted == {"coat": "ginger", "backdrop": "meadow", **PARAPHRASES[prompt]}


def test_there_are_thirty_paraphrases() -> None:
    assert len(PARAPHRASES) == 30


@pytest.mark.parametrize("coat", COATS)
@pytest.mark.parametrize("backdrop", BACKDROPS)
def test_every_coat_and_backdrop_can_be_asked_for_by_word_and_by_code(coat: str, backdrop: str) -> None:
    fur, ground = COATS[coat], BACKDROPS[backdrop]
    wanted = {"coat": coat, "backdrop": backdrop}
    assert parse_prompt(f"A dog with {fur.hue} fur on a {ground.hue} background").wanted == wanted
    assert parse_prompt(f"A dog, coat {fur.colour}, background {ground.colour}").wanted == wanted
    assert parse_prompt(f"A {fur.hue} dog, {backdrop}").wanted == wanted


@pytest.mark.parametrize(
    ("prompt", "wanted", "unwanted"),
    [
        ("A cat, not on a meadow", {}, {"backdrop": {"meadow"}}),
        ("A cat without a pink background", {}, {"backdrop": {"living room"}}),
        ("A cat. Fur: not grey. Background: blue.", {"backdrop": "night"}, {"coat": {"silver"}}),
        ("A white cat, not blurred, never dim", {"coat": "white"}, {"focus": {"blurred"}, "light": {"dim"}}),
        ("A cat, its coat not brown but grey", {"coat": "silver"}, {"coat": {"chocolate"}}),
    ],
)
def test_what_is_ruled_out_is_not_wished_for(prompt: str, wanted: dict, unwanted: dict) -> None:
    found = parse_prompt(prompt)
    assert (found.animals, found.wanted, found.unwanted) == (["cat"], wanted, unwanted)


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("A dog on a dark green background", {"backdrop": "meadow"}),
        ("A cat with dark fur, bright light", {"coat": "charcoal", "light": "bright"}),
        ("a snow-white dog at night", {"coat": "white", "backdrop": "night"}),
        ("a pale yellow dog on light blue", {"coat": "cream", "backdrop": "snow"}),
        ("a dog looking to the right, on the left", {"facing": "right", "across": "left"}),
        ("a grey dog (#6b432c)", {"coat": "chocolate"}),
        ("A GRAY DOG ON A TURQUOISE BACKDROP", {"coat": "silver", "backdrop": "beach"}),
    ],
)
def test_words_with_two_meanings_are_read_by_their_company(prompt: str, wanted: dict) -> None:
    assert parse_prompt(prompt).wanted == wanted


def test_animals_come_in_the_order_they_are_named() -> None:
    assert parse_prompt("a puppy beside a cat").animals == ["dog", "cat"]
    assert parse_prompt("a nice picture").animals == []
    assert parse_prompt("").fields == set()


def test_wishes_can_be_ignored_field_by_field() -> None:
    kept = parse_prompt("a small grey cat, not at night").drop(("backdrop", "size"))
    assert (kept.animals, kept.wanted, kept.unwanted) == (["cat"], {"coat": "silver"}, {})


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    found = parse_prompt(text)
    assert set(found.animals) <= {"cat", "dog"}
    assert found.wanted.get("coat", "white") in COATS and found.wanted.get("backdrop", "snow") in BACKDROPS
