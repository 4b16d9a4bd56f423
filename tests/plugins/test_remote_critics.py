"""The critics of paid services, by their real SDKs, against a server that plays them well and badly."""

from __future__ import annotations

import json
import threading
import traceback
from dataclasses import replace

import pytest
from critic_cases import ANALYSIS, ANSWER, CANARY, LABELS, PROMPT, Still, case, sensible
from loopback_clients import described

from xaiaug.calls import Calls, MemoryLedger
from xaiaug.errors import (
    CallsFailingError,
    CallsPausedError,
    CallsRefusedError,
    ConfigError,
    MissingExtraError,
)
from xaiaug.interfaces import Context
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Critique, Failure
from xaiaug.registry import registry
from xaiaug.testing import Cut, Delay, Drip, Error, Loopback, Raw, Reply


@pytest.fixture(autouse=True, scope="module")
def _sdks():
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")


@pytest.fixture(params=["messages", "responses", "chat"])
def service(request):
    return request.param


@pytest.fixture
def critic(service, monkeypatch):
    """Makes a prepared critic of each service at a server, with its calls."""

    def make(server, *, context=None, **parameters):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
            monkeypatch.setenv(name, CANARY)
        if service != "messages" and "api" not in parameters:
            parameters["api"] = service
        made = (ClaudeCritic if service == "messages" else OpenAICritic)(**parameters)
        calls = Calls(MemoryLedger(), budget_usd=1.0, jitter=Still())
        made.prepare(context or Context(labels=LABELS, paid=calls))
        made.calls = calls
        return made

    return make


def one(made):
    """The only result, which is a failure of that kind."""
    (failure,) = made
    assert isinstance(failure, Failure), failure
    return failure


def test_one_call_a_case_makes_a_critique(critic):
    with Loopback(sensible, descriptions=described()) as server:
        made = critic(server).critique([case(i) for i in range(5)])
    assert server.violations == [] and server.bill.requests == 5
    assert [type(item) for item in made] == [Critique] * 5
    assert made[0].prompt == PROMPT and made[0].attended == "background" and made[0].guidance["place"] == "left"


def test_the_dialogue_of_the_paper_takes_two_turns_in_one_chat(critic):
    with Loopback(sensible, descriptions=described()) as server:
        (made,) = critic(server, dialogue="paper").critique([case()])
    assert server.violations == []
    assert (made.prompt, made.cause, made.evidence) == (PROMPT, ANALYSIS, (ANALYSIS,))
    first, second = server.requests
    assert (first.turn, second.turn) == (1, 2) and ANALYSIS in second.text
    assert "took it for a dog" in first.text and first.schema is None
    assert len(first.pictures) == len(second.pictures) == 1


def test_what_is_sent_is_the_picture_and_then_the_text_and_nothing_of_the_file(critic):
    shown = case()
    with Loopback(sensible) as server:
        critic(server, domain="cats and dogs at home").critique([shown])
    (request,) = server.requests
    kinds = [type(part).__name__ for part in request.content]
    assert kinds == ["str", "Picture", "str"]  # system, picture, text
    assert "The images: cats and dogs at home. " in request.text
    assert request.pictures[0].width == 256 and request.pictures[0].media_type == "image/jpeg"
    assert shown.id not in json.dumps(request.body)
    assert not {"tools", "tool_choice", "temperature"} & request.body.keys()


def test_without_a_map_the_model_is_not_told_of_one(critic):
    with Loopback(sensible) as server:
        critic(server).critique([case(mapped=False)])
    assert "shows an image." in server.requests[0].text


def test_settings_of_the_model_are_sent_only_when_they_are_given(critic, service):
    given = {"effort": "low", "thinking": "adaptive"} if service == "messages" else {"effort": "low", "temperature": 0}
    with Loopback(sensible, descriptions=described()) as server:
        critic(server, model="another", **given, prices=None, context=Context(paid=_free("another"))).critique([case()])
    assert server.violations == []
    body = server.requests[0].body
    told = {
        "messages": lambda: (body["output_config"]["effort"], body["thinking"]),
        "responses": lambda: (body["reasoning"]["effort"], body["temperature"]),
        "chat": lambda: (body["reasoning_effort"], body["temperature"]),
    }[service]()
    assert told == ("low", {"type": "adaptive"} if service == "messages" else 0)
    assert body["model"] == "another"


def _free(model):
    from xaiaug.calls import Prices

    return Calls(MemoryLedger(), budget_usd=None, prices=Prices({model: {"local": True}}), jitter=Still())


def test_a_bad_prompt_is_mended_in_one_turn(critic):
    bad = {**ANSWER, "prompt": "a photo of a dog"}
    with Loopback([Reply(json=bad), Reply(json=ANSWER)], descriptions=described()) as server:
        (made,) = critic(server).critique([case()])
    assert server.violations == [] and made.prompt == PROMPT
    second = server.requests[1]
    assert second.turn == 2 and "must name the class 'cat'" in second.text and "a photo of a dog" in second.text


def test_a_prompt_that_stays_bad_is_a_failure_after_two_calls(critic):
    with Loopback(Reply(json={**ANSWER, "prompt": "a cat and a dog"})) as server:
        failure = one(critic(server).critique([case()]))
    assert failure.kind == "bad prompt" and "shows a 'dog'" in failure.message and server.bill.requests == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply.refusal("I would rather not."), "refusal"),
        (Reply.truncated(), "truncated"),
        (Reply.empty(), "empty"),
        (Reply("I am no JSON."), "bad reply"),
        (Reply('{"cause": "cut off in the mid'), "bad reply"),
        (Reply(json={"attended": "tail"}), "bad reply"),
        (Reply('{"wrong": "schema"}'), "bad reply"),
        (Reply("[" * 10_000), "bad reply"),
        (Reply("word " * 60_000), "too long"),
    ],
    ids=["refusal", "truncated", "empty", "text", "cut", "field", "schema", "deep", "long"],
)
def test_an_answer_of_no_use_is_a_failure_with_its_kind_and_is_paid_once_or_twice(critic, reply, kind):
    with Loopback(reply, descriptions=described()) as server:
        made = critic(server)
        failure = one(made.critique([case()]))
    assert failure.kind == kind and len(failure.message) <= 600
    assert server.bill.requests == (1 if kind == "refusal" else 2), "a refusal is not asked again"
    assert made.calls.summary()["calls"] == server.bill.requests, "every reply that was billed is in the ledger"
    assert server.violations == [] and all(len(json.dumps(r.body)) < 200_000 for r in server.requests)


def test_an_answer_that_was_cut_is_asked_again_with_more_room(critic):
    with Loopback([Reply.truncated(), Reply(json=ANSWER)]) as server:
        (made,) = critic(server, max_tokens=500).critique([case()])
    assert made.prompt == PROMPT
    assert [request.max_tokens for request in server.requests] == [500, 1000]


def test_thinking_comes_first_and_is_not_read(critic, service):
    thinking = None if service == "chat" else json.dumps({**ANSWER, "prompt": "a dog"})
    text = f"<think>{{not this}}</think>{json.dumps(ANSWER)}" if service == "chat" else json.dumps(ANSWER)
    with Loopback(Reply(text, thinking=thinking)) as server:
        (made,) = critic(server).critique([case()])
    assert made.prompt == PROMPT and server.bill.requests == 1


def test_a_refusal_is_shown_with_its_category(critic, service):
    with Loopback(Reply.refusal("Not this.", "frontier_llm")) as server:
        failure = one(critic(server).critique([case()]))
    assert "Not this." in failure.message
    assert service != "messages" or "frontier_llm" in failure.message


def test_a_filter_is_a_refusal(critic):
    with Loopback(Reply(stop="filter")) as server:
        assert one(critic(server).critique([case()])).kind == "refusal"
    azure = Error(400, "The response was filtered", code="content_filter", type="content_filter")
    with Loopback(azure) as server:
        assert one(critic(server).critique([case()])).kind == "refusal"


def test_a_second_critic_takes_what_the_first_declines(critic, service):
    def script(request):
        return Reply.refusal() if request.model == "shy" else sensible(request)

    second = {"name": "openai" if service == "messages" else "claude"}
    from xaiaug.calls import Prices

    prices = Prices({"shy": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 5}})
    calls = Calls(MemoryLedger(), budget_usd=1.0, prices=prices, jitter=Still())
    with Loopback(script) as server:
        made = critic(server, model="shy", second=second, context=Context(labels=LABELS, paid=calls))
        (critique,) = made.critique([case()])
        assert critique.prompt == PROMPT
    assert [request.model == "shy" for request in server.requests] == [True, False]
    assert calls.summary()["calls"] == 2


@pytest.mark.parametrize("service", ["messages", "chat"])
@pytest.mark.parametrize("storm", [Error.rate_limit(), Error.overloaded(), Error(500), Error(503), Cut(), Cut(40)])
def test_storms_pass_and_every_case_is_done(critic, storm):
    """Each case meets the storm twice."""
    met, lock = {}, threading.Lock()

    def script(request):
        with lock:
            seen = met[request.pictures[0].base64[-400:]] = met.get(request.pictures[0].base64[-400:], 0) + 1
        return storm if seen <= 2 else sensible(request)

    with Loopback(script) as server:
        made = critic(server)
        critiques = made.critique([case(i) for i in range(12)])
    assert all(isinstance(item, Critique) for item in critiques)
    summary = made.calls.summary()
    assert summary["calls"] == 12
    assert (summary["unknown_usd"] > 0) == isinstance(storm, Cut), "a cut call may have been billed"


def test_a_long_wait_stops_all_and_a_wrong_key_says_what_to_do(critic):
    with Loopback(Error.rate_limit(retry_after=7200)) as server, pytest.raises(CallsPausedError, match="120 minutes"):
        critic(server).critique([case()])
    with Loopback(Error(401)) as server, pytest.raises(CallsRefusedError, match="check the API key"):
        critic(server).critique([case()])
    with Loopback(Error.out_of_credit()) as server, pytest.raises(CallsRefusedError, match=r"top it up|quota|credit"):
        critic(server).critique([case()])


def test_an_item_that_is_turned_down_costs_only_itself(critic):
    with Loopback(lambda r: Error(400, "not this picture") if r.number == 2 else sensible(r)) as server:
        made = critic(server).critique([case(i) for i in range(6)])
    (failure,) = [item for item in made if isinstance(item, Failure)]
    assert failure.kind == "call failed" and "not this picture" in failure.message


def test_a_reply_that_is_no_json_is_a_failure_and_may_have_been_billed_unless_it_is_a_page(critic):
    for body in (b"<html>gateway</html>", b'{"content": [', b"", b"[1]", b"\xff\xfe\x00"):
        with Loopback(Reply.recorded(body)) as server:
            made = critic(server)
            failure = one(made.critique([case()]))
        assert failure.kind == "call failed" and "not a JSON object" in failure.message
        page = body.startswith(b"<html")
        assert (made.calls.summary()["unknown_usd"] > 0) != page, "a page is not from the server that bills"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": None, "choices": None, "output": None},
        {"content": 5, "choices": 5, "output": 5},
        {"content": {}, "choices": [], "output": "text"},
        {"choices": ["text"], "output": {"text": "a cat"}},
    ],
)
def test_a_body_without_a_completion_is_a_failed_call_that_may_have_been_billed(critic, body):
    with Loopback(Reply.recorded(body)) as server:
        made = critic(server)
        failure = one(made.critique([case()]))
    summary = made.calls.summary()
    assert failure.is_passing and "holds no completion" in failure.message
    assert summary["calls"] == summary["settled_usd"] == 0 and summary["unknown_usd"] > 0.001
    assert len(server.requests) == 4, "what may be billed is not tried ten times"


@pytest.mark.parametrize(
    "body",
    [
        {
            "choices": [{"message": None, "finish_reason": "stop"}],
            "output": [{"type": "message", "content": [{"type": "output_text"}]}],
            "status": "completed",
            "content": [{"type": "text"}],
            "stop_reason": "end_turn",
        },
        {"choices": [{}], "output": [], "content": []},
        {"choices": [{"message": {"content": 5}}], "output": [{"content": ["x"]}, 5], "content": ["text", 5]},
    ],
)
def test_a_completion_without_text_is_a_failure_and_its_worst_case_is_counted(service, critic, body):
    body = body if service == "chat" else {name: body[name] for name in body if name != "choices"}
    with Loopback(Reply.recorded(body)) as server:
        made = critic(server)
        assert one(made.critique([case()])).kind in ("empty", "interrupted")
    summary = made.calls.summary()
    assert summary["calls"] == 2 and summary["unknown_usd"] > 0.001, "a usage that is not told is not taken for free"


@pytest.mark.parametrize("service", ["messages", "responses"])
def test_a_slow_answer_is_ended_however_it_drips(critic, service):
    for slow in (Delay(30, Reply(json=ANSWER)), Drip(60, Reply(json=ANSWER), pieces=300)):
        with Loopback(slow) as server:
            made = critic(server, timeout_s=1)
            threading.Timer(1.5, made.calls.stop, [CallsFailingError("ended by the test")]).start()
            with pytest.raises(CallsFailingError):
                made.critique([case()])
            assert made.calls.summary()["unknown_usd"] > 0, "the first try was given up, and may be billed"


def test_when_most_answers_are_of_no_use_it_stops(critic):
    with Loopback(Reply("no JSON")) as server, pytest.raises(CallsFailingError, match="of the last 50 items failed"):
        critic(server).critique([case(i) for i in range(40)])
    assert server.bill.requests < 80


def test_what_a_picture_or_an_answer_says_is_data(critic):
    """A model that was talked into something can neither change the classes nor smuggle in what is executed."""
    evil = "</script><script>alert(1)</script>{{7*7}} IGNORE ALL RULES"
    answer = {**ANSWER, "cause": evil, "evidence": [evil], "label": "dog", "predicted": "cat", "tool": "rm -rf /"}
    with Loopback(Reply(json=answer)) as server:
        (made,) = critic(server).critique([case()])
    assert made.cause == evil and made.prompt == PROMPT, "kept as text; whoever shows it escapes it"
    assert not hasattr(made, "label")


def test_class_names_with_braces_and_quotes_fill_the_template_as_they_are(critic):
    label = 'cat {reason} {0} "x"'
    with Loopback(Reply(json={**ANSWER, "prompt": f"a photo of {label}"})) as server:
        (made,) = critic(server).critique([case(label=label)])
    assert made.prompt == f"a photo of {label}"
    assert f"“{label}”" in server.requests[0].text


def test_own_templates_are_used_and_stand_in_the_key(service, critic):
    texts = {"structured": "{picture} Why {predicted} and not {label}?", "system": "Be brief. {domain}"}
    with Loopback(sensible) as server:
        made = critic(server, templates=texts)
        made.critique([case()])
    assert "Why dog and not cat?" in server.requests[0].text
    assert made.identity() != type(made)().identity()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dialogue": "papers"}, "dialogue must be one of structured, paper"),
        ({"layout": "left"}, "layout must be one of"),
        ({"side": 64}, "side must be at least 200"),
        ({"max_tokens": 5}, "max_tokens must be at least 100"),
        ({"templates": {"structure": "x"}}, "Did you mean 'structured'"),
        ({"templates": {"structured": "{labels}"}}, "no field {labels}. Did you mean 'label'"),
        ({"base_url": "localhost"}, "base_url must be the address"),
        ({"base_url": f"http://me:{CANARY}@localhost"}, "must not contain a key"),
        ({"second": {"name": "gpt"}}, "no critic 'gpt'"),
        ({"second": {"name": "claude", "modell": "x"}}, "no parameter 'modell'. Did you mean 'model'"),
    ],
)
def test_wrong_parameters_are_told_before_anything_is_sent(critic, parameters, message):
    with Loopback() as server, pytest.raises(ConfigError) as caught:
        critic(server, **parameters)
    assert message in str(caught.value) and CANARY not in str(caught.value)


def test_the_shared_options_stand_in_every_signature_with_their_types():
    claude, openai = set(ClaudeCritic.parameter_names()), set(OpenAICritic.parameter_names())
    assert claude - openai == {"thinking", "cache_system"} and openai - claude == {
        "temperature",
        "api",
        "limit_name",
        "system_role",
        "detail",
    }
    assert {"dialogue", "max_tokens", "base_url", "budget_usd"} <= claude & openai and "options" not in claude | openai
    assert OpenAICritic.parameter_names()[0] == "model" and OpenAICritic("m", side=300).parameters()["side"] == 300
    for name in ("claude", "openai", "local-vlm"):
        with pytest.raises(ConfigError, match="parameter 'side' is invalid"):
            registry().create("critic", name, {"side": "512"})
        with pytest.raises(ConfigError, match="Did you mean 'layout'"):
            registry().create("critic", name, {"layuot": "overlay"})


def test_a_subclass_with_parameters_of_its_own_has_no_others():
    class Fixed(ClaudeCritic):
        def __init__(self, breed: str = "siamese") -> None:
            super().__init__("m", domain=breed)
            self.breed = breed

    assert Fixed.parameter_names() == ("breed",)


def test_a_missing_key_is_told_in_one_line(service, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    kind, name = (ClaudeCritic, "ANTHROPIC_API_KEY") if service == "messages" else (OpenAICritic, "OPENAI_API_KEY")
    with pytest.raises(ConfigError, match=f"set the environment variable {name}") as caught:
        kind().check()
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_told_with_its_extra(service, monkeypatch):
    from xaiaug.plugins.critics import _sdk

    monkeypatch.setattr(_sdk, "find_spec", lambda name: None)
    kind, extra = (ClaudeCritic, "claude") if service == "messages" else (OpenAICritic, "openai")
    with pytest.raises(MissingExtraError, match=rf"pip install 'xaiaug\[{extra}\]'"):
        kind().check()


def test_without_a_budget_nothing_is_sent(service, monkeypatch):
    with Loopback(sensible) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        critic = ClaudeCritic() if service == "messages" else OpenAICritic()
        critic.prepare(Context(labels=LABELS))
        with pytest.raises(ConfigError, match="set budget_usd"):
            critic.critique([case()])
    assert server.requests == []


def test_a_key_that_a_server_sends_back_is_in_no_error_reply_or_traceback(critic):
    def tells(request):
        kind = [Error(400, f"bad key {CANARY}"), Error(401, f"wrong key {CANARY}"), Reply(f"your key is {CANARY}")]
        return kind[(request.number - 1) % 3]

    seen = []
    with Loopback(tells) as server:
        made = critic(server)
        seen.append(repr(made.critique([case()])))
        try:
            made.critique([case()])
        except CallsRefusedError:
            seen.append(traceback.format_exc())
        made = critic(server)
        seen += [repr(made.critique([case()])), repr(made), repr(made.identity())]
        seen.append(repr([made.calls._ledger._replies, made.calls.summary()]))
    assert "[key]" in seen[0] and not [text for text in seen if CANARY in text]


@pytest.mark.parametrize("dialogue", ["structured", "paper"])
def test_the_bill_is_what_was_estimated(critic, dialogue):
    """Prices as of today's models: an answered token costs five times one that is sent."""
    with Loopback(sensible, prices=(1, 5)) as server:
        made = critic(server, dialogue=dialogue)
        made.critique([case(i, panel_side=512) for i in range(20)])
    estimate, bill = made.estimate(20), server.bill
    assert estimate.calls[0] <= bill.requests <= estimate.calls[1]
    assert estimate.receiver == "127.0.0.1" and estimate.model == made.model
    low, high = (estimate.input_tokens[i] * 1 + estimate.output_tokens[i] * 5 for i in (0, 1))
    spent = bill.input_tokens * 1 + bill.output_tokens * 5
    assert low <= spent <= high
    assert dialogue == "paper" or abs((low + high) / 2 / spent - 1) < 0.2
    sent = sum(len(json.dumps(request.body)) for request in server.requests)
    assert estimate.upload_bytes[0] < sent < 2.5 * estimate.upload_bytes[1], "noise is rougher than any photograph"


@pytest.mark.parametrize("dialogue", ["structured", "paper"])
def test_half_a_surrogate_pair_in_a_reply_or_a_label_is_left_out_and_costs_nothing_twice(critic, dialogue):
    def script(request):
        if request.turn == 1 and dialogue == "paper":
            return Reply(f"\ud83d {ANALYSIS}")
        prompt = f"\udc00{PROMPT}"
        if dialogue == "paper":
            return Reply(prompt)
        return Reply(json={**ANSWER, "prompt": prompt, "cause": f"{ANSWER['cause']} \ud83d"})

    with Loopback(script) as server:
        made = critic(server, dialogue=dialogue)
        first, second = made.critique([case(), replace(case(1), predicted="dog\udcff")])
    assert isinstance(first, Critique) and isinstance(second, Critique), (first, second)
    assert first.prompt == PROMPT
    assert made.calls.summary()["unanswered"] == 0 and made.calls.summary()["unknown_usd"] == 0


@pytest.mark.parametrize("escape", [str, lambda key: key.replace("-", "\\u002d"), lambda key: key.encode().hex()])
def test_a_key_is_masked_in_replies_however_it_is_escaped(critic, escape):
    """Also where the server escapes it in the JSON that carries it."""
    body = json.dumps({"error": {"message": f"your key {escape(CANARY)}", "type": "bad"}}).replace("-", "\\u002d")
    long = json.dumps({"error": {"message": f"{'x' * 490} {escape(CANARY)}", "type": "bad"}})
    with Loopback([Raw(body.encode(), 400), Raw(long.encode(), 400), Reply(f"it is {escape(CANARY)}")]) as server:
        made = critic(server)
        told = [repr(made.critique([case(i)])) for i in range(3)]
        told.append(repr(made.calls._ledger._replies))
    for text in told:
        assert CANARY not in text and escape(CANARY) not in text and CANARY[:12] not in text
    assert "[key]" in told[0] and "[key]" in told[-1]


def test_this_machine_gets_a_key_only_if_it_is_named(critic, monkeypatch, service):
    keys = []
    with Loopback(sensible) as server:
        made = critic(server)
        keys.append(_sent_key(made))
        monkeypatch.delenv("XAIAUG_TRUSTED_HOSTS")
        made.prepare(Context(labels=LABELS, paid=made.calls))
        keys.append(_sent_key(made))
        assert isinstance(made.critique([case()])[0], Critique)
    assert keys == [CANARY, "none"]


def _sent_key(made):
    headers = made._client.sdk.auth_headers
    return headers.get("X-Api-Key") or headers["Authorization"].removeprefix("Bearer ")


def test_a_stranger_s_address_gets_nothing_and_a_redirect_is_not_followed(critic, service, monkeypatch):
    kind = ClaudeCritic if service == "messages" else OpenAICritic
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    for made in (kind(base_url="https://llm.example.org/v1"), kind()):
        monkeypatch.setenv(kind.address_variable, "https://gateway.example.org")
        host, source = ("llm", "base_url") if made.base_url else ("gateway", kind.address_variable)
        with pytest.raises(ConfigError, match=rf"{source} is at {host}.example.org.*--trust-host {host}.example.org"):
            made.check()
    with Loopback(sensible) as other:
        moved = Raw(b"", 307, {"location": f"{other.url}/v1/messages"})
        with Loopback([moved]) as server, pytest.raises(CallsRefusedError):
            critic(server, **({} if service == "messages" else {"api": "chat"})).critique([case()])
    assert other.requests == [] and other.violations == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_is_called_directly_whatever_proxy_the_environment_names(service, host, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    kind, api = (ClaudeCritic, {}) if service == "messages" else (OpenAICritic, {"api": service})
    with Loopback(sensible) as proxy, Loopback(sensible) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        address = server.url.replace("127.0.0.1", host) + ("" if service == "messages" else "/v1")
        made = kind("m", base_url=address, **api)
        made.prepare(Context(labels=LABELS, paid=_free("m")))
        (answer,) = made.critique([case()])
        assert isinstance(answer, Critique) and len(server.requests) == 1
        assert proxy.requests == [] and proxy.violations == []


def test_a_provider_is_never_free_whatever_the_settings_say(service, monkeypatch):
    kind = ClaudeCritic if service == "messages" else OpenAICritic
    monkeypatch.delenv(kind.address_variable, raising=False)
    monkeypatch.setenv(kind.key_variables[0], CANARY)
    made = kind("m", prices={"m": {"local": True}})
    made.prepare(Context(labels=LABELS))
    with pytest.raises(ConfigError, match="remove local = true"):
        made.critique([case()])
