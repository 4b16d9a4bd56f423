"""Any pipeline of diffusers, by its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_pipelines
import torch

from xaiaug.errors import ConfigError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers.diffusers import DiffusersSynthesizer
from xaiaug.records import SynthesisRequest, SyntheticImage

pytestmark = pytest.mark.ci  # real pipelines on tiny weights take long

Pipelines = Callable[..., Path]
KINDS = {"stable_diffusion": "StableDiffusionPipeline", "stable_diffusion_3": "StableDiffusion3Pipeline"}


def request(prompt: str = "a cat", seed: int = 0) -> SynthesisRequest:
    return SynthesisRequest("case", seed, prompt, "cat", seed)


def ready(weights: Path, **options: object) -> DiffusersSynthesizer:
    synthesizer = DiffusersSynthesizer(str(weights), **{"steps": 2, **options})
    synthesizer.prepare(Context(device="cpu"))
    return synthesizer


def drawn(synthesizer: DiffusersSynthesizer, *requests: SynthesisRequest) -> list[SyntheticImage]:
    made = synthesizer.synthesize(requests)
    assert all(isinstance(one, SyntheticImage) for one in made), made
    return made


@pytest.mark.parametrize("name", KINDS)
def test_any_pipeline_is_opened_and_the_seed_alone_decides(pipelines: Pipelines, name: str) -> None:
    synthesizer = ready(pipelines(name))
    assert KINDS[name] in (pipelines(name) / "model_index.json").read_text(encoding="utf-8")
    asked = [request("a cat", 1), request("a dog in the snow", 2)]
    together = drawn(synthesizer, *asked)
    apart = [drawn(synthesizer, one)[0] for one in asked]
    assert [one.image.tobytes() for one in together] == [one.image.tobytes() for one in apart]
    assert together[0].image.tobytes() != together[1].image.tobytes()
    batched = drawn(ready(pipelines(name), exact=False), *asked)
    for one, other in zip(together, batched, strict=True):
        assert np.abs(np.asarray(one.image).astype(int) - np.asarray(other.image)).max() <= 1


@pytest.mark.parametrize("name", KINDS)
def test_lora_weights_are_taken_by_any_pipeline(pipelines: Pipelines, tmp_path: Path, name: str) -> None:
    file = tiny_pipelines.lora(tmp_path / "style.safetensors", pipelines(name), strength=3.0)
    (plain,), (adapted,) = (drawn(ready(pipelines(name), loras=loras), request()) for loras in ([], [str(file)]))
    assert plain.image.tobytes() != adapted.image.tobytes()


def test_what_a_second_encoder_still_reads_is_not_lost(pipelines: Pipelines) -> None:
    synthesizer = ready(pipelines("stable_diffusion_3"))
    assert synthesizer.token_budget()[1] == 255
    words = "a cat " + "and so on " * 60
    read, cut = drawn(synthesizer, request("a cat " + "and so on " * 15), request(words))
    assert read.dropped == ()
    assert cut.prompt.split() + list(cut.dropped) == words.split()
    assert cut.details["tokens"] <= 255


def test_long_prompts_of_stable_diffusion_are_read_chunk_by_chunk(pipelines: Pipelines) -> None:
    tail = "and so on " * 20
    synthesizer = ready(pipelines("stable_diffusion"), negative_prompt="a drawing")
    one, other = drawn(synthesizer, request("a cat " + tail), request("a cat " + tail + "asleep"))
    assert one.dropped == other.dropped == ()
    assert one.image.tobytes() != other.image.tobytes()


def test_short_prompts_are_embedded_as_the_pipeline_would(pipelines: Pipelines) -> None:
    for name in ("sdxl", "stable_diffusion"):
        synthesizer = ready(pipelines(name))
        plain, pipe = synthesizer._long_prompts("a ginger cat"), synthesizer._long_prompts._pipe
        ours = plain["prompt_embeds"]
        with torch.no_grad():
            theirs = pipe.encode_prompt(
                "a ginger cat", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
            )
        assert np.allclose(ours.numpy(), theirs[0].numpy(), atol=1e-5), name
        if name == "sdxl":
            assert np.allclose(plain["pooled_prompt_embeds"].numpy(), theirs[2].numpy(), atol=1e-5)


def test_weights_must_be_named() -> None:
    from xaiaug import load

    with pytest.raises(ConfigError, match="needs the parameter 'weights'"):
        load("synthesizer", "diffusers")
    assert DiffusersSynthesizer("some/model").estimate(1).licence == ""
