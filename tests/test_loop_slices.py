"""A run finds slices among its mistakes, keeps them, and shows them."""

import shutil
from collections import Counter

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Critique, FeedbackLoop, Sample, Splits, open_run, petworld
from xaiaug.errors import ConfigError, PluginError
from xaiaug.records import ImageSource
from xaiaug.slices import is_for_finding
from xaiaug.stages import ImagePlan, Mistake
from xaiaug.stages.image_requests import plan_requests


class Embedding(NearestColour):
    """Its embedding is what it predicts."""

    def embed(self, images):
        return self.predict_proba(images)


class OneNumber(Embedding):
    """Its embedding has one axis too few."""

    def embed(self, images):
        return super().embed(images)[:, 0]


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    petworld.write_world(folder, sizes={"train": 60, "guide": 160, "validation": 4, "test": 8}, seed=3)
    return Splits.from_folder(folder)


def run(splits, folder, *, slices=True, classifier=None, most="all", until="explain", arms=("baseline",), test=False):
    loop = FeedbackLoop(
        classifier or Embedding(),
        Ramp(),
        ColourCritic(),
        Painter(),
        arms=list(arms),
        images_per_mistake=1,
        settings={"critic": {"test_causes": test}, "mistakes": {"slices": slices, "faithfulness": 0, "max": most}},
    )
    return loop.run(splits, folder, until=until)


@pytest.fixture(scope="module")
def result(splits, tmp_path_factory):
    return run(splits, tmp_path_factory.mktemp("run"))


def test_slices_are_in_the_result_and_on_the_page(result):
    report, page = result.report, result.write_report().read_text("utf-8")
    assert result.slices == report.slices.slices and len(result.slices) > 0
    assert report.slices.mistakes == report.mistakes.found
    for one in result.slices:
        assert one.name in page and one.accuracy < one.rest
        assert set(one.cases) <= {case.id for case in report.cases}
        assert not any(is_for_finding(image_id) for image_id in one.ranked)
        assert set(one.contrast) <= {image.id for image in report.slices.contrast}
    assert 'href="#slices"' in page and "Correct images outside it" in page
    assert open_run(result.run_dir).slices == result.slices


def test_what_the_name_of_a_slice_states_is_tested_on_the_half_it_was_not_found_on(splits, result, tmp_path):
    folder = shutil.copytree(result.run_dir, tmp_path / "run")
    result = run(splits, folder, until="critique", test=True)
    tested = [one for one in result.slices if one.verdict is not None]
    assert tested and all(one.cause is not None for one in tested)
    page = result.write_report().read_text("utf-8")
    for one in tested:
        assert set(one.verdict.cases) == {case for case in one.cases if not is_for_finding(case)}
        assert one.verdict.cause.kind == one.cause.kind and one.verdict.sentence.split(":")[0] in page
    assert open_run(result.run_dir).slices == result.slices


@given(
    groups=st.lists(st.tuples(st.integers(0, 1), st.integers(-1, 2)), min_size=1, max_size=20),
    per_mistake=st.integers(1, 3),
)
def test_each_slice_of_a_class_makes_as_many_images_and_no_case_more_than_four_times_its_share(groups, per_mistake):
    cases = [
        (
            Mistake(Sample(id=f"{i}", label=label, opener=Image.Image), 1 - label, (0.5, 0.5)),
            {},
            Critique("", "a", guidance={}),
        )
        for i, (label, _) in enumerate(groups)
    ]
    slice_of = {f"{i}": number for i, (_, number) in enumerate(groups) if number >= 0}
    plan = ImagePlan(ImageSource(budget="slices"), Painter(), per_mistake, None, None, 0, slice_of=slice_of)
    requests = plan_requests(plan, cases, seed=0)
    wave = requests.first_wave(requests.count_wanted())
    of_label = Counter(label for label, _ in groups)
    of_group, of_case = Counter(groups), Counter(request.mistake.sample.id for request in wave)
    made = Counter(groups[int(request.mistake.sample.id)] for request in wave)
    assert Counter(request.mistake.sample.label for request in wave) == Counter(
        {label: n * per_mistake for label, n in of_label.items()}
    ), "as many of each class as without slices"
    most = 4 * per_mistake
    assert max(of_case.values()) <= most
    for label in of_label if slice_of else ():
        free = [made[group] for group, size in of_group.items() if group[0] == label and made[group] < most * size]
        full = [most * size for group, size in of_group.items() if group[0] == label and made[group] == most * size]
        assert not free or (max(free) - min(free) <= 1 and max(full, default=0) <= min(free) + 1)


def test_where_no_slice_holds_an_arm_with_a_budget_by_slices_is_left_out(splits, tmp_path):
    arms = ("generated+training", "slice-budget")
    result = run(splits, tmp_path / "run", until="report", arms=arms, most=12)
    assert {arm.name: arm.reason.split(",")[0] for arm in result.report.left_out} == {
        "slice-budget": "no slice of mistakes holds"
    }
    (trained,) = (arm for arm in result.report.arms if arm.name == "generated+training")
    assert sum(trained.synthetic.values()) > 0


def test_a_budget_by_slices_needs_slices(splits, tmp_path):
    with pytest.raises(ConfigError, match=r"slice-budget.*\[mistakes\] slices = true"):
        run(splits, tmp_path / "run", slices=False, until="images", arms=["slice-budget"])


def test_a_finished_search_is_not_done_again(splits, result, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("searched again")

    monkeypatch.setattr("xaiaug.stages.slices.search_slices", refuse)
    assert run(splits, result.run_dir).slices == result.slices


def test_few_mistakes_are_reported_as_such(splits, tmp_path):
    result = run(splits, tmp_path, most=12)
    page = result.write_report().read_text("utf-8")
    assert result.slices == () and "No slices: 12 mistakes, and slices need at least 20." in page


def test_without_the_setting_nothing_is_looked_for(splits, result, monkeypatch):
    again = run(splits, result.run_dir, slices=False)
    assert again.report.slices is None and again.slices == ()
    assert 'href="#slices"' not in again.write_report().read_text("utf-8")


def test_an_embedding_of_another_shape_is_refused(splits, tmp_path):
    with pytest.raises(PluginError, match=r"OneNumber.embed must return finite features, n d"):
        run(splits, tmp_path, classifier=OneNumber())
