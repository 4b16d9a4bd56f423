"""Causes are confirmed where a classifier rests on them, and nowhere else."""

import numpy as np
import pytest
from blobs import SIDE, blob, outline
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from xaiaug.causes import Photo, Slice, StatedCause, describe_cause, judge_trials, run_trial
from xaiaug.causes.mechanisms import ATTRIBUTES, edit_control, exchange, has_cause
from xaiaug.causes.nuisance import NUISANCES
from xaiaug.causes.regions import choose_other_box, find_spot
from xaiaug.causes.trial import CAUSE, ELSEWHERE, NUISANCE, Arms, Trial
from xaiaug.errors import RecordError
from xaiaug.imaging.image_stats import css_to_lab, rgb_to_lab
from xaiaug.records import Cause

LABELS = ("orange", "blue")
YELLOW = "#f4d83c"
MASK = outline().astype(np.float32)
COATS = ("#c8803c", "#3c80c8")
TAG = Cause("region", colour=YELLOW, value=0.04)
NO_TAG = Cause("region", present=False, colour=YELLOW, value=0.04)
CORNERS = ((2, 2), (2, 50), (50, 2), (50, 50))


def draw(seed, label, tagged, **options):
    """A blob with the coat of its class; a tag lies in one of the corners."""
    image = blob(seed, coat=COATS[label], **options)
    if tagged:
        x, y = CORNERS[seed % 4]
        ImageDraw.Draw(image).rectangle((x, y, x + 11, y + 11), fill=YELLOW)
    return Photo(f"{seed:04d}{label}{tagged:d}", image, lambda _: MASK)


def answer(weight):
    """A classifier that sees the coat, and the yellow in the image with a weight; its answers waver with the pixels."""

    def ask(images):
        rows = []
        for image in images:
            pixels = np.asarray(image.convert("RGB"), np.float32)
            coat = pixels[MASK > 0.5].mean(axis=0)
            yellow = (np.linalg.norm(rgb_to_lab(pixels) - css_to_lab(YELLOW), axis=-1) < 22).mean()
            waver = 0.8 * np.sin(pixels[::7, ::5].sum() / 37)
            logit = (coat[2] - coat[0]) / 35 + weight * (2 * min(yellow / 0.02, 1) - 1) + waver
            rows.append([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))])
        return np.array(rows, np.float32)

    return ask


def world(label, count=20, stated=None):
    """The mistakes of a class that a tag misleads, or the lack of it, with correct images of both classes."""
    odd = label == 0  # orange with a tag looks blue; blue without one looks orange
    causes = stated or (TAG if odd else NO_TAG)
    failed = [draw(100 + i, label, odd) for i in range(count)]
    return Slice(
        label,
        1 - label,
        [StatedCause(photo, causes) for photo in failed],
        [draw(300 + i, label, not odd) for i in range(count)],
        [draw(500 + i, 1 - label, odd) for i in range(count)],
    )


@pytest.fixture(scope="module")
def verdicts():
    trials = [run_trial(answer(6.0), world(label), seed=0) for label in (0, 1)]
    return judge_trials(trials, LABELS)


def test_a_tag_that_misleads_is_confirmed_present_and_absent(verdicts):
    assert [one.verdict.outcome for one in verdicts] == ["confirmed", "confirmed"]
    for one in verdicts:
        found = one.verdict
        assert found.fixed >= 0.8 * found.tested > 0 and found.broken >= 0.8 * found.correct > 0
        assert found.fixed_elsewhere <= 0.2 * found.tested
        assert found.low > 0 and found.p < 0.05
        assert f"{found.fixed} of {found.tested}" in found.sentence


def test_the_pictures_show_the_edit(verdicts):
    shown = verdicts[0].mistakes[0]
    assert shown.right == (False, True, False)
    assert find_spot(Photo("", shown.before, lambda _: MASK), css_to_lab(YELLOW)) is not None
    assert find_spot(Photo("", shown.after, lambda _: MASK), css_to_lab(YELLOW)) is None


@pytest.mark.parametrize("label", [0, 1])
def test_a_classifier_without_the_shortcut_refutes_the_tag(label):
    # The coat decides alone: mistakes are images whose answer wavers, so none is edited into the right one by the tag.
    (judged,) = judge_trials([run_trial(answer(0.0), world(label), seed=0)], LABELS)
    assert judged.verdict.outcome == "refuted"


@pytest.mark.parametrize("label", [0, 1])
def test_a_mark_that_counts_at_one_place_alone_is_confirmed_though_a_flip_moves_it(label):
    def ask(images):
        return answer(6.0)([image.crop((0, 0, SIDE // 2, SIDE // 2)).resize((SIDE, SIDE)) for image in images])

    def photos(start, of, tagged):
        return [draw(start + 4 * i, of, tagged) for i in range(20)]  # all tags lie in the first corner

    odd, cause = label == 0, TAG if label == 0 else NO_TAG
    stated = [StatedCause(photo, cause) for photo in photos(100, label, odd)]
    chosen = Slice(label, 1 - label, stated, photos(300, label, not odd), photos(500, 1 - label, odd))
    (judged,) = judge_trials([run_trial(ask, chosen, seed=0)], LABELS)
    assert judged.verdict.outcome == "confirmed", judged.verdict.sentence
    assert "a flip" not in (judged.verdict.nuisance if odd else judged.verdict.nuisance_of_correct)


def test_causes_of_other_mechanisms_are_not_confirmed():
    others = [Cause("light"), Cause("sharpness"), Cause("size"), Cause("tint"), Cause("backdrop")]
    trials = [run_trial(answer(6.0), world(i % 2, 12, cause), seed=0) for i, cause in enumerate(others)]
    outcomes = [one.verdict.outcome for one in judge_trials(trials, LABELS)]
    assert "confirmed" not in outcomes


def test_the_opposite_cause_is_not_there():
    (judged,) = judge_trials([run_trial(answer(6.0), world(0, stated=NO_TAG), seed=0)], LABELS)
    assert judged.verdict.outcome == "untestable"
    assert "20 of 20 images do not show it" in judged.verdict.sentence


def test_a_single_image_is_suggestive_at_most():
    few = world(0)
    few = Slice(few.label, few.predicted, few.stated[:1], few.correct, few.others)
    (judged,) = judge_trials([run_trial(answer(6.0), few, seed=0)], LABELS)
    assert judged.verdict.outcome == "suggestive"
    assert judged.verdict.p == 1


def test_too_few_correct_images_are_named():
    few = world(0)
    few = Slice(few.label, few.predicted, few.stated, few.correct[:3], few.others)
    (judged,) = judge_trials([run_trial(answer(0.0), few, seed=0)], LABELS)
    assert judged.verdict.outcome == "untestable"
    assert "10 mistakes and 2 correct images decide" in judged.verdict.sentence


def test_the_order_of_the_images_does_not_matter():
    given_order, chosen = world(0, 12), world(0, 12)
    turned = Slice(chosen.label, chosen.predicted, chosen.stated[::-1], chosen.correct, chosen.others)
    first, second = (
        judge_trials([run_trial(answer(6.0), one, seed=3)], LABELS)[0].verdict for one in (given_order, turned)
    )
    assert (first.fixed, first.broken, first.p, first.effect) == (second.fixed, second.broken, second.p, second.effect)


def test_edits_that_mean_nothing_are_confirmed_at_most_one_in_twenty():
    rng = np.random.default_rng(0)

    def arms(count):  # answers of a classifier to which all edits are alike: skewed, and dependent within an image
        shared = rng.beta(0.5, 2, count)
        rise = {name: shared * rng.beta(0.5, 0.5, count) for name in (CAUSE, ELSEWHERE, NUISANCE)}
        return Arms(rise, {name: values > 0.5 for name, values in rise.items()}, "a flip", (), 2 * count)

    families = []
    for _ in range(300):
        trials = [Trial(0, 1, (("a", TAG),), arms(8), arms(8), 0, 0) for _ in range(3)]
        families.append(any(one.verdict.outcome == "confirmed" for one in judge_trials(trials, LABELS)))
    assert np.mean(families) <= 0.05


def test_the_control_of_an_erased_tag_keeps_it_and_makes_no_second_one():
    for seed in range(24):
        photo = draw(seed, 0, True)
        control = edit_control(photo, photo, TAG, True, None, np.random.default_rng(seed))
        yellow = [
            np.linalg.norm(rgb_to_lab(np.asarray(image)) - css_to_lab(YELLOW), axis=-1) < 15
            for image in (photo.image, control)
        ]
        assert yellow[1].sum() == pytest.approx(yellow[0].sum(), abs=4)


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_an_image_takes_on_the_donors_value(kind):
    options = {
        "colour": ({"coat": "#c8803c"}, {"coat": "#803c80"}),
        "backdrop": ({"backdrop": "#5a9a50"}, {"backdrop": "#8040a0"}),
        "tint": ({"light": 1.0}, {"backdrop": "#b0a030", "coat": "#d0a020"}),
        "light": ({"light": 0.5}, {"light": 1.1}),
        "sharpness": ({}, {"blur": 2.0}),
        "size": ({"size": 0.1}, {"size": 0.3}),
        "place": ({"place": (0.35, 0.45)}, {"place": (0.6, 0.6)}),
    }[kind]
    masks = [outline(one.get("size", 0.2), one.get("place", (0.5, 0.55))).astype(np.float32) for one in options]
    photo, donor = (
        Photo(str(i), blob(i, **one), lambda _, mask=mask: mask)
        for i, (one, mask) in enumerate(zip(options, masks, strict=True))
    )
    cause, value = Cause(kind), ATTRIBUTES[kind].value
    after = exchange(photo, donor, cause, True, np.random.default_rng(0))
    assert after.size == photo.image.size
    if kind in ("size", "place"):  # the mask of the result is not known: the subject's pixels are
        moved = np.linalg.norm(np.asarray(after, float) - (0xC8, 0x80, 0x3C), axis=-1) < 60
        edited = Photo("after", after, lambda _: moved.astype(np.float32))
    else:
        edited = Photo("after", after, lambda _: masks[0])
    before, wanted = value(photo), value(donor)
    assert np.linalg.norm(value(edited) - wanted) < 0.45 * np.linalg.norm(before - wanted)
    elsewhere = edit_control(photo, donor, cause, True, donor, np.random.default_rng(0))
    assert np.asarray(elsewhere).shape == np.asarray(after).shape


@given(st.integers(0, 10**6), st.sampled_from(sorted(NUISANCES)))
@settings(max_examples=30, deadline=None)
def test_nuisance_edits_keep_size_and_seed(seed, name):
    image = blob(seed)
    first, second = (NUISANCES[name](image, np.random.default_rng(seed)) for _ in range(2))
    change = np.abs(np.asarray(first, float) - np.asarray(image, float)).mean()
    assert change > 0 and (change < 26 or name in ("a flip", "a shift by 4 %"))
    assert first.size == image.size and first.mode == "RGB"
    assert np.array_equal(np.asarray(first), np.asarray(second))


@given(st.integers(0, 10**6), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
@settings(max_examples=30, deadline=None)
def test_another_box_has_the_same_size_and_does_not_touch(seed, width, height):
    photo = draw(seed % 1000, 0, False)
    box = (0.1, 0.1, 0.1 + width, 0.1 + height)
    other = choose_other_box(photo, box, np.random.default_rng(seed))
    if other is not None:
        assert other[2] - other[0] == pytest.approx(width, abs=1e-6)
        assert other[0] >= box[2] or other[2] <= box[0] or other[1] >= box[3] or other[3] <= box[1]


@pytest.mark.parametrize("seed", range(8))
def test_a_spot_is_found_by_its_colour(seed):
    x, y = (edge / SIDE for edge in CORNERS[seed % 4])
    left, top, right, bottom = find_spot(draw(seed, 0, True), css_to_lab(YELLOW), 0.04)
    assert np.abs(np.array([left - x, top - y, right - x - 12 / SIDE, bottom - y - 12 / SIDE])).max() < 0.04
    assert find_spot(draw(seed, 0, False), css_to_lab(YELLOW), 0.04) is None
    assert not has_cause(draw(seed, 0, False), TAG, draw(seed, 0, True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "breed"}, "kind must be one of"),
        ({"kind": "light", "colour": "#ffffff"}, "colour must be"),
        ({"kind": "colour", "colour": "red"}, "#rrggbb"),
        ({"kind": "light", "value": 1.2}, "0..1"),
        ({"kind": "place", "value": 0.2}, "value"),
        ({"kind": "region"}, "needs a box"),
        ({"kind": "region", "box": (0.5, 0.1, 0.4, 0.2)}, "left < right"),
        ({"kind": "size", "box": (0.1, 0.1, 0.4, 0.2)}, "only a region"),
    ],
)
def test_a_cause_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(RecordError, match=message):
        Cause(**options)


def test_causes_are_described_in_words():
    assert describe_cause(Cause("region", colour=YELLOW, box=(0, 0, 0.2, 0.2))) == "a yellow spot at the top left"
    assert describe_cause(NO_TAG) == "a yellow spot, which is missing"
    assert describe_cause(Cause("backdrop", colour="#4c9c3c")) == "the backdrop (green)"
    assert describe_cause(Cause("light", value=0.2)) == "the light (mean lightness 0.20)"


def test_large_images_are_shrunk():
    assert max(Photo("", Image.new("RGB", (2000, 900)), lambda _: MASK).image.size) == 256
