"""Mistakes and arms lie as tables in the run folder, each mistake with its file; the splits lie there as a manifest."""

import csv
import re
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug import FeedbackLoop, Recipe, Sample, Splits
from xaiaug.data import format_splits
from xaiaug.errors import RunFolderError
from xaiaug.results.maintenance import verify
from xaiaug.tables import parse_edited_csv


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 24, "validation": 4, "test": 12})


@pytest.fixture(scope="module")
def result(folder, tmp_path_factory):
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), Painter(), recipe=Recipe(steps=4, batch_size=8))
    return loop.run(Splits.from_folder(folder), tmp_path_factory.mktemp("runs") / "run")


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_mistake_is_listed_with_the_file_it_lies_in(result, folder):
    rows = read(result.run_dir / "mistakes.csv")
    guide = [row for row in rows if row["split"] == "guide"]
    assert [row["id"] for row in guide] == [case.id for case in result.mistakes]
    for row in rows:
        assert row["file"].split("/")[:2] == [row["split"], row["label"]] and (folder / row["file"]).is_file()
        assert row["predicted"] != row["label"] and 0.5 <= float(row["probability"]) <= 1
    assert all(row["cause"] for row in guide)
    assert [row["fixed_by"] for row in guide] == ["; ".join(case.fixed_by) for case in result.mistakes]


def test_mistakes_on_test_say_which_arms_fix_them(result):
    rows = {row["id"]: row for row in read(result.run_dir / "mistakes.csv") if row["split"] == "test"}
    assert rows
    for arm in result.report.arms:
        fixed = set(arm.changed.fixed) if arm.changed else set()
        assert fixed == {name for name, row in rows.items() if arm.name in row["fixed_by"].split("; ")}


def test_arms_are_listed_with_the_scores_of_the_report(result):
    rows = read(result.run_dir / "arms.csv")
    assert [row["arm"] for row in rows] == [arm.name for arm in result.report.arms]
    for row, arm in zip(rows, result.report.arms, strict=True):
        assert float(row["accuracy"]) == pytest.approx(arm.seeds[0].metrics.accuracy, abs=1e-6)
        assert int(row["new_images"]) == sum(arm.synthetic.values())


def test_the_kept_splits_read_as_the_same_splits(result, folder):
    again = Splits.from_manifest(result.run_dir / "splits.csv", folder)
    assert again.digest == result.report.data.fingerprint
    assert not again.notes


def test_tables_that_a_person_changed_are_kept_beside_and_no_damage(result):
    path = result.run_dir / "arms.csv"
    written = path.read_text()
    path.write_text(written.replace("arm,", "arm ,") + "mine,,,\n")
    assert verify(result.run_dir) == []
    result.write_report()
    assert path.read_text() == written and "mine" in path.with_name("arms.csv.bak").read_text()
    path.with_name("arms.csv.bak").unlink()
    result.write_report()
    assert not path.with_name("arms.csv.bak").exists()


def test_without_paths_no_file_of_the_data_is_named(result, folder):
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    result.write_report(paths=False)
    text = (result.run_dir / "mistakes.csv").read_text()
    assert not any(name in text for name in names) and text.startswith("split,label,")
    result.write_report()
    assert any(name in (result.run_dir / "mistakes.csv").read_text() for name in names)


def test_splits_that_were_changed_name_no_files(result):
    path = result.run_dir / "splits.csv"
    written = path.read_bytes()
    path.write_bytes(written.replace(b"test", b"train", 1))
    try:
        with pytest.raises(RunFolderError, match=r"splits\.csv .* Rerun the command"):
            result.write_report()
        assert any("splits.csv" in line for line in verify(result.run_dir))
    finally:
        path.write_bytes(written)


# Names that a spreadsheet takes for formulas or that need quotes, and none that no file system has.
NAMES = st.text(st.sampled_from("=+-@'; ,\"ab"), min_size=1, max_size=6).filter(lambda name: name.strip() == name)


@settings(max_examples=30)
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_files_and_classes_of_any_name_are_found_again_in_the_manifest(names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    for index, name in enumerate(names):
        for label in ("=cat", "'=dog"):
            place = folder / label / f"{name}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (index * 40, len(label) * 40, 9)).save(place)
    splits = Splits.from_folder(folder, guide=0, validation=0, test=0)
    table = folder / "splits.csv"
    table.write_text(format_splits(splits), encoding="utf-8")
    assert not re.search(r'^"?=', table.read_text(encoding="utf-8"), re.MULTILINE)
    assert Splits.from_manifest(table, folder, guide=0, validation=0, test=0).digest == splits.digest


def test_the_manifest_of_many_images_takes_the_memory_of_its_text_and_not_of_its_rows():
    class Guide(Sequence):
        """Samples that are made when they are asked for."""

        def __len__(self):
            return 4000

        def __getitem__(self, place):
            return Sample(id=f"{range(4000)[place]:040x}", label=0, opener=Path)

    splits = Splits(("a",), train=(), guide=Guide())
    tracemalloc.start()
    text = format_splits(splits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text.count("\n") == 4001
    assert peak < 4 * len(text)


def test_images_in_no_file_are_named_by_their_row():
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageColumn

    images = [Image.new("RGB", (4, 4), (n * 20, 0, 0)) for n in range(6)]
    features = Features({"image": ImageColumn(), "label": ClassLabel(names=["a", "b"])})
    data = Dataset.from_dict({"image": images, "label": [0, 1] * 3}, features=features)
    splits = Splits.from_datasets(data, guide=0, validation=0, test=0)
    rows = parse_edited_csv(format_splits(splits).encode(), ("image", "label", "split", "id"))
    assert len({row["image"] for row in rows}) == 6 and "file" not in rows[0]
