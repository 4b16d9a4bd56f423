"""Laws of the loopback server's parts: examples satisfy their schemas, limits hold, bills add up."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug.errors import ConfigError
from xaiaug.testing import Error, Limit, Reply
from xaiaug.testing.fake_services.bill import Bill, PriceList
from xaiaug.testing.fake_services.example import make_example
from xaiaug.testing.fake_services.openapi import ApiDescriptions, make_validator
from xaiaug.testing.fake_services.script import Player

jsonschema = pytest.importorskip("jsonschema")


# Other work on the machine must not fail a law.
LAW = settings(deadline=None, max_examples=60)


def numbers() -> st.SearchStrategy[dict]:
    low = st.integers(-50, 50)
    return st.builds(
        lambda kind, least, room, shut: {
            "type": kind,
            ("exclusiveMinimum" if shut else "minimum"): least,
            "maximum": least + room,
        },
        st.sampled_from(["integer", "number"]),
        low,
        st.integers(1, 9),
        st.booleans(),
    )


SIMPLE = st.one_of(
    st.builds(
        lambda low, room: {"type": "string", "minLength": low, "maxLength": low + room},
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"]}),
    st.just({"type": "string", "format": "date-time"}),
    st.builds(lambda choices: {"enum": choices}, st.lists(st.text(max_size=3), min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, st.integers()),
    st.builds(lambda step: {"type": "integer", "multipleOf": step, "minimum": 1}, st.integers(1, 9)),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, st.integers(-9, 9)),
    numbers(),
)


def larger(inner: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    objects = st.builds(
        lambda fields: {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        },
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    )
    arrays = st.builds(
        lambda item, least: {"type": "array", "items": item, "minItems": least, "maxItems": 3}, inner, st.integers(0, 3)
    )
    choices = st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=2))
    parts = st.builds(lambda one: {"allOf": [one], "description": "one part"}, inner)
    return objects | arrays | choices | parts


@LAW
@given(st.recursive(SIMPLE, larger, max_leaves=8))
def test_an_example_satisfies_its_schema_and_is_always_the_same(schema):
    made = make_example(schema)
    jsonschema.Draft202012Validator(schema).validate(made)
    assert json.dumps(make_example(schema)) == json.dumps(made)


def test_references_and_recursion_are_followed():
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                    "more": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["name", "next", "more"],
            }
        },
        "$ref": "#/$defs/Node",
    }
    jsonschema.Draft202012Validator(schema).validate(make_example(schema))


def test_a_pattern_that_no_plain_word_satisfies_asks_for_the_value():
    with pytest.raises(ConfigError, match=r"Reply\(json="):
        make_example({"type": "object", "properties": {"code": {"type": "string", "pattern": "^[0-9]{4}$"}}})


class Asked:
    """The part of a request that a player looks at."""

    number = 1


@LAW
@given(
    st.floats(0.5, 50),
    st.none() | st.integers(1, 20),
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_a_limit_lets_no_more_through_than_its_burst_and_rate(rate, burst, waits):
    now = 0.0
    player = Player(Limit(rate, Reply(), burst=burst, retry_after=1), clock=lambda: now)
    passed = 0
    for wait in waits:
        now += wait
        answer, _ = player.play(Asked)
        passed += answer == Reply()
        assert answer in (Reply(), Error.rate_limit(1))
        assert passed <= (burst or max(1, rate)) + now * rate + 1e-6


@LAW
@given(st.integers(1, 20))
def test_a_client_at_the_rate_of_a_limit_is_never_refused(rate):
    now = 0.0
    player = Player(Limit(rate), clock=lambda: now)
    for _ in range(3 * rate):
        now += 1 / rate + 1e-9
        assert player.play(Asked)[0] == Reply()


def test_limits_in_a_function_share_a_bucket():
    player = Player(lambda request: Limit(1, burst=1), clock=lambda: 0.0)
    assert [isinstance(player.play(Asked)[0], Error) for _ in range(3)] == [False, True, True]


BILLS = st.builds(
    Bill, st.integers(0, 9), st.integers(0, 10**9), st.integers(0, 10**9), st.decimals(0, 10**6, places=6)
)


@LAW
@given(BILLS, BILLS)
def test_bills_add_up_exactly(one, other):
    assert one + other - other == one
    assert one + other == other + one


@LAW
@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_charge_is_exact_and_cheap_models_are_cheap(of_input, of_output):
    prices = PriceList({"dear": (3, "15"), "cheap": (0.1, Decimal("0.4"))})
    assert prices.charge("dear", of_input, of_output).usd * 10**6 == 3 * of_input + 15 * of_output
    assert prices.charge("cheap", of_input, of_output).usd * 10**7 == of_input + 4 * of_output
    assert not prices.knows("another")


DESCRIPTION = """openapi: 3.1.0
paths:
  /things:
    post:
      requestBody:
        content:
          application/json:
            schema:
              $ref: '#/components/schemas/Thing'
  '/others':
    get: {}
components:
  schemas:
    Thing:
      type: object
      required: [name]
      properties:
        name:
          oneOf:
            - $ref: '#/components/schemas/Name'
            - type: string
              minLength: 1
        note:
          type: string
          nullable: true
    Name:
      type: string
"""


@pytest.fixture(params=["openai.yaml", "openai.json"])
def descriptions(tmp_path, request):
    """The same description as YAML, of which sections are read, and as JSON, which is read whole."""
    yaml = pytest.importorskip("yaml")
    text = DESCRIPTION if request.param.endswith("yaml") else json.dumps(yaml.safe_load(DESCRIPTION))
    (tmp_path / request.param).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("body", [{"name": "a"}, {"name": "a", "note": None}, {"name": "", "note": "b"}])
def test_overlapping_choices_and_nullable_are_read_as_meant(descriptions, body):
    assert ApiDescriptions(descriptions).find_error("openai", "/v1/things", body) is None


def test_a_reason_says_where_and_why(descriptions):
    checked = ApiDescriptions(descriptions)
    assert checked.find_error("openai", "/v1/things?x=1", {}) == "the body: 'name' is a required property"
    assert "note" in checked.find_error("openai", "/things", {"name": "a", "note": 7})
    assert checked.find_error("anthropic", "/v1/messages", {}) is None
    with pytest.raises(ConfigError, match="does not describe POST /v1/nothing"):
        checked.find_error("openai", "/v1/nothing", {})


def test_a_validator_brings_the_schemas_referred_to(descriptions):
    (file,) = descriptions.iterdir()
    assert not make_validator(file, {"$ref": "#/components/schemas/Thing"}).is_valid({"name": 7})


def test_the_snippets_of_the_page_run_one_after_another():
    page = (Path(__file__).resolve().parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
    namespace = {"__name__": "reader"}
    snippets = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(snippets) == 7
    for number, code in enumerate(snippets):
        exec(compile(code, f"docs/testing.md[{number}]", "exec"), namespace)  # noqa: S102
    for name in ("overload", "slow", "busy", "broken"):
        Player(namespace[name])
