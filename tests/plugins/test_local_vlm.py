"""The critic on this machine: a real tiny Llava answers in batches, and its nonsense becomes failures."""

from __future__ import annotations

import json

import pytest
from critic_cases import ANSWER, LABELS, PROMPT, case
from tiny_llava import save_tiny_llava
from tiny_qwen import save_tiny_qwen

from xaiaug import load
from xaiaug.errors import ConfigError, MissingExtraError
from xaiaug.interfaces import Context
from xaiaug.plugins.critics._conversation import run_conversations
from xaiaug.plugins.critics._model_reply import ModelReply
from xaiaug.plugins.critics._parsing import SCHEMA, schema_example
from xaiaug.plugins.critics.local_vlm import LocalVLMCritic
from xaiaug.records import Critique, Failure


@pytest.fixture(scope="session")
def llava(tmp_path_factory):
    return save_tiny_llava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def critic(llava):
    made = LocalVLMCritic(str(llava), max_tokens=100, batch_size=2)
    made.prepare(Context(labels=LABELS))
    return made


def test_what_a_model_without_sense_says_is_a_failure_a_case(critic):
    made = critic.critique([case(i) for i in range(3)])
    assert [type(item) for item in made] == [Failure] * 3
    assert {item.kind for item in made} <= {"truncated", "bad reply", "empty"}


def test_the_dialogue_of_the_paper_runs_too(llava):
    made = load("critic", "local-vlm", model=str(llava), dialogue="paper", max_tokens=100).critique([case()])
    assert isinstance(made[0], Failure)


def test_an_answer_does_not_depend_on_the_batch(critic):
    questions = [critic._dialogue.first_question(case(i)) for i in range(3)]
    together_, alone = critic._answer(questions), [critic._answer([question])[0] for question in questions]
    assert together_ == alone and len({said.text for said in alone}) > 1


def test_the_model_is_shown_the_picture(critic):
    from dataclasses import replace

    first, other = (critic._dialogue.first_question(case(i)) for i in range(2))
    said = critic._answer([first, replace(first, turns=(replace(first.turns[0], picture=other.turns[0].picture),))])
    assert said[0] != said[1]


def test_an_answer_that_meets_the_limit_is_cut(critic):
    (said,) = critic._answer([critic._dialogue.first_question(case())])
    assert said.stop == "length" and said.text


def test_sense_is_understood(critic, monkeypatch):
    """The tiny model cannot say it, so the words are put into its mouth where its tokens become text."""
    monkeypatch.setattr(
        "xaiaug.plugins.critics.local_vlm._to_reply",
        lambda *given: ModelReply(f"Sure!\n```json\n{json.dumps(ANSWER)}\n```"),
    )
    made = critic.critique([case(i) for i in range(3)])
    assert all(isinstance(item, Critique) and item.prompt == PROMPT for item in made)


def test_the_form_of_the_answer_is_told_in_words():
    form = json.loads(schema_example(SCHEMA))
    assert list(form) == SCHEMA["required"] and list(form["guidance"]) == list(
        SCHEMA["properties"]["guidance"]["required"]
    )
    assert form["attended"].startswith("subject | part") and form["guidance"]["size"].endswith("or null")


def test_talks_of_different_lengths_are_driven_together():
    def talk(count):
        said = ()
        for _ in range(count):
            said = (*said, (yield f"question {count}"))
        return said

    asked = []

    def ask(questions):
        asked.append(list(questions))
        return [f"answer to {question}" for question in questions]

    assert [len(made) for made in run_conversations([talk(2), talk(0), talk(3)], ask)] == [2, 0, 3]
    assert [len(questions) for questions in asked] == [2, 2, 1]
    assert run_conversations([], ask) == []


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "/nowhere/at/all"}, "cannot be loaded"),
        ({"dtype": "float33"}, "dtype must be"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"dialogue": "x"}, "dialogue must be one of"),
    ],
)
def test_wrong_parameters_are_told(parameters, message):
    with pytest.raises(ConfigError, match=message):
        load("critic", "local-vlm", **parameters)


def test_a_model_that_cannot_chat_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no chat template"):
        load("critic", "local-vlm", model=str(save_tiny_llava(tmp_path, template=None)))


def test_it_is_pickled_without_its_model_and_sends_nothing(critic):
    import pickle

    again = pickle.loads(pickle.dumps(critic))  # noqa: S301  our own
    assert again.parameters() == critic.parameters() and again._loaded is None
    assert not critic.remote and critic.estimate(10).upload_bytes == (0, 0)


def test_the_family_of_the_default_model_answers_in_batches_and_needs_no_torchvision(tmp_path):
    """A tiny model of the real class, with files as the hub holds them; the weights alone are random."""
    assert "Qwen3-VL" in LocalVLMCritic().model
    made = load("critic", "local-vlm", model=str(save_tiny_qwen(tmp_path)), max_tokens=100, batch_size=2)
    questions = [made._dialogue.first_question(case(i)) for i in range(2)]
    together_, alone = made._answer(questions), [made._answer([question])[0] for question in questions]
    assert together_ == alone and together_[0] != together_[1]
    assert {type(item) for item in made.critique([case()])} == {Failure}


@pytest.mark.parametrize(
    ("words", "packages"),
    [
        ("\nSmolVLMProcessor requires the Torchvision library but it was not found", "torchvision"),
        ("Package `num2words` is required to run it. Install it with `pip install num2words`.", "num2words"),
        ("packages that were not found: einops, timm. Run `pip install einops timm`", "einops timm"),
        ("No module named 'sentencepiece'", "sentencepiece"),
    ],
)
def test_the_packages_that_a_family_needs_are_named(words, packages, monkeypatch, tmp_path):
    from transformers import AutoConfig, AutoProcessor

    def raises(*_, **__):
        raise ImportError(words)

    monkeypatch.setattr(AutoProcessor, "from_pretrained", raises)
    monkeypatch.setattr(AutoConfig, "from_pretrained", raises)
    with pytest.raises(MissingExtraError, match=f"pip install {packages} "):
        load("critic", "local-vlm", model=str(tmp_path))
