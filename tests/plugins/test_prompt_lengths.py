"""How much of a prompt a pipeline reads, on the real classes with tiny weights: known, measured, told and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_pipelines

from xaiaug.errors import ConfigError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers import _conditioning, _read_length
from xaiaug.plugins.synthesizers._conditioning import PromptReader, confirm_limit
from xaiaug.plugins.synthesizers.diffusers import DiffusersSynthesizer
from xaiaug.records import Failure, SynthesisRequest, SyntheticImage

Families = Callable[[str], Path]

# Without start and end, and what the class writes around a prompt, by the tokenizers of tests/tiny_families.py.
LENGTHS = {
    "deepfloyd_if": 76,
    "kandinsky22": 75,
    "kandinsky3": 127,
    "lumina2": 115,
    "pixart_alpha": 119,
    "flux": 511,
    "aura_flow": 255,
    "chroma": 511,
    "flux_schnell": 511,
    "hunyuan": 255,
    "pixart_sigma": 299,
    "qwen_image": 400,
    "sana": 298,
    "z_image": 495,
}
QUICK = ("kandinsky22", "kandinsky3", "lumina2")
ROUNDING = 2  # tokens: words may be split otherwise behind the text of a class


def parametrize(quick: tuple[str, ...] = QUICK) -> pytest.MarkDecorator:
    marks = {name: pytest.mark.ci if name in quick else pytest.mark.slow for name in LENGTHS}
    return pytest.mark.parametrize("name", [pytest.param(name, marks=mark) for name, mark in marks.items()])


def open_family(families: Families, name: str, **options: object) -> DiffusersSynthesizer:
    size = 1024 if name == "hunyuan" else 64
    synthesizer = DiffusersSynthesizer(str(families(name)), **{"steps": 2, "size": size, **options})
    synthesizer.prepare(Context(device="cpu"))
    return synthesizer


def request(prompt: str, label: str = "cat", seed: int = 5) -> SynthesisRequest:
    return SynthesisRequest("case", 0, prompt, label, seed)


def filler(synthesizer: DiffusersSynthesizer, tokens: int) -> str:
    """Words of at least so many tokens."""
    words = ["a photo of"]
    while synthesizer.count_tokens(" ".join(words)) < tokens:
        words.append("the red sofa")
    return " ".join(words)


@parametrize()
def test_the_length_of_a_known_class_is_the_length_it_reads(families: Families, name: str) -> None:
    synthesizer = open_family(families, name)
    known = synthesizer._load_token_limit()
    assert known.tokens == LENGTHS[name]
    generator = synthesizer._generators["text"]
    reader = PromptReader(generator.call.args[0], generator.call, generator.shared)
    measured = confirm_limit(replace(known, certain=False), reader)
    assert measured is not None
    assert abs(measured.tokens - known.tokens) <= ROUNDING


@parametrize()
def test_words_that_are_not_read_are_refused_or_told(families: Families, name: str) -> None:
    strict = open_family(families, name, too_long="refuse")
    body = filler(strict, LENGTHS[name])
    for label in ("cat", "dog"):
        (made,) = strict.synthesize([request(f"{body} {label}", label)])
        assert isinstance(made, Failure)
        assert made.kind == "prompt-too-long"
    cutting = DiffusersSynthesizer(str(families(name)))
    cutting._token_limit = strict._load_token_limit()
    fitted = cutting._prompt(request(f"a cat {body} at night"))
    assert fitted.dropped[-2:] == ("at", "night")
    assert fitted.tokens <= LENGTHS[name]
    assert cutting._prompt(request(f"{body} cat")).kind == "class-cut"


@parametrize(quick=("lumina2",))
def test_a_batch_generates_what_single_calls_generate(families: Families, name: str) -> None:
    if name == "sana":
        pytest.skip("its bins of sizes start at half a megapixel, minutes on two cores")
    wanted = [request(prompt, seed=seed) for seed, prompt in enumerate(("a cat", "a small dog on a sofa", "a red cat"))]
    single = open_family(families, name).synthesize(wanted)
    batch = open_family(families, name, exact=False).synthesize(wanted)
    assert all(isinstance(made, SyntheticImage) for made in (*single, *batch)), (single, batch)
    for one, other in zip(single, batch, strict=True):
        assert np.abs(np.asarray(one.image, int) - np.asarray(other.image, int)).max() <= 1
    assert len({made.image.tobytes() for made in single}) == len(wanted)


@pytest.mark.ci
def test_the_length_of_an_unknown_class_is_measured(families: Families, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_read_length, "LENGTHS", {})
    synthesizer = open_family(families, "lumina2", too_long="refuse")
    assert abs(synthesizer._load_token_limit().tokens - LENGTHS["lumina2"]) <= ROUNDING
    (made,) = synthesizer.synthesize([request(filler(synthesizer, LENGTHS["lumina2"] + ROUNDING) + " cat")])
    assert made.kind == "prompt-too-long"


@pytest.mark.ci
def test_a_known_length_that_a_class_does_not_read_is_measured(
    families: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {"IFPipeline": _read_length.ReadLength({"tokenizer": 200})}
    monkeypatch.setattr(_read_length, "LENGTHS", wrong)
    assert open_family(families, "deepfloyd_if")._load_token_limit().tokens == 76


@pytest.mark.ci
def test_a_length_that_cannot_be_found_out_is_refused_unless_the_user_states_it(
    families: Families, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_read_length, "LENGTHS", {})
    monkeypatch.setattr(_conditioning, "DENOISERS", ())
    with pytest.raises(ConfigError, match=r"Lumina2Pipeline reads cannot be determined.*prompt_tokens"):
        open_family(families, "lumina2")
    assert open_family(families, "lumina2", prompt_tokens=40)._load_token_limit().tokens == 40


@pytest.mark.ci
def test_settings_that_would_do_nothing_are_refused(families: Families) -> None:
    with pytest.raises(ConfigError, match="FluxPipeline reads negative_prompt only if true_cfg_scale is above 1"):
        open_family(families, "flux", negative_prompt="drawing")
    with pytest.raises(ConfigError, match="guidance_scale, unused with these weights: set true_cfg_scale"):
        open_family(families, "flux_schnell", guidance_scale=3.0)
    with pytest.raises(ConfigError, match="guidance_scale, unused with these weights: set true_cfg_scale"):
        open_family(families, "qwen_image", guidance_scale=5.0)
    with pytest.raises(ConfigError, match="takes no true_cfg_scale"):
        open_family(families, "lumina2", true_cfg_scale=3.0)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("flux", {"true_cfg_scale": 3.0, "negative_prompt": "red"}, {"true_cfg_scale": 3.0, "negative_prompt": "dog"}),
        ("qwen_image", {"true_cfg_scale": 2.0}, {"true_cfg_scale": 9.0}),
        ("lumina2", {"guidance_scale": 2.0}, {"guidance_scale": 9.0}),
    ],
)
def test_settings_that_are_taken_count(families: Families, name: str, one: dict, other: dict) -> None:
    images = [open_family(families, name, **options).synthesize([request("a cat")])[0] for options in (one, other)]
    assert images[0].image.tobytes() != images[1].image.tobytes()


@pytest.mark.ci
def test_a_negative_prompt_without_guidance_is_found_by_what_it_changes(families: Families) -> None:
    with pytest.raises(ConfigError, match="negative_prompt needs guidance_scale > 1"):
        open_family(families, "kandinsky3", negative_prompt="red", guidance_scale=1.0)
    with pytest.raises(ConfigError, match="takes guidance_scale, but it changes nothing"):
        synthesizer = open_family(families, "kandinsky3")
        pipe = synthesizer._generators["text"].call.args[0]
        same = [np.full((8, 8, 3), 0.5, np.float32)]
        replaced = _guidance(guidance_scale=2.0)
        replaced.check_effect(pipe, lambda **arguments: same, synthesizer._generators["text"].shared)


@pytest.mark.ci
def test_a_distilled_unet_in_a_stable_diffusion_pipeline_reads_no_negative_prompt(tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    folder = tiny_pipelines.stable_diffusion(tmp_path)
    config = json.loads((folder / "unet/config.json").read_text())
    unet = UNet2DConditionModel.from_config({**config, "time_cond_proj_dim": 32})
    unet.save_pretrained(folder / "unet")
    options = {"steps": 2, "size": 64, "chunked": False, "guidance_scale": 4.0}
    DiffusersSynthesizer(str(folder), **options).prepare(Context(device="cpu"))
    with pytest.raises(ConfigError, match="takes negative_prompt, but it changes nothing"):
        DiffusersSynthesizer(str(folder), **options, negative_prompt="a drawing").prepare(Context(device="cpu"))


def _guidance(**options: object) -> object:
    from xaiaug.plugins.synthesizers._guidance import Guidance

    return Guidance(**{"guidance_scale": None, "true_cfg_scale": None, "negative_prompt": "", **options})
