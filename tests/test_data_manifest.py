"""A table of files becomes splits; what is wrong with a row is said with its line."""

from collections import defaultdict
from pathlib import Path

import pytest
from images_on_disk import write_image

from xaiaug import Splits
from xaiaug.data import SPLITS
from xaiaug.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cats-vs-dogs"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIAUG_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(48):
        write_image(tmp_path / f"scans/{number:02d}.png", number)
    return tmp_path


def write(root: Path, header: str, rows: list[str], encoding: str = "utf-8") -> Path:
    (root / "table.csv").write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return root / "table.csv"


def rows(columns: str = "") -> list[str]:
    """48 scans of 12 patients, half of them ill; `columns` is formatted with number and patient."""
    return [
        f"scans/{number:02d}.png,{'ill' if number % 2 else 'well'}" + columns.format(number=number, patient=number // 4)
        for number in range(48)
    ]


def counts(splits: Splits) -> dict[str, int]:
    return {name: len(splits[name]) for name in SPLITS if splits[name]}


def test_a_table_without_splits_is_divided_by_fractions(root: Path) -> None:
    splits = Splits.from_manifest(write(root, "file,label", rows()), guide=0.25, validation=0, test=0.25)
    assert splits.labels == ("ill", "well")
    assert counts(splits) == {"train": 24, "guide": 12, "test": 12}
    assert splits.check().counts["test"] == {"ill": 6, "well": 6}
    assert splits.train[0].opener.name.startswith("scans/")


def test_a_table_with_splits_keeps_them(root: Path) -> None:
    names = ["train", "guide", "val", "test"]
    table = write(root, "file,label,split", [f"{row},{names[number // 2 % 4]}" for number, row in enumerate(rows())])
    assert counts(Splits.from_manifest(table)) == {"train": 12, "guide": 12, "validation": 12, "test": 12}


def test_groups_and_weights_are_read(root: Path) -> None:
    table = write(root, "file,label,group:patient,site,weight,note", rows(",p{patient},north,0.5,hello"))
    splits = Splits.from_manifest(table, groups=["site"])
    assert all(sample.weight == 0.5 for sample in splits.train)
    assert all(set(sample.groups) == {"patient", "site"} for sample in splits.train)
    assert {sample.groups["site"] for sample in splits.train} == {"north"}


def test_no_patient_is_in_two_splits(root: Path) -> None:
    table = write(root, "file,label,group:patient", rows(",p{patient}"))
    splits = Splits.from_manifest(table, guide=0.25, validation=0, test=0.25, split_by="patient")
    places = defaultdict(set)
    for name in SPLITS:
        for sample in splits[name]:
            places[sample.groups["patient"]].add(name)
    assert len(places) == 12
    assert all(len(names) == 1 for names in places.values())
    assert counts(splits) == {"train": 24, "guide": 12, "test": 12}
    splits.check()


def test_a_patient_in_two_given_splits_is_an_error_when_asked(root: Path) -> None:
    names = ["train", "guide", "validation", "test"]
    table = write(
        root,
        "file,label,group:patient,split",
        [f"{row},{names[number // 2 % 4]}" for number, row in enumerate(rows(",p{patient}"))],
    )
    Splits.from_manifest(table).check()
    with pytest.raises(DataError, match="split_by = 'patient': patient 'p0' is in both train and guide"):
        Splits.from_manifest(table, split_by="patient").check()


def test_files_are_relative_to_the_root_that_is_given(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = write(tmp_path_factory.mktemp("tables"), "file,label", rows())
    assert sum(counts(Splits.from_manifest(elsewhere, root)).values()) == 48
    with pytest.raises(
        DataError, match=r"none of its 48 files is there. 'scans/00.png' does not exist. Files are relative to .*root="
    ):
        Splits.from_manifest(elsewhere, guide=0, validation=0, test=0).check(needs=())


def test_spreadsheets_write_a_mark_before_the_first_column(root: Path) -> None:
    assert Splits.from_manifest(write(root, "file,label", rows(), "utf-8-sig")).labels == ("ill", "well")


@pytest.mark.parametrize(
    ("header", "changed", "message"),
    [
        ("path,label", "scans/00.png,well", "has no column 'file'; it has path, label"),
        ("file,class", "scans/00.png,well", "has no column 'label'"),
        ("file,label", ",well", "line 2: file is empty"),
        ("file,label", "scans/00.png,", "line 2: label is empty"),
        ("file,label", "scans/00.png,well,more", "line 2: more values than columns"),
        ("file,label,split", "scans/00.png,well,tset", "line 2: unknown split 'tset'. Did you mean 'test'"),
        ("file,label,split", "scans/00.png,well,test", "47 of 48 rows have no split"),
        ("file,label,weight", "scans/00.png,well,heavy", "line 2: weight must be a positive number, got 'heavy'"),
        ("file,label,weight", "scans/00.png,well,0", "got '0'"),
        ("file,label,weight", "scans/00.png,well,inf", "got 'inf'"),
        ("file,label", "scans/01.png,well", "scans/01.png is listed twice, in lines 2 and 3"),
        ("file,label", '"scans/00.png,well', "is not a UTF-8 CSV file"),
    ],
)
def test_a_bad_row_is_named_by_its_line(root: Path, header: str, changed: str, message: str) -> None:
    more = "," * (header.count(",") - 1)
    with pytest.raises(DataError, match=message):
        Splits.from_manifest(write(root, header, [changed, *(row + more for row in rows()[1:])]))


@pytest.mark.parametrize("file", ["../outside.png", "{outside}", "scans/../../outside.png"])
def test_a_file_outside_the_root_is_refused(root: Path, file: str) -> None:
    outside = write_image(root / "outside.png", 99)
    (root / "inner").mkdir()
    (root / "scans").rename(root / "inner/scans")
    table = write(root / "inner", "file,label", [f"{file.format(outside=outside)},well", *rows()])
    with pytest.raises(DataError, match="outside.png: lies outside the data folder"):
        Splits.from_manifest(table).check()


def test_a_missing_file_is_skipped_when_asked(root: Path) -> None:
    table = write(root, "file,label", [*rows(), "scans/gone.png,well"])
    with pytest.raises(DataError, match="scans/gone.png: does not exist"):
        Splits.from_manifest(table).check()
    with pytest.warns(UserWarning, match="skipped"):
        check = Splits.from_manifest(table, on_bad_image="skip").check()
    assert [one.file for one in check.skipped] == ["scans/gone.png"]


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone.csv cannot be read"):
        Splits.from_manifest(tmp_path / "gone.csv")
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff\xe0" * 9)
    with pytest.raises(DataError, match="is not a UTF-8 CSV file"):
        Splits.from_manifest(tmp_path / "image.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="has no column 'file', 'label'; it has none"):
        Splits.from_manifest(tmp_path / "empty.csv")


def test_splitting_by_a_group_that_is_not_there_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match="split_by='patient': scans/00.png has no such group"):
        Splits.from_manifest(write(root, "file,label", rows()), split_by="patient")
    with pytest.raises(DataError, match="has no column 'site'"):
        Splits.from_manifest(write(root, "file,label", rows()), groups=["site"])
    with pytest.raises(ConfigError, match="unknown option 'group'. Did you mean 'groups'|unknown option 'group'"):
        Splits.from_manifest(write(root, "file,label", rows()), group="site")


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data/cats-vs-dogs is not present")
def test_a_published_table_may_be_cut_to_the_rows_one_wants(tmp_path: Path) -> None:
    header, *published = (SHARED / "manifest.csv").read_text().splitlines()
    table = write(tmp_path, header, [row for row in published if ",validation," in row][::5])
    table.write_text(table.read_text().replace(",validation,", ",guide,"))
    splits = Splits.from_manifest(table, SHARED, validation=0, test=0)
    assert splits.check(needs=["guide"]).counts == {"guide": {"cat": 50, "dog": 50}}
