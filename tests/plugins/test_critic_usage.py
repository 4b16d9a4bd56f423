"""What was billed is counted, and what is not told is not taken for free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaiaug.plugins.critics import _chat_completions, _messages_api, _responses_api
from xaiaug.records import UNKNOWN_USAGE


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
