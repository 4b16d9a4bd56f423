"""The synthesizer remix: what it promises of every image it makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from blobs import blob, outline
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from xaiaug.errors import ConfigError
from xaiaug.imaging.image_stats import css_to_lab, rgb_to_lab, sharpness, typical_colour
from xaiaug.interfaces import Context
from xaiaug.plugins._superpixels import subject_mask
from xaiaug.plugins.synthesizers._backdrop import remove_subject
from xaiaug.plugins.synthesizers._cutout import cut_by_mask, segment
from xaiaug.plugins.synthesizers.remix import RemixSynthesizer
from xaiaug.records import Failure, Sample, SynthesisRequest, SyntheticImage

BACKDROPS = ("#5a9a50", "#b05a78", "#4a5aa8", "#c8b890")
PETS = Path(__file__).resolve().parents[3] / "shared" / "data" / "pets-with-masks"


def prepared(**parameters: object) -> RemixSynthesizer:
    train = [
        Sample(id=f"{colour}-{seed}", label=0, opener=lambda colour=colour, seed=seed: blob(seed, backdrop=colour))
        for colour in BACKDROPS
        for seed in range(8)
    ]
    synthesizer = RemixSynthesizer(**parameters)
    synthesizer.prepare(Context(labels=("cat", "dog"), train=train))
    return synthesizer


@pytest.fixture(scope="module")
def remix() -> RemixSynthesizer:
    return prepared()


def request(
    seed: int = 0, guidance: Mapping[str, str | float] | None = None, source: Image.Image | None = None
) -> SynthesisRequest:
    return SynthesisRequest("case", seed, "", "cat", seed, guidance or {}, source or blob(77))


def made(synthesizer: RemixSynthesizer, **wishes: object) -> list[SyntheticImage]:
    found = synthesizer.synthesize([request(seed, wishes) for seed in range(6)])
    assert all(isinstance(one, SyntheticImage) for one in found), found
    return found


def middle(one: SyntheticImage) -> tuple[float, float]:
    """Where the middle of the pasted subject's box lies, x y, 0 to 1, before any flip."""
    left, top, right, bottom = segment(blob(77)).box
    scale = float(one.details["scale"])
    return (one.details["left"] + (right - left) * scale / 2) / 64, (
        one.details["top"] + (bottom - top) * scale / 2
    ) / 64


def test_the_seed_alone_decides(remix: RemixSynthesizer) -> None:
    requests = [request(seed) for seed in range(3)]
    together, apart = remix.synthesize(requests), [prepared().synthesize([one])[0] for one in requests[::-1]][::-1]
    for one, other in zip(together, apart, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.details == other.details
    assert len({one.image.tobytes() for one in together}) == 3


def test_without_a_source_there_is_no_image(remix: RemixSynthesizer) -> None:
    blind = SynthesisRequest("case", 0, "a photo of a cat", "cat", 0)
    (answer,) = remix.synthesize([blind])
    assert isinstance(answer, Failure)
    assert answer.kind == "no-source"


@pytest.mark.parametrize("colour", ["black", "white", "#808080"])
def test_without_a_subject_there_is_no_image_and_the_others_go_on(remix: RemixSynthesizer, colour: str) -> None:
    empty = SynthesisRequest("empty", 0, "", "cat", 0, source=Image.new("RGB", (64, 64), colour))
    failure, image = remix.synthesize([empty, request()])
    assert isinstance(failure, Failure)
    assert failure.kind == "no-subject"
    assert isinstance(image, SyntheticImage)


@settings(max_examples=15, deadline=None)
@given(width=st.integers(16, 150), height=st.integers(16, 150), seed=st.integers(0, 2**32 - 1))
def test_any_photo_gives_an_image_of_its_size_or_a_failure(width: int, height: int, seed: int) -> None:
    photo = blob(1).resize((width, height))
    (answer,) = prepared(backdrops=3).synthesize([SynthesisRequest("c", 0, "", "cat", seed, source=photo)])
    assert isinstance(answer, Failure) or (answer.image.size == photo.size and answer.image.mode == "RGB")


def test_details_tell_the_training_image_and_what_was_done(remix: RemixSynthesizer) -> None:
    details = made(remix, size=0.2)[0].details
    assert str(details["backdrop"]).split("-")[0] in BACKDROPS
    assert details["guidance"] == {"size": 0.2}
    assert {"scale", "left", "top", "flipped", "cut"} <= set(details)


def test_a_wished_backdrop_is_chosen(remix: RemixSynthesizer) -> None:
    origins = [str(one.details["backdrop"]) for one in made(remix, backdrop_colour="#4a5aa8")]
    assert all(origin.startswith("#4a5aa8") for origin in origins)
    assert len(set(origins)) > 1


def test_a_wished_subject_colour_is_taken_on(remix: RemixSynthesizer) -> None:
    wanted = css_to_lab("#7a4a9c")
    for one in made(remix, subject_colour="#7a4a9c", backdrop_colour="#5a9a50"):
        colour = typical_colour(rgb_to_lab(np.asarray(one.image)), subject_mask(one.image))
        assert np.linalg.norm(colour - wanted) < 22


def test_a_wished_place_is_taken(remix: RemixSynthesizer) -> None:
    assert all(middle(one)[0] < 0.45 for one in made(remix, place="left", size=0.12))
    assert all(middle(one)[0] > 0.55 for one in made(remix, place="right", size=0.12))
    assert all(middle(one)[1] < 0.5 for one in made(remix, place="top", size=0.1))


def test_a_wished_size_is_taken(remix: RemixSynthesizer) -> None:
    small, large = (
        np.mean([subject_mask(one.image).mean() for one in made(remix, size=size)]) for size in (0.08, 0.35)
    )
    assert small < large - 0.1


def test_wished_light_is_given(remix: RemixSynthesizer) -> None:
    for one in made(remix, brightness=0.3):
        assert rgb_to_lab(np.asarray(one.image))[..., 0].mean() == pytest.approx(30, abs=4)


def test_wished_blur_is_given_and_blur_alone(remix: RemixSynthesizer) -> None:
    assert all(sharpness(one.image) <= 0.21 for one in made(remix, sharpness=0.2))
    for sharp, free in zip(made(remix, sharpness=1.0), made(remix), strict=True):
        assert sharp.image.tobytes() == free.image.tobytes()


def test_a_wished_side_is_not_flipped_away(remix: RemixSynthesizer) -> None:
    assert not any(one.details["flipped"] for one in made(remix, place="left"))
    flips = [bool(one.details["flipped"]) for one in remix.synthesize([request(seed) for seed in range(12)])]
    assert 0 < sum(flips) < 12


def masked(folder: Path, mask: Image.Image, name: str = "case") -> RemixSynthesizer:
    mask.save(folder / f"{name}.png")
    return prepared(masks=str(folder))


def opposite() -> Image.Image:
    """A mask that marks another part than the segmentation would: the left third."""
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 21, 64))
    return mask


def test_a_mask_says_what_the_subject_is(tmp_path: Path) -> None:
    (one,) = masked(tmp_path, opposite()).synthesize([request()])
    assert one.details["subject"] == "mask"
    assert one.details["cut"] == ["bottom", "left", "top"]


def test_without_a_mask_of_its_own_an_image_is_looked_at(remix: RemixSynthesizer, tmp_path: Path) -> None:
    (one,) = masked(tmp_path, opposite(), "another").synthesize([request()])
    (free,) = remix.synthesize([request()])
    assert one.details["subject"] == "segmentation"
    assert one.image.tobytes() == free.image.tobytes()


def test_a_mask_finds_a_subject_that_the_image_does_not_show(tmp_path: Path) -> None:
    blank = Image.new("RGB", (64, 64), "#808080")
    (one,) = masked(tmp_path, opposite()).synthesize([request(source=blank)])
    assert isinstance(one, SyntheticImage)


def test_a_mask_of_another_size_is_resized(tmp_path: Path) -> None:
    mask = opposite().resize((200, 100), Image.Resampling.NEAREST)
    (one,) = masked(tmp_path, mask).synthesize([request()])
    assert one.details["cut"] == ["bottom", "left", "top"]


def test_a_small_subject_keeps_its_own_colour() -> None:
    photo = blob(3, coat="#e02020", backdrop="#3050c0", size=0.01)
    cutout = cut_by_mask(photo, outline(0.01).astype(np.float32))
    assert np.linalg.norm(cutout.main - css_to_lab("#e02020")) < 25


def test_a_soft_mask_is_pasted_as_soft_as_it_is() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(64, 0)
    alpha = cut_by_mask(blob(1), ramp).alpha
    assert np.abs(alpha - ramp[:, -alpha.shape[1] :]).max() < 1e-6


def test_a_bad_mask_is_a_failure_of_its_case_alone(tmp_path: Path) -> None:
    bad = masked(tmp_path, Image.new("L", (64, 64)))
    failure, image = bad.synthesize([request(), SynthesisRequest("other", 0, "", "cat", 0, source=blob(77))])
    assert isinstance(failure, Failure)
    assert failure.kind == "bad-mask"
    assert "case.png marks nothing" in failure.message
    assert isinstance(image, SyntheticImage)


def test_masks_of_training_images_show_what_is_backdrop(tmp_path: Path) -> None:
    whole = Image.new("L", (64, 64), 255)
    for colour in BACKDROPS[:3]:
        for seed in range(8):
            whole.save(tmp_path / f"{colour}-{seed}.png")
    origins = {str(one.details["backdrop"]).split("-")[0] for one in made(prepared(masks=str(tmp_path)))}
    assert origins == {BACKDROPS[3]}, "an image whose mask is bad lends no backdrop"


def test_a_folder_of_masks_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        prepared(masks="nowhere")
    with pytest.raises(ConfigError, match="nowhere"):
        RemixSynthesizer(masks="nowhere").synthesize([request()])


def test_other_masks_are_another_identity(tmp_path: Path) -> None:
    first = masked(tmp_path, opposite()).identity()
    assert masked(tmp_path, opposite()).identity() == first
    assert masked(tmp_path, ImageOps.mirror(opposite())).identity() != first


def test_what_the_label_depends_on_is_left_alone() -> None:
    fixed = prepared(invariances=[])
    before = segment(blob(77))
    for seed in range(4):
        (one,) = fixed.synthesize([request(seed, {"subject_colour": "#7a4a9c", "size": 0.05, "place": "left"})])
        assert not one.details["flipped"]
        assert one.details["scale"] == 1
        assert (one.details["left"], one.details["top"]) == before.box[:2]
        now = typical_colour(rgb_to_lab(np.asarray(one.image)), outline(0.15).astype(np.float32))
        assert np.linalg.norm(now - before.main) < 15


def test_a_subject_that_the_photo_cuts_off_stays_cut_off(remix: RemixSynthesizer) -> None:
    photo = blob(5, size=0.3, place=(0.5, 0.95))
    assert "bottom" in segment(photo).cut
    for one in remix.synthesize([SynthesisRequest("cut", 0, "", "cat", seed, source=photo) for seed in range(4)]):
        assert (subject_mask(one.image)[-1] > 0.5).any()


def test_the_backdrop_has_lost_its_own_subject() -> None:
    photo = blob(9, coat="#d8d8dc", backdrop="#5a9a50")
    empty = remove_subject(photo, photo.size)
    inside = outline()
    assert np.linalg.norm(empty[inside].mean(axis=0) - empty[~inside].mean(axis=0)) < 6
    untouched = np.abs(empty - rgb_to_lab(np.asarray(photo))).max(axis=-1) == 0
    assert untouched.mean() > 0.4


def test_without_training_images_the_photo_lends_its_own_backdrop() -> None:
    lonely = RemixSynthesizer()
    lonely.prepare(Context())
    (one,) = lonely.synthesize([request()])
    assert one.details["backdrop"] is None


def test_the_size_of_new_images_can_be_set() -> None:
    (one,) = prepared(size=48).synthesize([request(source=blob(77).resize((96, 64)))])
    assert one.image.size == (48, 32)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"size": 4}, "size must"), ({"invariances": ["hue"]}, "got hue"), ({"backdrops": 0}, "backdrops must")],
)
def test_impossible_parameters_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        RemixSynthesizer(**wrong)


def test_a_cutout_has_soft_edges_without_a_rim_of_the_old_backdrop() -> None:
    photo = blob(11, coat="#f0f0f0", backdrop="#101018").resize((128, 128), Image.Resampling.BICUBIC)
    cutout = segment(photo)
    edge = (cutout.alpha > 0.15) & (cutout.alpha < 0.85)
    assert edge.sum() > 50
    assert np.percentile(cutout.colour[edge][:, 0], 10) > 70, "the rim is as dark as the old backdrop"


def test_most_photographs_of_pets_have_a_clear_subject() -> None:
    if not PETS.is_dir():
        pytest.skip("shared/data/pets-with-masks is not present")
    photos = [ImageOps.contain(Image.open(file), (128, 128)) for file in sorted(PETS.glob("images/*/*.jpg"))[::25]]
    assert np.mean([segment(photo) is not None for photo in photos]) > 0.7
