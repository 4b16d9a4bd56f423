"""Editors that follow an instruction, on the real classes with tiny weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_pipelines
from PIL import Image

from xaiaug.errors import ConfigError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers.diffusers import DiffusersSynthesizer
from xaiaug.plugins.synthesizers.instruction_edit import (
    FluxKontextSynthesizer,
    InstructionEditSynthesizer,
    InstructPix2PixSynthesizer,
    QwenImageEditSynthesizer,
)
from xaiaug.records import SynthesisRequest, SyntheticImage

pytestmark = pytest.mark.ci  # real pipelines on tiny weights take long

Families = Callable[[str], Path]
EDITORS = {"flux_kontext": FluxKontextSynthesizer, "instruct_pix2pix": InstructPix2PixSynthesizer}


def photo(red: int = 200, width: int = 96) -> Image.Image:
    y, x = np.mgrid[:72, :width]
    return Image.fromarray(np.stack([red + 0 * x, 2 * x, 3 * y], axis=-1).astype(np.uint8))


def request(prompt: str = "a cat on grass", seed: int = 0, source: Image.Image | None = None) -> SynthesisRequest:
    return SynthesisRequest("case", seed, prompt, "cat", seed, source=photo() if source is None else source)


def ready(families: Families, name: str, **options: object) -> InstructionEditSynthesizer:
    editor = EDITORS[name](str(families(name)), **{"steps": 2, "size": 64, **options})
    editor.prepare(Context(device="cpu"))
    return editor


def made(editor: InstructionEditSynthesizer, *requests: SynthesisRequest) -> list[SyntheticImage]:
    images = editor.synthesize(requests)
    assert all(isinstance(image, SyntheticImage) for image in images), images
    return images


@pytest.mark.parametrize("name", EDITORS)
def test_image_instruction_and_seed_count_and_a_batch_changes_nothing(families: Families, name: str) -> None:
    editor = ready(families, name)
    wanted = [request(), request(source=photo(red=20)), request("a cat in a red room"), request(seed=3)]
    alone = made(editor, *wanted)
    assert len({image.image.tobytes() for image in alone}) == len(wanted)
    assert alone[0].prompt == "Keep the same cat and change the picture to: a cat on grass"
    assert alone[0].image.width > alone[0].image.height, "the shape of the photo"
    together = made(ready(families, name, exact=False), *wanted)
    for one, other in zip(alone, together, strict=True):
        assert np.abs(np.asarray(one.image, int) - np.asarray(other.image, int)).max() <= 1


def test_an_instruction_can_be_worded_otherwise_and_counts_as_tokens(families: Families) -> None:
    worded = ready(families, "flux_kontext", instruction="put the same {label} there: {prompt}")
    (image,) = made(worded, request())
    assert image.prompt == "put the same cat there: a cat on grass"
    plain = ready(families, "flux_kontext", instruction="{prompt}")
    assert worded.token_budget()[1] < plain.token_budget()[1] <= 511


def test_what_cannot_be_edited_is_refused(families: Families) -> None:
    weights = str(families("flux_kontext"))
    with pytest.raises(ConfigError, match="the weights are of a FluxKontextPipeline, not of a QwenImageEditPipeline"):
        QwenImageEditSynthesizer(weights).check()
    with pytest.raises(ConfigError, match="instruction must hold {prompt}"):
        FluxKontextSynthesizer(weights, instruction="put it on grass").check()
    with pytest.raises(ConfigError, match="image_guidance_scale must be at least 1"):
        InstructPix2PixSynthesizer(str(families("instruct_pix2pix")), image_guidance_scale=0.5).check()
    alone = SynthesisRequest("case", 0, "a cat", "cat", 0)
    assert ready(families, "instruct_pix2pix").synthesize([alone])[0].kind == "no-source"


def test_an_ip_adapter_shows_the_failed_image(pipelines: Callable[..., Path], tmp_path: Path) -> None:
    weights = pipelines("stable_diffusion")
    folder = tiny_pipelines.ip_adapter(tmp_path, weights)
    table = {"weights": str(folder), "file": "adapter.safetensors", "scale": 1.0}

    def seen(source: Image.Image, **more: object) -> bytes:
        editor = DiffusersSynthesizer(str(weights), steps=2, size=64, exact=False, ip_adapter={**table, **more})
        editor.check()
        assert (editor.uses, editor.needs) == ({"prompt", "image"}, {"image"})
        together = made(editor, request(source=source), request(source=photo(red=100), seed=1))
        return together[0].image.tobytes()

    one, other = seen(photo()), seen(photo(red=0, width=40))
    assert one != other
    assert seen(photo(), scale=0.0) == seen(photo(red=0, width=40), scale=0.0)
    alone = SynthesisRequest("case", 0, "a cat", "cat", 0)
    assert DiffusersSynthesizer(str(weights), steps=2, ip_adapter=table).synthesize([alone])[0].kind == "no-source"
    for wrong, message in (
        ({"file": "other.safetensors"}, "there is no file"),
        ({"file": "adapter.bin"}, 'file = "….safetensors"'),
        ({"image_encoder": "eyes"}, "there is no image encoder"),
        ({"scale": 3}, "must lie between 0 and 1"),
        ({"scal": 1}, "Did you mean 'scale'"),
    ):
        with pytest.raises(ConfigError, match=message):
            DiffusersSynthesizer(str(weights), ip_adapter={**table, **wrong}).check()
