"""What was billed is counted, and what is not told is not taken for free."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.errors import BudgetSpentError
from xaiaug.plugins.critics import _chat_completions, _messages_api, _responses_api
from xaiaug.plugins.critics._model_reply import to_raw_reply
from xaiaug.plugins.critics._token_usage import bill_as_stated
from xaiaug.records import PICO, UNKNOWN_USAGE

RATES = {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}
PRICE = Prices({"m": RATES}).of("m")


def test_each_service_tells_cached_tokens_in_its_own_way():
    told = {"input_tokens": 130, "output_tokens": 7, "cache_read_tokens": 20, "cache_write_tokens": 10}
    anthropic = {
        "input_tokens": 100,
        "output_tokens": 7,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 10,
        "server_tool_use": None,
    }
    details = {"cached_tokens": 20, "cache_write_tokens": 10}
    assert _messages_api.read_usage(anthropic) == told
    assert _responses_api.read_usage({"input_tokens": 130, "output_tokens": 7, "input_tokens_details": details}) == told
    assert (
        _chat_completions.read_usage({"prompt_tokens": 130, "completion_tokens": 7, "prompt_tokens_details": details})
        == told
    )
    assert _chat_completions.read_usage({"prompt_tokens": 130, "completion_tokens": 7})["cache_read_tokens"] == 0


@pytest.mark.parametrize("used", [_messages_api.read_usage, _responses_api.read_usage, _chat_completions.read_usage])
@pytest.mark.parametrize("usage", [None, {}, [], "many", {"input_tokens": 5}, {"prompt_tokens": 5}])
def test_a_usage_that_is_not_told_is_worth_the_worst_case(used, usage):
    assert used(usage) == UNKNOWN_USAGE


JSONS = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2))


@given(st.dictionaries(st.sampled_from(["input_tokens", "output_tokens", "cache_read_input_tokens"]), JSONS))
def test_no_usage_makes_a_negative_bill(usage):
    assert all(count >= 0 for count in _messages_api.read_usage(usage).values())


def test_reasoning_beside_the_completion_is_billed_as_the_total_tells():
    read = _chat_completions.read_usage
    details = {"completion_tokens_details": {"reasoning_tokens": 4000}}
    beside = {"prompt_tokens": 1000, "completion_tokens": 120, "total_tokens": 5120}
    assert read({**beside, **details})["output_tokens"] == read(beside)["output_tokens"] == 4120
    within = {"prompt_tokens": 1000, "completion_tokens": 4120, "total_tokens": 5120}
    assert read({**within, **details})["output_tokens"] == 4120
    untold = {"prompt_tokens": 1000, "completion_tokens": 120, "total_tokens": 1120}
    assert read({**untold, **details})["output_tokens"] == 4120, "more reasoning than completion is not within it"
    assert read({"prompt_tokens": 1000, "completion_tokens": 120, **details})["output_tokens"] == 4120


def test_tokens_of_a_kind_that_is_not_known_are_billed_as_output_where_no_total_tells():
    read = _chat_completions.read_usage
    known = {"prompt_tokens": 1000, "completion_tokens": 120, "prompt_cache_hit_tokens": 900, "tokens_per_second": 31.5}
    assert read(known)["output_tokens"] == 120
    assert read({**known, "thoughts_token_count": 4000})["output_tokens"] == 4120
    assert read({**known, "thoughts_token_count": 4000, "total_tokens": 1120})["output_tokens"] == 120
    assert read({**known, "citation_tokens": -1}) == UNKNOWN_USAGE
    assert _messages_api.read_usage({"input_tokens": 9, "output_tokens": 5, "tool_tokens": 4})["output_tokens"] == 9


def test_cached_tokens_beside_the_input_are_added_and_no_input_is_no_count():
    beside = {"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 900}}
    assert _chat_completions.read_usage(beside)["input_tokens"] == 1000
    assert _chat_completions.read_usage({"prompt_tokens": 0, "completion_tokens": 5}) == UNKNOWN_USAGE


def test_text_that_took_no_tokens_is_a_usage_that_is_not_told():
    body = {"choices": [{"message": {"content": "a cat"}, "finish_reason": "stop"}]}
    used = {"usage": {"prompt_tokens": 900, "completion_tokens": 0, "total_tokens": 900}}
    assert to_raw_reply({**body, **used}, _chat_completions).usage == UNKNOWN_USAGE
    body["choices"][0]["message"]["content"] = ""
    assert to_raw_reply({**body, **used}, _chat_completions).usage["input_tokens"] == 900


HOSTILE = (
    "openai",
    "xai",
    "gemini",
    "no total",
    "no details",
    "text",
    "floats",
    "negative",
    "zero",
    "null",
    "gone",
    "list",
)


def hostile_usage(shape, sent, visible, thought):
    """A usage as a server reports it that bills for what was sent, what is visible, and what was thought."""
    details = {"completion_tokens_details": {"reasoning_tokens": thought}}
    beside = {"prompt_tokens": sent, "completion_tokens": visible}
    return {
        "openai": {
            "prompt_tokens": sent,
            "completion_tokens": visible + thought,
            "total_tokens": sent + visible + thought,
        }
        | details,
        "xai": {**beside, "total_tokens": sent + visible + thought, **details},
        "gemini": {**beside, "total_tokens": sent + visible + thought},
        "no total": {**beside, **details},
        "no details": {"prompt_tokens": sent, "completion_tokens": visible + thought},
        "text": {"prompt_tokens": str(sent), "completion_tokens": str(visible), "total_tokens": str(sent + visible)},
        "floats": {"prompt_tokens": float(sent), "completion_tokens": visible + 0.5},
        "negative": {"prompt_tokens": sent, "completion_tokens": -visible, "total_tokens": sent},
        "zero": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        "null": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": sent + visible + thought},
        "gone": None,
        "list": [{"prompt_tokens": sent}],
    }[shape]


@pytest.mark.parametrize("shape", HOSTILE)
def test_no_shape_of_a_usage_makes_a_call_cheaper_than_it_is_billed(shape):
    for seed in range(50):
        rng = random.Random(f"{shape}{seed}")
        sent, visible, thought = rng.randint(300, 2000), rng.randint(0, 2000), rng.choice([0, rng.randint(1, 4000)])
        usage = _chat_completions.read_usage(hostile_usage(shape, sent, visible, thought))
        billed = {"input_tokens": sent, "output_tokens": visible + thought}
        assert usage == UNKNOWN_USAGE or PRICE.cost(usage) >= PRICE.cost(billed), (shape, sent, visible, thought)


def test_over_2000_hostile_usages_no_run_is_billed_more_than_its_budget():
    """By what the server bills, where no call goes beyond the worst case that is reserved for it."""
    calls, spent = 0, 0.0
    for seed in range(500):
        rng, billed = random.Random(seed), []
        budget = rng.choice([0.05, 0.15, 1.0])
        paid = Calls(MemoryLedger(), budget_usd=budget, prices=Prices({"m": RATES}))
        worst = paid.worst_case_usd("m", {"input_tokens": 2000, "output_tokens": 2000 + 4000})

        def send(request, rng=rng, billed=billed):
            sent, visible, thought = rng.randint(300, 2000), rng.randint(0, 2000), rng.choice([0, rng.randint(1, 4000)])
            billed.append(PRICE.cost({"input_tokens": sent, "output_tokens": visible + thought}) / PICO)
            body = {"choices": [{"message": {"content": "a cat"}, "finish_reason": "stop"}]}
            shape = hostile_usage(rng.choice(HOSTILE), sent, visible, thought)
            return to_raw_reply({**body, "usage": shape}, _chat_completions)

        with suppress(BudgetSpentError):
            for number in range(20):
                paid.call(str(number), {"model": "m"}, worst_case_usd=worst, send=send)
        told = paid.summary()
        assert sum(billed) <= budget and sum(billed) <= told["settled_usd"] + told["unknown_usd"] + 1e-9, seed
        calls, spent = calls + len(billed), spent + sum(billed)
    assert calls > 2000 and spent > 50


# What a service says that it bills ------------------------------------------------------------------------------------

TOLD = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def state(cost, **more):
    body = {"choices": [{"message": {"content": "a cat"}, "finish_reason": "stop"}]}
    return bill_as_stated(to_raw_reply({**body, "usage": {**TOLD, "cost": cost, **more}}, _chat_completions))


def spend(reply):
    """Dollars settled for a reply under a budget of one, and whether they count as unknown."""
    paid = Calls(MemoryLedger(), budget_usd=1.0, prices=Prices({"m": RATES}))
    worst = paid.worst_case_usd("m", {"input_tokens": 2000, "output_tokens": 2000})
    with suppress(BudgetSpentError):
        paid.call("one", {"model": "m"}, worst_case_usd=worst, send=lambda _: reply)
    summary = paid.summary()
    return summary["settled_usd"] + summary["unknown_usd"], summary["unreported"], worst


def test_the_cost_that_a_service_states_is_what_is_spent_be_it_less_or_more_than_its_tokens():
    by_tokens, _, _ = spend(state(None))
    assert by_tokens == pytest.approx(0.0045)
    for cost in (0.00125, 0.0045, 0.009, 2e-7, 1):
        assert spend(state(cost))[:2] == (pytest.approx(cost), 0)


def test_under_a_key_of_ones_own_the_provider_behind_bills_too():
    details = {"cost_details": {"upstream_inference_cost": 0.019}}
    assert spend(state(0.001, is_byok=True, **details))[0] == pytest.approx(0.02)
    assert spend(state(0.001, **details))[0] == pytest.approx(0.02)
    assert spend(state(0.001, is_byok=False, **details))[0] == pytest.approx(0.001)
    assert spend(state(0, is_byok=True, **details))[0] == pytest.approx(0.019), "without a fee"


@pytest.mark.parametrize("nothing", [None, 0, 0.0])
def test_a_cost_that_is_not_told_or_nought_leaves_the_word_to_the_tokens(nothing):
    assert spend(state(nothing))[:2] == (pytest.approx(0.0045), 0)


@pytest.mark.parametrize(
    "hostile",
    [-0.001, float("nan"), float("inf"), -float("inf"), 1e9, "0.001", "free", True, False, [], {}, {"usd": 0.001}, -1],
)
def test_a_cost_that_is_no_amount_counts_as_the_worst_case_and_is_told(hostile):
    usd, unreported, worst = spend(state(hostile))
    assert (usd, unreported) == (pytest.approx(worst), 1)
    usd, unreported, worst = spend(state(0.001, cost_details={"upstream_inference_cost": hostile}))
    assert (usd, unreported) == (pytest.approx(worst), 1)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4), st.lists))
def test_whatever_is_stated_no_spend_is_negative_and_none_beyond_what_a_call_can_cost(cost):
    usd, _, _ = spend(state(cost))
    assert 0 < usd <= 10_000


def test_a_bill_above_the_worst_case_stops_the_run_once_the_budget_is_gone():
    paid = Calls(MemoryLedger(), budget_usd=0.05, prices=Prices({"m": RATES}))
    worst, calls = paid.worst_case_usd("m", {"input_tokens": 2000, "output_tokens": 2000}), 0
    with pytest.raises(BudgetSpentError, match=r"billed up to|is exceeded"):
        for number in range(20):
            calls += 1
            paid.call(str(number), {"model": "m"}, worst_case_usd=worst, send=lambda _: state(0.06))
    assert calls == 1
