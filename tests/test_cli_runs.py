"""A run from the command line: settings over a file, looks, mistakes shown, reports, comparison and export."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import xaiaug
from xaiaug import Splits, petworld
from xaiaug.cli import main
from xaiaug.cli.show import count_equal
from xaiaug.store import Store

SETTINGS = """
[data]
folder = "photos"
on_near_duplicate = "allow"
[classifier]
name = "hog"
[explainer]
name = "random"
[synthesizer]
name = "petworld"
[mistakes]
faithfulness = 0
[experiment]
images_per_mistake = 1
[curation]
checks = []
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    petworld.write_world(folder / "photos", sizes={"train": 16, "guide": 24, "test": 24}, seed=0)
    (folder / "my.toml").write_text(SETTINGS)
    return folder


@pytest.fixture(scope="module")
def call(place):
    """Runs a command in this process, in the folder with the settings."""

    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        import io
        from contextlib import redirect_stderr, redirect_stdout

        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["xaiaug", *arguments])
            patch.chdir(place)
            with pytest.raises(SystemExit) as end:
                main()
        assert (end.value.code or 0) == code, err.getvalue()
        return out.getvalue(), err.getvalue()

    return run


@pytest.fixture(scope="module")
def runs(call, place):
    """Two runs that differ in their seed."""
    printed, _ = call("run", "my.toml", "--run-dir", "one", "--limit", "8", "--steps", "40", "--json")
    call("run", "my.toml", "--run-dir", "two", "--limit", "8", "--steps", "40", "--set", "experiment.seeds=[1]")
    return json.loads(printed), place / "one", place / "two"


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Settings over a file ------------------------------------------------------------------------------------------


def test_a_plan_with_the_same_options_is_the_plan_of_the_run(call, runs):
    options = ["my.toml", "--limit", "8", "--steps", "40", "--set", "experiment.seeds=[0, 1]", "--json"]
    fresh = json.loads(call("plan", *options, "--run-dir", "elsewhere")[0])
    assert fresh["mistakes"][1] <= 8 and any("40 steps" in text for text in fresh["assumptions"])
    plain = json.loads(call("plan", *options[:-3], "--json", "--run-dir", "one")[0])
    assert plain["finished"]
    told, _, _ = runs
    assert told["mistakes"]["chosen"] == 8 and {arm["steps"] for arm in told["arms"] if arm["steps"]} == {40}


def test_results_are_on_stdout_and_progress_on_stderr(call, runs):
    out, err = call("run", "my.toml", "--run-dir", "one", "--limit", "8", "--steps", "40", "--json")
    assert json.loads(out)["arms"] == runs[0]["arms"]
    assert "check images" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds=3", "TABLE.KEY=VALUE"),
        ("experiment.seeds", "TABLE.KEY=VALUE"),
        (".seeds=3", "TABLE.KEY=VALUE"),
        ("experiment.seed=[1]", "Did you mean 'seeds'"),
        ("experiment.seeds=-1", "seeds"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(call, text, message):
    usage = message == "TABLE.KEY=VALUE"
    _, err = call("plan", "my.toml", "--set", text, code=2 if usage else 1)
    assert message in re.sub(r"\s+", " ", err)


def test_a_setting_that_names_another_plugin_takes_none_of_the_old_parameters(call, place):
    (place / "other.toml").write_text(SETTINGS.replace('name = "random"', 'name = "rise"\nmasks = 50'))
    printed, _ = call("plan", "other.toml", "--set", "explainer.name=random", "--json")
    assert json.loads(printed)["total"]


# A look at other settings --------------------------------------------------------------------------------------


def test_a_look_with_other_settings_leaves_the_report_and_counts_no_look_at_test(call, runs):
    _, one, _ = runs
    before = {name: (one / name).read_bytes() for name in ("report.html", "report.json", "mistakes.csv", "arms.csv")}
    look = ["run", "my.toml", "--run-dir", "one", "--limit", "3", "--until", "critique"]
    told = json.loads(call(*look, "--json")[0])
    assert Path(told["report"]).name == "look.html" and (one / "look.html").is_file()
    assert {name: (one / name).read_bytes() for name in before} == before
    assert "no complete predictions" in call("compare", "one", "two", code=1)[1]
    call("verify", "one")
    back = json.loads(call("run", "my.toml", "--run-dir", "one", "--limit", "8", "--steps", "40", "--json")[0])
    assert back["arms"] == told["arms"] or back["complete"]
    report = json.loads((one / "report.json").read_text())
    assert report["data"]["test_seen"] == 0 and len(report["cases"]) == 8


# Mistakes and images -------------------------------------------------------------------------------------------


def test_the_mistakes_are_listed_with_their_files(call, runs, place):
    listed = json.loads(call("show", "one", "--json")[0])
    assert listed and all((place / "photos" / one["file"]).is_file() for one in listed)
    printed, _ = call("show", "one")
    looked_into = [one for one in listed if one["split"] == "guide"]
    assert f"{len(looked_into)} mistakes that the run analysed" in printed and listed[0]["id"][:10] in printed


def test_a_mistake_is_found_by_id_by_its_name_and_by_its_file(call, runs, place):
    first = next(one for one in rows(runs[1] / "mistakes.csv") if one["split"] == "guide")
    by_id = json.loads(call("show", "one", first["id"][:8], "--json")[0])
    for query in (first["file"], str(place / "photos" / first["file"])):
        assert json.loads(call("show", "one", query, "--json")[0]) == by_id
    assert by_id["file"] == first["file"] and by_id["cause"] and by_id["images"]
    printed, _ = call("show", "one", first["id"])
    assert first["file"] in printed and by_id["cause"].split()[0] in printed


def test_images_that_failed_alike_are_counted_in_one_row():
    failed, kept = ("–", "0", "failed: no-subject", "–"), ("a.png", "1", "kept", "x")
    assert count_equal([failed, kept, failed]) == [["– × 2", *failed[1:]], list(kept)]


def test_why_a_synthetic_image_exists_is_shown(call, runs):
    _, one, _ = runs
    line = json.loads((one / "synthetic/metadata.jsonl").read_text().splitlines()[0])
    found = json.loads(call("show", "one", str(one / "synthetic" / line["file_name"]), "--json")[0])
    assert found["kind"] == "synthetic" and found["made from"]["id"] == line["case"]
    assert found["prompt as used"] == line["prompt"] and found["made from"]["cause"] == line["cause"]
    assert "generated+training" in found["arms"] and found["synthesizer"] == "petworld"
    printed, _ = call("show", "one", line["blob"][:12])
    assert line["case"] in printed


def test_a_test_image_is_shown_with_what_each_arm_predicts(call, runs):
    row = next(one for one in rows(runs[1] / "splits.csv") if one["split"] == "test")
    found = json.loads(call("show", "one", row["id"], "--json")[0])
    assert {one["arm"] for one in found["predictions"]} >= {"baseline", "continued"}


def test_what_fits_nothing_or_several_images_is_refused(call, runs):
    assert "there is no image" in call("show", "one", "nothing-like-it", code=1)[1]
    name = Path(rows(runs[1] / "splits.csv")[0]["file"]).name
    assert re.search(r"fits \d+ images", call("show", "one", name, code=1)[1])


# Reports, comparison, export -----------------------------------------------------------------------------------


def test_a_report_is_written_again_with_or_without_paths(call, runs):
    _, one, _ = runs
    (one / "report.html").unlink()
    assert "report.html" in call("report", "one", "--no-paths")[0]
    assert (one / "report.html").is_file() and "file" not in rows(one / "mistakes.csv")[0]
    call("report", "one")
    assert rows(one / "mistakes.csv")[0]["file"]


def test_runs_with_the_same_test_images_are_compared_in_pairs(call, runs):
    printed = json.loads(call("compare", "one", "two", "--json")[0])
    assert printed["paired"] and printed["images"] == [24, 24]
    assert [one["setting"] for one in printed["settings"]] == ["experiment.seeds"]
    scores = {
        row["arm"]: float(row["accuracy"])
        for name in ("one", "two")
        for row in rows(runs[1].parent / name / "arms.csv")
    }
    for arm in printed["arms"]:
        assert arm["scores"][1] == pytest.approx(scores[arm["name"]], abs=1e-6)
        assert arm["difference"] == pytest.approx((arm["fixed"] - arm["broken"]) / 24)
    text, _ = call("compare", "one", "two")
    assert "same 24 test images" in text and "one seed each" in text and "experiment.seeds" in text


@pytest.mark.ci
def test_runs_of_other_test_images_are_not_compared(call, runs, place):
    changed = place / "other-photos"
    petworld.write_world(changed, sizes={"train": 16, "guide": 24, "test": 20}, seed=5)
    options = ["--run-dir", "three", "--limit", "8", "--steps", "40", "--set", f"data.folder={changed}"]
    call("run", "my.toml", *options)
    found = json.loads(call("compare", "one", "three", "--json")[0])
    assert not found["paired"] and "test images differ" in found["reason"]
    assert all(arm["difference"] is None for arm in found["arms"])
    assert "not paired" in call("compare", "one", "three")[0]
    assert "same run" in call("compare", "one", "one", code=1)[1]


def test_new_images_are_exported_in_each_format(call, runs, place):
    count = json.loads(call("export", "one", "--into", "folder", "--json")[0])["images"]
    assert count == len(list((place / "folder").rglob("*.png"))) > 0
    lines = [json.loads(line) for line in (place / "folder/metadata.jsonl").read_text().splitlines()]
    assert {line["file_name"].split("/")[0] for line in lines} <= {"cat", "dog"}
    call("export", "one", "--into", "table", "--format", "csv", "--arm", "generated+training")
    assert len(Splits.from_manifest(place / "table/manifest.csv", guide=0, validation=0, test=0).train) == count
    assert "empty folder" in call("export", "one", "--into", "table", code=1)[1]
    assert "Did you mean" in call("export", "one", "--into", "x", "--format", "imagfolder", code=1)[1]
    assert "no arm" in call("export", "one", "--into", "x", "--arm", "continued", code=1)[1]
    assert not (place / "x").exists()


@pytest.mark.parametrize("format_name", ["imagefolder", "huggingface", "csv"])
def test_the_line_that_export_prints_loads_what_it_wrote(call, runs, place, monkeypatch, format_name):
    monkeypatch.chdir(place)
    printed, _ = call("export", "one", "--into", f"to load {format_name}", "--format", format_name)
    line = printed.split("to load them: ")[1].split(", or ")[0]
    loaded = eval(line, {"datasets": pytest.importorskip("datasets"), "xaiaug": xaiaug})  # noqa: S307
    assert len(loaded.train if isinstance(loaded, Splits) else loaded["train"]) == int(printed.split(" images")[0])


def test_names_in_a_run_folder_lead_out_of_no_export(call, runs, place):
    shutil.copytree(place / "one", place / "forged")
    metadata = place / "forged/synthetic/metadata.jsonl"
    lines = [json.loads(line) for line in metadata.read_text().splitlines()]
    text = "".join(
        json.dumps({**line, "file_name": f"../{line['file_name'].replace('/', '-')}"}) + "\n" for line in lines
    )
    metadata.write_text(text)
    assert "rerun the command to write it again" in call("export", "forged", "--into", "z", code=1)[1]
    with Store(place / "forged") as store:
        store.write_text("synthetic/metadata.jsonl", text)  # as one who forges the ledger, too
    assert "is not a name inside a folder" in call("export", "forged", "--into", "z", code=1)[1]
    assert not list(place.glob("*.png"))


@pytest.mark.ci
def test_the_exported_dataset_has_its_labels_as_classes(call, runs, place):
    from datasets import ClassLabel, load_dataset

    call("export", "one", "--into", "hf", "--format", "huggingface")
    data = load_dataset(str(place / "hf"), split="train", cache_dir=str(place / "cache"))
    assert isinstance(data.features["label"], ClassLabel) and data.features["label"].names == ["cat", "dog"]
    assert data[0]["image"].size[0] > 0 and data[0]["prompt"] and data[0]["label"] in (0, 1)


def test_a_run_without_images_exports_none(call, runs):
    call("run", "my.toml", "--run-dir", "short", "--limit", "2", "--steps", "5", "--until", "mistakes")
    assert "no new images" in call("export", "short", "--into", "y", code=1)[1]


# The first settings --------------------------------------------------------------------------------------------


@pytest.mark.ci
def test_first_settings_run_as_they_are_and_are_never_overwritten(call, place, tiny_vit):
    printed, _ = call("init", "photos", "--checkpoint", str(tiny_vit), "--into", "first.toml")
    text = (place / "first.toml").read_text()
    assert len(text.splitlines()) <= 25 and text.count("#") >= 5 and 'folder = "photos"' in text
    assert "first.toml" in printed and "guide" in printed
    call("plan", "first.toml", "--limit", "2", "--steps", "1")
    assert "already exists" in call("init", "photos", "--into", "first.toml", code=1)[1]
    assert (place / "first.toml").read_text() == text


def test_the_commands_that_init_prints_can_be_pasted_whatever_the_folder_is_called(call, place):
    petworld.write_world(place / "mes photos é", sizes={"train": 8, "guide": 8, "test": 8}, seed=2)
    printed, _ = call("init", "mes photos é")
    text = (place / "mes photos é.toml").read_text(encoding="utf-8")
    commands = [line.split("#")[0] for line in printed.splitlines() if line.startswith("  xaiaug")]
    commands += re.findall("`(xaiaug [^`]*)`", text)
    assert len(commands) == 5 and all(shlex.split(one)[2] == "mes photos é.toml" for one in commands)


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore::xaiaug.errors.DataWarning")
def test_first_settings_leave_out_what_a_run_would_refuse(call, place):
    photos = place / "odd"
    petworld.write_world(photos, sizes={"train": 12, "guide": 8, "test": 8}, seed=1)
    image = next((photos / "train/cat").iterdir())
    (photos / "test/cat/copy.png").write_bytes(image.read_bytes())
    (photos / "train/cat/broken.png").write_bytes(b"no image")
    told = json.loads(call("init", "odd", "--json")[0])
    text = (place / "odd.toml").read_text()
    assert 'on_bad_image = "skip"' in text and 'on_leak = "drop"' in text and "broken.png" in text
    assert any("guide has 8 images" in note for note in told["notes"])
    call("run", "odd.toml", "--set", "classifier.name=hog", "--set", "curation.checks=[]", "--until", "mistakes")


def test_first_settings_refuse_what_cannot_be_run(call, place, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    assert "diagnose" in call("init", "photos", "--checkpoint", str(tmp_path / "m.onnx"), "--into", "o.toml", code=1)[1]
    assert "there is no folder" in call("init", "nowhere", code=1)[1]
    assert not list(place.glob("o.toml")) and not list(place.glob("nowhere.toml"))


@pytest.mark.ci
def test_a_run_folder_is_maintained_in_json(call, runs):
    assert json.loads(call("status", "one", "--json")[0])["state"] == "finished"
    assert json.loads(call("verify", "one", "--json")[0]) == {"problems": []}
    assert json.loads(call("gc", "two", "--json")[0])["bytes_freed"] >= 0


@pytest.mark.ci
def test_json_is_all_that_is_on_stdout(runs):
    command = [sys.executable, "-m", "xaiaug", "show", str(runs[1]), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)
