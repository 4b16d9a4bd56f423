"""Masks find their images by their names, and land where a synthesizer looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from images_on_disk import write_classes, write_image, write_splits
from PIL import Image

from xaiaug import Splits
from xaiaug.errors import DataError


def write_mask(path: Path, level: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", (24, 24))
    mask.paste(level, (6, 6, 18, 18))
    mask.save(path)
    return path


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    return Splits.from_folder(write_splits(tmp_path / "photos", {"train": 2, "guide": 2, "test": 2}))


def linked(splits: Splits, folder: Path) -> dict[str, Path]:
    """File of each image's mask, by the image's name."""
    splits.link_masks(folder / "masks", folder / "linked")
    samples = [sample for name in splits.distinct for sample in splits[name]]
    files = {sample.opener.name: folder / "linked" / f"{sample.id}.png" for sample in samples}
    return {name: file for name, file in files.items() if file.exists()}


@pytest.mark.parametrize("folder", ["guide/cat", "cat", "."])
def test_a_mask_fits_the_image_whose_path_ends_like_its_own(folder: str, tmp_path: Path) -> None:
    photos = write_classes(tmp_path / "photos" / "test", {"cat": 1, "dog": 1}).parent
    write_image(photos / "guide" / "cat" / "tom.png", 77)
    write_classes(photos / "train", {"cat": 2, "dog": 2}, seed=50)
    mask = write_mask(tmp_path / "masks" / folder / "tom.png")
    found = linked(Splits.from_folder(photos), tmp_path)
    assert list(found) == ["guide/cat/tom.png"]
    assert found["guide/cat/tom.png"].read_bytes() == mask.read_bytes()


def test_the_longest_path_wins(splits: Splits, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "cat" / "000.png", 100)
    near = write_mask(tmp_path / "masks" / "guide" / "cat" / "000.png", 200)
    write_mask(tmp_path / "masks" / "train" / "cat" / "000.png", 150)
    assert linked(splits, tmp_path)["guide/cat/000.png"].read_bytes() == near.read_bytes()


def test_a_mask_of_another_class_does_not_fit(splits: Splits, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "guide" / "dog" / "000.png")
    assert list(linked(splits, tmp_path)) == ["guide/dog/000.png"]


def test_it_counts_the_images_that_have_a_mask(splits: Splits, tmp_path: Path) -> None:
    for name in ("guide/cat/000", "guide/dog/001", "train/cat/001"):
        write_mask(tmp_path / "masks" / f"{name}.png")
    assert splits.link_masks(tmp_path / "masks", tmp_path / "linked") == 3
    assert splits.link_masks(str(tmp_path / "masks"), str(tmp_path / "linked")) == 3


def test_a_mask_of_another_format_becomes_a_png(splits: Splits, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "guide" / "cat" / "000.bmp")
    with Image.open(linked(splits, tmp_path)["guide/cat/000.png"]) as copy:
        assert copy.format == "PNG"
        assert copy.getextrema() == (0, 255)


def test_one_mask_for_two_images_names_both(splits: Splits, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "000.png")
    with pytest.raises(DataError, match=r"000\.png matches two images, \w+/\w+/000\.png and \w+/\w+/000\.png"):
        splits.link_masks(tmp_path / "masks", tmp_path / "linked")


def test_two_masks_for_one_image_are_both_named(splits: Splits, tmp_path: Path) -> None:
    for ending in ("png", "bmp"):
        write_mask(tmp_path / "masks" / "guide" / "cat" / f"000.{ending}")
    with pytest.raises(DataError, match=r"000\.bmp and .*000\.png"):
        splits.link_masks(tmp_path / "masks", tmp_path / "linked")


def test_masks_that_match_nothing_are_reported(splits: Splits, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "other.png")
    with pytest.raises(DataError, match=r"no mask .* is named like an image .* other\.png"):
        splits.link_masks(tmp_path / "masks", tmp_path / "linked")


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_mask_that_cannot_be_read_is_named(content: bytes, splits: Splits, tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "guide" / "cat" / "000.png").write_bytes(content)
    with pytest.raises(DataError, match=r"000\.png cannot be read"):
        splits.link_masks(tmp_path / "masks", tmp_path / "linked")


def test_a_missing_folder_is_named(splits: Splits, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        splits.link_masks(tmp_path / "nowhere", tmp_path / "linked")


def test_a_symlink_that_leaves_the_folder_is_refused(splits: Splits, tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "elsewhere.png")
    link = tmp_path / "masks" / "guide" / "cat" / "000.png"
    link.parent.mkdir(parents=True)
    link.symlink_to(mask)
    with pytest.raises(DataError, match=r"000\.png is a symlink"):
        splits.link_masks(tmp_path / "masks", tmp_path / "linked")
