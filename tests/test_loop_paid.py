"""Paid critics in a loop: one budget for the whole run, a clean stop when it is spent, and nothing paid twice."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import ColourCritic, NearestColour, Posting, paint_folder
from nursery import PRICES, loop, run

from xaiaug import Splits, open_run
from xaiaug.errors import (
    BudgetSpentError,
    CallsPausedError,
    CallsRefusedError,
    ConfigError,
    RunFolderError,
    UnknownPriceError,
)
from xaiaug.loop.session import COUNT_REBUILT, STOPPING
from xaiaug.results.maintenance import status, verify
from xaiaug.store.status_file import read_paid_count
from xaiaug.testing import Delay, Error, Loopback, Reply


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 60, "validation": 4, "test": 8})


def test_a_remote_critic_is_paid_and_the_report_says_how_much(folder, tmp_path):
    with Loopback(Reply("because", usage=(50, 20))) as server:
        result = run(folder, tmp_path / "run", url=server.url)
        costs = result.report.run.costs
        assert costs.calls == len(result.mistakes) == server.bill.requests > 8
        assert costs.usd == pytest.approx(float(server.bill.usd))
        assert costs.usd > 0
        assert costs.price_date and not costs.unanswered
        assert all(case.critique.cause == "because" for case in result.mistakes)
        again = run(folder, tmp_path / "run", url=server.url)
        assert server.bill.requests == costs.calls, "a finished run does no paid call"
    assert again.report.run.costs == costs
    assert f"{costs.calls} calls" in result.report_path.read_text()
    assert status(tmp_path / "run")["costs"]["calls"] == costs.calls


def test_a_lost_ledger_is_refused_before_a_call_is_paid_again_and_a_lost_count_is_told(folder, tmp_path):
    told = []
    with Loopback(Reply("because", usage=(50, 20))) as server:
        splits, one = Splits.from_folder(folder), loop(url=server.url)
        one.run(splits, tmp_path / "run", until="critique")
        paid = server.bill.requests
        (tmp_path / "run" / "status.json").unlink()
        one.run(splits, tmp_path / "run", until="critique", watch=lambda progress: told.append(progress.note))
        assert told.count(COUNT_REBUILT) == 1
        assert read_paid_count(tmp_path / "run").answered == paid > 8
        with sqlite3.connect(tmp_path / "begun.sqlite") as connection:
            connection.execute("PRAGMA user_version = 0")  # what a kill at the very start leaves: no table yet
        connection.close()
        (tmp_path / "begun").mkdir()
        shutil.copy(tmp_path / "begun.sqlite", tmp_path / "begun" / "ledger.sqlite")
        assert one.plan(splits, tmp_path / "begun", until="critique").paid_usd == 0
        (tmp_path / "run" / "ledger.sqlite").unlink()
        for command in (one.plan, one.run):
            with pytest.raises(RunFolderError, match=f"is lost, but calls of this run were paid: .* {paid} replies"):
                command(splits, tmp_path / "run", until="critique")
        assert server.bill.requests == paid


def test_calls_are_in_flight_at_once_and_kept_in_the_order_of_the_mistakes(folder, tmp_path):
    with Loopback(lambda request: Delay((request.number % 5) / 50, Reply(request.text))) as server:
        result = run(folder, tmp_path / "run", url=server.url)
    assert [case.critique.cause.split(":")[0] for case in result.mistakes] == [case.id for case in result.mistakes]


def test_a_spent_budget_stops_the_run_cleanly_and_more_money_goes_on(folder, tmp_path):
    with Loopback(Reply("because", usage=(50, 20))) as server:
        with pytest.raises(BudgetSpentError, match="raise budget_usd"):
            run(folder, tmp_path / "run", url=server.url, budget_usd=0.005)
        paid = server.bill
        assert 0 < float(paid.usd) <= 0.005
        partly = open_run(tmp_path / "run")
        page = partly.report_path.read_text()
        assert not partly.report.complete and not partly.report.arms
        assert any("not finished" in note.text for note in partly.report.notes) and "not finished" in page
        assert f"{paid.requests} of {len(partly.mistakes)} mistakes have been shown to the critic" in page
        assert verify(tmp_path / "run") == []
        whole = run(folder, tmp_path / "run", url=server.url)
        assert server.bill.requests == len(whole.mistakes), "what was paid for is not paid for again"
    assert whole.report.complete and whole.report.arms


def test_a_service_that_refuses_or_wants_a_long_wait_stops_the_run_cleanly(folder, tmp_path):
    with Loopback([Error(401)]) as server, pytest.raises(CallsRefusedError, match="API key"):
        run(folder, tmp_path / "refused", url=server.url)
    with Loopback([Error.rate_limit(retry_after=7200)]) as server, pytest.raises(CallsPausedError, match="120 minutes"):
        run(folder, tmp_path / "paused", url=server.url)


def test_an_item_that_the_service_never_takes_costs_only_itself(folder, tmp_path):
    def script(request):
        return Error(400, "not this picture") if request.number == 3 else Reply("because")

    with Loopback(script) as server:
        result = run(folder, tmp_path / "run", url=server.url)
    (failed,) = [case for case in result.mistakes if case.failures]
    assert "not this picture" in failed.failures[0].message
    assert result.report.complete


def test_without_a_budget_or_a_price_nothing_is_called(folder, tmp_path):
    with Loopback() as server:
        with pytest.raises(ConfigError, match="budget_usd"):
            run(folder, tmp_path / "one", url=server.url, budget_usd=None)
        with pytest.raises(UnknownPriceError, match="the price of 'another' is not known"):
            run(folder, tmp_path / "two", url=server.url, critic=Posting(server.url, "another"))
        assert server.requests == []


def test_a_wrong_price_is_refused_before_anything_is_done():
    with pytest.raises(ConfigError, match="above 0"):
        from xaiaug import FeedbackLoop

        FeedbackLoop(NearestColour(), settings={"budget": {"prices": {"m": {"input_usd_per_mtok": 0}}}})


class Broken(ColourCritic):
    """Raises on every case."""

    remote = True

    def critique(self, cases):
        raise ValueError("broken")


def test_a_broken_remote_critic_is_named(folder, tmp_path):
    from xaiaug.errors import PluginError

    with pytest.raises(PluginError, match=r"Broken\.critique raised on all"):
        run(folder, tmp_path / "run", url="http://127.0.0.1:9", critic=Broken())


CODE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from nursery import run
import xaiaug.cli.app as app
def go():
    print("go", flush=True)
    run(sys.argv[2], sys.argv[3], url=sys.argv[4])
app.app = go
app.main()
"""


def start(folder, run_dir, url):
    command = [sys.executable, "-c", CODE, str(Path(__file__).parent), str(folder), str(run_dir), url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(server, requests):
    until = time.monotonic() + 60
    while len(server.requests) < requests and time.monotonic() < until:
        time.sleep(0.02)


def test_a_first_signal_lets_calls_in_flight_end_and_a_second_does_not(folder, tmp_path):
    with Loopback([Reply("because")] * 5 + [Delay(1.0, Reply("because"))]) as server:
        process = start(folder, tmp_path / "run", server.url)
        wait_for(server, 6)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130 and "rerun the same command to resume" in err and "Traceback" not in err
        costs = open_run(tmp_path / "run").report.run.costs
        assert costs.calls == server.bill.requests and costs.unanswered == 0
    with Loopback([Reply("because")] * 5 + [Delay(3600)]) as server:
        process = start(folder, tmp_path / "second", server.url)
        wait_for(server, 6)
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline().strip() == STOPPING
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130 and "Traceback" not in err
        costs = status(tmp_path / "second")["costs"]
        assert costs["unanswered"] >= 1 and costs["unknown_usd"] > 0


def test_no_key_reaches_a_file(folder, tmp_path, monkeypatch):
    assert json.dumps(PRICES)  # the fakes' own key is "any"; the environment's must not be kept either
    canary = "sk-canary-0123456789"
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, canary)
    with Loopback(Reply("because")) as server:
        run(folder, tmp_path / "r", url=server.url)
    assert not [p for p in (tmp_path / "r").rglob("*") if p.is_file() and canary.encode() in p.read_bytes()]
    assert loop(server.url)
