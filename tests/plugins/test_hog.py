"""The HOG classifier learns shapes, ignores colour, and loads as it was saved."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from xaiaug import Context, Recipe, Sample
from xaiaug.errors import DataError, NotFittedError, UnsupportedRecipeError
from xaiaug.plugins.classifiers.hog import HogClassifier

LABELS = ("bars", "rings", "empty")


def picture(label: int, seed: int, colour: str | None = None) -> Image.Image:
    rng = np.random.default_rng(seed)
    ink = colour or tuple(rng.integers(0, 255, 3).tolist())
    image = Image.new("RGB", (60, 52), tuple(rng.integers(0, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    x, y = rng.integers(5, 20, 2).tolist()
    for step in range(0, 30, 6):
        box = (x + step // 2, y + step // 2, x + 30 - step // 2, y + 30 - step // 2)
        if label == 0:
            draw.line((x, y + step, x + 30, y + step), ink, 3)
        else:
            draw.ellipse(box, outline=ink, width=2)
    return image


def samples(count: int, start: int = 0, classes: int = 2, weight: float = 1.0) -> list[Sample]:
    def opener(label: int, seed: int):
        return lambda: picture(label, seed)

    return [
        Sample(id=f"{start + i:08x}", label=i % classes, opener=opener(i % classes, start + i), weight=weight)
        for i in range(count)
    ]


def fitted(labels=LABELS[:2], most: int = 4000, train: list[Sample] | None = None) -> HogClassifier:
    made = HogClassifier(most)
    made.prepare(Context(labels=labels))
    made.history = made.fit(train or samples(60), samples(20, 500), recipe=Recipe(steps=7), seed=0)
    return made


def test_it_separates_shapes_that_it_has_not_seen() -> None:
    made, unseen = fitted(), samples(40, 900)
    found = made.predict_proba([sample.open() for sample in unseen])
    assert found.dtype == np.float32 and np.allclose(found.sum(1), 1, atol=1e-5)
    assert (found.argmax(1) == [sample.label for sample in unseen]).mean() > 0.9
    assert made.history.steps == (7,) and made.history.validation_accuracy[0] > 0.8


def test_its_decision_ignores_colour() -> None:
    made = fitted()
    grey = picture(1, 77).convert("L").convert("RGB")
    assert np.allclose(made.predict_proba([grey]), made.predict_proba([grey.convert("L")]), atol=1e-4)
    shortcut = [
        Sample(id=f"{i:08x}", label=i % 2, opener=lambda i=i: Image.new("RGB", (40, 40), ("red", "blue")[i % 2]))
        for i in range(40)
    ]
    blind = fitted(train=shortcut)
    found = blind.predict_proba([sample.open() for sample in shortcut])
    assert np.abs(found - 0.5).max() < 0.01


def test_a_class_that_training_never_saw_is_never_predicted() -> None:
    made = fitted(LABELS)
    found = made.predict_proba([picture(0, 3), Image.new("RGB", (40, 40))])
    assert found.shape == (2, 3) and (found[:, 2] < 0.01).all()
    only = fitted(train=[sample for sample in samples(20) if sample.label == 1])
    assert (only.predict_proba([picture(0, 1)]).argmax(1) == 1).all()


def test_more_than_two_classes_are_separated() -> None:
    empty = [Sample(id=f"e{i}", label=2, opener=lambda: Image.new("RGB", (60, 52), "tan")) for i in range(30)]
    made = fitted(LABELS, train=samples(60) + empty)
    assert made.predict_proba([picture(0, 800), picture(1, 801), empty[0].open()]).argmax(1).tolist() == [0, 1, 2]


def test_it_uses_no_more_images_than_allowed_and_balances_them() -> None:
    opened: list[int] = []

    def counting(label: int, seed: int):
        return lambda: opened.append(label) or picture(label, seed)

    uneven = [Sample(id=f"{i:08x}", label=int(i >= 50), opener=counting(int(i >= 50), i)) for i in range(60)]
    fitted(most=16, train=uneven)
    assert opened.count(0) == opened.count(1) == 8


def test_it_is_the_same_from_its_folder_and_as_a_fork(tmp_path) -> None:
    made, images = fitted(), [picture(0, 5), picture(1, 6)]
    made.save(tmp_path)
    for other in (HogClassifier.load(tmp_path), made.fork()):
        assert other.labels == made.labels
        assert np.array_equal(other.predict_proba(images), made.predict_proba(images))
        assert np.array_equal(other.embed(images), made.embed(images))
    again = fitted()
    assert np.array_equal(again.predict_proba(images), made.predict_proba(images))


def test_a_compressed_copy_embeds_nearby_and_another_image_does_not() -> None:
    made = fitted()
    one, smaller, other = made.embed([picture(1, 5), picture(1, 5).resize((48, 42)), picture(1, 6)])
    similarity = lambda a, b: float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))  # noqa: E731
    assert similarity(one, smaller) > 0.9 > similarity(one, other)


def test_what_it_cannot_do_is_refused(tmp_path) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        HogClassifier().predict_proba([picture(0, 0)])
    with pytest.raises(DataError, match="train split is empty"):
        HogClassifier().fit([], [], recipe=Recipe(), seed=0)
    with pytest.raises(UnsupportedRecipeError, match="adapter = 'lora'"):
        HogClassifier().fit(samples(4), [], recipe=Recipe(adapter="lora"), seed=0)
    with pytest.raises(DataError, match=r"holds no xaiaug\.json"):
        HogClassifier.load(tmp_path)
    assert fitted().predict_proba([]).shape == (0, 2)
