"""A critic is asked once a slice, with a sheet, and the mistakes of the slice share its critique."""

import re
import shutil
from collections import defaultdict
from contextlib import closing

import pytest
from critic_cases import ANSWER
from fakes import ColourCritic, NearestColour, Painter, Ramp
from PIL import Image

from xaiaug import Critique, Failure, FeedbackLoop, Splits, open_run, petworld
from xaiaug.errors import BudgetSpentError, ConfigError
from xaiaug.results.maintenance import verify
from xaiaug.stages import count_unanswered
from xaiaug.store import Reader
from xaiaug.testing import Loopback, Reply

SHEET = "All of them are mistakes with the true class"


class Embedding(NearestColour):
    """Its embedding is what it predicts."""

    def embed(self, images):
        return self.predict_proba(images)


class SheetCritic(ColourCritic):
    """Notes what it is asked about, and suspects every label."""

    reads_sheets = True
    asked: list = []  # noqa: RUF012  of all instances: a run makes copies

    def critique(self, cases):
        self.asked += [
            (case.id, case.label, case.predicted, case.panel.size, case.sheet and len(case.sheet.examples))
            for case in cases
        ]
        return [
            Critique(
                cause=case.sheet.slice.name if case.sheet else "one image",
                prompt=f"a {case.label}",
                guidance={"backdrop_colour": "#808080"},
                label_suspect=True,
            )
            for case in cases
        ]


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    petworld.write_world(folder, sizes={"train": 60, "guide": 160, "validation": 4, "test": 8}, seed=3)
    return Splits.from_folder(folder)


def loop(critic, *, asked=None, arms=("baseline",), budget_usd=None, **tables):
    return FeedbackLoop(
        Embedding(),
        Ramp(),
        critic,
        Painter(),
        arms=list(arms),
        images_per_mistake=1,
        budget_usd=budget_usd,
        settings={
            "critic": {"per": "slice", **(asked or {})},
            "mistakes": {"slices": True, "faithfulness": 0, "max": "all"},
            "privacy": {"allow_upload": True},
            **tables,
        },
    )


@pytest.fixture(scope="module")
def explained(splits, tmp_path_factory):
    """A run whose slices are found, and whose critic was asked nothing yet."""
    return loop(SheetCritic()).run(splits, tmp_path_factory.mktemp("run"), until="explain").run_dir


@pytest.fixture
def run_dir(explained, tmp_path):
    return shutil.copytree(explained, tmp_path / "run")


def answer(request):
    (label,) = re.findall(r"true class (?:is )?“(\w+)”", request.text)[:1]
    return Reply(json={**ANSWER, "cause": request.text.splitlines()[0][:300], "prompt": f"a drawing of a {label}"})


def group(result):
    """Ids of the mistakes by the slice that they are in; "" for none."""
    slice_of = {case: one.name for one in result.slices for case in one.cases}
    groups = defaultdict(set)
    for case in result.mistakes:
        groups[slice_of.get(case.id, "")].add(case.id)
    return groups


def test_mistakes_of_a_slice_share_one_critique_and_the_others_have_their_own(splits, run_dir):
    SheetCritic.asked.clear()
    result = loop(SheetCritic()).run(splits, run_dir, until="critique")
    groups = group(result)
    others = groups.pop("")
    sheets = [one for one in SheetCritic.asked if one[4]]
    assert groups and len(sheets) == len(groups) and all(1 <= one[4] <= 9 and one[3][0] == 1024 for one in sheets)
    assert {one[0] for one in SheetCritic.asked if not one[4]} == others
    for case in result.mistakes:
        assert case.critique_slice == next((name for name, ids in groups.items() if case.id in ids), "")
        assert case.critique.cause == (case.critique_slice or "one image")
    panels = {name: {case.panel for case in result.mistakes if case.id in ids} for name, ids in groups.items()}
    assert all(len(found) == 1 for found in panels.values()), "the sheet of a slice is its panel"
    page = result.write_report().read_text("utf-8")
    assert "Sheet shown to the critic" in page and "Panel shown to the critic" in page
    assert verify(run_dir) == []
    # A sheet does not say whose label looks wrong.
    assert {case.critique.label_suspect for case in result.mistakes if case.critique_slice} == {False}
    assert {case.critique.label_suspect for case in result.mistakes if not case.critique_slice} == {True}


def test_mistakes_in_no_slice_are_left_out_where_that_is_asked_and_images_keep_their_ancestry(splits, run_dir):
    SheetCritic.asked.clear()
    asked = {"unsliced": "skip"}
    result = loop(SheetCritic(), asked=asked, arms=["generated+training"]).run(splits, run_dir, until="images")
    groups = group(result)
    others = groups.pop("")
    assert len(SheetCritic.asked) == len(groups)
    for case in result.mistakes:
        assert (case.id in others) == (case.critique is None)
        assert not case.images if case.id in others else case.images
        assert [failure.kind for failure in case.failures] == ["not asked"] * (case.id in others)
    assert verify(run_dir) == [] and any("mistakes have no critique" in note.text for note in result.report.notes)


def test_a_paid_critic_gets_a_request_a_slice_as_planned_and_nothing_is_paid_twice(
    splits, explained, run_dir, tmp_path, at
):
    pytest.importorskip("anthropic")
    with Loopback(answer) as server:
        at(server)
        critic = loop("claude", budget_usd=1.0)
        plan = critic.plan(splits, run_dir, until="critique")
        result = critic.run(splits, run_dir, until="critique")
        groups = group(result)
        others = groups.pop("")
        requests = len(groups) + len(others)
        assert server.bill.requests == requests == result.report.run.costs.calls
        assert plan.total.calls[0] == requests
        assert plan.saved.calls[0] == len(result.mistakes) - requests > 0
        assert plan.saved.usd[0] > 0
        assert plan.total.usd[0] <= float(server.bill.usd) * 3
        sheets = [request for request in server.requests if SHEET in request.text]
        assert len(sheets) == len(groups)
        assert all(f"“{name}”" in "".join(request.text for request in sheets) for name in groups)
        again = loop("claude", budget_usd=1.0).run(splits, run_dir, until="critique")
        assert server.bill.requests == requests and again.report.cases == result.report.cases
        elsewhere = shutil.copytree(explained, tmp_path / "replayed")
        replayed = loop("replay", asked={"run": str(run_dir)}).run(splits, elsewhere, until="critique")
        assert server.bill.requests == requests
        assert replayed.report.cases == result.report.cases
    assert open_run(run_dir).report.complete


def test_a_budget_that_ends_between_slices_is_kept_and_more_money_goes_on(splits, run_dir, at):
    pytest.importorskip("anthropic")
    with Loopback(answer) as server:
        at(server)
        with pytest.raises(BudgetSpentError):
            loop("claude", budget_usd=0.0016).run(splits, run_dir, until="critique")
        paid = server.bill.requests
        assert paid >= 1
        result = loop("claude", budget_usd=1.0).run(splits, run_dir, until="critique")
        groups = group(result)
        assert paid < server.bill.requests == len(groups) - 1 + len(groups[""])


class FailingOnce(SheetCritic):
    """Gets no answer about sheets at first."""

    fails = True

    def critique(self, cases):
        made = super().critique(cases)
        return [
            Failure("call failed", "no answer") if case.sheet and self.fails else one
            for case, one in zip(cases, made, strict=True)
        ]


def test_a_slice_without_an_answer_is_asked_again_by_the_next_session(splits, run_dir, monkeypatch):
    monkeypatch.setattr(FailingOnce, "fails", True)
    groups = group(loop(FailingOnce()).run(splits, run_dir, until="critique"))
    others = groups.pop("")
    with closing(Reader(run_dir)) as reader:
        assert count_unanswered(reader.ledger) == sum(map(len, groups.values())), "each mistake counts once"
    monkeypatch.setattr(FailingOnce, "fails", False)
    SheetCritic.asked.clear()
    result = loop(FailingOnce()).run(splits, run_dir, until="critique")
    assert len(SheetCritic.asked) == len(groups), f"the {len(others)} others were answered"
    assert all(case.critique is not None and not case.failures for case in result.mistakes)


def test_a_critic_that_reads_no_sheet_or_slices_that_are_not_looked_for_are_refused():
    with pytest.raises(ConfigError, match="judges images one by one"):
        loop(ColourCritic())
    with pytest.raises(ConfigError, match=r"set \[mistakes\] slices = true"):
        loop(SheetCritic(), mistakes={"slices": False})
    with pytest.raises(ConfigError, match='needs per = "slice"'):
        loop(SheetCritic(), asked={"per": "mistake", "unsliced": "skip"})


def test_a_change_of_what_is_asked_about_has_critiques_made_again(splits, run_dir):
    told = []
    loop(SheetCritic()).run(splits, run_dir, until="critique")
    loop(SheetCritic(), asked={"per": "mistake"}).run(splits, run_dir, until="critique", watch=told.append)
    assert any("critic.per" in step.note and "again: critiques" in step.note for step in told)
    assert all(not case.critique_slice for case in open_run(run_dir).mistakes)


def test_a_sheet_shows_what_there_is(tmp_path):
    import numpy as np

    from xaiaug import panel
    from xaiaug.records import Case, Explanation, MistakeSlice, Sheet

    image = Image.new("RGB", (60, 40), "red")
    of = MistakeSlice("cat: dark", "light", "cat", "dog", 9, 6, 1 / 3, 0.1, 0.6, 0.9, 0.01, (), ())
    heat = Explanation(np.tile(np.linspace(0, 1, 60, dtype=np.float32), (40, 1)), "ramp", 0, False)
    case = Case("a", image, image, "cat", "dog", np.array([0.1, 0.9], np.float32))
    with_map = Case("b", image, image, "cat", "dog", np.array([0.1, 0.9], np.float32), heat)
    heights = {}
    for layout in panel.LAYOUTS:
        for shown, contrast, scale in (((case,), (), None), ((case, with_map) * 6, (image,) * 9, (0.0, 2.0))):
            drawn = panel.draw_sheet(Sheet(of, 12, shown, contrast), "cat", layout=layout, side=256, scale=scale)
            assert drawn.width == 512
            heights[layout, len(shown)] = drawn.height
    assert all(heights[layout, 12] > heights[layout, 1] for layout in panel.LAYOUTS)
