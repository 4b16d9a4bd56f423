"""What may vary with the seeds besides images and training: baselines, critiques; and test curves after the end."""

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, paint_folder
from PIL import Image

from xaiaug import Context, FeedbackLoop, Recipe, Sample, Splits
from xaiaug.errors import ConfigError, DataError
from xaiaug.records.pipeline import StageKind
from xaiaug.results.maintenance import collect_garbage, verify
from xaiaug.stages.runtime import StageRuntime
from xaiaug.store import Reader
from xaiaug.store.schema import CRITIQUE, fit_stage

pytestmark = pytest.mark.ci  # each test is a run of several baselines


class Counting(ColourCritic):
    """Writes down every case it is asked about."""

    def __init__(self, told: str) -> None:
        self.told = told

    def prepare(self, context: Context) -> None:
        self._paid = context.paid

    def critique(self, cases):
        with open(self.told, "a") as file:  # noqa: PTH123
            file.writelines(f"{case.id}\n" for case in cases)
        return super().critique(cases)


class Snapping(NearestColour):
    """Keeps its weights after the last step, as a classifier that takes snapshots does."""

    def fit(self, train, validation, *, recipe, seed, snapshots=None):
        history = super().fit(train, validation, recipe=recipe, seed=seed)
        if snapshots is not None:
            folder = snapshots / str(recipe.steps)
            folder.mkdir(parents=True, exist_ok=True)
            self.save(folder)
        return history


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), {"train": 20, "guide": 24, "validation": 4, "test": 20})


def go(folder, run_dir, classifier=None, seeds=(0, 1, 2), **experiment):
    loop = FeedbackLoop(
        classifier or NearestColour(),
        Ramp(),
        Counting(str(run_dir) + ".asked"),
        Painter(),
        seeds=seeds,
        recipe=Recipe(steps=3, batch_size=8),
        images_per_mistake=2,
        settings={"experiment": experiment},
    )
    return loop.run(Splits.from_folder(folder), run_dir)


def asked(run_dir):
    with open(str(run_dir) + ".asked") as file:  # noqa: PTH123
        return file.read().split()


def stages(run_dir):
    reader = Reader(run_dir)
    found = list(reader.stages())
    reader.close()
    return found


def test_by_default_one_baseline_and_one_critique_serve_all_seeds(folder, tmp_path):
    result = go(folder, tmp_path / "run")
    assert len(asked(tmp_path / "run")) == result.report.mistakes.chosen
    baselines = [fit_stage("baseline", seed) for seed in range(3)]
    assert [stage for stage in stages(tmp_path / "run") if stage in baselines] == baselines[:1]
    assert "for this baseline and these critiques" in result.report.verdict.sentence


def test_a_varied_critique_asks_afresh_for_each_seed_about_the_same_cases(folder, tmp_path):
    run_dir = tmp_path / "run"
    result = go(folder, run_dir, vary=["critique"])
    cases = asked(run_dir)
    assert len(cases) == 3 * result.report.mistakes.chosen
    assert len(set(cases)) == result.report.mistakes.chosen
    assert {CRITIQUE, CRITIQUE.in_part("seed-1"), CRITIQUE.in_part("seed-2")} <= set(stages(run_dir))
    assert verify(run_dir) == []
    assert result.report.verdict.sentence.count("for this baseline") == 1
    assert "these critiques" not in result.report.verdict.sentence


def test_a_varied_baseline_is_trained_and_looked_into_for_each_seed(folder, tmp_path):
    run_dir = tmp_path / "run"
    result = go(folder, run_dir, vary=["baseline"])
    rows = {arm.name: arm for arm in result.report.arms}
    assert [seed.seed for seed in rows["baseline"].seeds] == [0, 1, 2]
    assert len({seed.metrics.accuracy for seed in rows["baseline"].seeds}) > 1
    assert "each with a baseline of its own" in result.report.verdict.sentence
    first = go(folder, tmp_path / "single", seeds=(0,))
    assert result.report.mistakes == first.report.mistakes
    assert verify(run_dir) == []
    collect_garbage(run_dir)
    before = asked(run_dir)
    again = go(folder, run_dir, vary=["baseline"])
    assert asked(run_dir) == before
    assert again.report.arms == result.report.arms


def test_a_baseline_that_is_not_trained_cannot_vary_nor_can_one_that_rounds_go_on_from(folder, tmp_path):
    with pytest.raises(ConfigError, match="cannot vary"):
        go(folder, tmp_path / "run", vary=["baseline"], fit_baseline=False)
    with pytest.raises(ConfigError, match="rounds continue from one baseline"):
        go(folder, tmp_path / "run", vary=["baseline"], rounds=2)
    with pytest.raises(ConfigError, match="vary"):
        go(folder, tmp_path / "run", vary=["weather"])


def test_test_accuracy_along_the_training_is_measured_on_request_and_after_the_end(folder, tmp_path):
    run_dir = tmp_path / "run"
    result = go(folder, run_dir, Snapping(), seeds=(0,), test_curves=True)
    for arm in result.report.arms:
        (seed,) = arm.seeds
        assert seed.history.test_accuracy == (seed.metrics.accuracy,)
    names = stages(run_dir)
    first_curve = next(place for place, name in enumerate(names) if name.detail[:1] == ("curve",))
    assert all(name.kind != StageKind.FIT for name in names[first_curve:])
    last_test = max(place for place, name in enumerate(names) if name.detail[:1] == ("test",))
    assert first_curve > last_test
    assert "test, measured after the run" in (run_dir / "report.html").read_text()
    assert go(folder, run_dir, Snapping(), seeds=(0,)).report.arms[0].seeds[0].history.test_accuracy == ()
    assert verify(run_dir) == []


def test_a_classifier_that_keeps_no_snapshots_is_named_in_a_note(folder, tmp_path):
    result = go(folder, tmp_path / "run", seeds=(0,), test_curves=True)
    assert any("no curve of the test split for baseline" in note.text for note in result.report.notes)


def test_a_test_image_near_a_critic_stops_the_run():
    runtime = StageRuntime(store=None, engine=None, watch=print, sealed=frozenset({"b"}))
    samples = [Sample(id=name, label=0, opener=lambda: Image.new("RGB", (4, 4))) for name in "ab"]
    runtime.keep_from_test(samples[:1], "TheCritic")
    with pytest.raises(DataError, match="TheCritic would be shown the image b of the test split"):
        runtime.keep_from_test(samples, "TheCritic")
