"""Servers that speak OpenAI's protocol: asked by Responses, and by Chat Completions where they have none."""

from __future__ import annotations

import pytest
from critic_cases import LABELS, PROMPT, case, sensible
from loopback_clients import described

from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.errors import CallsRefusedError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Critique
from xaiaug.testing import Error, Loopback, Reply

LOCAL = Prices({"a-model-at-home": {"local": True}})


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    pytest.importorskip("openai")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def at(server, **parameters):
    made = OpenAICritic("a-model-at-home", base_url=f"{server.url}/v1", **parameters)
    made.prepare(Context(labels=LABELS, paid=Calls(MemoryLedger(), budget_usd=None, prices=LOCAL)))
    return made


def test_a_server_without_responses_is_asked_by_chat_and_remembered():
    with Loopback(sensible, protocols=("chat",), descriptions=described()) as server:
        made = at(server).critique([case(i) for i in range(4)])
        assert server.statuses[200] == 4 and server.statuses[404] <= 4
    assert server.violations == [] and {request.protocol for request in server.requests} == {"chat"}
    assert [item.prompt for item in made] == [PROMPT] * 4
    assert "max_tokens" in server.requests[0].body


def test_a_server_with_responses_is_asked_by_them():
    with Loopback(sensible) as server:
        assert isinstance(at(server).critique([case()])[0], Critique)
    assert [request.protocol for request in server.requests] == ["responses"]


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_the_api_can_be_said(api):
    with Loopback(sensible) as server:
        at(server, api=api).critique([case()])
    assert [request.protocol for request in server.requests] == [api]
    others = {"responses", "chat"} - {api}
    with Loopback(sensible, protocols=others) as server, pytest.raises(CallsRefusedError, match="404"):
        at(server, api=api).critique([case()])


def test_a_model_that_is_not_there_is_fatal_in_both():
    with Loopback(Error(404)) as server, pytest.raises(CallsRefusedError, match="model's name"):
        at(server).critique([case()])
    assert [request.protocol for request in server.requests] == ["responses", "chat"]


def test_the_dialogue_of_the_paper_works_by_chat():
    with Loopback(sensible, protocols=("chat",), descriptions=described()) as server:
        (made,) = at(server, dialogue="paper").critique([case()])
    assert server.violations == [] and made.prompt == PROMPT


def test_no_key_is_needed_away_from_openai_and_none_is_sent():
    with Loopback(sensible) as server:
        made = at(server)
        made.critique([case()])
        assert made._client.sdk.api_key == "none"
        assert made.estimate(1).receiver == "127.0.0.1"


def test_an_answer_in_parts_is_read():
    import json

    from critic_cases import ANSWER

    parts = [{"type": "text", "text": json.dumps(ANSWER)[:100]}, {"type": "text", "text": json.dumps(ANSWER)[100:]}]
    body = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}], "usage": None}
    with Loopback(Reply.recorded(body), protocols=("chat",)) as server:
        assert at(server).critique([case()])[0].prompt == PROMPT
