"""saliency-edit takes away, or puts on another image, what a map marks off the subject, and refuses where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Context, Explanation, Failure, SynthesisRequest, load
from xaiaug.errors import ConfigError
from xaiaug.plugins._hot_region import RegionOptions, draw_region, find_region
from xaiaug.plugins.synthesizers import _subject_masks
from xaiaug.plugins.synthesizers.saliency_edit import SaliencyEditSynthesizer
from xaiaug.plugins.synthesizers.saliency_mask import SaliencyMaskSynthesizer

SIDE = 64
TAG = np.s_[4:16, 44:58]
YELLOW = (236, 200, 40)


def subject(side=SIDE):
    """A disc in the middle."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return (np.hypot(y, x) < 0.5).astype(np.float32)


def photo(colour=(120, 60, 60), *, tagged=False, seed=0):
    """A disc on a grainy backdrop, with or without a tag in a corner."""
    pixels = np.random.default_rng(seed).integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[subject() > 0] = colour
    if tagged:
        pixels[TAG] = YELLOW
    return Image.fromarray(pixels)


def heat(*places, level=1.0, base=0.05):
    values = np.full((SIDE, SIDE), base, np.float32)
    for place in places:
        values[place] = level
    return Explanation(values, "made-up", 1, class_specific=True)


@pytest.fixture
def masks(tmp_path):
    for name in ("donor", "base"):
        Image.fromarray((255 * subject()).astype(np.uint8)).save(tmp_path / f"{name}.png")
    return str(tmp_path)


def request(explanation, **fields):
    return SynthesisRequest(
        **{
            "case_id": "donor",
            "index": 0,
            "prompt": "",
            "label": "dog",
            "seed": 1,
            "source": photo(tagged=True),
            "explanation": explanation,
            "source_label": "dog",
            **fields,
        }
    )


def edit(masks, asked, **parameters):
    (made,) = load("synthesizer", "saliency-edit", masks=masks, **parameters).synthesize([asked])
    return made


def yellow(image):
    pixels = np.asarray(image, np.int32)
    return (np.abs(pixels - YELLOW).sum(axis=-1) < 60).sum()


@pytest.mark.parametrize("fill", ["surroundings", "blur"])
def test_an_erased_tag_is_gone_and_everything_else_stays(masks, fill):
    before = photo(tagged=True)
    made = edit(masks, request(heat(TAG)), fill=fill)
    assert yellow(before) == 12 * 14 and yellow(made.image) == 0
    changed = (np.asarray(made.image) != np.asarray(before)).any(axis=-1)
    assert not (changed & (subject() > 0)).any(), "the subject is as it was"
    left, top, right, bottom = (round(side * SIDE) for side in made.details["region"])
    changed[max(0, top - 5) : bottom + 5, max(0, left - 5) : right + 5] = False
    assert not changed.any()
    assert made.details["operation"] == "erase"


def test_a_transplanted_tag_is_at_the_same_place_of_the_other_class(masks):
    base = photo((40, 90, 40), seed=3)
    made = edit(masks, request(heat(TAG), label="cat", base=base, base_id="base", index=1))
    assert made.details["operation"] == "transplant"
    assert (made.details["base"], made.details["source_label"]) == ("base", "dog")
    assert yellow(np.asarray(made.image)[TAG]) > 0.7 * 12 * 14 and yellow(base) == 0
    same = (np.asarray(made.image) == np.asarray(base)).all(axis=-1)
    assert same[subject() > 0].all() and same[32:].all()


def test_a_place_is_a_share_of_the_image_whatever_its_size(masks):
    base = photo(seed=3).resize((160, 120))
    made = edit(masks, request(heat(TAG), label="cat", base=base, base_id="base"), covered=1.0)
    assert made.image.size == (160, 120)
    found = np.argwhere(np.abs(np.asarray(made.image, np.int32) - YELLOW).sum(axis=-1) < 60)
    assert np.abs(found.mean(axis=0) / (120, 160) - (10 / SIDE, 51 / SIDE)).max() < 0.03


CORNER, MIDDLE = np.s_[2:14, 2:14], np.s_[26:38, 26:38]


@pytest.mark.parametrize(
    ("explanation", "kind"),
    [
        (heat(), "flat-map"),
        (heat(MIDDLE), "map-on-subject"),
        (heat(base=np.nan), "flat-map"),
        (heat(np.s_[:48], level=0.06), "map-on-subject"),
        (heat(np.s_[:, :], level=-1.0), "flat-map"),
    ],
)
def test_a_map_that_is_flat_or_lies_on_the_subject_gives_no_image_and_says_so(masks, explanation, kind):
    made = edit(masks, request(explanation))
    assert isinstance(made, Failure) and made.kind == kind and made.message


def test_heat_on_the_subject_does_not_hide_a_hot_corner(masks):
    made = edit(masks, request(heat(MIDDLE, TAG)))
    assert yellow(made.image) == 0


def test_a_region_that_would_hide_the_other_subject_is_refused(tmp_path):
    for name, place in (("donor", np.s_[40:60, 4:24]), ("base", TAG)):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[place] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    made = edit(str(tmp_path), request(heat(TAG), label="cat", base=photo(), base_id="base"))
    assert isinstance(made, Failure) and made.kind == "covers-subject"
    allowed = edit(str(tmp_path), request(heat(TAG), label="cat", base=photo(), base_id="base"), covered=1.0)
    assert yellow(allowed.image) > 0


def test_without_a_map_the_region_is_random_off_the_subject_and_follows_the_seed(masks):
    places = [edit(masks, request(None, seed=seed)).details for seed in (1, 1, 2, 3)]
    assert places[0] == places[1] and len({str(place["region"]) for place in places}) == 3
    assert "heat" not in places[0]


@given(st.integers(0, 200))
def test_a_random_region_lies_mostly_off_the_subject(seed):
    left, top, right, bottom = draw_region(subject(), RegionOptions(), seed).box((SIDE, SIDE))
    assert subject()[top:bottom, left:right].mean() < 0.5


@settings(max_examples=60)
@given(
    st.integers(0, SIDE - 9), st.integers(0, SIDE - 9), st.floats(0.02, 0.2), st.floats(1.01, 3.0), st.integers(8, 200)
)
def test_a_region_is_within_the_image_and_its_size_within_the_bounds(top, left, least, ratio, side):
    options = RegionOptions(area=(least, min(0.5, least * ratio)), contrast=1.0)
    found = find_region(heat(np.s_[top : top + 9, left : left + 9]), np.zeros((SIDE, SIDE), np.float32), options)
    assert not isinstance(found, Failure)
    x0, y0, x1, y1 = found.box((side, side + 7))
    assert 0 <= x0 < x1 <= side and 0 <= y0 < y1 <= side + 7
    area = (found.right - found.left) * (found.bottom - found.top)
    assert options.area[0] * 0.6 < area < options.area[1] * 1.3, "cells are whole, and margins end at the border"
    assert 0 < found.heat <= 1


def test_the_same_pixels_are_segmented_once(monkeypatch):
    asked = []
    find = _subject_masks.subject_mask
    monkeypatch.setattr(_subject_masks, "subject_mask", lambda image: asked.append(image) or find(image))
    synthesizer = SaliencyEditSynthesizer()
    synthesizer.prepare(Context(labels=("cat", "dog")))
    synthesizer.synthesize([request(heat(TAG)), request(heat(CORNER)), request(heat(TAG), source=photo(seed=5))])
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"operation": "remove"}, "erase, transplant, both"),
        ({"fill": "noise"}, "surroundings, blur"),
        ({"heat": 0}, "heat must"),
        ({"area": (0.2, 0.1)}, "area must"),
        ({"contrast": 0.5}, "contrast must"),
        ({"covered": 2}, "covered must"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, words):
    with pytest.raises(ConfigError, match=words):
        SaliencyEditSynthesizer(**parameters)


def test_the_operation_decides_which_images_a_donor_gives():
    assert SaliencyEditSynthesizer("erase").per_case == ("own",)
    assert SaliencyEditSynthesizer("transplant").per_case == ("another",)
    assert SaliencyEditSynthesizer().per_case == ("own", "another")


def test_saliency_mask_blackens_what_is_hottest_on_the_subject_or_off_it():
    (made,) = SaliencyMaskSynthesizer().synthesize([request(heat(MIDDLE))])
    black = (np.asarray(made.image) == 0).all(axis=-1)
    assert black[MIDDLE].all() and black.sum() == 144
    (flat,) = SaliencyMaskSynthesizer().synthesize([request(heat())])
    assert flat.kind == "flat-map"


def test_an_erased_region_takes_no_colour_from_the_subject_beside_it(tmp_path):
    photo = Image.new("RGB", (SIDE, SIDE), (200, 200, 200))
    photo.paste((120, 20, 20), (SIDE // 2, 0, SIDE, SIDE))
    mask = Image.new("L", photo.size)
    mask.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    mask.save(tmp_path / "case.png")
    beside = np.zeros((SIDE, SIDE), np.float32)
    beside[SIDE // 4 : SIDE // 2, SIDE // 4 : SIDE // 2] = 1
    asked = SynthesisRequest("case", 0, "", "cat", 0, source=photo, explanation=Explanation(beside, "m", 0, True))
    (made,) = SaliencyEditSynthesizer("erase", masks=str(tmp_path)).synthesize([asked])
    assert np.abs(np.asarray(made.image, int) - np.asarray(photo, int)).max() <= 4
