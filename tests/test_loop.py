"""The loop goes from a folder to a report, resumes, and says what little or nothing means."""

import json
import shutil
import sys
import tomllib
from dataclasses import replace

import pytest
from fakes import ColourCritic, NearestColour, Painter, Ramp, Refusing, paint_folder
from PIL import Image

import xaiaug
from xaiaug import FeedbackLoop, Recipe, Splits, SyntheticImage, open_run
from xaiaug.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    OfflineError,
    PluginError,
    RunFolderError,
    RunLockedError,
)
from xaiaug.store import Store

COUNTS = {"train": 30, "guide": 30, "validation": 6, "test": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint_folder(tmp_path_factory.mktemp("painted"), COUNTS)


def loop(**changed):
    arguments = {
        "classifier": NearestColour(),
        "explainer": Ramp(),
        "critic": ColourCritic(),
        "synthesizer": Painter(),
        "recipe": Recipe(steps=4, batch_size=8),
        "images_per_mistake": 2,
    }
    return FeedbackLoop(**{**arguments, **changed})


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    return loop().run(Splits.from_folder(folder), run_dir)


class Counting(NearestColour):
    """Counts what is asked of it."""

    asked = 0

    def predict_proba(self, images):
        type(self).asked += 1
        return super().predict_proba(images)


@pytest.mark.parametrize("explainer", ["occlusion", "integrated-gradients", "auto"])
def test_a_package_that_an_explainer_lacks_is_told_before_any_prediction(folder, tmp_path, monkeypatch, explainer):
    monkeypatch.setitem(sys.modules, "captum", None)
    Counting.asked = 0
    with pytest.raises(MissingExtraError, match="needs captum"):
        loop(classifier=Counting(), explainer=explainer).run(Splits.from_folder(folder), tmp_path / "run")
    assert not Counting.asked


def without_run(result):
    kept = json.loads((result.run_dir / "report.json").read_text())
    del kept["run"]
    return kept


def test_a_run_ends_in_a_table_and_a_page(finished):
    names = [arm.name for arm in finished.report.arms]
    assert names == ["baseline", "generated-only", "generated+training", "continued"]
    assert all(seed.metrics.n == 32 for arm in finished.report.arms for seed in arm.seeds)
    assert "generated+training" in finished.table()
    assert "no verdict is drawn" in finished.conclusion or "95 % interval" in finished.conclusion
    assert finished.report_path.read_text().startswith("<!")
    assert finished.report.complete


def test_every_mistake_has_heatmap_critique_and_images(finished):
    assert len(finished.mistakes) > 2
    for case in finished.mistakes:
        assert case.image and case.panel and case.heatmap and case.method == "ramp"
        assert case.critique.cause.endswith(f"is that of {case.predicted}")
        assert len(case.images) >= 2


def test_the_arms_with_new_images_share_them_and_every_arm_has_one_budget(finished):
    arms = {arm.name: arm for arm in finished.report.arms}
    assert arms["generated-only"].synthetic == arms["generated+training"].synthetic
    assert sum(arms["generated-only"].synthetic.values()) == 2 * len(finished.mistakes)
    assert len({(arm.steps, arm.batch_size) for arm in arms.values() if arm.trained}) == 1


def test_the_synthetic_folder_is_an_image_folder_with_the_ancestry_of_each_image(finished):
    lines = [json.loads(line) for line in (finished.run_dir / "synthetic/metadata.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * len(finished.mistakes)
    cases = {case.id: case for case in finished.mistakes}
    for line in lines:
        with Image.open(finished.run_dir / "synthetic" / line["file_name"]) as image:
            assert image.size == (16, 16)
        assert line["label"] == cases[line["case"]].label
        assert line["cause"] == cases[line["case"]].critique.cause
        assert line["heatmap"] == cases[line["case"]].heatmap


def test_a_finished_run_is_not_done_again(folder, tmp_path):
    first = loop(classifier=Counting()).run(Splits.from_folder(folder), tmp_path / "run")
    before, Counting.asked = without_run(first), 0
    again = loop(classifier=Counting()).run(Splits.from_folder(folder), tmp_path / "run")
    assert Counting.asked == 0
    assert without_run(again) == before
    assert again.report.run.resumed == 1


def test_two_runs_of_the_same_settings_are_equal_but_for_the_run_itself(folder, finished, tmp_path):
    other = loop().run(Splits.from_folder(folder), tmp_path / "other")
    assert without_run(other) == without_run(finished)


class Interrupting(Painter):
    """Stops the run after a few batches."""

    left = 2
    batch_size = 4

    def synthesize(self, requests):
        if Interrupting.left == 0:
            raise KeyboardInterrupt
        Interrupting.left -= 1
        return super().synthesize(requests)


def test_a_stopped_run_goes_on_where_it_stopped(folder, tmp_path):
    splits = Splits.from_folder(folder)
    with pytest.raises(KeyboardInterrupt):
        loop(synthesizer=Interrupting()).run(splits, tmp_path / "run")
    stopped = open_run(tmp_path / "run")
    assert not stopped.report.complete
    assert sum(image.kept for case in stopped.mistakes for image in case.images) == 0
    assert stopped.report.arms == ()
    Interrupting.left = 10**6
    resumed = loop(synthesizer=Interrupting()).run(splits, tmp_path / "run")
    untroubled = loop(synthesizer=Interrupting()).run(splits, tmp_path / "other")
    assert without_run(resumed) == without_run(untroubled)


def test_a_torn_blob_and_a_lost_model_are_made_again(folder, finished, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(finished.run_dir, run_dir)
    case = finished.mistakes[0]
    (run_dir / "blobs" / case.panel[:2] / case.panel).unlink()
    shutil.rmtree(run_dir / "models" / "continued")
    again = loop().run(Splits.from_folder(folder), run_dir)
    assert without_run(again) == without_run(finished)


@pytest.mark.parametrize(
    ("until", "has"),
    [
        ("mistakes", set()),
        ("explain", {"heatmap"}),
        ("critique", {"heatmap", "critique"}),
        ("images", {"heatmap", "critique", "images"}),
    ],
)
def test_a_run_may_stop_early_with_a_report_of_what_there_is(folder, tmp_path, until, has):
    result = loop().run(Splits.from_folder(folder), tmp_path / "run", until=until)
    assert result.report.until == until and result.report.complete
    assert result.report.arms == ()
    assert len(result.mistakes) > 2
    for name in ("heatmap", "critique", "images"):
        assert all(bool(getattr(case, name)) == (name in has) for case in result.mistakes)


def test_a_run_that_stops_early_needs_no_test_split(folder, tmp_path):
    splits = Splits.from_folder(folder)
    bare = Splits(splits.labels, splits.train, splits.guide, splits.validation)
    assert loop().run(bare, tmp_path / "run", until="critique").mistakes


def texts(result):
    return " ".join(note.text for note in result.report.notes)


def test_no_mistakes_ends_in_a_report_that_says_so(tmp_path):
    folder = paint_folder(tmp_path / "clear", COUNTS, noise=2.0)
    result = loop().run(Splits.from_folder(folder), tmp_path / "run")
    assert "makes no mistake on the 60 guide images" in texts(result)
    assert [arm.name for arm in result.report.arms] == ["baseline", "continued"]
    assert {row.name for row in result.report.left_out} == {"generated-only", "generated+training"}
    assert result.report.arms[0].seeds[0].metrics.accuracy == 1.0
    assert result.report_path.exists()


def test_two_mistakes_end_in_a_report_that_says_so(tmp_path):
    folder = paint_folder(tmp_path / "clear", COUNTS, noise=2.0)
    for number, (own, other) in enumerate((("blue", "red"), ("red", "blue"))):
        # An image that looks like the other class, brightened a little so that it is no copy.
        with Image.open(folder / "train" / other / "0.png") as image:
            image.point(lambda value: min(255, value + 3)).save(folder / "guide" / own / f"odd{number}.png")
    result = loop().run(Splits.from_folder(folder), tmp_path / "run")
    assert len(result.mistakes) == 2
    assert "makes only 2 mistakes" in texts(result)
    assert [arm.name for arm in result.report.arms][1:3] == ["generated-only", "generated+training"]


def test_mistakes_of_one_class_alone_are_told(tmp_path):
    folder = paint_folder(tmp_path / "clear", COUNTS, noise=2.0)
    with Image.open(folder / "train" / "red" / "0.png") as image:
        image.point(lambda value: min(255, value + 3)).save(folder / "guide" / "blue" / "odd.png")
    result = loop().run(Splits.from_folder(folder), tmp_path / "run")
    assert "No new images of red" in texts(result)
    assert "makes only 1 mistake on" in texts(result)


def test_one_seed_proves_nothing_and_the_report_says_so(finished):
    assert "One seed proves nothing" in texts(finished)


def test_seeds_share_a_baseline_and_differ_in_images_and_training(folder, tmp_path):
    result = loop(seeds=(0, 1, 2)).run(Splits.from_folder(folder), tmp_path / "run")
    arms = {arm.name: arm for arm in result.report.arms}
    assert [seed.seed for seed in arms["baseline"].seeds] == [0]
    assert [seed.seed for seed in arms["continued"].seeds] == [0, 1, 2]
    made = {image.experiment_seed: image.blob for image in result.mistakes[0].images if image.index == 0}
    assert len(set(made.values())) == 3
    assert "One seed" not in texts(result)


def test_a_critic_that_fails_on_some_leaves_the_classes_as_full_as_they_can_be(folder, tmp_path):
    result = loop(critic=Refusing()).run(Splits.from_folder(folder), tmp_path / "run")
    refused = [case for case in result.mistakes if case.failures]
    assert refused and all(not case.images for case in refused)
    assert f"{len(refused)} of {len(result.mistakes)} mistakes have no critique" in texts(result)
    # The other cases of each class make up for them.
    assert sum(result.report.images.used.values()) == 2 * len(result.mistakes)


class Breaking(Painter):
    """Breaks on one request in five, and takes its batch with it."""

    def synthesize(self, requests):
        if any(request.seed % 5 == 0 for request in requests):
            raise RuntimeError("the brush broke")
        return super().synthesize(requests)


def test_one_broken_item_costs_only_itself_and_is_made_again(folder, tmp_path):
    result = loop(synthesizer=Breaking()).run(Splits.from_folder(folder), tmp_path / "run")
    failed = [image for case in result.mistakes for image in case.images if not image.blob]
    assert failed and all((image.check, image.reason) == ("raised RuntimeError", "the brush broke") for image in failed)
    assert sum(result.report.images.used.values()) == 2 * len(result.mistakes)


class Same(Painter):
    """Paints the same image whatever the seed."""

    def _one(self, request):
        image = Image.new("RGB", (16, 16), (40, 40, 200))
        image.paste((200, 40, 40), (0, 0, 8, 8))
        return SyntheticImage(image, request.seed, request.prompt)


def test_images_that_repeat_each_other_are_rejected_and_counted(folder, tmp_path):
    result = loop(synthesizer=Same()).run(Splits.from_folder(folder), tmp_path / "run")
    assert result.report.images.kept == 1
    assert result.report.images.rejected["repeat"] == result.report.images.made - 1


class ShortCritic(ColourCritic):
    def critique(self, cases):
        return super().critique(cases)[:-1]


class WrongCritic(ColourCritic):
    def critique(self, cases):
        return ["because" for _ in cases]


class DeadCritic(ColourCritic):
    def critique(self, cases):
        raise ValueError("nothing to say")


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        (ShortCritic(), r"ShortCritic.critique was given \d+ items and must return as many results, got \d+"),
        (WrongCritic(), r"WrongCritic.critique: result 0 must be Critique or Failure, got str"),
        (DeadCritic(), r"DeadCritic.critique raised on all \d+ items; the first: raised ValueError: nothing to say"),
    ],
)
def test_a_plugin_that_breaks_its_contract_is_named(folder, tmp_path, critic, message):
    with pytest.raises(PluginError, match=message):
        loop(critic=critic).run(Splits.from_folder(folder), tmp_path / "run")
    # What was done before it stands, and a sound plugin goes on from there.
    assert all(case.heatmap for case in open_run(tmp_path / "run").mistakes)
    assert loop().run(Splits.from_folder(folder), tmp_path / "run").report.complete


class Remote(ColourCritic):
    remote = True


def test_a_remote_plugin_needs_to_be_allowed():
    with pytest.raises(OfflineError, match="allow_upload = true"):
        loop(critic=Remote())
    with pytest.raises(OfflineError, match="offline is true"):
        loop(critic=Remote(), settings={"privacy": {"offline": True, "allow_upload": True}})
    assert loop(critic=Remote(), settings={"privacy": {"allow_upload": True}}).plugins.critic.remote


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"critic": Ramp()}, "the critic must be a Critic or its name, got Ramp"),
        ({"arms": "basics"}, "Did you mean 'basic'"),
        ({"engine": "locale"}, "Did you mean 'local'"),
        ({"settings": {"engine": {"num_gpus": 1}}}, 'num_gpus is for the engine "ray"'),
        ({"settings": {"engine": {"workers": 0}}}, "engine"),
        ({"settings": {"mistake": {}}}, "Did you mean 'mistakes'"),
        ({"settings": []}, "settings must be a dict"),
        ({"images_per_mistake": 0}, "images_per_mistake"),
        ({"curation": {"checks": ["dupliate"]}}, "Did you mean 'duplicate'"),
    ],
)
def test_a_wrong_argument_is_named_at_once(changed, message):
    with pytest.raises(ConfigError, match=message):
        loop(**changed)


def test_an_unknown_stop_and_missing_data_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'critique'"):
        loop().run(Splits.from_folder(folder), tmp_path, until="critic")
    with pytest.raises(ConfigError, match="this loop has no data"):
        loop().run(run_dir=tmp_path)


def test_a_run_folder_has_one_owner(folder, tmp_path):
    with Store(tmp_path / "run"), pytest.raises(RunLockedError, match="another process"):
        loop().run(Splits.from_folder(folder), tmp_path / "run")


def test_a_run_folder_that_cannot_be_made_or_read_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be made"):
        loop().run(Splits.from_folder(folder), tmp_path / "file" / "run")
    with pytest.raises(RunFolderError, match="there is no run"):
        open_run(tmp_path / "nothing")


def test_the_mistakes_that_steer_are_bounded_and_keep_their_shares(folder, tmp_path):
    every = loop(settings={"mistakes": {"max": "all"}}).run(
        Splits.from_folder(folder), tmp_path / "a", until="mistakes"
    )
    few = loop(settings={"mistakes": {"max": 4}}).run(Splits.from_folder(folder), tmp_path / "b", until="mistakes")
    assert len(few.mistakes) == 4 < len(every.mistakes) == every.report.mistakes.found == few.report.mistakes.found
    assert {case.id for case in few.mistakes} < {case.id for case in every.mistakes}


def test_the_loop_tells_how_far_it_has_come(folder, tmp_path):
    told = []
    loop().run(Splits.from_folder(folder), tmp_path / "run", watch=told.append)
    last = {progress.stage: (progress.done, progress.total) for progress in told}
    assert all(done == total for done, total in last.values())
    assert "explain mistakes" in last
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


def test_a_settings_file_runs_whole(folder, tmp_path, monkeypatch):
    import fakes

    class Shop:
        @staticmethod
        @xaiaug.hookimpl
        def register_classifiers(register):
            register("nearest", fakes.NearestColour)

        @staticmethod
        @xaiaug.hookimpl
        def register_explainers(register):
            register("ramp", fakes.Ramp)

    fresh = xaiaug.registry.Registry()
    fresh.add_entry_points(xaiaug.registry.entry_points(group="xaiaug"))
    fresh.add(Shop, "shop")
    monkeypatch.setattr("xaiaug.config.settings_file.registry", lambda: fresh)
    (tmp_path / "my.toml").write_text(
        f'[data]\nfolder = "{folder.as_posix()}"\n[classifier]\nname = "nearest"\nsharpness = 9.0\n'
        '[explainer]\nname = "ramp"\n[recipe]\nsteps = 4\nbatch_size = 8\n'
    )
    made = FeedbackLoop.from_config(tmp_path / "my.toml", budget_usd=2.0)
    assert made.settings.budget.usd == 2.0
    result = made.run(run_dir=tmp_path / "run", until="critique")
    assert result.report.plugins.classifier.parameters == {"sharpness": 9.0}
    assert (tmp_path / "run" / "run.toml").read_text().startswith("[data]")


def test_run_toml_names_the_data_that_were_read_whatever_the_settings_name(folder, tmp_path):
    tables = {"data": {"folder": "elsewhere", "seed": 3}}
    loop(settings=tables).run(Splits.from_folder(folder, seed=5), tmp_path / "run", until="mistakes")
    written = tomllib.loads((tmp_path / "run" / "run.toml").read_text("utf-8"))["data"]
    assert written["folder"] == str(folder.absolute()) and written["seed"] == 5 and "manifest" not in written


def test_the_images_of_a_class_are_bounded_where_asked(folder, tmp_path):
    settings = {"experiment": {"images_per_class_max": 3}}
    result = loop(settings=settings).run(Splits.from_folder(folder), tmp_path / "run", until="images")
    assert set(result.report.images.used.values()) == {3}


def fitted(folder):
    """A classifier that was trained elsewhere."""
    splits, classifier = Splits.from_folder(folder), NearestColour()
    classifier.labels = splits.labels
    classifier.fit(splits.train, (), recipe=Recipe(steps=4, batch_size=8), seed=0)
    return classifier


class Ready(NearestColour):
    """Knows its classes before it meets a loop."""

    def __init__(self, folder: str = "") -> None:
        super().__init__()
        self.folder = folder

    def prepare(self, context):
        known = fitted(self.folder)
        self.labels, self.means = known.labels, known.means

    def fork(self):
        made = NearestColour(self.sharpness)
        made.labels, made.means = self.labels, self.means
        return made


def test_a_classifier_may_be_taken_as_it_is(folder, tmp_path):
    splits = Splits.from_folder(folder)
    guide_alone = Splits(splits.labels, guide=splits.guide)
    settings = {"experiment": {"fit_baseline": False}}
    result = loop(classifier=Ready(str(folder)), settings=settings).run(guide_alone, tmp_path / "run", until="critique")
    assert result.mistakes and all(case.critique for case in result.mistakes)
    assert "correctly classified guide images" in texts(result)


def test_other_classes_than_the_classifier_knows_are_named(folder, tmp_path):
    other = Splits.from_folder(
        paint_folder(tmp_path / "other", {"guide": 3, "train": 2}, classes=("green", "red")), test=0.0
    )
    settings = {"experiment": {"fit_baseline": False}}
    with pytest.raises(DataError, match="has the classes blue, red, the data have green, red"):
        loop(classifier=Ready(str(folder)), settings=settings).run(other, tmp_path / "run", until="critique")


def test_uneven_classes_are_told_and_weighted_where_asked(tmp_path):
    folder = paint_folder(tmp_path / "uneven", COUNTS)
    for path in sorted((folder / "train" / "red").iterdir())[6:]:
        path.unlink()
    seen = []

    class Watching(NearestColour):
        def fit(self, train, validation, *, recipe, seed):
            seen.append(recipe.class_weights)
            return super().fit(train, validation, recipe=recipe, seed=seed)

    recipe = Recipe(steps=4, batch_size=8, class_weights="balanced")
    result = loop(classifier=Watching(), recipe=recipe).run(Splits.from_folder(folder), tmp_path / "run")
    assert "5.0 times as many training images" in texts(result)
    assert set(seen) == {(36 / 60, 36 / 12)}


@pytest.mark.slow  # nothing in a loop depends on the number of classes but the time
def test_a_hundred_classes_run_whole(tmp_path):
    classes = tuple(f"colour{number:03d}" for number in range(100))
    folder = paint_folder(
        tmp_path / "many", {"train": 2, "guide": 2, "validation": 1, "test": 1}, classes=classes, noise=20.0
    )
    settings = {"mistakes": {"max": 20}, "experiment": {"images_per_mistake": 1}}
    recipe = Recipe(steps=40, batch_size=8)
    result = loop(recipe=recipe, settings=settings).run(Splits.from_folder(folder), tmp_path / "run")
    assert len(result.mistakes) == 20 < result.report.mistakes.found
    assert len(result.report.arms[0].seeds[0].metrics.confusion) == 100
    pairs = result.report.mistakes.by_pair
    assert [pair.count for pair in pairs] == sorted((pair.count for pair in pairs), reverse=True)


def test_what_was_dropped_for_being_in_two_splits_is_listed(tmp_path):
    folder = paint_folder(tmp_path / "leaky", COUNTS)
    shutil.copy(folder / "test" / "red" / "0.png", folder / "train" / "red" / "leak.png")
    with pytest.raises(DataError, match="leak.png"):
        loop().run(Splits.from_folder(folder), tmp_path / "refused")
    result = loop().run(Splits.from_folder(folder, on_leak="drop"), tmp_path / "run", until="mistakes")
    (line,) = (tmp_path / "run" / "leaks.csv").read_text().splitlines()[1:]
    assert "train/red/leak.png" in line and "test/red/0.png" in line
    assert result.report.data.dropped == 1


@pytest.mark.parametrize(
    ("patient", "smallest", "message"),
    [
        (None, 20, r"no test image has a group.*group:NAME.*worst-class"),
        (lambda number: {"patient": str(number % 8)}, 20, r"needs 20 test images of one class, and the largest has 2"),
        (lambda number: {"patient": str(number % 8)}, 2, None),
    ],
)
def test_a_comparison_by_groups_that_are_not_there_is_refused_before_any_work(
    folder, tmp_path, patient, smallest, message
):
    splits = Splits.from_folder(folder)
    test = tuple(
        replace(sample, groups=patient(number) if patient else {}) for number, sample in enumerate(splits.test)
    )
    experiment = {"metric": "worst-group", "smallest_group": smallest, "arms": ["continued"]}
    classifier = Counting()
    Counting.asked = 0
    run = loop(classifier=classifier, settings={"experiment": experiment})
    if message is None:
        worst = run.run(replace(splits, test=test), tmp_path / "run").report.arms[0].seeds[0].metrics.worst_group
        assert worst.attribute == "class × patient" and worst.n == 2
        return
    with pytest.raises(ConfigError, match=message):
        run.run(replace(splits, test=test), tmp_path / "run")
    assert Counting.asked == 0


def test_a_primary_contrast_of_an_arm_that_is_not_there_is_refused_before_any_work():
    with pytest.raises(ConfigError, match=r"primary: this run has no arm 'continud'. Did you mean 'continued'"):
        loop(settings={"experiment": {"primary": ["generated+training", "continud"]}})
    loop(arms=["continued"])  # the usual contrast, which nobody asked for


def test_a_run_of_several_seeds_without_a_verdict_says_why(folder, tmp_path):
    arms, splits = ["baseline", "continued", "oversampled-failures"], Splits.from_folder(folder)
    result = loop(arms=arms, seeds=[0, 1, 2]).run(splits, tmp_path / "a")
    (caution,) = [one for one in result.cautions if "No verdict" in one]
    assert "no results of generated+training" in caution and "[experiment] primary" in caution
    named = {"experiment": {"primary": ["oversampled-failures", "continued"]}}
    result = loop(arms=arms, seeds=[0, 1, 2], settings=named).run(splits, tmp_path / "a")
    assert result.report.verdict is not None and not any("No verdict" in one for one in result.cautions)


def test_an_arm_that_adds_as_many_as_there_are_new_images_is_left_out_where_there_are_none(folder, tmp_path):
    # No subject is found in blots of 16 pixels, so no edit is made.
    result = loop(arms=["continued", "oversampled-failures", "saliency-edit"]).run(
        Splits.from_folder(folder), tmp_path / "run"
    )
    assert {arm.name for arm in result.report.arms} == {"baseline", "continued"}
    assert "as many of which" in {row.name: row.reason for row in result.report.left_out}["oversampled-failures"]
