"""A run tests the causes its critic states, reports them, and makes images of confirmed ones alone."""

import pytest
from fakes import NearestColour, Painter, Ramp

from xaiaug import Critic, Critique, FeedbackLoop, Recipe, Splits, open_run, petworld
from xaiaug.errors import ConfigError, RecordError
from xaiaug.records import ImageSource

CONFIRMED = {"name": "tested", "isolates": "tested causes", "images": {"causes": "confirmed"}}


class Blamer(Critic):
    """States one cause of cats, and another of dogs."""

    def critique(self, cases):
        words = {"cat": "The background misleads it.", "dog": "The picture is blurred."}
        guidance = {"backdrop_colour": "#808080"}
        return [Critique(words[case.label], f"a {case.label}", guidance=guidance) for case in cases]


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    petworld.write_world(folder, sizes={"train": 60, "guide": 260, "validation": 4, "test": 8}, seed=3)
    return Splits.from_folder(folder)


def run(splits, folder, *, arms=("baseline", "continued", "generated+training", CONFIRMED), test=True, until="report"):
    loop = FeedbackLoop(
        NearestColour(),
        Ramp(),
        Blamer(),
        Painter(),
        arms=list(arms),
        recipe=Recipe(steps=2, batch_size=8),
        images_per_mistake=1,
        settings={"critic": {"test_causes": test}, "mistakes": {"max": 48}},
    )
    return loop.run(splits, folder, until=until)


@pytest.fixture(scope="module")
def result(splits, tmp_path_factory):
    return run(splits, tmp_path_factory.mktemp("run"))


@pytest.mark.ci  # tests causes on hundreds of images
def test_verdicts_are_in_the_result_and_on_the_page(result):
    by_label = {one.label: one for one in result.causes}
    assert by_label["cat"].outcome == "confirmed" and by_label["cat"].cause.kind == "backdrop"
    assert by_label["dog"].outcome != "confirmed" and by_label["dog"].cause.kind == "sharpness"
    assert by_label["cat"].mistakes and by_label["cat"].of_correct
    page = result.write_report().read_text("utf-8")
    assert "Causes tested by experiment" in page and by_label["cat"].sentence.split(":")[0] in page
    assert open_run(result.run_dir).causes == result.causes


@pytest.mark.ci  # tests causes on hundreds of images
def test_images_are_made_of_confirmed_causes_alone(result):
    used = [image for case in result.mistakes for image in case.images if "tested" in image.arms]
    cases = {case.id: case.label for case in result.mistakes}
    from_cases = {case.label for case in result.mistakes for image in case.images if "tested" in image.arms}
    assert used and from_cases == {"cat"}
    assert set(cases.values()) == {"cat", "dog"}


@pytest.mark.ci  # tests causes on hundreds of images
def test_a_finished_test_is_not_done_again(splits, result, monkeypatch):
    def refuse(*_):
        raise AssertionError("tested again")

    monkeypatch.setattr("xaiaug.stages.causes.run_trial", refuse)
    assert run(splits, result.run_dir).causes == result.causes


def test_without_the_setting_nothing_is_tested(splits, tmp_path):
    assert run(splits, tmp_path, arms=("baseline",), test=False, until="critique").causes == ()


def test_confirmed_causes_need_a_test(splits, tmp_path):
    with pytest.raises(ConfigError, match="test_causes = true"):
        run(splits, tmp_path, test=False)


def test_causes_are_of_mistakes_alone():
    with pytest.raises(RecordError, match="mistakes alone"):
        ImageSource(cases="correct", causes="confirmed")
