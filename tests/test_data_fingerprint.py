"""Fingerprints find copies, are kept between checks, and never stand in a run's way."""

import os
import sqlite3
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_on_disk import blobs, write_image, write_splits
from PIL import Image, ImageOps

from xaiaug import Splits
from xaiaug.data import Fingerprint, compute_fingerprints, near_duplicates
from xaiaug.data.cache import FactCache, cache_folder
from xaiaug.data.near_duplicates import (
    Hashes,
    correlation,
    find_close_hashes,
    find_near_duplicates,
    max_over_mirror,
    thumbnail,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "photos", {"train": 4, "guide": 2, "validation": 2, "test": 2})


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999), side=st.integers(16, 90))
def test_hashes_are_those_of_the_library(seed: int, side: int) -> None:
    image = blobs(seed, side)
    fingerprint = Fingerprint.of(image)
    assert f"{fingerprint.phash:016x}" == str(imagehash.phash(image))
    mirrored = imagehash.phash(ImageOps.mirror(image))
    assert (fingerprint.mirror ^ int(str(mirrored), 16)).bit_count() <= 2, "rounding alone may differ"
    assert Fingerprint.from_text(fingerprint.to_text()) == fingerprint


def test_pixels_tell_apart_what_has_the_same_bytes_in_another_shape() -> None:
    tall, wide = Image.new("RGB", (2, 8), "red"), Image.new("RGB", (8, 2), "red")
    assert tall.tobytes() == wide.tobytes()
    assert Fingerprint.of(tall).pixels != Fingerprint.of(wide).pixels


@settings(max_examples=30, deadline=None)
@given(data=st.data(), size=st.integers(0, 150))
def test_all_pairs_are_those_of_a_double_loop(data: st.DataObject, size: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    base = rng.integers(0, 2**63, 3, dtype=np.uint64)
    # Hashes that differ in few bits from one of three.
    values = [int(base[number % 3]) ^ int(rng.integers(0, 2**9)) for number in range(2 * size)]
    marks = [Fingerprint("", value, int(rng.integers(0, 2**63)), 0) for value in values]
    ones, others = marks[:size], marks[size:]
    slow = {
        (i, j, min((one.phash ^ other.phash).bit_count(), (one.phash ^ other.mirror).bit_count()))
        for i, one in enumerate(ones)
        for j, other in enumerate(others)
    }
    assert set(find_close_hashes(Hashes.of(ones), Hashes.of(others))) == {pair for pair in slow if pair[2] <= 4}


@pytest.mark.parametrize("table", near_duplicates._TABLES)
@pytest.mark.parametrize("at_once", [(2**18, 2**22), (3, 2)])
def test_pairs_by_shared_blocks_are_all_pairs(
    table: tuple[int, int, int], at_once: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(sum(table))
    ones, others = (
        Hashes(*generator.integers(0, 2**64, (2, size), dtype=np.uint64, endpoint=False)) for size in (60, 90)
    )
    for number in range(80):  # 0 to 5 bits away from one, plain or mirrored, some twice
        bits = generator.choice(64, size=number % 6, replace=False)
        close = ones.plain[number % 50] ^ np.uint64(sum(1 << int(bit) for bit in bits))
        (others.plain if number % 2 else others.mirror)[number] = close
        if number % 7 == 0:
            others.plain[number] = others.mirror[number] = close
    expected = list(near_duplicates._compare_all(ones, others))
    assert len(expected) >= 66
    monkeypatch.setattr(near_duplicates, "_TABLES", [(0, *table[1:])])
    monkeypatch.setattr(near_duplicates, "_ROWS", at_once[0])
    monkeypatch.setattr(near_duplicates, "_CANDIDATES", at_once[1])
    monkeypatch.setattr(near_duplicates, "_MOST_COMPARED", 0)
    assert list(find_close_hashes(ones, others)) == expected
    assert list(find_close_hashes(Hashes.of([]), others)) == list(find_close_hashes(ones, Hashes.of([]))) == []


def test_near_pairs_are_confirmed_by_pixels() -> None:
    image = blobs(1, 96)
    others = [image.resize((60, 60)), ImageOps.mirror(image), blobs(2, 96), ImageOps.invert(image)]
    marks = [Fingerprint.of(other) for other in others]
    # One that collides by hash alone.
    marks[2] = Fingerprint.of(image)
    pairs = list(find_near_duplicates([Fingerprint.of(image)], marks, lambda _: image, lambda index: others[index]))
    assert [pair.other for pair in pairs] == [0, 1]
    assert all(pair.correlation > 0.98 and pair.distance <= 4 for pair in pairs)


def test_large_files_are_looked_at_in_order_too(tmp_path: Path) -> None:
    root = write_splits(tmp_path / "large", {"train": 6, "test": 2})
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        blobs(number, 200).save(path.with_suffix(".bmp"))
        path.unlink()
    samples = Splits.from_folder(root, guide="validation").train
    assert min(sample.opener.size for sample in samples) > 100_000
    assert compute_fingerprints(samples) == [Fingerprint.of(sample.open()) for sample in samples]


def test_constant_images_correlate_with_nothing() -> None:
    flat = thumbnail(Image.new("RGB", (9, 9), "grey"))
    assert correlation(flat, flat) == 0
    assert max_over_mirror(correlation, flat, thumbnail(blobs(1))) == 0


def test_what_is_known_is_not_decoded_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Splits.from_folder(root).train
    first = compute_fingerprints(samples)
    monkeypatch.setattr(Fingerprint, "of", lambda image: pytest.fail("was decoded again"))
    assert compute_fingerprints(samples) == first


@pytest.mark.parametrize("change", ["content", "time"])
def test_a_file_that_changed_is_read_again(root: Path, change: str) -> None:
    path = root / "train/cat/000.png"
    before = Splits.from_folder(root)
    first = compute_fingerprints(before.train)
    stat = path.stat()
    if change == "content":
        write_image(path, 4711)
    else:  # the same size: only the time tells
        whole = bytearray(path.read_bytes())
        path.write_bytes(bytes(whole[:-20]) + bytes(20))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    after = Splits.from_folder(root)
    assert after.train[0].id != before.train[0].id
    assert after.train[1].id == before.train[1].id
    assert compute_fingerprints(after.train)[0] != first[0]
    assert compute_fingerprints(after.train)[1:] == first[1:]


def test_another_window_is_another_fact(root: Path) -> None:
    plain = compute_fingerprints(Splits.from_folder(root).train)
    small = compute_fingerprints(Splits.from_folder(root, side=12).train)
    assert all(one.pixels != other.pixels for one, other in zip(plain, small, strict=True))


def test_the_cache_is_never_in_the_folder_of_the_data(root: Path, cache: Path) -> None:
    before = sorted(root.rglob("*"))
    Splits.from_folder(root).check()
    assert sorted(root.rglob("*")) == before
    assert (cache / "files.sqlite").is_file()


@pytest.mark.parametrize("spoil", ["file", "junk", "table"])
def test_a_cache_that_cannot_be_used_costs_time_and_nothing_else(root: Path, cache: Path, spoil: str) -> None:
    if spoil == "file":  # where the folder should be
        cache.write_text("x")
    else:
        cache.mkdir()
        if spoil == "junk":
            (cache / "files.sqlite").write_bytes(b"no database" * 100)
        else:
            with sqlite3.connect(cache / "files.sqlite") as connection:
                connection.execute("CREATE TABLE known (other TEXT)")
    check = Splits.from_folder(root).check()
    assert check.counts["train"] == {"cat": 4, "dog": 4}


def test_every_fact_that_is_asked_for_is_found_and_no_other(cache: Path) -> None:
    states = {f"/{number:04}": str(number) for number in range(1300)}  # more than one query takes
    FactCache("one").write(states, {name: f"fact {state}" for name, state in states.items()})
    asked = {name: state for name, state in states.items() if state not in {"0", "700", "1299"}}
    assert FactCache("one").read(asked) == {name: f"fact {state}" for name, state in asked.items()}


def test_facts_of_one_kind_are_not_those_of_another(cache: Path) -> None:
    states = {"/a": "1", "/b\udce9": "2"}  # the second is no valid text, as a path may be
    FactCache("one").write(states, {"/a": "x", "/b\udce9": "y", "/c": "has no state"})
    assert FactCache("one").read(states) == {"/a": "x", "/b\udce9": "y"}
    assert FactCache("one").read({"/a": "3", "/b\udce9": "2", "/c": ""}) == {"/b\udce9": "y"}
    assert FactCache("two").read(states) == {}
    assert FactCache("one").read({}) == {}


def test_the_cache_lies_where_caches_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("XAIAUG_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "xaiaug"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "xaiaug"
