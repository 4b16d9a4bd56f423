"""Remedies compete in one run: each trains on what its row says, states what it used, or is left out with a reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Posting, Ramp, mean_colour, paint_folder
from hypothesis import given
from hypothesis import strategies as st
from nursery import PRICES
from PIL import Image

from xaiaug import Arm, Context, FeedbackLoop, Recipe, Sample, Splits, TorchClassifier, arms
from xaiaug.errors import ConfigError, UnsupportedRecipeError
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import METHODS
from xaiaug.records.pipeline import StageKind
from xaiaug.results.maintenance import verify
from xaiaug.stages import Predictions, choose_disagreements, order_by_nearness
from xaiaug.stages.train import _check_method
from xaiaug.store import Reader
from xaiaug.testing import Loopback, Reply

COUNTS = {"train": 24, "guide": 24, "validation": 4, "test": 12, "reserve": 16}
WITH_GROUPS = {"dfr", "group-dro", "group-balanced"}


class Able(NearestColour):
    """Does every training method as it trains plainly; has an embedding, and keeps weights while it trains."""

    training_methods = frozenset({*METHODS, "group-balanced"})
    trained: ClassVar[list] = []

    def fit(self, train, validation, *, recipe, seed, snapshots=None):
        type(self).trained.append((recipe, list(train), self.means is not None))
        if snapshots is not None:
            early = self.fork()
            early.means = np.full((len(self.labels), 3), 0.5, np.float32) + 0.1 * np.arange(len(self.labels))[:, None]
            early.save(snapshots / "1")
            history = super().fit(train, validation, recipe=recipe, seed=seed)
            self.save(snapshots / "4")
            return replace(history, notes=("a note of its training",))
        return super().fit(train, validation, recipe=recipe, seed=seed)

    def embed(self, images):
        return np.stack([mean_colour(image) for image in images]) if len(images) else np.zeros((0, 3), np.float32)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), COUNTS))


@pytest.fixture(scope="module")
def grouped(splits):
    """The same images, each third of a class elsewhere."""

    def group(samples):
        return tuple(replace(one, groups={"place": "out" if i % 3 == 0 else "in"}) for i, one in enumerate(samples))

    return replace(splits, train=group(splits.train), guide=group(splits.guide))


def create(classifier=None, chosen="remedies", critic=None, **settings):
    return FeedbackLoop(
        classifier or Able(),
        Ramp(),
        critic or ColourCritic(),
        Painter(),
        arms=chosen,
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=2,
        curation={"checks": ["broken", "duplicate"], "remakes": 1},
        settings={"mistakes": {"faithfulness": 0}, **settings},
    )


@pytest.fixture(scope="module")
def everything(grouped, tmp_path_factory):
    Able.trained.clear()
    result = create().run(grouped, tmp_path_factory.mktemp("runs") / "all")
    return result, list(Able.trained)


@pytest.mark.ci
def test_where_all_is_there_every_remedy_is_tried(everything, grouped):
    result, _ = everything
    left_out = {arm.name: arm.reason for arm in result.report.left_out}
    assert set(left_out) <= {"masktune", "saliency-edit", "saliency-edit+failures"}, "the fake map shows no mark"
    assert {arm.name for arm in result.report.arms} == set(arms.SETS["remedies"]) - set(left_out)
    assert verify(result.run_dir) == []
    used = {arm.name: arm.used for arm in result.report.arms}
    assert used["dfr"].guide_labels == used["dfr"].group_labels_in_training == len(grouped.guide)
    assert used["group-dro"].group_labels_in_training == len(grouped.train) and not used["group-dro"].guide_labels
    assert 0 < used["self"].guide_labels <= len(grouped.guide) / 2
    assert used["retrieved-real"].reserve_images == used["more-real"].reserve_images > 0
    assert all(arm.group_labels_in_selection == 0 and arm.settings_tried == 1 for arm in used.values())
    assert {arm.name for arm in result.report.arms if arm.head_only} == {"dfr", "self", "class-balanced-head"}


@pytest.mark.ci
def test_every_remedy_starts_from_the_baseline_with_the_same_steps(everything):
    _, trained = everything
    (baseline, _, started), *others = trained
    assert not started and baseline.method == "erm"
    assert all(started and recipe.steps == 4 for recipe, _, started in others)
    assert {recipe.method for recipe, _, _ in others} == set(METHODS)


@pytest.mark.ci
def test_budgets_name_the_exception_in_page_and_plan(everything, grouped, tmp_path):
    result, _ = everything
    sentence = "Exception: class-balanced-head, self, dfr train the last layer alone, on embeddings"
    assert sentence in result.report_path.read_text()
    plan = create().plan(grouped, tmp_path / "planned")
    assert any(sentence in one for one in plan.assumptions)
    hours = {line.name: line for line in plan.lines}
    assert hours["dfr"].trainings == (1, 1)


@pytest.mark.ci
def test_the_page_and_the_table_show_what_each_arm_used(everything):
    result, _ = everything
    page, table = result.report_path.read_text(), result.resources()
    assert "What each arm used" in page
    (line,) = (line for line in table.splitlines() if line.startswith("dfr"))
    assert line.split()[1:6] == ["last", "layer", "48", "48", "–"]
    assert {cost.name for cost in result.report.run.arms} == {arm.name for arm in result.report.arms}
    assert any(note.text.endswith("baseline: a note of its training") for note in result.report.notes)


@pytest.mark.ci
def test_a_rerun_trains_nothing_again(everything, grouped):
    result, _ = everything
    Able.trained.clear()
    again = create().run(grouped, result.run_dir)
    assert Able.trained == []
    assert again.report.arms == result.report.arms


@pytest.mark.ci
def test_without_groups_and_reserve_a_plan_and_a_run_leave_the_same_arms_out_with_the_reason(splits, tmp_path):
    bare = replace(splits, reserve=())
    planned = create().plan(bare, tmp_path / "run").left_out
    result = create().run(bare, tmp_path / "run")
    reasons = {arm.name: arm.reason for arm in result.report.left_out}
    assert planned.items() <= reasons.items()
    assert set(planned) == WITH_GROUPS | {"more-real", "retrieved-real"}
    assert all("group:NAME" in reasons[name] for name in WITH_GROUPS) and "reserve" in reasons["retrieved-real"]
    assert {"self", "class-balanced-head", "rrr"} <= {arm.name for arm in result.report.arms}


@pytest.mark.parametrize("name", ["dfr", "retrieved-real"])
def test_a_remedy_that_was_named_and_cannot_be_is_refused_before_any_work(name, splits, tmp_path):
    Able.trained.clear()
    with pytest.raises(ConfigError, match=f"the arm '{name}' cannot be used here"):
        create(chosen=[name]).run(replace(splits, reserve=()), tmp_path / "run")
    assert Able.trained == []


def test_a_baseline_that_is_taken_as_it_is_has_no_early_weights(splits, tmp_path):
    classifier = Able()
    classifier.prepare(Context(labels=splits.labels))
    classifier.fit(splits.train, (), recipe=Recipe(steps=3, batch_size=8), seed=0)
    result = create(classifier, ["baseline", "class-balanced-head"], experiment={"fit_baseline": False}).run(
        splits, tmp_path / "run"
    )
    assert [arm.name for arm in result.report.arms] == ["baseline", "class-balanced-head"]
    with pytest.raises(ConfigError, match="its own early weights"):
        create(classifier, ["self"], experiment={"fit_baseline": False}).run(splits, tmp_path / "named")


def test_a_network_without_a_function_to_train_it_has_its_last_layer_trained_in_a_run(grouped, tmp_path):
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    classifier = TorchClassifier(module, to_pixels, grouped.labels)
    tables = {"experiment": {"fit_baseline": False}}
    result = create(classifier, ["baseline", "dfr", "class-balanced-head"], **tables).run(grouped, tmp_path / "run")
    assert [arm.name for arm in result.report.arms] == ["baseline", "dfr", "class-balanced-head"]
    with pytest.raises(UnsupportedRecipeError, match="continued would train it"):
        create(classifier, ["dfr", "continued"], **tables).run(grouped, tmp_path / "run")


def to_pixels(images):
    import torch

    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 for image in images])


@pytest.mark.ci
def test_a_real_network_is_trained_by_every_method_in_a_run(grouped, tiny_vit, tmp_path):
    names = ["dfr", "self", "class-balanced-head", "group-dro", "group-balanced", "rrr", "retrieved-real"]
    classifier = TransformersClassifier(str(tiny_vit))
    tables = {"experiment": {"checkpoint_steps": 2}}
    result = create(classifier, names, **tables).run(grouped, tmp_path / "run")
    assert [arm.name for arm in result.report.arms] == ["baseline", *names]
    assert result.report.left_out == ()
    assert verify(result.run_dir) == []
    heads = {arm.name for arm in result.report.arms if arm.head_only}
    assert all(bool(arm.steps) != (arm.name in heads) for arm in result.report.arms)
    again = create(TransformersClassifier(str(tiny_vit)), names, **tables).run(grouped, tmp_path / "run")
    assert again.report.arms == result.report.arms


class Agreeing(Able):
    """Keeps the last weights as early ones."""

    def fit(self, train, validation, *, recipe, seed, snapshots=None):
        history = Able.fit(self, train, validation, recipe=recipe, seed=seed)
        if snapshots is not None:
            for step in ("1", "2"):
                self.save(snapshots / step)
        return history


class Blind(Able):
    """Has no embedding."""

    def embed(self, images):
        return None


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [(Agreeing, "self", "predict the same for every guide image"), (Blind, "retrieved-real", "has no embedding")],
)
def test_an_arm_that_finds_no_images_is_left_out_with_the_reason(kind, name, words, splits, tmp_path):
    result = create(kind(), ["continued", name]).run(splits, tmp_path / "run")
    assert {arm.name: words in arm.reason for arm in result.report.left_out} == {name: True}


class Recording(Able):
    """Remembers the masks it is given."""

    shapes: ClassVar[list] = []

    def fit(self, train, validation, *, recipe, seed):
        if recipe.method == "rrr":
            self.shapes += [one.subject().mean() for one in train]
        return NearestColour.fit(self, train, validation, recipe=recipe, seed=seed)


def test_the_masks_of_the_synthesizers_reach_the_method_that_reads_them(splits, tmp_path):
    (tmp_path / "masks").mkdir()
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 4:8] = 255
    for sample in splits.train:
        Image.fromarray(mask).save(tmp_path / "masks" / f"{sample.id}.png")
    table = {"synthesizers": {"saliency-edit": {"masks": str(tmp_path / "masks")}}}
    create(Recording(), ["rrr", "saliency-edit"], **table).run(splits, tmp_path / "run")
    assert Recording.shapes == [0.25] * len(splits.train)


def test_a_classifier_that_does_not_name_a_method_never_trains_by_it():
    for recipe in (Recipe(method="group-dro"), Recipe(sampling="group-balanced")):
        with pytest.raises(UnsupportedRecipeError, match="NearestColour does not train by group-"):
            _check_method(NearestColour(), recipe)
        _check_method(Able(), recipe)
    _check_method(NearestColour(), Recipe(sampling="balanced"))


def test_other_groups_train_again_only_what_reads_them(grouped, tmp_path):
    chosen = ["continued", "group-balanced"]
    create(chosen=chosen).run(grouped, tmp_path / "run")
    moved = tuple(replace(one, groups={"place": str(i % 2)}) for i, one in enumerate(grouped.train))
    Able.trained.clear()
    create(chosen=chosen).run(replace(grouped, train=moved), tmp_path / "run")
    assert [recipe.sampling for recipe, _, _ in Able.trained] == ["group-balanced"]


def test_arms_made_for_mistakes_take_no_images_from_edits(splits, tmp_path):
    """Edits are as few as the marks that maps show."""
    edits = Arm("few", "", images=arms.ROWS["saliency-edit"].images)
    result = create(chosen=["generated+training", "oversampled-failures", edits]).run(splits, tmp_path / "run")
    alone = create(chosen=["generated+training"]).run(splits, tmp_path / "alone")
    counts = {arm.name: arm.synthetic for arm in result.report.arms}
    assert counts["generated+training"] == alone.report.arms[-1].synthetic
    reader = Reader(result.run_dir)
    kinds = {stage.kind for stage in reader.stages()}
    reader.close()
    assert StageKind.EMBED not in kinds, "nothing is retrieved"


def test_dollars_are_those_of_the_critiques_and_images_of_an_arm(splits, tmp_path):
    with Loopback(Reply("because", usage=(50, 20))) as service:
        tables = {"privacy": {"allow_upload": True}, "budget": {"usd": 5.0, "prices": PRICES}}
        result = create(critic=Posting(service.url), chosen=["continued", "generated+training"], **tables).run(
            splits, tmp_path / "run"
        )
    run = result.report.run
    usd = {cost.name: cost.usd for cost in run.arms}
    assert usd["generated+training"] == pytest.approx(run.costs.usd) and run.costs.usd > 0
    assert usd["continued"] == usd["baseline"] == 0


# -- which images


def samples(labels):
    return [Sample(id=f"{i:02}", label=label, opener=Image.new) for i, label in enumerate(labels)]


@given(
    st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), min_size=1, max_size=20), st.integers(0, 99)
)
def test_mistakes_of_a_class_in_turn_take_its_nearest_image_and_none_twice(wrong, pool, seed):
    rng = np.random.default_rng(seed)
    mistakes, images = samples(wrong), samples(pool)
    features, pool_features = rng.normal(size=(len(wrong), 4)), rng.normal(size=(len(pool), 4))
    ordered = order_by_nearness(mistakes, features, images, pool_features)
    counts = Counter(pool)
    assert Counter(one.label for one in ordered) == {label: counts[label] for label in set(wrong) if counts[label]}
    assert len({one.id for one in ordered}) == len(ordered)
    for label in set(wrong):
        of_class = [one for one in ordered if one.label == label]
        if not of_class:
            continue
        first = features[wrong.index(label)]
        cosines = pool_features @ first / np.linalg.norm(pool_features, axis=1)
        assert cosines[int(of_class[0].id)] == pytest.approx(
            max(cosines[i] for i in range(len(pool)) if pool[i] == label)
        )


def test_without_arms_that_make_images_as_many_are_retrieved_as_would_be_made(splits, tmp_path):
    result = create(chosen=["retrieved-real"]).run(splits, tmp_path / "run")
    (arm,) = (arm for arm in result.report.arms if arm.name == "retrieved-real")
    wrong = Counter(case.label for case in result.mistakes)
    assert arm.used.reserve_images == sum(min(2 * count, COUNTS["reserve"]) for count in wrong.values()) > 0


@given(st.integers(1, 30), st.integers(0, 99))
def test_the_images_of_largest_divergence_are_chosen_and_at_most_half_of_all(count, seed):
    rng = np.random.default_rng(seed)
    final, early = (Predictions(np.zeros(count, int), rng.dirichlet([1, 1, 1], count)) for _ in range(2))
    chosen = choose_disagreements(samples([0] * count), final, early)
    divergence = (final.probabilities * np.log(final.probabilities / early.probabilities)).sum(1)
    assert len(chosen) == min(500, -(-count // 2))
    taken = [int(one.id) for one in chosen]
    assert taken == sorted(taken)
    assert min(divergence[taken]) >= max(np.delete(divergence, taken), default=0) - 1e-9
    assert choose_disagreements(samples([0] * count), final, final) == []
