"""Folders, tables and data sets as users have them: read right, or refused with what to do."""

import json
import re
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from images_on_disk import blobs, encode, write_classes, write_image, write_splits
from PIL import Image

from xaiaug import DataError, Splits
from xaiaug.errors import DataWarning

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


def sizes(splits: Splits) -> dict[str, int]:
    found = dict.fromkeys(splits.labels, 0)
    for name in splits.distinct:
        for sample in splits[name]:
            found[splits.labels[sample.label]] += 1
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"cat": 8, "dog": 8})


# Folders ----------------------------------------------------------------------------------------------------------


def test_rubbish_of_every_system_is_skipped_without_a_word(root):
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._000.png", "Icon\r", ".directory", ".nomedia", "~$x.png"):
        (root / "cat" / name).write_bytes(b"\0")
    for name in ("__MACOSX", ".ipynb_checkpoints", "@eaDir", ".git", "$RECYCLE.BIN", ".Trashes", "__pycache__"):
        write_image(root / name / "000.png", 1)
        write_image(root / "dog" / name / "000.png", 2)
    check = Splits.from_folder(root).check()
    assert check.warnings == () and sizes(check.splits) == {"cat": 8, "dog": 8}


@pytest.mark.parametrize("name", ["__background__", ".net", "_other", "@home", "#1", "~cat"])
def test_classes_of_unusual_names_are_classes(root, name):
    write_classes(root, {name: 8}, seed=5000)
    assert sizes(Splits.from_folder(root)) == {"cat": 8, "dog": 8, name: 8}


@pytest.mark.parametrize("name", ["__1.png", "-1.png", " 1.png", "1 (1).png", "1 - Kopie.png", "a.b.c.PNG", "...png"])
def test_images_of_unusual_names_are_images(root, name):
    write_image(root / "cat" / name, 777)
    assert sizes(Splits.from_folder(root)) == {"cat": 9, "dog": 8}


def test_a_hidden_folder_is_noted_whatever_becomes_of_it(root, tmp_path):
    (root / ".config").mkdir()
    splits = Splits.from_folder(root)
    assert splits.labels == ("cat", "dog") and splits.notes == (".config: ignored a hidden folder without images",)
    whole = write_splits(tmp_path / "splits", {"train": 4, "guide": 2, "validation": 2, "test": 2})
    write_image(whole / ".backup" / "cat" / "1.png", 1)
    assert Splits.from_folder(whole).notes == (".backup: ignored a hidden folder",)


def test_copies_that_a_download_numbered_go_to_one_split(root):
    content = (root / "cat/000.png").read_bytes()
    for number in range(1, 4):
        (root / f"cat/000 ({number}).png").write_bytes(content)
    splits = Splits.from_folder(root)
    where = {name for name in splits.distinct for sample in splits[name] if sample.opener.name.startswith("cat/000")}
    assert len(where) == 1
    splits.check()


NAMES = {
    "macOS screenshot": "Screenshot 2024-05-01 at 1.23.45\u202fPM.png",
    "no-break space": "Sn\u00edmek\u00a01.png",
    "joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627.png",
    "wide space": "\u4e09\u6bdb\u3000\u732b.png",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "variation selector": "\u2764\ufe0f.png",
    "right to left": "\u05d7\u05ea\u05d5\u05dc\u200f.png",
    "private use": "\uf8ff.png",
    "soft hyphen": "cat\u00ad1.png",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_name_that_can_be_written_may_be_used(root, name):
    write_image(root / "cat" / name, 777)
    write_classes(root, {Path(name).stem: 8}, seed=5000)
    counts = Splits.from_folder(root).check().counts
    assert sum(split["cat"] for split in counts.values()) == 9 and len(counts["train"]) == 3


@pytest.mark.parametrize(
    "name", ["a\nb.png", "a\x07.png", "a\x7f.png", b"caf\xe9.png".decode("utf-8", "surrogateescape")]
)
def test_a_name_that_would_spoil_a_log_is_refused(root, name):
    write_image(root / "cat" / name, 777)
    with pytest.raises(DataError, match="control characters, or bytes that are not text") as caught:
        Splits.from_folder(root).check()
    str(caught.value).encode()


def test_one_class_in_two_forms_of_unicode_is_one_class(tmp_path):
    write_classes(tmp_path / "one", {NFC: 6, "tea": 12})
    write_classes(tmp_path / "one", {NFD: 6}, seed=5000)
    assert sizes(Splits.from_folder(tmp_path / "one")) == {NFC: 12, "tea": 12}
    write_splits(tmp_path / "two", {"train": 9}, labels=(NFC, "tea"))
    write_classes(tmp_path / "two" / "test", {NFD: 3, "tea": 3}, seed=9000)
    assert set(Splits.from_folder(tmp_path / "two").check().counts["test"]) == {NFC, "tea"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Cat", "cat"),
        ("0", "0.0"),
        ("01", "1"),
        ("-1", "-1.0"),
        ("hot dog", "hot_dog"),
        ("hot-dog", "hot dog"),
        ("a\u200bb", "ab"),
    ],
)
def test_classes_that_look_like_one_are_warned_of(tmp_path, one, other):
    with pytest.warns(DataWarning, match="classes whose names are nearly the same: ") as caught:
        splits = Splits.from_folder(write_classes(tmp_path, {one: 8, other: 8, "zebra": 8}))
    assert len(splits.labels) == 3 and caught[0].filename == __file__
    (note,) = splits.check().warnings
    assert note == str(caught[0].message)
    assert note.startswith("classes whose names are nearly the same: ") and repr(one) in note and repr(other) in note


@pytest.mark.parametrize("names", [("1", "2"), ("-1", "1"), ("c", "c++"), ("ab", "a b"), ("1.5", "15"), ("é", "e")])
def test_classes_that_differ_are_not_warned_of(tmp_path, names):
    assert Splits.from_folder(write_classes(tmp_path, dict.fromkeys(names, 8))).check().warnings == ()


def test_what_is_left_out_is_told_with_the_missing_classes(tmp_path):
    for label in ("cat", "dog"):
        for number in range(5):
            path = write_image(tmp_path / label / f"i{number}.png", number)
            path.rename(path.with_suffix(""))
    with pytest.raises(
        DataError, match=r"no images in the splits[^\n]*\nnotes[^\n]*\n  cat: ignored 5 .*5 without an ending"
    ):
        Splits.from_folder(tmp_path).check()


def test_images_outside_the_classes_are_told(root):
    write_image(root / "loose.png", 1)
    assert Splits.from_folder(root).notes == ("ignored 1 images outside the class folders, such as loose.png",)


def test_a_coco_export_is_refused_and_says_how_to_sort_it(tmp_path):
    for split in ("train", "valid", "test"):
        write_classes(tmp_path, {split: 4}, seed=hash(split) % 999)
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps({"images": []}))
    with pytest.raises(DataError, match="the classes would be test, train, valid.*from_manifest"):
        Splits.from_folder(tmp_path)


def test_a_test_folder_without_classes_beside_train_is_refused(tmp_path):
    write_splits(tmp_path, {"train": 6})
    write_classes(tmp_path, {"test": 6}, seed=5000)
    with pytest.raises(DataError, match="test is not a split with class folders"):
        Splits.from_folder(tmp_path)


# Files ------------------------------------------------------------------------------------------------------------

noise = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
RGB = Image.fromarray(noise)
READ = {
    "jfif": ("x.jfif", encode(RGB, "JPEG")),
    "jpe": ("x.JPE", encode(RGB, "JPEG")),
    "cmyk jpeg": ("x.jpg", encode(RGB.convert("CMYK"), "JPEG")),
    "progressive jpeg": ("x.jpg", encode(RGB, "JPEG", progressive=True)),
    "grey jpeg": ("x.jpg", encode(RGB.convert("L"), "JPEG")),
    "phone's two frames": ("x.jpg", encode(RGB, "MPO", save_all=True, append_images=[RGB])),
    "mpo": ("x.mpo", encode(RGB, "MPO", save_all=True, append_images=[RGB])),
    "palette with transparency": ("x.png", encode(RGB.quantize(8), "PNG", transparency=3)),
    "one bit": ("x.png", encode(RGB.convert("1"), "PNG")),
    "grey with alpha": ("x.png", encode(RGB.convert("LA"), "PNG")),
    "png named jpg": ("x.jpg", encode(RGB, "PNG")),
    "webp with alpha": ("x.webp", encode(RGB.convert("RGBA"), "WEBP", lossless=True)),
    "compressed tiff": ("x.tif", encode(RGB, "TIFF", compression="tiff_lzw")),
    "bytes behind the end": ("x.jpg", encode(RGB, "JPEG") + bytes(999)),
}


@pytest.mark.parametrize(("name", "content"), READ.values(), ids=READ)
def test_files_that_users_have_are_read_in_rgb(root, name, content):
    (root / "cat" / name).write_bytes(content)
    check = Splits.from_folder(root).check()
    (sample,) = [
        one for split in check.splits.distinct for one in check.splits[split] if one.opener.name == f"cat/{name}"
    ]
    opened = sample.open()
    assert (opened.mode, opened.size) == ("RGB", (24, 20)) and np.asarray(opened).std() > 1


frames = [blobs(number) for number in range(3)]
REFUSED = {
    "heic": ("x.heic", b"\0\0\0\x18ftypheic", "not in one of the formats .* has .heic"),
    "avif": ("x.avif", b"\0\0\0\x18ftypavif", "not in one of the formats"),
    "heic named jpg": ("x.jpg", b"\0\0\0\x18ftypheic", "is not an image in one of the formats"),
    "animated gif": ("x.gif", encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), "not in one of"),
    "animated webp": ("x.webp", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]), "has 3 frames"),
    "animated png": ("x.png", encode(frames[0], "PNG", save_all=True, append_images=frames[1:]), "has 3 frames"),
    "pages": ("x.tif", encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]), "more than one page"),
    "empty": ("x.jpg", b"", "has 0 bytes"),
    "lfs pointer": ("x.jpg", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "truncated jpeg": ("x.jpg", encode(blobs(9, 200), "JPEG")[:2000], "truncated"),
    "truncated png": ("x.png", encode(blobs(9, 200), "PNG")[:2000], "cannot be decoded"),
    "page of an error": ("x.jpg", b"<!DOCTYPE html><title>404</title>", "is not an image"),
    "deep grey": ("x.png", encode(Image.fromarray(np.arange(90, dtype=np.uint16).reshape(9, 10)), "PNG"), "window="),
    "strip": ("x.png", encode(Image.new("RGB", (1, 3000)), "PNG"), "crop it first"),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSED.values(), ids=REFUSED)
def test_files_that_cannot_be_used_are_named_with_the_reason(root, name, content, message):
    (root / "cat" / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"cat/{name}: .*{message}"):
        Splits.from_folder(root).check()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(Splits.from_folder(root, guide=0, validation=0, on_bad_image="skip").check(("train",)).skipped) == 1


# Tables -----------------------------------------------------------------------------------------------------------


def table(
    root: Path, header: str = "file,label", delimiter: str = ",", encoding: str = "utf-8", more: str = ""
) -> Path:
    files = sorted(root.rglob("*.png"))
    lines = [f"{file.relative_to(root).as_posix()},{file.parent.name}{more}" for file in files]
    path = root / "images.csv"
    path.write_bytes("\r\n".join([header, *lines]).replace(",", delimiter).encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_saved_by_a_spreadsheet_is_read(root, delimiter, encoding):
    splits = Splits.from_manifest(table(root, "File, LABEL ", delimiter, encoding))
    assert sizes(splits) == {"cat": 8, "dog": 8} and splits.notes == ()


def test_the_columns_that_a_table_library_adds_are_no_reason_for_a_note(root):
    path = table(root)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{number if number else ''},{line}" for number, line in enumerate(lines)))
    assert Splits.from_manifest(path).notes == ()


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("group", "'group' .a group is named by the column: group:NAME"),
        ("splits", "'splits' .did you mean 'split'"),
        ("wieght", "'wieght' .did you mean 'weight'"),
        ("camera", "columns that are not used: 'camera'$"),
    ],
)
def test_a_column_that_is_not_used_is_named_with_the_nearest_known_one(root, column, hint):
    (note,) = Splits.from_manifest(table(root, f"file,label,{column}", more=",x")).notes
    assert re.search(hint, note)
    assert Splits.from_manifest(table(root, f"file,label,{column}", more=",x"), groups=(column,)).notes == ()


def test_a_column_in_capitals_is_the_one_that_is_meant(root):
    path = table(root, "file,label,Split,Group:patient", more=",train,7")
    text = path.read_text().replace("cat/000.png,cat,train,7", "cat/000.png,cat,TEST,8")
    path.write_text(text.replace("dog/000.png,dog,train,7", "dog/000.png,dog,Test,8"))
    splits = Splits.from_manifest(path, guide="validation", split_by="patient", validation=0)
    assert (len(splits.train), len(splits.test)) == (14, 2)
    assert splits.test[0].groups == {"patient": "8"}


def test_labels_in_two_spellings_of_a_number_are_warned_of(root):
    path = table(root)
    path.write_text(
        path.read_text().replace(",cat", ",0").replace("000.png,0", "000.png,0.0").replace("1.png,0", "1.png,0.0")
    )
    with pytest.warns(DataWarning, match="'0' and '0.0'"):
        notes = Splits.from_manifest(path, guide=0, validation=0, test=0).notes
    assert notes == ("classes whose names are nearly the same: '0' and '0.0'; rename them if they are one class",)


def test_paths_written_on_another_system_are_found(tmp_path):
    root = write_classes(tmp_path, {NFC: 8, "dog": 8})
    path = table(root)
    path.write_text(path.read_text().replace(NFC, NFD).replace("/", "\\"))
    assert sizes(Splits.from_manifest(path)) == {NFC: 8, "dog": 8}


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "0,5", "many", "1e999"])
def test_a_weight_that_is_none_is_refused_at_every_entrance(root, weight):
    with pytest.raises(DataError, match="line 2: weight must be a positive number"):
        Splits.from_manifest(table(root, "file,label,weight", more=f',"{weight}"'))


# Data sets --------------------------------------------------------------------------------------------------------


@pytest.fixture
def datasets(tmp_path_factory, monkeypatch):
    library = pytest.importorskip("datasets", reason="the extra datasets is not installed")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("hub"))
    return library


def rows(datasets, size=16, **columns):
    values = {"image": [{"bytes": encode(blobs(n), "PNG"), "path": None} for n in range(size)]}
    values["label"] = [("cat", "dog")[n % 2] for n in range(size)]
    data = datasets.Dataset.from_dict({**values, **columns})
    return data.cast_column("image", datasets.Image())


def test_a_transform_or_a_format_changes_no_row(datasets):
    plain = rows(datasets)
    expected = sorted(sample.id for sample in Splits.from_datasets(plain).train)
    turned = plain.with_transform(lambda batch: {name: values[::-1] for name, values in batch.items()})
    for data in (turned, plain.with_format("numpy"), plain.with_format("torch")):
        splits = Splits.from_datasets(data)
        assert sorted(sample.id for sample in splits.train) == expected
        first = splits.train[0]
        assert first.open().tobytes() == blobs(first.opener.row).tobytes()


@pytest.mark.parametrize(
    ("label", "other"),
    [
        (["cat"], ["dog"]),
        ({"name": "cat"}, {"name": "dog"}),
        (None, "cat"),
        (float("nan"), 1.0),
        ("", "cat"),
        (" ", "a"),
    ],
)
def test_a_label_that_is_no_name_is_refused(datasets, label, other):
    with pytest.raises(DataError, match=r"row\[0\](: expected one name or number| has no label)"):
        Splits.from_datasets(rows(datasets, label=[label, *[other] * 15]))


@pytest.mark.parametrize("names", [["cat", "dog"], ["dog", "cat"]])
def test_class_labels_and_names_give_the_same_classes(datasets, names):
    feature = datasets.ClassLabel(names=names)
    data = rows(datasets).cast_column("label", feature)
    by_name = {sample.id: sample.label for sample in Splits.from_datasets(rows(datasets)).train}
    assert {sample.id: sample.label for sample in Splits.from_datasets(data).train} == by_name
    unknown = rows(datasets, label=[-1, *[0, 1] * 7, 0]).cast_column("label", feature)
    with pytest.raises(DataError, match=r"row\[0\] has no label"):
        Splits.from_datasets(unknown)


def test_labels_that_a_table_made_floats_are_the_same_as_whole_numbers(datasets):
    parts = {"train": rows(datasets, label=[n % 2 for n in range(16)])}
    parts["test"] = rows(datasets, label=[float(n % 2) for n in range(16)])
    assert Splits.from_datasets(datasets.DatasetDict(parts)).labels == ("0", "1")


@pytest.mark.parametrize("weight", [None, -1.0, 0.0, float("nan"), float("inf")])
def test_a_weight_of_a_row_that_is_none_is_refused(datasets, weight):
    data = rows(datasets, w=[weight, *[1.0] * 15])
    with pytest.raises(DataError, match=r"row\[0\]: weight must be a positive number"):
        Splits.from_datasets(data, weight="w")


def test_a_group_that_is_missing_is_no_group_called_none(datasets):
    data = rows(datasets, patient=[None, *[float(n % 5) for n in range(15)]])
    splits = Splits.from_datasets(data, groups=("patient",))
    groups = {sample.groups["patient"] for name in splits.distinct for sample in splits[name]}
    assert groups == {"", "0", "1", "2", "3", "4"}
    with pytest.raises(DataError, match=r"row\[0\] has no such group"):
        Splits.from_datasets(data, groups=("patient",), split_by="patient")
    parts = datasets.DatasetDict(train=data, test=rows(datasets, patient=[float(9)] * 16))
    with pytest.raises(DataError, match=r"has no (patient|such group)"):
        Splits.from_datasets(parts, groups=("patient",), split_by="patient", guide=0, validation=0).check()


def test_rows_without_an_image_are_counted_as_unusable(datasets):
    images = [None, {"bytes": None, "path": None}, {"bytes": b"", "path": None}]
    images += [{"bytes": encode(blobs(n), "PNG"), "path": None} for n in range(13)]
    data = rows(datasets, image=images)
    with pytest.raises(DataError, match=r"unusable images \(3\)"):
        Splits.from_datasets(data).check()


def test_names_of_splits_are_no_classes_at_any_entrance(datasets, root):
    path = table(root)
    path.write_text(path.read_text().replace(",cat", ",train").replace(",dog", ",test"))
    with pytest.raises(DataError, match="the classes would be test, train"):
        Splits.from_manifest(path)
    with pytest.raises(DataError, match="the classes would be test, train"):
        Splits.from_datasets(rows(datasets, label=["train", "test"] * 8))


def test_a_class_name_with_a_control_character_is_refused_at_any_entrance(datasets):
    with pytest.raises(DataError, match="control characters"):
        Splits.from_datasets(rows(datasets, label=["a\nb", "dog"] * 8))
