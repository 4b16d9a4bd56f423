"""The planted shortcut is as strong as it says, and absent where it should be."""

from collections import Counter
from dataclasses import replace

import pytest

from xaiaug.petworld import BACKDROPS, BIAS, COATS, LABELS, UNBIASED, Scene, sample_scenes
from xaiaug.petworld.anatomy import OTHERS
from xaiaug.petworld.palette import names_of, rgb
from xaiaug.petworld.sampling import sample_other_scenes
from xaiaug.petworld.scene import NO_TAG
from xaiaug.petworld.tag import CORNERS


def shares(drawn: list[Scene]) -> dict[tuple[str, ...], float]:
    return {kind: count / len(drawn) for kind, count in Counter(scene.conflicts for scene in drawn).items()}


@pytest.mark.parametrize("bias", [BIAS, 0.8])
def test_coat_and_backdrop_go_with_the_label_in_the_given_share(bias: float) -> None:
    found = shares(sample_scenes(6000, seed=1, bias=bias))
    assert found[()] == pytest.approx(bias, abs=0.02)
    for kind in (("coat",), ("backdrop",), ("coat", "backdrop")):
        assert found[kind] == pytest.approx((1 - bias) / 3, abs=0.015)


def test_without_bias_coat_and_backdrop_say_nothing() -> None:
    drawn = sample_scenes(8000, seed=2, bias=UNBIASED)
    for name, tones in (("coat", COATS), ("backdrop", BACKDROPS)):
        for tone in tones:
            cats = [scene.animal == "cat" for scene in drawn if getattr(scene, name) == tone]
            assert sum(cats) / len(cats) == pytest.approx(0.5, abs=0.06)
    assert all(share == pytest.approx(0.25, abs=0.02) for share in shares(drawn).values())


def test_labels_are_even_and_scenes_repeat_with_their_seed() -> None:
    first = sample_scenes(101, seed=3, bias=BIAS)
    assert Counter(scene.animal for scene in first) == {"cat": 51, "dog": 50}
    assert first == sample_scenes(101, seed=3, bias=BIAS) != sample_scenes(101, seed=4, bias=BIAS)


def test_each_label_has_several_coats_and_backdrops_of_its_own() -> None:
    for tones in (COATS, BACKDROPS):
        groups = [set(names_of(tones, label)) for label in LABELS]
        assert all(len(group) == 4 for group in groups) and not groups[0] & groups[1]


def test_colours_of_the_two_groups_lie_apart() -> None:
    from skimage.color import deltaE_cie76, rgb2lab

    for tones in (COATS, BACKDROPS):
        lab = {name: rgb2lab([[[v / 255 for v in rgb(tone.colour)]]])[0, 0] for name, tone in tones.items()}
        nearest = min(
            float(deltaE_cie76(lab[a], lab[b])) for a in names_of(tones, "cat") for b in names_of(tones, "dog")
        )
        assert nearest > 20


def test_conflicts_name_what_goes_with_the_other_label() -> None:
    assert Scene("cat", "silver", "theatre").conflicts == ()
    assert Scene("cat", "ginger", "theatre").conflicts == ("coat",)
    assert Scene("dog", "ginger", "theatre").conflicts == ("backdrop",)
    assert Scene("dog", "white", "evening").conflicts == ("coat", "backdrop")


def test_the_other_animals_wear_every_coat_in_every_place() -> None:
    drawn = sample_other_scenes(3000, seed=0)
    assert {scene.animal for scene in drawn} == set(OTHERS)
    assert len({(scene.animal, scene.coat, scene.backdrop) for scene in drawn}) > 0.98 * 6 * 64


def test_tags_go_to_the_given_share_of_each_class_and_change_nothing_else() -> None:
    plain = sample_scenes(4000, seed=5, bias=BIAS)
    tagged = sample_scenes(4000, seed=5, bias=BIAS, tags=(0.1, 0.7))
    assert [replace(scene, tag=NO_TAG) for scene in tagged] == plain
    for label, share in zip(LABELS, (0.1, 0.7), strict=True):
        corners = Counter(scene.tag for scene in tagged if scene.animal == label)
        assert 1 - corners[NO_TAG] / corners.total() == pytest.approx(share, abs=0.03)
        assert all(corners[corner] == pytest.approx(share * 500, abs=0.2 * share * 500 + 15) for corner in CORNERS)
