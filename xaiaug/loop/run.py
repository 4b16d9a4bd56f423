"""One run: its images are checked, then its steps are done in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import arms as rows
from ..arms.labels_used import FROM_RESERVE
from ..calls import Calls
from ..config import ExperimentTable, Settings
from ..data import DataCheck, Splits, format_splits
from ..errors import ConfigError, PluginError, RunStopped
from ..interfaces import Classifier, Context
from ..metrics import form_groups
from ..records import Arm, Progress
from ..records.pipeline import Stop, reaches
from ..registry import KINDS
from ..stages import (
    Diagnosis,
    Fitted,
    Lazy,
    Mistake,
    StageRuntime,
    count_unanswered,
    measure_maps,
    predict,
    snapshots,
)
from ..stages.plugin_guard import blame_plugin, check_plain
from ..store import Store
from ..store.schema import (
    BEGUN,
    COMPARISON,
    DATA,
    PLUGINS,
    REACHED,
    SETTINGS,
    SNAPSHOT,
    SPEEDS,
    TEST_SEEN,
    TESTED,
    UNTIL,
    StageName,
    predict_curve_stage,
    predict_mistakes_stage,
    predict_test_stage,
)
from .causes import test_causes
from .diagnosis import diagnose_seeds, exclude_suspects
from .generation import ImageGeneration
from .plugin_set import PluginSet
from .rounds import run_early_rounds
from .run_context import RunContext, for_seed, list_available
from .settings_diff import diff_settings, settings_snapshot
from .slices import find_slices
from .train import train
from .tuning import check_tuning

# The settings that are named before training, for the verdict and the recommendation.
COMPARED_BY = ("primary", "metric", "smallest_effect", "smallest_group", "margin", "vary")


def run_stages(run: RunContext) -> None:
    """Does the steps of a run, up to and with the one it ends after; finished work is not repeated."""
    _do_steps(run, run.until)
    run.set_fact(REACHED, run.until)


def _do_steps(run: RunContext, until: str) -> None:
    generation, first = ImageGeneration(run), run.seeds[0]
    baselines = run.fit_baselines()
    if reaches(until, Stop.IMAGES):
        baselines[first] = run_early_rounds(run, generation, baselines[first])
    diagnoses = diagnose_seeds(run, baselines)
    if not reaches(until, Stop.EXPLAIN):
        return
    _explain(run, diagnoses)
    if not reaches(until, Stop.CRITIQUE):
        return
    exclude_suspects(run, diagnoses)
    test_causes(run, diagnoses)
    if not reaches(until, Stop.IMAGES):
        return
    images = generation.last_round(diagnoses)
    if not reaches(until, Stop.REPORT):
        return
    fitted = train(run, diagnoses, images)
    _try_mistakes(run, for_seed(diagnoses, run.seeds[0]).mistakes, fitted)
    _test(run, fitted)


def _explain(run: RunContext, diagnoses: Mapping[int, Diagnosis]) -> None:
    for diagnosis in diagnoses.values():
        diagnosis.explanations()
    first = for_seed(diagnoses, run.seeds[0])
    most = run.settings.mistakes.faithfulness
    measure_maps(first.runtime, first.baseline, first.mistakes, first.explanations(), most)
    if run.settings.mistakes.slices:
        by_slice = run.settings.critic.per == "slice"
        asked = by_slice or any(source.budget == "slices" for source in rows.sources(run.arms))
        for diagnosis in diagnoses.values() if asked else (first,):
            find_slices(run, diagnosis)


def _try_mistakes(run: RunContext, mistakes: Sequence[Mistake], fitted: Mapping[tuple[str, int], Fitted]) -> None:
    """Predicts the mistakes again with each trained arm, so that the report can show which arms get one right."""
    trained = {arm.name for arm in run.arms if arm.trained}
    samples = Lazy(len(mistakes), lambda i: mistakes[i].sample)
    for (arm, seed), classifier in fitted.items():
        if arm in trained:
            predict(run.runtime, predict_mistakes_stage(arm, seed), classifier, samples, len(run.splits.labels))


def _test(run: RunContext, fitted: Mapping[tuple[str, int], Fitted]) -> None:
    """Only this looks at the test images, and only when all training is over."""
    _count_test_look(run.runtime.store)
    test, classes = run.splits.test, len(run.splits.labels)
    for (arm, seed), classifier in fitted.items():
        predict(run.runtime, predict_test_stage(arm, seed), classifier, test, classes)
    for (arm, seed), classifier in fitted.items():
        for step, snapshot in snapshots(classifier).items():
            predict(run.runtime, predict_curve_stage(arm, seed, step), snapshot, test, classes)


def prepare_run(
    settings: Settings,
    plugins: PluginSet,
    arms: Sequence[Arm],
    runtime: StageRuntime,
    splits: Splits,
    calls: Calls,
    *,
    until: str,
) -> RunContext:
    """A run whose images are checked and whose settings are in the ledger.

    Args:
        settings: checked.
        plugins: of the run.
        arms: the training conditions, the baseline among them.
        runtime: where work is kept, who does it, who watches.
        splits: the data, not yet checked.
        calls: for plugins whose work costs money.
        until: the step it ends after.

    Raises:
        DataError: the images cannot be used for it.
        ConfigError: an arm that was named is not possible, the critic lacks a key, or the synthesizer a file.
        MissingExtraError: a plugin lacks a package.
    """
    unanswered = count_unanswered(runtime.store.ledger)
    if runtime.store.ledger.get_fact(REACHED) != until or unanswered:
        # A missing key, file or package is found now, not after hours of training; a finished run needs none.
        plugins.classifier.check()
        if reaches(until, Stop.EXPLAIN):
            plugins.explainer.check()
        if reaches(until, Stop.CRITIQUE):
            for _, critic in plugins.critics(settings):
                critic.check()
        if reaches(until, Stop.IMAGES):
            plugins.synthesizer.check()
            if plugins.image_critic is not None:
                plugins.image_critic.check()
    ledger = runtime.store.ledger
    _recall_test(runtime.store, unanswered)
    runtime.store.start_session()
    ledger.set_fact(UNTIL, until)
    ledger.set_fact(REACHED, None)
    check = _check_images(runtime, splits, _needed_splits(settings, until), _unused_splits(arms))
    splits = check.splits
    if reaches(until, Stop.REPORT):
        _check_groups(settings.experiment, splits)
        check_tuning(settings.experiment, splits)
    if not settings.experiment.fit_baseline:
        splits = replace(splits, labels=_complete_labels(plugins.classifier, splits.labels))
    arms, impossible = _possible_arms(settings, plugins, arms, splits)
    recipe, baseline_recipe = (rows.resolve_class_weights(recipe, splits.train) for recipe in settings.recipes())
    runtime = replace(
        runtime,
        context=_context(plugins, splits, calls, runtime),
        sealed=frozenset(sample.id for sample in splits.test),
        witness=next(iter(splits.guide), None),
    )
    run = RunContext(settings, plugins, arms, runtime, splits, baseline_recipe, recipe, impossible, until)
    snapshot = settings_snapshot(settings.model_dump(mode="json"), plugins.identities(), splits.digest)
    _show_changes(runtime, snapshot, unanswered)
    _record_inputs(run, check)
    return run


def _needed_splits(settings: Settings, until: str) -> tuple[str, ...]:
    # A run that stops early never looks at test, and one that trains nothing needs no images to train on.
    trains, tests = settings.experiment.fit_baseline, reaches(until, Stop.REPORT)
    return ("train",) * (trains or tests) + ("guide",) + ("test",) * tests


def _unused_splits(arms: Sequence[Arm]) -> tuple[str, ...]:
    # A leak from reserve matters only where an arm trains on it: the run that has such an arm checks it.
    return () if any(FROM_RESERVE & set(rows.pools_of(arm)) for arm in arms) else ("reserve",)


def _check_images(runtime: StageRuntime, splits: Splits, needed: tuple[str, ...], unused: tuple[str, ...]) -> DataCheck:
    count = sum(len(splits[name]) for name in splits.distinct if name not in unused)

    def watch(done: int) -> None:
        runtime.watch(Progress("check images", done, count))
        if runtime.stopping():
            raise RunStopped(f"stopped in check images at {done} of {count}: rerun the same command to resume")

    watch(0)
    check = splits.check(needed, unused, watch)
    watch(count)
    return check


def _check_groups(experiment: ExperimentTable, splits: Splits) -> None:
    """Raises ConfigError if the arms are to be compared by a group, and no test images form one."""
    if experiment.metric != "worst-group":
        return
    test, smallest = splits.test, experiment.smallest_group
    found = form_groups([sample.label for sample in test], [sample.groups for sample in test], smallest)
    if found.large is not None:
        return
    if not found.sizes:
        raise ConfigError(
            '[experiment] metric = "worst-group": no test image has a group. Give a manifest with a column group:NAME, '
            'or choose another metric, such as "worst-class"'
        )
    number = max(range(len(found.sizes)), key=lambda place: found.sizes[place])
    shared = ", ".join(f"{name} = {value}" for name, value in found.attributes[number])
    raise ConfigError(
        f'[experiment] metric = "worst-group": a group needs {smallest} test images of one class, and the largest has '
        f"{found.sizes[number]} ({splits.labels[found.classes[number]]}, {shared}). Set [experiment] smallest_group "
        "lower, leave group columns out, or choose another metric"
    )


def _complete_labels(classifier: Classifier, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The classes of the data, and those that a classifier which is used as it is tells apart beside them."""
    name = f"{type(classifier).__name__}.complete_labels"
    with blame_plugin(name):
        completed = tuple(check_plain(name, classifier.complete_labels(labels)))
    if completed[: len(labels)] != labels or len(set(completed)) < len(completed):
        raise PluginError(f"{name} must return the {len(labels)} labels of the data first, and others beside them")
    return completed


def _possible_arms(
    settings: Settings, plugins: PluginSet, arms: Sequence[Arm], splits: Splits
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    available = list_available(settings, plugins.classifier, splits)

    def missing(arm: Arm) -> str:
        return rows.missing_requirement(arm, plugins.synthesizer_of(arm.images), available)

    return rows.select_runnable(arms, not isinstance(settings.experiment.arms, str), missing)


def _context(plugins: PluginSet, splits: Splits, calls: Calls, runtime: StageRuntime) -> Context:
    count_tokens, token_limit = plugins.synthesizer.token_budget() or (None, None)
    return Context(
        labels=splits.labels,
        train=splits.train,
        paid=calls,
        count_tokens=count_tokens,
        token_limit=token_limit,
        masks=runtime.store.masks,
        stopping=runtime.stopping,
    )


def _recall_test(store: Store, unanswered: int) -> None:
    """Notes with which settings a session of an earlier version, which did not note it, looked at test."""
    ledger = store.ledger
    if ledger.get_fact(TESTED) is None and any(StageName.parse(name).is_test for name in ledger.get_fact(BEGUN) or ()):
        ledger.set_fact(TESTED, {"snapshot": ledger.get_fact(SNAPSHOT) or {}, "unanswered": unanswered})


def _count_test_look(store: Store) -> None:
    """Notes that test is looked at now; counts it where that happened before for other results."""
    ledger = store.ledger
    before, snapshot = ledger.get_fact(TESTED), ledger.get_fact(SNAPSHOT) or {}
    if before is not None:
        others = any(change.stale for change in diff_settings(before["snapshot"], snapshot))
        if others or before["unanswered"]:
            ledger.set_fact(TEST_SEEN, (ledger.get_fact(TEST_SEEN) or 0) + 1)
    ledger.set_fact(TESTED, {"snapshot": snapshot, "unanswered": count_unanswered(ledger)})


def _show_changes(runtime: StageRuntime, snapshot: Mapping[str, Any], unanswered: int) -> None:
    """Reports what is done again: settings, plugins or images differ from the last session's, or its critic failed."""
    ledger = runtime.store.ledger
    before = ledger.get_fact(SNAPSHOT)
    changes = diff_settings(before or {}, snapshot)
    if any(change.key.partition(".")[0] in (*KINDS, "engine") for change in changes):
        ledger.set_fact(SPEEDS, None)  # they were another plugin's, or of other workers
    if unanswered:
        note = (
            f"the critic gave no answer for {unanswered} case{'s' * (unanswered > 1)}, perhaps temporarily: asked again"
        )
        runtime.watch(Progress("asked again", unanswered, unanswered, note))
    for change in changes:
        runtime.watch(Progress("settings changed", len(changes), len(changes), str(change)))
    ledger.set_fact(SNAPSHOT, dict(snapshot))


def _record_inputs(run: RunContext, check: DataCheck) -> None:
    settings, splits, store = run.settings.model_dump(mode="json"), run.splits, run.runtime.store
    run.set_fact(SETTINGS, settings)
    experiment = settings["experiment"]
    run.set_fact(
        COMPARISON,
        {name: experiment[name] for name in COMPARED_BY},
    )
    run.set_fact(PLUGINS, run.plugins.to_json(run.settings))
    about = {
        "labels": splits.labels,
        "fingerprint": splits.digest,
        "guide_is_validation": splits.guide_is_validation,
    }
    run.set_fact(DATA, {**check.to_json(), **about})
    store.write_text("run.toml", run.settings.with_data(splits.table).to_toml())
    store.write_text("splits.csv", format_splits(splits))
    if check.dropped:
        store.write_table("leaks.csv", [leak.to_json() for leak in check.dropped])
