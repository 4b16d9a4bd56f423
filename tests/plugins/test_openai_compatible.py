"""Servers that speak OpenAI's protocol: asked by Responses, and by Chat Completions where they have none."""

from __future__ import annotations

import json

import pytest
from critic_cases import ANSWER, LABELS, PROMPT, Still, case, sensible
from loopback_clients import described

from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.errors import CallsFailingError, CallsRefusedError, ConfigError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics._service_endpoint import OpenAIEndpoint
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Critique
from xaiaug.testing import Error, Loopback, Raw, Reply

LOCAL = Prices({"a-model-at-home": {"local": True}})


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    pytest.importorskip("openai")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def at(server, *, jitter=None, **parameters):
    made = OpenAICritic("a-model-at-home", base_url=f"{server.url}/v1", **parameters)
    made.prepare(Context(labels=LABELS, paid=Calls(MemoryLedger(), budget_usd=None, prices=LOCAL, jitter=jitter)))
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


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_openai_is_asked_at_its_usual_price_and_no_other_server_of_a_price(api, monkeypatch):
    with Loopback(sensible, descriptions=described()) as server:
        at(server, api=api).critique([case()])
        monkeypatch.setattr(OpenAIEndpoint, "own_address", server.url)
        at(server, api=api).critique([case()])
    assert server.violations == []
    assert [request.body.get("service_tier") for request in server.requests] == [None, "default"]


def test_an_answer_in_parts_is_read():
    parts = [{"type": "text", "text": json.dumps(ANSWER)[:100]}, {"type": "text", "text": json.dumps(ANSWER)[100:]}]
    body = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}], "usage": None}
    with Loopback(Reply.recorded(body), protocols=("chat",)) as server:
        assert at(server).critique([case()])[0].prompt == PROMPT


def refusing(words, *, when, status=400):
    """Rejects requests of a kind as a server that does not take them, and answers the others."""

    def script(request):
        return Reply.recorded({"error": {"message": words}}, status) if when(request) else sensible(request)

    return script


NO_RESPONSES = [
    Raw(b'{"error": "Unexpected endpoint or method. (POST /v1/responses)"}'),
    Raw(
        b'{"error": {"message": "Responses API is not supported for this model", "code": "unsupported_endpoint"}}', 400
    ),
    Raw(b'{"error": {"message": "NotImplementedError: responses"}}', 500),
    Raw(b"<!DOCTYPE html><title>Open WebUI</title>"),
    Raw(b'{"detail": "Not Found"}', 404),
    Raw(b'{"error": {"message": "virtual key not allowed to call this route", "type": "auth_error"}}', 401),
    Raw(b'{"status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []}'),
]


@pytest.mark.parametrize("answer", NO_RESPONSES, ids=lambda raw: f"{raw.status}")
def test_however_a_server_says_that_it_lacks_responses_chat_is_tried_once_and_remembered(answer):
    with Loopback(lambda r: answer if r.protocol == "responses" else sensible(r)) as server:
        made = at(server).critique([case(i) for i in range(5)])
    assert [item.prompt for item in made] == [PROMPT] * 5
    assert [request.protocol for request in server.requests].count("responses") == 1


def has_schema(request):
    return "response_format" in request.body or "format" in request.body.get("text", {})


def test_an_outage_at_the_start_does_not_cost_the_schema_for_good():
    answers = iter([Error(500, "oops"), Error(500, "oops")])
    with Loopback(lambda _: next(answers, None) or Reply(json.dumps(ANSWER))) as server:
        critic = at(server)
        for number in range(3):
            assert critic.critique([case(number)])[0].prompt == PROMPT
    assert [has_schema(request) for request in server.requests] == [True, True, False, True, True]


def test_a_server_that_fails_on_a_schema_twice_gets_none_any_more():
    def script(request):
        return Error(500, "oops") if has_schema(request) else Reply(json.dumps(ANSWER))

    with Loopback(script, protocols=("responses", "chat")) as server:
        critic = at(server, api="chat")
        for number in range(4):
            assert critic.critique([case(number)])[0].prompt == PROMPT
    assert [has_schema(request) for request in server.requests] == [True, False, True, False, False, False]


def test_where_neither_works_it_is_not_asked_by_responses_again_and_the_words_that_tell_more_are_kept():
    with Loopback(Error(500, "no projector")) as server, pytest.raises(CallsFailingError, match="no projector"):
        at(server, jitter=Still()).critique([case(i) for i in range(12)])
    assert [request.protocol for request in server.requests].count("responses") == 1
    assert len(server.requests) < 40
    images = Raw(b'{"error": "this server takes no pictures"}', 422)
    with Loopback(lambda r: images if r.protocol == "responses" else Error(404)) as server:
        (made,) = at(server).critique([case()])
    assert "takes no pictures" in made.message


@pytest.mark.parametrize(
    "words",
    [
        "This response_format type is unavailable now",
        "'response_format.type' must be 'text'",
        "failed to parse grammar",
        "Invalid argument",
        "output_config.format: Extra inputs are not permitted",
    ],
)
@pytest.mark.parametrize("dialogue", ["structured", "paper"])
def test_where_a_schema_is_refused_the_form_is_told_in_words(words, dialogue):
    with Loopback(refusing(words, when=lambda r: r.schema is not None)) as server:
        made = at(server, api="chat", dialogue=dialogue)
        critiques = made.critique([case(i) for i in range(3)])
    bound = [request.schema is not None for request in server.requests]
    assert bound.count(True) == (dialogue == "structured"), "it is tried with a schema once"
    if dialogue == "structured":  # `sensible` answers JSON only where there is a schema
        assert all('"label_suspect"' in request.text for request in server.requests[1:])
        assert {item.kind for item in critiques} == {"bad reply"}


def test_where_a_schema_is_ignored_the_repair_tells_the_form_and_asks_without_it():
    def script(request):
        return Reply("The prompt: a cat") if request.schema is not None else Reply(json=ANSWER)

    with Loopback(script) as server:
        (made,) = at(server, api="chat").critique([case()])
    assert made.prompt == PROMPT and [r.schema is not None for r in server.requests] == [True, False]
    assert '"label_suspect": "true or false' in server.requests[1].text


def test_a_schema_that_works_is_kept_whatever_later_errors_say():
    def script(request):
        return Error(400, "Invalid argument") if request.number == 2 else sensible(request)

    with Loopback(script) as server:
        made = at(server, api="chat").critique([case(i) for i in range(3)])
    assert sum(isinstance(item, Critique) for item in made) == 2 and len(server.requests) == 3


def test_the_name_of_the_token_limit_and_the_role_of_the_system_text_are_found_or_set():
    limit = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    with Loopback(refusing(limit, when=lambda r: "max_tokens" in r.body)) as server:
        assert {type(one) for one in at(server, api="chat").critique([case(i) for i in range(3)])} == {Critique}
        assert ["max_tokens" in request.body for request in server.requests] == [True, False, False, False]
    system = refusing("System role not supported", when=lambda r: r.body["messages"][0]["role"] == "system")
    with Loopback(system) as server:
        assert isinstance(at(server, api="chat").critique([case()])[0], Critique)
        assert "You review the mistakes" in server.requests[-1].body["messages"][0]["content"][1]["text"]
    with Loopback(sensible) as server:
        at(server, api="chat", limit_name="max_completion_tokens", system_role="developer").critique([case()])
        body = server.requests[0].body
        assert body["messages"][0]["role"] == "developer" and "max_completion_tokens" in body
        with pytest.raises(ConfigError, match="limit_name must be one of auto, max_tokens"):
            at(server, limit_name="limit")


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_an_empty_system_text_is_not_sent(api):
    with Loopback(sensible, descriptions=described()) as server:
        assert isinstance(at(server, api=api, templates={"system": ""}).critique([case()])[0], Critique)
    body = server.requests[0].body
    assert server.violations == [] and "instructions" not in body
    assert api == "responses" or [message["role"] for message in body["messages"]] == ["user"]


def test_where_max_tokens_does_not_bound_reasoning_the_worst_case_has_room_for_it():
    with Loopback(sensible) as server:
        chat, bounded = at(server, api="chat"), at(server, api="chat", limit_name="max_completion_tokens")
        question = chat._dialogue.first_question(case())
        assert chat._reasoning_allowance(question) == 2 * chat.max_tokens and not bounded._reasoning_allowance(question)
