"""The sceptic's controls: other maps, other words, other cases, in a whole loop of fakes."""

import json

import numpy as np
import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, mean_colour, paint_folder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Arm, Critique, Explanation, FeedbackLoop, ImageSource, Recipe, Sample, Splits
from xaiaug.arms import LIMITS
from xaiaug.errors import ConfigError
from xaiaug.results.maintenance import verify
from xaiaug.stages.control_maps import derange, resize_heatmap
from xaiaug.stages.control_prompts import apply_source_prompts, class_name_critique
from xaiaug.stages.mistakes import Mistake


def mistake(number, predicted):
    sample = Sample(id=f"{number:04d}", label=0, opener=lambda: Image.new("RGB", (4, 4)))
    return Mistake(sample, predicted, (0.5, 0.5))


@given(st.lists(st.integers(1, 4), min_size=2, max_size=30), st.integers(0, 9))
def test_no_mistake_keeps_its_own_map_and_each_is_given_within_its_predicted_class(classes, seed):
    mistakes = [mistake(i, predicted) for i, predicted in enumerate(classes)]
    found = derange(mistakes, seed)
    assert all(other != place for place, other in enumerate(found))
    for place, other in enumerate(found):
        if classes.count(classes[place]) > 1:
            assert classes[other] == classes[place]
    alone = [c for c in classes if classes.count(c) == 1]
    if len(alone) != 1:
        assert sorted(found) == list(range(len(classes)))
    assert found == derange(mistakes, seed)


def test_a_single_mistake_keeps_its_map():
    assert derange([mistake(0, 1)], 0) == [0]
    assert derange([], 0) == []


def test_a_map_is_laid_over_an_image_of_another_size_and_stays_blind_where_it_was():
    heatmap = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (6, 1))
    heatmap[:, :2] = np.nan
    found = resize_heatmap(heatmap, (16, 12))
    assert found.shape == (12, 16)
    assert np.isnan(found[:, :3]).all() and not np.isnan(found[:, 5:]).any()
    assert found[0, 15] > found[0, 6]
    assert resize_heatmap(heatmap, (8, 6)) is heatmap


CRITIQUE = Critique(cause="its coat", prompt="a red cat", guidance={"subject_colour": "#ff0000"})


@pytest.mark.parametrize(
    ("source", "prompt", "guided"),
    [
        (ImageSource(), "a red cat", {"subject_colour": "#ff0000"}),
        (ImageSource(guidance="none"), "a red cat", {}),
        (ImageSource(prompt="class-name", guidance="none"), "a photo of a cat", {}),
        (ImageSource(prompt="none", guidance="none"), "a photo of a cat", {}),
    ],
)
def test_the_words_are_the_critics_or_the_class_name(source, prompt, guided):
    made = apply_source_prompts(CRITIQUE, source, "cat", "id", 0)
    assert (made.prompt, dict(made.guidance)) == (prompt, guided)


@given(st.text(min_size=1), st.integers(0, 2**31))
def test_random_guidance_is_a_sentence_too_and_follows_case_and_seed(case_id, seed):
    source = ImageSource(prompt="none", guidance="random")
    made = apply_source_prompts(class_name_critique("cat"), source, "cat", case_id, seed)
    assert made.prompt.startswith("a photo of a ") and " cat on a " in made.prompt
    assert {"subject_colour", "backdrop_colour"} <= set(made.guidance)
    assert made == apply_source_prompts(class_name_critique("cat"), source, "cat", case_id, seed)


class Both(Painter):
    """Reads everything a synthesizer can, and keeps what it was asked."""

    uses = frozenset({"prompt", "guidance", "image"})
    asked: list = []  # noqa: RUF012

    def synthesize(self, requests):
        type(self).asked += requests
        return [self._made(request) for request in requests]

    def _made(self, request):
        guidance = {"backdrop_colour": "#804020", **request.guidance}
        return super()._one(type(request)(**{**vars(request), "guidance": guidance}))


class Seen(ColourCritic):
    """Keeps what it was shown."""

    cases: list = []  # noqa: RUF012

    def critique(self, cases):
        type(self).cases += cases
        return super().critique(cases)


REMEDIES = {"rrr", "dfr", "self", "class-balanced-head", "group-dro", "group-balanced"}  # of classifiers that name them


class ColourRamp(Ramp):
    """A heatmap that is another one for every image."""

    def explain(self, classifier, images, targets):
        made = super().explain(classifier, images, targets)
        return [
            Explanation(e.heatmap * (0.1 + mean_colour(image).mean()), "ramp", e.target, False)
            for e, image in zip(made, images, strict=True)
        ]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = paint_folder(
        tmp_path_factory.mktemp("painted"), {"train": 30, "guide": 30, "validation": 4, "test": 12, "reserve": 20}
    )
    Both.asked.clear()
    Seen.cases.clear()
    loop = FeedbackLoop(
        NearestColour(),
        ColourRamp(),
        Seen(),
        Both(),
        arms="full",
        seeds=(0, 1, 2),
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=2,
    )
    return loop.run(Splits.from_folder(folder), tmp_path_factory.mktemp("runs") / "full")


@pytest.mark.ci  # the full set of arms
def test_the_full_set_runs_and_every_arm_with_new_images_has_as_many(full):
    arms = {arm.name: arm for arm in full.report.arms}
    assert len(arms) == 20  # NearestColour has no embedding to retrieve images by
    counts = {json.dumps(arm.synthetic, sort_keys=True) for arm in arms.values() if arm.synthetic}
    assert len(counts) == 1
    (count,) = map(json.loads, counts)
    assert arms["more-real"].real == arms["continued"].real + sum(min(10 * 2, n) for n in count.values())
    assert arms["oversampled-failures"].real == arms["continued"].real + sum(count.values())
    assert arms["guide-added"].real == arms["continued"].real + 60
    assert verify(full.run_dir) == []


@pytest.mark.ci  # the full set of arms
def test_arms_that_are_compared_show_what_they_add_in_one_share_of_the_passes(full, tmp_path):
    compared = ("generated+training", "oversampled-failures", "more-real")
    assert len({arm.added_share for arm in full.report.arms if arm.name in compared}) == 1
    assert not any(arm.ratio_limit for arm in full.report.arms)  # 12 new images beside 60 real ones

    folder = paint_folder(tmp_path / "few", {"train": 4, "guide": 30, "validation": 4, "test": 12, "reserve": 20})
    many = Arm("many", "", images=ImageSource(), synthetic_ratio=9)
    plugins = NearestColour(), ColourRamp(), ColourCritic(), Both()
    names = ("continued", "generated-only", "guide-added", *compared, many)
    loop = FeedbackLoop(*plugins, arms=names, recipe=Recipe(steps=4, batch_size=8), images_per_mistake=2)
    report = loop.run(Splits.from_folder(folder), tmp_path / "run").report
    limited = {arm.name: arm.added_share for arm in report.arms if arm.ratio_limit is not None}
    limit = LIMITS["for mistakes"]
    assert limited == dict.fromkeys(compared, pytest.approx(limit / (1 + limit)))
    notes = [note.text for note in report.notes]
    assert any(f"{limited['more-real']:.0%} of the passes of generated+training" in note for note in notes)
    assert any("many trains on 9 new images for each real one" in note for note in notes)
    drawn = round(32 * limit / (1 + limit))
    used = {arm.name: arm.used.reserve_images for arm in report.arms}
    assert used["more-real"] == min(drawn, sum(report.images.used.values()))


@pytest.mark.ci  # the full set of arms
def test_the_critic_is_asked_afresh_with_the_same_panel_layout_and_another_map(full):
    ids = {case.id for case in full.mistakes}
    shown = {}
    for case in Seen.cases:
        shown.setdefault(case.id, []).append(case)
    for id_ in ids:
        maps = [c.explanation.heatmap.tobytes() if c.explanation else None for c in shown[id_]]
        assert len(maps) == 4 and maps.count(None) == 1, "real, none, shuffled, random"
        assert len(set(maps)) == 4
        assert {c.explanation.method for c in shown[id_] if c.explanation} == {"ramp"}
    correct = [case for case in Seen.cases if case.id not in ids]
    assert len(correct) == len(ids) and all(case.label == case.predicted for case in correct)


@pytest.mark.ci  # the full set of arms
def test_sources_without_a_critic_pass_none_of_its_words_on(full):
    by_prompt = {request.prompt for request in Both.asked}
    assert any(prompt.startswith("a photo of a blue on") or " on a " in prompt for prompt in by_prompt)
    plain = [request for request in Both.asked if request.prompt in ("a photo of a blue", "a photo of a red")]
    assert plain and all(not request.guidance for request in plain)
    assert {request.source is None for request in plain} == {True, False}


@pytest.mark.ci  # the full set of arms
def test_the_recommendation_comes_first_ranks_remedies_by_cost_and_leaves_controls_out(full):
    found = full.report.recommendation
    names = [row.arm for row in found.remedies]
    assert not {"shuffled-map", "random-map", "no-map", "unguided", "unfiltered", "correct-case-prompts"} & set(names)
    assert {"baseline", "continued", "generated+training", "guide-added", "more-real"} <= set(names)
    arms = {arm.name: arm for arm in full.report.arms}
    costs = [(arms[name].used.labels, sum(arms[name].synthetic.values())) for name in names]
    assert costs == sorted(costs) and names[0] == "baseline"
    assert full.conclusion.startswith(found.sentence)
    assert found.sentence.partition(".")[0] in (full.run_dir / "report.html").read_text()


@pytest.mark.ci  # the full set of arms
def test_three_seeds_have_a_verdict_and_widened_secondary_intervals(full):
    verdict = full.report.verdict
    primary, explanation, *others = verdict.contrasts
    assert (explanation.arm, explanation.against, explanation.primary) == ("generated+training", "shuffled-map", True)
    assert "the new images of shuffled-map are those of generated+training, pixel for pixel" in verdict.explanation
    assert (primary.arm, primary.against, primary.primary) == ("generated+training", "continued", True)
    assert verdict.outcome in ("no difference", "helps", "hurts", "inconclusive")
    assert "3 seeds, for this baseline" in verdict.sentence and "over continued" in verdict.sentence
    assert {row.arm for row in others} >= {"shuffled-map", "unguided", "guide-added", "continued"}
    assert all(row.level >= 0.95 and not row.primary for row in others)
    assert all(len(row.fixed) == 3 for row in verdict.contrasts)
    page = full.report_path.read_text()
    assert "primary, named before training" in page
    assert "significant" not in page and "proved" not in page


def test_an_arm_named_by_itself_that_would_show_nothing_is_refused(tmp_path):
    folder = paint_folder(tmp_path / "painted", {"train": 10, "guide": 20, "validation": 4, "test": 8})
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), Painter(), arms=["more-real"])
    with pytest.raises(ConfigError, match="more-real.*reserve"):
        loop.run(Splits.from_folder(folder), tmp_path / "run")


def test_in_a_named_set_it_is_left_out_with_its_reason(tmp_path):
    folder = paint_folder(tmp_path / "painted", {"train": 10, "guide": 20, "validation": 4, "test": 8})
    loop = FeedbackLoop(NearestColour(), Ramp(), ColourCritic(), Painter(), arms="full", recipe=Recipe(steps=2))
    result = loop.run(Splits.from_folder(folder), tmp_path / "run")
    why = {arm.name: arm.reason for arm in result.report.left_out}
    assert (
        set(why)
        == {"more-real", "class-name-prompts", "image-guided-no-critic", "slice-budget", "retrieved-real"} | REMEDIES
    )
    assert all("does not train by" in why[name] for name in REMEDIES - {"self"}) and "early weights" in why["self"]
    assert "reserve" in why["more-real"] and "prompt" in why["class-name-prompts"]
    assert result.report.verdict is None, "one seed"
