"""`[curation] vlm`: a critic looks at each new image, and rejects what does not show what was wished for."""

import re
from collections import Counter

import pytest
from critic_cases import LABELS
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from PIL import Image
from tiny_llava import save_tiny_llava

from xaiaug import FeedbackLoop, Recipe, Splits
from xaiaug.errors import ConfigError, OfflineError, PluginError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics._answer_text import UnusableError
from xaiaug.plugins.critics._image_question import parse_check
from xaiaug.plugins.critics.local_vlm import LocalVLMCritic
from xaiaug.records import Failure, ImageToCheck
from xaiaug.results.maintenance import verify
from xaiaug.testing import Error, Loopback, Reply


class PromptPainter(Painter):
    """Reads the prompt too."""

    uses = frozenset({"prompt", "guidance"})


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    pytest.importorskip("anthropic")
    counts = {"train": 10, "guide": 36, "validation": 4, "test": 8}
    return Splits.from_folder(paint_folder(tmp_path_factory.mktemp("painted"), counts))


def loop(vlm="claude", *, synthesizer=None, budget_usd=1.0, arms=("generated+training",), allow=True, **curation):
    return FeedbackLoop(
        NearestColour(),
        Ramp(),
        ColourCritic(),
        synthesizer or PromptPainter(),
        arms=list(arms),
        recipe=Recipe(steps=4, batch_size=8),
        images_per_mistake=1,
        budget_usd=budget_usd,
        settings={
            "privacy": {"allow_upload": allow},
            "mistakes": {"max": 6, "faithfulness": 0},
            "curation": {"vlm": vlm, "judge": "hog", "checks": ["broken"], "remakes": 1, **curation},
        },
    )


def yes(_):
    return Reply(json={"reason": "It fits.", "shown": True})


def test_the_answer_is_the_last_object_that_says_yes_or_no():
    made = parse_check('{"shown": false} or rather {"answer": {"reason": "a dog", "shown": true}}')
    assert made.shown is True and made.reason == "a dog"
    for text in ("yes", '{"shown": "yes"}', '{"shown": 1}', '{"reason": "fits"}', '{"shown": null}'):
        with pytest.raises(UnusableError):
            parse_check(text)


def test_each_kept_image_is_asked_about_once_with_its_wish_and_its_class(splits, tmp_path, at):
    with Loopback(yes) as server:
        at(server)
        result = loop().run(splits, tmp_path / "run", until="images")
        asked = server.requests
        loop().run(splits, tmp_path / "run", until="images")
        assert len(server.requests) == len(asked), "a second run pays nothing"
    images = [image for case in result.report.cases for image in case.images]
    assert len(asked) == len(images) == result.report.images.kept > 3
    told = [re.search(r"class “(\w+)”.*wish: “(.*?)”\. Does", request.text, re.S).groups() for request in asked]
    wishes = Counter((case.label, image.prompt) for case in result.report.cases for image in case.images)
    assert Counter(told) == wishes and all(len(request.pictures) == 1 for request in asked)
    assert result.report.run.costs.calls == len(asked)
    assert verify(tmp_path / "run") == []


def test_what_is_not_shown_is_rejected_with_the_reason_and_made_again(splits, tmp_path, at):
    def script(request):
        if request.number % 2:
            return Reply(json={"reason": "It shows a wall.", "shown": False})
        return yes(request)

    with Loopback(script) as server:
        at(server)
        report = loop().run(splits, tmp_path / "run", until="images").report
    rejected = [image for case in report.cases for image in case.images if not image.kept]
    assert report.images.rejected == {"vlm": len(rejected)} and rejected
    assert {(image.check, image.reason) for image in rejected} == {("vlm", "It shows a wall.")}
    assert report.images.kept >= len(report.cases) - len(rejected) + 1, "others were made in their place"


def test_refusals_and_failed_calls_reject_nothing_and_are_told_and_the_latter_are_asked_again(splits, tmp_path, at):
    broken = {2: Reply.refusal("I would rather not."), 3: Error(400, "not this picture")}
    with Loopback(lambda request: broken.get(request.number) or yes(request)) as server:
        at(server)
        first = loop().run(splits, tmp_path / "run", until="images")
        asked = len(server.requests)
        second = loop().run(splits, tmp_path / "run", until="images").report
        assert len(server.requests) == asked + 1
    report = first.report
    assert (report.images.unchecked, report.images.rejected) == (2, {})
    reasons = [image.reason for case in report.cases for image in case.images if image.reason]
    assert sorted(reason.split(":")[1].strip() for reason in reasons) == ["call failed", "refusal"]
    assert any("2 of" in note.text and "they are kept" in note.text for note in report.notes)
    assert second.images.unchecked == 1


@pytest.mark.ci
def test_a_service_that_declines_every_image_ends_no_run(splits, tmp_path, at):
    with Loopback(lambda _: Reply.refusal("No.")) as server:
        at(server)
        report = loop().run(splits, tmp_path / "run", until="images").report
    assert report.images.unchecked == report.images.kept == report.images.made


@pytest.mark.ci
def test_uncurated_sources_are_not_asked_about(splits, tmp_path, at):
    with Loopback(yes) as server:
        at(server)
        report = loop(arms=("unfiltered",)).run(splits, tmp_path / "run", until="images").report
        assert not server.requests
    assert report.images.kept


def test_the_plan_counts_the_questions_and_names_the_receiver(splits):
    without, plan = loop(None, budget_usd=None).plan(splits, until="images"), loop().plan(splits, until="images")
    assert without.total.calls == (0, 0)
    assert plan.total.calls[0] == pytest.approx(plan.total.images[0], abs=1)
    assert plan.total.usd[1] > 0
    (receiver,) = plan.receivers
    assert (receiver.kind, receiver.name) == ("critic of new images", "claude")
    assert receiver.what.startswith("new images, their prompts") and receiver.upload_bytes[1] > 0


def test_a_critic_that_cannot_look_is_refused_before_any_work():
    with pytest.raises(ConfigError, match="vlm: the critic measured does not look at new images"):
        loop("measured")
    with pytest.raises(ConfigError, match="reads none"):
        loop(synthesizer=Painter())
    with pytest.raises(OfflineError, match="critic of new images claude sends images"):
        loop(allow=False)
    with pytest.raises(PluginError, match="ColourCritic does not check 0 images"):
        ColourCritic().check_images([])


def test_its_calls_need_a_budget_and_a_key_before_the_first_hour(splits, tmp_path, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="critic of new images claude costs money"):
        loop(budget_usd=None).run(splits, tmp_path / "run")
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        loop().run(splits, tmp_path / "run", until="images")


@pytest.mark.ci
def test_a_model_on_this_machine_is_asked_too(tmp_path):
    critic = LocalVLMCritic(str(save_tiny_llava(tmp_path)), max_tokens=100, batch_size=2)
    critic.prepare(Context(labels=LABELS))
    images = [ImageToCheck(str(i), Image.new("RGB", (64, 64), (i, 0, 0)), "cat", "a cat on grass") for i in range(3)]
    made = critic.check_images(images)
    assert [type(one) for one in made] == [Failure] * 3  # it babbles
