"""The fakes for tests do what their docstrings say, in a loop too; small data pass the data check."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug import Context, Failure, FeedbackLoop, Recipe, Splits, SynthesisRequest
from xaiaug.errors import NotFittedError
from xaiaug.testing import NearestColour, PlainColour, Ramp, ScriptedCritic, small_folder, small_splits
from xaiaug.testing.checks.items import make_cases


@given(st.integers(0, 50), st.integers(16, 48))
@settings(max_examples=8, deadline=None)
def test_small_splits_pass_the_check_and_are_the_same_every_time(seed, side):
    splits = small_splits(seed=seed, side=side)
    assert splits.digest == small_splits(seed=seed, side=side).digest
    assert {len(splits.train), len(splits.guide)} == {24, 32}
    assert splits.train[0].open().size == (side, side)
    assert pickle.loads(pickle.dumps(splits.guide[3])).open().tobytes() == splits.guide[3].open().tobytes()  # noqa: S301


def test_small_splits_are_accepted_by_the_data_check():
    assert small_splits().check().splits.labels == ("cat", "dog")
    assert small_splits({"train": 6, "guide": 6, "test": 4}, ("a", "b", "c")).check()


def test_a_small_folder_holds_the_same_images(tmp_path):
    splits = Splits.from_folder(small_folder(tmp_path / "photos"))
    assert [len(splits[name]) for name in ("train", "guide", "validation", "test")] == [24, 32, 8, 16]
    assert splits.train[0].open().tobytes() in {sample.open().tobytes() for sample in small_splits().train}


def test_a_whole_loop_of_fakes_ends_in_a_report(tmp_path):
    critic = ScriptedCritic({"cat": {"cause": "its coat", "guidance": {"backdrop_colour": "#336699"}}})
    loop = FeedbackLoop(NearestColour(), Ramp(), critic, PlainColour(side=16), recipe=Recipe(steps=4, batch_size=8))
    result = loop.run(small_splits(), tmp_path)
    assert result.report.complete and result.report.images.kept
    assert {case.critique.cause for case in result.mistakes if case.label == "cat"} <= {"its coat"}
    assert len(critic.seen) == len(result.mistakes) > 0


def test_the_scripted_critic_says_what_stands_in_the_script_and_remembers_what_it_saw():
    critic = ScriptedCritic({"cat": {"prompt": "a black cat", "evidence": ["one"]}, "dog": {"failure": "no dogs"}})
    shown = make_cases()
    first, second, *_ = critic.critique(shown)
    assert (first.prompt, first.cause, first.evidence) == ("a black cat", "takes cat for dog", ("one",))
    assert second == Failure("scripted", "no dogs")
    assert critic.seen == shown
    assert ScriptedCritic().critique(shown[:1])[0].prompt == "a photo of a cat"


def test_plain_colours_follow_the_wish_else_the_seed():
    wished = SynthesisRequest("0", 0, "", "cat", 5, {"backdrop_colour": "#c03010"})
    image = PlainColour().synthesize([wished])[0].image
    assert np.allclose(np.asarray(image, float).mean((0, 1)), (0xC0, 0x30, 0x10), atol=2)
    free = [SynthesisRequest("0", 0, "", "cat", seed) for seed in (1, 1, 2)]
    one, same, other = (made.image.tobytes() for made in PlainColour().synthesize(free))
    assert one == same != other


def test_the_nearest_colour_is_predicted_and_an_untrained_one_says_so():
    splits = small_splits()
    classifier = NearestColour()
    classifier.prepare(Context(labels=splits.labels))
    with pytest.raises(NotFittedError, match="call fit first"):
        classifier.predict_proba([Image.new("RGB", (4, 4))])
    history = classifier.fit(splits.train, splits.validation, recipe=Recipe(steps=9, batch_size=8), seed=0)
    assert 0.5 < history.train_accuracy[0] <= 1 and history.validation_loss[0] > 0
    means = [Image.new("RGB", (4, 4), tuple(int(255 * value) for value in mean)) for mean in classifier.means]
    assert classifier.predict_proba(means).argmax(1).tolist() == [0, 1]
