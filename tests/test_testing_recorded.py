"""Real replies and errors, recorded by others, are played back and understood by the real SDKs."""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import urlsplit

import pytest
from loopback_clients import FIXTURES, described, sdk_clients  # noqa: F401

from xaiaug.testing import Error, Loopback, Reply
from xaiaug.testing.fake_services.openapi import ApiDescriptions, make_validator

PATHS = {"/v1/messages": "messages", "/v1/responses": "responses", "/v1/chat/completions": "chat"}
# The service has come to compare an image with its declared type since these requests were recorded.
SINCE_REFUSED = {"openinference__test_instrumentor__test_anthropic_instrumentation_image_input_messages"}


def recorded() -> list:
    """(protocol, path, request body, status, reply body) of every call that does not stream."""
    yaml = pytest.importorskip("yaml")
    found = []
    for file in sorted((FIXTURES / "recorded").glob("*.yaml")):
        parsed = yaml.load(file.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for number, call in enumerate(parsed["interactions"]):
            address = urlsplit(call["request"]["uri"])
            # Azure's addresses name the deployment before the same path.
            path = f"/v1{address.path[address.path.find('/chat/') :]}" if "azure" in address.netloc else address.path
            if path not in PATHS or "event-stream" in str(call["response"]["headers"]):
                continue
            body = _body(call["response"])
            if body:
                full = f"{path}?{address.query}" if address.query == "beta=true" else path
                status = call["response"]["status"]["code"]
                values = (PATHS[path], full, json.loads(_body(call["request"])), status, body)
                found.append(pytest.param(*values, id=f"{file.stem}-{number}"))
    return found


def _body(half: dict) -> str:
    body = half.get("parsed_body") or half.get("body")
    body = body["string"] if isinstance(body, dict) and set(body) == {"string"} else body
    if isinstance(body, dict):
        return json.dumps(body)
    return body.decode() if isinstance(body, bytes) else body


ABSENT = pytest.param(*[None] * 5, marks=pytest.mark.skip("the recorded calls are not beside this checkout"))
CALLS = recorded() if FIXTURES.is_dir() else [ABSENT]
EVERY = pytest.mark.parametrize(("protocol", "path", "asked", "status", "body"), CALLS)


def test_the_recorded_calls_are_of_every_kind():
    if CALLS == [ABSENT]:
        pytest.skip("the recorded calls are not beside this checkout")
    kinds = {(call.values[0], call.values[3]) for call in CALLS}
    assert {("messages", 200), ("messages", 404), ("responses", 200), ("responses", 400)} <= kinds
    assert {("chat", 200), ("chat", 400), ("chat", 401), ("chat", 404)} <= kinds


@EVERY
def test_the_sdk_reads_it_as_it_read_the_service(clients, protocol, path, asked, status, body):
    with Loopback(Reply.recorded(body, status), prices=(1, 1)) as server:
        if status >= 400:
            with pytest.raises(clients.modules[protocol].APIStatusError) as caught:
                clients.ask(protocol, server)
            assert caught.value.status_code == status
            assert json.loads(body)["error"]["message"] in str(caught.value.body)
            assert server.bill.requests == 0
        else:
            heard = clients.ask(protocol, server)
            assert heard.raw.id == json.loads(body)["id"]
            assert heard.stop
            assert (server.bill.input_tokens, server.bill.output_tokens) == heard.usage


@EVERY
def test_what_the_service_took_fits_its_description_and_this_server(protocol, path, asked, status, body, request):
    checked = ApiDescriptions(described())
    service = "anthropic" if protocol == "messages" else "openai"
    assert checked.find_error(service, path, asked) is None
    if request.node.callspec.id.rpartition("-")[0] in SINCE_REFUSED:
        return
    with Loopback() as server:
        from test_testing_loopback import post

        got, _ = post(server, path, json.dumps(asked).encode())
        assert (got, server.violations) == (200, [])


SHAPES = {
    "messages": ("anthropic_tryAGI_openapi.yaml", "Message", "ErrorResponse"),
    "responses": ("openai_openapi.yaml", "Response", "ErrorResponse"),
    "chat": ("openai_openapi.yaml", "CreateChatCompletionResponse", "ErrorResponse"),
}


@cache
def shape(protocol: str, which: int):
    names = SHAPES[protocol]
    return make_validator(described() / names[0], {"$ref": f"#/components/schemas/{names[which]}"})


@pytest.mark.parametrize("protocol", SHAPES)
@pytest.mark.parametrize(
    "reply",
    [Reply(), Reply.truncated(), Reply.empty(), Reply.refusal(), Reply("a", thinking="b"), Reply("a", stop="filter")],
    ids=["plain", "truncated", "empty", "refusal", "thinking", "filter"],
)
def test_our_replies_fit_the_description_of_the_service(protocol, reply):
    _check(protocol, reply, 1)


@pytest.mark.parametrize("protocol", SHAPES)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500, 504, 529])
def test_our_errors_fit_the_description_of_the_service(protocol, status):
    _check(protocol, Error(status), 2)
    _check(protocol, Error.out_of_credit(), 2)


def _check(protocol: str, step: Reply | Error, which: int) -> None:
    from test_testing_loopback import post

    bodies = {
        "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
        "responses": {"model": "m", "input": "hello"},
        "chat": {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    }
    path = next(path for path, name in PATHS.items() if name == protocol)
    with Loopback(step) as server:
        _, reply = post(server, path, json.dumps(bodies[protocol]).encode())
    assert [error.message for error in shape(protocol, which).iter_errors(reply)] == []
