"""Correctly classified images of both classes below each mistake: what is drawn is what is sent."""

import base64
import io
import re

import numpy as np
import pytest
from critic_cases import ANSWER, CANARY, case
from fakes import NearestColour, Painter, Ramp, paint_folder
from PIL import Image

from xaiaug import FeedbackLoop, Recipe, Splits, panel
from xaiaug.errors import ConfigError
from xaiaug.plugins.critics.claude import ClaudeCritic
from xaiaug.store.blobs import Blobs
from xaiaug.testing import Loopback, Reply

RED, BLUE = (220, 10, 10), (10, 10, 220)


def plain(colour, size=(40, 40)):
    return Image.new("RGB", size, colour)


def share(image, colour, most=40):
    """Share of the pixels that have about that colour."""
    return float((np.abs(np.asarray(image, float) - colour).sum(axis=2) < most).mean())


@pytest.mark.parametrize("layout", list(panel.LAYOUTS))
def test_references_stand_below_the_panel_and_leave_it_as_it_is(layout):
    one = case()
    draw = {"label": "cat", "predicted": "dog", "layout": layout}
    alone = panel.draw(one.image, one.explanation, **draw)
    references = {"cat": [plain(RED)] * 2, "dog": [plain(BLUE, (80, 20))]}
    both = panel.draw(one.image, one.explanation, references=references, **draw)
    assert both.width == alone.width and both.crop((0, 0, *alone.size)).tobytes() == alone.tobytes()
    below = both.crop((0, alone.height, *both.size))
    assert share(below, RED) > 0.15 and share(below, BLUE) > 0.02
    assert both.height <= 3 * both.width, "services shrink what is taller"


def test_without_references_nothing_is_drawn_and_no_more_than_six_of_a_class_are():
    one = case()
    alone = panel.draw(one.image, None, label="cat", predicted="dog")
    assert panel.draw(one.image, None, label="cat", predicted="dog", references={"cat": []}).size == alone.size
    six, nine = (
        panel.draw(one.image, None, label="cat", predicted="dog", references={"cat": [plain(RED)] * count})
        for count in (6, 9)
    )
    assert six.tobytes() == nine.tobytes()


def test_a_number_out_of_range_is_refused():
    pytest.importorskip("anthropic")
    for number in (-1, 7, 1.5, True):
        with pytest.raises(ConfigError, match="reference_images must be a number from 0 to 6"):
            ClaudeCritic(reference_images=number).check()


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    pytest.importorskip("anthropic")
    counts = {"train": 10, "guide": 36, "validation": 4, "test": 8}
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), counts))


def loop(**asked):
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        "claude",
        Painter(),
        recipe=Recipe(steps=4, batch_size=8),
        budget_usd=1.0,
        settings={"privacy": {"allow_upload": True}, "critic": asked, "mistakes": {"max": 4}},
    )


def told(request):
    (label,) = re.findall(r"The true class is “(\w+)”", request.text)[:1]
    return Reply(json={**ANSWER, "prompt": f"a wall painted {label}"})


def test_what_is_sent_is_the_panel_with_its_references_and_words_that_explain_them(splits, tmp_path, monkeypatch):
    with Loopback(told) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
        result = loop(reference_images=2).run(splits, tmp_path / "run", until="critique")
        first = server.requests
        loop().run(splits, tmp_path / "run", until="critique")
        without = server.requests[len(first) :]
        assert len(without) == len(first), "a critic that saw references is another one"
    sent = [Image.open(io.BytesIO(base64.b64decode(request.pictures[0].base64))) for request in first]
    bare = [Image.open(io.BytesIO(base64.b64decode(request.pictures[0].base64))) for request in without]
    assert all(one.height > other.height + 200 for one, other in zip(sent, bare, strict=True))
    assert all("images that the classifier gets right as “" in request.text for request in first)
    assert not any("Below the line" in request.text for request in without)
    sizes = {one.size for one in sent}
    kept = {Blobs(result.run_dir).image(case.panel).size for case in result.report.cases}
    assert kept == sizes, "the report shows the panel that was sent"


def test_the_plan_counts_the_larger_panels_and_says_that_correct_images_leave(splits):
    plain_plan, with_images = (loop(**asked).plan(splits, until="critique") for asked in ({}, {"reference_images": 3}))
    assert with_images.total.input_tokens[0] > 1.3 * plain_plan.total.input_tokens[0]
    assert "correct images beside them" in with_images.receivers[0].what
    assert "correct images" not in plain_plan.receivers[0].what
