"""Labels are checked by another classifier, which is believed only as far as the guide's mistakes bear it out."""

import json

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, mean_colour, paint_folder
from PIL import Image

from xaiaug import Classifier, Context, FeedbackLoop, Recipe, Splits
from xaiaug.curation import ImageFilter, Judge, near_duplicate_threshold
from xaiaug.errors import ConfigError, OfflineError
from xaiaug.loop.judge import create_judge
from xaiaug.registry import registry
from xaiaug.results.maintenance import verify


class Brightness(Classifier):
    """Says "dog" of bright images with the probability of their brightness; embeds the colour."""

    def fit(self, train, validation, *, recipe, seed):
        raise NotImplementedError

    def predict_proba(self, images):
        bright = np.array([mean_colour(image).mean() for image in images], np.float32)
        return np.stack([1 - bright, bright], axis=1)

    def embed(self, images):
        return np.stack([mean_colour(image) for image in images])

    def save(self, folder): ...

    @classmethod
    def load(cls, folder):
        return cls()

    def fork(self):
        return type(self)()


def plain(level: int, side: int = 32) -> Image.Image:
    noise = np.random.default_rng(level).integers(-8, 9, (side, side, 3))
    return Image.fromarray(np.clip(level + noise, 0, 255).astype(np.uint8))


def make_filter(*checks, admitted=True, alike=None, loads=None):
    def load():
        if loads is not None:
            loads.append(1)
        return Brightness()

    return ImageFilter(checks, judge=Judge("brightness", ("cat", "dog"), load, "key", admitted, alike))


def test_an_image_of_another_class_is_rejected_where_the_judge_is_sure() -> None:
    images = [plain(level) for level in (20, 100, 150, 235)]
    as_cat = make_filter("label").check(images, labels=["cat"] * 4)
    assert [verdict.kept for verdict in as_cat] == [True, True, True, False]
    assert as_cat[3].check == "label" and 0 < as_cat[3].score < 0.2
    assert as_cat[3].reason.startswith("made as cat, but brightness predicts dog (9")
    as_dog = make_filter("label").check(images, labels=["dog"] * 4)
    assert [verdict.kept for verdict in as_dog] == [False, True, True, True]


def test_a_judge_that_is_not_admitted_or_not_told_the_label_rejects_nothing() -> None:
    images = [plain(235)]
    assert make_filter("label", admitted=False).check(images, labels=["cat"])[0].kept
    assert make_filter("label").check(images)[0].kept
    assert ImageFilter(["label"]).check(images, labels=["cat"])[0].kept
    assert make_filter("constant").check(images, labels=["cat"])[0].kept
    assert make_filter("label", "alike", admitted=False).active_checks == ("broken",)
    assert make_filter("label", "alike", alike=0.9).active_checks == ("broken", "label", "alike")
    assert ImageFilter(["label", "repeat"]).active_checks == ("broken", "repeat")


def test_a_judge_is_loaded_only_when_asked_and_never_sees_a_broken_image() -> None:
    loads: list[int] = []
    images = [Image.new("L", (32, 32)), plain(235), Image.new("RGB", (2, 2)), plain(20)]
    verdicts = make_filter("label", loads=loads).check(images, labels=["cat", "cat", "cat", "dog"])
    assert [verdict.check for verdict in verdicts] == ["broken", "label", "broken", "label"]
    assert loads == [1]
    make_filter("broken", loads=loads).check(images, labels=["cat"] * 4)
    assert loads == [1]


def test_images_whose_embeddings_are_alike_count_as_one_within_and_between_batches() -> None:
    def colours(*values):
        return [Image.fromarray(np.tile(np.array(v, np.uint8), (32, 32, 1))) for v in values]

    images = colours((200, 10, 10), (190, 10, 12), (10, 200, 10), (200, 150, 10))
    alike = make_filter("alike", alike=0.99)
    verdicts = alike.check(images)
    assert [verdict.kept for verdict in verdicts] == [True, False, True, True]
    assert verdicts[1].check == "alike" and verdicts[1].score > 0.99
    assert verdicts[1].reason.startswith("near-duplicate of synthetic image 1 (brightness embeddings, ")
    seen = [verdict.fingerprint for verdict in verdicts if verdict.kept]
    assert [verdict.kept for verdict in alike.check(images, seen)] == [False] * 4
    assert all(verdict.kept for verdict in make_filter("alike", alike=None).check(images))
    both = make_filter("repeat", "alike", alike=0.99)
    first = both.check(images[:1])
    assert both.check(images[1:], [first[0].fingerprint]) == both.check(images)[1:]


def test_how_alike_images_may_be_is_learned_from_distinct_ones_between_two_bounds() -> None:
    angles = np.radians([0, 20, 90])
    spread = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert near_duplicate_threshold(spread) == pytest.approx(np.cos(np.radians(20)), abs=1e-6)
    assert near_duplicate_threshold(np.eye(4, dtype=np.float32)) == pytest.approx(0.9)
    assert near_duplicate_threshold(np.ones((3, 2), np.float32)) == pytest.approx(0.97)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 24, "guide": 30, "validation": 4, "test": 12})


def loop(classifier=None, arms=("generated+training", "unfiltered"), **curation):
    return FeedbackLoop(
        classifier or NearestColour(),
        Ramp(),
        ColourCritic(),
        Painter(),
        arms=list(arms),
        recipe=Recipe(steps=3, batch_size=8),
        images_per_mistake=1,
        settings={"curation": curation},
    )


def go(folder, run_dir, until="images", **curation):
    return loop(**curation).run(Splits.from_folder(folder), run_dir, until=until)


def notes(result):
    return " ".join(note.text for note in result.report.notes)


def test_the_judge_of_this_run_is_off_with_a_warning_where_it_fails_on_the_mistakes(folder, tmp_path):
    told = []
    result = loop().run(Splits.from_folder(folder), tmp_path / "run", until="images", watch=told.append)
    judge = result.report.images.judge
    assert judge.name == "hog" and judge.trained_on == "this run's training images"
    assert judge.of == len(result.mistakes) and judge.right < 0.8 * judge.of and judge.admitted is False
    assert f"hog gets {judge.right} of {judge.of} mistakes right, and 80% are needed" in notes(result)
    assert any(step.note == f"hog gets {judge.right} of {judge.of} mistakes right: off" for step in told)
    assert "label" not in result.report.images.rejected
    assert verify(result.run_dir) == []
    before = json.loads((result.run_dir / "report.json").read_text())
    again = json.loads((go(folder, tmp_path / "run").run_dir / "report.json").read_text())
    assert {**again, "run": 0} == {**before, "run": 0}


class Knowing(NearestColour):
    """Knows the mean colours of the painted world without training."""

    def __init__(self, turned: bool = False) -> None:
        super().__init__(20.0)
        self.turned = turned

    def parameters(self):
        return {"turned": self.turned}

    def prepare(self, context: Context) -> None:
        super().prepare(context)
        red = np.array([[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]], np.float32)
        order = {"red": 0, "blue": 1}
        self.means = red[[order.get(label, index) for index, label in enumerate(context.labels)]]

    def fork(self):
        made = type(self)(self.turned)
        made.labels, made.means = self.labels, self.means
        return made


@pytest.fixture
def known(monkeypatch):
    """The classifier "knowing" is registered for this test."""
    real = registry().create

    def create(kind, name, parameters=None):
        if name == "knowing":
            return Knowing(**(parameters or {}))
        return real(kind, name, parameters)

    monkeypatch.setattr(type(registry()), "create", lambda self, kind, name, parameters: create(kind, name, parameters))


def test_a_judge_given_by_name_is_used_and_its_data_must_be_declared(folder, tmp_path, known):
    undeclared = go(folder, tmp_path / "run", judge={"name": "knowing"})
    judge = undeclared.report.images.judge
    assert judge.admitted and judge.of and judge.trained_on == ""
    assert "training data of the judge knowing are not declared" in notes(undeclared)
    declared = go(folder, tmp_path / "other", judge={"name": "knowing", "trained_on": "paint charts"})
    assert declared.report.images.judge.trained_on == "paint charts"
    assert "undeclared" not in notes(declared)


def test_a_run_without_the_checks_that_ask_has_no_judge(folder, tmp_path):
    result = go(folder, tmp_path / "run", checks=["constant", "repeat"])
    assert result.report.images.judge is None and not (result.run_dir / "models/curation-judge").exists()
    result = go(folder, tmp_path / "other", checks=["alike"])
    assert result.report.images.judge.admitted is None and "label check" not in notes(result)


def test_the_classifier_that_is_improved_cannot_judge(known):
    with pytest.raises(ConfigError, match="judge: knowing, which is the classifier that made the mistakes"):
        loop(Knowing(), judge={"name": "knowing"})
    with pytest.raises(ConfigError, match='"auto" fits hog, which is the classifier .* Name another one, such as zero'):
        loop("hog")
    loop(Knowing(), judge={"name": "knowing", "turned": True})
    loop(Knowing(), judge={"name": "knowing"}, checks=["constant"])


def test_a_judge_that_does_not_exist_or_may_not_be_asked_is_told_at_once(known, monkeypatch):
    with pytest.raises(Exception, match="Did you mean 'zero-shot'"):
        loop(judge="zeroshot")
    monkeypatch.setattr(Knowing, "remote", True)
    with pytest.raises(OfflineError, match="allow_upload"):
        loop(judge="knowing")
    assert create_judge(loop(checks=[]).settings, NearestColour()) is None
