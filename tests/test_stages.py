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
from xaiaug.stages.generation import ImagePlan, _Requests
from xaiaug.store import Store
from xaiaug.store.schema import CASES, critique_of


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


def requests(per_mistake=2, labels=(0, 0, 1), most=None):
    plan = ImagePlan(ImageSource(), None, per_mistake, None, None, 3, most)
    cases = [
        (Mistake(sample(i, label), 1 - label, (0.5, 0.5)), {"predicted": None}, Critique("c", "p"))
        for i, label in enumerate(labels)
    ]
    return _Requests(plan, cases, seed=0)


def every(requests):
    return requests.first_wave(requests.plan.count_wanted(requests.cases))


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


def test_a_critique_survives_the_ledger():
    critique = Critique("c", "p", "part", "d", ("e", "f"), True, 0.25, {"size": 0.5, "place": "left"})
    row = {"critique": {**vars(critique), "evidence": ["e", "f"], "guidance": dict(critique.guidance)}}
    assert critique_of(row) == critique
    assert critique_of({"failure": {"kind": "k", "message": "m"}}) == Failure("k", "m")
