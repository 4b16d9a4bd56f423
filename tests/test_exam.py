"""The exam tells apart critics that read the map, that do not, and that say the same of everything."""

import html
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from xaiaug import Cause, Critic, Critique, Splits, examine
from xaiaug.errors import ConfigError, DataError, OfflineError
from xaiaug.exam import PLANTED, choose_maps, create_photo_set, create_planted_set, mark_critique
from xaiaug.exam.planted_sets import LABELS, Rule
from xaiaug.imaging.image_stats import digest_image
from xaiaug.loop.critic_exam import CriticExam

RULES = list(PLANTED.values())
TAGS = [rule for rule in RULES if rule.kind == "tag"]


def state(kind, rule=None, present=True, box=None):
    colour = rule.colour if rule is not None and rule.colour else None
    return Critique("stated as a record", "a photo", testable=Cause(kind, present, colour, box=box))


def say_of(image, place):
    """What the planted cause is, by the pixels; the place of a tag is that given, or its own."""
    for rule in TAGS:
        if rule.finds(image):
            return state("region", rule, box=place)
    return None


class ReadsMap(Critic):
    """Looks where the map is hottest: a spot off the middle that has a tag's colour is the cause."""

    def critique(self, cases):
        return [self._one(case) for case in cases]

    def _one(self, case):
        if case.explanation is None:
            return Critique("I cannot tell.", "a photo")
        grid = case.explanation.grid
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        x, y = (column + 0.5) / grid.shape[1], (row + 0.5) / grid.shape[0]
        if (grid > grid.max() / 2).mean() > 0.25:
            return state("backdrop")
        if abs(x - 0.5) < 0.2:
            return state("region", TAGS[0], present=False)
        box = (max(0, x - 0.1), max(0, y - 0.1), min(1, x + 0.1), min(1, y + 0.1))
        return say_of(case.image, box) or state("region", TAGS[0], box=box)


class MapBlind(Critic):
    """Knows the planted causes by their pixels, and never looks at the map."""

    def critique(self, cases):
        return [self._one(case.image) for case in cases]

    def _one(self, image):
        from xaiaug.imaging.image_stats import rgb_to_lab, to_pixels

        for rule in TAGS:
            if box := rule.locate(rgb_to_lab(to_pixels(image))):
                return state("region", rule, box=box)
        return state("backdrop")


class OneAnswer(Critic):
    asked = 0

    def critique(self, cases):
        type(self).asked += 1
        return [Critique("The grass in the background.", "a photo") for _ in cases]


@pytest.mark.ci
def test_a_critic_that_reads_the_map_does_worse_with_another_images_map(tmp_path):
    exam = examine(ReadsMap(), tmp_path, cases=18)
    by_map = {row.maps: row for row in exam.conditions}
    assert by_map["true"].place.hits >= 5 and by_map["shuffled"].place.hits <= 3
    assert by_map["none"].right.hits == 0
    assert exam.map_effect > 0.2 and exam.map_p < 0.05 and "it reads the map" in exam.sentence
    assert json.loads((tmp_path / "exam.json").read_text()) == json.loads(exam.dump())
    page = (tmp_path / "exam.html").read_text()
    assert exam.sentence in html.unescape(page)
    assert page.count("<article") == 18 and page.count("data:image/") == 18 and "<script" not in page


@pytest.mark.ci
def test_a_critic_that_knows_the_causes_without_the_map_is_told_from_one_that_reads_it(tmp_path):
    exam = examine(MapBlind(), tmp_path, cases=18)
    assert exam.map_effect == 0 and "nothing shows that it reads the map" in exam.sentence
    assert len({row.right.hits for row in exam.conditions}) == 1 and exam.conditions[0].right.hits > 6


@pytest.mark.ci
def test_one_answer_is_right_of_one_planted_cause_alone_and_is_not_asked_for_again(tmp_path):
    exam = examine(OneAnswer(), tmp_path, cases=18)
    assert {row.planted: row.right.hits for row in exam.planted_sets} == {
        "magenta tag": 0,
        "blue tag": 0,
        "backdrop": 6,
    }
    asked = OneAnswer.asked
    again = examine(OneAnswer(), tmp_path, cases=18)
    assert OneAnswer.asked == asked > 0
    assert again.model_copy(update={"seconds": 0}) == exam.model_copy(update={"seconds": 0})


@pytest.mark.parametrize("name", PLANTED)
def test_mistakes_of_a_paper_break_its_rule_and_all_others_follow_it(name):
    planted = create_planted_set(name, 6, seed=3)
    for sample in planted.samples:
        predicted = int(planted.rule([sample.open()]).argmax())
        assert (predicted != sample.label) == (sample.id in planted.truth)
    assert len(planted.truth) == 6 and len(planted.samples) == 30
    assert create_planted_set(name, 6, seed=3).truth == planted.truth != create_planted_set(name, 6, seed=4).truth
    per_class = [
        sum(sample.label == label for sample in planted.samples if sample.id in planted.truth) for label in (0, 1)
    ]
    assert per_class == [3, 3]


def test_no_image_keeps_its_own_map_where_maps_are_shuffled_and_none_has_one_without():
    planted = create_planted_set("blue tag", 4)
    true, shuffled = choose_maps(planted, "true").maps, choose_maps(planted, "shuffled").maps
    assert true.keys() == shuffled.keys() == {digest_image(sample.open()) for sample in planted.samples}
    assert not any(np.array_equal(true[name], shuffled[name]) for name in true)
    assert {values.tobytes() for values in true.values()} == {values.tobytes() for values in shuffled.values()}
    assert choose_maps(planted, "none").maps == {}


BOX = (0.03, 0.03, 0.22, 0.22)
TAG = Cause("region", colour="#c43ca0", box=BOX)


@pytest.mark.parametrize(
    ("words", "cause", "place"),
    [
        ("A magenta tag in the top left corner.", True, True),
        ("A magenta tag in the bottom right corner.", True, False),
        ("There is a spot at the upper left.", True, True),
        ("A green sticker at the top left.", False, True),
        ("A magenta mark somewhere.", True, False),
        ("The image lacks the magenta tag of other dogs.", False, False),
        ("The background is grass.", False, False),
    ],
)
def test_words_are_marked_for_cause_and_place(words, cause, place):
    mark = mark_critique(Critique(words, "a dog"), TAG)
    assert (mark.cause, mark.place, mark.right) == (cause, place, cause and place)


def test_a_missing_tag_has_no_place_and_no_critique_is_wrong():
    missing = Cause("region", present=False, colour="#c43ca0")
    assert mark_critique(Critique("It lacks the magenta tag that other dogs have.", "a dog"), missing).right
    assert not mark_critique(None, missing).right and mark_critique(None, TAG).place is False


def test_a_place_that_is_half_of_the_image_says_nothing():
    half = Critique("A spot.", "a dog", testable=Cause("region", colour="#c43ca0", box=(0, 0, 1, 0.5)))
    assert mark_critique(half, TAG).place is False


def test_too_few_cases_and_parameters_of_an_object_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 6 cases"):
        examine("measured", tmp_path, cases=5)
    with pytest.raises(ConfigError, match="parameters of its own"):
        examine(OneAnswer(), tmp_path, parameters={"level": 0.1})


def test_a_paid_critic_without_permission_is_refused_before_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-" + "x" * 20)
    with pytest.raises((OfflineError, ConfigError)):
        examine("claude", tmp_path / "exam", cases=6, budget_usd=1.0)
    assert not (tmp_path / "exam" / "exam.json").exists()


def test_labels_are_those_of_the_drawn_world_and_a_rule_is_sure():
    probabilities = Rule("tag", "#c43ca0")([create_planted_set("magenta tag", 2).samples[0].open()])
    assert LABELS == ("cat", "dog") and probabilities.shape == (1, 2) and probabilities.sum() == pytest.approx(1)


# On photographs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes; each image a dark disc on a ground that no tag has the colour of, and its mask."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, count in (("cup", 45), ("jar", 45), ("pot", 5)):
        (root / "images" / name).mkdir(parents=True)
        for number in range(count):
            ground = Image.new("RGB", (96, 72), tuple(int(one) for one in rng.integers(90, 130, 3)))
            ImageDraw.Draw(ground).ellipse((30, 18, 66, 58), fill=(30, 30, int(rng.integers(25, 60))))
            ground.putpixel((number, 1), (number, 7, len(name)))
            ground.save(root / "images" / name / f"{number}.png")
    splits = Splits.from_folder(root / "images", guide=0.0, validation=0.0, test=0.0)
    (root / "masks").mkdir()
    mask = Image.new("L", (96, 72))
    ImageDraw.Draw(mask).ellipse((30, 18, 66, 58), fill=255)
    for sample in splits.train:
        mask.save(root / "masks" / f"{sample.id}.png")
    return root


@pytest.mark.parametrize("name", ["magenta tag", "backdrop"])
def test_photographs_with_a_planted_cause_break_its_rule_where_they_are_mistakes_and_none_is_there_twice(photos, name):
    splits = Splits.from_folder(photos / "images", guide=0.0, validation=0.0, test=0.0)
    of_class = {label: [one for one in splits.train if one.label == i] for i, label in enumerate(splits.labels[:2])}

    def find(key, image):
        with Image.open(photos / "masks" / f"{key}.png") as mask:
            return np.asarray(mask.resize(image.size), np.float32) / 255

    planted = create_photo_set(name, of_class, 6, find_subject=find)
    assert planted.labels == ("cup", "jar") and len(planted.samples) == 5 * 6
    assert len({sample.id for sample in planted.samples}) == 30
    predicted = planted.rule([sample.open() for sample in planted.samples]).argmax(axis=1)
    wrong = {sample.id for sample, guess in zip(planted.samples, predicted, strict=True) if sample.label != guess}
    assert wrong == planted.truth.keys() and len(wrong) == 6
    assert {sample.label for sample in planted.samples if sample.id in wrong} == {0, 1}
    again = create_photo_set(name, of_class, 6, find_subject=find)
    assert [sample.id for sample in again.samples] == [sample.id for sample in planted.samples]
    if name == "backdrop":  # the subject is the photograph's own
        assert all(max(sample.open().getpixel((48, 38))[:2]) < 60 for sample in planted.samples)


@pytest.mark.ci
def test_an_exam_on_photographs_plants_tags_and_backdrops_where_subjects_are_known(photos, tmp_path):
    tags = examine(MapBlind(), tmp_path / "tags", data=photos / "images", cases=8)
    assert {row.planted for row in tags.planted_sets} == {"magenta tag", "blue tag"}
    assert {(case.label, case.predicted) for case in tags.cases} == {("cup", "jar"), ("jar", "cup")}
    both = examine(MapBlind(), tmp_path / "both", data=photos / "images", masks=photos / "masks", cases=12)
    marks = {row.planted: row.right for row in both.planted_sets}
    assert marks.keys() == {"magenta tag", "blue tag", "backdrop"}
    assert marks["backdrop"].hits >= 3 and marks["backdrop"].of == 4
    assert all(case.picture for case in both.cases)


def test_what_cannot_be_planted_is_refused(photos, tmp_path):
    with pytest.raises(DataError, match="75 photographs of 'cup' are needed for the cause magenta tag"):
        CriticExam(OneAnswer(), tmp_path, data=photos / "images", cases=60)
    with pytest.raises(ConfigError, match="masks and a segmenter need your own photographs"):
        CriticExam(OneAnswer(), tmp_path, masks=photos / "masks")
