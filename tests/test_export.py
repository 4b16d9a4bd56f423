"""The exported folder holds what was trained on in every round, with its ancestry, and loads without xaiaug."""

import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.results.maintenance import verify
from xaiaug.stages.export import folder_names
from xaiaug.store import Reader


class Telling(Painter):
    """Says of each image something of another type, as plugins may."""

    def _one(self, request):
        made = super()._one(request)
        made.details.update({"seed": request.seed} if request.seed % 2 else {"seed": [str(request.seed)], "x": None})
        return made


def go(folder, run_dir, **experiment):
    loop = FeedbackLoop(
        NearestColour(),
        Ramp(),
        ColourCritic(),
        Telling(),
        recipe=Recipe(steps=3, batch_size=8),
        images_per_mistake=2,
        settings={"experiment": experiment},
    )
    return loop.run(Splits.from_folder(folder), run_dir, until="images")


def lines(result):
    return [json.loads(line) for line in (result.run_dir / "synthetic/metadata.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 10, "guide": 24, "validation": 4, "test": 10})


@pytest.fixture(scope="module")
def two_rounds(folder, tmp_path_factory):
    arms = ["generated+training", "no-map"]
    return go(folder, tmp_path_factory.mktemp("run") / "run", rounds=2, arms=arms, seeds=[0, 1])


def test_the_images_of_every_round_source_and_repetition_are_exported(two_rounds):
    told = Counter((line["round"], line["source"], line["repetition"]) for line in lines(two_rounds))
    assert len(two_rounds.report.rounds) == 1
    assert set(told) == {(1, "critic", 0), *((2, s, r) for s in {k[1] for k in told} for r in (0, 1))}
    assert len({source for _, source, _ in told}) == 2
    assert len({line["file_name"] for line in lines(two_rounds)}) == sum(told.values())


def test_each_line_tells_failure_heatmap_critique_prompt_seed_weights_and_verdict(two_rounds):
    reader = Reader(two_rounds.run_dir)
    for line in lines(two_rounds):
        assert line["predicted"] != line["label"] and 0 < line["probability"] <= 1
        assert reader.blobs.image(line["case_image"]).size
        if line["source"] == "map=none":  # what was not shown is no ancestor
            assert line["heatmap"] is None and line["method"] is None
        else:
            assert reader.blobs.array(line["heatmap"]).ndim == 2 and line["method"] == "ramp"
        assert line["attended"] == "background"
        assert line["asked"] and line["prompt"] and line["seed"] >= 0
        assert json.loads(line["synthesizer_weights"])["class"].endswith("Telling")
        assert (two_rounds.run_dir / line["classifier_weights"]).is_dir()
        assert line["kept"] is True and line["checks"][0] == "broken" and line["verdict"] == ""
        assert line["judge"] == "hog" and "alike" in line["checks"]
        assert "label" not in line["checks"], "a judge that is not admitted checks no labels"
        with Image.open(two_rounds.run_dir / "synthetic" / line["file_name"]) as image:
            assert image.mode == "RGB"
    reader.close()
    assert {line["classifier_weights"] for line in lines(two_rounds) if line["round"] == 2} == {
        "models/generated+training@round-1/0"
    }


def test_the_folder_loads_with_the_datasets_library(two_rounds, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = str(two_rounds.run_dir / "synthetic")
    loaded = datasets.load_dataset("imagefolder", data_dir=folder, split="train", cache_dir=str(tmp_path))
    told = {line["file_name"]: line for line in lines(two_rounds)}
    assert len(loaded) == len(told)
    assert Counter(loaded["label"]) == Counter(line["label"] for line in told.values())
    row = loaded[0]
    assert row["image"].mode == "RGB"
    assert {"case", "heatmap", "cause", "guidance", "prompt", "seed", "details", "checks"} <= set(row)
    seeds = {
        json.loads(text)["seed"] if isinstance(json.loads(text)["seed"], int) else None for text in loaded["details"]
    }
    assert None in seeds and len(seeds) > 1


def test_the_documentation_names_every_column(two_rounds):
    text = Path(__file__).parents[1].joinpath("docs/curation.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+)`", text.split("| step | columns |")[1].split("Guidance,")[0]))
    assert all(set(line) == told | {"file_name", "predicted_index"} for line in lines(two_rounds))


NAMES = [
    "dog",
    "Dog",
    "DOG",
    "dog.",
    "dog ",
    ".dog",
    "&",
    "%",
    "#",
    "_",
    "a/b",
    "a\\b",
    "a_b",
    "con",
    "CON.txt",
    "nul ",
]
NAMES += [
    "~",
    "",
    "é",
    "e\u0301",
    "ß",
    "ss",
    "猫" * 300,
    "x" * 5000,
    "x" * 5001,
    "\ud800",
    "dog~0123456789abcdef",
    "a\nb",
]


@given(st.sets(st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(NAMES), max_size=12))
@example(set(NAMES))
def test_every_class_has_a_folder_of_its_own_on_every_system(labels):
    names = folder_names(sorted(labels))
    folded = {unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()) for name in names.values()}
    assert len(folded) == len(labels)
    for name in names.values():
        assert 0 < len(name.encode()) <= 120
        assert name == name.strip(". ") and not set(name) & set('<>:"/\\|?*') and name.isprintable()
        assert not re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", name)


def test_plain_class_names_are_their_folders():
    labels = ["cat", "Golden Retriever", "chat-noir", "v1.5", "猫", "x_y"]
    assert folder_names(labels) == {label: label for label in labels}


def _damage(run_dir, kind):
    paths = sorted((run_dir / "synthetic").rglob("*.png"))
    if kind == "missing":
        paths[0].unlink()
    elif kind == "torn":
        paths[0].write_bytes(paths[0].read_bytes()[:-7])
    elif kind == "changed":
        data = bytearray(paths[0].read_bytes())
        data[-9] ^= 1
        paths[0].write_bytes(data)
    elif kind == "metadata":
        file = run_dir / "synthetic" / "metadata.jsonl"
        file.write_bytes(file.read_bytes()[:-40])
        return "metadata.jsonl"
    elif kind == "line":
        file = run_dir / "synthetic" / "metadata.jsonl"
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
        return "metadata.jsonl"
    return paths[0].name


@pytest.mark.parametrize("kind", ["missing", "torn", "changed", "metadata", "line"])
def test_a_damaged_export_is_named_and_made_again(kind, folder, two_rounds):
    arms = ["generated+training", "no-map"]
    before = {path: path.read_bytes() for path in sorted((two_rounds.run_dir / "synthetic").rglob("*.*"))}
    assert verify(two_rounds.run_dir) == []
    name = _damage(two_rounds.run_dir, kind)
    assert any(name in line and "synthetic/" in line for line in verify(two_rounds.run_dir))
    go(folder, two_rounds.run_dir, rounds=2, arms=arms, seeds=[0, 1])
    assert verify(two_rounds.run_dir) == []
    assert {path: path.read_bytes() for path in sorted((two_rounds.run_dir / "synthetic").rglob("*.*"))} == before
