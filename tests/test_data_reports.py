"""Folders and tables of public bug reports, rebuilt small: the right value, or a refusal that says what to do.

Each test names the report that it stands for: repository and thread.
"""

import re
import shutil
from pathlib import Path

import pytest
from images_on_disk import blobs, encode, write_classes, write_image, write_splits
from PIL import Image, ImageOps

from xaiaug import DataError, Splits
from xaiaug.errors import DataWarning

WHOLE = {"guide": 0, "validation": 0, "test": 0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"cat": 3, "dog": 3})


def read(root: Path, **options):
    """The splits of a folder, all in train, checked."""
    return Splits.from_folder(root, **{**WHOLE, **options}).check(needs=("train",))


def labels_of(splits: Splits) -> dict[str, str]:
    return {sample.opener.name: splits.labels[sample.label] for name in splits.distinct for sample in splits[name]}


# Folders ----------------------------------------------------------------------------------------------------------


def test_what_holds_images_or_labels_beside_the_classes_is_named(root: Path, tmp_path: Path) -> None:
    # huggingface/datasets 8419 (archives), 4311 (tables of labels)
    (root / "bird.zip").write_bytes(b"PK\3\4")
    (root / "metadata.csv").write_text("file_name,label\n")
    assert read(root).warnings == (
        "ignored bird.zip: archives are not unpacked",
        "ignored metadata.csv: labels are those of the folders (Splits.from_manifest reads tables)",
    )
    splits = write_splits(tmp_path / "splits", {"train": 2, "test": 2})
    (splits / "train" / "eel.tar.gz").write_bytes(b"\x1f\x8b")
    assert Splits.from_folder(splits, guide=0, validation=0).notes == (
        "ignored train/eel.tar.gz: archives are not unpacked",
    )
    with pytest.raises(DataError, match="found no folders; ignored bird.zip: archives are not unpacked"):
        shutil.rmtree(root / "cat")
        shutil.rmtree(root / "dog")
        read(root)


@pytest.mark.parametrize("mask", ["{}_mask.png", "{}_mask_1.png", "{} - Segmentation.png", "{}.mask.png"])
def test_masks_among_the_images_of_a_class_are_refused(root: Path, mask: str) -> None:
    # FengheTan9/CMUNeXt 11: a set of ultrasound images keeps its masks beside the images of each class
    for number in range(3):
        Image.new("L", (24, 24), number).save(root / "cat" / mask.format(f"{number:03d}"))
    with pytest.raises(DataError, match=f"cat holds 3 files .* such as {re.escape(mask.format('000'))} beside 000.png"):
        read(root)


def test_a_mask_in_the_name_alone_is_an_image(root: Path) -> None:
    for number, name in enumerate(("john_mask.png", "mask.png", "000mask.png", "unmask_000.png")):
        write_image(root / "cat" / name, 900 + number)
    assert len(read(root).splits.train) == 10


def test_a_class_that_one_split_lacks_moves_no_label(tmp_path: Path) -> None:
    # ultralytics/ultralytics 26192: classes counted within each split
    root = write_splits(tmp_path, {"train": 3, "test": 3})
    write_classes(root / "train", {"ape": 3}, seed=7000)
    with pytest.raises(DataError, match=r"every split needs every class \(1\):\n  test has no ape"):
        Splits.from_folder(root, guide=0, validation=0).check(("train", "test"))
    write_classes(root / "test", {"ape": 3}, seed=8000)
    found = labels_of(Splits.from_folder(root, guide=0, validation=0))
    assert all(label == name.split("/")[1] for name, label in found.items()) and len(found) == 18


def test_classes_called_by_numbers_keep_their_names(tmp_path: Path) -> None:
    # pytorch/vision 714, modestyachts/ImageNetV2 10: folder 10 sorted before 2
    splits = read(write_classes(tmp_path, {"1": 2, "2": 2, "10": 2})).splits
    assert all(label == name.split("/")[0] for name, label in labels_of(splits).items())


def test_an_empty_class_folder_is_named_with_what_to_do(root: Path) -> None:
    # pytorch/vision 4925
    (root / "bird").mkdir()
    with pytest.raises(DataError, match=r"classes without images \(1\):\n  bird\n.*remove the class folders"):
        read(root)


@pytest.mark.parametrize("names", [("train", "test"), ("training", "valid"), ("images", "labels")])
def test_folders_of_splits_without_classes_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    # huggingface/datasets 7880, fastai/fastai 1552
    with pytest.raises(DataError, match="names of splits or of what comes with images"):
        read(write_classes(tmp_path, dict.fromkeys(names, 3)))


def test_one_folder_of_images_is_no_classifier_and_the_way_out_is_named(tmp_path: Path) -> None:
    # huggingface/datasets 5153; keras-team/tf-keras 790
    root = write_classes(tmp_path, {"images": 3})
    (root / "labels.csv").write_text("id,label\n")
    with pytest.raises(DataError, match=r"two classes, found images; .*from_manifest\)\nnotes \(1\):\n  .*labels.csv"):
        read(root)
    with pytest.raises(DataError, match="3 images directly inside"):
        read(root / "images")


@pytest.mark.parametrize("place", ["chest/train", "seg_train", "training_set/training_set"])
def test_a_download_with_one_folder_too_many_says_which_folder_to_give(tmp_path: Path, place: str) -> None:
    # ultralytics/ultralytics 4310: other names of splits
    write_classes(tmp_path / place, {"cat": 2, "dog": 2})
    with pytest.raises(
        DataError, match="Give the folder that holds the split or class folders; splits are named train"
    ):
        read(tmp_path)


def test_what_systems_leave_behind_is_neither_class_nor_image(root: Path) -> None:
    # apple/turicreate 644, OpenNeuroOrg/openneuro 2520
    for name in (".DS_Store", "cat/._000.png", "dog/Thumbs.db", "._dog"):
        (root / name).write_bytes(b"\0\5\x16\7" + bytes(99))
    check = read(root)
    assert check.warnings == () and check.counts == {"train": {"cat": 3, "dog": 3}}


def test_a_link_to_an_image_has_the_label_of_its_own_folder(root: Path) -> None:
    # huggingface/datasets 5098
    (root / "eel").mkdir()
    (root / "eel" / "1.png").symlink_to(root / "cat" / "000.png")
    check = read(root)
    assert labels_of(check.splits)["eel/1.png"] == "eel"
    assert check.warnings == ("the same image with two labels (1):\n  cat/000.png and eel/1.png",)


def test_an_ending_in_any_case_is_listed_once(root: Path) -> None:
    # tensorflow/hub 154
    for number, name in enumerate(("a.JPG", "b.jpg", "c.JPEG", "d.Jpeg")):
        (root / "cat" / name).write_bytes(encode(blobs(50 + number), "JPEG"))
    assert read(root).counts == {"train": {"cat": 7, "dog": 3}}


def test_a_word_for_a_split_in_a_file_name_divides_nothing(root: Path) -> None:
    # huggingface/datasets 5021
    for name in ("photo of a train.png", "test tubes.png"):
        write_image(root / "cat" / name, len(name))
    assert read(root).counts == {"train": {"cat": 5, "dog": 3}}


# Copies -----------------------------------------------------------------------------------------------------------


def test_a_picture_that_stands_for_missing_ones_is_told(root: Path) -> None:
    # dusty-nv/jetson-inference 145: 'no longer available', hundreds of times; zalandoresearch/fashion-mnist 44
    content = encode(blobs(99), "PNG")
    for number in range(4):
        (root / "cat" / f"n{number}.png").write_bytes(content)
    (root / "dog" / "n.png").write_bytes(content)
    assert read(root).warnings == (
        "the same image with two labels (1):\n  cat/n0.png and dog/n.png",
        "images that are in one split more than once (1):\n  cat/n0.png (train), 4 times",
    )


@pytest.mark.parametrize("change", ["bytes", "smaller jpeg", "mirrored", "turned by exif"])
def test_a_training_image_in_test_is_found_however_it_was_saved(tmp_path: Path, change: str) -> None:
    # stefyste/RIAWELC 2 (bytes), pratikkayal/PlantDoc-Dataset 4 (size), dotnet/machinelearning 5333 (augmented before)
    root = write_splits(tmp_path, {"train": 3, "test": 3})
    image, copy = blobs(77, 96), root / "test" / "cat" / "copy.jpg"
    image.save(root / "train" / "cat" / "original.png")
    if change == "bytes":
        shutil.copy(root / "train" / "cat" / "original.png", copy.with_suffix(".png"))
    elif change == "smaller jpeg":
        image.resize((64, 64)).save(copy, quality=70)
    elif change == "mirrored":
        ImageOps.mirror(image).save(copy)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(copy, quality=95, exif=exif)
    with pytest.raises(DataError, match=r"images in two splits \(1\):\n  train/cat/original.png"):
        Splits.from_folder(root, guide=0, validation=0).check(("train", "test"))


# Tables -----------------------------------------------------------------------------------------------------------


def table(root: Path, change=lambda file, label: (file, label), start: str = "") -> Path:
    files = [(path.relative_to(root).as_posix(), path.parent.name) for path in sorted(root.rglob("*.png"))]
    lines = [",".join(change(file, label)) for file, label in files]
    (root / "images.csv").write_text(start + "\n".join(["file,label", *lines]), encoding="utf-8")
    return root / "images.csv"


@pytest.mark.parametrize(
    ("one", "other"),
    [("NA", "None"), ("nan", "null"), ("True", "False"), ("007", "8"), ("1e5", "1-2"), ("n/a", "#N/A"), ("-1", "inf")],
)
def test_labels_stay_what_is_written(root: Path, one: str, other: str) -> None:
    # googledatalab/pydatalab 398 and chanzuckerberg/cellxgene 1115 (NA, nan), deepset-ai/FARM 66 (True)
    path = table(root, lambda file, label: (file, {"cat": one, "dog": other}[label]))
    splits = Splits.from_manifest(path, **WHOLE)
    assert set(labels_of(splits).values()) == {one, other} and splits.notes == ()


@pytest.mark.parametrize("pair", [("TRUE", "True"), ("7", "007"), ("1", "1.0")])
def test_labels_that_a_table_program_would_write_otherwise_are_warned_of(root: Path, pair: tuple[str, str]) -> None:
    # deepset-ai/FARM 66, keras-team/keras-preprocessing 152
    path = table(root, lambda file, label: (file, pair[label == "dog"]))
    with pytest.warns(DataWarning, match="nearly the same"):
        assert len(Splits.from_manifest(path, **WHOLE).labels) == 2


@pytest.mark.parametrize(
    "pair",
    [("cat", "c\u0430t"), ("cafe", "caf\u00e9"), ("dog", "dogs"), ("cat", "Cat."), ("cat", "cat\u200b")],
)
def test_labels_that_look_or_sound_like_one_are_warned_of_and_kept_apart(root: Path, pair: tuple[str, str]) -> None:
    path = table(root, lambda file, label: (file, pair[label == "dog"]))
    with pytest.warns(DataWarning, match="nearly the same"):
        assert len(Splits.from_manifest(path, **WHOLE).labels) == 2


@pytest.mark.parametrize("pair", [("кот", "кит"), ("कि", "कु"), ("glass", "glas"), ("cat", "car"), ("C+", "C++")])
def test_labels_that_differ_are_not_warned_of(root: Path, pair: tuple[str, str]) -> None:
    path = table(root, lambda file, label: (file, pair[label == "dog"]))
    assert Splits.from_manifest(path, **WHOLE).notes == ()


@pytest.mark.parametrize(
    ("label", "match"),
    [("nan", "there is no label: nan"), ("None", "there is no label: None"), ("cat;dog", "join others: cat;dog")],
)
def test_labels_that_are_none_or_several_are_warned_of(root: Path, label: str, match: str) -> None:
    path = table(root, lambda file, own: (file, label if file.endswith("0.png") else own))
    with pytest.warns(DataWarning, match=match):
        assert label in Splits.from_manifest(path, **WHOLE).labels


def test_files_called_by_numbers_keep_their_zeros(tmp_path: Path) -> None:
    # fastai/fastai 1008; the mark before the header: p2irc/deepplantphenomics 41
    root = write_classes(tmp_path, {"0001": 3, "0002": 3})
    assert len(labels_of(Splits.from_manifest(table(root, start="\ufeff"), **WHOLE))) == 6


def test_a_text_that_is_written_as_a_formula_is_the_text(root: Path) -> None:
    # JoshClose/CsvHelper 197, parsecsv/parsecsv-for-php 213: ="007" keeps a spreadsheet from dropping zeros
    path = table(root, lambda file, label: (f'="{file}"', f'="{"007" if label == "cat" else "="}"'))
    assert Splits.from_manifest(path, **WHOLE).labels == ("007", "=")


def test_a_row_without_a_label_is_named_by_its_line(root: Path) -> None:
    # keras-team/keras-preprocessing 57
    path = table(root, lambda file, label: (file, "" if file == "cat/001.png" else label))
    with pytest.raises(DataError, match="line 3: label is empty"):
        Splits.from_manifest(path)


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("cat/000", "cat/000: does not exist, but cat/000.png does; write names with their ending"),
        ("https://example.org/cat.png", "https://example.org/cat.png: is a URL; images are not fetched: download"),
        ("C:\\Users\\me\\cat.png", "cat.png: is a path from another computer; write it relative to the data folder"),
        ("D:/me/cat.png", "D:/me/cat.png: is a path from another computer"),
        ("gone/cat.png", "gone/cat.png: does not exist"),
    ],
)
def test_a_file_that_is_not_there_says_why(root: Path, first: str, message: str) -> None:
    # oke-aditya/pytorch_cnn_trainer 28 (endings), leonshting/fec-dataset-loader 2 (URLs), roboflow/supervision 2581
    path = table(root, lambda file, label: (first if file == "cat/000.png" else file, label))
    with pytest.raises(DataError, match=rf"unusable images \(1\):\n  .*{message}"):
        Splits.from_manifest(path, **WHOLE).check(("train",))


def test_a_table_none_of_whose_files_is_there_is_refused_as_a_whole(root: Path) -> None:
    # keras-team/keras-preprocessing 92
    path = table(root, lambda file, label: (f"photos/{file}", label))
    with pytest.raises(DataError, match=r"none of its 6 files is there. 'photos/cat/000.png' does not exist. .*root="):
        Splits.from_manifest(path, on_bad_image="skip")
    assert len(Splits.from_manifest(path, root.parent, **WHOLE).train) == 6


def test_a_listed_image_needs_no_ending(root: Path) -> None:
    # pratikkayal/PlantDoc-Dataset 4: names as a browser saved them
    for name in ("000.png", "001.png"):
        (root / "cat" / name).rename(root / "cat" / name.replace(".png", ".jpeg?itok=FM"))
    path = table(root)
    path.write_text(path.read_text() + "\ncat/000.jpeg?itok=FM,cat\ncat/001.jpeg?itok=FM,cat")
    assert Splits.from_manifest(path, **WHOLE).check(("train",)).counts == {"train": {"cat": 3, "dog": 3}}


def test_backslashes_are_folders(root: Path) -> None:
    # abbyy/barcode_detection_benchmark 2
    path = table(root, lambda file, label: (file.replace("/", "\\"), label))
    assert len(Splits.from_manifest(path, **WHOLE).train) == 6


@pytest.mark.parametrize("again", ["cat/000.png", "./cat/000.png", "cat/../cat/000.png", "cat//000.png"])
def test_one_file_in_two_rows_is_refused_however_it_is_spelled(root: Path, again: str) -> None:
    # pratikkayal/PlantDoc-Dataset 4: one image under two classes
    path = table(root)
    path.write_text(path.read_text() + f"\n{again},dog")
    with pytest.raises(DataError, match=r"is listed twice, in lines 2 and 8"):
        Splits.from_manifest(path)
