"""A run killed at any instant and resumed ends equal to an untroubled one, and pays for nothing twice but in flight."""

import json
import os
import random
import signal
import time

import pytest
from fakes import paint_folder
from nursery import Nursery

from xaiaug.errors import RunFolderError
from xaiaug.records import PICO
from xaiaug.results.maintenance import verify
from xaiaug.store import CallLedger, Reader
from xaiaug.store.schema import BEGUN
from xaiaug.testing import Delay, Loopback, Reply

OPTIONS = {"seeds": [0, 1], "images": 1}
KILLS, MANY_KILLS, MANY_IMAGE_KILLS = 5, 320, 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 20, "guide": 40, "validation": 6, "test": 30})


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A folder with a handful of mistakes, for runs whose every image is a call."""
    return paint_folder(tmp_path_factory.mktemp("few"), {"train": 12, "guide": 20, "validation": 4, "test": 6})


@pytest.fixture
def hosted(monkeypatch):
    """What a run with hosted images imports; its server is on this machine, and no proxy stands before it."""
    pytest.importorskip("openai")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    return ("openai.resources", "genai_prices.data_snapshot", "xaiaug.plugins.synthesizers.openai_images")


def told(run_dir):
    report = json.loads((run_dir / "report.json").read_text())
    run = report.pop("run")
    return report, run["costs"]


def duration(run_dir):
    return json.loads((run_dir / "report.json").read_text())["run"]["duration_s"]


def spending(run_dir):
    reader = Reader(run_dir)
    try:
        return CallLedger(reader.ledger, reader.blobs).spending()
    finally:
        reader.close()


def answer(request):
    return Delay(0.004, Reply(f"because of {request.text.split(':')[0][:12]}"))


def kill_again_and_again(folder, tmp_path, kills, seed, modules=(), **options):
    """Kills runs at random instants until each ends; checks them, and returns the stages they were killed in."""
    rng = random.Random(seed)
    stages, left, number = set(), kills, 0
    options = {**OPTIONS, **options}
    with Nursery(*modules) as nursery, Loopback(answer) as server:
        started = time.monotonic()
        nursery.start(folder, tmp_path / "untroubled", url=server.url, **options)
        assert nursery.ended() == 0
        took = time.monotonic() - started
        expected, costs = told(tmp_path / "untroubled")
        assert costs["calls"] == server.bill.requests >= len(expected["cases"])
        assert options.get("paint", True) == (costs["calls"] == len(expected["cases"]))
        assert round(server.bill.usd * PICO) == spending(tmp_path / "untroubled").settled
        while left:
            number, run_dir = number + 1, tmp_path / f"killed-{number}"
            before, deaths, status = server.bill + server.lost, 0, None
            while status != 0:
                pid = nursery.start(folder, run_dir, url=server.url, **options)
                if left:
                    time.sleep(rng.uniform(0, took))
                    os.kill(pid, signal.SIGKILL)
                status = nursery.ended()
                assert status in (0, -signal.SIGKILL)
                if status:
                    left, deaths = left - 1, deaths + 1
                    stages.add(stage_of(run_dir))
            time.sleep(0.05)  # the server learns late that a client has gone
            check(run_dir, expected, costs["calls"], server.bill + server.lost - before, deaths)
            took = min(took, duration(run_dir)) if not deaths else took  # the machine may be less busy now
    return stages


def check(run_dir, expected, calls, bill, deaths):
    spent = spending(run_dir)
    report, costs = told(run_dir)
    assert report == expected
    assert verify(run_dir) == []
    assert spent.replies == costs["calls"] == calls
    assert spent.settled <= round(bill.usd * PICO) <= spent.settled + spent.open
    assert bill.requests - calls <= spent.unanswered <= 64 * deaths


def stage_of(run_dir):
    """The stage that was begun last."""
    try:
        reader = Reader(run_dir)
    except RunFolderError:
        return "before the ledger"
    begun = reader.get_fact(BEGUN) or ["check"]
    reader.close()
    return begun[-1].split("/")[0]


@pytest.mark.ci  # runs the loop several times
def test_killed_runs_end_equal_to_an_untroubled_one_and_pay_twice_only_what_was_in_flight(folder, tmp_path):
    stages = kill_again_and_again(folder, tmp_path, KILLS, seed=0)
    assert len(stages) >= 2


@pytest.mark.slow  # imports an SDK and runs the loop several times
def test_a_run_whose_images_are_paid_is_killed_and_pays_twice_only_what_was_in_flight(few, tmp_path, hosted):
    kill_again_and_again(few, tmp_path, 2, seed=5, modules=hosted, paint=False, seeds=[0])


@pytest.mark.slow
def test_many_more_kills_of_runs_whose_images_are_paid(few, tmp_path, hosted):
    stages = kill_again_and_again(few, tmp_path, MANY_IMAGE_KILLS, seed=6, modules=hosted, paint=False, seeds=[0])
    print(f"killed {MANY_IMAGE_KILLS} times, in: {', '.join(sorted(map(str, stages)))}")  # noqa: T201


@pytest.mark.slow  # the fakes show the law in every stage; this one shows that a real trainer keeps it too
def test_a_real_model_killed_in_its_training_ends_equal_too(folder, tmp_path, tiny_vit):
    modules = ("xaiaug.plugins.classifiers._trainer", "xaiaug.plugins.explainers.attention_rollout")
    kill_again_and_again(folder, tmp_path, 2, seed=3, modules=modules, checkpoint=str(tiny_vit))


@pytest.mark.slow
def test_many_more_kills_in_every_stage(folder, tmp_path):
    stages = kill_again_and_again(folder, tmp_path, MANY_KILLS, seed=1)
    print(f"killed {MANY_KILLS} times, in: {', '.join(sorted(map(str, stages)))}")  # noqa: T201
