"""One run: the stages in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import arms as rows
from ..calls import Calls
from ..config import Settings
from ..data import DataCheck, Splits
from ..records import Arm, Progress
from ..registry import KINDS
from ..stages import Fitted, StageRuntime, measure_maps, predict, snapshots
from ..store import SPEEDS
from .diagnosis import diagnose_seeds, exclude_suspects
from .generation import ImageGeneration
from .plugin_set import PluginSet
from .rounds import run_early_rounds
from .run_context import RunContext, for_seed
from .settings_diff import diff_settings, settings_snapshot
from .train import train


def prepare_run(
    settings: Settings,
    plugins: PluginSet,
    arms: Sequence[Arm],
    runtime: StageRuntime,
    splits: Splits,
    calls: Calls,
    *,
    stop: str,
) -> RunContext:
    """The run of a run that goes up to `stop`; its images are checked, and its settings told.

    Raises:
        DataError: the images do not do for it.
        ConfigError: an arm that was named is not possible.
    """
    begun = runtime.store.ledger.fact("begun") or ()
    tested_before = any(stage.startswith("predict/test:") for stage in begun)
    runtime.store.start()
    for name, value in (("until", stop), ("reached", None)):
        runtime.store.ledger.tell(name, value)
    checked = _checked(runtime, splits, _needed(settings, stop))
    splits = checked.splits
    by_name = not isinstance(settings.experiment.arms, str)
    synthesizer = plugins.synthesizer
    arms, impossible = rows.select_runnable(arms, by_name, synthesizer.uses, bool(splits.reserve), synthesizer.needs)
    recipe, baseline = (rows.resolve_class_weights(recipe, splits.train) for recipe in settings.recipes())
    runtime = replace(runtime, sealed=frozenset(sample.id for sample in splits.test))
    run = RunContext(settings, plugins, arms, runtime, splits, calls, baseline, recipe, impossible)
    _show_changes(
        runtime,
        settings_snapshot(settings.model_dump(mode="json"), plugins.identities(), splits.digest),
        tested_before,
    )
    _tell(run, checked)
    return run


def _needed(settings: Settings, stop: str) -> tuple[str, ...]:
    # A run that stops early never looks at test, and one that trains nothing needs no images to train on.
    trains = settings.experiment.fit_baseline or stop == "report"
    return ("train",) * trains + ("guide",) + ("test",) * (stop == "report")


def _checked(runtime: StageRuntime, splits: Splits, needed: tuple[str, ...]) -> DataCheck:
    count = sum(len(splits[name]) for name in splits.distinct)
    runtime.watch(Progress("check images", 0, count))
    checked = splits.check(needed)
    runtime.watch(Progress("check images", count, count))
    return checked


def _show_changes(runtime: StageRuntime, now: Mapping[str, Any], tested_before: bool) -> None:
    """Tells the watcher what is done anew because settings, plugins or images are others than before."""
    ledger = runtime.store.ledger
    found = diff_settings(ledger.fact("compared") or {}, now)
    if any(change.stale for change in found) and tested_before:
        ledger.tell("test_seen", (ledger.fact("test_seen") or 0) + 1)
    if any(change.key.partition(".")[0] in KINDS for change in found):
        ledger.tell(SPEEDS, None)  # they were another plugin's
    for change in found:
        runtime.watch(Progress("settings changed", len(found), len(found), str(change)))
    ledger.tell("compared", now)


def _tell(run: RunContext, checked: DataCheck) -> None:
    settings, splits = run.settings.model_dump(mode="json"), run.splits
    run.tell("settings", settings)
    experiment = settings["experiment"]
    run.tell("comparison", {name: experiment[name] for name in ("primary", "metric", "smallest_effect", "vary")})
    run.tell("plugins", run.plugins.told(run.settings))
    told = {
        "labels": splits.labels,
        "fingerprint": splits.digest,
        "guide_is_validation": splits.guide_is_validation,
    }
    run.tell("data", {**checked.to_json(), **told})
    run.runtime.store.write_text("run.toml", run.settings.to_toml())
    if checked.dropped:
        run.runtime.store.write_table("leaks.csv", [leak.to_json() for leak in checked.dropped])


def run_stages(
    settings: Settings,
    plugins: PluginSet,
    arms: Sequence[Arm],
    runtime: StageRuntime,
    splits: Splits,
    calls: Calls,
    *,
    stop: str,
) -> None:
    """Goes through the stages of one run, up to and with `stop`; what is finished already is not done again.

    Args:
        settings: checked.
        plugins: the plugins.
        arms: the training conditions, the untouched start among them.
        runtime: where work is kept, who does it, who watches.
        splits: the data, not yet checked.
        calls: for plugins whose work costs money.
        stop: the last stage.
    """
    if runtime.store.ledger.fact("reached") != stop and stop not in ("mistakes", "explain"):
        plugins.critic.check()  # told now, not after hours of training; a finished run needs no key
    run = prepare_run(settings, plugins, arms, runtime, splits, calls, stop=stop)
    _stages(run, stop)
    run.tell("reached", stop)


def _stages(run: RunContext, stop: str) -> None:
    generation, first = ImageGeneration(run), run.seeds[0]
    baselines = {seed: run.baseline(seed) for seed in run.varied("baseline")}
    if stop in ("images", "report"):
        baselines[first] = run_early_rounds(run, generation, baselines[first])
    diagnoses = diagnose_seeds(run, baselines)
    if stop == "mistakes":
        return
    for diagnosis in diagnoses.values():
        diagnosis.explained()
    start = for_seed(diagnoses, first)
    measure_maps(start.runtime, start.baseline, start.mistakes, start.explained(), run.settings.mistakes.faithfulness)
    if stop == "explain":
        return
    diagnoses = exclude_suspects(run, diagnoses)
    if stop == "critique":
        return
    pools = generation.of_last_round(diagnoses)
    if stop == "images":
        return
    _test(run, train(run, diagnoses, pools))


def _test(run: RunContext, fitted: Mapping[tuple[str, int], Fitted]) -> None:
    """Nothing but this looks at the test images, and only when all training is over."""
    test, classes = run.splits.test, len(run.splits.labels)
    for (arm, seed), classifier in fitted.items():
        predict(run.runtime, f"test:{arm}:{seed}", classifier, test, classes)
    for (arm, seed), classifier in fitted.items():
        for step, then in snapshots(classifier).items():
            predict(run.runtime, f"curve:{arm}:{seed}:{step}", then, test, classes)
