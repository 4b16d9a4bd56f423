"""A plan against what a run then took: calls, dollars and images; and what a run folder teaches the next plan."""

import hashlib
from dataclasses import replace

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from nursery import PRICES
from PIL import Image

from xaiaug import Context, FeedbackLoop, Recipe, Splits
from xaiaug.calls import Calls, MemoryLedger, Prices, RawReply
from xaiaug.errors import ConfigError, OfflineError, UnknownPriceError
from xaiaug.loop.probe import FEWEST
from xaiaug.plan import Assumptions, PlanRequest, build_plan
from xaiaug.records import PICO, Estimate, Sample
from xaiaug.store import Store


class Paying(ColourCritic):
    """Asks a paid service within this process, now and then twice; what a reply uses depends on its case."""

    remote = True
    batch_size = 1

    def __init__(self, model="a-model"):
        self.model = model

    def prepare(self, context):
        self._paid = context.paid

    def estimate(self, items):
        # As a critic knows itself: one image and a template, a bounded answer, some repairs.
        return Estimate(
            calls=(items, 1.2 * items),
            input_tokens=(800 * items, 1.2 * 1000 * items),
            output_tokens=(150 * items, 1.2 * 250 * items),
            model=self.model,
            receiver="api.example.org",
            upload_bytes=(10_000 * items, 90_000 * items),
        )

    def _one(self, case):
        # Each map is another question.
        self.ask(f"{case.id} {case.explanation and float(case.explanation.heatmap.sum())}")
        return super()._one(case)

    def ask(self, key):
        chance = int(hashlib.sha256(key.encode()).hexdigest(), 16)
        worst = self._paid.worst_case_usd(self.model, {"input_tokens": 1000, "output_tokens": 250})
        usage = {"input_tokens": 800 + chance % 200, "output_tokens": 150 + chance % 100}
        for attempt in range(1 + (chance % 10 == 0)):
            request = {"model": self.model}
            self._paid.call(f"{key} {attempt}", request, worst_case_usd=worst, send=lambda _: RawReply({}, usage))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 60, "validation": 4, "test": 8})


def loop(critic=None, synthesizer=None, arms="basic", **changed):
    tables = {"privacy": {"allow_upload": True}, "budget": {"prices": PRICES}, **changed.pop("settings", {})}
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        critic or Paying(),
        synthesizer or Painter(),
        arms=arms,
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=1,
        settings=tables,
        **{"budget_usd": 50.0, **changed},
    )


def test_the_plan_of_a_thousand_cases_is_within_a_fifth_of_their_bill():
    prices, ledger, critic = Prices(PRICES), MemoryLedger(), Paying()
    critic.prepare(Context(paid=Calls(ledger, budget_usd=50.0, prices=prices)))
    found = Assumptions({"train": 9, "guide": 5000, "validation": 0, "test": 9, "reserve": 0}, 2, 256.0, mistakes=1000)
    asked = loop(critic, settings={"mistakes": {"max": "all"}})
    names = {kind: kind for kind in asked.plugins.by_kind}
    plan = build_plan(PlanRequest(asked.settings, asked.plugins.by_kind, names, asked.arms, prices, "critique"), found)
    for number in range(1000):
        critic.ask(str(number))
    spent = ledger.spending()
    assert plan.total.calls[0] <= spent.replies <= plan.total.calls[1]
    assert plan.total.usd[0] <= spent.settled / PICO <= plan.total.usd[1]
    assert sum(plan.total.usd) / 2 == pytest.approx(spent.settled / PICO, rel=0.2)


def test_a_plan_counts_what_a_run_then_does(folder, tmp_path):
    arms, splits = ["generated+training", "no-map", "random-map"], Splits.from_folder(folder)
    made = loop(arms=arms, settings={"mistakes": {"max": 10}})
    assert not made.plan(splits, tmp_path / "run", "images").mistakes_known
    made.run(splits, tmp_path / "run", "mistakes")
    plan = made.plan(splits, tmp_path / "run", "images")
    report = made.run(splits, tmp_path / "run", "images").report
    costs = report.run.costs
    assert len(report.cases) == plan.mistakes[0] == 10
    assert plan.total.cases == (3 * 10, 3 * 10)
    assert plan.total.calls[0] <= costs.calls <= plan.total.calls[1]
    assert sum(plan.total.usd) / 2 == pytest.approx(costs.usd, rel=0.2)
    assert plan.total.images[0] <= report.images.made <= plan.total.images[1]
    after = made.plan(splits, tmp_path / "run", "images")
    assert after.finished and after.usd_left == (0, 0)
    assert (after.paid_calls, after.paid_usd) == (costs.calls, pytest.approx(costs.usd))
    other = loop(arms=[*arms, "correct-case-prompts"], settings={"mistakes": {"max": 10}})
    assert not other.plan(splits, tmp_path / "run", "images").finished


def test_a_run_teaches_the_next_plan_and_other_settings_do_not(folder, tmp_path):
    splits = Splits.from_folder(folder)
    made = loop(ColourCritic(), settings={"mistakes": {"max": 8}})
    before = made.plan(splits, tmp_path / "run")
    assert before.total.hours is None and before.total.disk_bytes is None
    made.run(splits, tmp_path / "run")
    after = made.plan(splits, tmp_path / "run")
    assert after.mistakes_known and 0 < after.total.hours[0] <= after.total.hours[1] < 1
    assert after.total.disk_bytes is not None and after.finished
    assert any("the run folder" in sentence for sentence in after.assumptions)
    twice = loop(ColourCritic(), settings={"mistakes": {"max": 8}, "data": {"seed": 1}})
    assert not twice.plan(splits, tmp_path / "run").mistakes_known, "other data may have other mistakes"
    other = loop(OtherColourCritic(), settings={"mistakes": {"max": 8}}).plan(splits, tmp_path / "run")
    assert other.mistakes_known and other.total.hours is None, "a new critic's speed is not known"


class OtherColourCritic(ColourCritic):
    version = "2"


def test_a_probe_measures_speeds_and_sends_nothing(folder, tmp_path):
    class Loud(Paying):
        def critique(self, cases):
            raise AssertionError("a probe must not ask a service")

    plan = loop(Loud()).plan(Splits.from_folder(folder), tmp_path / "none", probe=True)
    assert plan.total.hours is not None and plan.total.hours[0] > 0 and plan.total.disk_bytes is not None
    assert any("a probe" in sentence for sentence in plan.assumptions)
    assert any("seconds per call" in sentence for sentence in plan.assumptions)
    assert not (tmp_path / "none").exists()


def test_a_probe_times_whole_trainings_where_a_service_makes_the_images(folder, tmp_path):
    class Hosted(Painter):
        remote = True

        def check(self):
            raise ConfigError("a plan needs no key")

        def synthesize(self, requests):
            raise AssertionError("a probe must not ask a service")

    steps = []

    class Counting(NearestColour):
        def fit(self, train, validation=(), *, recipe, seed):
            steps.append(recipe.steps)
            return super().fit(train, validation, recipe=recipe, seed=seed)

    made = loop(ColourCritic(), Hosted())
    made.plugins = replace(made.plugins, classifier=Counting())
    plan = made.plan(Splits.from_folder(folder), tmp_path / "none", probe=True)
    assert max(steps) >= FEWEST, "else the start of a training would pass for the pace of its steps"
    assert plan.total.hours is None, "how long the service takes is not known"


def test_a_probe_trains_on_images_and_measures_validation_in_the_proportion_of_the_planned_training():
    from xaiaug.loop.probe import _few_images

    def samples(count):
        return [Sample(id=f"{count}-{n}", label=n % 2, opener=Image.Image) for n in range(count)]

    splits = Splits(("a", "b"), samples(4000), samples(100), samples(200), samples(300))
    few = _few_images(splits, Recipe(steps=50, batch_size=32), 20)
    assert len(few.train) == 20 * 32 and len(few.validation) == 200 * 20 / 50
    assert len({sample.id for sample in few.train}) == 20 * 32, "each is opened once, as in the planned training"
    several_epochs = _few_images(splits, Recipe(steps=1000, batch_size=32), 40)
    assert len(several_epochs.train) == 4000 * 40 / 1000 and len(several_epochs.validation) == 8
    assert len(_few_images(splits).validation) == 0 and len(few.test) == len(few.guide) == 48


def test_the_speed_of_a_training_is_that_of_its_steps_and_its_start_spread_over_the_planned_one(tmp_path):
    from xaiaug.arms import effort
    from xaiaug.config import Settings
    from xaiaug.loop.probe import SPREAD, _time_training
    from xaiaug.records.pipeline import BASELINE, HEADLINE
    from xaiaug.store.schema import fit_stage

    recipe, sizes = Recipe(steps=500, batch_size=32), (0, 0)
    splits = Splits(("a", "b"))
    start, each = 3.0, 0.02  # seconds of every training, and of each unit of its effort
    with Store(tmp_path / "run") as store:
        for arm, steps in ((BASELINE, 1), (HEADLINE, 21)):
            seconds = start + each * effort(replace(recipe, steps=steps), *sizes)
            store.begin(fit_stage(arm, 0), [arm], 1)
            store.commit(arm, fit_stage(arm, 0), [{"history": {}, "model": None, "seconds": seconds}])
    low, high = _time_training(tmp_path / "run", HEADLINE, Settings(), splits, splits, 21)["fit"]
    truth = start / effort(recipe, *sizes) + each
    assert (low / SPREAD[0], high / SPREAD[1]) == pytest.approx((truth, truth))


def test_planning_loads_nothing_and_writes_nothing(folder, tmp_path):
    class Unready(ColourCritic):
        def prepare(self, context):
            raise AssertionError("a plan prepares no plugin")

    loop(Unready()).plan(Splits.from_folder(folder), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_run_that_cannot_be_paid_refuses_before_anything_is_done(folder, tmp_path):
    splits = Splits.from_folder(folder)
    with pytest.raises(ConfigError, match=r"costs money .* set budget_usd"):
        loop(budget_usd=None).run(splits, tmp_path / "run")
    with pytest.raises(UnknownPriceError, match="the price of 'another' is not known"):
        loop(Paying("another")).run(splits, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    loop(budget_usd=None).run(splits, tmp_path / "run", "mistakes")  # so far it costs nothing


class Sending(Painter):
    remote = True


def test_a_refusal_names_the_receiver_a_server_on_this_machine_too():
    pytest.importorskip("openai")
    # Such a server may pass images on: Ollama does, for its cloud models.
    with pytest.raises(OfflineError, match=r"the critic ollama sends images to a server \(localhost\): allow it with"):
        loop(critic="ollama", settings={"critic": {"model": "qwen3-vl:235b-cloud"}, "privacy": {}})


@pytest.mark.parametrize("remote", [{"critic": Paying()}, {"critic": ColourCritic(), "synthesizer": Sending()}])
@pytest.mark.parametrize(
    ("privacy", "message"),
    [
        ({"allow_upload": False}, r"sends images to .*: allow it with \[privacy\] allow_upload = true"),
        ({"allow_upload": True, "offline": True}, r"offline is true: take a \w+ that works here"),
    ],
)
def test_what_may_not_leave_is_refused_in_one_line(remote, privacy, message):
    with pytest.raises(OfflineError, match=message) as refused:
        loop(**remote, settings={"privacy": privacy})
    assert "\n" not in str(refused.value)
