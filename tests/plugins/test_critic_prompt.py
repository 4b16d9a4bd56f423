"""A prompt names the true class, shows no other, and is short enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.plugins.critics._answer_text import UnusableError, parse_prompt
from xaiaug.plugins.critics._parsing import PromptCheck

CHECK = PromptCheck(("cat", "dog"))


@pytest.mark.parametrize(
    "prompt",
    [
        "a photo of a cat",
        "Two CATS, side by side",
        "a cat's face in the dark",
        "a fluffy cat with dog-like ears",
        "a cat that looks like a small dog, on grass",
        "a cat asleep in a dog bed",
        "a black cat behind the dog's bowl",
    ],
)
def test_a_prompt_that_shows_the_true_class_alone_passes(prompt):
    assert CHECK(prompt, "cat") == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        "a photo of a cat and a dog",
        "a cat beside two dogs",
        "a dog, with a cat like face",
        "a dog sitting with a cat",
        "a dog on a cat",
    ],
)
def test_a_prompt_that_shows_another_class_is_refused(prompt):
    with pytest.raises(UnusableError, match="shows a 'dog'") as caught:
        CHECK(prompt, "cat")
    assert caught.value.kind == "bad prompt" and caught.value.repairable


@pytest.mark.parametrize("prompt", ["a photo of a kitten", "catalogue of sofas", "text", "a dog"])
def test_a_prompt_without_the_true_class_is_refused(prompt):
    with pytest.raises(UnusableError, match="must name the class 'cat'"):
        CHECK(prompt, "cat")


@pytest.mark.parametrize(
    ("label", "prompt"),
    [
        ("golden_retriever", "a Golden Retriever in a field"),
        ("golden-retriever", "a golden retriever in a field"),
        ("golden retriever", "a golden-retriever in a field"),
        ("tabby, tabby cat", "an old tabby under a car"),
        ("003.Sooty_Albatross", "a sooty albatross above the sea"),
        ("n02123045 tabby", "two tabbies on a wall"),
        ("cats", "one cat on a wall"),
        ("boxes", "a wet box"),
        ("7", "the digit 7 in chalk"),
        ("猫", "一只灰色的猫在沙发上"),
    ],
)
def test_labels_are_found_as_people_say_them(label, prompt):
    assert PromptCheck((label, "car wreck"))(prompt, label) == prompt


def test_the_longer_of_two_labels_is_meant():
    check = PromptCheck(("cat", "tabby cat", "wild cat"))
    assert check("a tabby cat on a wall", "tabby cat")
    with pytest.raises(UnusableError, match="must name the class 'cat'|shows a 'tabby cat'"):
        check("a tabby cat on a wall", "cat")


def test_a_class_that_is_also_a_colour_may_colour_things():
    check = PromptCheck(("apple", "orange"))
    assert check("a red apple in orange light", "apple")
    with pytest.raises(UnusableError, match="orange"):
        check("an apple and an orange", "apple")


def test_a_prompt_longer_than_the_synthesizer_reads_is_refused():
    counting = PromptCheck(("cat",), count_tokens=lambda text: len(text.split()) + 2, token_limit=8)
    assert counting("a cat on a red mat", "cat")
    with pytest.raises(UnusableError, match="takes 9 tokens, and the image generator reads 8"):
        counting("a cat on a very red mat", "cat")
    with pytest.raises(UnusableError, match="101 words"):
        CHECK("cat " * 101, "cat")


@pytest.mark.parametrize(
    "text",
    [
        "a photo of a cat",
        '"a photo of a cat"',
        "Prompt: a photo of a cat",
        "**Prompt:** “a photo of a cat”",
        "```\na photo of a cat\n```",
        "SDXL prompt:\n\na photo of\na cat",
    ],
)
def test_the_wrapping_of_a_prompt_is_taken_off(text):
    assert parse_prompt(text) == "a photo of a cat"


def test_an_empty_prompt_is_none():
    with pytest.raises(UnusableError, match="no prompt"):
        parse_prompt('""')


@given(st.text(max_size=300), st.text(min_size=1, max_size=20), st.lists(st.text(max_size=12), max_size=4))
def test_any_text_and_labels_are_judged_without_a_fault(text, label, labels):
    try:
        assert PromptCheck((label, *labels))(text, label) == text
    except UnusableError as error:
        assert error.kind == "bad prompt"
