"""The transformers classifier: any family, any label order, exact budgets, no trace outside itself."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Splits
from xaiaug.errors import ConfigError, DataError, NotFittedError, UnsupportedRecipeError
from xaiaug.interfaces import Context, TorchModel
from xaiaug.plugins.classifiers._dataset import TrainingDataset, draw_order
from xaiaug.plugins.classifiers._preprocessor import Preprocessor
from xaiaug.plugins.classifiers.transformers import TransformersClassifier
from xaiaug.records import History, Recipe, Sample

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
QUICK = Recipe(steps=6, batch_size=8, learning_rate=3e-3)


def opened(samples: Sequence[Sample]) -> list[Image.Image]:
    return [sample.open() for sample in samples]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def ready(checkpoint: Path, labels: tuple[str, ...] = ("cat", "dog"), **parameters: object) -> TransformersClassifier:
    classifier = TransformersClassifier(str(checkpoint), **parameters)
    classifier.prepare(Context(labels=labels, device="cpu"))
    return classifier


@pytest.fixture
def vit(tiny_vit: Path) -> TransformersClassifier:
    return ready(tiny_vit)


@pytest.fixture(scope="session")
def backbone(tiny_vit: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny ViT without its head."""
    folder = tmp_path_factory.mktemp("backbone")
    transformers.ViTModel.from_pretrained(tiny_vit, add_pooling_layer=False).save_pretrained(folder)
    transformers.AutoImageProcessor.from_pretrained(tiny_vit).save_pretrained(folder)
    return folder


class Streamed(Sequence):
    """Images that exist one at a time; remembers how many were alive at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.opened = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Image.Image:
        if index >= self.count:
            raise IndexError(index)
        self.opened += 1
        return noise(20 + index % 3, 24, index)


FAMILIES: dict[str, Callable[[], tuple[object, object]]] = {
    "mobilenet": lambda: (
        transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=32, num_labels=2),
        transformers.MobileNetV2ImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}),
    ),
    "resnet": lambda: (
        transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}, crop_pct=0.875),
    ),
    "convnext": lambda: (
        transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=32),
        transformers.ConvNextImageProcessorPil(size={"shortest_edge": 32}),
    ),
    "dinov2": lambda: (
        transformers.Dinov2Config(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
        ),
        transformers.BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}),
    ),
    "swin": lambda: (
        transformers.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
        ),
        transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}),
    ),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    config, processor = FAMILIES[request.param]()
    config.id2label, config.label2id = {0: "cat", 1: "dog"}, {"cat": 0, "dog": 1}
    model = transformers.AutoModelForImageClassification.from_config(config)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    return tmp_path


# -- a checkpoint as it is


def test_a_trained_head_predicts_as_the_library_does(vit: TransformersClassifier, tiny_vit: Path) -> None:
    images = [noise(50, 30), noise(32, 32, 1), noise(9, 80, 2)]
    model = transformers.ViTForImageClassification.from_pretrained(tiny_vit).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(tiny_vit)
    with torch.inference_mode():
        expected = model(**processor(images, return_tensors="pt")).logits.softmax(-1).numpy()
    found = vit.predict_proba(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert vit.labels == ("cat", "dog")
    assert isinstance(vit, TorchModel)


def test_every_family_predicts_trains_and_keeps_its_weights(family: Path, painted: Callable, tmp_path: Path) -> None:
    classifier = ready(family, ("cat", "dog", "bird"))
    assert classifier.predict_proba([noise(40, 33)]).shape == (1, 2)
    classifier.fit(painted(12, classes=3), [], recipe=replace(QUICK, steps=2), seed=0)
    images = [noise(64, 40), noise(40, 64, 1)]
    found = classifier.predict_proba(images)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    classifier.save(tmp_path / "kept")
    np.testing.assert_array_equal(TransformersClassifier.load(tmp_path / "kept").predict_proba(images), found)
    assert classifier.embed(images).shape[0] == 2


def test_the_head_reads_the_embedding(vit: TransformersClassifier) -> None:
    images = [noise(50, 30), noise(32, 32, 1)]
    features = torch.from_numpy(vit.embed(images))
    assert features.shape == (2, 16)
    expected = vit.module.classifier(features).softmax(-1).detach().numpy()
    np.testing.assert_allclose(vit.predict_proba(images), expected, atol=1e-6)


def test_the_same_labels_in_another_order_reorder_the_head(tiny_vit: Path) -> None:
    images = [noise(50, 30), noise(32, 32, 1)]
    first, second = ready(tiny_vit), ready(tiny_vit, ("dog", "cat"))
    np.testing.assert_allclose(first.predict_proba(images), second.predict_proba(images)[:, ::-1], atol=1e-7)
    assert second.labels == ("dog", "cat")
    assert second.module.config.id2label == {0: "dog", 1: "cat"}


def test_a_backbone_must_be_fitted_before_it_predicts(backbone: Path, painted: Callable) -> None:
    classifier = ready(backbone, ("red", "blue"))
    with pytest.raises(NotFittedError, match="call fit first"):
        classifier.predict_proba([noise(32, 32)])
    assert classifier.embed([noise(32, 32)]).shape == (1, 16)
    classifier.fit(painted(8), [], recipe=QUICK, seed=0)
    assert classifier.predict_proba([noise(32, 32)]).shape == (1, 2)


def test_a_backbone_without_labels_says_how_to_give_them(backbone: Path, painted: Callable) -> None:
    classifier = TransformersClassifier(str(backbone))
    classifier.prepare(Context())
    with pytest.raises(NotFittedError, match=r"prepare\(Context\(labels"):
        classifier.fit(painted(8), [], recipe=QUICK, seed=0)


def test_half_precision_checkpoints_compute_in_float32(tiny_vit: Path, tmp_path: Path) -> None:
    model = transformers.ViTForImageClassification.from_pretrained(tiny_vit).half()
    model.save_pretrained(tmp_path)
    transformers.AutoImageProcessor.from_pretrained(tiny_vit).save_pretrained(tmp_path)
    classifier = ready(tmp_path)
    assert {parameter.dtype for parameter in classifier.module.parameters()} == {torch.float32}
    np.testing.assert_allclose(
        classifier.predict_proba([noise(32, 32)]), ready(tiny_vit).predict_proba([noise(32, 32)]), atol=1e-2
    )


@pytest.mark.parametrize("checkpoint", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_a_missing_folder_is_one_clear_line(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"no folder .*give a folder") as caught:
        TransformersClassifier(checkpoint).prepare(Context())
    assert "\n" not in str(caught.value)


def test_a_name_without_a_model_hub_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        # Bound and not listening: connections are refused.
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ConfigError, match="cannot be reached; give a folder") as caught:
            TransformersClassifier("no-such-owner/no-such-model").prepare(Context())
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_empty_folder_and_weights_of_another_model_are_refused(tiny_vit: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TransformersClassifier(str(tmp_path)).prepare(Context())
    config = transformers.ViTConfig.from_pretrained(tiny_vit)
    transformers.ResNetModel(transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1])).save_pretrained(
        tmp_path
    )
    config.save_pretrained(tmp_path)
    transformers.AutoImageProcessor.from_pretrained(tiny_vit).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="another model"):
        TransformersClassifier(str(tmp_path)).prepare(Context())


def test_pickled_weights_are_not_read(tiny_vit: Path, tmp_path: Path) -> None:
    model = transformers.ViTForImageClassification.from_pretrained(tiny_vit)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"model\.safetensors"):
        TransformersClassifier(str(tmp_path)).prepare(Context())


# -- preprocessing


@pytest.mark.parametrize("size", [(64, 40), (33, 90), (32, 32), (300, 37), (5, 7)])
def test_pixels_equal_the_processors_own(family: Path, size: tuple[int, int]) -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(family)
    preprocessor = Preprocessor(processor)
    image = noise(*size)
    assert preprocessor.exact
    expected = processor(images=[image], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(preprocessor.normalize([preprocessor.make_frame(image)]), expected, atol=1e-5, rtol=0)


def test_a_processor_that_its_settings_do_not_describe_is_used_itself() -> None:
    # MobileViT turns the channels around.
    processor = transformers.MobileViTImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    preprocessor = Preprocessor(processor)
    assert not preprocessor.exact
    images = [noise(64, 40), noise(40, 64)]
    expected = processor(images=images, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(preprocessor.normalize([preprocessor.make_frame(image) for image in images]), expected)


def test_boxes_are_what_a_centre_crop_leaves(family: Path) -> None:
    classifier = ready(family)
    prepared = classifier.preprocess([noise(96, 32)])
    x0, y0, x1, y1 = prepared.boxes[0].tolist()
    resized = classifier._network.preprocessor.processor
    if not getattr(resized, "do_center_crop", False) and not hasattr(resized, "crop_pct"):
        assert (x0, y0, x1, y1) == (0, 0, 96, 32)
        return
    assert x0 > 30
    assert x1 < 66
    assert abs((x0 + x1) / 2 - 48) < 1
    assert x1 - x0 == pytest.approx(y1 - y0, abs=1)


def test_a_mark_in_the_box_is_seen_and_one_outside_is_not() -> None:
    processor = transformers.BitImageProcessorPil(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
    preprocessor = Preprocessor(processor)
    plain = Image.new("RGB", (120, 40))
    x0, _, x1, _ = preprocessor.find_box(plain)
    for x, seen in ((int(x0) - 6, False), (int(x0) + 2, True), (int(x1) - 4, True), (int(x1) + 4, False)):
        marked = plain.copy()
        marked.paste((255, 255, 255), (x, 10, x + 2, 20))
        assert (preprocessor.make_frame(marked) != preprocessor.make_frame(plain)).any() == seen


def test_grey_palette_and_transparent_images_are_read_as_rgb(vit: TransformersClassifier) -> None:
    image = noise(32, 32).convert("L")
    expected = vit.predict_proba([image.convert("RGB")])
    np.testing.assert_array_equal(vit.predict_proba([image]), expected)
    for mode in ("RGBA", "P"):
        assert vit.predict_proba([image.convert(mode)]).shape == (1, 2)


def test_images_of_several_sizes_without_a_fixed_input_size(tiny_vit: Path, tmp_path: Path) -> None:
    transformers.ViTForImageClassification.from_pretrained(tiny_vit).save_pretrained(tmp_path)
    transformers.ViTImageProcessorPil(do_resize=False).save_pretrained(tmp_path)
    classifier = ready(tmp_path)
    wide, square = noise(64, 32), noise(32, 32)
    together = classifier.predict_proba([wide, square, square, wide])
    np.testing.assert_allclose(together[0], classifier.predict_proba([wide])[0], atol=1e-6)
    np.testing.assert_allclose(together[1], classifier.predict_proba([square])[0], atol=1e-6)
    with pytest.raises(DataError, match="one size"):
        classifier.preprocess([wide, square])


def test_predictions_stream(tiny_vit: Path) -> None:
    images = Streamed(23)
    classifier = ready(tiny_vit, batch_size=4)
    found = classifier.predict_proba(images)
    assert images.opened == 23
    np.testing.assert_allclose(found, ready(tiny_vit).predict_proba(list(images)), atol=1e-6)
    assert classifier.predict_proba([]).shape == (0, 2)


# -- training


def test_training_learns_a_colour_and_draws_its_curves(backbone: Path, painted: Callable) -> None:
    classifier = ready(backbone, ("red", "blue"))
    train, held_out = painted(64), painted(20, seed=1)
    history = classifier.fit(train, held_out, recipe=replace(QUICK, steps=30), seed=0)
    accuracy = (classifier.predict_proba(opened(held_out)).argmax(1) == [s.label for s in held_out]).mean()
    assert accuracy == 1
    assert history.validation_accuracy[-1] == pytest.approx(accuracy)
    assert history.train_loss[-1] < history.train_loss[0]
    assert history.steps == tuple(range(3, 31, 3))
    assert classifier.labels == ("red", "blue")
    assert not classifier.module.training


def test_curves_without_validation_are_nan_and_short_trainings_have_short_curves(
    vit: TransformersClassifier, painted: Callable
) -> None:
    history = vit.fit(painted(8), [], recipe=replace(QUICK, steps=3), seed=0)
    assert history.steps == (1, 2, 3)
    assert np.isnan(history.validation_loss).all()
    assert np.isfinite(history.train_loss).all()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_vit: Path, painted: Callable) -> None:
    def trained(seed: int) -> list[np.ndarray]:
        classifier = ready(tiny_vit, ("red", "blue"))
        classifier.fit(painted(16), painted(4, seed=2), recipe=QUICK, seed=seed)
        return [value.numpy() for value in classifier.module.state_dict().values()]

    first, again, other = trained(1), trained(1), trained(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_callers_random_states_stay(vit: TransformersClassifier, tiny_vit: Path, painted: Callable) -> None:
    def states() -> tuple[object, ...]:
        return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()

    before = states()
    ready(tiny_vit)
    vit.fit(painted(8), [], recipe=QUICK, seed=5)
    vit.predict_proba([noise(32, 32)])
    assert states() == before


def test_training_prints_nothing_and_leaves_the_librarys_settings(
    vit: TransformersClassifier, painted: Callable, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    logging = transformers.utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    vit.fit(painted(8), painted(4, seed=1), recipe=QUICK, seed=0)
    vit.save(tmp_path)
    TransformersClassifier.load(tmp_path)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


class Counted:
    """An opener that counts, and picks no image twice into memory."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Image.Image:
        self.calls += 1
        return noise(32, 32, self.calls)


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_exactly_steps_times_batch_size_images_pass(
    vit: TransformersClassifier, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    sizes: list[int] = []
    forward = type(vit.module).forward

    def counted(self: object, pixel_values: torch.Tensor, **others: object) -> object:
        sizes.append(len(pixel_values))
        return forward(self, pixel_values, **others)

    monkeypatch.setattr(type(vit.module), "forward", counted)
    samples = [Sample(id=str(index), label=index % 2, opener=Counted()) for index in range(count)]
    vit.fit(samples, [], recipe=QUICK, seed=0)
    assert sizes == [QUICK.batch_size] * QUICK.steps
    assert {sample.opener.calls for sample in samples} == {1}


def test_images_of_weight_near_nothing_do_not_teach(tiny_vit: Path, painted: Callable) -> None:
    wrong = [replace(sample, label=1 - sample.label, weight=1e-6) for sample in painted(32, seed=3)]
    classifier = ready(tiny_vit, ("red", "blue"))
    classifier.fit([*painted(32), *wrong], [], recipe=replace(QUICK, steps=40), seed=0)
    held_out = painted(10, seed=4)
    assert (classifier.predict_proba(opened(held_out)).argmax(1) == [s.label for s in held_out]).all()


def test_class_weights_shift_what_cannot_be_distinguished(tiny_vit: Path) -> None:
    samples = [Sample(id=str(index), label=index % 2, opener=noise(32, 32).copy) for index in range(16)]
    classifier = ready(tiny_vit, ("a", "b"))
    classifier.fit(samples, [], recipe=replace(QUICK, steps=40, class_weights=(9.0, 1.0)), seed=0)
    assert classifier.predict_proba([noise(32, 32)])[0, 0] == pytest.approx(0.9, abs=0.07)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 200), st.integers(0, 2**31))
def test_uniform_order_sees_all_images_equally_often(labels: list[int], count: int, seed: int) -> None:
    order = draw_order(np.array(labels), count, "uniform", np.random.default_rng(seed))
    seen = Counter(order.tolist())
    assert len(order) == count
    assert max(seen.values()) - min(seen[index] for index in range(len(labels))) <= 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 200), st.integers(0, 2**31))
def test_balanced_order_sees_all_classes_equally_often(labels: list[int], count: int, seed: int) -> None:
    order = draw_order(np.array(labels), count, "balanced", np.random.default_rng(seed))
    seen = Counter(labels[index] for index in order)
    assert max(seen.values()) - min(seen[label] for label in set(labels)) <= 1


def test_views_depend_on_seed_and_position_alone(painted: Callable) -> None:
    samples = painted(5)
    first = TrainingDataset(samples, (32, 32), count=40, sampling="uniform", seed=1)
    second = TrainingDataset(samples, (32, 32), count=40, sampling="uniform", seed=1)
    for position in (39, 3, 17):
        view, label, weight, place, *_ = first[position]
        assert place == position
        np.testing.assert_array_equal(view, second[position][0])
        assert (view.shape, view.dtype, weight) == ((32, 32, 3), np.uint8, 1.0)
        assert label == samples[first.order[position]].label
    assert len({first[position][0].tobytes() for position in range(40)}) == 40


def test_large_images_are_kept_small() -> None:
    sample = Sample(id="large", label=0, opener=noise(1600, 800).copy)
    dataset = TrainingDataset([sample], (32, 32), count=4, sampling="uniform", seed=0)
    assert dataset.frames[0].shape == (67, 134, 3)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (replace(QUICK, adapter="dora"), "dora"),
        (replace(QUICK, augment="mixup"), "mixup"),
        (replace(QUICK, class_weights=(1.0,)), "2 classes"),
        (replace(QUICK, trainer={"max_steps": 3}), "max_steps"),
        (replace(QUICK, trainer={"gradient_accumulation_steps": 2}), "budget"),
        (replace(QUICK, trainer={"save_steps": 1}), "save_steps"),
        (replace(QUICK, trainer={"no_such_thing": 1}), "no_such_thing"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_before_training(
    vit: TransformersClassifier, painted: Callable, recipe: Recipe, words: str
) -> None:
    before = vit.module.state_dict()["classifier.weight"].clone()
    with pytest.raises(UnsupportedRecipeError, match=words):
        vit.fit(painted(8), [], recipe=recipe, seed=0)
    assert torch.equal(vit.module.state_dict()["classifier.weight"], before)


def test_further_trainer_arguments_are_passed_on(tiny_vit: Path, painted: Callable) -> None:
    def weights(**trainer: object) -> torch.Tensor:
        classifier = ready(tiny_vit, ("red", "blue"))
        classifier.fit(painted(8), [], recipe=replace(QUICK, trainer=trainer), seed=0)
        return classifier.module.state_dict()["classifier.weight"]

    plain = weights()
    assert not torch.equal(plain, weights(label_smoothing_factor=0.5))
    assert not torch.equal(plain, weights(optim="sgd"))


def train_with_workers(workers: int, tiny_vit: Path, folder: Path) -> tuple[History, torch.Tensor]:
    """Trains on images in files, which that many processes open."""
    for label, colour in (("blue", (20, 20, 200)), ("red", (200, 20, 20))):
        (folder / "train" / label).mkdir(parents=True, exist_ok=True)
        for number in range(6):
            shade = tuple(channel + 5 * number for channel in colour)
            Image.new("RGB", (40, 40), shade).save(folder / "train" / label / f"{number}.png")
    train = list(Splits.from_folder(folder, guide=0.0, validation=0.0, test=0.0).train)
    classifier = ready(tiny_vit, ("blue", "red"))
    recipe = replace(QUICK, trainer={"dataloader_num_workers": workers})
    return classifier.fit(train, [], recipe=recipe, seed=0), classifier.module.state_dict()["classifier.weight"]


def test_worker_processes_change_nothing_but_the_time(tiny_vit: Path, tmp_path: Path) -> None:
    (curves, weights), (same_curves, same_weights) = (train_with_workers(n, tiny_vit, tmp_path) for n in (0, 2))
    assert curves.train_loss == same_curves.train_loss
    assert torch.equal(weights, same_weights)


@pytest.mark.ci
def test_worker_processes_may_be_spawned_as_on_macos_and_windows(tiny_vit: Path, tmp_path: Path) -> None:
    _, weights = train_with_workers(0, tiny_vit, tmp_path)
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        _, same_weights = train_with_workers(1, tiny_vit, tmp_path)
    finally:
        multiprocessing.set_start_method(usual, force=True)
    assert torch.equal(weights, same_weights)


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_every_schedule_trains(vit: TransformersClassifier, painted: Callable, schedule: str) -> None:
    before = vit.module.state_dict()["classifier.weight"].clone()
    vit.fit(painted(8), [], recipe=replace(QUICK, schedule=schedule), seed=0)
    assert not torch.equal(vit.module.state_dict()["classifier.weight"], before)


def test_splits_that_do_not_fit_are_refused(vit: TransformersClassifier, painted: Callable) -> None:
    with pytest.raises(DataError, match="train split is empty"):
        vit.fit([], [], recipe=QUICK, seed=0)
    with pytest.raises(DataError, match=r"validation must lie in 0\.\.1, got \[2\]"):
        vit.fit(painted(4), painted(3, classes=3), recipe=QUICK, seed=0)


# -- heads, copies, files


def untouched(recipe: Recipe = QUICK) -> Recipe:
    """A recipe whose training changes next to nothing."""
    return replace(recipe, steps=1, learning_rate=1e-12, weight_decay=0.0)


def test_the_head_is_kept_where_labels_agree_and_replaced_where_they_do_not(tiny_vit: Path, painted: Callable) -> None:
    images = [noise(32, 32)]
    before = ready(tiny_vit).predict_proba(images)
    kept = ready(tiny_vit)
    kept.fit(painted(8), [], recipe=untouched(), seed=0)
    np.testing.assert_allclose(kept.predict_proba(images), before, atol=1e-6)
    replaced = ready(tiny_vit, ("red", "blue"))
    replaced.fit(painted(8), [], recipe=untouched(), seed=0)
    assert not np.allclose(replaced.predict_proba(images), before, atol=1e-3)


def test_new_head_replaces_it_once_and_later_training_continues(tiny_vit: Path, painted: Callable) -> None:
    images = [noise(32, 32)]
    classifier = ready(tiny_vit, new_head=True)
    before = classifier.predict_proba(images)
    classifier.fit(painted(8), [], recipe=untouched(), seed=0)
    first = classifier.predict_proba(images)
    assert not np.allclose(first, before, atol=1e-3)
    fork = classifier.fork()
    fork.fit(painted(8), [], recipe=untouched(), seed=1)
    np.testing.assert_allclose(fork.predict_proba(images), first, atol=1e-6)


def test_training_a_fork_leaves_the_original(vit: TransformersClassifier, painted: Callable) -> None:
    images = [noise(32, 32)]
    before = vit.predict_proba(images)
    fork = vit.fork()
    np.testing.assert_array_equal(fork.predict_proba(images), before)
    fork.fit(painted(8), [], recipe=QUICK, seed=0)
    np.testing.assert_array_equal(vit.predict_proba(images), before)
    assert not np.array_equal(fork.predict_proba(images), before)


def test_preparing_again_keeps_what_was_trained(vit: TransformersClassifier, painted: Callable) -> None:
    vit.fit(painted(8), [], recipe=QUICK, seed=0)
    images = [noise(32, 32)]
    before = vit.predict_proba(images)
    vit.prepare(Context(labels=("cat", "dog"), device="cpu"))
    np.testing.assert_array_equal(vit.predict_proba(images), before)


def test_a_saved_classifier_loads_as_it_was_and_without_this_library(
    vit: TransformersClassifier, painted: Callable, tmp_path: Path
) -> None:
    vit.fit(painted(8), [], recipe=QUICK, seed=0)
    vit.save(tmp_path)
    images = [noise(32, 32), noise(50, 20)]
    found = TransformersClassifier.load(tmp_path)
    np.testing.assert_array_equal(found.predict_proba(images), vit.predict_proba(images))
    assert (found.labels, found.parameters()) == (vit.labels, vit.parameters())
    assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt"))
    plain = transformers.AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(tmp_path)(images, return_tensors="pt")
    with torch.inference_mode():
        np.testing.assert_allclose(plain(**pixels).logits.softmax(-1).numpy(), vit.predict_proba(images), atol=1e-6)


def test_loading_a_folder_that_save_did_not_write_is_refused(tiny_vit: Path) -> None:
    with pytest.raises(DataError, match="holds no xaiaug"):
        TransformersClassifier.load(tiny_vit)


def test_it_travels_as_class_and_parameters(tiny_vit: Path, vit: TransformersClassifier) -> None:
    other = pickle.loads(pickle.dumps(vit))  # noqa: S301  (our own bytes)
    assert other.parameters() == vit.parameters()
    other.prepare(Context(device="cpu"))
    np.testing.assert_array_equal(other.predict_proba([noise(32, 32)]), vit.predict_proba([noise(32, 32)]))


def test_its_identity_changes_with_the_weights_of_its_folder(tiny_vit: Path, tmp_path: Path) -> None:
    for path in tiny_vit.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    classifier = TransformersClassifier(str(tmp_path))
    before = classifier.identity()
    assert before == TransformersClassifier(str(tmp_path)).identity()
    model = transformers.ViTForImageClassification.from_pretrained(tmp_path)
    model.classifier.bias.data += 1
    model.save_pretrained(tmp_path)
    assert classifier.identity() != before


# -- real weights


@pytest.fixture
def photographs() -> Iterator[list[tuple[Image.Image, int]]]:
    folder = DATA / "cats-vs-dogs" / "validation"
    if not folder.is_dir():
        pytest.skip("shared/data/cats-vs-dogs is not present")
    return [
        (Image.open(path).convert("RGB"), label)
        for label, name in enumerate(("cat", "dog"))
        for path in sorted((folder / name).iterdir())[:20]
    ]


def test_a_real_cat_and_dog_classifier_is_mostly_right(photographs: list[tuple[Image.Image, int]]) -> None:
    classifier = ready(DATA / "weights" / "mobilenet-v2-035-cats-dogs", labels=())
    images, labels = zip(*photographs, strict=True)
    assert classifier.labels == ("cat", "dog")
    assert (classifier.predict_proba(images).argmax(1) == labels).mean() >= 0.85


def test_a_real_backbone_has_to_be_fitted() -> None:
    folder = DATA / "weights" / "vit-tiny-distilled"
    if not folder.is_dir():
        pytest.skip("shared/data/weights is not present")
    with pytest.raises(NotFittedError):
        ready(folder).predict_proba([noise(32, 32)])
