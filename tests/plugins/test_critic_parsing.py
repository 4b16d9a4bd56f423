"""A critique is made of what a model says only where it keeps to the schema."""

from __future__ import annotations

import json

import pytest
from critic_cases import ANSWER, PROMPT
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.plugins.critics._answer_text import UnusableError, shorten
from xaiaug.plugins.critics._parsing import SCHEMA, parse_critique


def test_an_answer_in_the_schema_becomes_a_critique():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(ANSWER, SCHEMA)
    made = parse_critique(json.dumps(ANSWER))
    assert (made.prompt, made.attended, made.confidence) == (PROMPT, "background", 0.8)
    assert made.evidence == tuple(ANSWER["evidence"])
    assert made.guidance == {
        "subject_colour": "#808080",
        "backdrop_colour": "#e08020",
        "brightness": 0.3,
        "size": 0.2,
        "place": "left",
    }


def test_talk_and_fences_around_the_object_are_left():
    assert parse_critique(f"Here {{you}} are:\n```json\n{json.dumps(ANSWER, indent=2)}\n```\nBye.").prompt == PROMPT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cause": ""}, "cause must be a text"),
        ({"prompt": None}, "prompt must be a text, got null"),
        ({"attended": "tail"}, "attended must be one of"),
        ({"evidence": "the sofa"}, "evidence must be a list"),
        ({"label_suspect": "no"}, "label_suspect must be true or false"),
        ({"confidence": 7}, "confidence must be a number from 0 to 1"),
        ({"confidence": True}, "confidence must be a number from 0 to 1, got a truth value"),
        ({"guidance": []}, "guidance must be an object"),
    ],
)
def test_a_wrong_field_is_named(change, reason):
    with pytest.raises(UnusableError, match=reason) as caught:
        parse_critique(json.dumps({**ANSWER, **change}))
    assert caught.value.kind == "bad reply"


def test_missing_fields_are_all_named():
    with pytest.raises(UnusableError, match="cause, evidence"):
        parse_critique(json.dumps({name: ANSWER[name] for name in ANSWER if name not in ("cause", "evidence")}))


def test_a_wish_that_nobody_can_follow_is_left_out():
    wishes = {"subject_colour": "grey", "brightness": 9, "size": float("nan"), "place": "nowhere", "mood": "sad"}
    assert parse_critique(json.dumps({**ANSWER, "guidance": wishes})).guidance == {}


def test_long_texts_are_cut_and_control_characters_go():
    made = parse_critique(
        json.dumps({**ANSWER, "cause": "a\x1b[31m\u202e" + "b" * 5_000, "evidence": ["c" * 999] * 99})
    )
    assert made.cause.startswith("a [31m b") and len(made.cause) == 600
    assert len(made.evidence) == 5 and {len(line) for line in made.evidence} == {300}


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"a": ' * 3_000, "{" * 19_000, "null", '{"cause": "cut off'])
def test_what_is_no_object_is_refused_quickly(text):
    with pytest.raises(UnusableError):
        parse_critique(text)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists))
def test_any_value_of_a_field_is_read_or_refused(value):
    for name in ANSWER:
        try:
            parse_critique(json.dumps({**ANSWER, name: value}))
        except UnusableError as error:
            assert error.kind == "bad reply"


@given(st.text(max_size=200), st.integers(1, 50))
def test_capped_text_is_one_short_line(text, most):
    line = shorten(text, most)
    assert len(line) <= most and "\n" not in line and "\x1b" not in line
