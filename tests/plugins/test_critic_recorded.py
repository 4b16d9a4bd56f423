"""Every recorded reply and error of the services goes through our critics, and none of them is a fault."""

from __future__ import annotations

import json
import random

import pytest
from critic_cases import LABELS, case
from loopback_clients import FIXTURES
from test_testing_recorded import EVERY

from xaiaug.calls import Calls, MemoryLedger
from xaiaug.errors import CallsRefusedError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.plugins.critics.openai import OpenAICritic
from xaiaug.records import Failure
from xaiaug.testing import Loopback, Reply


@EVERY
@pytest.mark.parametrize("dialogue", ["structured", "paper"])
def test_it_ends_in_a_failure_with_a_reason_and_its_bill_is_kept(  # noqa: PLR0917
    monkeypatch, protocol, path, asked, status, body, dialogue
):
    pytest.importorskip("anthropic" if protocol == "messages" else "openai")
    calls = Calls(MemoryLedger(), budget_usd=1.0, jitter=random.Random(0))
    with Loopback(Reply.recorded(body, status)) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        critic = (
            ClaudeCritic(dialogue=dialogue) if protocol == "messages" else OpenAICritic(dialogue=dialogue, api=protocol)
        )
        critic.prepare(Context(labels=LABELS, paid=calls))
        try:
            (made,) = critic.critique([case()])
        except CallsRefusedError as error:
            assert status in (401, 404) or "model_not_found" in body
            assert json.loads(body)["error"]["message"][:24] in str(error)
            return
    assert isinstance(made, Failure) and made.message
    assert status == 200 or made.kind in ("call failed", "refusal")
    summary, bill = calls.summary(), server.bill
    assert summary["calls"] == bill.requests == (0 if status >= 400 else summary["calls"])
    if status == 200:
        expected = "refusal" if '"refusal":"' in body.replace(" ", "") or _reason(body) == "content_filter" else None
        assert expected is None or made.kind == "refusal"
        dollars = bill.input_tokens * 0.1e-6 + bill.output_tokens * 0.5e-6
        assert summary["settled_usd"] <= dollars + 1e-12, "cached tokens cost less, and nothing costs more"
        assert summary["settled_usd"] > 0.2 * dollars


def _reason(body: str) -> str | None:
    choices = json.loads(body).get("choices") or [{}]
    return choices[0].get("finish_reason")


class Still(random.Random):
    """No jitter: what is tried again is tried at once."""

    def uniform(self, a, b):
        return 0.0


SHAPES = FIXTURES / "observed_error_shapes.json"
OBSERVED = json.loads(SHAPES.read_text("utf-8"))["shapes"] if SHAPES.is_file() else []


@pytest.mark.parametrize("mode", ["live", "batch"])
@pytest.mark.parametrize("shape", [one for one in OBSERVED if "body" in one], ids=lambda shape: f"{shape['status']}")
def test_an_error_that_others_met_fails_one_item_or_says_what_to_do_and_owes_nothing(monkeypatch, shape, mode):
    pytest.importorskip("anthropic")
    calls = Calls(MemoryLedger(), budget_usd=1.0, jitter=Still())
    with Loopback(Reply.recorded(shape["body"], shape["status"])) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        critic = ClaudeCritic(mode=mode)
        critic.prepare(Context(labels=LABELS, paid=calls))
        try:
            (made,) = critic.critique([case()])
            told = made.message
            assert isinstance(made, Failure) and made.kind == "call failed"
        except CallsRefusedError as error:
            told = str(error)
    assert shape["body"]["error"]["message"][:40] in told
    assert calls.summary()["settled_usd"] == calls.summary()["unknown_usd"] == 0
    passing = shape["status"] in (429, 500, 529)
    assert len(server.requests) == ((10 if mode == "live" else 5) if passing else 1)


@pytest.mark.parametrize("shape", [one for one in OBSERVED if "body_fragment" in one])
def test_a_refusal_that_others_met_is_one_with_its_category(monkeypatch, shape):
    pytest.importorskip("anthropic")
    message = {"type": "message", "usage": {"input_tokens": 9, "output_tokens": 1}, **shape["body_fragment"]}
    with Loopback(Reply.recorded(message)) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        critic = ClaudeCritic()
        critic.prepare(Context(labels=LABELS, paid=Calls(MemoryLedger(), budget_usd=1.0)))
        (made,) = critic.critique([case()])
    assert made.kind == "refusal" and f"category: {shape['body_fragment']['stop_details']['category']}" in made.message
