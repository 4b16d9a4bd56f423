"""Critics of providers by name: their address, key, price and habits, and the paper's dialogue to the letter."""

from __future__ import annotations

import pytest
from critic_cases import ANALYSIS, ANSWER, CANARY, LABELS, PROMPT, case, sensible
from fakes import NearestColour
from loopback_clients import described

from xaiaug import FeedbackLoop, load
from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.credentials.hosts import is_provider
from xaiaug.errors import ConfigError, UnknownPriceError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics._by_name import make_critic
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.records import Critique
from xaiaug.testing import Loopback, Reply
from xaiaug.testing.loopback import OPENAI_LIKE

NAMES = ("gemini", "openrouter", "azure", "ollama", "vllm", "lmstudio")
AZURE = {"base_url": "https://me.openai.azure.com/openai/v1"}


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    pytest.importorskip("openai")
    for name in ("GEMINI_API_KEY", "OPENROUTER_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.setenv(name, CANARY)
    addresses = [f"{name}_BASE_URL" for name in OPENAI_LIKE]
    for name in ("OPENAI_API_KEY", "GOOGLE_API_KEY", *addresses):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_has_its_address_and_key_and_a_server_on_this_machine_needs_none(name):
    made = make_critic({"name": name, "model": "m", **(AZURE if name == "azure" else {})})
    made.check()
    remote = name in ("gemini", "openrouter", "azure")
    assert is_provider(made._address()) == remote == bool(made._find_key())
    assert made.estimate(1).receiver == {"gemini": "generativelanguage.googleapis.com"}.get(name, made._receiver())
    assert made.default_prices == ({} if remote else {"m": {"local": True}})


@pytest.mark.parametrize("name", NAMES)
def test_each_speaks_chat_with_the_names_that_its_provider_takes(name):
    with Loopback(sensible, descriptions=described()) as server:
        made = make_critic({"name": name, "model": "m", "base_url": f"{server.url}/v1"})
        made.prepare(
            Context(labels=LABELS, paid=Calls(MemoryLedger(), budget_usd=None, prices=Prices({"m": {"local": True}})))
        )
        (critique,) = made.critique([case()])
    assert critique.prompt == PROMPT and server.violations == []
    (request,) = server.requests
    assert request.protocol == "chat" and ("max_completion_tokens" in request.body) == (name == "azure")


def test_what_is_missing_is_told_before_anything_is_sent():
    with pytest.raises(ConfigError, match="azure: set base_url to your resource"):
        make_critic({"name": "azure", "model": "m"}).check()
    with pytest.raises(ConfigError, match="vllm: set model"):
        make_critic({"name": "vllm"}).check()
    with pytest.raises(UnknownPriceError, match="input_usd_per_mtok"):
        critic = load("critic", "openrouter", model="nobody/knows", budget_usd=1.0)
        critic.critique([case()])


def test_a_local_server_is_free_in_a_run_and_any_provider_can_be_second(monkeypatch):
    tables = {"critic": {"model": "qwen"}, "privacy": {"allow_upload": True}}
    loop = FeedbackLoop(NearestColour(), critic="ollama", settings=tables)
    assert loop.prices.of("qwen").free
    second = {"critic": {"second": {"name": "lmstudio", "model": "at-home"}}, "privacy": {"allow_upload": True}}
    assert FeedbackLoop(NearestColour(), critic="gemini", settings=second).prices.of("at-home").free
    stated = {**tables, "budget": {"prices": {"qwen": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}}}}
    assert not FeedbackLoop(NearestColour(), critic="ollama", settings=stated).prices.of("qwen").free, (
        "the user's word wins"
    )


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_the_detail_of_pictures_is_sent_and_part_of_the_key_where_it_is_set(api):
    with Loopback(sensible, descriptions=described()) as server:
        for detail in ("auto", "low"):
            made = make_critic(
                {"name": "openai", "model": "m", "base_url": f"{server.url}/v1", "api": api, "detail": detail}
            )
            made.prepare(
                Context(
                    labels=LABELS, paid=Calls(MemoryLedger(), budget_usd=None, prices=Prices({"m": {"local": True}}))
                )
            )
            assert isinstance(made.critique([case()])[0], Critique)
    assert server.violations == []
    first, second = (str(request.body) for request in server.requests)
    assert "'detail': 'low'" not in first and "'detail': 'low'" in second


def test_a_system_text_is_marked_for_the_cache_of_the_service_where_that_is_set():
    pytest.importorskip("anthropic")
    with Loopback(sensible, descriptions=described()) as server:
        made = ClaudeCritic(base_url=server.url, cache_system=True)
        calls = Calls(MemoryLedger(), budget_usd=1.0)
        made.prepare(Context(labels=LABELS, paid=calls))
        assert isinstance(made.critique([case()])[0], Critique)
    assert server.violations == []
    (block,) = server.requests[0].body["system"]
    assert block["cache_control"] == {"type": "ephemeral"}


@pytest.mark.filterwarnings("ignore:The model .claude-3-sonnet:DeprecationWarning")
def test_the_dialogue_of_the_paper_is_sent_as_the_paper_has_it_and_priced_for_its_model():
    """Claude 3 Sonnet, one chat of two turns, no system text, and each demand of both prompts."""
    pytest.importorskip("anthropic")
    answers = [Reply(ANALYSIS), Reply(f"Here is the prompt:\n\n{PROMPT}")]
    with Loopback(answers, descriptions=described()) as server:
        made = ClaudeCritic("claude-3-sonnet-20240229", base_url=server.url, dialogue="paper", domain="cats and dogs")
        calls = Calls(MemoryLedger(), budget_usd=1.0)
        made.prepare(Context(labels=LABELS, paid=calls))
        (critique,) = made.critique([case()])
    assert server.violations == [] and isinstance(critique, Critique), critique
    assert (critique.prompt, critique.cause) == (PROMPT, ANALYSIS)
    (price,) = calls.summary()["prices"]
    assert (price["usd_per_mtok"]["input"], price["usd_per_mtok"]["output"]) == (["3"], ["15"])
    first, second = (request.body for request in server.requests)
    assert all("system" not in body and body["model"] == "claude-3-sonnet-20240229" for body in (first, second))
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][:1] == first["messages"] and second["messages"][1]["content"][0]["text"] == ANALYSIS
    image, words = first["messages"][0]["content"]
    assert image["type"] == "image"
    asked = (
        "the classifier's heatmap|a classifier of cats and dogs|took it for a dog|colour|build|hard|exactly",
        "as cat|SDXL|at most 100 words|single image|challenges|colour|the prompt alone",
    )
    told = (words["text"], second["messages"][2]["content"][0]["text"])
    for demands, text in zip(asked, told, strict=True):
        assert [demand for demand in demands.split("|") if demand not in text] == []
    assert ANSWER["cause"] not in told[0]
