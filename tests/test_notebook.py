"""Results and records show themselves in a notebook, and as pictures, plots and arrays in Python."""

from __future__ import annotations

import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import report_example
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Explanation, FeedbackLoop, Recipe, Splits, compare_predictions
from xaiaug.errors import ConfigError, DataError, RunFolderError
from xaiaug.records import Cause, CauseVerdict, Critique, MistakeSlice, Slices
from xaiaug.report import schema_causes
from xaiaug.report.schema_slices import SliceRow
from xaiaug.results.arm_plot import plot_arms

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)> https://evil.example"

ROOT = Path(__file__).resolve().parents[1]


class Page(HTMLParser):
    """The tags and attributes of a piece of HTML, and whether all of it is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def read(record: object) -> Page:
    """A record as a notebook shows it; what holds for all is asserted."""
    html = record._repr_html_()  # type: ignore[attr-defined]
    page = Page(html)
    assert not page.open
    assert {*page.tags} <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p", "img"}
    assert {name for name, _ in page.attributes} <= {"style", "scope", "alt", "src"}
    assert all((value or "").startswith("data:image/") for name, value in page.attributes if name == "src")
    assert len(html) < 40_000
    return page


def explanation(height: int = 30, width: int = 40) -> Explanation:
    heatmap = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    return Explanation(heatmap, HOSTILE, 1, class_specific=True)


def records(text: str) -> list[object]:
    cause = Cause("light", value=0.2)
    verdict = CauseVerdict(cause, text, text, "confirmed", text, tested=9, fixed=8, correct=7, broken=6, p=0.01)
    one = MistakeSlice(
        text, "light", text, None, 20, 9, 0.55, 0.3, 0.7, 0.9, 0.01, (), (), cause=cause, verdict=verdict
    )
    return [
        Critique(text, text, difficulty=text, evidence=(text,), label_suspect=True, guidance={"place": text}),
        one,
        Slices((one,), images=40, mistakes=12),
        Slices(reason=text),
        verdict,
        SliceRow.model_validate(asdict(one)),
        schema_causes.TestedCauseRow.model_validate(asdict(verdict)),
    ]


def report_rows() -> list[object]:
    report = report_example.report()
    return [report, report.cases[0], report.cases[0].critique]


@pytest.mark.parametrize(
    "record", [explanation(), *records(HOSTILE), *report_rows()], ids=lambda one: type(one).__name__
)
def test_a_record_is_escaped_html_that_stands_alone(record):
    assert read(record).words.strip()


@given(st.text())
@settings(max_examples=40)
def test_no_text_leaves_its_place(text):
    for record in records(text):
        read(record)


def test_an_explanation_shows_its_map_and_says_where_there_is_none():
    assert "0 to 1" in read(explanation()).words
    assert "no signal" in read(Explanation(np.zeros((8, 8), np.float32), "uniform", 0, False)).words


def test_what_is_no_image_or_no_splits_is_refused_in_words(result, tmp_path):
    with pytest.raises(DataError, match="image must be a PIL image, got str"):
        result.explanation(result.mistakes[0]).overlay("cat.jpg")
    with pytest.raises(DataError, match=r"splits must be Splits, got str: give Splits.from_folder"):
        FeedbackLoop("hog", curation={"checks": []}).run("photos", tmp_path / "run")


def test_an_overlay_has_the_size_of_its_image_and_the_colours_of_the_page():
    image = Image.new("RGB", (80, 60), "grey")
    drawn = explanation().overlay(image)
    assert drawn.size == (80, 60)
    assert sum(drawn.getpixel((79, 59))[:2]) > sum(drawn.getpixel((0, 0))[:2])  # hot is bright and yellow
    with pytest.raises(DataError, match=r"of 40 x 30 pixels, the image has 60 x 80: give the one that was explained"):
        explanation().overlay(image.rotate(90, expand=True))
    with pytest.raises(DataError, match="scale must be two finite numbers"):
        explanation().overlay(image, scale=(1, 1))


def test_an_explanation_is_saved_as_values_or_as_a_picture(tmp_path):
    one, image = explanation(), Image.new("RGB", (40, 30), "grey")
    assert np.array_equal(np.load(one.save(tmp_path / "map.npy"), allow_pickle=False), one.heatmap)
    with (
        Image.open(one.save(tmp_path / "map.png")) as alone,
        Image.open(one.save(tmp_path / "both.PNG", image)) as both,
    ):
        assert alone.size == both.size == (40, 30)
        assert both.convert("RGB").tobytes() == one.overlay(image).tobytes() != alone.convert("RGB").tobytes()
    for name, given_image, words in (
        ("map.xyz", None, "ends with no known format"),
        ("map.npy", image, "not a picture"),
    ):
        with pytest.raises(DataError, match=words):
            one.save(tmp_path / name, given_image)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    splits = Splits.from_folder(paint_folder(folder / "images", {"train": 4, "guide": 8, "validation": 1, "test": 8}))
    recipe = Recipe(steps=2, batch_size=4)
    plugins = NearestColour(), Ramp(), ColourCritic(), Painter()
    loop = FeedbackLoop(
        *plugins, recipe=recipe, images_per_mistake=1, seeds=(0, 1), arms=["generated+training", "continued"]
    )
    early = loop.run(splits, folder / "<b>run", until="mistakes")
    with pytest.raises(ConfigError, match="no test accuracies"):
        early.plot()
    with pytest.raises(RunFolderError, match="rerun its command to resume, without until"):
        early.predictions("baseline")
    return loop.run(splits, folder / "<b>run")


def test_a_result_shows_conclusion_cautions_and_arms(result):
    page = read(result)
    assert result.conclusion in page.words and "<b>run" in page.words
    assert "Cautions: " in result.conclusion and "few mistakes" in result.conclusion
    assert result.cautions and all(caution in page.words for caution in result.cautions)
    assert {"generated+training", "continued", "test accuracy"} & {*re.findall(r"[\w+]+", page.words)}


def test_image_and_map_of_a_mistake_are_those_of_the_run(result):
    mistake = result.mistakes[0]
    explanation = result.explanation(mistake)
    assert explanation.method == mistake.method
    assert result.image(mistake).size == explanation.heatmap.shape[::-1]
    assert read(explanation).words
    explanation.overlay(result.image(mistake))
    for ask in (result.image, result.explanation):
        with pytest.raises(RunFolderError, match="has not explained the mistake of-none yet"):
            ask(mistake.model_copy(update={"id": "of-none", "image": None}))


def test_predictions_of_an_arm_are_what_the_statistics_take(result):
    before, after = (result.predictions(arm, 1) for arm in ("continued", "generated+training"))
    assert before.ids == after.ids and before.probabilities.shape == (16, 2)
    found = compare_predictions(before.labels, before.probabilities, after.probabilities)
    assert found.estimate is None and len(found.by_seed) == 1
    assert len(result.predictions().ids) == 16  # the baseline has one seed
    with pytest.raises(ConfigError, match=r"no arm 'continue' .* Did you mean 'continued'"):
        result.predictions("continue", 0)
    with pytest.raises(ConfigError, match="continued has the seeds 0, 1: name one"):
        result.predictions("continued")
    with pytest.raises(ConfigError, match="continued has the seeds 0, 1: not 7"):
        result.predictions("continued", 7)


def test_a_plot_has_a_row_an_arm(result):
    mpl.use("agg")
    axes = result.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [arm.name for arm in result.report.arms]
    assert plot_arms(report_example.report(), axes) is axes
    mpl.pyplot.close("all")


def test_the_page_on_notebooks_works(result, monkeypatch, tmp_path):
    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/notebooks.md").read_text("utf-8"), re.S)
    assert code
    names = {"result": result}
    for block in code:
        exec(block, names)  # noqa: S102
    mpl.pyplot.close("all")


@pytest.mark.parametrize("given_images", [["cat.jpg"], "cat.jpg", [Image.new("RGB", (2, 2)), b"cat.jpg"]])
def test_paths_are_refused_in_words_by_every_classifier(given_images):
    with pytest.raises(DataError, match=r"takes a list of PIL images, got the path b?'cat.jpg'.*exif_transpose"):
        NearestColour().predict_proba(given_images)
    with pytest.raises(DataError, match=r"got one image: write \[image\]"):
        NearestColour().predict_proba(Image.new("RGB", (2, 2)))


@pytest.mark.parametrize("pixels", [np.zeros((3, 4, 4, 3), np.uint8), [np.zeros((4, 4, 3), np.uint8)]])
def test_arrays_are_refused_in_words_by_every_classifier(pixels):
    with pytest.raises(DataError, match=r"takes a list of PIL images, got ndarray of shape .*4, 4, 3.*fromarray"):
        NearestColour().predict_proba(pixels)
