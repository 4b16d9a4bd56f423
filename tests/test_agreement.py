"""Several critiques of each mistake: the majority decides, agreement is measured, and every answer is paid for once."""

import re
from collections import Counter

import pytest
from critic_cases import ANSWER
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from hypothesis import given
from hypothesis import strategies as st

from xaiaug import Critique, FeedbackLoop, Recipe, Splits, open_run
from xaiaug.causes import name_stated_cause
from xaiaug.errors import BudgetSpentError, CallsFailingError, ConfigError, OfflineError, UnknownPluginError
from xaiaug.results.maintenance import verify
from xaiaug.stages.votes import Voter, elect
from xaiaug.statistics import fleiss_kappa
from xaiaug.testing import Error, Loopback, Reply

WORDS = {
    "backdrop": "It looked at the grass.",
    "light": "The picture is too dark.",
    "colour": "The coat has the colour of the other class.",
}


# Kappa ------------------------------------------------------------------------------------------------------------


def test_kappa_is_that_of_the_worked_example():
    """Fourteen raters, ten subjects, five categories: the example by which the statistic is usually taught."""
    table = """
        0 0 0 0 14; 0 2 6 4 2; 0 0 3 5 6; 0 3 9 2 0; 2 2 8 1 1; 7 7 0 0 0; 3 2 6 3 0; 2 5 3 2 2; 6 5 2 1 0; 0 2 2 3 7
    """
    ratings = [
        [place for place, count in enumerate(map(int, row.split())) for _ in range(count)] for row in table.split(";")
    ]
    found = fleiss_kappa(ratings)
    assert found.value == pytest.approx(0.210, abs=0.0005) and found.cases == 10
    assert found.low < found.value < found.high


ballots = st.lists(st.lists(st.sampled_from("abc"), max_size=5), max_size=12)


@given(ballots, st.randoms(use_true_random=False))
def test_kappa_depends_on_no_order_and_stays_in_its_range(ratings, random):
    found = fleiss_kappa(ratings)
    mixed = [random.sample(case, len(case)) for case in ratings]
    other = fleiss_kappa(mixed)
    assert (found.value is None) == (other.value is None)
    if found.value is not None:
        assert found.value == pytest.approx(other.value) and -1 <= found.value <= 1 + 1e-9
        assert found.observed == pytest.approx(1) or found.value < 1
    else:
        assert len({one for case in ratings if len(case) > 1 for one in case}) <= 1


def test_full_agreement_is_one_and_raters_who_guess_are_near_zero():
    assert fleiss_kappa([["a"] * 3, ["b"] * 3]).value == pytest.approx(1)
    generator = __import__("random").Random(1)
    guesses = [[generator.choice("ab") for _ in range(3)] for _ in range(2_000)]
    assert abs(fleiss_kappa(guesses).value) < 0.05


# The vote ---------------------------------------------------------------------------------------------------------


def row(kind, *, suspect=False, failure=None):
    if failure:
        return {"id": "one", "panel": None, "failure": {"kind": failure, "message": "no"}}
    critique = {"cause": WORDS[kind], "prompt": "a cat", "evidence": [], "label_suspect": suspect}
    return {"id": "one", "panel": None, "critique": critique}


def voters(count):
    return [Voter(ColourCritic(), "claude", sample) for sample in range(count)]


@given(st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=7))
def test_the_most_frequent_cause_is_elected_and_of_ties_the_earliest(kinds):
    made = elect(voters(len(kinds)), [row(kind) for kind in kinds])
    counts = Counter(kinds)
    winner = name_stated_cause(Critique(made["critique"]["cause"], "a cat"))
    assert counts[winner] == max(counts.values())
    assert winner == next(kind for kind in kinds if counts[kind] == max(counts.values()))
    assert [vote["cause"] for vote in made["votes"]] == kinds


def test_a_label_is_suspect_by_majority_alone_and_failures_do_not_vote():
    twice = [row("light", suspect=True), row("light"), row("light", suspect=True), row("", failure="refusal")]
    assert elect(voters(4), twice)["critique"]["label_suspect"] is True
    assert elect(voters(2), twice[:2])["critique"]["label_suspect"] is False


def test_where_all_fail_the_failure_that_may_pass_is_told():
    made = elect(voters(2), [row("", failure="refusal"), row("", failure="call failed")])
    assert made["failure"]["kind"] == "call failed" and "critique" not in made


# In a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    pytest.importorskip("anthropic")
    pytest.importorskip("openai")
    counts = {"train": 10, "guide": 36, "validation": 4, "test": 8}
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), counts))


def loop(critic="claude", *, budget_usd=1.0, **asked):
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        critic,
        Painter(),
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=1,
        budget_usd=budget_usd,
        settings={"privacy": {"allow_upload": True}, "critic": asked, "mistakes": {"max": 6}},
    )


class Moody:
    """States the backdrop, but another cause every third time that it is asked about the same picture."""

    def __init__(self):
        self.asked = Counter()

    def __call__(self, request):
        (label,) = re.findall(r"The true class is “(\w+)”", request.text)[:1]
        about = request.pictures[0].base64
        self.asked[about] += 1
        kind = "light" if self.asked[about] % 3 == 0 else "backdrop"
        return Reply(json={**ANSWER, "attended": "part", "cause": WORDS[kind], "prompt": f"a wall painted {label}"})


def test_three_samples_are_three_paid_answers_a_mistake_kept_and_elected(splits, tmp_path, at):
    with Loopback(Moody()) as server:
        at(server)
        once = loop().run(splits, tmp_path / "run", until="critique")
        first = len(server.requests)
        assert once.report.agreement is None and not once.report.cases[0].votes
        result = loop(samples=3).run(splits, tmp_path / "run", until="critique")
        assert len(server.requests) == 3 * first, "the first answers are kept, and only the further ones are asked for"
        report = result.report
        assert report.run.costs.usd == pytest.approx(3 * once.report.run.costs.usd)
        loop(samples=3).run(splits, tmp_path / "run", until="critique")
        assert len(server.requests) == 3 * first
    agreement = report.agreement
    assert (agreement.critics, agreement.samples, agreement.cases) == (("claude",), 3, first)
    assert (agreement.unanimous, agreement.majority, agreement.divided) == (0, first, 0)
    assert agreement.kappa < 0 and any("hardly agree" in note.text for note in report.notes)
    assert report.run.agreement.critiques == 2 * first
    assert report.run.agreement.usd == pytest.approx(2 / 3 * report.run.costs.usd)
    for case in report.cases:
        assert Counter(vote.cause for vote in case.votes) == {"backdrop": 2, "light": 1}
        assert case.critique.cause == WORDS["backdrop"]
    page = result.report_path.read_text()
    assert agreement.sentence.split(";")[0] in page and "claude 3:" in page
    assert verify(tmp_path / "run") == []


@pytest.mark.ci
def test_a_replay_repeats_the_majority(splits, tmp_path, at):
    with Loopback(Moody()) as server:
        at(server)
        first = loop(samples=3).run(splits, tmp_path / "run", until="critique")
        asked = len(server.requests)
        again = loop("replay", run=str(tmp_path / "run")).run(splits, tmp_path / "again", until="critique")
        assert len(server.requests) == asked
    assert [case.critique for case in again.mistakes] == [case.critique for case in first.mistakes]


def test_several_critics_vote_and_the_plan_names_each_receiver_and_what_they_add(splits, tmp_path, at, monkeypatch):
    def script(request):
        reply = Moody()(request)
        return Reply(json={**reply.json, "cause": WORDS["colour"]}) if "gpt" in request.model else reply

    others = ["openai", {"name": "claude", "model": "claude-sonnet-5-5", "second": {"name": "openai"}}]
    one, all_three = loop().plan(splits, until="critique"), loop(others=others).plan(splits, until="critique")
    assert [upload.receiver for upload in all_three.receivers][:2] == ["api.anthropic.com", "api.openai.com"]
    assert all_three.total.calls == (3 * one.total.calls[0], pytest.approx(3 * one.total.calls[1]))
    assert all_three.agreement.calls == (2 * one.total.calls[0], pytest.approx(2 * one.total.calls[1]))
    assert all_three.agreement.usd[1] == pytest.approx(all_three.total.usd[1] - one.total.usd[1])
    assert {price["model"] for price in all_three.prices} >= {"claude-haiku-5-5", "gpt-6-luna", "claude-sonnet-5-5"}
    with Loopback(script) as server:
        at(server)
        result = loop(others=others).run(splits, tmp_path / "run", until="critique")
        models = Counter(request.model for request in server.requests)
    report = result.report
    assert len(set(models.values())) == 1 and len(models) == 3
    assert report.agreement.critics == ("claude", "openai", "claude") and report.agreement.samples == 1
    assert report.agreement.majority == len(report.cases)
    assert {case.critique.cause for case in report.cases} == {WORDS["backdrop"]}


@pytest.mark.ci
def test_a_failure_of_one_vote_that_may_pass_is_asked_again_and_the_others_are_not(splits, tmp_path, at):
    moody, broken = Moody(), {8: Error(400, "not this picture")}
    with Loopback(lambda request: broken.get(request.number) or moody(request)) as server:
        at(server)
        first = loop(samples=2).run(splits, tmp_path / "run", until="critique").report
        asked = len(server.requests)
        assert sum(vote.failure == "call failed" for case in first.cases for vote in case.votes) == 1
        assert first.agreement.failed == 1 and not any(case.failures for case in first.cases)
        second = loop(samples=2).run(splits, tmp_path / "run", until="critique").report
        assert len(server.requests) == asked + 1
    assert second.agreement.failed == 0


@pytest.mark.ci
def test_a_critic_that_answers_nothing_stops_the_run_whatever_the_others_say(splits, tmp_path, at):
    moody = Moody()
    with Loopback(lambda request: Error(400, "no picture") if "gpt" in request.model else moody(request)) as server:
        at(server)
        with pytest.raises(CallsFailingError, match="no picture"):
            loop(others=["openai"]).run(splits, tmp_path / "run", until="critique")


@pytest.mark.ci
def test_no_number_of_samples_spends_more_than_the_budget(splits, tmp_path, at):
    with Loopback(Moody()) as server:
        at(server)
        with pytest.raises(BudgetSpentError):
            loop(samples=4, budget_usd=0.003).run(splits, tmp_path / "run", until="critique")
        asked = len(server.requests)
    costs = open_run(tmp_path / "run").report.run.costs
    assert costs.calls == asked and 0 < costs.usd <= 0.003 and not costs.unknown_usd


def test_what_cannot_be_sampled_or_asked_is_refused_before_any_work():
    with pytest.raises(ConfigError, match="samples = 3: the critic measured always gives the same answer"):
        loop("measured", samples=3)
    with pytest.raises(ConfigError, match="samples = 2: the critic openai"):
        loop("openai", temperature=0.0, samples=2)
    with pytest.raises(UnknownPluginError, match="no critic 'opnai'. Did you mean 'openai'"):
        loop(others=["opnai"])
    with pytest.raises(ConfigError, match="judges images one by one"):
        FeedbackLoop(
            NearestColour(),
            critic="claude",
            settings={
                "critic": {"per": "slice", "others": ["measured"]},
                "mistakes": {"slices": True},
                "privacy": {"allow_upload": True},
            },
        )
    with pytest.raises(OfflineError, match="critic openai sends images"):
        FeedbackLoop(NearestColour(), critic="measured", settings={"critic": {"others": ["openai"]}})


def test_critics_on_this_machine_vote_with_each_other_at_no_cost(splits, tmp_path):
    result = FeedbackLoop(
        NearestColour(), Ramp(), ColourCritic(), Painter(), settings={"critic": {"others": ["measured"]}}
    ).run(splits, tmp_path / "run", until="critique")
    assert result.report.agreement.cases == len(result.report.cases) and result.report.run.agreement.usd == 0
