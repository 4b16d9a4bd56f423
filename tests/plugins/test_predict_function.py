"""A function from images to probabilities is diagnosed, keyed by what it answers, and never trained."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import xaiaug
from xaiaug import Context, FeedbackLoop, PredictClassifier, Recipe, Splits, TorchClassifier, diagnose, load
from xaiaug.errors import ConfigError, DataError, PluginError, UnsupportedRecipeError
from xaiaug.testing import small_folder
from xaiaug.testing.checks.items import LABELS as KIT_LABELS
from xaiaug.testing.conformance import run_checks

LABELS = ("dark", "lit")
SOURCE = """
import numpy as np

def predict(images):
    lit = np.array([np.asarray(image)[:8, :8].mean() / 255 for image in images])
    return np.stack([1 - lit, lit], axis=1)

not_a_function = 3
"""


def read_patch(images: list[Image.Image]) -> np.ndarray:
    """The brightness of the upper left corner, and nothing else."""
    lit = np.array([np.asarray(image)[:8, :8].mean() / 255 for image in images])
    return np.stack([1 - lit, lit], axis=1)


def noise(count: int = 3, mode: str = "RGB") -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [
        Image.fromarray(generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)).convert(mode) for _ in range(count)
    ]


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_function.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "own_function", raising=False)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images in train, guide and test folders of two classes, which no corner tells apart."""
    return Path(small_folder(tmp_path / "photos"))


# -- what it predicts


def test_it_gives_what_the_function_gives_in_batches_as_rgb() -> None:
    asked = []

    def predict(images: list[Image.Image]) -> np.ndarray:
        asked.append([image.mode for image in images])
        return read_patch(images)

    classifier = PredictClassifier(predict, LABELS, batch_size=2)
    found = classifier.predict_proba(noise(5, "L"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, read_patch([image.convert("RGB") for image in noise(5, "L")]), atol=1e-6)
    assert asked == [["RGB"] * 2, ["RGB"] * 2, ["RGB"]]
    assert classifier.predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize("kind", [lambda values: values.tolist(), lambda values: torch.tensor(values).requires_grad_()])
def test_lists_and_tensors_are_taken(kind: Callable[[np.ndarray], object]) -> None:
    classifier = PredictClassifier(lambda images: kind(read_patch(images)), LABELS)
    np.testing.assert_allclose(classifier.predict_proba(noise()), read_patch(noise()), atol=1e-6)


def test_labels_in_another_order_reorder_its_columns() -> None:
    classifier = PredictClassifier(read_patch, LABELS)
    classifier.prepare(Context(labels=("lit", "dark")))
    np.testing.assert_allclose(classifier.predict_proba(noise()), read_patch(noise())[:, ::-1], atol=1e-6)
    classifier.prepare(Context(labels=LABELS))
    np.testing.assert_allclose(classifier.predict_proba(noise()), read_patch(noise()), atol=1e-6)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda n: np.zeros((n, 3)), r"shape \(3, 2\) \(n k\) for the labels dark, lit, got \(3, 3\)"),
        (lambda n: np.full(n, 0.5), r"got \(3,\); of one probability p for an image make two, 1 - p and p"),
        (lambda n: np.full((n, 1), 0.5), "make two, 1 - p and p"),
        (lambda n: np.full((n, 2), 0.9), "rows that sum to 1.*sums from 1.8 to 1.8.*several labels"),
        (lambda n: np.tile([-2.0, 3.0], (n, 1)), "from -2 to 3.*Of logits return the softmax"),
        (lambda n: np.tile([np.nan, 1.0], (n, 1)), "not finite for 3 images"),
        (lambda n: None, r"shape \(3, 2\) .* got \(\)"),
        (lambda n: "no", "must return an array n k, got str"),
        (lambda n: np.tile([0.5, 0.5], (n - 1, 1)), r"got \(2, 2\)"),
    ],
)
def test_what_is_no_probability_is_refused(answer: Callable[[int], object], words: str) -> None:
    with pytest.raises(PluginError, match=words) as caught:
        PredictClassifier(lambda images: answer(len(images)), LABELS).predict_proba(noise())
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("cat", "list of names"),
        (["cat"], "two classes or more"),
        (["a", "b", "a"], "several: a"),
        ([1, 2], "two classes"),
    ],
)
def test_labels_that_name_no_classes_are_refused(labels: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PredictClassifier(read_patch, labels)


def test_labels_of_the_data_that_are_others_are_refused_in_few_words() -> None:
    with pytest.raises(ConfigError, match="has 2 labels, dark, lit; the data have 1000, 0, 1") as caught:
        PredictClassifier(read_patch, LABELS).prepare(Context(labels=tuple(map(str, range(1000)))))
    assert len(str(caught.value)) < 400


def test_it_keeps_the_rules_of_a_classifier(own: Path) -> None:
    outcomes = run_checks(lambda: PredictClassifier("own_function:predict", list(KIT_LABELS)))
    assert [outcome for outcome in outcomes if not outcome.ok] == []


# -- what it is known by


def test_it_is_keyed_by_its_source_the_values_it_closes_over_and_what_it_answers() -> None:
    def scaled(factor: float) -> Callable[[list[Image.Image]], np.ndarray]:
        return lambda images: read_patch(images) ** factor / (read_patch(images) ** factor).sum(1, keepdims=True)

    first, other, again = (PredictClassifier(scaled(factor), LABELS).identity() for factor in (1.0, 2.0, 1.0))
    assert first == again != other
    assert PredictClassifier(read_patch, ("a", "b")).identity() != PredictClassifier(read_patch, LABELS).identity()


def test_other_weights_behind_the_same_function_are_another_key() -> None:
    class Model:
        weight = 1.0

        def __call__(self, images: list[Image.Image]) -> np.ndarray:
            lit = read_patch(images)[:, 1] * self.weight
            return np.stack([1 - lit, lit], axis=1)

        def __repr__(self) -> str:
            return "a model"

    light, heavy = Model(), Model()
    heavy.weight = 0.5
    assert PredictClassifier(light, LABELS).identity() != PredictClassifier(heavy, LABELS).identity()
    assert PredictClassifier(light, LABELS).identity() == PredictClassifier(Model(), LABELS).identity()


def test_a_named_one_travels_and_loads_in_another_process(own: Path, tmp_path: Path) -> None:
    classifier = PredictClassifier("own_function:predict", LABELS)
    classifier.prepare(Context(labels=("lit", "dark")))
    classifier.save(tmp_path)
    expected = classifier.predict_proba(noise(1))
    np.testing.assert_array_equal(PredictClassifier.load(tmp_path).predict_proba(noise(1)), expected)
    assert pickle.loads(pickle.dumps(classifier)).parameters() == classifier.parameters()  # noqa: S301
    code = (
        f"import sys; sys.path.insert(0, {str(own)!r})\nimport xaiaug, numpy as np\nfrom PIL import Image\n"
        f"c = xaiaug.PredictClassifier.load({str(tmp_path)!r})\n"
        "print(c.labels, c.predict_proba([Image.new('RGB', (9, 9), 'white')]).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('lit', 'dark') [[1.0, 0.0]]"


def test_a_live_one_loads_in_its_process_alone(tmp_path: Path) -> None:
    classifier = PredictClassifier(functools.partial(read_patch), LABELS)
    classifier.fork().save(tmp_path)
    np.testing.assert_array_equal(
        PredictClassifier.load(tmp_path).predict_proba(noise()), classifier.predict_proba(noise())
    )
    with pytest.raises(ConfigError, match="predict are live objects"):
        pickle.dumps(classifier)
    del classifier
    with pytest.raises(ConfigError, match="PredictClassifier: predict are live objects"):
        PredictClassifier.load(tmp_path)


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        ("own_function", "of the form"),
        ("own_function:no_such", "PredictClassifier: cannot import"),
        ("own_function:not_a_function", "must be a function"),
        (3, "must be a function"),
    ],
)
def test_what_leads_to_no_function_is_refused(own: Path, predict: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PredictClassifier(predict, LABELS).prepare(Context())


# -- in a loop


def test_it_is_diagnosed_with_maps_and_critiques(photos: Path, tmp_path: Path) -> None:
    labels = Splits.from_folder(photos).labels
    result = diagnose(read_patch, photos, tmp_path / "run", labels=labels, most=2)
    assert len(result.mistakes) == 2
    assert {case.method for case in result.mistakes} == {"occlusion"}
    assert all(case.critique is not None for case in result.mistakes)
    again = diagnose(read_patch, photos, tmp_path / "run", labels=labels, most=2)
    assert [case.id for case in again.mistakes] == [case.id for case in result.mistakes]


def test_a_function_without_labels_and_what_is_no_classifier_are_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give labels="):
        diagnose(read_patch, photos, tmp_path)
    with pytest.raises(ConfigError, match="TorchClassifier"):
        diagnose(torch.nn.Linear(2, 2), photos, tmp_path, labels=LABELS)
    with pytest.raises(ConfigError, match="needs a checkpoint"):
        diagnose(3, photos, tmp_path)
    with pytest.raises(ConfigError, match="labels of its own"):
        diagnose(PredictClassifier(read_patch, LABELS), photos, tmp_path, labels=LABELS)
    with pytest.raises(ConfigError, match="names its own classes"):
        diagnose(photos, photos, tmp_path, labels=LABELS)


def test_of_more_classes_than_folders_those_that_are_there_are_diagnosed(photos: Path, tmp_path: Path) -> None:
    def predict(images: list[Image.Image]) -> np.ndarray:
        return np.tile([0.6, 0.3, 0.1], (len(images), 1))

    result = diagnose(predict, photos, tmp_path / "run", labels=["fox", "dog", "cat"], most=2, explainer="random")
    assert {case.predicted for case in result.mistakes} == {"fox"}
    with pytest.raises(ConfigError, match="has 3 labels, fox, hen, cat; the data have 2, cat, dog"):
        diagnose(predict, photos, tmp_path / "other", labels=["fox", "hen", "cat"])


def test_images_of_more_than_8_bits_are_refused() -> None:
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    with pytest.raises(DataError, match="more than 8 bits"):
        PredictClassifier(read_patch, LABELS).predict_proba([deep])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_is_white_as_it_is_in_files(mode: str) -> None:
    hidden = Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert(mode)
    (row,) = PredictClassifier(read_patch, LABELS).predict_proba([hidden])
    assert row[LABELS.index("lit")] == pytest.approx(1)


def untrained(**experiment: object) -> FeedbackLoop:
    labels = ("cat", "dog")
    tables = {"experiment": {"fit_baseline": False, **experiment}, "mistakes": {"max": 2, "faithfulness": 0}}
    return FeedbackLoop(PredictClassifier(read_patch, labels), "random", settings=tables, images_per_mistake=1)


def test_its_loop_makes_images_and_is_refused_early_where_it_would_train(photos: Path, tmp_path: Path) -> None:
    splits = Splits.from_folder(photos)
    assert set(splits.labels) == {"cat", "dog"}
    result = untrained().run(splits, tmp_path / "run", until="images")
    assert result.report.images.kept > 0
    for loop, until, words in (
        (untrained(), "report", "generated-only, generated.training, continued would train it: end the run earlier"),
        (untrained(rounds=2), "images", "would train it"),
        (untrained(fit_baseline=True), "mistakes", "fit_baseline = false"),
    ):
        with pytest.raises(UnsupportedRecipeError, match=words):
            loop.run(splits, tmp_path / "refused", until=until)
    assert not (tmp_path / "refused").exists()
    report = untrained(arms=["baseline"]).run(splits, tmp_path / "baseline", until="report").report
    assert [arm.name for arm in report.arms] == ["baseline"]


def test_training_it_is_refused() -> None:
    with pytest.raises(UnsupportedRecipeError, match="cannot be trained"):
        PredictClassifier(read_patch, LABELS).fit([], [], recipe=Recipe(), seed=0)


def see(images: list[Image.Image]) -> torch.Tensor:
    arrays = [np.asarray(image.resize((8, 8)), np.float32) / 255 for image in images]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def step(module: torch.nn.Module, train: object, validation: object, *, recipe: Recipe, seed: int) -> None:
    optimizer = torch.optim.SGD(module.parameters(), recipe.learning_rate)
    module(see([sample.open() for sample in train[:4]])).logsumexp(1).sum().backward()
    optimizer.step()


def small_network() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        return torch.nn.Sequential(*layers, torch.nn.Linear(4, 2))


def test_a_network_of_ones_own_is_diagnosed_and_runs_to_the_end(photos: Path, tmp_path: Path) -> None:
    splits = Splits.from_folder(photos)
    found = diagnose(TorchClassifier(small_network(), see, splits.labels), photos, tmp_path / "diagnosed", most=2)
    assert {case.method for case in found.mistakes} == {"grad-cam"}
    tables = {
        "mistakes": {"max": 2, "faithfulness": 0},
        "experiment": {"fit_baseline": False, "arms": ["continued"]},
    }
    loop = FeedbackLoop(
        TorchClassifier(small_network(), see, splits.labels, step),
        settings=tables,
        images_per_mistake=1,
        recipe=Recipe(steps=1, batch_size=2),
    )
    assert {arm.name for arm in loop.run(splits, tmp_path / "run").report.arms} == {"baseline", "continued"}
    without = FeedbackLoop(TorchClassifier(small_network(), see, splits.labels), settings=tables)
    with pytest.raises(UnsupportedRecipeError, match="cannot be trained"):
        without.run(splits, tmp_path / "refused")


def test_public_names_are_the_plugins_own() -> None:
    assert xaiaug.PredictClassifier is PredictClassifier
    assert load("classifier", "hog").trainable and not PredictClassifier(read_patch, LABELS).trainable
    with pytest.raises(DataError):
        PredictClassifier.load("/no/such/folder")
