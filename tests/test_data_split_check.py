"""Every problem of a folder ends in an error that names the files, or in a counted skip."""

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from images_on_disk import blobs, png_header, write_classes, write_image, write_splits
from PIL import Image, ImageOps

from xaiaug import Splits
from xaiaug.errors import DataError

ALL = {"train": 4, "guide": 3, "validation": 3, "test": 3}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "photos", ALL)


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def frames(kind: str) -> bytes:
    return encoded(blobs(1), kind, save_all=True, append_images=[blobs(2), blobs(3)])


def deep(dtype: type, fill: float = 7) -> bytes:
    return encoded(Image.fromarray(np.full((9, 9), fill, dtype)), "TIFF")


def damaged(kind: str, at: float) -> bytes:
    whole = bytearray(encoded(blobs(1, 64), kind))
    start = int(len(whole) * at)
    whole[start : start + 40] = bytes(40)
    return bytes(whole)


BAD_IMAGES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("x.png", b"", "is not an image"),
    "text": ("x.jpg", b"hello, I am a text", "is not an image"),
    "html": ("x.jpg", b"<html><body>404 not found</body></html>", "is not an image"),
    "zeros": ("x.png", bytes(4000), "is not an image"),
    "pdf": ("x.jpg", b"%PDF-1.4\n%%EOF", "is not an image"),
    "svg inside": ("x.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
    "gif inside": ("x.png", encoded(blobs(1), "GIF"), "is not an image in one of the formats"),
    "ppm inside": ("x.png", encoded(blobs(1), "PPM"), "is not an image in one of the formats"),
    "ico inside": ("x.png", encoded(blobs(1), "ICO"), "is not an image in one of the formats"),
    "gif": ("x.gif", encoded(blobs(1), "GIF"), "is not in one of the formats"),
    "heic": ("x.HEIC", b"ftypheic", "is not in one of the formats"),
    "svg": ("x.svg", b"<svg/>", "is not in one of the formats"),
    "raw": ("x.cr2", b"II*\0", "is not in one of the formats"),
    "dicom": ("x.dcm", bytes(132), "is not in one of the formats"),
    "png cut": ("x.png", encoded(blobs(1, 64), "PNG")[:900], "truncated"),
    "png header": ("x.png", encoded(blobs(1), "PNG")[:20], "cannot be decoded"),
    "jpeg cut": ("x.jpg", encoded(blobs(1, 64), "JPEG")[:700], "truncated"),
    "jpeg header": ("x.jpg", encoded(blobs(1), "JPEG")[:200], "cannot be decoded"),
    "webp cut": ("x.webp", encoded(blobs(1, 64), "WEBP")[:300], "cannot be decoded"),
    "tiff cut": ("x.tif", encoded(blobs(1, 64), "TIFF")[:2000], "truncated"),
    "bmp cut": ("x.bmp", encoded(blobs(1, 64), "BMP")[:2000], "truncated"),
    "png damaged": ("x.png", damaged("PNG", 0.5), "cannot be decoded"),
    "tiff damaged": ("x.tif", damaged("TIFF", 0.0), "is not an image"),
    "png of no pixels": ("x.png", png_header(10, 10), "cannot be decoded"),
    "56 megapixels": ("x.png", png_header(8000, 7000), "has 8000 x 7000 pixels"),
    "3600 megapixels": ("x.png", png_header(60_000, 60_000), "more than 50,000,000 pixels"),
    "16 bit": ("x.tif", deep(np.uint16), "16- or 32-bit grey image .* window="),
    "16 bit png": ("x.png", encoded(Image.fromarray(np.full((9, 9), 300, np.uint16)), "PNG"), "window="),
    "32 bit": ("x.tif", deep(np.int32), "16- or 32-bit grey image"),
    "float": ("x.tif", deep(np.float32), "floating-point grey image"),
    "nan": ("x.tif", deep(np.float32, np.nan), "not finite"),
    "pages": ("x.tif", frames("TIFF"), "has more than one page"),
    "animated png": ("x.png", frames("PNG"), "has 3 frames"),
    "animated webp": ("x.webp", frames("WEBP"), "has 3 frames"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_a_bad_image_is_an_error_that_names_it_or_a_counted_skip(root: Path, case: str) -> None:
    name, content, reason = BAD_IMAGES[case]
    (root / "guide/dog" / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"unusable images \(1\):\n  guide/dog/{name}: .*{reason}") as error:
        Splits.from_folder(root).check()
    assert str(root) not in str(error.value), "paths are relative to the root"
    with pytest.warns(UserWarning, match=rf"skipped unusable images \(1\):\n  guide/dog/{name}"):
        check = Splits.from_folder(root, on_bad_image="skip").check()
    assert [(one.file, one.split, one.label) for one in check.skipped] == [(f"guide/dog/{name}", "guide", "dog")]
    assert check.counts["guide"] == {"cat": 3, "dog": 3}
    assert "1 unusable images were skipped" in check.warnings
    assert all(sample.open() for sample in check.splits.guide)


def link(path: Path, target: Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this file system has no symlinks")


@pytest.mark.parametrize("target", ["../../../outside.png", "gone.png"])
def test_a_symlink_that_leaves_the_folder_is_refused(root: Path, target: str) -> None:
    write_image(root.parent / "outside.png", 77)
    link(root / "train/cat/link.png", Path(target))
    with pytest.raises(DataError, match="train/cat/link.png: is a symlink that is broken or leads outside"):
        Splits.from_folder(root).check()
    with pytest.warns(UserWarning, match="skipped"):
        assert len(Splits.from_folder(root, on_bad_image="skip").check().skipped) == 1


def test_a_folder_that_is_a_symlink_to_elsewhere_is_refused(root: Path) -> None:
    write_image(root.parent / "outside/0.png", 77)
    link(root / "train/fox", root.parent / "outside")
    with pytest.raises(DataError, match="is a symlink to a folder outside"):
        Splits.from_folder(root)


def test_symlinks_within_a_root_that_is_a_symlink_itself_are_fine(root: Path) -> None:
    (root / ".originals").mkdir()
    (root / "train/cat/000.png").rename(root / ".originals/moved.png")
    link(root / "train/cat/000.png", Path("../../.originals/moved.png"))
    link(root.parent / "link", root)
    assert Splits.from_folder(root.parent / "link").check().counts["train"] == {"cat": 4, "dog": 4}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_refused_and_never_waited_for(root: Path) -> None:
    os.mkfifo(root / "train/cat/pipe.png")
    with pytest.raises(DataError, match="train/cat/pipe.png: is not a regular file"):
        Splits.from_folder(root).check()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(root: Path) -> None:
    (root / "train/cat/000.png").chmod(0)
    with pytest.raises(DataError, match="train/cat/000.png: cannot be read"):
        Splits.from_folder(root).check()


def _remove(*paths: str) -> Callable[[Path], None]:
    return lambda root: [shutil.rmtree(root / path) for path in paths] and None


def _empty(*paths: str) -> Callable[[Path], None]:
    return lambda root: [file.unlink() for path in paths for file in (root / path).iterdir()] and None


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "gone": (shutil.rmtree, "does not exist; expected split/class/image .* or class/image"),
    "empty": (lambda root: [shutil.rmtree(path) for path in root.iterdir()], "found no folders"),
    "flat": (
        lambda root: [shutil.rmtree(path) for path in root.iterdir()] and write_image(root / "0.png", 1),
        "found 1 images directly inside",
    ),
    "no train": (_remove("train"), "found guide, test, validation, but no folder train"),
    "no test": (_remove("test"), "but no test. It is never drawn from train"),
    "one class": (_remove(*(f"{split}/dog" for split in ALL)), "at least two classes, found cat"),
    "class missing in test": (_remove("test/dog"), r"every split needs every class \(1\):\n  test has no dog"),
    "class missing in train": (_remove("train/cat"), "train has no cat"),
    "class missing in two": (_remove("guide/cat", "test/dog"), r"\(2\):\n  guide has no cat\n  test has no dog"),
    "class empty in guide": (_empty("guide/dog"), "guide has no dog"),
    "class empty everywhere": (_empty(*(f"{split}/dog" for split in ALL)), r"classes without images \(1\):\n  dog"),
    "new class in test alone": (lambda root: write_image(root / "test/fox/0.png", 9), "train has no fox"),
    "train empty": (_empty("train/cat", "train/dog"), "no images in the split train"),
    "test empty": (_empty("test/cat", "test/dog"), "no images in the split test"),
    "deeper": (lambda root: write_image(root / "train/cat/more/0.png", 9), "found deeper folders: train/cat/more"),
    "an unknown split": (
        lambda root: write_classes(root / "eval", {"cat": 2, "dog": 2}),
        "but eval is not a split",
    ),
    "images beside splits": (lambda root: write_image(root / "masks/0.png", 9), "but masks is not a split"),
    "images in train": (lambda root: write_image(root / "train/0.png", 9), "train holds both folders and images"),
    "val and valid": (
        lambda root: write_splits(root, {"valid": 2, "val": 2}) and shutil.rmtree(root / "validation"),
        "are both the split validation",
    ),
    "a class of words": (lambda root: (root / "train/notes").mkdir(), "classes without images"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_a_bad_folder_is_an_error_that_says_what_is_wrong(root: Path, case: str) -> None:
    spoil, message = BAD_FOLDERS[case]
    spoil(root)
    with pytest.raises(DataError, match=message):
        Splits.from_folder(root).check()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a file; expected"):
        Splits.from_folder(write_image(tmp_path / "0.png", 1))


def test_a_class_that_is_too_small_for_fractions_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class 'dog' has 2 distinct images, too few"):
        Splits.from_folder(write_classes(tmp_path, {"cat": 20, "dog": 2}))


def test_a_class_that_loses_all_its_images_is_an_error_even_when_skipping(root: Path) -> None:
    for file in (root / "test/dog").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(DataError, match="test has no dog"), pytest.warns(UserWarning, match="skipped"):
        Splits.from_folder(root, on_bad_image="skip").check()


def test_a_class_of_files_that_are_refused_says_so_first(root: Path) -> None:
    for file in (root / "test/dog").iterdir():
        file.with_suffix(".gif").write_bytes(encoded(Image.open(file), "GIF"))
        file.unlink()
    with pytest.raises(DataError, match="test/dog/000.gif: is not in one of the formats"):
        Splits.from_folder(root).check()


def test_hidden_files_and_notes_are_not_images(root: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "._000.png", ".trashed-1-a.png", "notes.txt", "more.TXT", "LICENCE"):
        (root / "train/cat" / name).write_bytes(b"x")
    (root / "README.md").write_text("about these images")
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    check = Splits.from_folder(root).check()
    assert check.counts["train"] == {"cat": 4, "dog": 4}
    assert check.warnings == ("train/cat: ignored 3 files that are not images (2 .txt, 1 without an ending)",)


def test_more_than_ten_files_are_counted(root: Path) -> None:
    for number in range(25):
        (root / f"train/cat/bad{number:02d}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"unusable images \(25\):(\n  train/cat/bad\d\d.png.*){10}\n  … and 15 more\n"):
        Splits.from_folder(root).check()


def test_deep_images_pass_with_a_window(root: Path) -> None:
    (root / "train/cat/deep.tif").write_bytes(
        encoded(Image.fromarray(np.arange(81, dtype=np.uint16).reshape(9, 9)), "TIFF")
    )
    check = Splits.from_folder(root, window=(0, 80)).check()
    assert check.counts["train"]["cat"] == 5
    assert np.ptp(np.asarray(check.splits.train[4].open())) == 255


def test_good_splits_come_back_as_they_are(root: Path) -> None:
    splits = Splits.from_folder(root)
    check = splits.check()
    assert check.splits is splits
    assert (check.skipped, check.dropped, check.allowed, check.warnings) == ((), (), (), ())
    assert check.counts == {name: {"cat": size, "dog": size} for name, size in ALL.items()}


def test_an_imbalance_and_one_image_under_two_labels_are_reported(root: Path) -> None:
    for number in range(12):
        write_image(root / f"train/dog/1{number:02d}.png", 5000 + number)
    shutil.copy(root / "train/cat/000.png", root / "train/dog/999.png")
    found = Splits.from_folder(root).check().warnings
    assert "train is imbalanced: 4 to 17 images per class" in found
    assert any("train/cat/000.png and train/dog/999.png" in warning for warning in found)


def same_bytes(root: Path, source: str, target: str) -> None:
    shutil.copy(root / source, root / target)


def same_pixels(root: Path, source: str, target: str) -> None:
    Image.open(root / source).save((root / target).with_suffix(".bmp"))


def nearly(root: Path, source: str, target: str) -> None:
    Image.open(root / source).resize((60, 60), Image.Resampling.BICUBIC).save(
        (root / target).with_suffix(".webp"), quality=95
    )


def mirrored(root: Path, source: str, target: str) -> None:
    ImageOps.mirror(Image.open(root / source)).save(root / target)


@pytest.mark.parametrize(
    ("copy", "kind"), [(same_bytes, "bytes"), (same_pixels, "pixels"), (nearly, "near"), (mirrored, "near")]
)
@pytest.mark.parametrize(
    ("source", "target", "dropped"),
    [
        ("test/cat/001.png", "train/cat/901.png", "train"),
        ("train/cat/001.png", "test/cat/901.png", "train"),
        ("test/cat/001.png", "guide/cat/901.png", "guide"),
        ("test/dog/001.png", "validation/dog/901.png", "validation"),
        ("guide/cat/001.png", "validation/cat/901.png", "guide"),
    ],
)
def test_an_image_in_two_splits_is_an_error_or_dropped_from_the_lesser(
    root: Path, copy: Callable[[Path, str, str], None], kind: str, source: str, target: str, dropped: str
) -> None:
    copy(root, source, target)
    setting = "on_near_duplicate" if kind == "near" else "on_leak"
    words = {"bytes": "the same bytes as", "pixels": "the same pixels as", "near": "nearly the same pixels as"}[kind]
    with pytest.raises(DataError, match=rf"{words} .*\nRemove one of each pair, or set {setting} = 'drop'") as error:
        Splits.from_folder(root).check()
    assert source in str(error.value)
    assert target.removesuffix(".png") in str(error.value)
    before = Splits.from_folder(root, **{setting: "drop"})
    check = before.check()
    (leak,) = check.dropped
    assert (leak.kind, leak.dropped_split) == (kind, dropped)
    assert len(check.splits[dropped]) == len(before[dropped]) - 1
    assert leak.dropped not in [sample.opener.name for sample in check.splits[dropped]]
    assert (leak.correlation is not None and leak.correlation > 0.98 and leak.distance <= 4) == (kind == "near")
    assert check.splits.check().dropped == (), "what is left is clean"


def test_near_duplicates_may_be_allowed_and_are_reported(root: Path) -> None:
    mirrored(root, "test/cat/001.png", "train/cat/901.png")
    check = Splits.from_folder(root, on_near_duplicate="allow").check()
    assert check.counts["train"]["cat"] == 5
    assert [leak.dropped for leak in check.allowed] == ["train/cat/901.png"]
    assert "1 images were in two splits, as exact or near-duplicates" in check.warnings


def test_near_duplicates_between_train_and_guide_are_fine(root: Path) -> None:
    mirrored(root, "guide/cat/001.png", "train/cat/901.png")
    assert Splits.from_folder(root).check().warnings == ()


def test_a_check_is_plain_for_a_ledger(root: Path) -> None:
    import json

    same_bytes(root, "test/cat/001.png", "train/cat/901.png")
    (root / "train/dog/bad.png").write_bytes(b"x")
    with pytest.warns(UserWarning, match="skipped"):
        check = Splits.from_folder(root, on_leak="drop", on_bad_image="skip").check()
    plain = json.loads(json.dumps(check.to_json()))
    assert plain["skipped"][0]["file"] == "train/dog/bad.png"
    assert plain["dropped"][0]["kept"] == "test/cat/001.png"
    assert plain["counts"]["train"] == {"cat": 4, "dog": 4}


def test_a_split_that_nothing_uses_is_not_read_and_keeps_its_images(root: Path) -> None:
    write_splits(root.parent / "more", {"reserve": 3})
    shutil.copytree(root.parent / "more" / "reserve", root / "reserve")
    (root / "reserve" / "cat" / "000.png").write_bytes((root / "test" / "cat" / "000.png").read_bytes())
    (root / "reserve" / "dog" / "bad.png").write_bytes(b"no image")
    splits = Splits.from_folder(root)
    with pytest.raises(DataError, match=r"reserve/dog/bad\.png"):
        splits.check()
    (root / "reserve" / "dog" / "bad.png").unlink()
    with pytest.raises(DataError, match=r"reserve/cat/000\.png \(reserve\) has the same bytes as test/cat/000\.png"):
        Splits.from_folder(root).check()
    splits = Splits.from_folder(root)
    opened = []
    for sample in splits.reserve:
        path = Path(sample.opener.path)  # type: ignore[attr-defined]
        opened.append(path)
        path.unlink()  # reading it would fail
    check = splits.check(unused=("reserve",))
    assert check.splits is splits and len(splits.reserve) == len(opened) == 6
    assert check.warnings == ("reserve was not checked for unreadable images and leaks, since nothing uses it",)
    assert {image.split for image in check.images} == set(ALL)
