"""Large images are decoded at full size only once, and are the same with and without their reduced copy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xaiaug import Splits
from xaiaug.data.decode import Decoder
from xaiaug.data.image_file import ImageFile
from xaiaug.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(values).resize((800, 600), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(1).integers(-20, 20, (600, 800, 3))
    Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)).save(
        tmp_path / "large.jpg", quality=97
    )
    assert (tmp_path / "large.jpg").stat().st_size > 200_000
    return tmp_path / "large.jpg"


def opener(path: Path, side: int | None = 128) -> ImageFile:
    return ImageFile(str(path), path.name, Decoder(side=side))


def copies(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.jpg"))


def test_the_second_opening_takes_the_copy_and_gives_the_same_pixels(
    large: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opener(large)()
    assert (first.size, len(copies(cache))) == ((171, 128), 1)
    monkeypatch.setattr(Decoder, "decode", lambda *_: pytest.fail("was decoded again"))
    assert opener(large)().tobytes() == first.tobytes()


def test_a_cache_that_cannot_be_written_changes_no_pixel(large: Path, cache: Path) -> None:
    with_copy = opener(large)()
    for path in copies(cache):
        path.unlink()
    (cache / "reduced").rename(cache / "gone")
    (cache / "reduced").write_text("no folder")
    assert opener(large)().tobytes() == with_copy.tobytes()


def test_a_damaged_copy_is_made_again(large: Path, cache: Path) -> None:
    first = opener(large)()
    copies(cache)[0].write_bytes(b"junk")
    assert opener(large)().tobytes() == first.tobytes()
    assert copies(cache)[0].stat().st_size > 1000


def test_a_copy_is_close_to_what_it_is_a_copy_of(large: Path) -> None:
    exact = opener(large, side=None)().resize((171, 128), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(opener(large)(), dtype=float) - np.asarray(exact)).mean() < 4


def test_a_file_that_changed_gets_another_copy(large: Path) -> None:
    first = opener(large)()
    Image.open(large).rotate(180).save(large, quality=97)
    assert opener(large)().tobytes() != first.tobytes()


def test_small_files_and_small_sides_are_read_as_they_are(tmp_path: Path, large: Path, cache: Path) -> None:
    Image.open(large).resize((90, 60)).save(tmp_path / "small.jpg")
    assert opener(tmp_path / "small.jpg", side=40)().size == (60, 40)
    assert opener(large, side=None)().size == (800, 600)
    assert opener(large, side=4000)().size == (800, 600)
    assert copies(cache) == []


def test_a_check_makes_the_copies_that_training_reads(large: Path, tmp_path: Path, cache: Path) -> None:
    for number in range(4):
        for label in ("cat", "dog"):
            place = tmp_path / "photos" / label / f"{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.open(large).rotate(40 * number + (20 if label == "dog" else 0)).save(place, quality=97)
    splits = Splits.from_folder(tmp_path / "photos", side=64, guide=0.25, validation=0, test=0.25)
    splits.check()
    assert len(copies(cache)) == 8


def test_a_file_that_is_gone_is_named(large: Path) -> None:
    gone = opener(large)
    large.unlink()
    with pytest.raises(DataError, match="large.jpg: does not exist"):
        gone()
