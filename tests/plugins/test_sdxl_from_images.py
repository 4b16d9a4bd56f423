"""Stable Diffusion XL from the failed image: all of it, a part of it, its outlines; and the refiner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_pipelines
from blobs import blob, outline
from PIL import Image
from tiny_segmenters import save_red_model

from xaiaug import arms
from xaiaug.errors import ConfigError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers._resolution import working_size
from xaiaug.plugins.synthesizers.sdxl import SdxlSynthesizer
from xaiaug.plugins.synthesizers.sdxl_controlnet import SdxlControlNetSynthesizer, detect_edges
from xaiaug.plugins.synthesizers.sdxl_img2img import SdxlImageToImageSynthesizer
from xaiaug.plugins.synthesizers.sdxl_inpaint import SdxlInpaintSynthesizer
from xaiaug.plugins.synthesizers.sdxl_refiner import SdxlRefinerSynthesizer
from xaiaug.records import Explanation, Failure, SynthesisRequest, SyntheticImage

pytestmark = pytest.mark.ci  # real pipelines on tiny weights take half a minute

Pipelines = Callable[..., Path]
PHOTO = blob(77)
CORNER = np.zeros((64, 64), np.float32)
CORNER[:20, :20] = 1
LOOKED = Explanation(CORNER, "rollout", 0, class_specific=False)


def request(seed: int = 0, source: Image.Image | None = PHOTO, **more: object) -> SynthesisRequest:
    return SynthesisRequest("case", seed, "a cat", "cat", seed, source=source, explanation=LOOKED, **more)


def ready(kind: type, weights: Path, **options: object) -> SdxlSynthesizer:
    synthesizer = kind(str(weights), **{"steps": 3, **options})
    synthesizer.prepare(Context(labels=("cat", "dog"), device="cpu"))
    return synthesizer


def drawn(synthesizer: SdxlSynthesizer, *requests: SynthesisRequest) -> list[SyntheticImage]:
    made = synthesizer.synthesize(requests)
    assert all(isinstance(one, SyntheticImage) for one in made), made
    return made


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def varied(pipelines: Pipelines) -> SdxlSynthesizer:
    return ready(SdxlImageToImageSynthesizer, pipelines("sdxl"))


@pytest.fixture(scope="module")
def inpaint(pipelines: Pipelines) -> SdxlSynthesizer:
    return ready(SdxlInpaintSynthesizer, pipelines("sdxl", channels=9))


@pytest.fixture(scope="module")
def refined(pipelines: Pipelines) -> SdxlSynthesizer:
    return ready(SdxlRefinerSynthesizer, pipelines("sdxl"), refiner=str(pipelines("refiner")), steps=5)


@pytest.fixture(scope="module")
def outlined(pipelines: Pipelines) -> SdxlSynthesizer:
    net = pipelines("controlnet", pipeline=pipelines("sdxl"))
    return ready(SdxlControlNetSynthesizer, pipelines("sdxl"), controlnet=str(net), conditioning_scale=1.0)


@pytest.mark.parametrize("name", ["varied", "inpaint", "refined", "outlined"])
def test_the_seed_alone_decides_whatever_the_batch(name: str, request_of: Callable[[str], SdxlSynthesizer]) -> None:
    synthesizer = request_of(name)
    asked = [request(seed, attended="subject") for seed in range(3)]
    together = drawn(synthesizer, *asked)
    apart = [drawn(synthesizer, one)[0] for one in reversed(asked)][::-1]
    assert [one.image.tobytes() for one in together] == [one.image.tobytes() for one in apart]
    assert len({one.image.tobytes() for one in together}) == 3


@pytest.fixture
def request_of(request: pytest.FixtureRequest) -> Callable[[str], SdxlSynthesizer]:
    return request.getfixturevalue


@pytest.mark.parametrize("name", ["varied", "outlined"])
def test_the_source_counts(name: str, request_of: Callable[[str], SdxlSynthesizer]) -> None:
    one, other = drawn(request_of(name), request(), request(source=blob(5, size=0.4)))
    assert np.abs(pixels(one.image) - pixels(other.image)).mean() > 1


@pytest.mark.parametrize(("strength", "steps"), [(0.3, 3), (1.0, 10)])
def test_strength_is_the_share_of_the_steps_that_are_done(pipelines: Pipelines, strength: float, steps: int) -> None:
    synthesizer = ready(SdxlImageToImageSynthesizer, pipelines("sdxl"), strength=strength, steps=10)
    done: list[object] = []
    synthesizer._long_prompts._pipe.unet.register_forward_hook(lambda *seen: done.append(seen))
    drawn(synthesizer, request())
    assert len(done) == steps


def test_without_a_source_the_prompt_alone_is_drawn(varied: SdxlSynthesizer, pipelines: Pipelines) -> None:
    plain = ready(SdxlSynthesizer, pipelines("sdxl"))
    mixed = drawn(varied, request(1), request(1, source=None), request(2))
    assert mixed[1].image.tobytes() == drawn(plain, request(1))[0].image.tobytes()
    assert mixed[0].image.tobytes() == drawn(varied, request(1))[0].image.tobytes()
    assert "strength" in mixed[0].details and "strength" not in mixed[1].details


@pytest.mark.parametrize(("side", "photo", "wanted"), [(64, (128, 64), (88, 48)), (1024, (128, 128), (1024, 1024))])
def test_a_photo_keeps_its_ratio_nearly(side: int, photo: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert working_size(Image.new("RGB", photo), side) == wanted


def test_photos_of_all_sizes_may_stand_in_one_batch(pipelines: Pipelines) -> None:
    batched = ready(SdxlImageToImageSynthesizer, pipelines("sdxl"), exact=False)
    made = drawn(batched, request(0), request(1, source=PHOTO.resize((120, 60))), request(2))
    assert [one.image.size for one in made] == [(64, 64), (88, 48), (64, 64)]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"strength": 0.0}, "strength must be above 0"),
        ({"strength": 0.1, "steps": 3}, "3 steps at strength 0.1 leave no step"),
    ],
)
def test_impossible_strengths_are_refused(pipelines: Pipelines, wrong: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ready(SdxlImageToImageSynthesizer, pipelines("sdxl"), **wrong)


@pytest.mark.parametrize("attended", ["subject", "part", None])
def test_the_subject_is_kept_to_the_last_bit(inpaint: SdxlSynthesizer, attended: str | None) -> None:
    (made,) = drawn(inpaint, request(attended=attended))
    changed = (pixels(made.image) != pixels(PHOTO)).any(axis=-1)
    assert not changed[outline()].any()
    assert changed[~outline()].mean() > 0.8
    assert made.details["subject"] == "segmentation"


@pytest.mark.parametrize("attended", ["background", "other"])
def test_what_was_attended_is_repainted_and_nothing_else(inpaint: SdxlSynthesizer, attended: str) -> None:
    (made,) = drawn(inpaint, request(attended=attended))
    changed = (pixels(made.image) != pixels(PHOTO)).any(axis=-1)
    assert not changed[CORNER == 0].any()
    assert changed[CORNER > 0].mean() > 0.8
    assert made.details["repainted"] == pytest.approx((CORNER > 0).mean(), abs=0.001)


def test_the_subject_is_kept_where_the_model_looked_at_it_too(inpaint: SdxlSynthesizer) -> None:
    everywhere = Explanation(np.where(outline(), 1.0, CORNER).astype(np.float32), "rollout", 0, class_specific=False)
    asked = SynthesisRequest("case", 0, "a cat", "cat", 0, source=PHOTO, explanation=everywhere, attended="background")
    changed = (pixels(drawn(inpaint, asked)[0].image) != pixels(PHOTO)).any(axis=-1)
    assert not changed[outline()].any()
    assert changed[CORNER > 0].any()


def test_the_hot_region_alone_is_repainted_whatever_the_critic_found(pipelines: Pipelines) -> None:
    hot = ready(SdxlInpaintSynthesizer, pipelines("sdxl", channels=9), repaint="hot-region")
    subject = Explanation(outline().astype(np.float32), "rollout", 0, class_specific=False)
    on_subject = SynthesisRequest("case", 0, "a cat", "cat", 0, source=PHOTO, explanation=subject)
    unmapped = SynthesisRequest("case", 0, "a cat", "cat", 3, source=PHOTO)
    made, failure, random = hot.synthesize([request(attended="subject"), on_subject, unmapped])
    changed = (pixels(made.image) != pixels(PHOTO)).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 0.02 < changed.mean() < 0.16 and not changed[outline()].any()
    assert np.ptp(rows) < 32 and np.ptp(columns) < 32, "a compact window"
    assert (CORNER[changed] > 0).mean() > 0.5
    assert isinstance(failure, Failure) and failure.kind == "map-on-subject"
    assert not (pixels(random.image) != pixels(PHOTO)).any(axis=-1)[outline()].any()
    with pytest.raises(ConfigError, match="repaint must be one of attended, hot-region, got 'hot'"):
        SdxlInpaintSynthesizer("weights", repaint="hot")


def test_a_mask_says_what_is_kept(pipelines: Pipelines, tmp_path: Path) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 21, 64))
    mask.save(tmp_path / "case.png")
    masked = ready(SdxlInpaintSynthesizer, pipelines("sdxl"), masks=str(tmp_path))
    (made,) = drawn(masked, request(attended="subject"))
    changed = (pixels(made.image) != pixels(PHOTO)).any(axis=-1)
    assert not changed[:, :21].any()
    assert changed[:, 30:].mean() > 0.8
    assert made.details["subject"] == "mask"
    with pytest.raises(ConfigError, match="SdxlInpaintSynthesizer: masks must be"):
        ready(SdxlInpaintSynthesizer, pipelines("sdxl"), masks="nowhere")


def test_a_segmenter_says_what_is_kept(pipelines: Pipelines, tmp_path: Path) -> None:
    red = {"file": str(save_red_model(tmp_path / "red.onnx")), "mean": 0, "std": 1}
    photo = Image.new("RGB", (64, 64), "#00a000")
    photo.paste("#ff0000", (0, 0, 32, 64))
    segmented = ready(SdxlInpaintSynthesizer, pipelines("sdxl"), segmenter=red)
    (made,) = drawn(segmented, request(source=photo, attended="subject"))
    changed = (pixels(made.image) != pixels(photo)).any(axis=-1)
    assert not changed[:, :32].any()
    assert changed[:, 40:].mean() > 0.8
    assert made.details["subject"] == "segmenter"


def test_an_image_keeps_the_size_of_its_source(inpaint: SdxlSynthesizer) -> None:
    photo = PHOTO.resize((150, 100))
    (made,) = drawn(inpaint, request(source=photo, attended="subject"))
    assert made.image.size == (150, 100)
    middle = np.s_[45:60, 55:70]
    assert (pixels(made.image)[middle] == pixels(photo)[middle]).all()


def test_what_cannot_be_repainted_is_a_failure_and_the_others_go_on(inpaint: SdxlSynthesizer) -> None:
    flat = Explanation(np.ones((64, 64), np.float32), "uniform", 0, class_specific=False)
    inside = Explanation(np.where(outline(0.05), 1, 0).astype(np.float32), "rollout", 0, class_specific=False)
    told = {"source": PHOTO, "attended": "background"}
    asked = [
        request(attended="unknown"),
        request(source=None, attended="subject"),
        request(source=Image.new("RGB", (64, 64), "#808080"), attended="subject"),
        SynthesisRequest("case", 0, "a cat", "cat", 0, explanation=flat, **told),
        SynthesisRequest("case", 0, "a cat", "cat", 0, explanation=inside, **told),
        request(attended="subject"),
    ]
    *failures, made = inpaint.synthesize(asked)
    kinds = ["attended-unknown", "no-source", "no-subject", "no-heatmap", "nothing-to-repaint"]
    assert [failure.kind for failure in failures if isinstance(failure, Failure)] == kinds
    assert isinstance(made, SyntheticImage)


def test_arms_that_hide_the_image_are_left_out_where_nothing_works_without_it() -> None:
    blind = arms.ROWS["class-name-prompts"]
    for kind in (SdxlInpaintSynthesizer, SdxlControlNetSynthesizer):
        assert "requires the failed image" in arms.missing_requirement(blind, kind, arms.Available(reserve=False))
    kind = SdxlImageToImageSynthesizer
    assert arms.missing_requirement(blind, kind, arms.Available(reserve=False)) == ""


def test_the_refiner_does_the_last_steps(refined: SdxlSynthesizer, pipelines: Pipelines) -> None:
    plain = ready(SdxlSynthesizer, pipelines("sdxl"), steps=5)
    refining = ready(
        SdxlRefinerSynthesizer, pipelines("sdxl"), refiner=str(pipelines("refiner")), steps=5, handover=0.4
    )
    images = {drawn(one, request())[0].image.tobytes() for one in (plain, refined, refining)}
    assert len(images) == 3
    assert refined.identity()["weights"].keys() == {"weights", "refiner"}


def test_the_refiner_reads_long_prompts_too(refined: SdxlSynthesizer, pipelines: Pipelines) -> None:
    negative = ready(
        SdxlRefinerSynthesizer,
        pipelines("sdxl"),
        refiner=str(pipelines("refiner")),
        steps=5,
        negative_prompt="a drawing",
        exact=False,
    )
    long = SynthesisRequest("case", 0, "a cat " + "and so on " * 20, "cat", 0)
    short = request()
    for one, other in zip(drawn(refined, long, short), drawn(negative, long, short), strict=True):
        assert one.dropped == other.dropped == ()
        assert one.image.tobytes() != other.image.tobytes()


def test_a_handover_outside_is_refused(pipelines: Pipelines) -> None:
    with pytest.raises(ConfigError, match="handover must lie between 0 and 1"):
        ready(SdxlRefinerSynthesizer, pipelines("sdxl"), refiner=str(pipelines("refiner")), handover=1.0)


def test_outlines_count_by_their_scale(outlined: SdxlSynthesizer, pipelines: Pipelines) -> None:
    net = str(pipelines("controlnet", pipeline=pipelines("sdxl")))
    without = ready(SdxlControlNetSynthesizer, pipelines("sdxl"), controlnet=net, conditioning_scale=0.0)
    plain = ready(SdxlSynthesizer, pipelines("sdxl"))
    assert drawn(without, request())[0].image.tobytes() == drawn(plain, request())[0].image.tobytes()
    assert drawn(outlined, request())[0].image.tobytes() != drawn(plain, request())[0].image.tobytes()


def test_edges_lie_on_the_outline() -> None:
    white = pixels(detect_edges(PHOTO, sigma=1.0))[..., 0] > 0
    rim = np.zeros((64, 64), bool)
    rim[1:-1, 1:-1] = outline()[1:-1, 1:-1] & ~(outline()[:-2, 1:-1] & outline()[2:, 1:-1])
    assert white.any()
    near = np.array([rim[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].any() for y, x in np.argwhere(white)])
    assert near.mean() > 0.7


@pytest.mark.parametrize("name", ["inpaint", "outlined", "refined", "varied"])
def test_lora_weights_are_taken_by_every_variant(
    pipelines: Pipelines, tmp_path: Path, name: str, request_of: Callable[[str], SdxlSynthesizer]
) -> None:
    plain = request_of(name)
    file = tiny_pipelines.lora(tmp_path / "style.safetensors", Path(plain.weights), strength=3.0)
    same = {key: getattr(plain, key) for key in plain.parameter_names() if key not in ("weights", "loras")}
    adapted = ready(type(plain), Path(plain.weights), loras=[str(file)], **same)
    assert drawn(adapted, request())[0].image.tobytes() != drawn(plain, request())[0].image.tobytes()
