"""Stable Diffusion XL from prompts: one seed, one image; prompts as they are read; what is refused."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import xaiaug
from xaiaug.errors import ConfigError, PluginError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers._presets import PRESETS
from xaiaug.plugins.synthesizers.sdxl import SdxlLightningSynthesizer, SdxlSynthesizer, SdxlTurboSynthesizer
from xaiaug.records import Failure, SynthesisRequest, SyntheticImage

pytestmark = pytest.mark.ci  # real pipelines on tiny weights take half a minute

Pipelines = Callable[..., Path]
PROMPTS = ("a ginger cat on grass", "a cat", "a white cat at night, small, seen from above")


def request(prompt: str = "a cat", seed: int = 0, label: str = "cat") -> SynthesisRequest:
    return SynthesisRequest("case", seed, prompt, label, seed)


def ready(weights: Path, kind: type = SdxlSynthesizer, **options: object) -> SdxlSynthesizer:
    synthesizer = kind(str(weights), **{"steps": 2, **options})
    synthesizer.prepare(Context(labels=("cat", "dog"), device="cpu"))
    return synthesizer


def drawn(synthesizer: SdxlSynthesizer, *requests: SynthesisRequest) -> list[SyntheticImage]:
    made = synthesizer.synthesize(requests or [request(seed=seed) for seed in range(3)])
    assert all(isinstance(one, SyntheticImage) for one in made), made
    return made


def pixels(made: SyntheticImage) -> np.ndarray:
    return np.asarray(made.image).astype(int)


@pytest.fixture(scope="module")
def sdxl(pipelines: Pipelines) -> SdxlSynthesizer:
    return ready(pipelines("sdxl"))


def test_the_seed_alone_decides_whatever_the_batch(sdxl: SdxlSynthesizer, pipelines: Pipelines) -> None:
    asked = [request(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    together = drawn(sdxl, *asked)
    another = ready(pipelines("sdxl"), batch_size=2)
    apart = [drawn(another, one)[0] for one in reversed(asked)][::-1]
    pairs = drawn(another, *asked)
    for one, other, paired in zip(together, apart, pairs, strict=True):
        assert one.image.tobytes() == other.image.tobytes() == paired.image.tobytes()
        assert (one.seed, one.prompt, one.details) == (other.seed, other.prompt, other.details)
    assert len({one.image.tobytes() for one in together}) == len(asked)
    assert {one.image.size for one in together} == {(64, 64)}
    assert {one.image.mode for one in together} == {"RGB"}


def test_drawn_together_images_are_the_same_but_for_rounding(sdxl: SdxlSynthesizer, pipelines: Pipelines) -> None:
    asked = [request(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    batched = ready(pipelines("sdxl"), exact=False)
    for one, other in zip(drawn(sdxl, *asked), drawn(batched, *asked), strict=True):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1


def test_it_draws_what_the_pipeline_draws(sdxl: SdxlSynthesizer, pipelines: Pipelines) -> None:
    from diffusers import StableDiffusionXLPipeline

    pipe = StableDiffusionXLPipeline.from_pretrained(pipelines("sdxl"), use_safetensors=True)
    generator = torch.Generator("cpu").manual_seed(5)
    with pytest.warns(DeprecationWarning, match="__array__"):
        image = pipe("a cat", num_inference_steps=2, guidance_scale=5.0, generator=generator).images[0]
    assert drawn(sdxl, request(seed=5))[0].image.tobytes() == image.tobytes()


def test_prompt_and_seed_both_count(sdxl: SdxlSynthesizer) -> None:
    first, prompt, seed = drawn(sdxl, request(), request("a dog in the snow"), request(seed=1))
    assert np.abs(pixels(first) - pixels(prompt)).mean() > 1
    assert np.abs(pixels(first) - pixels(seed)).mean() > 1


def test_each_image_knows_what_it_came_from(sdxl: SdxlSynthesizer) -> None:
    (made,) = drawn(sdxl, request("a ginger cat", seed=9))
    assert (made.seed, made.prompt, made.dropped) == (9, "a ginger cat", ())
    assert {"weights": "sdxl", "steps": 2, "guidance_scale": 5.0}.items() <= made.details.items()
    assert len(str(made.details["digest"])) == 20
    assert made.details["tokens"] == len("agingercat")


def test_without_a_prompt_the_class_is_drawn(sdxl: SdxlSynthesizer) -> None:
    (made,) = drawn(sdxl, request("", label="big_cat"))
    assert made.prompt == "a photo of a big cat"


def test_there_is_no_watermark(sdxl: SdxlSynthesizer, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl as module

    # As if the package that draws watermarks were installed.
    monkeypatch.setattr(module, "is_invisible_watermark_available", lambda: True)
    monkeypatch.setattr(module, "StableDiffusionXLWatermarker", _Marks, raising=False)
    marked = ready(pipelines("sdxl"))
    assert drawn(marked)[0].image.tobytes() == drawn(sdxl)[0].image.tobytes()


class _Marks:
    def apply_watermark(self, images: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(images)


def test_only_safetensors_are_loaded(pipelines: Pipelines, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(pipelines("sdxl"), folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ConfigError, match="pickled"):
        ready(folder)


def test_a_style_stands_behind_every_prompt(pipelines: Pipelines) -> None:
    styled = ready(pipelines("sdxl"), style="phone photo")
    (made,) = drawn(styled, request("a cat."))
    assert made.prompt == "a cat, phone photo"


def test_a_negative_prompt_counts(sdxl: SdxlSynthesizer, pipelines: Pipelines) -> None:
    without = ready(pipelines("sdxl"), negative_prompt="a drawing")
    assert drawn(without)[0].image.tobytes() != drawn(sdxl)[0].image.tobytes()


def test_the_guidance_scale_counts(sdxl: SdxlSynthesizer, pipelines: Pipelines) -> None:
    assert drawn(ready(pipelines("sdxl"), guidance_scale=9.0))[0].image.tobytes() != drawn(sdxl)[0].image.tobytes()


def test_the_size_can_be_set(pipelines: Pipelines) -> None:
    assert drawn(ready(pipelines("sdxl"), size=48), request())[0].image.size == (48, 48)


def test_lora_weights_count_by_their_scale(sdxl: SdxlSynthesizer, pipelines: Pipelines, tmp_path: Path) -> None:
    import tiny_pipelines

    file = tiny_pipelines.lora(tmp_path / "style.safetensors", pipelines("sdxl"), strength=3.0)
    usual, none, half, whole = (
        drawn(made, request())[0].image.tobytes()
        for made in (
            sdxl,
            ready(pipelines("sdxl"), loras=[{"weights": str(file), "scale": 0.0}]),
            ready(pipelines("sdxl"), loras=[{"weights": str(tmp_path), "file": file.name, "scale": 0.5}]),
            ready(pipelines("sdxl"), loras=[str(file)]),
        )
    )
    assert usual == none
    assert len({usual, half, whole}) == 3


def test_wrong_lora_weights_are_told(pipelines: Pipelines, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"nothing.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"other|loaded"):
        ready(pipelines("sdxl"), loras=[str(tmp_path / "other.safetensors")])
    with pytest.raises(ConfigError, match="Did you mean 'scale'"):
        ready(pipelines("sdxl"), loras=[{"weights": "x/y", "scal": 1}])


def test_lightning_is_the_base_with_another_unet(pipelines: Pipelines, tmp_path: Path) -> None:
    import tiny_pipelines

    other = tiny_pipelines.swapped_unet(tmp_path / "fast_unet.safetensors", pipelines("sdxl"))
    lightning = ready(pipelines("sdxl"), SdxlLightningSynthesizer, unet=str(other), steps=None)
    turbo = ready(pipelines("sdxl"), SdxlTurboSynthesizer, steps=4)
    assert drawn(lightning)[0].details["steps"] == 4
    assert drawn(lightning)[0].details["guidance_scale"] == 0.0
    assert drawn(lightning)[0].image.tobytes() != drawn(turbo)[0].image.tobytes()
    assert lightning.identity()["weights"].keys() == {"weights", "unet"}


def test_a_file_that_is_no_unet_is_told(pipelines: Pipelines, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"nothing.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"other\.safetensors holds no weights for the UNet"):
        ready(pipelines("sdxl"), SdxlLightningSynthesizer, unet=str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("memory", ["balanced", "tiny"])
def test_a_memory_preset_changes_rounding_at_most(sdxl: SdxlSynthesizer, pipelines: Pipelines, memory: str) -> None:
    (usual,), (saving,) = drawn(sdxl, request()), drawn(ready(pipelines("sdxl"), memory=memory), request())
    assert np.abs(pixels(usual) - pixels(saving)).max() <= 1


def test_where_memory_runs_out_fewer_are_drawn_at_once(sdxl: SdxlSynthesizer, pipelines: Pipelines) -> None:
    small = ready(pipelines("sdxl"), exact=False, batch_size=8)
    seen = _room_for(small, images=2)
    asked = [request(seed=seed) for seed in range(5)]
    made = drawn(small, *asked)
    assert seen == [5, 2, 2, 1]
    for one, other in zip(made, drawn(sdxl, *asked), strict=True):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1
    seen.clear()
    drawn(small, *asked)
    assert seen == [2, 2, 1], "what did not fit once is not tried again"


def test_where_not_even_one_fits_what_to_do_is_told(pipelines: Pipelines) -> None:
    small = ready(pipelines("sdxl"))
    _room_for(small, images=0)
    with pytest.raises(PluginError, match='memory = "balanced"'):
        small.synthesize([request()])


def _room_for(synthesizer: SdxlSynthesizer, images: int) -> list[int]:
    """Lets the UNet run out of memory above so many images; returns the sizes of the batches that were tried."""
    tried: list[int] = []
    drawing = synthesizer._generators["text"]
    call = drawing.call

    def crowded(**told: object) -> object:
        tried.append(len(told["generator"]))
        if tried[-1] > images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return call(**told)

    drawing.call = crowded
    return tried


@pytest.mark.parametrize(("value", "flaw"), [(float("nan"), "not-finite"), (0.0, "constant")])
def test_a_broken_image_is_drawn_again_with_another_seed(pipelines: Pipelines, value: float, flaw: str) -> None:
    broken = ready(pipelines("sdxl"))
    _break(broken, value, times=1)
    first, second = drawn(broken, request(seed=1), request(seed=2))
    assert first.details["first_try"] == flaw
    assert first.seed != 1
    assert (second.seed, "first_try" in second.details) == (2, False)
    assert drawn(ready(pipelines("sdxl")), request(seed=first.seed))[0].image.tobytes() == first.image.tobytes()


def test_twice_broken_is_a_failure_and_the_others_go_on(pipelines: Pipelines) -> None:
    broken = ready(pipelines("sdxl"), exact=False)
    _break(broken, float("nan"), times=2)
    failure, image = broken.synthesize([request(seed=1), request(seed=2)])
    assert isinstance(failure, Failure)
    assert failure.kind == "broken-image"
    assert isinstance(image, SyntheticImage)


def _break(synthesizer: SdxlSynthesizer, value: float, times: int) -> None:
    """Lets the first decoded image of so many calls be of one value."""
    drawing, left = synthesizer._generators["text"], iter([value] * times)
    call = drawing.call

    def breaking(**told: object) -> object:
        images = call(**told)
        for poison in left:
            images[0] = poison
            break
        return images

    drawing.call = breaking


def test_a_prompt_of_any_length_is_read_chunk_by_chunk(sdxl: SdxlSynthesizer) -> None:
    long = "a cat " + "with much fur and long ears " * 8
    other = long + "on a red sofa"
    first, second = drawn(sdxl, request(long), request(other))
    assert first.details["tokens"] > 2 * 75
    assert first.dropped == ()
    assert first.image.tobytes() != second.image.tobytes(), "the end of a long prompt counts"


def test_long_and_short_prompts_in_one_batch_change_nothing(pipelines: Pipelines, sdxl: SdxlSynthesizer) -> None:
    together = ready(pipelines("sdxl"), exact=False, negative_prompt="drawing")
    alone = ready(pipelines("sdxl"), negative_prompt="drawing")
    asked = [request("a cat " + "and so on " * count, seed=count) for count in (0, 30, 0, 60, 30)]
    for one, other in zip(drawn(together, *asked), drawn(alone, *asked), strict=True):
        assert np.abs(pixels(one) - pixels(other)).max() <= 1


def test_brackets_and_pluses_are_read_as_they_stand(sdxl: SdxlSynthesizer) -> None:
    tail = "and so on " * 20
    plain, bracketed = drawn(sdxl, request("a cat white " + tail), request("a (cat)++ white " + tail))
    assert plain.image.tobytes() != bracketed.image.tobytes()
    assert bracketed.prompt.startswith("a (cat)++ white")


def test_cut_words_are_told(pipelines: Pipelines) -> None:
    cut = ready(pipelines("sdxl"), chunked=False)
    (made,) = drawn(cut, request("a cat " + "and so on " * 20 + "at the end"))
    assert made.dropped[-3:] == ("at", "the", "end")
    assert made.details["tokens"] <= 75
    assert made.prompt.split() + list(made.dropped) == ("a cat " + "and so on " * 20 + "at the end").split()


def test_too_long_can_be_refused(pipelines: Pipelines) -> None:
    strict = ready(pipelines("sdxl"), chunked=False, too_long="refuse")
    failure, made = strict.synthesize([request("a cat " + "and so on " * 20), request()])
    assert isinstance(failure, Failure)
    assert failure.kind == "prompt-too-long"
    assert isinstance(made, SyntheticImage)


def test_a_cut_class_name_is_a_failure_by_the_real_vocabulary(pipelines: Pipelines) -> None:
    real = ready(pipelines("sdxl", real=True), chunked=False)
    scene = "A dimly lit living room with a worn leather sofa, heavy velvet curtains, a patterned Persian rug, "
    end = "rain running down the window, a lamp glowing behind a fern, and curled up on the blanket an orange tabby cat"
    asked = scene * 3 + end
    failure, first, short = real.synthesize([request(asked), request("An orange tabby cat. " + asked), request(end)])
    assert isinstance(failure, Failure)
    assert failure.kind == "class-cut"
    assert "'cat'" in failure.message
    assert isinstance(first, SyntheticImage)
    assert first.dropped[-1] == "cat"
    assert first.details["tokens"] <= 75
    assert isinstance(short, SyntheticImage)
    assert short.dropped == ()


def test_the_critic_is_told_the_budget_where_prompts_are_cut(pipelines: Pipelines) -> None:
    weights = str(pipelines("sdxl", real=True))
    count, limit = SdxlSynthesizer(weights, chunked=False).token_budget()
    assert limit == 75
    assert count("a photo of a cat") == 5
    count, styled = SdxlSynthesizer(weights, chunked=False, style="a photo of a cat").token_budget()
    assert styled == limit - 6, "a comma and five words are taken already"
    assert SdxlSynthesizer(weights).token_budget() is None, "chunk by chunk a prompt of any length is read"


def test_a_style_or_negative_prompt_that_fills_the_budget_is_refused(pipelines: Pipelines) -> None:
    with pytest.raises(ConfigError, match="leaves none for a prompt"):
        ready(pipelines("sdxl"), style="and so on " * 20)
    with pytest.raises(ConfigError, match="negative_prompt has"):
        ready(pipelines("sdxl"), negative_prompt="and so on " * 20)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"too_long": "squeeze"}, "too_long must be one of"),
        ({"memory": "huge"}, "memory = 'huge'"),
        ({"dtype": "float23"}, "Did you mean 'float"),
        ({"scheduler": "EulerDiscretScheduler"}, "Did you mean 'EulerDiscreteScheduler'"),
        ({"negative_prompt": "x", "guidance_scale": 0.0}, "negative_prompt needs guidance_scale > 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_impossible_settings_are_told_before_drawing(pipelines: Pipelines, wrong: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ready(pipelines("sdxl"), **wrong)


def test_weights_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        ready(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        ready(tmp_path)
    with pytest.raises(ConfigError, match="stabilityai/stable-diffusion-xl-base-1.0.*cannot be loaded"):
        SdxlSynthesizer().prepare(Context(device="cpu"))


def test_licences_are_told_without_loading(pipelines: Pipelines) -> None:
    assert SdxlSynthesizer().estimate(5).licence == "CreativeML Open RAIL++-M"
    assert "non-commercial" in SdxlTurboSynthesizer().estimate(5).licence
    assert SdxlSynthesizer(str(pipelines("sdxl"))).estimate(5).licence == "openrail++"
    assert SdxlSynthesizer("stabilityai/sdxl-turbo").estimate(5).licence == SdxlTurboSynthesizer().estimate(1).licence


def test_how_large_images_are_is_told_without_loading(pipelines: Pipelines) -> None:
    def pixels(synthesizer: SdxlSynthesizer) -> list[float]:
        low, high = synthesizer.estimate(10).disk_bytes
        return [low / 0.3 / 10, high / 2.5 / 10]

    assert pixels(SdxlSynthesizer()) == pytest.approx([1024**2] * 2)
    assert pixels(SdxlTurboSynthesizer()) == pytest.approx([512**2] * 2)
    assert pixels(SdxlSynthesizer(size=640)) == pytest.approx([640**2] * 2)
    own = SdxlSynthesizer(str(pipelines("sdxl")), steps=1)
    assert pixels(own) == pytest.approx([64**2] * 2)
    assert own.synthesize([request()])[0].image.size == (64, 64)
    assert pixels(SdxlSynthesizer("somebody/their-sdxl")) == [0, 0]


def test_every_weight_counts_in_the_licence(pipelines: Pipelines, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n", encoding="utf-8")
    adapted = SdxlSynthesizer(str(pipelines("sdxl")), loras=[str(tmp_path)])
    assert adapted.estimate(1).licence == "openrail++; cc-by-4.0"
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n", encoding="utf-8")
    assert adapted.estimate(1).licence == "openrail++"


def test_every_preset_is_pinned_and_licensed() -> None:
    for name, preset in PRESETS.items():
        if name != "diffusers":
            sources = [one for one in (preset.source, preset.unet, preset.controlnet, preset.refiner) if one]
            assert all(len(one.revision) == 40 for one in sources), name
            assert preset.licence and preset.steps and preset.size and preset.guidance_scale is not None, name


def test_other_weights_are_another_identity(pipelines: Pipelines, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(pipelines("sdxl"), tmp_path / "w")
    before = SdxlSynthesizer(str(tmp_path / "w")).identity()
    assert SdxlSynthesizer(str(tmp_path / "w")).identity() == before
    file = tmp_path / "w" / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    assert SdxlSynthesizer(str(tmp_path / "w")).identity() != before


def test_a_plugin_travels_without_its_weights(pipelines: Pipelines, sdxl: SdxlSynthesizer) -> None:
    copy = pickle.loads(pickle.dumps(sdxl))  # noqa: S301  our own bytes
    assert copy.parameters() == sdxl.parameters()
    assert drawn(copy)[0].image.tobytes() == drawn(sdxl)[0].image.tobytes()


def test_every_option_stands_in_the_signature() -> None:
    assert SdxlSynthesizer.parameter_names().index("weights") == 0
    assert set(SdxlLightningSynthesizer.parameter_names()) == {*SdxlSynthesizer.parameter_names(), "unet"}
    kinds = {one.kind for one in inspect.signature(SdxlLightningSynthesizer).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    with pytest.raises(ConfigError, match="parameter 'steps' is invalid"):
        xaiaug.load("synthesizer", "sdxl-lightning", steps="four")
    with pytest.raises(ConfigError, match="Did you mean 'guidance_scale'"):
        xaiaug.load("synthesizer", "sdxl", guidance_scal=3)


def test_preparing_again_loads_nothing(sdxl: SdxlSynthesizer) -> None:
    ways = sdxl._generators
    sdxl.prepare(Context(labels=("cat",), device="cpu"))
    assert sdxl._generators is ways
