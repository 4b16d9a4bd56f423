"""The plan of a run: it grows with what is asked, its sum is that of its parts, and nothing unknown is made up."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaiaug import arms, config
from xaiaug.calls import Prices
from xaiaug.errors import ConfigError
from xaiaug.plan import Assumptions, Line, PlanRequest, build_plan
from xaiaug.plan.assumptions import MADE_EACH
from xaiaug.plan.costs import bill
from xaiaug.records import Arm, Estimate, ImageSource
from xaiaug.records.pipeline import STOPS, WorkKind

PRICES = {"a-model": {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15}, "at-home": {"local": True}}
KNOWN = Assumptions({"train": 500, "guide": 1000, "validation": 50, "test": 400, "reserve": 90}, 2, 50_000.0)
RANGES = [field.name for field in fields(Line) if field.name not in ("name", "shares")]
SPEEDS = dict.fromkeys(("fit", "predict", "explain", "critique", "synthesize"), (0.01, 0.02))


EVERYTHING = arms.Available(
    reserve=True,
    groups=frozenset({"train", "guide"}),
    early=True,
    training_methods=frozenset({"group-balanced", "group-dro", "rrr", "last-layer", "last-layer-finetune"}),
)


class Here:
    """Works on this machine."""

    remote = False
    uses = frozenset({"prompt", "guidance", "image", "map"})
    needs = frozenset()
    per_case = None

    def parameters(self):
        return {}

    def estimate(self, items):
        return Estimate(disk_bytes=(4_000_000, 4_000_000), licence="apache-2.0")


class Small(Here):
    """Makes images, and does not say how large."""

    def estimate(self, items):
        return Estimate()


class Away(Here):
    """Asks an outside service, once or twice an item."""

    remote = True

    def __init__(self, model="a-model"):
        self.model = model

    def estimate(self, items):
        return Estimate(
            calls=(items, 2 * items),
            input_tokens=(500 * items, 1200 * items),
            output_tokens=(100 * items, 400 * items),
            model=self.model,
            receiver="api.example.org",
            upload_bytes=(20_000 * items, 60_000 * items),
        )


class Silent(Here):
    """Asks an outside service, and does not say what that takes."""

    remote = True

    def estimate(self, items):
        return Estimate()


def asked(worker=None, until="report", synthesizer=None, **tables):
    checked = config.parse_settings({"privacy": {"allow_upload": True}, "budget": {"usd": 5}, **tables})
    chosen = arms.resolve_arms(checked.arms(), checked.experiment.test_explanation)
    workers = {"classifier": Here(), "explainer": Here(), "critic": worker or Here()}
    workers["synthesizer"] = synthesizer or Here()
    names = {kind: f"my-{kind}" for kind in workers}
    there = replace(EVERYTHING, causes=checked.critic.test_causes, slices=checked.mistakes.slices)
    return PlanRequest(checked, workers, names, chosen, Prices(PRICES), until, available=there)


experiments = st.fixed_dictionaries(
    {
        "arms": st.lists(
            st.sampled_from(sorted(arms.ROWS.keys() - {"saliency-edit-oracle", "slice-budget"})),
            min_size=1,
            max_size=6,
            unique=True,
        ),
        "seeds": st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
        "images_per_mistake": st.integers(1, 5),
        "images_per_class_max": st.none() | st.integers(1, 300),
        "rounds": st.integers(1, 3),
        "vary": st.lists(st.just("critique"), max_size=1),
        "test_curves": st.booleans(),
    }
).map(lambda table: {name: value for name, value in table.items() if value is not None})
known = st.builds(
    lambda guide, mistakes, seconds: replace(
        KNOWN, images={**KNOWN.images, "guide": guide}, mistakes=mistakes, seconds=seconds
    ),
    st.integers(1, 5000),
    st.none() | st.integers(0, 900),
    st.sampled_from(({}, SPEEDS)),
)


def at_least(more, less):
    """Both ends of every range; what nobody knows is compared with nothing."""
    for name in RANGES:
        above, below = getattr(more, name), getattr(less, name)
        if above is not None and below is not None:
            assert above[0] >= below[0] - 1e-9 and above[1] >= below[1] - 1e-9, (name, above, below)


def total(experiment, found, **more):
    return build_plan(asked(Away(), experiment=experiment, mistakes={"max": "all"}, **more), found).total


@given(experiments, known)
@settings(deadline=None, max_examples=60)
def test_it_grows_with_seeds_images_arms_and_mistakes(experiment, found):
    plan = total(experiment, found)
    at_least(total({**experiment, "seeds": [*experiment["seeds"], 100]}, found), plan)
    at_least(total({**experiment, "images_per_mistake": experiment["images_per_mistake"] + 1}, found), plan)
    for name in sorted(set(arms.ROWS) - set(experiment["arms"]))[:4]:
        at_least(total({**experiment, "arms": [*experiment["arms"], name]}, found), plan)
    if found.mistakes is not None:
        at_least(total(experiment, replace(found, mistakes=found.mistakes + 7)), plan)


@given(experiments, known)
@settings(deadline=None, max_examples=60)
def test_the_sum_is_that_of_the_parts_and_every_range_is_one(experiment, found):
    plan = build_plan(asked(Away(), experiment=experiment), found)
    for name in RANGES:
        parts = [getattr(line, name) for line in plan.lines]
        whole = getattr(plan.total, name)
        if None in parts:
            assert whole is None
            continue
        assert whole == pytest.approx(tuple(sum(part[end] for part in parts) for end in (0, 1)))
        assert all(0 <= low <= high for low, high in parts)
    assert json.loads(json.dumps(plan.to_json()))["total"]["name"] == "in sum"


@given(experiments, known, st.sampled_from(STOPS))
@settings(deadline=None, max_examples=40)
def test_a_run_that_stops_earlier_takes_no_more(experiment, found, until):
    # Of several rounds the last may have no mistakes left, and then the critic is asked less often.
    experiment = {**experiment, "rounds": 1}
    whole = build_plan(asked(Away(), experiment=experiment), found)
    at_least(whole.total, build_plan(asked(Away(), until, experiment=experiment), found).total)


@pytest.mark.parametrize(
    ("until", "faithfulness", "mistakes", "tested"),
    [("report", 24, 100, 24), ("explain", 24, 7, 7), ("mistakes", 24, 100, 0), ("report", 0, 100, 0)],
)
def test_the_test_of_the_heatmaps_is_counted_once_for_a_sample(until, faithfulness, mistakes, tested):
    table = {"max": 200, "faithfulness": faithfulness}
    found = replace(KNOWN, mistakes=mistakes, map_predictions=39, seconds={**SPEEDS, "predict": (3600, 3600)})
    experiment = {"seeds": [0, 1], "vary": ["baseline"]}
    with_test = build_plan(asked(until=until, mistakes=table, experiment=experiment), found)
    without = build_plan(asked(until=until, mistakes=table, experiment=experiment), replace(found, map_predictions=0))
    hours = [after - before for after, before in zip(with_test.total.hours, without.total.hours, strict=True)]
    assert hours == pytest.approx([39 * tested] * 2)


def test_tests_of_causes_are_counted_from_none_to_one_a_mistake():
    found = replace(KNOWN, mistakes=100, seconds={**SPEEDS, "predict": (3600, 3600)})
    table = {"critic": {"test_causes": True}}
    rises = {}
    for until in ("critique", "explain"):
        plans = [
            build_plan(asked(until=until, **table), replace(found, cause_predictions=each, cause_images=40))
            for each in (6.0, 0.0)
        ]
        rises[until] = [after - before for after, before in zip(*(plan.total.hours for plan in plans), strict=True)]
    assert rises["explain"] == [0, 0]
    # Two pairs of classes and 16 mechanisms make 32 slices at most.
    assert rises["critique"] == pytest.approx([0, 6 * (100 + 32 * 40)])


def test_predictions_on_train_are_counted_once_where_an_arm_edits_or_repeats_its_images():
    found = replace(KNOWN, mistakes=10, seconds={**SPEEDS, "predict": (3600, 3600)})
    hours = [
        build_plan(asked(experiment={"arms": ["continued", *more]}), found).lines[1].hours
        for more in ([], ["oversampled-train-failures"], ["oversampled-train-failures", "saliency-edit"])
    ]
    assert hours[1][0] - hours[0][0] == pytest.approx(KNOWN.images["train"])
    assert hours[2] == hours[1]


def test_what_two_arms_share_is_counted_once():
    plan = build_plan(asked(Away(), experiment={"arms": "paper"}), replace(KNOWN, mistakes=100))
    lines = {line.name: line for line in plan.lines}
    assert lines["generated-only"].images[1] > 0
    assert lines["generated+training"].images == (0, 0)
    assert lines["generated+training"].shares == "generated-only"
    assert plan.total.cases == (100, 100), "the critic is asked once about each mistake"
    assert plan.total.trainings == (4, 4)


@pytest.mark.parametrize(
    ("experiment", "asked_about"),
    [
        ({"arms": ["generated+training"]}, 100),
        ({"arms": ["generated+training", "no-map", "shuffled-map"]}, 300),
        ({"arms": ["continued"]}, 100),
        ({"arms": ["generated+training", "no-map"], "seeds": [0, 1, 2], "vary": ["critique"]}, 600),
        ({"arms": ["generated+training", "correct-case-prompts"]}, 200),
    ],
)
def test_the_critic_is_asked_about_each_case_once_for_each_map_and_draw(experiment, asked_about):
    plan = build_plan(asked(Away(), experiment=experiment), replace(KNOWN, mistakes=100))
    assert plan.total.cases == (asked_about, asked_about)
    assert plan.total.calls == (asked_about, 2 * asked_about)


def test_without_a_run_the_mistakes_are_assumed_and_that_is_said():
    plan = build_plan(asked(), KNOWN)
    assert (plan.mistakes, plan.mistakes_known) == ((20, 200), False)
    assert any("Assumed" in sentence and "2 to 20 %" in sentence for sentence in plan.assumptions)
    sure = build_plan(asked(), replace(KNOWN, mistakes=321))
    assert (sure.mistakes, sure.mistakes_known) == ((200, 200), True), "no more than [mistakes] max"


def test_what_nobody_knows_stays_unknown():
    plan = build_plan(asked(Silent()), KNOWN)
    assert plan.total.usd is None and plan.usd_left is None
    assert plan.total.hours is None and any("--probe" in sentence for sentence in plan.assumptions)
    assert build_plan(asked(Away("nobody's")), KNOWN).total.usd is None
    assert build_plan(asked(), replace(KNOWN, seconds=SPEEDS)).total.hours is not None


def test_each_call_is_priced_by_itself():
    class Long(Away):
        def estimate(self, items):
            return Estimate((items, items), (300_000 * items,) * 2, (1000 * items,) * 2, "long")

    class Tiered:
        def of(self, model):
            from decimal import Decimal

            from xaiaug.calls.prices import Price, Rate

            dear = ((200_000, Decimal(6)),)
            return Price(model, "user", "2026-11-01", {"input": Rate(Decimal(3), dear), "output": Rate(Decimal(15))})

    one, ten = (bill(Long(), (count, count), Tiered()).usd[1] for count in (1, 10))
    assert one == pytest.approx(0.3 * 6 + 0.015) and ten == pytest.approx(10 * one)
    assert bill(Away("at-home"), (5, 5), Prices(PRICES)).usd == (0, 0)


def test_a_resumed_run_has_less_to_pay_and_a_finished_one_nothing():
    begun = build_plan(asked(Away()), replace(KNOWN, mistakes=100, paid_calls=20, paid_usd=0.05))
    assert begun.usd_left == pytest.approx((begun.total.usd[0] - 0.05, begun.total.usd[1] - 0.05))
    assert build_plan(asked(Away()), replace(KNOWN, mistakes=100, paid_usd=99.0)).usd_left == (0, 0)
    assert build_plan(asked(Away()), replace(KNOWN, mistakes=100, finished=True)).usd_left == (0, 0)


def test_what_was_seen_of_new_images_counts_more_than_what_a_plugin_supposes():
    class Large(Here):
        def estimate(self, items):
            return Estimate(disk_bytes=(1e6 * items, 2e6 * items))

    def disk(synthesizer, **found):
        plan = build_plan(asked(synthesizer=synthesizer), replace(KNOWN, **found))
        return next(line.disk_bytes for line in plan.lines if line.images[1])

    assert disk(Large())[1] > 10 * disk(Small())[1]
    assert disk(Large(), image_bytes=5e3) == disk(Small(), image_bytes=5e3)


def test_it_says_who_gets_what():
    plan = build_plan(asked(Away(), synthesizer=Away()), replace(KNOWN, mistakes=10))
    critic, synthesizer = plan.receivers
    assert (critic.kind, critic.receiver, critic.upload_bytes) == ("critic", "api.example.org", (200_000, 600_000))
    assert "no file names" in critic.what and "prompts" in synthesizer.what
    assert build_plan(asked(), KNOWN).receivers == ()
    assert build_plan(asked(Away(), "explain"), KNOWN).receivers == (), "the critic takes no part in it"


def test_obstacles_are_all_told_each_with_what_to_do():
    tables = {"privacy": {"allow_upload": False}, "budget": {"usd": None}}
    not_allowed, no_budget = build_plan(asked(Away(), **tables), KNOWN).obstacles
    assert "allow_upload = true" in not_allowed and "budget_usd" in no_budget
    (offline,) = build_plan(asked(Away(), privacy={"offline": True, "allow_upload": True}), KNOWN).obstacles
    assert "offline" in offline and "\n" not in offline
    (unknown,) = build_plan(asked(Away("nobody's")), KNOWN).obstacles
    assert "input_usd_per_mtok" in unknown
    assert build_plan(asked(Away(), "explain", **tables), KNOWN).obstacles == ()


def test_arms_that_would_show_nothing_are_left_out_with_the_reason():
    class Deaf(Here):
        uses = frozenset({"guidance"})

    plan = build_plan(asked(synthesizer=Deaf(), experiment={"arms": "standard"}), KNOWN)
    assert plan.left_out == {"class-name-prompts": "the synthesizer does not use prompts"}
    with pytest.raises(ConfigError, match="cannot be used here"):
        build_plan(asked(synthesizer=Deaf(), experiment={"arms": ["class-name-prompts"]}), KNOWN)


def test_what_more_would_add_is_the_difference():
    plan = build_plan(asked(Away(), experiment={"arms": "basic"}), replace(KNOWN, mistakes=100))
    more = {line.name: line for line in plan.further}
    one = build_plan(asked(Away(), experiment={"arms": "basic", "seeds": [0, 1]}), replace(KNOWN, mistakes=100)).total
    assert more["one more seed"].images == pytest.approx(
        (one.images[0] - plan.total.images[0], one.images[1] - plan.total.images[1])
    )
    assert more["one more seed"].cases == (0, 0), "critiques are shared"
    assert more["one more round"].cases == (0, 100)
    assert more["one more image per mistake"].trainings == (0, 0)


def test_an_arm_of_ones_own_counts():
    mine = Arm("mine", "", images=ImageSource(map="random", guidance="none"))
    plan = build_plan(replace(asked(Away()), arms=(arms.ROWS["baseline"], mine)), replace(KNOWN, mistakes=10))
    assert plan.total.cases == (20, 20) and plan.total.trainings == (2, 2)


def test_edits_are_counted_by_donors_and_by_their_own_synthesizer():
    class Edits(Here):
        per_case = ("own", "another")

        def estimate(self, items):
            return Estimate(disk_bytes=(items, items))

    request = asked(
        experiment={"arms": ["continued", "saliency-edit"], "images_per_mistake": 9}, mistakes={"donors": 300}
    )
    plan = build_plan(replace(request, synthesizers={"saliency-edit": Edits()}), KNOWN)
    (line,) = (line for line in plan.lines if line.name == "saliency-edit")
    low, high = (2 * 0.5 * 500 * MADE_EACH[0], 2 * 300 * MADE_EACH[1])
    assert line.images == (low, high) and line.cases == (0, 0)


def test_a_plan_warns_of_a_ratio_beyond_what_was_measured_and_of_more_images_than_training_shows():
    own = [{"name": "many", "isolates": "", "images": {}, "synthetic_ratio": 4}, "generated+training"]
    tables = {"experiment": {"arms": own}, "recipe": {"steps": 10, "batch_size": 8}}
    few = replace(KNOWN, images={**KNOWN.images, "train": 20}, mistakes=30)
    said = build_plan(asked(**tables), few).assumptions
    assert any("Warning: many trains on 4 new images for each real one" in sentence for sentence in said)
    shown = arms.count_added(80, arms.LIMITS["for mistakes"])
    assert any(f"take {shown} of 80 passes in generated+training, and 150 or more are made" in one for one in said)
    plain = build_plan(asked(experiment={"arms": "basic"}), KNOWN).assumptions
    assert not any("Warning" in sentence or "would do" in sentence for sentence in plain)


class AwaySheets(Away):
    """Takes twice as much for a sheet."""

    def estimate_sheets(self, items):
        return self.estimate(2 * items)


def test_a_critic_asked_once_a_slice_is_planned_by_its_slices_and_the_plan_says_what_that_saves():
    tables = {"critic": {"name": "measured", "per": "slice"}, "mistakes": {"slices": True, "max": "all"}}
    found = replace(KNOWN, mistakes=100)
    singly = build_plan(asked(AwaySheets(), "critique"), found)
    assert singly.saved is None and singly.total.cases == (100, 100)
    known = build_plan(asked(AwaySheets(), "critique", **tables), replace(found, slices=(3, 60)))
    assert known.total.cases == (43, 43)
    assert known.total.calls == (46, 92), "40 mistakes, and 3 sheets that each take two"
    assert known.saved.calls == (54, 108) and known.saved.usd[0] == pytest.approx(
        singly.total.usd[0] - known.total.usd[0]
    )
    assert any("60 mistakes are in slices, which take 3 requests" in line for line in known.assumptions)
    unknown = build_plan(asked(AwaySheets(), "critique", **tables), found)
    assert unknown.total.cases == (1, 100) and unknown.saved is None
    skipping = {**tables, "critic": {**tables["critic"], "unsliced": "skip"}}
    left = build_plan(asked(AwaySheets(), "images", **skipping), replace(found, slices=(3, 60)))
    assert left.total.cases == (3, 3)
    assert left.total.images[1] < build_plan(asked(AwaySheets(), "images"), found).total.images[0]


def plan_with(workers, request, measured=None):
    now, before = (dict.fromkeys(WorkKind, count) for count in (workers, measured or workers))
    known = replace(KNOWN, mistakes=100, seconds=SPEEDS, workers=now, measured_workers=before)
    return build_plan(request, known)


def test_workers_as_fast_as_those_measured_divide_the_hours_but_no_single_training():
    one, two = (asked(experiment={"arms": ["continued"], "seeds": seeds}) for seeds in ((0,), (0, 1)))
    alone, spread = plan_with(1, two), plan_with(8, two)
    for kind in ("explain", "critique", "predict"):
        assert spread.stage_hours[kind] == pytest.approx([hours / 8 for hours in alone.stage_hours[kind]])
    assert plan_with(8, one).stage_hours["fit"] == plan_with(1, one).stage_hours["fit"]
    assert spread.stage_hours["fit"] == pytest.approx(plan_with(1, one).stage_hours["fit"]), "two side by side"
    assert spread.total.hours[0] == pytest.approx(sum(hours[0] for hours in spread.stage_hours.values()))


def test_hours_for_other_workers_than_measured_range_from_no_gain_to_all_of_it():
    one, four = plan_with(1, asked()), plan_with(4, asked(), measured=1)
    (low, _), (_, high) = one.stage_hours["explain"], one.stage_hours["explain"]
    assert four.stage_hours["explain"] == pytest.approx((low / 4, high))
    told = "Hours are for 4 workers, and speeds were measured with one worker."
    assert any(sentence.startswith(told) for sentence in four.assumptions)
    assert not any("workers" in sentence for sentence in one.assumptions)


def test_workers_of_one_kind_divide_the_hours_of_its_work_alone():
    workers = {**dict.fromkeys(WorkKind, 1), "synthesizer": 4}
    known = replace(KNOWN, mistakes=100, seconds=SPEEDS, workers=workers, measured_workers=workers)
    settings = {"engine": {"name": "ray", "workers": 1, "synthesizer": {"workers": 4, "num_gpus": 0.5}}}
    one, four = plan_with(1, asked()), build_plan(asked(**settings), known)
    shares = {"synthesize": 4}
    assert four.stage_hours == {
        kind: pytest.approx([end / shares.get(kind, 1) for end in hours]) for kind, hours in one.stage_hours.items()
    }
    assert four.described_workers == "1 worker (synthesizer: 4)"
    assert "Each worker of the kind synthesizer has num_gpus = 0.5 of its own." in four.assumptions


def test_calls_of_an_outside_service_take_as_long_with_any_number_of_workers():
    one, eight = (plan_with(count, asked(Away())) for count in (1, 8))
    assert eight.stage_hours["critique"] == one.stage_hours["critique"]
