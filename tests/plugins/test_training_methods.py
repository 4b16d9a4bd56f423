"""Training methods beside plain training: what each minimises, what it reads, and that a training can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn

from xaiaug import TorchClassifier
from xaiaug.errors import UnsupportedRecipeError
from xaiaug.interfaces import Checkpoints, Context
from xaiaug.plugins.classifiers._augmentation import crop_view, draw_crop
from xaiaug.plugins.classifiers._dataset import TrainingDataset, number_groups
from xaiaug.plugins.classifiers._erm import LossSettings
from xaiaug.plugins.classifiers._group_dro import STEP_SIZE, GroupDroLoss
from xaiaug.plugins.classifiers._last_layer import HEAD_FITS, EmbeddedImages, Head, finetune, refit
from xaiaug.plugins.classifiers._rrr import RrrLoss, use_eager_attention
from xaiaug.plugins.classifiers._sparse_regression import fit_sparse_regression
from xaiaug.plugins.classifiers._training_methods import LOSSES
from xaiaug.plugins.classifiers.hog import HogClassifier
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import METHODS, Recipe, Sample
from xaiaug.records.training_method import PLAIN

RECIPE = Recipe(steps=12, batch_size=8, learning_rate=3e-3)
CPU = torch.device("cpu")


def vit(checkpoint: Path) -> TransformersClassifier:
    classifier = TransformersClassifier(str(checkpoint))
    classifier.prepare(Context(labels=("cat", "dog"), device="cpu"))
    return classifier


def weights_of(classifier: TransformersClassifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.module.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def left_half() -> np.ndarray:
    mask = np.zeros((32, 40), np.float32)
    mask[:, :20] = 1
    return mask


@pytest.fixture(scope="module")
def annotated(painted: Callable) -> list[Sample]:
    """Images in three groups of unequal size, whose left half is the subject; no subject is clear in every tenth."""
    return [
        replace(
            sample,
            groups={"place": "out" if index % 7 == 0 else "in"} if index % 2 else {"place": "in"},
            subject=(lambda: None) if index % 10 == 0 else left_half,
        )
        for index, sample in enumerate(painted(60))
    ]


def test_every_method_has_one_implementation_and_the_classifier_names_it() -> None:
    assert {*LOSSES, *HEAD_FITS} == set(METHODS)
    assert TransformersClassifier.training_methods | PLAIN == {*METHODS, "uniform", "balanced", "group-balanced"}
    assert all(method.source or name == "erm" for name, method in METHODS.items())
    assert {name for name, method in METHODS.items() if method.head_only} == set(HEAD_FITS)


# -- groups


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "in", "out"])), min_size=1, max_size=40))
def test_a_group_is_a_class_crossed_with_attributes_and_images_without_any_form_one_a_class(pairs) -> None:
    samples = [
        Sample(id=str(i), label=label, opener=Image.new, groups={"place": place} if place else {})
        for i, (label, place) in enumerate(pairs)
    ]
    numbers = number_groups(samples)
    assert len(set(zip(pairs, numbers.tolist(), strict=True))) == len(set(pairs)) == len(set(numbers.tolist()))
    assert sorted(set(numbers.tolist())) == list(range(len(set(pairs))))


def test_balanced_groups_are_drawn_equally_often(annotated: list[Sample]) -> None:
    dataset = TrainingDataset(annotated, (32, 32), count=90, sampling="group-balanced", seed=0)
    drawn = np.bincount([dataset[position].group for position in range(90)])
    assert drawn.tolist() == [30, 30, 30]


def dro(groups: int = 3, **settings: object) -> GroupDroLoss:
    return GroupDroLoss(LossSettings(CPU, 2, groups, **settings))


def test_group_weights_grow_with_the_loss_of_their_group_as_published() -> None:
    loss = dro()
    losses, groups = torch.tensor([1.0, 3.0, 0.5]), torch.tensor([0, 0, 1])
    found = loss.reduce(losses, torch.ones(3), {"groups": groups})
    grown = np.exp(STEP_SIZE * np.array([2.0, 0.5, 0.0])) / 3
    np.testing.assert_allclose(loss.group_weights, grown / grown.sum(), rtol=1e-6)
    assert found.item() == pytest.approx(float((grown / grown.sum()) @ [2.0, 0.5, 0.0]))


def test_the_weight_of_an_image_counts_within_its_group() -> None:
    weighted = dro().reduce(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 1.0]), {"groups": torch.tensor([0, 0])})
    assert weighted.item() == pytest.approx(7 / 4 / 3, rel=2e-2)


# -- subjects


@given(st.integers(0, 1000))
def test_a_mask_is_cropped_and_flipped_with_its_image(seed: int) -> None:
    mask = np.zeros((30, 44), np.uint8)
    mask[5:20, 8:30] = 255
    crop = draw_crop((44, 30), np.random.default_rng(seed))
    together = crop_view(Image.fromarray(np.stack([mask] * 3, axis=2)), (16, 16), crop)
    assert np.array_equal(crop_view(Image.fromarray(mask), (16, 16), crop), together[..., 0])


def test_views_carry_the_mask_of_what_is_off_the_subject(annotated: list[Sample]) -> None:
    dataset = TrainingDataset(annotated, (32, 32), count=60, sampling="uniform", seed=0)
    for position in range(60):
        item = dataset[position]
        unclear = annotated[dataset.order[position]].subject() is None
        assert item.off_subject.shape == (32, 32)
        assert (item.off_subject.max() == 0) == unclear
        if not unclear:  # one side is the subject, the other is not
            edges = sorted((item.off_subject[:, 0].mean(), item.off_subject[:, -1].mean()))
            assert edges[0] < 0.5 < edges[1]


def test_without_masks_none_is_made(painted: Callable) -> None:
    assert TrainingDataset(painted(4), (32, 32), count=4, sampling="uniform", seed=0)[0].off_subject is None


class Linear(nn.Module):
    """Logits that are a weighted sum of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nchw,kchw->nk", pixels, self.weight)


def test_the_penalty_is_the_squared_gradient_of_the_summed_log_probabilities_off_the_subject() -> None:
    module, loss = Linear(), RrrLoss(LossSettings(CPU, 2))
    off = torch.zeros(5, 4, 4)
    off[:, :, 2:] = 1
    off[0] = 0  # no clear subject: no penalty
    batch = {
        "pixels": torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)),
        "targets": torch.tensor([0, 1, 0, 1, 1]),
        "weights": torch.ones(5),
        "off_subject": off,
    }
    whole, outputs = loss.compute(module, batch)
    plain = nn.functional.cross_entropy(outputs, batch["targets"])
    shares = outputs.softmax(-1).detach()
    # The gradient of the sum over k of log p is the sum of the rows, less k times their mean by probability.
    slopes = module.weight.sum(0) - 2 * torch.einsum("nk,kchw->nchw", shares, module.weight)
    energy = slopes.square().sum(1)
    expected = np.log(2) * (energy * off).sum((1, 2)).mean() / energy.sum((1, 2)).mean()
    assert (whole - plain).item() == pytest.approx(expected.item(), rel=1e-5)
    whole.backward()
    assert module.weight.grad.abs().sum() > 0


def test_a_network_without_second_derivatives_is_refused_at_its_first_batch() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return 2 * values

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slopes):
            return 2 * slopes

    class Fused(Linear):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(Once.apply(pixels)) ** 2

    loss, batch = RrrLoss(LossSettings(CPU, 2)), {"pixels": torch.ones(2, 3, 4, 4), "targets": torch.tensor([0, 1])}
    batch |= {"weights": torch.ones(2), "off_subject": torch.ones(2, 4, 4)}
    with pytest.raises(UnsupportedRecipeError, match="rrr differentiates Fused twice"):
        loss.compute(Fused(), batch)


def test_the_weight_of_the_penalty_stays_that_of_the_first_batch() -> None:
    loss = RrrLoss(LossSettings(CPU, 2))
    energy = torch.ones(2, 4, 4)
    first = loss._penalise(energy, torch.ones(2, 4, 4))
    assert first.item() == pytest.approx(np.log(2))
    assert loss._penalise(3 * energy, torch.ones(2, 4, 4)).item() == pytest.approx(3 * np.log(2))
    other = RrrLoss(LossSettings(CPU, 2))
    other.set_state(loss.get_state())
    assert other.scale == loss.scale


def test_attention_is_eager_inside_the_block_and_as_it_was_after_it(tiny_vit: Path) -> None:
    module = vit(tiny_vit).module
    before = module.config._attn_implementation
    with pytest.raises(KeyError), use_eager_attention(module):
        assert module.config._attn_implementation == "eager" != before
        raise KeyError
    assert module.config._attn_implementation == before


def striped(index: int) -> Sample:
    """The left half, the subject, has the colour of the class in noise; the right half, striped, has it plainly."""
    pixels = np.random.default_rng(index).integers(0, 120, (32, 40, 3))
    channel = (0, 2)[index % 2]
    pixels[:, :20, channel] += 120
    pixels[:, 20:] = 255 * (np.arange(32) % 8 < 4)[:, None, None] * (np.arange(3) == channel)
    image = Image.fromarray(pixels.astype(np.uint8))
    return Sample(id=str(index), label=index % 2, opener=image.copy, subject=left_half)


def test_the_penalty_lowers_the_gradients_off_the_subject(tiny_vit: Path) -> None:
    samples, shares = [striped(index) for index in range(60)], {}
    for method in ("erm", "rrr"):
        classifier = vit(tiny_vit)
        classifier.fit(samples, [], recipe=replace(RECIPE, steps=60, method=method), seed=0)
        pixels = classifier.preprocess([sample.open() for sample in samples]).pixels.requires_grad_()
        (slopes,) = torch.autograd.grad(classifier.module(pixels).logits.log_softmax(-1).sum(), pixels)
        energy = slopes.square().sum((0, 1, 2))
        shares[method] = (energy[16:].sum() / energy.sum()).item()
        assert classifier.module.config._attn_implementation == "sdpa"
    assert shares["rrr"] < 0.6 * shares["erm"], shares


def test_images_without_a_clear_subject_are_counted(tiny_vit: Path, annotated: list[Sample]) -> None:
    (note,) = vit(tiny_vit).fit(annotated, [], recipe=replace(RECIPE, steps=1, method="rrr"), seed=0).notes
    assert note == "no subject is clear in 6 of 60 training images: these carry no penalty."


# -- resumed trainings


class CutOffError(Exception):
    """As if the process had ended."""


class Cutting(list[Sample]):
    """Images of which so many can be opened."""

    left = 10_000

    def __getitem__(self, index):
        if isinstance(index, int):
            self.left -= 1
            if self.left < 0:
                raise CutOffError
        return super().__getitem__(index)


@pytest.mark.parametrize("changes", [{"method": "group-dro", "sampling": "group-balanced"}, {"method": "rrr"}])
def test_a_training_that_was_killed_ends_as_one_that_was_not(
    changes: dict, tiny_vit: Path, annotated: list[Sample], tmp_path: Path
) -> None:
    recipe, samples = replace(RECIPE, **changes), Cutting(annotated)

    def fit(checkpoints: Checkpoints | None = None):
        classifier = vit(tiny_vit)
        history = classifier.fit(samples, annotated[:8], recipe=recipe, seed=3, checkpoints=checkpoints)
        return history, weights_of(classifier)

    history, weights = fit()
    checkpoints = Checkpoints(tmp_path / "kept", 3)
    samples.left = 150 if recipe.method == "group-dro" else 230  # looks at an image: two, and a third for its mask
    with pytest.raises(CutOffError):
        fit(checkpoints)
    assert list(checkpoints.folder.glob("checkpoint-*"))
    samples.left = 10_000
    resumed_history, resumed = fit(checkpoints)
    assert resumed_history == history
    assert equal(resumed, weights)


# -- the last layer


def test_sparse_regression_finds_what_liblinear_finds() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 12))
    labels = (features[:, 0] + 0.5 * features[:, 1] + rng.normal(size=80) > 0.3).astype(int)
    weights = rng.uniform(0.5, 2, 80)
    found = fit_sparse_regression(features, labels, weights, np.zeros((2, 13)), strength=0.3)
    own = LogisticRegression(l1_ratio=1, C=0.3, solver="liblinear", intercept_scaling=1e4, tol=1e-8, max_iter=5000)
    own.fit(features, labels, sample_weight=weights)
    np.testing.assert_allclose(found[1, :-1] - found[0, :-1], own.coef_[0], atol=5e-3)
    assert found[1, -1] - found[0, -1] == pytest.approx(own.intercept_[0], abs=5e-3)
    assert (np.abs(found[:, :-1]) < 1e-9).sum() > 6, "an L1 penalty leaves few coefficients"


def shortcut(count: int, conflicts: int, seed: int = 0) -> EmbeddedImages:
    """Embeddings of a weak feature of the class, and of a strong one that conflicts with it in a few images."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    conflict = np.arange(count) < conflicts
    core, spurious = 2.0 * labels - 1, (2.0 * labels - 1) * np.where(conflict, -1, 1)
    features = np.stack([core + rng.normal(0, 1, count), 3 * spurious + rng.normal(0, 0.1, count)], axis=1)
    return EmbeddedImages(features, labels, np.ones(count), 2 * labels + conflict)


def worst_group(head: Head, images: EmbeddedImages) -> float:
    right = head.predict(images.features).argmax(1) == images.labels
    return min(right[images.strata == group].mean() for group in np.unique(images.strata))


def test_a_refit_on_balanced_groups_leaves_the_shortcut_and_one_on_balanced_classes_does_not() -> None:
    images, test = shortcut(300, 16), shortcut(400, 200, seed=1)
    by_class = replace(images, strata=images.labels)
    start = Head(np.zeros((2, 2)), np.zeros(2))
    assert worst_group(refit(start, images, 0), test) > 0.75
    assert worst_group(refit(start, by_class, 0), test) < 0.5


def test_a_finetuned_layer_starts_from_the_present_one() -> None:
    images = shortcut(64, 32)
    far = Head(np.array([[0.0, -100.0], [0.0, 100.0]]), np.zeros(2))
    assert np.abs(finetune(far, images, 0).weights - far.weights).max() < 90
    assert worst_group(finetune(Head(np.zeros((2, 2)), np.zeros(2)), images, 0), shortcut(400, 200, seed=1)) > 0.75


@pytest.mark.parametrize("method", sorted(HEAD_FITS))
def test_only_the_last_layer_is_trained(
    method: str, tiny_vit: Path, annotated: list[Sample], painted: Callable
) -> None:
    classifier, validation = vit(tiny_vit), painted(20, seed=5)
    before = weights_of(classifier)
    recipe = replace(RECIPE, method=method, sampling="balanced")
    history = classifier.fit(annotated, validation, recipe=recipe, seed=0)
    after = weights_of(classifier)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    predicted = classifier.predict_proba([sample.open() for sample in validation]).argmax(1)
    accuracy = (predicted == [sample.label for sample in validation]).mean()
    assert accuracy > 0.9
    assert history.validation_accuracy == (pytest.approx(accuracy),)
    again = vit(tiny_vit)
    assert again.fit(annotated, validation, recipe=recipe, seed=0) == history
    assert equal(weights_of(again), after)


def test_a_small_group_is_told(tiny_vit: Path, annotated: list[Sample]) -> None:
    recipe = replace(RECIPE, method="last-layer", sampling="group-balanced")
    (note,) = vit(tiny_vit).fit(annotated, [], recipe=recipe, seed=0).notes
    assert "the smallest group has 4 images, and each of the 3" in note


def test_every_family_refits_its_last_layer(tmp_path: Path, painted: Callable) -> None:
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path)
    transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(tmp_path)
    classifier = TransformersClassifier(str(tmp_path))
    classifier.prepare(Context(labels=("red", "blue", "green"), device="cpu"))
    samples = painted(60, classes=3)
    classifier.fit(samples, [], recipe=replace(RECIPE, method="last-layer", sampling="balanced"), seed=0)
    predicted = classifier.predict_proba([sample.open() for sample in samples]).argmax(1)
    assert (predicted == [sample.label for sample in samples]).mean() > 0.9


class Averages(nn.Module):
    """A linear layer on the mean colours of the quarters of an image."""

    def __init__(self, outputs: int = 2, scale: float = 1.0) -> None:
        super().__init__()
        self.head = nn.Linear(12, outputs)
        self.scale = scale

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.scale * self.head(nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1))


def to_pixels(images) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1) / 255 for image in images])


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("order", [("cat", "dog"), ("dog", "cat")])
def test_the_last_layer_of_any_network_is_trained_without_a_function_to_train_it(
    outputs: int, order: tuple[str, str], painted: Callable, tmp_path: Path
) -> None:
    module = Averages(outputs)
    classifier = TorchClassifier(module, to_pixels, ("cat", "dog"))
    classifier.prepare(Context(labels=order, device="cpu"))
    samples = painted(40)
    for method in HEAD_FITS:
        fork = classifier.fork()
        history = fork.fit(samples, samples, recipe=replace(RECIPE, method=method, sampling="balanced"), seed=0)
        assert history.validation_accuracy[0] > 0.9
        predicted = fork.predict_proba([sample.open() for sample in samples]).argmax(1)
        assert (predicted == [sample.label for sample in samples]).mean() == pytest.approx(history.train_accuracy[0])
        fork.save(tmp_path / method)
        loaded = TorchClassifier.load(tmp_path / method)
        assert np.array_equal(loaded.predict_proba([samples[0].open()]), fork.predict_proba([samples[0].open()]))


def test_a_network_that_changes_what_its_last_layer_gives_is_refused(painted: Callable) -> None:
    classifier = TorchClassifier(Averages(scale=0.2), to_pixels, ("cat", "dog"))
    with pytest.raises(UnsupportedRecipeError, match="not the softmax of what its last linear layer gives"):
        classifier.fit(painted(8), [], recipe=replace(RECIPE, method="last-layer"), seed=0)


def test_a_function_is_handed_images_in_balanced_shares(annotated: list[Sample]) -> None:
    seen = []

    def fit(module, train, validation, *, recipe, seed):
        seen.append((number_groups(train), recipe.sampling))

    classifier = TorchClassifier(Averages(), to_pixels, ("cat", "dog"), fit)
    classifier.fit(annotated, [], recipe=replace(RECIPE, sampling="group-balanced"), seed=0)
    ((groups, sampling),) = seen
    assert np.bincount(groups).tolist() == [32, 32, 32] and sampling == "uniform"


def test_histograms_weigh_their_images_by_group(painted: Callable) -> None:
    samples = [replace(sample, groups={"place": "in" if i < 30 else "out"}) for i, sample in enumerate(painted(40))]
    found = []
    for sampling in ("uniform", "group-balanced"):
        classifier = HogClassifier()
        classifier.prepare(Context(labels=("cat", "dog")))
        classifier.fit(samples, [], recipe=replace(RECIPE, sampling=sampling), seed=0)
        found.append(classifier.predict_proba([samples[0].open()]))
    assert not np.allclose(*found)


# -- refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "group-dro"}, "needs training images with groups"),
        ({"sampling": "group-balanced"}, "sampling = 'group-balanced' needs training images with groups"),
        ({"method": "rrr"}, "needs masks of the subjects"),
        ({"method": "last-layer", "adapter": "lora"}, "the last layer alone"),
        ({"method": "last-layer", "augment": "cutmix"}, "not 'cutmix'"),
        ({"method": "group-dro", "augment": "cutmix"}, "not 'cutmix'"),
        ({"method": "rrr", "augment": "randaugment"}, "not 'randaugment'"),
        ({"class_weights": (1.0,)}, "2 classes"),
    ],
)
def test_a_method_without_what_it_reads_is_refused_before_training(
    changes: dict, words: str, tiny_vit: Path, painted: Callable
) -> None:
    classifier = vit(tiny_vit)
    before = weights_of(classifier)
    with pytest.raises(UnsupportedRecipeError, match=words):
        classifier.fit(painted(8), [], recipe=replace(RECIPE, **changes), seed=0)
    assert equal(before, weights_of(classifier))


def test_a_class_without_images_is_refused_by_name(tiny_vit: Path, painted: Callable) -> None:
    cats = [sample for sample in painted(8) if sample.label == 0]
    for method in HEAD_FITS:
        with pytest.raises(UnsupportedRecipeError, match="without any: dog"):
            vit(tiny_vit).fit(cats, [], recipe=replace(RECIPE, method=method), seed=0)


def test_a_processor_that_moves_pixels_unseen_is_refused_where_masks_must_follow(
    tiny_vit: Path, tmp_path: Path, annotated: list[Sample]
) -> None:
    transformers.ViTForImageClassification.from_pretrained(tiny_vit).save_pretrained(tmp_path)
    # Turns the channels around, which its settings do not tell.
    transformers.MobileViTImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedRecipeError, match="follows masks through the image processor"):
        vit(tmp_path).fit(annotated, [], recipe=replace(RECIPE, method="rrr"), seed=0)
