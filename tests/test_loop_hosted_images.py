"""The whole loop with a key and no GPU: a hosted critic, hosted images, one budget, one bill."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from critic_cases import ANSWER, CANARY
from fakes import NearestColour, Ramp, paint_folder

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.errors import BudgetSpentError, CallsFailingError, OfflineError
from xaiaug.results.maintenance import verify
from xaiaug.testing import Error, Loopback, Reply

pytest.importorskip("openai")
pytestmark = pytest.mark.ci  # a whole run, and the import of an SDK

RATES = {"a-critic": (3, 15), "an-image-model": (3, 3000)}
PRICES = {name: {"input_usd_per_mtok": sent, "output_usd_per_mtok": made} for name, (sent, made) in RATES.items()}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    counts = {"train": 12, "guide": 24, "validation": 4, "test": 8}
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), counts))


def answer(request):
    if request.protocol.startswith("image"):
        return Reply()
    label = re.findall(r"The true class is “(\w+)”", request.text)[0]
    return Reply(json={**ANSWER, "prompt": f"a wall painted {label}"})


def loop(budget_usd=1.0, curation=None, **synthesizer):
    tables = {
        "curation": curation or {},
        "privacy": {"allow_upload": True},
        "critic": {"model": "a-critic"},
        "synthesizer": {"model": "an-image-model", "size": "32x32", "output_tokens": 10, **synthesizer},
        "mistakes": {"max": 6},
        "experiment": {"arms": ["baseline", "generated+training"], "primary": ["generated+training", "baseline"]},
        "budget": {"prices": PRICES},
    }
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        "openai",
        "openai-images",
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=1,
        budget_usd=budget_usd,
        settings=tables,
    )


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_a_run_needs_a_key_and_nothing_else(splits, tmp_path, at):
    with Loopback(answer, prices=RATES) as server:
        at(server)
        plan = loop().plan(splits, tmp_path / "run")
        assert {receiver.kind for receiver in plan.receivers} == {"critic", "synthesizer"}
        result = loop().run(splits, tmp_path / "run")
        costs, bill = result.report.run.costs, server.bill
        images = [request for request in server.requests if request.protocol == "image-generations"]
        assert costs.calls == bill.requests == len(server.requests)
        assert costs.usd == pytest.approx(float(bill.usd))
        assert 0 < costs.usd <= plan.total.usd[1]
        assert {request.text for request in images} == {"a wall painted red", "a wall painted blue"}
        assert len(images) >= len(result.mistakes)
        loop().run(splits, tmp_path / "run")
        assert server.bill == bill, "a finished run pays nothing"
    assert verify(tmp_path / "run") == []
    assert result.report.complete
    assert not any(CANARY.encode() in file.read_bytes() for file in files(tmp_path))


def test_a_run_stops_before_the_budget_is_passed_and_resumes(splits, tmp_path, at):
    with Loopback(answer, prices=RATES) as server:
        at(server)
        with pytest.raises(BudgetSpentError, match="raise budget_usd"):
            loop(budget_usd=0.12).run(splits, tmp_path / "run")
        assert 0 < float(server.bill.usd) <= 0.12
        result = loop().run(splits, tmp_path / "run")
        assert server.bill.requests == result.report.run.costs.calls, "nothing is paid twice"


def test_images_of_the_user_leave_with_permission_only(splits, tmp_path, at):
    with Loopback(answer, prices=RATES) as server:
        at(server)
        with pytest.raises(OfflineError, match="allow_upload"):
            FeedbackLoop(NearestColour(), Ramp(), "measured", "openai-images")
        assert not server.requests


def test_what_a_filter_declines_costs_only_itself(splits, tmp_path, at):
    def script(request):
        if request.protocol == "image-edits":
            edits.append(request)
            if len(edits) == 1:
                return Reply.refusal()
        return answer(request)

    edits = []
    with Loopback(script, prices=RATES) as server:
        at(server)
        result = loop(edit="whole").run(splits, tmp_path / "run", until="images")
        assert {request.protocol for request in server.requests} == {"responses", "image-edits"}
    assert len(edits) > 6
    checks = [image.check for case in result.report.cases for image in case.images]
    assert checks.count("refusal") == 1


def test_a_key_that_is_refused_stops_the_run_with_advice(splits, tmp_path, at):
    def script(request):
        return Error(401) if request.protocol.startswith("image") else answer(request)

    with Loopback(script, prices=RATES) as server:
        at(server)
        from xaiaug.errors import CallsRefusedError

        with pytest.raises(CallsRefusedError, match="check the API key"):
            loop().run(splits, tmp_path / "run")


def test_images_that_got_no_answer_are_asked_for_again_and_the_others_are_not(splits, tmp_path, at):
    def script(request):
        if request.protocol.startswith("image"):
            asked.append(request)
            if len(asked) == 2 and not mended:
                return Error(400, "the upstream did not answer", type="server_error")
        return answer(request)

    asked, mended = [], []
    as_made = {"checks": ["broken"], "remakes": 0}  # which image fails depends on the threads: none is made again
    with Loopback(script, prices=RATES) as server:
        at(server)
        first = loop(curation=as_made).run(splits, tmp_path / "run", until="images")
        failed = [image for case in first.report.cases for image in case.images if image.check == "call failed"]
        before = len(asked)
        mended.append(True)
        again = loop(curation=as_made).run(splits, tmp_path / "run", until="images")
        left = [image for case in again.report.cases for image in case.images if image.check == "call failed"]
    assert (len(failed), len(left), len(asked) - before) == (1, 0, 1)


def test_where_no_image_got_an_answer_the_run_stops_before_it_trains(splits, tmp_path, at):
    def script(request):
        if request.protocol.startswith("image"):
            return Error(400, "the upstream did not answer", type="server_error")
        return answer(request)

    with Loopback(script, prices=RATES) as server:
        at(server)
        with pytest.raises(CallsFailingError, match="upstream did not answer"):
            loop().run(splits, tmp_path / "run")
    assert not list((tmp_path / "run" / "models").glob("generated*"))
