"""The world is written once, whole, and says nothing but the labels."""

from pathlib import Path

import pytest
from PIL import Image

from xaiaug.errors import DataError
from xaiaug.petworld import Scene, draw, write_world

SIZES = {"train": 12, "guide": 8, "test": 6}


def files(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()
    }


def test_the_folder_holds_the_scenes_and_nothing_else(tmp_path: Path) -> None:
    world = write_world(tmp_path / "world", sizes=SIZES, seed=0)
    assert set(files(tmp_path / "world")) == set(world)
    assert len(world) == sum(SIZES.values())
    for file, scene in world.items():
        split, label, name = file.split("/")
        assert label == scene.animal and split in SIZES and Path(name).stem.isdigit()
        with Image.open(tmp_path / "world" / file) as image:
            assert image.tobytes() == draw(scene).tobytes()


def test_a_complete_folder_is_left_as_it_is(tmp_path: Path) -> None:
    first = write_world(tmp_path, sizes=SIZES, seed=0)
    before = files(tmp_path)
    assert write_world(tmp_path, sizes=SIZES, seed=0) == first
    assert files(tmp_path) == before


def test_what_is_missing_is_drawn_and_the_rest_left_alone(tmp_path: Path) -> None:
    world = write_world(tmp_path, sizes=SIZES, seed=0)
    before, lost = files(tmp_path), next(iter(world))
    (tmp_path / lost).unlink()
    (tmp_path / lost).with_suffix(".part").write_bytes(b"half a file")
    write_world(tmp_path, sizes=SIZES, seed=0)
    after = files(tmp_path)
    assert set(after) == set(before)
    assert {file for file in after if after[file] != before[file]} == {lost}


@pytest.mark.parametrize("changed", [{"seed": 1}, {"bias": 0.5}, {"tagged": 0.97}, {"sizes": {"train": 4, "test": 6}}])
def test_another_world_replaces_the_drawings(tmp_path: Path, changed: dict[str, object]) -> None:
    write_world(tmp_path / "one", sizes=SIZES, seed=0)
    arguments = {"sizes": SIZES, "seed": 0, **changed}
    world = write_world(tmp_path / "one", **arguments)
    fresh = write_world(tmp_path / "two", **arguments)
    assert world == fresh
    assert {file: (tmp_path / "one" / file).read_bytes() for file in world} == {
        file: (tmp_path / "two" / file).read_bytes() for file in fresh
    }
    assert set(files(tmp_path / "one")) == set(world)


def test_unbiased_splits_have_no_shortcut_and_test_stays_the_same(tmp_path: Path) -> None:
    sizes = {"train": 160, "test": 40}
    biased = write_world(tmp_path / "biased", sizes=sizes, seed=5)
    oracle = write_world(tmp_path / "oracle", sizes=sizes, seed=5, unbiased=("train", "test"))

    def odd(world: dict[str, Scene], split: str) -> float:
        found = [bool(scene.conflicts) for file, scene in world.items() if file.startswith(split)]
        return sum(found) / len(found)

    assert odd(biased, "train") < 0.15 and odd(biased, "test") > 0.6 and odd(oracle, "train") > 0.6
    tests = [{f: s for f, s in world.items() if f.startswith("test")} for world in (biased, oracle)]
    assert tests[0] == tests[1]


def test_images_of_somebody_else_are_never_touched(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "holiday.png")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holiday\.png is not a drawing of petworld"):
        write_world(tmp_path, sizes=SIZES, seed=0)
    assert set(files(tmp_path)) == {"holiday.png", "notes.txt"}


def test_an_unknown_unbiased_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unbiased names guid"):
        write_world(tmp_path, sizes=SIZES, seed=0, unbiased=("guid",))


def test_tags_mark_one_class_where_coats_do_and_both_where_they_do_not(tmp_path: Path) -> None:
    world = write_world(tmp_path, sizes={"train": 200, "test": 200}, seed=0, tagged=1.0)
    tags = {split: [scene for file, scene in world.items() if file.startswith(split)] for split in ("train", "test")}
    assert all((scene.tag != "none") == (scene.animal == "dog") for scene in tags["train"])
    for label in ("cat", "dog"):
        assert 30 < sum(scene.tag != "none" for scene in tags["test"] if scene.animal == label) < 70


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused_before_anything_is_written(tmp_path: Path, share: float) -> None:
    with pytest.raises(DataError, match=r"tagged must lie in 0\.\.1"):
        write_world(tmp_path / "world", sizes=SIZES, seed=0, tagged=share)
    assert not (tmp_path / "world").exists()
