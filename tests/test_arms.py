"""Arms are rows of data, and each trains on what its row says."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Arm, ImageSource, Recipe, Sample, arms
from xaiaug.arms import Addition
from xaiaug.errors import BudgetError, ConfigError, RecordError


def sample(name: str, label: int = 0) -> Sample:
    return Sample(id=name, label=label, opener=lambda: Image.new("RGB", (4, 4)))


POOLS = {
    "train": [sample("t1"), sample("t2", 1)],
    "failures": [sample("f")],
    "guide": [sample("g1"), sample("f")],
    "reserve": [sample("r")],
}
NEW = [sample("n1"), sample("n2", 1)]
ROBUST = {"group-balanced", "group-dro", "rrr", "last-layer", "last-layer-finetune"}


def test_the_basic_set_is_the_untouched_start_and_three_trainings():
    rows = arms.resolve_arms("basic")
    assert [arm.name for arm in rows] == ["baseline", "generated-only", "generated+training", "continued"]
    assert [arm.trained for arm in rows] == [False, True, True, True]
    assert all(arm.isolates for arm in rows)


def test_a_list_without_a_baseline_is_given_one():
    assert [arm.name for arm in arms.resolve_arms(["continued"])] == ["baseline", "continued"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ("basics", "Did you mean 'basic'"),
        (["continud"], "Did you mean 'continued'"),
        (["continued", "continued"], "two arms are named 'continued'"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(chosen, message):
    with pytest.raises(ConfigError, match=message):
        arms.resolve_arms(chosen)


@pytest.mark.parametrize(
    ("arm", "ids"),
    [
        (arms.ROWS["continued"], ["t1", "t2"]),
        (arms.ROWS["generated-only"], ["n1", "n2"]),
        (arms.ROWS["generated+training"], ["t1", "t2", "n1", "n2"]),
        (Arm("o", "", real="train+failures"), ["t1", "t2", "f"]),
        (Arm("g", "", real="train+guide"), ["t1", "t2", "g1", "f"]),
        (Arm("m", "", real="train+reserve"), ["t1", "t2", "r"]),
    ],
)
def test_an_arm_trains_on_what_its_row_says(arm, ids):
    assert [s.id for s in arms.build_training_set(arm, POOLS, NEW)] == ids


def test_the_weight_of_synthetic_images_is_theirs_alone():
    arm = Arm("w", "", images=ImageSource(), synthetic_weight=0.25)
    assert [s.weight for s in arms.build_training_set(arm, POOLS, NEW)] == [1.0, 1.0, 0.25, 0.25]


def test_arms_with_one_source_share_it():
    assert arms.sources(arms.resolve_arms("basic")) == (ImageSource(),)


def test_an_arm_changes_neither_steps_nor_batch_nor_schedule():
    recipe = Recipe(steps=11, batch_size=3, schedule="linear")
    made = arms.recipe_for(Arm("a", "", sampling="balanced", augment="randaugment"), recipe)
    assert (made.steps, made.batch_size, made.schedule) == (11, 3, "linear")
    assert (made.sampling, made.augment) == ("balanced", "randaugment")


@pytest.mark.parametrize(
    "wrong",
    [
        {"real": "some"},
        {"sampling": "odd"},
        {"adapter": "dora"},
        {"method": "jtt"},
        {"replace_probability": 2},
        {"synthetic_weight": 0},
        {"synthetic_ratio": "half"},
        {"replace_probability": True},
    ],
)
def test_an_impossible_row_is_refused(wrong):
    with pytest.raises(RecordError, match=next(iter(wrong))):
        Arm("a", "", **wrong)


def test_balanced_class_weights_become_numbers_of_mean_one():
    train = [sample("a"), sample("b"), sample("c"), sample("d", 1)]
    weights = arms.resolve_class_weights(Recipe(class_weights="balanced"), train).class_weights
    assert weights == (4 / 6, 2.0)
    assert sum(weights[s.label] for s in train) == pytest.approx(len(train))
    assert arms.resolve_class_weights(Recipe(class_weights=(1.0, 3.0)), train).class_weights == (1.0, 3.0)


def test_every_set_is_made_of_rows_and_full_has_all_but_edits():
    edited = {name for name, arm in arms.ROWS.items() if arm.images and arm.images.cases == "train-correct"}
    assert set(arms.SETS["full"]) == set(arms.ROWS) - edited
    assert set(arms.SETS["remedies"]) <= set(arms.ROWS)
    assert set(arms.SETS["edits"]) >= edited - {"saliency-edit-oracle"}
    assert set(arms.SETS["basic"]) | set(arms.SETS["paper"]) <= set(arms.SETS["standard"])
    assert all(arms.resolve_arms(name) for name in arms.SETS)
    isolates = [arm.isolates for arm in arms.ROWS.values()]
    assert len(set(isolates)) == len(isolates)


def test_failures_are_repeated_and_a_reserve_is_cut_to_as_many_as_there_are_new_images():
    pools = {
        **POOLS,
        "failures": [sample("f1"), sample("f2", 1), sample("f3", 1)],
        "reserve": [sample("r1"), sample("r2")],
    }
    made = arms.build_training_set(arms.ROWS["oversampled-failures"], pools, [], Addition({0: 2, 1: 3}))
    assert [s.id for s in made] == ["t1", "t2", "f1", "f1", "f2", "f3", "f2"]
    on_train = pools | {"train-failures": [sample("w1"), sample("w2", 1)]}
    made = arms.build_training_set(arms.ROWS["oversampled-train-failures"], on_train, [], Addition({0: 2, 1: 3}))
    assert [s.id for s in made] == ["t1", "t2", "w1", "w1", "w2", "w2", "w2"]
    made = arms.build_training_set(arms.ROWS["more-real"], pools, [], Addition({0: 1, 1: 3}))
    assert [s.id for s in made] == ["t1", "t2", "r1"]


@given(st.floats(0.1, 4), st.integers(20, 200), st.integers(0, 5))
def test_a_ratio_is_kept_and_no_image_is_seen_much_more_than_another(ratio, passes, seed):
    arm = Arm("r", "", images=ImageSource(), synthetic_ratio=ratio)
    made = arms.build_training_set(arm, POOLS, NEW, passes=passes, seed=seed)
    new = [s.id for s in made if s.id.startswith("n")]
    assert len(made) == passes
    assert abs(len(new) - passes * ratio / (1 + ratio)) <= 0.5
    assert abs(new.count("n1") - new.count("n2")) <= 1
    assert made == arms.build_training_set(arm, POOLS, NEW, passes=passes, seed=seed)


@given(st.floats(0.01, 1), st.integers(0, 5))
def test_a_replaced_image_keeps_its_class(probability, seed):
    arm = Arm("p", "", images=ImageSource(), replace_probability=probability)
    made = arms.build_training_set(arm, POOLS, NEW, passes=400, seed=seed)
    assert len(made) == 400
    assert sum(s.label for s in made) == 200
    new = sum(s.id.startswith("n") for s in made)
    assert abs(new - 400 * probability) < 5 * (400 * probability * (1 - probability)) ** 0.5 + 1


@pytest.mark.parametrize(
    ("name", "uses", "there", "words"),
    [
        ("saliency-edit", {"image", "map"}, {}, ""),
        ("saliency-edit", {"image", "map"}, {"train": False}, "no training images"),
        ("saliency-edit-none", {"image"}, {}, "does not read heatmaps"),
        ("saliency-edit-oracle", {"image", "map"}, {}, "[data] marks"),
        ("saliency-edit-oracle", {"image", "map"}, {"marks": True}, ""),
        ("more-real", {"prompt"}, {}, "reserve"),
        ("more-real", {"prompt"}, {"reserve": True}, ""),
        ("retrieved-real", {"prompt"}, {}, "reserve"),
        ("retrieved-real", {"prompt"}, {"reserve": True}, ""),
        ("class-name-prompts", {"guidance", "image"}, {}, "does not use prompts"),
        ("class-name-prompts", {"prompt"}, {}, ""),
        ("image-guided-no-critic", {"prompt"}, {}, "does not start from an image"),
        ("image-guided-no-critic", {"guidance", "image"}, {}, ""),
        ("unguided", {"image"}, {}, "neither"),
        ("unguided", {"guidance"}, {}, ""),
        ("generated+training", set(), {}, ""),
        ("rrr", set(), {"classifier": "hog"}, "the classifier hog does not train by rrr"),
        ("rrr", set(), {"training_methods": {"rrr"}}, ""),
        ("group-balanced", set(), {"training_methods": {"group-balanced"}}, "no class of the train images has several"),
        ("group-balanced", set(), {"training_methods": {"group-balanced"}, "groups": {"train"}}, ""),
        ("group-dro", set(), {"groups": {"train"}}, "does not train by group-balanced, group-dro"),
        ("group-dro", set(), {"training_methods": ROBUST, "groups": {"guide"}}, "no class of the train images"),
        ("dfr", set(), {"training_methods": ROBUST, "groups": {"train"}}, "no class of the guide images"),
        ("dfr", set(), {"training_methods": ROBUST, "groups": {"guide"}}, ""),
        ("class-balanced-head", set(), {"training_methods": ROBUST}, ""),
        ("self", set(), {"training_methods": ROBUST}, "its own early weights"),
        ("self", set(), {"training_methods": ROBUST, "early": True}, ""),
    ],
)
def test_an_arm_that_would_show_nothing_says_why(name, uses, there, words):
    arm, available = arms.ROWS[name], arms.Available(**there)

    def missing(arm):
        return arms.missing_requirement(arm, SimpleNamespace(uses=uses, needs=frozenset()), available)

    reason = missing(arm)
    assert words in reason and bool(words) == bool(reason)
    left, why = arms.select_runnable([arm], False, missing)
    assert (left, why) == (((), {name: reason}) if reason else ((arm,), {}))
    if reason:
        with pytest.raises(ConfigError, match=name):
            arms.select_runnable([arm], True, missing)


def test_an_impossible_ratio_is_refused():
    with pytest.raises(RecordError, match="synthetic_ratio"):
        Arm("a", "", synthetic_ratio=0)


def test_testing_the_explanation_adds_the_shuffled_map():
    names = [arm.name for arm in arms.resolve_arms("basic", test_explanation=True)]
    assert names == [*arms.SETS["basic"], "shuffled-map"]
    assert arms.resolve_arms("full", test_explanation=True) == arms.resolve_arms("full")


def test_edits_are_tested_by_edits_with_shuffled_maps():
    names = [arm.name for arm in arms.resolve_arms(["continued", "saliency-edit"], test_explanation=True)]
    assert names == ["baseline", "continued", "saliency-edit", "saliency-edit-shuffled"]


@given(st.lists(st.integers(0, 2), min_size=2, max_size=40), st.sets(st.integers(0, 2)))
def test_edits_and_mistakes_together_are_as_many_as_edits_alone(labels, wrong):
    pools = {"train": [], "failures": [sample(f"f{label}", label) for label in sorted(wrong)]}
    edited = [sample(f"e{i}", label) for i, label in enumerate(labels)]
    count = Counter(labels)
    made = arms.build_training_set(arms.ROWS["saliency-edit+failures"], pools, edited, Addition(count))
    assert Counter(one.label for one in made) == count
    for label, wanted in count.items():
        repeated = sum(one.id.startswith("f") and one.label == label for one in made)
        assert repeated == (wanted // 2 if label in wrong else 0)


def test_an_unequal_budget_stops_before_training():
    arms.check_budgets({"a": Recipe(steps=5), "b": Recipe(steps=5, learning_rate=1.0)})
    with pytest.raises(BudgetError, match="'a' and 'b' must have the same steps"):
        arms.check_budgets({"a": Recipe(steps=5), "b": Recipe(steps=6)})
    arms.check_budgets({"a": Recipe(steps=5), "b": Recipe(steps=6, method="last-layer")})


POOLS_OF_REMEDIES = POOLS | {"retrieved": [sample("r3"), sample("r2")], "disagreements": [sample("g1")]}


@pytest.mark.parametrize(
    ("name", "guide", "groups", "reserve"),
    [
        ("continued", 0, 0, 0),
        ("rrr", 0, 0, 0),
        ("oversampled-failures", 2, 0, 0),
        ("guide-added", 2, 0, 0),
        ("class-balanced-head", 2, 0, 0),
        ("self", 1, 0, 0),
        ("dfr", 2, 1, 0),
        ("group-dro", 0, 2, 0),
        ("group-balanced", 0, 2, 0),
        ("more-real", 0, 0, 1),
        ("retrieved-real", 2, 0, 2),
        ("generated+training", 2, 0, 0),
        ("saliency-edit", 0, 0, 0),
        ("saliency-edit+failures", 2, 0, 0),
    ],
)
def test_each_arm_states_the_labels_and_real_images_that_it_used(name, guide, groups, reserve):
    pools = {**POOLS_OF_REMEDIES, "train": [grouped(one) for one in POOLS["train"]]}
    pools["guide"] = [grouped(POOLS["guide"][0]), POOLS["guide"][1]]
    arm = arms.ROWS[name]
    real = arms.build_training_set(replace(arm, images=None), pools, [])
    assert arms.count_labels(arm, pools, real) == arms.LabelsUsed(guide, groups, 0, reserve, 1)


def grouped(one):
    return replace(one, groups={"place": "indoor"})


def test_as_many_retrieved_images_are_taken_as_there_are_new_ones_nearest_first():
    made = arms.build_training_set(arms.ROWS["retrieved-real"], POOLS_OF_REMEDIES, [], Addition({0: 1, 1: 3}))
    assert [s.id for s in made] == ["t1", "t2", "r3"]


def test_an_arm_whose_pool_is_empty_says_why():
    for name, words in (("self", "early weights"), ("retrieved-real", "embedding"), ("more-real", "")):
        reason = arms.find_empty_pool(arms.ROWS[name], {**POOLS, "retrieved": [], "disagreements": []})
        assert words in reason and bool(words) == bool(reason)


LIMIT = 0.5
images_by_class = st.dictionaries(st.integers(0, 2), st.integers(1, 30), min_size=1)


def many(prefix, counts):
    return [sample(f"{prefix}{label}-{i}", label) for label, count in sorted(counts.items()) for i in range(count)]


@given(images_by_class, images_by_class, st.integers(20, 300), st.integers(0, 3))
def test_arms_that_add_images_have_the_same_share_of_passes_for_them(real, count, passes, seed):
    """Be they new, repeated mistakes or a reserve: exactly, in all, and of each class."""
    pools = {
        "train": many("t", real),
        "failures": many("f", dict.fromkeys(count, 1)),
        "reserve": many("r", count),
        "retrieved": many("r", count),
    }
    shown = []
    for name in ("generated+training", "oversampled-failures", "more-real", "retrieved-real"):
        addition = Addition(count, LIMIT)
        made = arms.build_training_set(arms.ROWS[name], pools, many("n", count), addition, passes=passes, seed=seed)
        shown.append(Counter(one.label for one in made if not one.id.startswith("t")))
        if sum(count.values()) <= LIMIT * len(pools["train"]):
            assert made == arms.build_training_set(arms.ROWS[name], pools, many("n", count), Addition(count))
        else:
            assert len(made) == passes
            assert shown[-1].total() == round(passes * LIMIT / (1 + LIMIT))
    assert all(one == shown[0] for one in shown)


@given(images_by_class, images_by_class, st.integers(20, 300))
def test_no_image_is_seen_much_more_than_another_of_its_class(real, count, passes):
    pools = {"train": many("t", real)}
    arm = Arm("r", "", images=ImageSource(), synthetic_ratio=1)
    made = arms.build_training_set(arm, pools, many("n", count), Addition(count, LIMIT), passes=passes)
    seen = Counter(one.id for one in made)
    for kind in (pools["train"], many("n", count)):
        for label in {one.label for one in kind}:
            times = [seen[one.id] for one in kind if one.label == label]
            assert max(times) - min(times) <= 1


@given(st.floats(0.01, 20), images_by_class, st.integers(20, 300))
def test_a_ratio_of_the_row_itself_is_kept_exactly_whatever_the_limit(ratio, count, passes):
    arm = Arm("r", "", images=ImageSource(), synthetic_ratio=ratio)
    made = arms.build_training_set(arm, POOLS, many("n", count), Addition(count, LIMIT), passes=passes)
    assert len(made) == passes
    assert sum(one.id.startswith("n") for one in made) == round(passes * ratio / (1 + ratio))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("generated-only", LIMIT),  # there is no real image to swamp
        ("generated+training", None),
        ("guide-added", LIMIT),  # adds no more than the guide has
        ("continued", LIMIT),
    ],
)
def test_nothing_is_drawn_where_nothing_is_limited(name, limit):
    pools = {"train": many("t", {0: 2}), "guide": many("g", {0: 20})}
    new = many("n", {0: 20})
    made = arms.build_training_set(arms.ROWS[name], pools, new, Addition({0: 20}, limit), passes=7)
    assert made == arms.build_training_set(arms.ROWS[name], pools, new)


def test_edits_of_training_images_have_no_limit_and_images_for_mistakes_have():
    limits = {name: arms.LIMITS[arms.family(row.images)] for name, row in arms.ROWS.items() if row.images}
    assert {name for name, limit in limits.items() if limit is None} == {
        name for name, row in arms.ROWS.items() if row.images and row.images.cases == "train-correct"
    }


@given(images_by_class, images_by_class)
def test_the_stated_share_is_that_of_the_training_set(real, count):
    pools, new, addition = {"train": many("t", real)}, many("n", count), Addition(count, LIMIT)
    rows = (
        arms.ROWS["generated+training"],
        Arm("own", "", images=ImageSource(), synthetic_ratio=3),
        arms.ROWS["continued"],
        arms.ROWS["generated-only"],
    )
    for arm in rows:
        made = arms.build_training_set(arm, pools, new, addition, passes=300)
        share = sum(one.id.startswith("n") for one in made) / len(made)
        there, counted, kept = arms.collect_images(arm, pools, new, addition)
        stated = arms.added_share(arm, len(there), len(counted + kept), LIMIT)
        assert stated == pytest.approx(share, abs=1 / 300)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, ""),
        ({"synthetic_ratio": arms.LIMITS["for mistakes"]}, ""),
        ({"synthetic_ratio": 4}, "4 new images for each real one, 80% of its passes"),
        ({"replace_probability": 0.9}, "9 new images for each real one, 90% of its passes"),
        ({"replace_probability": 1}, "100% of its passes"),
        ({"images": arms.ROWS["saliency-edit"].images, "synthetic_ratio": 1}, ""),
        ({"images": None, "synthetic_ratio": 4}, ""),
    ],
)
def test_a_ratio_beyond_what_was_measured_is_warned_of(row, words):
    warning = arms.warn_of_ratio(Arm("own", "", **{"images": ImageSource(), **row}))
    assert words in warning and bool(words) == bool(warning)
