"""A draw is stratified, disjoint, complete and the same for the same seed."""

from collections import Counter, defaultdict

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from xaiaug.data.entries import Entry
from xaiaug.data.splitting import draw_splits
from xaiaug.errors import ConfigError, DataError

SHARES = st.fixed_dictionaries(
    {name: st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.25]) for name in ("guide", "validation", "test", "reserve")}
)
CLASSES = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def entry(label: str, number: int, **more: object) -> Entry:
    return Entry(name=f"{label}/{number}", digest=f"{label}{number:04d}", label=label, opener=Image.Image, **more)


def entries(sizes: list[int]) -> list[Entry]:
    return [entry(f"class{number:03d}", index) for number, size in enumerate(sizes) for index in range(size)]


def used(shares: dict[str, float]) -> list[str]:
    """Splits that get images."""
    return [name for name, share in {"train": 1 - sum(shares.values()), **shares}.items() if share > 1e-9]


@settings(max_examples=40, deadline=None)
@given(sizes=CLASSES, shares=SHARES, seed=st.integers(0, 2**31))
def test_every_class_is_divided_whole_and_by_its_fractions(
    sizes: list[int], shares: dict[str, float], seed: int
) -> None:
    assume(min(sizes) >= len(used(shares)))
    found = entries(sizes)
    drawn = draw_splits(found, shares, seed)
    names = [one.name for part in drawn.values() for one in part]
    assert sorted(names) == sorted(one.name for one in found), "complete and disjoint"
    counts = {name: Counter(one.label for one in part) for name, part in drawn.items()}
    wanted = {"train": 1 - sum(shares.values()), **shares}
    wanted = {name: share for name, share in wanted.items() if share > 1e-9}
    for number, size in enumerate(sizes):
        got = {name: counts[name][f"class{number:03d}"] for name in wanted}
        assert min(got.values()) >= 1, "every split has every class"
        # Where a fraction is less than one image, the largest split gives one away.
        if size * min(wanted.values()) >= 1:
            assert all(abs(got[name] - share * size) < 1 + 1e-9 for name, share in wanted.items())


@settings(max_examples=40, deadline=None)
@given(sizes=CLASSES, shares=SHARES, seed=st.integers(0, 2**31))
def test_the_same_seed_draws_the_same_whatever_the_order_of_the_files(
    sizes: list[int], shares: dict[str, float], seed: int
) -> None:
    assume(min(sizes) >= len(used(shares)))
    found = entries(sizes)
    forward, backward = draw_splits(found, shares, seed), draw_splits(found[::-1], shares, seed)
    assert {name: {one.name for one in part} for name, part in forward.items()} == {
        name: {one.name for one in part} for name, part in backward.items()
    }


def test_another_seed_draws_otherwise() -> None:
    found = entries([50, 50])
    tests = [frozenset(one.name for one in draw_splits(found, {"test": 0.2}, seed)["test"]) for seed in range(5)]
    assert len(set(tests)) == 5


def test_a_draw_keeps_the_order_of_the_files() -> None:
    found = entries([40, 40])
    order = {one.name: index for index, one in enumerate(found)}
    for part in draw_splits(found, {"test": 0.3, "guide": 0.2}, 0).values():
        assert [order[one.name] for one in part] == sorted(order[one.name] for one in part)


def test_copies_of_one_image_go_to_one_split() -> None:
    copies = [
        Entry(name=f"{number}-{copy}", digest=f"{number}", label="cat", opener=Image.Image)
        for number in range(30)
        for copy in range(3)
    ]
    places = defaultdict(set)
    for name, part in draw_splits(copies, {"test": 0.2, "guide": 0.2}, 0).items():
        for one in part:
            places[one.digest].add(name)
    assert {len(names) for names in places.values()} == {1}


@pytest.mark.parametrize("classes", [2, 200])
def test_two_classes_or_two_hundred(classes: int) -> None:
    drawn = draw_splits(entries([20] * classes), {"guide": 0.15, "validation": 0.1, "test": 0.2, "reserve": 0.0}, 0)
    assert {name: len(part) / classes for name, part in drawn.items()} == {
        "train": 11,
        "guide": 3,
        "validation": 2,
        "test": 4,
        "reserve": 0,
    }


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), min_size=20, max_size=60),
    seed=st.integers(0, 2**31),
)
def test_no_group_is_in_two_splits_and_fractions_are_kept_as_well_as_groups_allow(
    groups: list[tuple[int, int]], seed: int
) -> None:
    found = [
        entry(f"class{label}", 100 * number + index, groups={"patient": str(number)})
        for number, (size, label) in enumerate(groups)
        for index in range(size)
    ]
    shares = {"test": 0.25, "guide": 0.25}
    drawn = draw_splits(found, shares, seed, "patient")
    places = defaultdict(set)
    for name, part in drawn.items():
        for one in part:
            places[one.groups["patient"]].add(name)
    assert all(len(names) == 1 for names in places.values())
    assert sum(len(part) for part in drawn.values()) == len(found)
    for name, share in shares.items():
        for label in {one.label for one in found}:
            total = sum(one.label == label for one in found)
            count = sum(one.label == label for one in drawn[name])
            largest = max(size for size, number in groups if f"class{number}" == label)
            assert abs(count - share * total) <= largest + 1


def test_an_image_without_the_group_is_named() -> None:
    found = [entry("cat", 0, groups={"patient": "1"}), entry("cat", 1, groups={"patient": ""})]
    with pytest.raises(DataError, match="split_by='patient': cat/1 has no such group"):
        draw_splits(found, {"test": 0.5}, 0, "patient")


def test_a_class_too_small_for_its_splits_is_named() -> None:
    with pytest.raises(DataError, match="class 'class001' has 2 distinct images, too few for one in each of train, t"):
        draw_splits(entries([9, 2]), {"test": 0.1, "guide": 0.1}, 0)


def test_train_may_be_empty_where_the_fractions_take_everything() -> None:
    drawn = draw_splits(entries([7, 3]), {"guide": 1.0, "test": 0.0}, 0)
    assert {name: len(part) for name, part in drawn.items()} == {"train": 0, "guide": 10, "test": 0}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"test": -0.1}, "test must be a number from 0 to 1"),
        ({"test": 1.5}, "got 1.5"),
        ({"test": True}, "got True"),
        ({"test": "a fifth"}, "got 'a fifth'"),
        ({"test": float("nan")}, "got nan"),
        ({"test": 0.6, "guide": 0.6}, "add up to at most 1"),
    ],
)
def test_impossible_fractions_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_splits(entries([9, 9]), shares, 0)
