"""A run finds slices among its mistakes, keeps them, and shows them."""

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp

from xaiaug import FeedbackLoop, Splits, open_run, petworld
from xaiaug.errors import PluginError
from xaiaug.slices import is_for_finding


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


def run(splits, folder, *, slices=True, classifier=None, most="all"):
    loop = FeedbackLoop(
        classifier or Embedding(),
        Ramp(),
        ColourCritic(),
        Painter(),
        settings={"mistakes": {"slices": slices, "faithfulness": 0, "max": most}},
    )
    return loop.run(splits, folder, until="explain")


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
