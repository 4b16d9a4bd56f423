"""The synthesizer of the drawn world follows prompts, mostly, and its prior for the rest."""

import pickle
from collections import Counter

import pytest

from xaiaug.errors import ConfigError
from xaiaug.petworld import BACKDROPS, BIAS, COATS, Scene
from xaiaug.plugins.synthesizers.petworld import PetworldSynthesizer
from xaiaug.records import Failure, SynthesisRequest, SyntheticImage


def request(prompt: str, label: str = "cat", seed: int = 0, **more: object) -> SynthesisRequest:
    return SynthesisRequest("case", 0, prompt, label, seed, **more)


def drawn(synthesizer: PetworldSynthesizer, prompt: str, count: int, label: str = "cat") -> list[dict]:
    made = synthesizer.synthesize([request(prompt, label, seed) for seed in range(count)])
    return [image.details for image in made]


def conflicts(details: dict) -> tuple[str, ...]:
    shown = details["drawn"]
    return Scene(shown["animal"], shown["coat"], shown["backdrop"]).conflicts


def test_the_same_request_gives_the_same_image_whatever_the_batch() -> None:
    prompts = ["a ginger cat on green grass", "a cat", "a white cat at night, small"]
    requests = [request(prompt, seed=seed) for prompt in prompts for seed in (1, 2)]
    synthesizer = PetworldSynthesizer()
    together = synthesizer.synthesize(requests)
    alone = [PetworldSynthesizer().synthesize([one])[0] for one in reversed(requests)][::-1]
    assert [image.image.tobytes() for image in together] == [image.image.tobytes() for image in alone]
    assert len({image.image.tobytes() for image in together}) == len(requests)


def test_wishes_come_true_but_for_a_fifth() -> None:
    found = drawn(PetworldSynthesizer(), "A photo of a cat, orange coat, on a green background, dim light", 600)
    for name in ("coat", "backdrop", "light"):
        ignored = [name in details["ignored"] for details in found]
        assert sum(ignored) / len(ignored) == pytest.approx(0.2, abs=0.05)
        kept = [details["drawn"][name] for details in found if name not in details["ignored"]]
        assert set(kept) == {found[0]["wished"][name]}
    assert {details["drawn"]["animal"] for details in found} == {"cat"}
    assert {details["drawn"]["style"] for details in found} == {"crayon"}


def test_with_ignore_zero_every_wish_comes_true() -> None:
    prompt = "a small brown cat on a turquoise background, on the left, blurred, sitting, not dim"
    for details in drawn(PetworldSynthesizer(ignore=0), prompt, 50):
        shown = details["drawn"]
        assert (shown["coat"], shown["backdrop"], shown["pose"]) == ("chocolate", "beach", "sitting")
        assert shown["size"] < 0.5 and shown["place"][0] < 0.35 and shown["blur"] > 10 and shown["light"] != "dim"


@pytest.mark.parametrize(("prior", "agreeing"), [("biased", BIAS), ("uniform", 0.25)])
@pytest.mark.parametrize("label", ["cat", "dog"])
def test_what_is_left_open_follows_the_prior(prior: str, agreeing: float, label: str) -> None:
    found = [conflicts(details) for details in drawn(PetworldSynthesizer(prior), f"A photo of a {label}", 500, label)]
    assert found.count(()) / len(found) == pytest.approx(agreeing, abs=0.06)


def test_what_is_ruled_out_is_not_drawn() -> None:
    found = drawn(PetworldSynthesizer("uniform", ignore=0), "a cat, not grey, not on a meadow", 200)
    shown = Counter((details["drawn"]["coat"], details["drawn"]["backdrop"]) for details in found)
    assert {coat for coat, _ in shown} == set(COATS) - {"silver"}
    assert {backdrop for _, backdrop in shown} == set(BACKDROPS) - {"meadow"}


def test_it_reads_the_text_alone() -> None:
    synthesizer = PetworldSynthesizer()
    plain = synthesizer.synthesize([request("a cat")])[0]
    image = plain.image.transpose(0)
    other = synthesizer.synthesize([request("a cat", guidance={"backdrop_colour": "#ff0000"}, source=image)])[0]
    assert plain.image.tobytes() == other.image.tobytes()
    assert PetworldSynthesizer.uses == {"prompt"}


@pytest.mark.parametrize(
    ("prompt", "label", "kind"),
    [
        ("a grey animal on green", "cat", "no-class"),
        ("", "cat", "no-class"),
        ("a brown dog", "cat", "wrong-class"),
        ("a cat", "zebra", "unknown-class"),
    ],
)
def test_a_prompt_that_does_not_fit_the_label_fails_alone(prompt: str, label: str, kind: str) -> None:
    first, failed = PetworldSynthesizer().synthesize([request("a cat"), request(prompt, label)])
    assert isinstance(first, SyntheticImage)
    assert isinstance(failed, Failure) and failed.kind == kind and failed.message


def test_an_image_remembers_prompt_and_seed() -> None:
    made = PetworldSynthesizer().synthesize([request("a cat in the snow", seed=9)])[0]
    assert (made.seed, made.prompt, made.dropped) == (9, "a cat in the snow", ())
    assert made.details["wished"] == {"backdrop": "snow"}


@pytest.mark.parametrize("wrong", [{"prior": "fair"}, {"ignore": 1.5}, {"ignore": -0.1}])
def test_wrong_parameters_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="petworld: "):
        PetworldSynthesizer(**wrong)


def test_it_travels_by_its_parameters() -> None:
    copy = pickle.loads(pickle.dumps(PetworldSynthesizer("uniform", 0.1)))  # noqa: S301  (our own bytes)
    assert copy.parameters() == {"prior": "uniform", "ignore": 0.1}
