"""Our paid critics in a whole run: kept, resumed, replayed, and without a trace of the key."""

from __future__ import annotations

import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from critic_cases import ANSWER, CANARY, sensible
from fakes import NearestColour, Painter, Ramp, paint_folder

from xaiaug import FeedbackLoop, Recipe, Splits, load, open_run
from xaiaug.calls import Prices
from xaiaug.errors import CallsFailingError, ConfigError, OfflineError, RunFolderError, UnknownPriceError
from xaiaug.plugins.critics import _conversation
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.records import PICO
from xaiaug.results.maintenance import verify
from xaiaug.store import CallLedger, Reader
from xaiaug.testing import Error, Loopback, Reply

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")


@pytest.fixture(scope="module", autouse=True)
def _sdks():
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    counts = {"train": 10, "guide": 36, "validation": 4, "test": 8}
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), counts))


def told(request):
    """An answer that keeps to the class the request tells, and says which picture it was about."""
    (label,) = re.findall(r"The true class is “(\w+)”", request.text)[:1]
    about = request.pictures[0].base64[-40:-20]
    return Reply(json={**ANSWER, "cause": f"picture {about}", "prompt": f"a wall painted {label}"})


def loop(critic="claude", *, budget_usd=1.0, **parameters):
    tables = {"privacy": {"allow_upload": True}, "critic": parameters, "mistakes": {"max": 8}}
    recipe = Recipe(steps=4, batch_size=8)
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        critic,
        Painter(),
        recipe=recipe,
        images_per_mistake=1,
        budget_usd=budget_usd,
        settings=tables,
    )


@pytest.fixture
def at(monkeypatch):
    """Points the SDKs at a server, with a key that must be found nowhere."""

    def point(server):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        for name in KEYS:
            monkeypatch.setenv(name, CANARY)

    return point


@pytest.fixture
def away(monkeypatch):
    """No key and no server."""

    def leave():
        for name in (*KEYS, "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"):
            monkeypatch.delenv(name, raising=False)

    return leave


@pytest.mark.parametrize("critic", ["claude", "openai", "gpt-4v"])
def test_a_run_pays_once_a_mistake_and_a_finished_one_needs_no_key(splits, tmp_path, at, away, critic):
    with Loopback(told) as server:
        at(server)
        result = loop(critic).run(splits, tmp_path / "run")
        assert server.bill.requests == len(result.mistakes) == result.report.run.costs.calls == 8
    assert server.requests[0].protocol == ("messages" if critic == "claude" else "responses")
    assert {case.critique.prompt for case in result.mistakes} == {"a wall painted red", "a wall painted blue"}
    assert all(case.panel for case in result.report.cases)
    away()
    again = loop(critic, budget_usd=None).run(splits, tmp_path / "run")
    assert again.report.run.costs == result.report.run.costs and verify(tmp_path / "run") == []
    with pytest.raises(ConfigError, match="set budget_usd"):
        loop(critic, budget_usd=None, domain="walls").run(splits, tmp_path / "run")


def test_a_missing_key_is_told_before_anything_is_trained(splits, tmp_path, away):
    away()
    steps = []
    with pytest.raises(ConfigError, match="set the environment variable ANTHROPIC_API_KEY"):
        loop().run(splits, tmp_path / "run", watch=steps.append)
    assert steps == []
    loop().run(splits, tmp_path / "run", until="mistakes")


def test_images_leave_only_with_permission(away):
    away()
    with pytest.raises(OfflineError, match="allow_upload"):
        FeedbackLoop(NearestColour(), critic="claude")


def test_a_new_parser_reads_the_recorded_replies_at_no_cost(splits, tmp_path, at, monkeypatch):
    with Loopback(told) as server:
        at(server)
        loop().run(splits, tmp_path / "run", until="critique")
        paid = server.bill.requests
        monkeypatch.setattr(ClaudeCritic, "version", "new parser")
        monkeypatch.setattr(_conversation, "CAUSE", 12)
        result = loop().run(splits, tmp_path / "run", until="critique")
        assert server.bill.requests == paid
    assert all(len(case.critique.prompt) > 12 for case in result.mistakes)


def test_what_does_not_change_a_critique_is_in_no_key():
    one, other = ClaudeCritic(budget_usd=1, timeout_s=5), ClaudeCritic(budget_usd=2, prices={"m": {"local": True}})
    assert one.identity() == other.identity() != ClaudeCritic(model="claude-sonnet-5-5").identity()


@pytest.mark.parametrize("parameters", [{}, {"dialogue": "paper", "layout": "overlay", "side": 400}])
def test_replay_repeats_a_run_without_key_or_network(splits, tmp_path, at, away, parameters):
    def script(request):
        if request.schema is not None:
            return told(request)
        return Reply("It looked at the wall." if request.turn == 1 else "a wall painted red and a wall painted blue")

    with Loopback(script) as server:
        at(server)
        first = loop(**parameters).run(splits, tmp_path / "first")
    away()
    second = loop("replay", run=str(tmp_path / "first"), budget_usd=None).run(splits, tmp_path / "second")
    third = loop("replay", run=str(tmp_path / "second"), budget_usd=None).run(splits, tmp_path / "third", "critique")
    for run in (second, third):
        assert [case.critique for case in run.mistakes] == [case.critique for case in first.mistakes]
        assert [case.failures for case in run.mistakes] == [case.failures for case in first.mistakes]
    assert second.report.run.costs.calls == 0
    assert [case.panel for case in second.report.cases] == [case.panel for case in first.report.cases]


def test_replay_reads_with_the_present_prompt_check(splits, tmp_path, at, away, monkeypatch):
    with Loopback(lambda request: Reply(json={**ANSWER, "prompt": "a wall"})) as server:
        at(server)
        first = loop().run(splits, tmp_path / "first", until="critique")
        assert all(case.failures[0].kind == "bad prompt" for case in first.report.cases)
    away()
    monkeypatch.setattr(_conversation.PromptCheck, "__call__", lambda self, prompt, label: prompt)
    again = loop("replay", run=str(tmp_path / "first")).run(splits, tmp_path / "second", until="critique")
    assert {case.critique.prompt for case in again.mistakes} == {"a wall"}


def test_replay_finds_a_reply_although_the_panel_was_drawn_a_little_differently(
    splits, tmp_path, at, away, monkeypatch
):
    with Loopback(told) as server:
        at(server)
        first = loop().run(splits, tmp_path / "first", until="critique")
    away()
    from xaiaug.panel import compose

    monkeypatch.setattr(compose, "_INK", (30, 25, 25))
    again = loop("replay", run=str(tmp_path / "first")).run(splits, tmp_path / "second", until="critique")
    assert [case.critique for case in again.mistakes] == [case.critique for case in first.mistakes]


def test_replay_repeats_the_rows_of_a_critic_that_paid_nothing(splits, tmp_path):
    from fakes import ColourCritic

    first = loop(ColourCritic()).run(splits, tmp_path / "first", until="critique")
    again = loop("replay", run=str(tmp_path / "first")).run(splits, tmp_path / "second", until="critique")
    assert [case.critique for case in again.mistakes] == [case.critique for case in first.mistakes]


def test_replay_says_what_is_not_there(splits, tmp_path, at):
    with pytest.raises(RunFolderError, match="there is no run in"):
        loop("replay", run=str(tmp_path / "nothing")).run(splits, tmp_path / "run")
    with Loopback(told) as server:
        at(server)
        loop().run(splits, tmp_path / "first", until="critique")
    from critic_cases import case

    (made,) = load("critic", "replay", run=str(tmp_path / "first")).critique([case()])
    assert "no reply to this question" in made.message and made.kind == "call failed"


def test_the_key_is_in_no_file_log_or_report(splits, tmp_path, at, caplog):
    """Not even where the service sends it back in an error or a reply."""
    caplog.set_level("DEBUG")

    def script(request):
        if request.number % 10 == 2:
            return Error(400, f"invalid: {CANARY}")
        if request.number % 10 == 3:
            return Reply(json={**told(request).json, "cause": CANARY})
        return told(request)

    with Loopback(script) as server:
        at(server)
        result = loop().run(splits, tmp_path / "run")
    assert any("invalid: [key]" in failure.message for case in result.report.cases for failure in case.failures)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 20 and not [path for path in files if CANARY.encode() in path.read_bytes()]
    assert CANARY not in caplog.text


def test_what_a_model_says_is_escaped_in_the_report(splits, tmp_path, at):
    evil = '<script>alert("x")</script><img src=x onerror=alert(1)>'

    def script(request):
        answer = dict(told(request).json)
        return Reply(json={**answer, "cause": evil, "difficulty": evil, "evidence": [evil]})

    with Loopback(script) as server:
        at(server)
        result = loop().run(splits, tmp_path / "run", until="critique")
    page = result.report_path.read_text()
    assert evil in result.mistakes[0].critique.cause
    assert evil not in page and "onerror=alert(1)>" not in page


CHILD = """
import sys
sys.path[:0] = {paths!r}
from critic_cases import LABELS, case
from xaiaug.calls import Calls
from xaiaug.interfaces import Context
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.store import CallLedger, Store
with Store({folder!r}) as store:
    critic = ClaudeCritic(mode="batch")
    critic.prepare(Context(labels=LABELS, paid=Calls(CallLedger(store.ledger, store.blobs), budget_usd=1.0)))
    made = critic.critique([case(number) for number in range(4)])
    print(len(made), [type(one).__name__ for one in made].count("Critique"))
"""


def test_a_batch_of_a_killed_process_is_attached_to_and_not_sent_again(tmp_path, at, capsys):
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    code = tmp_path / "child.py"
    code.write_text(CHILD.format(paths=paths, folder=str(tmp_path / "run")))
    with Loopback(sensible, batch_polls=2) as server:
        at(server)
        with subprocess.Popen([sys.executable, str(code)]) as child:
            while len(server.requests) < 4 and child.poll() is None:
                time.sleep(0.05)
            child.kill()
        assert child.returncode == -signal.SIGKILL
        runpy.run_path(str(code))  # the same again, in a process that lives
        assert capsys.readouterr().out.split() == ["4", "4"]
        assert len(server.requests) == 4 and server.batch_files == 0
    reader = Reader(tmp_path / "run")
    spending = CallLedger(reader.ledger, reader.blobs).spending()
    reader.close()
    assert (spending.replies, spending.open) == (4, 0)
    assert spending.settled / PICO <= float(server.bill.usd)


@pytest.mark.parametrize("critic", ["claude", "openai"])
def test_a_run_in_batches_is_told_as_live_one_at_half_the_price_and_can_be_replayed(splits, tmp_path, at, away, critic):
    with Loopback(told) as server:
        at(server)
        live = loop(critic).run(splits, tmp_path / "live", until="critique")
        batch = loop(critic, mode="batch").run(splits, tmp_path / "batch", until="critique")
    assert [case.critique for case in batch.mistakes] == [case.critique for case in live.mistakes]
    assert batch.report.run.costs.usd == pytest.approx(live.report.run.costs.usd / 2)
    away()
    again = loop("replay", run=str(tmp_path / "batch")).run(splits, tmp_path / "again", until="critique")
    assert [case.critique for case in again.mistakes] == [case.critique for case in live.mistakes]


def test_a_plan_halves_the_dollars_of_batches_and_names_who_gets_what_the_first_critic_declines(splits, away):
    away()
    live = loop("claude").plan(splits, until="critique")
    batch = loop("claude", mode="batch", second={"name": "openai"}).plan(splits, until="critique")
    assert batch.total.usd == pytest.approx((live.total.usd[0] / 2, live.total.usd[1] / 2))
    first, second = batch.receivers
    assert (first.receiver, second.receiver) == ("api.anthropic.com", "api.openai.com")
    assert second.upload_bytes == (0, first.upload_bytes[1]) and "api.anthropic.com declines" in second.what
    assert {price["model"] for price in batch.prices} == {"claude-haiku-5-5", "gpt-6-luna"}


def test_a_second_critic_that_cannot_be_paid_is_told_before_anything_is_done(splits, tmp_path, away):
    away()
    free = {"at-home": {"local": True}}
    given = {"model": "at-home", "base_url": "http://127.0.0.1:9/v1", "second": {"name": "claude", "model": "no-such"}}
    made = loop("openai", **given)
    made.prices = Prices(free)
    with pytest.raises(UnknownPriceError, match="no-such"):
        made.run(splits, tmp_path / "run", until="critique")
    made = loop("openai", budget_usd=None, **{**given, "second": {"name": "claude"}})
    made.prices = Prices(free)
    with pytest.raises(ConfigError, match="claude-haiku-5-5.*set budget_usd"):
        made.run(splits, tmp_path / "run", until="critique")


def test_failures_that_may_pass_are_asked_again_by_the_same_command_and_refusals_are_not(splits, tmp_path, at):
    broken = {3: Error(400, "not this picture"), 5: Reply.refusal("I would rather not.")}
    seen = []
    with Loopback(lambda request: broken.get(request.number, told(request))) as server:
        at(server)
        first = loop().run(splits, tmp_path / "run", until="critique")
        assert sorted(one.kind for case in first.mistakes for one in case.failures) == ["call failed", "refusal"]
        assert any("Rerun the same command to ask again" in note.text for note in first.report.notes)
        asked = len(server.requests)
        second = loop().run(splits, tmp_path / "run", until="critique", watch=lambda step: seen.append(step.note))
        assert len(server.requests) == asked + 1, "only the case whose call failed is asked about again"
        third = loop().run(splits, tmp_path / "run", until="critique")
        assert len(server.requests) == asked + 1
    assert any("gave no answer for 1 case," in note for note in seen)
    for run in (second, third):
        assert [one.kind for case in run.mistakes for one in case.failures] == ["refusal"]
    assert verify(tmp_path / "run") == []


def test_where_the_critic_answers_nothing_the_run_stops_before_it_trains_and_a_mended_server_is_asked(
    splits, tmp_path, at
):
    down = [Error(400, "Could not read the picture")]
    with Loopback(lambda request: down[0] if down else told(request)) as server:
        at(server)
        with pytest.raises(CallsFailingError, match="no answer on any of the 8 cases.*Could not read the picture"):
            loop().run(splits, tmp_path / "run")
        partly = open_run(tmp_path / "run").report
        assert not partly.complete and not partly.arms
        down.clear()
        whole = loop().run(splits, tmp_path / "run")
    assert whole.report.complete and whole.report.arms and all(case.critique for case in whole.mistakes)


def test_a_finished_run_with_cases_to_ask_about_again_needs_its_key_and_counts_the_second_look_at_test(
    splits, tmp_path, at, away
):
    broken = {3: Error(400, "not this picture")}
    with Loopback(lambda request: broken.get(request.number, told(request))) as server:
        at(server)
        first = loop().run(splits, tmp_path / "run")
        away()
        with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
            loop().run(splits, tmp_path / "run")
        at(server)
        second = loop().run(splits, tmp_path / "run")
    assert (first.report.data.test_seen, second.report.data.test_seen) == (0, 1)
    assert not [one for case in second.mistakes for one in case.failures]
