"""The loopback server as the real SDKs see it: replies, errors, cut and slow connections, and the bill."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from decimal import Decimal

import pytest
from loopback_clients import PROTOCOLS, SCHEMA, Clients, described, encoded, png, sdk_clients  # noqa: F401

from xaiaug.errors import ConfigError, XaiaugError
from xaiaug.testing import Cut, Delay, Drip, Error, Limit, Loopback, Raw, Reply

ALL = pytest.mark.parametrize("protocol", PROTOCOLS)


def raised(clients: Clients, protocol: str, name: str) -> type[Exception]:
    return getattr(clients.modules[protocol], name)


def post(server: Loopback, path: str, body: bytes, **headers: str) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=60)
    try:
        connection.request("POST", path, body, {"authorization": "Bearer any", **headers})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


# What is answered


@ALL
def test_a_text_arrives_and_the_request_is_kept(clients, protocol):
    with Loopback(Reply("a cat on a green sofa")) as server:
        heard = clients.ask(protocol, server, "what is this?")
        assert heard.text == "a cat on a green sofa"
        (request,) = server.requests
    assert (request.number, request.protocol, request.model, request.turn) == (1, protocol, "a-model", 1)
    assert request.text == "what is this?"


@ALL
def test_a_reply_satisfies_the_schema_and_takes_the_fields_given(clients, protocol):
    with Loopback(Reply(json={"prompt": "a photo of a cat"})) as server:
        said = json.loads(clients.ask(protocol, server, schema=SCHEMA).text)
        assert server.requests[0].schema == SCHEMA
    assert said == {"cause": "text", "attended": "subject", "prompt": "a photo of a cat"}


def test_the_parsing_calls_of_the_sdks_give_their_models(clients):
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Out", cause=(str, ...), sure=(bool, ...), evidence=(list[str], ...))
    hello = [{"role": "user", "content": "hello"}]
    with Loopback() as server:
        claude, gpt = clients.at("messages", server), clients.at("chat", server)
        parsed = [
            claude.messages.parse(model="m", max_tokens=100, messages=hello, output_format=model).parsed_output,
            gpt.responses.parse(model="m", input="hello", text_format=model).output_parsed,
            gpt.chat.completions.parse(model="m", messages=hello, response_format=model).choices[0].message.parsed,
        ]
    assert parsed == [model(cause="text", sure=False, evidence=["text"])] * 3


@ALL
def test_an_image_before_a_text_is_seen_in_that_order(clients, protocol):
    image = png(60, 50)
    with Loopback() as server:
        clients.ask(protocol, server, image, "what is this?")
        picture, text = server.requests[0].content
    assert (picture.data, picture.media_type, picture.width, picture.height) == (image, "image/png", 60, 50)
    assert picture.image.size == (60, 50)
    assert text == "what is this?"


@ALL
@pytest.mark.parametrize(
    ("reply", "stops", "text"),
    [
        (Reply.truncated("half of"), ("max_tokens", "max_output_tokens", "length"), "half of"),
        (Reply.truncated(), ("max_tokens", "max_output_tokens", "length"), "A short"),
        (Reply.empty(), ("end_turn", "completed", "stop"), ""),
        (Reply("a cat", thinking="let me look"), ("end_turn", "completed", "stop"), "a cat"),
        (Reply.refusal("no", category="cyber"), ("refusal", "completed", "stop"), ""),
        (Reply("a c", stop="filter"), ("refusal", "content_filter", "content_filter"), None),
    ],
    ids=["truncated", "half", "empty", "thinking", "refusal", "filter"],
)
def test_every_ending_comes_with_http_200_and_its_own_stop(clients, protocol, reply, stops, text):
    with Loopback(reply) as server:
        heard = clients.ask(protocol, server)
    assert heard.stop == stops[PROTOCOLS.index(protocol)]
    assert text is None or heard.text == text


def test_a_refusal_tells_itself_where_each_service_tells_it(clients):
    with Loopback(Reply.refusal("not that", category="cyber")) as server:
        details = clients.ask("messages", server).raw.stop_details
        assert (details.category, details.explanation) == ("cyber", "not that")
        (part,) = clients.ask("responses", server).raw.output[0].content
        assert (part.type, part.refusal) == ("refusal", "not that")
        assert clients.ask("chat", server).raw.choices[0].message.refusal == "not that"


def test_thinking_comes_first(clients):
    with Loopback(Reply("a cat", thinking="let me look")) as server:
        assert [block.type for block in clients.ask("messages", server).raw.content] == ["thinking", "text"]
        assert [item.type for item in clients.ask("responses", server).raw.output] == ["reasoning", "message"]


@ALL
def test_megabytes_of_text_arrive_whole(clients, protocol):
    text = "<script>" + "m" * 3_000_000
    with Loopback(Drip(0.1, Reply(text), pieces=7)) as server:
        assert clients.ask(protocol, server).text == text


@ALL
def test_a_text_that_breaks_the_schema_is_sent_as_it_is(clients, protocol):
    with Loopback(Reply('{"cause": ')) as server:
        assert clients.ask(protocol, server, schema=SCHEMA).text == '{"cause": '


@ALL
def test_a_body_of_broken_json_reaches_the_client(clients, protocol):
    with Loopback(Raw(b'{"id": "msg_1", "content": [')) as server:
        with pytest.raises((json.JSONDecodeError, raised(clients, protocol, "APIResponseValidationError"))):
            clients.ask(protocol, server)
        assert server.bill.requests == 0


# Errors


@ALL
@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Error(400, "max_tokens: too large"), "BadRequestError"),
        (Error(401), "AuthenticationError"),
        (Error(403), "PermissionDeniedError"),
        (Error(404), "NotFoundError"),
        (Error(413), "APIStatusError"),
        (Error.rate_limit(retry_after=7), "RateLimitError"),
        (Error(500), "InternalServerError"),
        (Error(503), "InternalServerError"),
        (Error.overloaded(), "InternalServerError"),
        (Raw(b"<html>Bad gateway</html>", 502, {"content-type": "text/html"}), "InternalServerError"),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_an_error_reaches_the_caller_as_the_error_of_the_sdk(clients, protocol, error, name):
    with Loopback(error) as server:
        with pytest.raises(raised(clients, protocol, name)) as caught:
            clients.ask(protocol, server)
        assert server.statuses == {error.status: 1}
        assert server.bill.requests == 0
    assert caught.value.status_code == error.status
    assert caught.value.response.headers.get("retry-after") == ("7" if error.status == 429 else None)
    assert isinstance(error, Raw) or caught.value.body is not None


def test_an_empty_account_is_told_in_each_services_way(clients):
    with Loopback(Error.out_of_credit()) as server:
        with pytest.raises(clients.modules["messages"].BadRequestError, match="credit balance is too low"):
            clients.ask("messages", server)
        for protocol in ("responses", "chat"):
            with pytest.raises(clients.modules[protocol].RateLimitError) as caught:
                clients.ask(protocol, server)
            assert caught.value.code == "insufficient_quota"


def test_a_storm_passes_and_the_last_step_goes_on(clients):
    with Loopback([Error.overloaded()] * 3 + [Reply("fine")]) as server:
        for _ in range(3):
            with pytest.raises(clients.modules["messages"].InternalServerError):
                clients.ask("messages", server)
        assert [clients.ask("messages", server).text for _ in range(2)] == ["fine", "fine"]
        assert server.statuses == {529: 3, 200: 2}
        assert server.bill.requests == 2


def test_requests_over_a_limit_are_told_so(clients):
    with Loopback(Limit(1e-6, Reply("in time"), burst=2, retry_after=3)) as server:
        assert [clients.ask("chat", server).text for _ in range(2)] == ["in time"] * 2
        with pytest.raises(clients.modules["chat"].RateLimitError) as caught:
            clients.ask("chat", server)
    assert caught.value.response.headers["retry-after"] == "3"


# The connection


@ALL
@pytest.mark.parametrize("after", [None, 0, 40, 10**9], ids=["before headers", "after headers", "in it", "at its end"])
def test_a_cut_connection_is_lost_and_not_billed(clients, protocol, after):
    with Loopback([Cut(after, Reply("a cat")), Reply("a dog")]) as server:
        with pytest.raises(raised(clients, protocol, "APIError")):
            clients.ask(protocol, server)
        assert server.bill.requests == 0
        assert clients.ask(protocol, server).text == "a dog"
    assert (server.bill.requests, server.lost.requests) == (1, 1)
    assert server.lost.usd > 0


@ALL
def test_a_client_that_gave_up_is_lost_and_not_billed(clients, protocol):
    given_up = threading.Event()

    def script(request):
        if request.number == 1:
            given_up.wait(60)
        return Reply()

    with Loopback(script) as server:
        with pytest.raises(raised(clients, protocol, "APITimeoutError")):
            clients.ask(protocol, server, timeout=0.2)
        given_up.set()
        clients.ask(protocol, server)
        assert server.bill.requests == 1
    assert server.lost.requests == 1


def test_stopping_ends_all_waiting(clients):
    caught, arrived = [], threading.Event()

    def script(request):
        arrived.set()
        return Delay(3600)

    def ask() -> None:
        try:
            clients.ask("chat", server)
        except clients.modules["chat"].APIConnectionError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    with Loopback(script) as server:
        thread.start()
        assert arrived.wait(60)
    thread.join(60)
    assert len(caught) == 1
    assert server.lost.requests == 1
    assert not [thread for thread in threading.enumerate() if "process_request" in thread.name]


def test_steps_lie_in_one_another(clients):
    step = Delay(0.01, Drip(0.02, Delay(0.01, Error(500)), pieces=3))
    with Loopback(step) as server, pytest.raises(clients.modules["chat"].InternalServerError):
        clients.ask("chat", server)


def test_many_clients_at_once_each_get_a_number_and_are_billed():
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
    with Loopback(lambda request: Reply(f"number {request.number}")) as server:
        said = []
        threads = [
            threading.Thread(target=lambda: said.append(post(server, "/v1/chat/completions", body))) for _ in range(40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        texts = {reply["choices"][0]["message"]["content"] for _, reply in said}
        assert texts == {f"number {n}" for n in range(1, 41)}
        assert server.bill.requests == 40
        assert [request.number for request in server.requests] == list(range(1, 41))


# The bill


@ALL
def test_the_bill_is_the_sum_of_what_the_sdk_was_told(clients, protocol):
    with Loopback([Reply("x" * n) for n in (1, 9, 400)], prices=("2.5", 10)) as server:
        told = [clients.ask(protocol, server, png(), "look " * n).usage for n in (1, 2, 3)]
        bill = server.bill
    of_input, of_output = (sum(column) for column in zip(*told, strict=True))
    assert (bill.requests, bill.input_tokens, bill.output_tokens) == (3, of_input, of_output)
    assert bill.usd == (Decimal("2.5") * of_input + 10 * of_output) / 1_000_000
    assert of_output == 1 + 3 + 100


def test_texts_count_by_four_characters_and_images_by_their_pixels(clients):
    with Loopback() as server:
        assert clients.ask("messages", server, "12345").usage[0] == 2
        assert clients.ask("messages", server, png(512, 512)).usage[0] == 437
        assert clients.ask("chat", server, png(512, 512)).usage[0] == 309
        assert clients.ask("chat", server, "1", schema=SCHEMA).usage[0] == 1 + -(-len(json.dumps(SCHEMA)) // 4)


@ALL
def test_no_more_output_is_billed_than_was_allowed(clients, protocol):
    limit = {"messages": "max_tokens", "responses": "max_output_tokens", "chat": "max_completion_tokens"}[protocol]
    with Loopback(Reply("x" * 4000)) as server:
        assert clients.ask(protocol, server, **{limit: 16}).usage[1] == 16


def test_usage_can_be_told(clients):
    with Loopback(Reply("a cat", usage=(1000, 2000)), prices=(1, 1)) as server:
        assert clients.ask("responses", server).usage == (1000, 2000)
        assert server.bill.usd == Decimal("0.003")


def test_a_model_without_a_price_is_not_there(clients):
    with Loopback(prices={"a-model": (1, 2)}) as server:
        clients.ask("messages", server)
        with pytest.raises(clients.modules["messages"].NotFoundError, match="other-model"):
            clients.ask("messages", server, model="other-model")
        assert server.bill.requests == len(server.requests) == 1


# What a script may be


def test_a_function_sees_the_request_and_chooses(clients):
    def script(request):
        if request.turn == 1:
            return Reply(f"the attention is on the {request.text.split()[-1]}")
        return Reply("a photo of a cat")

    with Loopback(script) as server:
        first = clients.ask("messages", server, "the label is cat")
        turns = [
            {"role": "user", "content": "the label is cat"},
            {"role": "assistant", "content": first.text},
            {"role": "user", "content": "now the prompt"},
        ]
        second = clients.ask("messages", server, messages=turns)
    assert (first.text, second.text) == ("the attention is on the cat", "a photo of a cat")


def test_what_a_script_raises_is_told_to_both_sides(clients):
    def script(request):
        raise LookupError("no case of that name")

    with pytest.raises(LookupError, match="no case of that name"), Loopback(script) as server:
        status, reply = post(server, "/v1/responses", b'{"model": "m", "input": "hello"}')
        assert (status, "no case of that name" in reply["error"]["message"]) == (500, True)
    with pytest.raises(ZeroDivisionError), Loopback(script) as server:
        with pytest.raises(clients.modules["chat"].InternalServerError):
            clients.ask("chat", server)
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"script": []}, "is empty"),
        ({"script": ["a cat"]}, r"Use Reply\(text\)"),
        ({"script": "a cat"}, r"Use Reply\(text\)"),
        ({"prices": (1,)}, "two numbers"),
        ({"prices": ("cheap", "dear")}, "two numbers"),
        ({"protocols": ["message"]}, "Did you mean 'messages'"),
        ({"descriptions": "nowhere"}, "found none"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(settings, says):
    with pytest.raises(XaiaugError, match=says):
        Loopback(**settings)


def test_there_is_no_address_before_the_server_runs():
    with pytest.raises(ConfigError, match="within `with"):
        _ = Loopback().url


def test_only_the_latest_requests_are_kept(clients):
    with Loopback(keep=2) as server:
        for _ in range(3):
            clients.ask("chat", server)
        assert [request.number for request in server.requests] == [2, 3]
        assert server.bill.requests == 3


# What is refused


@ALL
def test_a_parameter_that_the_service_does_not_know_is_a_violation(clients, protocol):
    with Loopback(descriptions=described()) as server:
        clients.ask(protocol, server, png(), "look", schema=SCHEMA)
        assert server.violations == []
        wrong = {"messages": {"temprature": 0}, "responses": {"temperature": "hot"}, "chat": {"temperature": "hot"}}
        with pytest.raises(raised(clients, protocol, "BadRequestError"), match="temp"):
            clients.ask(protocol, server, extra_body=wrong[protocol])
        (violation,) = server.violations
    assert "temp" in violation.reason
    assert violation.protocol == protocol
    assert len(server.requests) == 1


@ALL
def test_streaming_is_refused_in_words(clients, protocol):
    with Loopback() as server:
        with pytest.raises(raised(clients, protocol, "BadRequestError"), match="does not stream"):
            clients.ask(protocol, server, extra_body={"stream": True})
        assert len(server.violations) == 1


@ALL
def test_images_that_the_services_refuse_are_refused(clients, protocol):
    with Loopback() as server:
        for image, says in [(b"no image", "process image"), (png(8001, 1), "8000 pixels")]:
            with pytest.raises(raised(clients, protocol, "BadRequestError"), match=says):
                clients.ask(protocol, server, image)


def test_a_jpeg_that_is_called_a_png_is_refused_as_anthropic_does(clients):
    refused = pytest.raises(clients.modules["messages"].BadRequestError, match="appears to be a image/jpeg")
    with Loopback() as server, refused:
        clients.ask("messages", server, png(form="JPEG"))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", b"not json"),
        ("/v1/messages", b"\xff\xfe"),
        ("/v1/messages", b"[]"),
        ("/v1/messages", b'{"messages": []}'),
        ("/v1/messages", b'{"model": "m", "max_tokens": 1, "messages": "hello"}'),
        ("/v1/responses", b'{"model": "m"}'),
        ("/v1/responses", b'{"model": "m", "input": [7]}'),
        ("/v1/chat/completions", b'{"model": "m", "messages": [{"role": "user", "content": 7}]}'),
        ("/v1/chat/completions", b'{"model": "m", "messages": [{"role": "user", "content": [{"image_url": {}}]}]}'),
    ],
)
def test_a_body_of_another_shape_is_a_violation_even_without_descriptions(path, body):
    with Loopback() as server:
        status, reply = post(server, path, body)
        assert (status, len(server.violations), len(server.requests)) == (400, 1, 0)
        assert reply["error"]["message"] == server.violations[0].reason


def test_a_request_without_any_key_is_unauthorised():
    with Loopback() as server:
        connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=60)
        connection.request("POST", "/v1/messages", b"{}")
        assert connection.getresponse().status == 401
        connection.close()


def test_keys_are_in_nothing_that_is_kept(clients):
    with Loopback() as server:
        for protocol in PROTOCOLS:
            clients.ask(protocol, server)
        assert all("canary" not in repr(vars(request)) for request in server.requests)


def test_a_body_larger_than_the_services_take_is_refused():
    with Loopback() as server:
        assert post(server, "/v1/messages", b" " * (32 * 1024 * 1024 + 1))[0] == 413


def test_a_server_without_responses_answers_404_there(clients):
    with Loopback(protocols=["chat"]) as server:
        with pytest.raises(clients.modules["responses"].NotFoundError):
            clients.ask("responses", server)
        with pytest.raises(clients.modules["messages"].NotFoundError):
            clients.ask("messages", server)
        clients.ask("chat", server)


# How it is used


def test_the_environment_sends_the_sdks_to_the_server(clients, monkeypatch):
    with Loopback() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        with clients.modules["messages"].Anthropic() as claude, clients.modules["chat"].OpenAI() as gpt:
            claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
            gpt.responses.create(model="m", input="hello")
        assert len(server.requests) == 2
        assert "sk-" not in server.environment()["ANTHROPIC_API_KEY"]


def test_the_server_needs_neither_pytest_nor_an_sdk():
    code = (
        "import sys; from xaiaug.testing import Loopback\n"
        "with Loopback() as server: print(server.url)\n"
        "assert not {'pytest', 'anthropic', 'openai', 'jsonschema', 'torch', 'yaml'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:")


def test_a_picture_by_address_is_not_fetched():
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": []}]}
    source = {"type": "url", "url": "https://example.com/cat.png"}
    body["messages"][0]["content"] = [{"type": "image", "source": source}]
    with Loopback() as server:
        assert post(server, "/v1/messages", json.dumps(body).encode())[0] == 200
        (picture,) = server.requests[0].pictures
    assert (picture.url, picture.data, encoded(picture.data)) == ("https://example.com/cat.png", b"", "")
