"""Masks that a user brings: every kind of picture is read as it is meant, and a bad one is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import outline
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xaiaug.errors import ConfigError
from xaiaug.plugins.synthesizers._mask_folder import BadMaskError, MaskFolder, resize_mask

INSIDE = outline()
SIZE = (64, 64)


def levels(low: int, high: int, mode: str = "L") -> Image.Image:
    return Image.fromarray(np.where(INSIDE, high, low).astype(np.uint8)).convert(mode)


def palette() -> Image.Image:
    """Classes by colour: the subject dark red on black."""
    picture = Image.fromarray(INSIDE.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 128, 0, 0])
    return picture


def transparent() -> Image.Image:
    """A subject that is cut out already, black on nothing."""
    picture = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    picture.putalpha(levels(0, 255))
    return picture


def trimap() -> Image.Image:
    """0 backdrop, 1 subject, 2 its border."""
    values = INSIDE.astype(np.uint8)
    values[INSIDE & ~np.roll(INSIDE, 2, axis=0)] = 2
    return Image.fromarray(values)


PICTURES = {
    "white on black": levels(0, 255),
    "one on zero": levels(0, 1),
    "grey on black": levels(0, 128),
    "bilevel": levels(0, 255, "1"),
    "RGB": levels(0, 255, "RGB"),
    "opaque RGBA": levels(0, 255, "RGBA"),
    "grey with alpha": levels(0, 255, "LA"),
    "16 bits": Image.fromarray(np.where(INSIDE, 65535, 0).astype(np.uint16)),
    "palette": palette(),
    "palette of greys": levels(0, 255).convert("P"),
    "cut out": transparent(),
    "trimap": trimap(),
}


def read(folder: Path, picture: Image.Image, size: tuple[int, int] = SIZE) -> np.ndarray:
    picture.save(folder / "a1.png")
    return MaskFolder(str(folder)).mask("a1", size)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_any_kind_is_read_as_it_is_meant(name: str, tmp_path: Path) -> None:
    mask = read(tmp_path, PICTURES[name])
    assert mask.dtype == np.float32
    assert np.array_equal(mask, INSIDE)


@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_soft_edges_stay_soft(kind: type, top: int, tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64)[None].repeat(64, 0)
    mask = read(tmp_path, Image.fromarray((ramp * top).astype(kind)))
    assert np.abs(mask - ramp).max() < 0.005
    half = read(tmp_path, Image.fromarray((ramp * top).astype(kind)), (32, 32))
    assert np.abs(half[:, 1:-1] - ramp.reshape(64, 32, 2).mean(2)[:32, 1:-1]).max() < 0.01


@given(width=st.integers(1, 80), height=st.integers(1, 80), level=st.floats(0, 1))
def test_a_mask_is_resized_without_leaving_its_range(width: int, height: int, level: float) -> None:
    hard = resize_mask(INSIDE.astype(np.float32), (width, height))
    assert set(np.unique(hard)) <= {0, 1}
    soft = resize_mask((INSIDE * np.float32(level)).astype(np.float32), (width, height))
    assert soft.shape == (height, width)
    assert soft.min() >= 0
    assert soft.max() <= 1


def test_an_image_without_a_mask_has_none(tmp_path: Path) -> None:
    assert MaskFolder(str(tmp_path)).mask("a1", SIZE) is None


@pytest.mark.parametrize(
    ("picture", "told"), [(levels(0, 0), "marks nothing"), (levels(255, 255), "marks the whole image")]
)
def test_a_mask_that_tells_nothing_apart_is_refused(picture: Image.Image, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadMaskError, match=f"a1.png {told}"):
        read(tmp_path, picture)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_file_that_is_no_picture_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a1.png").write_bytes(content)
    with pytest.raises(BadMaskError, match=r"a1.png cannot be read"):
        MaskFolder(str(tmp_path)).mask("a1", SIZE)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a1.png")
    whole = (tmp_path / "a1.png").read_bytes()
    (tmp_path / "a1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadMaskError, match=r"a1.png cannot be read"):
        MaskFolder(str(tmp_path)).mask("a1", SIZE)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere.*link_masks"):
        MaskFolder(str(tmp_path / "nowhere"))


def test_the_digest_changes_with_a_mask(tmp_path: Path) -> None:
    levels(0, 255).save(tmp_path / "a1.png")
    first = MaskFolder(str(tmp_path)).digest()
    assert MaskFolder(str(tmp_path)).digest() == first
    levels(255, 0).save(tmp_path / "a1.png")
    assert MaskFolder(str(tmp_path)).digest() != first
