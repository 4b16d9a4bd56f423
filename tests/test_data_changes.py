"""An id always belongs to the bytes it was made from, whatever a file's name, size and date say."""

import copy
import os
import pwd
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images_on_disk import blobs, write_classes, write_image

from xaiaug import DataError, Splits
from xaiaug.data import cache, compute_fingerprints
from xaiaug.data.decode import digest_bytes


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes files for old enough that their state can be trusted, though they were written a moment ago."""
    monkeypatch.setattr("xaiaug.data.entries.is_settled", lambda _: True)


def samples(root: Path, **options: object) -> dict:
    splits = Splits.from_folder(root, **options)
    return {sample.opener.name: sample for name in splits.distinct for sample in splits[name]}


def bitmaps(root: Path) -> Path:
    """Large files that all have one size and one date, as an archive gives them."""
    for number, label in enumerate(("cat", "dog")):
        for index in range(6):
            path = root / label / f"{index}.bmp"
            path.parent.mkdir(parents=True, exist_ok=True)
            blobs(100 * number + index, 300).save(path)
            os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def swap(one: Path, other: Path) -> None:
    spare = one.with_name("spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


def overwrite(one: Path, other: Path) -> None:
    """Swaps the contents in place, and sets the dates back."""
    stats = [path.stat() for path in (one, other)]
    contents = other.read_bytes(), one.read_bytes()
    for path, content, stat in zip((one, other), contents, stats, strict=True):
        with path.open("r+b") as file:
            file.write(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", [swap, overwrite])
@pytest.mark.parametrize("side", [None, 64])
def test_files_of_one_size_and_date_that_changed_places_get_the_ids_of_their_bytes(tmp_path, change, side):
    root = bitmaps(tmp_path)
    fractions = {"guide": 0.2, "validation": 0.2, "test": 0.2}
    before = samples(root, side=side, **fractions)
    pixels = {name: sample.open().tobytes() for name, sample in before.items()}
    compute_fingerprints(list(before.values()))
    change(root / "cat/0.bmp", root / "dog/0.bmp")
    after = samples(root, side=side, **fractions)
    assert after["cat/0.bmp"].id == before["dog/0.bmp"].id and after["dog/0.bmp"].id == before["cat/0.bmp"].id
    assert after["cat/0.bmp"].open().tobytes() == pixels["dog/0.bmp"]
    found = compute_fingerprints([after["cat/0.bmp"], before["dog/0.bmp"]])
    assert found[0] == found[1]


@pytest.mark.parametrize("trusted", [True, False], ids=["settled", "just written"])
@pytest.mark.parametrize("side", [None, 64])
def test_a_file_that_changed_while_in_use_is_named_and_fine_again_once_put_back(tmp_path, side, trusted, monkeypatch):
    monkeypatch.setattr("xaiaug.data.entries.is_settled", lambda _: trusted)
    root = bitmaps(tmp_path)
    held = samples(root, side=side, guide=0.2, validation=0.2, test=0.2)["cat/0.bmp"]
    first = held.open().tobytes()
    overwrite(root / "cat/0.bmp", root / "dog/0.bmp")
    for opened in (held, copy.deepcopy(held)):
        with pytest.raises(DataError, match=r"cat/0.bmp: changed while it was in use: expected the bytes"):
            opened.open()
    overwrite(root / "cat/0.bmp", root / "dog/0.bmp")
    assert held.open().tobytes() == first


@pytest.mark.usefixtures("settled")
def test_the_same_bytes_in_another_file_are_the_same_image(tmp_path):
    root = bitmaps(tmp_path)
    held = samples(root, guide=0.2, validation=0.2, test=0.2)["cat/0.bmp"]
    content = (root / "cat/0.bmp").read_bytes()
    (root / "cat/0.bmp").unlink()
    (root / "cat/0.bmp").write_bytes(content)
    assert held.open().tobytes() == blobs(0, 300).tobytes()


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["swap", "overwrite", "touch", "copy"]), st.integers(0, 5)), max_size=5))
def test_ids_are_digests_of_bytes_after_any_changes(tmp_path_factory, changes):
    root = bitmaps(tmp_path_factory.mktemp("changes"))
    for change, number in changes:
        one, other = root / f"cat/{number}.bmp", root / f"dog/{(number + 1) % 6}.bmp"
        if change == "touch":
            os.utime(one, (1_600_000_000 + number, 1_600_000_000 + number))
        elif change == "copy":
            write = one.read_bytes()
            one.unlink()
            one.write_bytes(write)
        else:
            (swap if change == "swap" else overwrite)(one, other)
        for name, sample in samples(root, guide=0.2, validation=0.2, test=0.2).items():
            assert sample.id == digest_bytes((root / name).read_bytes())


def test_a_row_whose_file_changed_is_named(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra datasets is not installed")
    paths = [str(write_image(tmp_path / f"{number}.png", number)) for number in range(8)]
    data = datasets.Dataset.from_dict({"image": paths, "label": ["cat", "dog"] * 4})
    splits = Splits.from_datasets(data.cast_column("image", datasets.Image()), guide=0.25, validation=0, test=0.25)
    held = splits.train[0]
    assert held.open().size == (24, 24)
    write_image(Path(paths[held.opener.row]), 99)
    with pytest.raises(DataError, match=rf"row\[{held.opener.row}\]: changed while it was in use"):
        held.open()


def nobody(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def test_without_a_home_there_is_no_cache_and_all_else_works(tmp_path, monkeypatch):
    for name in ("XAIAUG_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(OSError, match="no home folder"):
        cache.cache_folder()
    root = bitmaps(tmp_path)
    splits = Splits.from_folder(root, side=64, guide=0.2, validation=0.2, test=0.2)
    splits.check()
    assert splits.train[0].open().size == (64, 64)


@pytest.mark.skipif(os.name == "nt", reason="there, every path is text")
def test_a_folder_whose_path_is_no_text_is_read_and_cached(tmp_path, monkeypatch):
    root = write_classes(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")), {"cat": 8, "dog": 8})
    Splits.from_folder(root).check()
    monkeypatch.setattr("xaiaug.data.entries.is_settled", lambda _: True)
    Splits.from_folder(root)
    monkeypatch.setattr("xaiaug.data.entries._digest_file", lambda *_: pytest.fail("was hashed again"))
    assert len(Splits.from_folder(root).train) == 8


def test_a_path_that_cannot_be_hashed_by_a_cache_is_no_reason_to_fail(tmp_path, monkeypatch):
    monkeypatch.setenv("XAIAUG_CACHE", "~no-such-user/cache")
    assert len(Splits.from_folder(write_classes(tmp_path, {"cat": 8, "dog": 8})).train) == 8
