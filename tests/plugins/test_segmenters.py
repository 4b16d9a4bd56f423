"""Segmenters of the settings: masks as the model means them, each computed once, and refused where they say nothing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import blob, outline
from fakes import ColourCritic, NearestColour, Ramp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_segmenters import save_red_model, save_segformer

from xaiaug import Context, FeedbackLoop, Recipe, Sample, Splits, load
from xaiaug.config import read_settings
from xaiaug.errors import ConfigError, MissingExtraError, PluginError, RunStopped
from xaiaug.interfaces import Synthesizer
from xaiaug.plugins._onnx_segmenter import PRESETS, OnnxSegmenter
from xaiaug.plugins._segmentation import Segmenter, create_segmenter, judge_mask
from xaiaug.plugins.synthesizers._cutout import cut_subject
from xaiaug.records import Failure, Progress, SynthesisRequest, SyntheticImage, digest
from xaiaug.registry import registry
from xaiaug.store import Reader, Store
from xaiaug.store.integrity import problems, sweep
from xaiaug.store.mask_files import MaskFiles
from xaiaug.store.schema import SNAPSHOT

UNIT = {"mean": 0, "std": 1}
RED, GREEN = "#ff0000", "#00a000"


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_red_model(tmp_path_factory.mktemp("red") / "red.onnx")


@pytest.fixture(scope="module")
def segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_segformer(tmp_path_factory.mktemp("segformer"))


def opened(setting: Any, context: Context | None = None) -> Segmenter:
    segmenter = create_segmenter(setting, "Plugin")
    segmenter.prepare(context or Context(device="cpu"))
    return segmenter


def half_red(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Red on the left half."""
    image = Image.new("RGB", size, GREEN)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image


# -- masks


@settings(max_examples=15, deadline=None)
@given(width=st.integers(8, 70), height=st.integers(8, 70))
def test_a_mask_has_the_size_of_its_image_and_lies_on_the_subject(red: Path, width: int, height: int) -> None:
    mask = opened({"file": str(red), **UNIT}).mask(half_red((2 * width, height)))
    assert mask.shape == (height, 2 * width)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask[:, : width - width // 4].min() > 0.9
    assert mask[:, width + width // 4 + 1 :].max() < 0.1


def test_mean_std_and_scale_are_those_of_the_classifier(red: Path) -> None:
    grey = Image.new("RGB", (8, 8), (51, 0, 0))  # red 0.2: the logit is 40 x - 20
    for normalisation, value in (
        ({"mean": [0.1, 9, 9], "std": [0.2, 1, 1]}, 0.5),
        ({"mean": 0, "std": 1, "scale": 1 / 102}, 0.5),
        ({"mean": 0, "std": 0.4}, 0.5),
    ):
        model = OnnxSegmenter("Plugin", str(red), **normalisation)
        assert model.segment(grey)[0, 0] == pytest.approx(1 / (1 + np.exp(20 - 40 * value)), abs=1e-3)


def test_a_preset_is_chosen_by_name_or_by_the_name_of_the_file(tmp_path: Path) -> None:
    file = save_red_model(tmp_path / "isnet-of-mine.onnx", (1, 3, "h", "w"))
    assert create_segmenter(str(file), "P").identity()["mean"] == PRESETS["isnet"]["mean"]
    table = {"file": str(file), "preset": "u2net", "size": 24}
    identity = create_segmenter(table, "P").identity()
    assert (identity["size"], identity["mean"]) == (24, PRESETS["u2net"]["mean"])
    assert not isinstance(opened(table).mask(half_red()), Failure)


def test_logits_and_other_outputs_are_read_by_name_and_by_number(red: Path) -> None:
    expected = opened({"file": str(red), **UNIT}).mask(half_red())
    for output in (1, "logits"):
        found = opened({"file": str(red), **UNIT, "output": output, "outputs": "logits"}).mask(half_red())
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_checkpoint_sums_the_probabilities_of_the_subject_labels(segformer: Path) -> None:
    image = blob(3)
    tables = [{"checkpoint": str(segformer), "subject_labels": names} for names in (["cat"], ["dog"], ["wall"])]
    models = [create_segmenter(table, "P")._model for table in tables]
    masks = [model.segment(image) for model in models]
    assert all(mask.shape == (64, 64) for mask in masks)
    np.testing.assert_allclose(sum(masks), 1, atol=1e-5)
    both = create_segmenter({"checkpoint": str(segformer), "subject_labels": ["cat", "dog"]}, "P")._model.segment(image)
    np.testing.assert_allclose(both, masks[0] + masks[1], atol=1e-5)
    assert np.ptp(both) > 0


# -- what is refused


@pytest.mark.parametrize(("colour", "told"), [("#0000ff", "less than 3%"), (RED, "more than 90%")])
def test_nothing_and_everything_are_no_subject(red: Path, colour: str, told: str) -> None:
    found = opened({"file": str(red), **UNIT}).mask(Image.new("RGB", (20, 20), colour))
    assert isinstance(found, Failure)
    assert found.kind == "no-subject"
    assert told in found.message


def test_an_answer_that_is_not_finite_is_a_failure_and_the_others_go_on(tmp_path: Path) -> None:
    segmenter = opened({"file": str(save_red_model(tmp_path / "n.onnx", answer="nan")), **UNIT})
    pink = half_red()
    pink.paste("#010000", (20, 0, 40, 20))
    bad, good = segmenter.masks([half_red(), pink])
    assert isinstance(bad, Failure)
    assert bad.kind == "bad-mask"
    assert not isinstance(good, Failure)


@given(level=st.floats(0.2, 0.8), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_a_mask_that_is_grey_everywhere_is_no_clear_subject(level: float, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.05, (30, 30))
    assert isinstance(judge_mask(np.clip(level + noise, 0, 1).astype(np.float32)), Failure)


def test_our_own_segmentation_refuses_where_it_is_not_sure() -> None:
    own = opened(None)
    assert not isinstance(own.mask(blob(3)), Failure)
    assert isinstance(own.mask(Image.new("RGB", (40, 40), "grey")), Failure)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "must name one model"),
        ({"file": "a", "checkpoint": "b"}, "must name one model"),
        ({"file": "RED", "presett": "isnet"}, "has no key 'presett'. Did you mean 'preset'"),
        ({"file": "RED", "preset": "isnt"}, "has no preset 'isnt'. Did you mean 'isnet'"),
        ({"file": "RED", "size": "large"}, "size is invalid"),
        ({"file": "RED", "outputs": "scores"}, "outputs must be"),
        ({"file": "RED"}, "give preset = 'u2net' or 'isnet', or mean and std"),
        ({"file": "RED", **UNIT, "size": 320}, "reads 16 x 16 pixels.*leave size out"),
        ({"file": "RED", **UNIT, "size": [1, 2, 3]}, "size must be height and width"),
        ({"file": "RED", "mean": [0, 0], "std": 1}, "a number for each of the 3 channels"),
        ({"file": "RED", **UNIT, "output": 7}, "has no output 7; it has out"),
        ({"file": "RED", **UNIT, "output": "mask"}, "has no output 'mask'; it has out"),
        ({"file": "none.onnx"}, "there is no file 'none.onnx'"),
        ({"checkpoint": "SEG"}, "give subject_labels, of cat, dog, wall"),
        ({"checkpoint": "SEG", "subject_labels": ["cow"]}, "has no label 'cow'. Known: cat, dog, wall"),
        ({"checkpoint": "SEG", "subject_labels": "cat"}, "subject_labels is invalid"),
        ({"checkpoint": "nowhere", "subject_labels": ["cat"]}, "is not a folder with config.json"),
    ],
)
def test_wrong_settings_are_refused_before_any_image(
    table: dict[str, Any], told: str, red: Path, segformer: Path
) -> None:
    places = {"RED": str(red), "SEG": str(segformer)}
    table = {name: places.get(value, value) if isinstance(value, str) else value for name, value in table.items()}
    with pytest.raises(ConfigError, match=f"Plugin: segmenter.*{told}"):
        opened(table)


def test_answers_that_are_no_masks_are_refused(red: Path) -> None:
    with pytest.raises(ConfigError, match="values from 0 to 1, got -20 to 20; set outputs = 'logits'"):
        opened({"file": str(red), **UNIT, "output": "logits"}).mask(half_red())
    with pytest.raises((ConfigError, PluginError), match="must answer"):
        opened({"file": str(red), **UNIT, "output": "plane"}).mask(half_red())


def test_broken_files_are_named(tmp_path: Path, segformer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "u2net.onnx").write_bytes(b"not a model")
    with pytest.raises(ConfigError, match="u2net.onnx' cannot be opened"):
        opened(str(tmp_path / "u2net.onnx"))
    (tmp_path / "u2net.onnx").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ConfigError, match="Git LFS pointer"):
        opened(str(tmp_path / "u2net.onnx"))
    cut = Path(shutil.copytree(segformer, tmp_path / "cut"))
    whole = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="cut off or damaged"):
        opened({"checkpoint": str(cut), "subject_labels": ["cat"]})
    monkeypatch.setattr("xaiaug.plugins._onnx_model.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"segmenter needs onnxruntime: pip install 'xaiaug\[onnx\]'"):
        create_segmenter(str(tmp_path / "u2net.onnx"), "Plugin").check()


def test_a_checkpoint_without_a_trained_head_or_that_crops_is_refused(tmp_path: Path, segformer: Path) -> None:
    from safetensors.numpy import load_file, save_file

    table = {"checkpoint": str(tmp_path / "c"), "subject_labels": ["cat"]}
    shutil.copytree(segformer, tmp_path / "c")
    settings_file = tmp_path / "c" / "preprocessor_config.json"
    known = json.loads(settings_file.read_text())
    settings_file.write_text(json.dumps({**known, "do_center_crop": True, "crop_size": {"height": 8, "width": 8}}))
    with pytest.raises(ConfigError, match="sets do_center_crop"):
        opened(table)
    settings_file.write_text(json.dumps(known))
    weights = tmp_path / "c" / "model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if "classifier" not in name}
    save_file(kept, weights, {"format": "pt"})
    with pytest.raises(ConfigError, match=r"does not hold .*classifier.*no trained head"):
        opened(table)


# -- each mask once


def test_a_mask_is_kept_in_the_run_and_not_computed_again(
    red: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        context, table = Context(device="cpu", masks=store.masks), {"file": str(red), **UNIT}
        first = opened(table, context).mask(half_red())
        monkeypatch.setattr(OnnxSegmenter, "segment", lambda *_: pytest.fail("computed again"))
        again = opened(table, context).mask(half_red())
        np.testing.assert_array_equal(first, again)
        with pytest.raises(pytest.fail.Exception):
            opened(table, context).mask(half_red((42, 20)))
        with pytest.raises(pytest.fail.Exception):
            opened({**table, "mean": 0.1}, context).mask(half_red())


def test_a_torn_mask_is_computed_again(red: Path, tmp_path: Path) -> None:
    context = Context(device="cpu", masks=MaskFiles(tmp_path))
    first = opened({"file": str(red), **UNIT}, context).mask(half_red())
    (file,) = tmp_path.rglob("*.png")
    for damage in (file.read_bytes()[:40], b"", b"\x89PNG\r\n\x1a\n"):
        file.write_bytes(damage)
        np.testing.assert_array_equal(opened({"file": str(red), **UNIT}, context).mask(half_red()), first)
    Image.new("L", (3, 3)).save(file)  # whole, but of another image
    np.testing.assert_array_equal(opened({"file": str(red), **UNIT}, context).mask(half_red()), first)


def test_masks_of_segmenters_no_longer_used_are_swept(red: Path, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for mean in (0, 0.1):
            opened({"file": str(red), "mean": mean, "std": 1}, Context(masks=store.masks)).mask(half_red())
        used = create_segmenter({"file": str(red), **UNIT}, "P").identity()
        store.ledger.set_fact(SNAPSHOT, {"synthesizer": {"parameters": {"segmenter": used}}})
        (tmp_path / "masks" / "mine").mkdir()
        (tmp_path / "masks" / "mine" / "notes.png").write_bytes(b"mine")
        assert sweep(store, keep_unfinished=True) > 0
        left = {path.parent.name for path in (tmp_path / "masks").rglob("*.png")}
        assert left == {digest(used), "mine"}


def test_verify_knows_masks_and_names_a_torn_one(red: Path, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        opened({"file": str(red), **UNIT}, Context(masks=store.masks)).mask(half_red())
    reader = Reader(tmp_path)
    assert problems(reader) == []
    (file,) = (tmp_path / "masks").rglob("*.png")
    file.write_bytes(file.read_bytes()[:-20])
    file.with_name("notes.png").write_bytes(b"mine")
    torn, foreign = sorted(problems(reader), reverse=True)
    reader.close()
    assert f"{file.name} is damaged" in torn
    assert "notes.png is foreign" in foreign


# -- in synthesizers


def create(name: str, setting: Any) -> Synthesizer:
    """A synthesizer with a segmenter, not yet prepared."""
    return registry().create("synthesizer", name, {"segmenter": setting})


def test_a_synthesizer_is_keyed_by_the_content_of_its_segmenter(red: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy(red, tmp_path / "other.onnx"))
    for name in ("remix", "sdxl-inpaint"):
        tables = ({"file": str(red), **UNIT}, {"file": str(moved), **UNIT}, {"file": str(red), "preset": "u2net"})
        keys = [create(name, table).identity() for table in tables]
        assert keys[0] == keys[1] != keys[2]
    save_red_model(moved, bias=-3)
    assert create("remix", {"file": str(moved), **UNIT}).identity() != keys[0]


def test_remix_cuts_out_what_the_segmenter_finds(red: Path) -> None:
    train = [Sample(id=f"t{seed}", label=0, opener=lambda seed=seed: blob(seed, coat=RED)) for seed in range(4)]
    remix = load("synthesizer", "remix", segmenter={"file": str(red), **UNIT})
    remix.prepare(Context(labels=("cat", "dog"), train=train, device="cpu"))
    subject, nothing = (
        SynthesisRequest(f"case {coat}", 0, "", "cat", 0, source=blob(7, coat=coat)) for coat in (RED, "#2020d0")
    )
    image, failure = remix.synthesize([subject, nothing])
    assert isinstance(image, SyntheticImage)
    assert image.details["subject"] == "segmenter"
    assert isinstance(failure, Failure)
    assert failure.kind == "no-subject"
    cut = cut_subject(subject, blob(7, coat=RED), None, create_segmenter({"file": str(red), **UNIT}, "P"))
    left, top, right, bottom = cut.box
    covered = np.zeros((64, 64), bool)
    covered[top:bottom, left:right] = cut.alpha > 0.5
    assert (covered & outline()).sum() / (covered | outline()).sum() > 0.8


def test_a_run_segments_each_image_once_however_often_it_is_resumed(
    red: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for split, count in {"train": 4, "guide": 6, "validation": 2, "test": 2}.items():
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(count):
                coat = f"#{rng.integers(190, 255):02x}2020"
                seed = int(rng.integers(2**31))
                blob(seed, coat=coat, backdrop="#205020").resize((32, 32)).save(
                    tmp_path / "data" / split / name / f"{number}.png"
                )
    segmented: list[bytes] = []
    segment = OnnxSegmenter.segment
    monkeypatch.setattr(
        OnnxSegmenter, "segment", lambda self, image: (segmented.append(image.tobytes()), segment(self, image))[1]
    )

    def stop(step: Progress) -> None:
        if step.stage == "make images" and step.done:
            raise RunStopped("enough")

    def loop() -> FeedbackLoop:
        remix = create("remix", {"file": str(red), **UNIT})
        table = {"mistakes": {"max": 4}, "experiment": {"primary": ["generated+training", "baseline"]}}
        arms, recipe = ["baseline", "generated+training"], Recipe(steps=2, batch_size=8)
        critic = ColourCritic()
        return FeedbackLoop(
            NearestColour(), Ramp(), critic, remix, arms=arms, recipe=recipe, images_per_mistake=2, settings=table
        )

    splits = Splits.from_folder(tmp_path / "data", on_near_duplicate="allow")
    moved = red.rename(tmp_path / "moved.onnx")
    with pytest.raises(ConfigError, match="there is no file"):
        loop().run(splits, tmp_path / "run", watch=lambda step: pytest.fail(f"began: {step}"))
    moved.rename(red)
    with pytest.raises(RunStopped):
        loop().run(splits, tmp_path / "run", watch=stop)
    before = len(segmented)
    loop().run(splits, tmp_path / "run", until="images")
    assert before
    assert len(segmented) == len(set(segmented))
    assert len(list((tmp_path / "run" / "masks").rglob("*.png"))) == len(segmented)


def test_paths_in_a_settings_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    for setting in ('"m.onnx"', '{ file = "m.onnx", preset = "isnet" }'):
        (tmp_path / "s.toml").write_text(f'[data]\nfolder = "d"\n[synthesizer]\nname = "remix"\nsegmenter = {setting}')
        found = read_settings(tmp_path / "s.toml").synthesizer.parameters["segmenter"]
        assert (found if isinstance(found, str) else found["file"]) == str(tmp_path / "m.onnx")
