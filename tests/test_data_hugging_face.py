"""A Hugging Face data set becomes splits without being held or decoded."""

import pickle
from pathlib import Path

import pytest
from images_on_disk import blobs, write_splits

from xaiaug import Splits
from xaiaug.data import SPLITS
from xaiaug.data.fingerprint import Fingerprint
from xaiaug.errors import DataError

datasets = pytest.importorskip("datasets", reason="the extra datasets is not installed")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub"))


def rows(size: int, seed: int = 0, **columns: object) -> "datasets.Dataset":
    """Half dogs, half cats; the names of the classes are not in alphabetical order."""
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])}
    values = {"image": [blobs(seed + number) for number in range(size)], "label": [n % 2 for n in range(size)]}
    for name, content in columns.items():
        values[name] = content
        features[name] = datasets.Value("string" if isinstance(content[0], str) else "float32")
    return datasets.Dataset.from_dict(values, features=datasets.Features(features))


def counts(splits: Splits) -> dict[str, int]:
    return {name: len(splits[name]) for name in SPLITS if splits[name]}


def test_a_data_set_is_divided_by_fractions_and_its_classes_are_sorted() -> None:
    splits = Splits.from_datasets(rows(40), guide=0.1, validation=0.1, test=0.2)
    assert splits.labels == ("cat", "dog")
    assert counts(splits) == {"train": 24, "guide": 4, "validation": 4, "test": 8}
    numbers = [sample.opener.row for sample in splits.train]
    assert [sample.label for sample in splits.train] == [1 - number % 2 for number in numbers]
    assert splits.train[0].open().tobytes() == blobs(numbers[0]).tobytes()
    splits.check()


def test_a_dictionary_keeps_its_splits() -> None:
    data = datasets.DatasetDict(train=rows(20), validation=rows(4, 100), test=rows(6, 200))
    splits = Splits.from_datasets(data, guide=0.2)
    assert counts(splits) == {"train": 16, "guide": 4, "validation": 4, "test": 6}
    with pytest.raises(DataError, match="but no test"):
        Splits.from_datasets(datasets.DatasetDict(train=rows(20), validation=rows(4, 100)))


def test_a_dictionary_of_train_alone_is_divided_whole() -> None:
    assert counts(Splits.from_datasets(datasets.DatasetDict(train=rows(40))))["test"] == 8


def test_an_image_folder_gives_the_same_ids_as_the_folder_itself(tmp_path: Path) -> None:
    root = write_splits(tmp_path, {"train": 4, "validation": 2, "test": 2})
    loaded = Splits.from_datasets(datasets.load_dataset("imagefolder", data_dir=str(root)), guide="validation")
    folder = Splits.from_folder(root, guide="validation")
    assert loaded.digest == folder.digest
    assert loaded.train[0].open().tobytes() == folder.train[0].open().tobytes()


def test_columns_groups_and_weights_go_by_the_names_that_are_given() -> None:
    data = rows(24, patient=[f"p{number // 4}" for number in range(24)], mass=[0.5] * 24)
    data = data.rename_columns({"image": "photo", "label": "species"})
    splits = Splits.from_datasets(
        data, image="photo", label="species", groups=["patient"], weight="mass", split_by="patient", validation=0
    )
    patients = [{sample.groups["patient"] for sample in splits[name]} for name in ("train", "guide", "test")]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 6
    assert splits.train[0].weight == 0.5


def test_labels_may_be_words() -> None:
    data = rows(20).remove_columns("label").add_column("label", ["ape", "bee"] * 10)
    assert Splits.from_datasets(data).labels == ("ape", "bee")


def test_samples_travel_to_a_worker() -> None:
    sample = Splits.from_datasets(rows(20)).train[0]
    again = pickle.loads(pickle.dumps(sample))  # noqa: S301  (our own bytes)
    assert again.open().tobytes() == sample.open().tobytes()


def test_a_broken_image_is_named_by_its_row_or_skipped() -> None:
    encoded = rows(40).cast_column("image", datasets.Image(decode=False))
    broken = encoded.map(
        lambda row, number: {"image": {"bytes": b"junk", "path": None}} if number == 5 else row, with_indices=True
    )
    missing = broken.map(
        lambda row, number: {"image": {"bytes": None, "path": "/gone.png"}} if number == 7 else row, with_indices=True
    )
    data = missing.cast_column("image", datasets.Image())
    with pytest.raises(
        DataError, match=r"(?s)unusable images \(2\):.*row\[7\]: cannot be read.*row\[5\]: is not an im"
    ):
        Splits.from_datasets(data).check()
    with pytest.warns(UserWarning, match="skipped"):
        check = Splits.from_datasets(data, on_bad_image="skip").check()
    assert sum(sum(by_label.values()) for by_label in check.counts.values()) == 38


def test_images_are_not_read_again_for_a_second_check(monkeypatch: pytest.MonkeyPatch) -> None:
    data = rows(20)
    first = Splits.from_datasets(data).check()
    monkeypatch.setattr(Fingerprint, "of", lambda image: pytest.fail("was decoded again"))
    assert Splits.from_datasets(data).check().counts == first.counts


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [1, 2], "expected a datasets.Dataset or DatasetDict, got list"),
        (lambda: rows(20).rename_column("image", "img"), "no column 'image'. Did you mean 'img'"),
        (lambda: rows(20).rename_column("label", "kind"), "no column 'label'"),
        (lambda: rows(20).remove_columns("image").add_column("image", [1] * 20), "must be a datasets.Image, got Value"),
        (lambda: datasets.DatasetDict(train=rows(20), tset=rows(4)), "unknown split 'tset'. Did you mean 'test'"),
        (lambda: datasets.DatasetDict(train=rows(20), val=rows(4), valid=rows(4)), "are both the split validation"),
        (
            lambda: rows(20).map(lambda row, number: {**row, "label": -1 if number == 3 else 0}, with_indices=True),
            r"row\[3\] has no label",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(make: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Splits.from_datasets(make())
