"""The critic that measures: it names what was planted, and nothing where nothing was."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from blobs import blob, outline
from numpy.typing import NDArray
from PIL import Image

from xaiaug.errors import ConfigError
from xaiaug.interfaces import Context
from xaiaug.petworld import COATS as PETWORLD_COATS
from xaiaug.petworld import Scene, write_world
from xaiaug.petworld.colours import nearest_tone
from xaiaug.petworld.prompt_parser import parse_prompt
from xaiaug.plugins.critics.measured import MeasuredCritic
from xaiaug.records import Case, Critique, Explanation, Sample

LABELS = ("cat", "dog")
COATS = {"cat": ("#808890", "#d8d8dc", "#40404a"), "dog": ("#c8803c", "#8a5030", "#dcb878")}
BACKDROPS = {"cat": ("#b05a78", "#7a5aa8"), "dog": ("#5a9a50", "#4a9aa8")}
PLUGINS = Path(__file__).resolve().parents[2] / "xaiaug" / "plugins"
PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "cats-vs-dogs"


def ordinary(label: str, seed: int, **changes: object) -> Image.Image:
    """A blob as the training images of its class are, but for `changes`."""
    generator = np.random.default_rng([seed, 7])
    usual: dict[str, object] = {
        "coat": str(generator.choice(COATS[label])),
        "backdrop": str(generator.choice(BACKDROPS[label])),
        "size": float(generator.uniform(0.17, 0.25)),
        "place": (float(generator.uniform(0.44, 0.56)), float(generator.uniform(0.5, 0.6))),
        "light": float(generator.uniform(0.9, 1.1)),
    }
    return blob(seed, **(usual | changes))


def case(image: Image.Image, label: str, predicted: str | None = None, **extra: object) -> Case:
    chances = np.array([0.5, 0.5], np.float32)
    return Case("x", image, image, label, predicted or label, **({"probabilities": chances} | extra))


@pytest.fixture(scope="module")
def critic() -> MeasuredCritic:
    samples = [
        Sample(id=f"{label}{seed}", label=index, opener=lambda label=label, seed=seed: ordinary(label, seed))
        for index, label in enumerate(LABELS)
        for seed in range(60)
    ]
    prepared = MeasuredCritic()
    prepared.prepare(Context(labels=LABELS, train=samples))
    return prepared


def first_cause(critique: Critique) -> str:
    """The attribute named first: its line of evidence starts with its name."""
    return critique.evidence[0].split(":")[0]


def causes(critic: MeasuredCritic, changes: dict[str, object], label: str = "cat") -> list[str]:
    images = [ordinary(label, 1000 + seed, **changes) for seed in range(8)]
    return [first_cause(critique) for critique in critic.critique([case(image, label) for image in images])]


@pytest.mark.parametrize(
    ("planted", "changes"),
    [
        ("subject colour", {"coat": "#c8803c"}),
        ("backdrop colour", {"backdrop": "#5a9a50"}),
        ("light", {"light": 0.35}),
        ("sharpness", {"blur": 2.0}),
        ("size", {"size": 0.05}),
        ("place", {"place": (0.2, 0.55)}),
    ],
)
def test_what_was_planted_is_named_first(critic: MeasuredCritic, planted: str, changes: dict[str, object]) -> None:
    named = causes(critic, changes)
    assert sum(name == planted for name in named) >= 7, named


def test_nothing_planted_nothing_named(critic: MeasuredCritic) -> None:
    named = [name for label in LABELS for name in causes(critic, {}, label)]
    assert sum(name == "nothing unusual" for name in named) >= 14, named


@pytest.mark.parametrize(
    ("changes", "words", "wish"),
    [
        ({"light": 0.35}, "in dim light", "brightness"),
        ({"blur": 2.0}, "blurred", "sharpness"),
        ({"size": 0.05}, "small", "size"),
        ({"place": (0.2, 0.55)}, "at the left", "place"),
    ],
)
def test_what_was_hard_stands_in_the_prompt(
    critic: MeasuredCritic, changes: dict[str, object], words: str, wish: str
) -> None:
    (critique,) = critic.critique([case(ordinary("cat", 1001, **changes), "cat")])
    assert words in critique.prompt
    assert "cat" in critique.prompt
    assert next(iter(critique.guidance)) == wish
    assert {"subject_colour", "backdrop_colour"} <= set(critique.guidance)


def test_the_prompt_suits_any_thing_and_any_medium() -> None:
    draughtsman = MeasuredCritic(medium="ink drawing")
    draughtsman.prepare(Context(labels=("fire_engine",)))
    (critique,) = draughtsman.critique([case(blob(1, coat="#e88a30", backdrop="#c4c4c4"), "fire_engine")])
    words = re.sub(r" \(#\w{6}\)", "", critique.prompt)
    assert words == "An ink drawing of an orange fire engine on a light grey background"


@pytest.mark.parametrize("changes", [{}, {"light": 0.35}, {"blur": 2.0}, {"size": 0.05}, {"place": (0.2, 0.55)}])
def test_the_drawn_world_understands_the_prompt(critic: MeasuredCritic, changes: dict[str, object]) -> None:
    image = ordinary("cat", 1001, coat="#e38a33", backdrop="#2fb5aa", **changes)
    (critique,) = critic.critique([case(image, "cat")])
    understood = parse_prompt(critique.prompt)
    assert understood.animals == ["cat"]
    red, green, blue = (int(critique.guidance["subject_colour"][at : at + 2], 16) for at in (1, 3, 5))
    assert understood.wanted["coat"] == nearest_tone((red, green, blue), PETWORLD_COATS)
    fields = {"light": "light", "blur": "focus", "size": "size", "place": "across"}
    assert {fields[change] for change in changes} <= set(understood.wanted)
    assert understood.unwanted == {}


def test_a_shortcut_is_told_by_what_is_usual_elsewhere(critic: MeasuredCritic) -> None:
    image = ordinary("cat", 1002, backdrop="#5a9a50")
    (critique,) = critic.critique([case(image, "cat", "dog")])
    assert critique.cause.startswith("The backdrop's colour is green")
    assert critique.cause.endswith("unusual for cat but typical of dog.")
    assert critique.confidence > 0.8
    assert not critique.label_suspect


def test_of_two_causes_the_one_the_model_looked_at_is_named_first(critic: MeasuredCritic) -> None:
    image = ordinary("cat", 1003, coat="#c8803c", backdrop="#5a9a50", size=0.2, place=(0.5, 0.55))
    inside = outline().astype(np.float32)
    for heatmap, attended, key in (
        (inside, "subject", "subject_colour"),
        (1 - inside, "background", "backdrop_colour"),
    ):
        (critique,) = critic.critique([case(image, "cat", "dog", explanation=Explanation(heatmap, "hand", 1, True))])
        assert critique.attended == attended
        assert {"subject_colour", "backdrop_colour"} == set(list(critique.guidance)[:2])
        assert next(iter(critique.guidance)) == key


def test_colours_are_judged_apart_from_the_light(critic: MeasuredCritic) -> None:
    critiques = critic.critique([case(ordinary("dog", 1000 + seed, light=0.35), "dog") for seed in range(8)])
    assert sum("colour" in line.split(":")[0] for critique in critiques for line in critique.evidence) <= 2


def test_a_case_is_judged_by_itself(critic: MeasuredCritic) -> None:
    cases = [case(ordinary("cat", 2000 + seed), "cat", "dog") for seed in range(4)]
    assert critic.critique(cases) == [critic.critique([one])[0] for one in cases]
    assert critic.critique(cases[::-1]) == critic.critique(cases)[::-1]
    assert critic.critique([]) == []


def test_the_order_of_the_training_images_does_not_matter(critic: MeasuredCritic) -> None:
    samples = [Sample(id=f"{i}", label=0, opener=lambda i=i: ordinary("cat", i)) for i in range(20)]
    answers = []
    for train in (samples, samples[::-1]):
        fresh = MeasuredCritic(reference=10)
        fresh.prepare(Context(labels=LABELS, train=train))
        answers.append(fresh.critique([case(ordinary("cat", 99, light=0.4), "cat")]))
    assert answers[0] == answers[1]
    assert " 10 " in answers[0][0].evidence[0]


@pytest.mark.parametrize("context", [Context(), Context(labels=LABELS, train=[])])
def test_without_training_images_it_says_so_and_describes(context: Context) -> None:
    lonely = MeasuredCritic()
    lonely.prepare(context)
    (critique,) = lonely.critique([case(ordinary("cat", 5, coat="#d8d8dc"), "cat", "dog")])
    assert critique.cause == "Too few images of cat to compare with: 0 of at least 8."
    assert re.fullmatch(
        r"A photo of an? [a-z -]+ \(#\w{6}\) cat on an? [a-z -]+ \(#\w{6}\) background", critique.prompt
    )
    assert critique.evidence[0].startswith("measured: subject")
    assert critique.confidence <= 0.1


def test_too_few_training_images_are_none() -> None:
    few = MeasuredCritic()
    few.prepare(Context(labels=LABELS, train=[Sample(id="a", label=0, opener=lambda: ordinary("cat", 1))]))
    (critique,) = few.critique([case(ordinary("cat", 5), "cat", "dog")])
    assert "Too few images of cat to compare with: 1 of at least 8." in critique.cause


def test_it_is_prepared_anew(critic: MeasuredCritic) -> None:
    again = pickle.loads(pickle.dumps(critic))  # noqa: S301  (our own bytes)
    assert again.parameters() == critic.parameters()
    assert "to compare with: 0 of" in again.critique([case(ordinary("cat", 5), "cat")])[0].cause


def test_any_image_is_judged(critic: MeasuredCritic) -> None:
    images = [Image.new("RGB", size, colour) for size in ((1, 1), (3, 200), (64, 64)) for colour in ("black", "white")]
    critiques = critic.critique([case(image, "dog", "cat") for image in images])
    assert all(isinstance(critique, Critique) for critique in critiques)


def test_a_label_is_suspect_only_when_nothing_else_explains_it(critic: MeasuredCritic) -> None:
    chances = np.array([0.005, 0.995], np.float32)
    on_subject = Explanation(outline().astype(np.float32), "hand", 1, True)
    between = blob(3000, coat="#808890", backdrop="#b05a78")  # as usual for a cat
    (typical,) = critic.critique([case(between, "cat", "dog", probabilities=chances, explanation=on_subject)])
    assert not typical.label_suspect, "unusual for the predicted class: the label is as good"
    same = MeasuredCritic()
    pictures = [Sample(id=f"{i}", label=i % 2, opener=lambda i=i: ordinary("dog", i // 2)) for i in range(60)]
    same.prepare(Context(labels=LABELS, train=pictures))  # classes that look alike in all that is measured
    image = ordinary("dog", 3002)
    sure = same.critique([case(image, "cat", "dog", probabilities=chances, explanation=on_subject)])[0]
    unsure = same.critique([case(image, "cat", "dog", explanation=on_subject)])[0]
    unseen = same.critique([case(image, "cat", "dog", probabilities=chances)])[0]
    assert [sure.label_suspect, unsure.label_suspect, unseen.label_suspect] == [True, False, False]


@pytest.mark.parametrize("wrong", [{"level": 0}, {"level": 1}, {"reference": 7}])
def test_impossible_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must"):
        MeasuredCritic(**wrong)


def test_it_knows_nothing_of_the_drawn_world() -> None:
    files = [*(PLUGINS / "critics").glob("_*.py"), PLUGINS / "critics" / "measured.py", *PLUGINS.glob("_*.py")]
    for file in files:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        names = [alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
        assert not any("petworld" in name or name == "Scene" for name in (*modules, *names)), file


# On the drawn world, with the shortcut mistakes a biased model makes: every image that looks like the other class.


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Scene]]:
    folder = tmp_path_factory.mktemp("petworld")
    return folder, write_world(folder, sizes={"train": 320, "test": 80}, seed=3)


def opener(path: Path) -> Callable[[], Image.Image]:
    return lambda: Image.open(path).convert("RGB")


def judged(world: tuple[Path, dict[str, Scene]]) -> list[tuple[Scene, Critique]]:
    folder, scenes = world
    train = [
        Sample(id=file, label=LABELS.index(scene.animal), opener=opener(folder / file))
        for file, scene in scenes.items()
        if file.startswith("train")
    ]
    critic = MeasuredCritic(reference=150)
    critic.prepare(Context(labels=LABELS, train=train))
    found = []
    for file, scene in scenes.items():
        if file.startswith("test"):
            image = opener(folder / file)()
            other = LABELS[1 - LABELS.index(scene.animal)]
            found.append((scene, case(image, scene.animal, other if scene.conflicts else scene.animal)))
    return list(zip([scene for scene, _ in found], critic.critique([one for _, one in found]), strict=True))


def test_on_the_drawn_world_the_planted_attribute_is_named(world: tuple[Path, dict[str, Scene]]) -> None:
    planted = {"subject colour": "coat", "backdrop colour": "backdrop"}
    answers = [(scene.conflicts, planted.get(first_cause(critique), "")) for scene, critique in judged(world)]
    mistakes = [first in conflicts for conflicts, first in answers if conflicts]
    correct = [bool(first) for conflicts, first in answers if not conflicts]
    assert len(mistakes) > 30
    assert len(correct) >= 8
    assert np.mean(mistakes) >= 0.8
    assert np.mean(correct) <= 0.15


# On photographs, altered here.


@pytest.fixture(scope="module")
def photographer() -> MeasuredCritic:
    if not PHOTOS.is_dir():
        pytest.skip("shared/data/cats-vs-dogs is not present")
    files = sorted((PHOTOS / "train" / "cat").glob("*.jpg"))[:100]
    critic = MeasuredCritic()
    critic.prepare(Context(LABELS, [Sample(id=file.name, label=0, opener=opener(file)) for file in files]))
    return critic


def photos() -> Sequence[Image.Image]:
    return [opener(file)() for file in sorted((PHOTOS / "validation" / "cat").glob("*.jpg"))[:20]]


def dimmed(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value * 0.35)


def softened(image: Image.Image) -> Image.Image:
    return image.resize((24, 24), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("alter", "planted"), [(dimmed, "light"), (softened, "sharpness")])
def test_on_photographs_too(
    photographer: MeasuredCritic, alter: Callable[[Image.Image], Image.Image], planted: str
) -> None:
    critiques = photographer.critique([case(alter(image), "cat") for image in photos()])
    assert sum(first_cause(critique) == planted for critique in critiques) >= 16


def test_photographs_as_they_are_seldom_raise_an_alarm(photographer: MeasuredCritic) -> None:
    critiques = photographer.critique([case(image, "cat") for image in photos()])
    assert sum(first_cause(critique) != "nothing unusual" for critique in critiques) <= 4
    assert all(isinstance(critique.evidence, tuple) and critique.prompt for critique in critiques)


def test_a_heatmap_does_not_change_what_is_measured(critic: MeasuredCritic) -> None:
    image = ordinary("cat", 4000, light=0.35)
    heatmap: NDArray[np.float32] = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    bare = critic.critique([case(image, "cat")])[0]
    seen = critic.critique([case(image, "cat", explanation=Explanation(heatmap, "hand", 0, False))])[0]
    assert bare.guidance == seen.guidance
    assert bare.evidence[0] == seen.evidence[0]
