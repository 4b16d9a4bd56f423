"""A Hugging Face data set becomes splits without being held or decoded."""

import pickle
from pathlib import Path

import numpy as np
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


# Cases of public bug reports; each names the report that it stands for -----------------------------------------------


def test_rows_are_those_that_were_chosen() -> None:
    # huggingface/datasets 3459: a filter after a selection took other rows
    data = rows(20).shuffle(seed=3).select(range(2, 18)).filter(lambda row: row["label"] == 1 or len(row) == 2)
    splits = Splits.from_datasets(data, guide=0, validation=0, test=0)
    for sample in splits.train:
        row = data[sample.opener.row]
        assert sample.open().tobytes() == row["image"].convert("RGB").tobytes()
        assert splits.labels[sample.label] == ["dog", "cat"][row["label"]]


def test_splits_that_number_their_classes_otherwise_agree_by_name() -> None:
    # huggingface/datasets 2457, macabdul9/CASA-Dialogue-Act-Classifier 10
    other = datasets.ClassLabel(names=["cat", "dog"])
    test = rows(8, 300).map(lambda row: {**row, "label": 1 - row["label"]}).cast_column("label", other)
    splits = Splits.from_datasets(datasets.DatasetDict(train=rows(8), test=test), guide=0, validation=0)
    for name in ("train", "test"):
        assert [splits.labels[sample.label] for sample in splits[name]] == ["dog", "cat"] * 4


def test_a_class_number_without_a_name_is_told_from_an_unknown_class() -> None:
    # huggingface/datasets 8494 (a cast that checks nothing), 5624 (-1 in a test split)
    names = datasets.ClassLabel(names=["dog", "cat"])
    for number, message in (
        (5, r"row\[0\] has the class number 5, but the column names 2 classes"),
        (-1, "has no label"),
    ):
        plain = rows(8).cast_column("label", datasets.Value("int64"))
        data = plain.map(lambda row, index: {"label": number if index == 0 else 1}, with_indices=True)  # noqa: B023
        with pytest.raises(DataError, match=message):
            Splits.from_datasets(data.cast_column("label", names))


def test_classes_that_a_filter_left_empty_are_named_with_what_to_do() -> None:
    # Lightning-Universe/lightning-flash 763
    data = rows(8).cast_column("label", datasets.ClassLabel(names=["dog", "cat", "eel"]))
    with pytest.raises(DataError, match=r"classes without images \(1\):\n  eel\n.*a new column .* label="):
        Splits.from_datasets(data, guide=0, validation=0, test=0).check(("train",))
    named = data.map(lambda row: {"name": ["dog", "cat", "eel"][row["label"]]})
    splits = Splits.from_datasets(named, label="name", guide=0, validation=0, test=0)
    assert splits.check(("train",)).splits.labels == ("cat", "dog")


def test_truth_values_are_two_classes() -> None:
    # deepset-ai/FARM 66
    data = rows(8).remove_columns("label").add_column("label", [number % 2 == 0 for number in range(8)])
    splits = Splits.from_datasets(data, guide=0, validation=0, test=0)
    assert [splits.labels[sample.label] for sample in splits.train[:2]] == ["True", "False"]


def test_a_mode_that_images_are_to_be_read_in_is_not_passed_over() -> None:
    # huggingface/datasets 6675
    for mode in ("L", "CMYK"):
        with pytest.raises(DataError, match=f"is to be read in the mode '{mode}', but images are read in RGB"):
            Splits.from_datasets(rows(8).cast_column("image", datasets.Image(mode=mode)))
    assert Splits.from_datasets(rows(40).cast_column("image", datasets.Image(mode="RGB"))).train


def test_deep_arrays_are_not_cut_to_eight_bits() -> None:
    # huggingface/datasets 5365: depth images became blank
    arrays = [np.linspace(0, 60000 + number, 64).reshape(8, 8).astype(np.uint16) for number in range(8)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    data = datasets.Dataset.from_dict({"image": arrays, "label": ["a", "b"] * 4}, features=features)
    with pytest.raises(DataError, match=r"unusable images \(8\):\n  row\[0\]: is a 16- or 32-bit grey image"):
        Splits.from_datasets(data, guide=0, validation=0, test=0).check(("train",))
    sample = Splits.from_datasets(data, guide=0, validation=0, test=0, window=(0, 65535)).train[0]
    assert abs(np.asarray(sample.open())[-1, -1, 0] - 60000 / 257) <= 1


@pytest.mark.parametrize("values", [["a.png"] * 4, [b"bytes"] * 4, [{"bytes": b"", "path": None}] * 4])
def test_a_column_that_could_become_images_says_how(values: list[object]) -> None:
    # huggingface/dataset-viewer 2545
    data = datasets.Dataset.from_dict({"image": values, "label": ["a", "b"] * 2})
    with pytest.raises(DataError, match=r"become one by .cast_column\('image', datasets.Image\(\)\)"):
        Splits.from_datasets(data)


def test_an_address_is_not_fetched() -> None:
    # leonshting/fec-dataset-loader 2
    data = datasets.Dataset.from_dict({"image": ["https://example.org/a.png"] * 4, "label": ["a", "b"] * 2})
    splits = Splits.from_datasets(data.cast_column("image", datasets.Image()), guide=0, validation=0, test=0)
    with pytest.raises(DataError, match=r"row\[0\]: is a URL; images are not fetched"):
        splits.check(("train",))
