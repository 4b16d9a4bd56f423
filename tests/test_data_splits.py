"""A folder becomes splits whatever its layout, and two equal folders become equal splits."""

import pickle
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_on_disk import write_classes, write_image, write_splits

from xaiaug import Splits
from xaiaug.data import SPLITS
from xaiaug.errors import ConfigError, DataError

ALL = {"train": 4, "guide": 2, "validation": 2, "test": 3}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


def sizes(splits: Splits) -> dict[str, int]:
    return {name: len(splits[name]) for name in SPLITS if splits[name]}


def names(splits: Splits, split: str) -> list[str]:
    return [sample.opener.name for sample in splits[split]]


def test_existing_splits_stay_as_they_are(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_splits(tmp_path, ALL), guide=0.5, validation=0.1)
    assert splits.labels == ("cat", "dog")
    assert sizes(splits) == {name: 2 * size for name, size in ALL.items()}
    assert names(splits, "guide") == [
        f"guide/{label}/{number:03d}.png" for label in ("cat", "dog") for number in (0, 1)
    ]
    assert [sample.label for sample in splits.guide] == [0, 0, 1, 1]


@pytest.mark.parametrize("validation", ["validation", "valid", "val", "Val"])
def test_splits_go_by_their_usual_names(tmp_path: Path, validation: str) -> None:
    write_splits(tmp_path, {"Training": 4, "guide": 2, validation: 2, "TEST": 2})
    assert sizes(Splits.from_folder(tmp_path)) == {"train": 8, "guide": 4, "validation": 4, "test": 4}


def test_a_missing_split_is_drawn_from_train_with_its_fraction(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_splits(tmp_path, {"train": 20, "test": 3}), guide=0.2, validation=0.1)
    assert sizes(splits) == {"train": 28, "guide": 8, "validation": 4, "test": 6}
    assert all(name.startswith("train/") for name in names(splits, "guide"))
    assert not set(names(splits, "guide")) & set(names(splits, "train"))


def test_test_is_never_drawn_from_train(tmp_path: Path) -> None:
    write_splits(tmp_path, {"train": 9, "guide": 2})
    with pytest.raises(DataError, match=r"found the splits guide, train but no test.*add a folder test"):
        Splits.from_folder(tmp_path)


def test_classes_are_divided_by_fractions(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_classes(tmp_path, {"cat": 20, "dog": 40}), reserve=0.05)
    assert sizes(splits) == {"train": 30, "guide": 9, "validation": 6, "test": 12, "reserve": 3}


@pytest.mark.parametrize("label", ["train", "test", "val"])
def test_a_class_may_be_called_like_a_split(tmp_path: Path, label: str) -> None:
    splits = Splits.from_folder(write_classes(tmp_path, {"bus": 8, label: 8}))
    assert splits.labels == ("bus", label)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("train", "test1"),  # Kaggle's cats and dogs
        ("train", "valid", "test"),  # Roboflow's COCO export
        ("Training", "Testing"),
        ("train_images", "test_images"),
        ("images", "masks"),
        ("JPEGImages", "SegmentationClass", "Annotations"),
        ("train2017", "val2017"),
    ],
)
def test_classes_that_are_all_called_like_splits_or_companions_are_refused(tmp_path: Path, names: tuple[str]) -> None:
    root = write_classes(tmp_path, dict.fromkeys(names, 3))
    with pytest.raises(DataError, match="which are names of splits.*train/cat/1.jpg"):
        Splits.from_folder(root)
    inside = write_classes(tmp_path / "photos" / "train", dict.fromkeys(("images", "labels"), 3)).parent
    with pytest.raises(DataError, match="the classes would be images, labels"):
        Splits.from_folder(inside, test=0.0)


@pytest.mark.parametrize("names", [("train", "plane"), ("mask", "no mask"), ("test", "1"), ("unmasked", "masks")])
def test_classes_some_of_which_are_called_so_are_classes(tmp_path: Path, names: tuple[str]) -> None:
    splits = Splits.from_folder(write_classes(tmp_path, dict.fromkeys(names, 8)))
    assert splits.labels == tuple(sorted(names))


def test_classes_are_sorted_by_name_and_the_same_in_every_split(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_splits(tmp_path, ALL, labels=("zebra", "Ant", "cat")))
    assert splits.labels == ("Ant", "cat", "zebra")
    assert {sample.label for name in ALL for sample in splits[name]} == {0, 1, 2}


@settings(max_examples=6, deadline=None)
@given(classes=st.integers(2, 20), seed=st.integers(0, 99))
def test_every_image_of_many_classes_is_in_one_split(
    tmp_path_factory: pytest.TempPathFactory, classes: int, seed: int
) -> None:
    root = write_classes(tmp_path_factory.mktemp("many"), {f"c{number}": 4 for number in range(classes)})
    splits = Splits.from_folder(root, seed=seed)
    ids = [sample.id for name in SPLITS for sample in splits[name]]
    assert len(set(ids)) == len(ids) == 4 * classes
    assert len(splits.check().images) == 4 * classes


def test_guide_may_be_validation(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_classes(tmp_path, {"cat": 20, "dog": 20}), guide="validation")
    assert splits.guide_is_validation
    assert splits.guide == splits.validation
    assert sizes(splits) == {"train": 28, "guide": 4, "validation": 4, "test": 8}
    assert splits.check().splits is splits, "guide and validation are no leak of each other"


def test_guide_as_validation_leaves_a_guide_folder_out_and_says_so(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_splits(tmp_path, ALL), guide="validation")
    assert names(splits, "guide") == names(splits, "validation")
    assert "the 4 images of the split guide are not used" in splits.check().warnings[0]


def test_one_folder_may_be_the_guide_as_a_whole(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_classes(tmp_path, {"cat": 3, "dog": 5}), guide=1.0, validation=0, test=0)
    assert sizes(splits) == {"guide": 8}
    assert splits.check(needs=("guide",)).counts == {"guide": {"cat": 3, "dog": 5}}
    with pytest.raises(DataError, match="no images in the splits train, test; the splits have train 0, guide 8"):
        splits.check()


def test_an_id_is_a_digest_of_the_bytes_and_tells_nothing_of_the_name(tmp_path: Path) -> None:
    first = Splits.from_folder(write_splits(tmp_path / "a", ALL))
    second_root = write_splits(tmp_path / "b", ALL)
    (second_root / "train/cat/000.png").rename(second_root / "train/cat/zzz.png")
    second = Splits.from_folder(second_root)
    assert all(len(sample.id) == 20 and int(sample.id, 16) >= 0 for sample in first.train)
    assert {sample.id for sample in first.train} == {sample.id for sample in second.train}


def test_copies_within_a_split_get_ids_of_their_own(tmp_path: Path) -> None:
    root = write_splits(tmp_path, ALL)
    for number in (7, 8):
        shutil.copy(root / "train/cat/000.png", root / f"train/cat/00{number}.png")
    ids = [sample.id for sample in Splits.from_folder(root).train]
    assert len(set(ids)) == len(ids)
    first = ids[0]
    assert [identity for identity in ids if identity.startswith(first)] == [first, f"{first}-2", f"{first}-3"]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    root = write_splits(tmp_path / "a", ALL)
    splits = Splits.from_folder(root)
    assert splits.digest == Splits.from_folder(shutil.copytree(root, tmp_path / "b")).digest
    write_image(root / "test/cat/new.png", 5)
    assert splits.digest != Splits.from_folder(root).digest
    assert splits.digest != Splits.from_folder(tmp_path / "b", guide="validation").digest


def test_another_window_or_side_is_another_image(tmp_path: Path) -> None:
    root = write_splits(tmp_path, ALL)
    digests = {Splits.from_folder(root, **how).digest for how in ({}, {"side": 12}, {"window": (0, 9)})}
    assert len(digests) == 3
    assert Splits.from_folder(root, side=12).train[0].open().size == (12, 12)


def test_samples_travel_to_a_worker(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_splits(tmp_path, ALL))
    sample = pickle.loads(pickle.dumps(splits.train[0]))  # noqa: S301  (our own bytes)
    assert sample == splits.train[0]
    assert sample.open().tobytes() == splits.train[0].open().tobytes()


def test_nothing_is_decoded_before_it_is_needed(tmp_path: Path) -> None:
    root = write_splits(tmp_path, ALL)
    (root / "train/cat/000.png").write_bytes(b"not an image")
    splits = Splits.from_folder(root)
    assert splits.train[1].open().size == (24, 24)
    with pytest.raises(DataError, match="train/cat/000.png"):
        splits.train[0].open()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gide": 0.1}, "unknown option 'gide'. Did you mean 'guide'"),
        ({"guide": "test"}, "a fraction or 'validation', got 'test'"),
        ({"guide": 0.9, "test": 0.9}, "add up to at most 1"),
        ({"on_bad_image": "ignore"}, "on_bad_image must be one of 'error', 'skip', got 'ignore'"),
        ({"on_leak": "allow"}, "on_leak must be one of 'error', 'drop', got 'allow'"),
        ({"on_near_duplicate": "skip"}, "one of 'error', 'drop', 'allow', got 'skip'"),
        ({"window": (5, 5)}, "the lower first"),
        ({"window": (0, 1, 2)}, "two grey values"),
        ({"side": 0}, "at least 1, got 0"),
        ({"side": 2.5}, "got 2.5"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Splits.from_folder(write_splits(tmp_path, ALL), **options)


def test_splits_are_shown_by_their_sizes(tmp_path: Path) -> None:
    splits = Splits.from_folder(write_splits(tmp_path, ALL))
    assert repr(splits) == "Splits(2 labels, train=8, guide=4, validation=4, test=6, reserve=0)"


def test_an_unknown_split_has_no_samples(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="no split 'dev'; splits are train, guide"):
        Splits(("cat", "dog"))["dev"]
