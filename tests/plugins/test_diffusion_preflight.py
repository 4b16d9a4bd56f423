"""What diffusion synthesizers find before any weight is loaded, and files they open besides folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_pipelines
import torch
from safetensors.torch import load_file, save_file

from xaiaug.errors import ConfigError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers import _pipelines
from xaiaug.plugins.synthesizers._batch_generation import RETRY_OFFSET, SEEDS, call_pipeline
from xaiaug.plugins.synthesizers.diffusers import DiffusersSynthesizer
from xaiaug.plugins.synthesizers.sdxl import SdxlSynthesizer
from xaiaug.records import SynthesisRequest

pytestmark = pytest.mark.ci  # real pipelines on tiny weights take long

Pipelines = Callable[..., Path]
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("check loads weights")

    monkeypatch.setattr(_pipelines, "_load", refuse)


@pytest.fixture
def copy(pipelines: Pipelines, tmp_path: Path) -> Path:
    shutil.copytree(pipelines("sdxl"), tmp_path / "copy")
    return tmp_path / "copy"


def image(synthesizer: DiffusersSynthesizer) -> bytes:
    (made,) = synthesizer.synthesize([SynthesisRequest("case", 0, "a cat", "cat", 5)])
    return made.image.tobytes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"steps": 2000}, "steps = 2000: EulerDiscreteScheduler has 1000 steps at most"),
        ({"size": 100}, "size must be a multiple of 8 for StableDiffusionXLPipeline, got 100; try 96 or 104"),
        ({"scheduler": "EulerDiscretScheduler"}, "Did you mean 'EulerDiscreteScheduler'"),
        ({"scheduler": "FlowMatchEulerDiscreteScheduler"}, "does not fit these weights"),
        ({"memory": "huge"}, "memory = 'huge'"),
        ({"dtype": "float23"}, "dtype = 'float23'"),
        ({"loras": ["/nowhere/pets.safetensors"]}, "there is no folder"),
        ({"loras": [{"weights": "x/y", "scal": 1}]}, "Did you mean 'scale'"),
        ({"vae": "/nowhere/vae"}, "there is no folder"),
        ({"config": "/nowhere"}, "config goes with a single .safetensors file"),
        ({"weights": "stabilityai/stable-diffusion-xl-base-1.0"}, "it is not on this machine"),
    ],
)
def test_impossible_settings_are_told_before_weights_are_loaded(
    pipelines: Pipelines, no_loading: None, wrong: dict, message: str
) -> None:
    options = {"weights": str(pipelines("sdxl")), "size": 64, "steps": 2, **wrong}
    with pytest.raises(ConfigError, match=message):
        SdxlSynthesizer(**options).check()


def test_sound_settings_pass(pipelines: Pipelines, no_loading: None) -> None:
    SdxlSynthesizer(str(pipelines("sdxl")), size=64, steps=2, scheduler="DDIMScheduler").check()
    DiffusersSynthesizer(str(pipelines("stable_diffusion_3")), size=64, steps=2).check()


def test_missing_cut_off_and_pickled_files_are_told(copy: Path, no_loading: None) -> None:
    file = copy / "unet" / WEIGHTS
    whole = file.read_bytes()
    for change, message in (
        (lambda: file.write_bytes(whole[:-1000]), "is cut off: 1,000 bytes are missing"),
        (lambda: file.write_bytes(b"<html>"), "is no readable safetensors file"),
        (lambda: file.rename(file.with_suffix(".bin")), "pickled weights only"),
        (lambda: file.with_suffix(".bin").unlink(), "has no safetensors files"),
        (lambda: shutil.rmtree(copy / "vae"), "lists the part 'vae', but has no folder of it|unet has no safetensors"),
    ):
        change()
        with pytest.raises(ConfigError, match=message):
            SdxlSynthesizer(str(copy), size=64).check()


def test_a_missing_shard_is_told(copy: Path, no_loading: None) -> None:
    file = copy / "unet" / WEIGHTS
    tensors = load_file(file)
    names = sorted(tensors)
    shards = {f"{file.stem}-0000{number}-of-00002.safetensors": names[number - 1 :: 2] for number in (1, 2)}
    for name, part in shards.items():
        save_file({key: tensors[key] for key in part}, file.with_name(name))
    index = {"metadata": {}, "weight_map": {key: name for name, part in shards.items() for key in part}}
    file.unlink()
    (file.parent / f"{WEIGHTS}.index.json").write_text(__import__("json").dumps(index), encoding="utf-8")
    SdxlSynthesizer(str(copy), size=64).check()
    file.with_name(min(shards)).unlink()
    with pytest.raises(ConfigError, match=r"lacks diffusion_pytorch_model-00001-of-00002\.safetensors"):
        SdxlSynthesizer(str(copy), size=64).check()


def test_a_folder_with_files_of_one_variant_only_is_opened(pipelines: Pipelines, copy: Path) -> None:
    for file in copy.glob("*/*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))
    opened = SdxlSynthesizer(str(copy), size=64, steps=2)
    opened.check()
    assert opened._weights().variant == "fp16"
    assert image(opened) == image(SdxlSynthesizer(str(pipelines("sdxl")), size=64, steps=2))
    with pytest.raises(ConfigError, match="has weights of the variant fp16 only: set variant = 'fp16'"):
        SdxlSynthesizer(str(copy), variant="ema").check()


def test_lora_weights_of_another_model_are_told(pipelines: Pipelines, tmp_path: Path, no_loading: None) -> None:
    sdxl = str(pipelines("sdxl"))
    other = tiny_pipelines.lora(tmp_path / "sd1" / "pets.safetensors", pipelines("stable_diffusion"))
    with pytest.raises(ConfigError, match=r"pets\.safetensors does not fit sdxl: its weights for .* It was made for"):
        SdxlSynthesizer(sdxl, loras=[str(other)]).check()
    third = tiny_pipelines.lora(tmp_path / "sd3" / "style.safetensors", pipelines("stable_diffusion_3"))
    with pytest.raises(ConfigError, match=r"style\.safetensors does not fit sdxl: it has no layers such as"):
        SdxlSynthesizer(sdxl, loras=[str(third)]).check()
    save_file({"nothing.weight": torch.zeros(2)}, tmp_path / "empty.safetensors")
    with pytest.raises(ConfigError, match="holds no LoRA weights: its first tensor is 'nothing.weight'"):
        SdxlSynthesizer(sdxl, loras=[str(tmp_path / "empty.safetensors")]).check()
    (tmp_path / "several").mkdir()
    with pytest.raises(ConfigError, match="must hold one .safetensors file, or set file; it holds none"):
        SdxlSynthesizer(sdxl, loras=[str(tmp_path / "several")]).check()
    own = tiny_pipelines.lora(tmp_path / "own" / "pets.safetensors", pipelines("sdxl"))
    SdxlSynthesizer(sdxl, loras=[str(own)]).check()


def test_another_autoencoder_is_used_if_it_is_of_the_same_kind(pipelines: Pipelines, copy: Path) -> None:
    file = copy / "vae" / WEIGHTS
    save_file({name: value * 1.5 for name, value in load_file(file).items()}, file)
    sdxl = str(pipelines("sdxl"))
    usual, other = (image(SdxlSynthesizer(sdxl, size=64, steps=2, vae=vae)) for vae in (None, str(copy / "vae")))
    assert usual != other == image(SdxlSynthesizer(sdxl, size=64, steps=2, vae=str(copy)))
    with pytest.raises(ConfigError, match="vae is not for these weights: its latent_channels is 16, theirs 4"):
        SdxlSynthesizer(sdxl, vae=str(pipelines("stable_diffusion_3"))).check()


def single_file(folder: Path, file: Path, parts: dict[str, str]) -> str:
    """One file with the tensors of parts, each behind a prefix."""
    tensors = {}
    for part, prefix in parts.items():
        (source,) = (folder / part).glob("*.safetensors")
        tensors |= {prefix + name: value for name, value in load_file(source).items()}
    save_file(tensors, file)
    return str(file)


def test_a_single_file_is_opened_with_the_configurations_of_a_folder_and_the_parts_it_lacks(
    pipelines: Pipelines, tmp_path: Path
) -> None:
    folder = pipelines("stable_diffusion")
    file = single_file(folder, tmp_path / "unet.safetensors", {"unet": ""})
    opened = DiffusersSynthesizer(file, config=str(folder), size=64, steps=2)
    opened.check()
    assert opened.token_budget() is None
    assert opened.identity()["weights"] != DiffusersSynthesizer(str(folder)).identity()["weights"]
    assert image(opened) == image(DiffusersSynthesizer(str(folder), size=64, steps=2))
    bare = tmp_path / "configurations"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ConfigError, match=r"it holds no text_encoder, and .* has no weights of it"):
        DiffusersSynthesizer(file, config=str(bare), size=64).prepare(Context(device="cpu"))


def test_a_single_file_that_cannot_be_described_or_read_is_refused(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"holds no tokenizers and no configuration.*set config to a folder"):
        DiffusersSynthesizer(str(tmp_path / "model.safetensors")).check()
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    with pytest.raises(ConfigError, match="may run code when they are read"):
        DiffusersSynthesizer(str(tmp_path / "model.ckpt")).check()


def test_what_a_safety_checker_blacks_out_is_told_as_such(pipelines: Pipelines) -> None:
    synthesizer = DiffusersSynthesizer(str(pipelines("stable_diffusion")), size=64, steps=1)
    synthesizer.prepare(Context(device="cpu"))
    generator = synthesizer._generators["text"]
    pipe = generator.call.args[0]

    class Flagging:
        """The pipeline with a checker that flags the images of some seeds."""

        def __call__(self, **arguments: object) -> object:
            output = pipe(**arguments)
            flags = [generator.initial_seed() in flagged for generator in arguments["generator"]]
            output.images = np.stack(
                [np.zeros_like(one) if flag else one for one, flag in zip(output.images, flags, strict=True)]
            )
            output.nsfw_content_detected = flags
            return output

    flagged = {4, 6, (6 + RETRY_OFFSET) % SEEDS}
    generator.call = lambda **arguments: call_pipeline(Flagging(), **arguments)
    plain, once, twice = synthesizer.synthesize(
        [SynthesisRequest("case", 0, "a cat", "cat", seed) for seed in (5, 4, 6)]
    )
    assert "first_try" not in plain.details
    assert once.details["first_try"] == "blocked"
    assert twice.kind == "safety-checker"
    assert "safety checker" in twice.message
