"""Stages cut work into chunks, choose mistakes fairly, and fill the classes with images."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from xaiaug import Critique, Failure, ImageSource, Sample
from xaiaug.engines import LocalEngine
from xaiaug.errors import PluginError, XaiaugError
from xaiaug.stages import GeneratedImage, Mistake, Predictions, StageRuntime, choose, equally_many
from xaiaug.stages.chunks import Item, Stage, batch, complete, plugin_key, refuse_if_all_raised
from xaiaug.stages.image_requests import ImagePlan, plan_requests
from xaiaug.store import Store
from xaiaug.store.schema import CASES
from xaiaug.store.stage_rows import critique_of


def sample(name, label=0):
    return Sample(
        id=f"{name:05d}" if isinstance(name, int) else name, label=label, opener=lambda: Pillow.new("RGB", (4, 4))
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60), st.integers(1, 20))
def test_chosen_mistakes_are_mistakes_in_order_and_each_pair_keeps_its_share(pairs, most):
    labels = np.array([label for label, _ in pairs])
    probabilities = np.eye(4, dtype=np.float32)[[predicted for _, predicted in pairs]]
    samples = [sample(i, int(label)) for i, label in enumerate(labels)]
    predictions = Predictions(labels, probabilities)
    chosen = choose(samples, predictions, most)
    wrong = Counter(pair for pair in pairs if pair[0] != pair[1])
    assert len(chosen) == min(most, sum(wrong.values()))
    assert all(mistake.predicted != mistake.sample.label for mistake in chosen)
    assert [m.sample.id for m in chosen] == sorted(m.sample.id for m in chosen)
    taken = Counter((mistake.sample.label, mistake.predicted) for mistake in chosen)
    share = min(1.0, most / max(1, sum(wrong.values())))
    assert all(abs(taken[pair] - share * count) < 2 for pair, count in wrong.items())


@pytest.fixture
def runtime(tmp_path):
    with Store(tmp_path) as store:
        yield StageRuntime(store, LocalEngine(), lambda progress: None)


def doubled(calls):
    def work(values):
        calls.append(list(values))
        return [2 * value for value in values]

    return work


def test_only_missing_chunks_are_done_and_rows_keep_their_order(runtime):
    calls = []
    items = [Item(i, i) for i in range(7)]
    stage = Stage(CASES, "double", None, 3)
    assert list(complete(runtime, stage, items, doubled(calls))) == [0, 2, 4, 6, 8, 10, 12]
    assert calls == [[0, 1, 2], [3, 4, 5], [6]]
    complete(runtime, stage, items, doubled(calls))
    assert len(calls) == 3
    complete(runtime, Stage(CASES, "double", "another basis", 3), items, doubled(calls))
    assert len(calls) == 6


def test_chunks_are_cut_before_the_store_is_asked(runtime):
    calls = []
    complete(runtime, Stage(CASES, "double", None, 3), [Item(i, i) for i in range(7)], doubled(calls))
    complete(runtime, Stage(CASES, "double", None, 3), [Item(i, i) for i in range(8)], doubled(calls))
    assert calls[3:] == [[6, 7]]


def test_no_items_make_no_rows(runtime):
    assert list(complete(runtime, Stage(CASES, "double", None, 3), [], doubled([]))) == []


@given(st.lists(st.booleans(), max_size=40))
def test_a_batch_that_raises_costs_only_the_items_that_broke_it(broken):
    def call(items):
        if any(broken[i] for i in items):
            raise ValueError("no")
        return [str(i) for i in items]

    made = batch("Thing.do", call, list(range(len(broken))), str)
    assert [isinstance(result, Failure) for result in made] == broken
    assert all(result == str(i) for i, result in enumerate(made) if not broken[i])


def test_an_error_on_purpose_stops_the_stage():
    def call(items):
        raise XaiaugError("rollout is not defined here")

    with pytest.raises(XaiaugError, match="not defined here"):
        batch("Thing.do", call, [1, 2], str)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (["a"], "was given 2 items and must return as many results, got 1"),
        ("ab", "must return a list of 2 results, got str"),
        (None, "must return a list of 2 results, got NoneType"),
        (["a", 3], "result 1 must be str or Failure, got int"),
    ],
)
def test_wrong_results_name_the_plugin(results, message):
    with pytest.raises(PluginError, match=f"Thing.do.* {message}|Thing.do.*{message}"):
        batch("Thing.do", lambda items: results, [1, 2], str)


def test_a_plugin_that_refuses_every_item_is_not_broken_but_one_that_raises_is():
    refuse_if_all_raised("Thing.do", [Failure("refusal", "no")] * 3)
    refuse_if_all_raised("Thing.do", [Failure("raised ValueError", "no"), "fine"])
    with pytest.raises(PluginError, match="raised on all 2 items; the first: raised ValueError: no"):
        refuse_if_all_raised("Thing.do", [Failure("raised ValueError", "no")] * 2)


def test_a_plugin_whose_source_cannot_be_read_is_never_taken_for_another():
    namespace = {"__name__": "typed"}
    exec("import xaiaug\nclass Typed(xaiaug.Critic):\n    def critique(self, cases): return []", namespace)  # noqa: S102
    plugin = namespace["Typed"]()
    assert plugin.identity()["source"] is None
    assert plugin_key(plugin) != plugin_key(plugin)


def image(target, kept=True, name="x"):
    return GeneratedImage({"image": {"blob": name}}, {"kept": kept}, target)


def test_every_source_and_seed_gives_equally_many_of_each_class():
    made = {"a": [image(0), image(0), image(1), image(0, kept=False)], "b": [image(1), image(0), image(1)]}
    used = equally_many(made)
    assert {key: Counter(i.target for i in images) for key, images in used.items()} == {
        "a": Counter({0: 1, 1: 1}),
        "b": Counter({0: 1, 1: 1}),
    }
    assert equally_many({"a": [image(0)], "b": []}) == {"a": [], "b": []}


class Kind:
    """What a plan asks of a synthesizer."""

    def __init__(self, per_case=None, uses=frozenset()):
        self.per_case, self.uses = per_case, uses


def requests(per_mistake=2, labels=(0, 0, 1), most=None):
    plan = ImagePlan(ImageSource(), Kind(), per_mistake, None, None, 3, most)
    cases = [
        (Mistake(sample(i, label), 1 - label, (0.5, 0.5)), {"predicted": None}, Critique("c", "p"))
        for i, label in enumerate(labels)
    ]
    return plan_requests(plan, cases, seed=0)


def every(requests):
    return requests.first_wave(requests.count_wanted())


def test_no_more_images_of_a_class_are_asked_for_than_may_be():
    wave = every(requests(per_mistake=3, most=2))
    assert [(request.mistake.sample.id, request.index) for request in wave] == [
        ("00000", 0),
        ("00001", 0),
        ("00002", 0),
        ("00002", 1),
    ]


def test_seeds_of_images_follow_case_index_and_attempt_alone():
    first, other = requests(), requests()
    one = {(request.mistake.sample.id, request.index): request.seed for request in every(first)}
    two = {(request.mistake.sample.id, request.index): request.seed for request in reversed(every(other))}
    assert one == two
    assert len(set(one.values())) == len(one) == 6
    (again,) = first.remake([(every(first)[0], None)], 1)
    assert again.seed not in one.values()


def test_other_cases_of_the_class_top_up_in_turn_and_never_repeat_an_index():
    mine = requests()
    every(mine)
    wave = mine.top_up({0: 3, 1: 0})
    assert [(request.mistake.sample.id, request.index) for request in wave] == [
        ("00000", 2),
        ("00001", 2),
        ("00000", 3),
    ]
    assert requests(labels=(0,)).top_up({1: 2}) == []


BASES = [sample(f"b{label}{i}", label) for label in range(3) for i in range(4)]


def edits(labels=(0, 0, 1, 2), kinds=("own", "another"), most=None, seed=0, order=1, bases=BASES):
    plan = ImagePlan(ImageSource(), Kind(kinds, {"map"}), 5, None, None, 3, most, bases=bases)
    cases = [
        (Mistake(sample(i, label), label, (0.5, 0.5)), {"predicted": None}, Critique("c", "p"))
        for i, label in enumerate(labels)
    ]
    return plan_requests(plan, cases[::order], seed=seed)


def pairs_of(wave):
    return {(one.mistake.sample.id, one.index): (one.base and one.base.id, one.label, one.seed) for one in wave}


@given(st.integers(0, 50), st.permutations(BASES))
def test_a_donor_is_paired_by_seed_and_id_whatever_its_place(seed, bases):
    assert pairs_of(every(edits(seed=seed))) == pairs_of(every(edits(seed=seed, order=-1, bases=bases)))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.integers(0, 5))
def test_a_donor_gives_one_image_of_its_own_class_and_one_of_a_class_it_is_not_predicted_as(labels, seed):
    wave = every(edits(labels, seed=seed))
    assert len(wave) == 2 * len(labels), "however many images a mistake the run asks for"
    for one in wave:
        assert (one.base is None, one.label == one.mistake.predicted) == (one.index == 0,) * 2
        assert one.base is None or one.label == one.base.label
    assert Counter(one.label for one in wave) == edits(labels, seed=seed).count_wanted()


def test_with_fewer_images_wanted_whole_donors_are_left_out():
    wave = every(edits([0] * 20 + [1] * 20, bases=BASES[:8], most=6))
    kinds = Counter((one.label, one.index) for one in wave)
    assert sum(kinds.values()) == 12 and set(kinds) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def rejected(request, *failure):
    """An image that was made and rejected, or failed with this kind and message."""
    row = {"failure": dict(zip(("kind", "message"), failure, strict=True))} if failure else {}
    return GeneratedImage(row, {"kept": False}, request.label)


def test_a_donor_whose_own_image_fails_for_the_same_reason_is_not_tried_with_another_base():
    mine = edits((0, 0, 0, 1))
    reasons = {
        ("00000", 0): ("flat-map", "no place stands out"),
        ("00000", 1): ("flat-map", "no place stands out"),
        ("00001", 1): ("covers-subject", "the region would cover 40% of the other image's subject"),
        ("00002", 0): ("flat-map", "one reason"),
        ("00002", 1): ("no-subject", "another reason"),
    }
    wave = [(one, rejected(one, *reasons.get((one.mistake.sample.id, one.index), ()))) for one in every(mine)]
    again = mine.remake(wave, 1)
    assert sorted(one.mistake.sample.id for one in again) == ["00001", "00002", "00003"]
    failed = [(one, rejected(one, "flat-map", "one reason")) for one in again]
    assert sorted(one.mistake.sample.id for one in mine.remake(failed, 2)) == ["00001", "00003"]


def test_only_an_edit_with_a_base_is_made_again_and_then_with_another_one():
    mine = edits()
    wave = every(mine)
    again = mine.remake([(one, rejected(one)) for one in wave], 1)
    assert [one.index for one in again] == [1] * 4
    assert all(one.label != one.mistake.predicted for one in again)
    assert pairs_of(again) != {key: pair for key, pair in pairs_of(wave).items() if key[1] == 1}
    assert mine.top_up({0: 5}) == []


def test_without_a_base_of_another_class_a_donor_gives_its_own_image_alone():
    assert [one.index for one in every(edits((0, 0), bases=BASES[:4]))] == [0, 0]


def test_a_map_is_part_of_an_image_only_where_the_synthesizer_reads_it():
    def key(uses, row):
        plan = ImagePlan(ImageSource(), Kind(None, uses), 1, None, None, 0)
        case = (Mistake(sample(1), 1, (0.5, 0.5)), {"predicted": row}, Critique("c", "p"))
        return every(plan_requests(plan, [case], 0))[0].key

    one, other = {"heatmap": {"blob": "a"}}, {"heatmap": {"blob": "b"}}
    assert key({"image"}, one) == key({"image"}, other)
    assert key({"map"}, one) != key({"map"}, other)


def test_a_critique_survives_the_ledger():
    critique = Critique("c", "p", "part", "d", ("e", "f"), True, 0.25, {"size": 0.5, "place": "left"})
    row = {"critique": {**vars(critique), "evidence": ["e", "f"], "guidance": dict(critique.guidance)}}
    assert critique_of(row) == critique
    assert critique_of({"failure": {"kind": "k", "message": "m"}}) == Failure("k", "m")
