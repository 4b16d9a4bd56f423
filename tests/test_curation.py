"""The filter keeps new images and says what is wrong with every other image."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from xaiaug import Context, Recipe, Splits
from xaiaug.curation import CHECKS, DEFAULT, ImageDescription, ImageFilter, Judge
from xaiaug.curation.similarity import ImageSignature
from xaiaug.errors import ConfigError
from xaiaug.plugins.classifiers.hog import HogClassifier


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


def scene(seed: int, side: int = 64) -> Image.Image:
    """Soft blobs of colour, as unlike from seed to seed as photographs are."""
    values = np.random.default_rng(seed).integers(50, 200, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    for number, split in enumerate(("train", "guide", "validation", "test")):
        for label, base in (("cat", 0), ("dog", 100)):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for index in range(3):
                scene(base + 10 * number + index).save(folder / f"{index}.png")
    return Splits.from_folder(tmp_path)


def test_new_images_are_kept() -> None:
    verdicts = ImageFilter().check([scene(seed) for seed in range(900, 920)])
    assert [verdict.kept for verdict in verdicts] == [True] * 20
    assert all(verdict.check is None and verdict.reason == "" for verdict in verdicts)


@pytest.mark.parametrize(
    ("image", "check", "word"),
    [
        (Image.new("L", (64, 64), 90), "broken", "expected RGB"),
        (scene(1).convert("RGBA"), "broken", "expected RGB"),
        (scene(1, side=4), "broken", "4 x 4"),
        (np.zeros((8, 8, 3)), "broken", "ndarray"),
        (Image.new("RGB", (64, 64)), "nan", "every pixel is black"),
        (Image.new("RGB", (64, 64), (200, 10, 10)), "constant", "one colour"),
        (Image.fromarray(np.random.default_rng(0).integers(99, 102, (64, 64, 3), np.uint8)), "constant", "0.8"),
    ],
)
def test_an_image_that_cannot_be_trained_on_is_rejected_by_name(image: Image.Image, check: str, word: str) -> None:
    (verdict,) = ImageFilter().check([image])
    assert (verdict.kept, verdict.check, verdict.fingerprint) == (False, check, None)
    assert word in verdict.reason


def test_a_truncated_image_is_broken_not_an_error() -> None:
    buffer = io.BytesIO()
    scene(5, 200).save(buffer, "PNG")
    (verdict,) = ImageFilter().check([Image.open(io.BytesIO(buffer.getvalue()[:2000]))])
    assert verdict.check == "broken"
    assert "decoded" in verdict.reason


def test_a_dark_image_with_something_in_it_is_kept() -> None:
    (verdict,) = ImageFilter().check([ImageEnhance.Brightness(scene(3)).enhance(0.1)])
    assert verdict.kept


@pytest.mark.parametrize("split", ["train", "guide", "validation", "test"])
@pytest.mark.parametrize(
    "copy",
    [
        lambda image: image,
        ImageOps.mirror,
        lambda image: image.resize((40, 40)),
        lambda image: compressed(image, 30),
        lambda image: image.crop((6, 6, 58, 58)).resize((64, 64)),
        lambda image: compressed(ImageOps.mirror(image.crop((10, 0, 62, 52))), 60),
    ],
    ids=["same", "mirror", "smaller", "jpeg", "crop", "mirrored crop"],
)
def test_a_copy_of_a_real_image_is_rejected(splits: Splits, split: str, copy: object) -> None:
    real = splits[split][1]
    (verdict,) = ImageFilter(splits=splits).check([copy(real.open())])
    assert (verdict.kept, verdict.check) == (False, "duplicate")
    assert f"of {split} image {real.id} (similarity " in verdict.reason
    assert verdict.score > 0.98


@pytest.mark.parametrize(
    "change",
    [
        lambda image: ImageEnhance.Brightness(image).enhance(0.7),
        lambda image: Image.merge("RGB", image.split()[::-1]),
        lambda image: image.crop((12, 12, 52, 52)).resize((64, 64)),
        lambda image: ImageOps.expand(image.resize((32, 32)), 16, "green"),
    ],
    ids=["light", "colour", "small part", "backdrop"],
)
def test_an_image_made_from_a_real_one_is_new(splits: Splits, change: object) -> None:
    (verdict,) = ImageFilter(splits=splits).check([change(splits.guide[0].open())])
    assert verdict.kept, verdict.reason


def test_the_second_of_two_equal_images_is_rejected_in_a_batch_and_between_batches() -> None:
    image_filter = ImageFilter()
    first, second = image_filter.check([scene(7), compressed(scene(7), 60)])
    assert (first.kept, second.kept, second.check) == (True, False, "repeat")
    (later,) = image_filter.check([scene(7)], seen=[first.fingerprint])
    assert (later.kept, later.check) == (False, "repeat")


def test_a_rejected_image_does_not_stand_in_the_way_of_others(splits: Splits) -> None:
    copy = splits.test[0].open()
    verdicts = ImageFilter(splits=splits).check([copy, copy])
    assert all("of test image" in verdict.reason for verdict in verdicts)


@settings(max_examples=30, deadline=None)
@given(seeds=st.lists(st.integers(0, 6), max_size=14), cut=st.integers(0, 14))
def test_verdicts_do_not_depend_on_how_the_images_are_cut_into_batches(seeds: list[int], cut: int) -> None:
    image_filter, images = ImageFilter(), [scene(seed, 32) for seed in seeds]
    whole = image_filter.check(images)
    start = image_filter.check(images[:cut])
    rest = image_filter.check(images[cut:], [verdict.fingerprint for verdict in start if verdict.kept])
    assert start + rest == whole
    assert sum(verdict.kept for verdict in whole) == len(set(seeds))


@pytest.mark.parametrize("checks", [DEFAULT, DEFAULT[::-1]])
@pytest.mark.parametrize("size", [1, 3])
def test_images_that_workers_describe_apart_get_the_verdicts_of_one_batch_bit_for_bit(
    splits: Splits, size: int, checks: tuple[str, ...]
) -> None:
    hog = HogClassifier()
    hog.prepare(Context(labels=splits.labels))
    hog.fit(splits.train, splits.validation, recipe=Recipe(), seed=0)
    judge = Judge("hog", splits.labels, lambda: hog, "key", admitted=True, near_duplicate_threshold=0.9)
    images = [scene(seed, 32) for seed in (900, 901, 900, 902)] + [
        compressed(scene(901, 32), 30),
        Image.new("L", (9, 9)),
    ]
    images += [splits.test[0].open(), ImageEnhance.Brightness(scene(902, 32)).enhance(1.1)]
    images += [ImageEnhance.Brightness(sample.open()).enhance(1.2) for sample in splits.train]
    labels = [splits.labels[0]] * len(images)
    whole = ImageFilter(checks, splits, judge).check(images, labels=labels)
    described = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        apart = ImageFilter(checks, splits, judge).describe(images[part], labels[part])
        described += json.loads(json.dumps([image.to_json() for image in apart]))
    assert ImageFilter(checks, judge=judge).compare(map(ImageDescription.from_json, described)) == whole
    assert {verdict.check for verdict in whole} >= {None, "broken", "duplicate", "alike"}


def test_checks_switch_off_one_by_one(splits: Splits) -> None:
    images = [Image.new("RGB", (64, 64)), splits.train[0].open()]
    assert [verdict.kept for verdict in ImageFilter(["constant"], splits).check(images)] == [False, True]
    assert [verdict.kept for verdict in ImageFilter(["duplicate"], splits).check(images)] == [True, False]
    assert [verdict.kept for verdict in ImageFilter([], splits).check(images)] == [True, True]
    with pytest.raises(ConfigError, match="unknown check 'duplicates'. Did you mean 'duplicate'"):
        ImageFilter(["duplicates"])


def test_verdicts_are_plain_and_the_filter_travels_to_a_worker(splits: Splits) -> None:
    image_filter = ImageFilter(splits=splits)
    images = [scene(1), scene(500), splits.test[0].open()]
    verdicts = image_filter.check(images)
    assert json.loads(json.dumps([verdict.to_json() for verdict in verdicts])) == [v.to_json() for v in verdicts]
    assert pickle.loads(pickle.dumps(image_filter)).check(images) == verdicts  # noqa: S301  (our own bytes)


def test_a_signature_survives_its_text() -> None:
    signature = ImageSignature.of(scene(11))
    again = ImageSignature.from_text(signature.to_text())
    assert again.fingerprint == signature.fingerprint
    assert np.array_equal(again.colours, signature.colours)
    assert len(signature.to_text()) < 5000


def test_every_check_says_in_its_docstring_what_it_looks_for() -> None:
    assert set(CHECKS) >= {"broken", "constant", "duplicate"}
    assert all(check.__doc__.startswith("Whether it ") for check in CHECKS.values())
