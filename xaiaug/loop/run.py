"""One run: the stages in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import arms as rows
from ..calls import Calls
from ..config import Settings
from ..data import Splits
from ..data.split_check import DataCheck
from ..records import Arm, Progress
from ..registry import KINDS
from ..stages import Desk, Fitted, along, measure_maps, predict
from ..store import SPEEDS
from .diagnosis import grounds_of, without_suspects
from .generation import Drawing
from .plugin_set import Cast
from .rounds import promoted
from .run_context import Scene, own
from .settings_diff import changes, compared
from .train import train


def opened(
    settings: Settings, cast: Cast, arms: Sequence[Arm], desk: Desk, splits: Splits, calls: Calls, *, stop: str
) -> Scene:
    """The scene of a run that goes up to `stop`; its images are checked, and its settings told.

    Raises:
        DataError: the images do not do for it.
        ConfigError: an arm that was named is not possible.
    """
    begun = desk.store.ledger.fact("begun") or ()
    tested_before = any(stage.startswith("predict/test:") for stage in begun)
    desk.store.start()
    for name, value in (("until", stop), ("reached", None)):
        desk.store.ledger.tell(name, value)
    checked = _checked(desk, splits, _needed(settings, stop))
    splits = checked.splits
    by_name = not isinstance(settings.experiment.arms, str)
    synthesizer = cast.synthesizer
    arms, impossible = rows.possible(arms, by_name, synthesizer.uses, bool(splits.reserve), synthesizer.needs)
    recipe, baseline = (rows.with_class_weights(recipe, splits.train) for recipe in settings.recipes())
    desk = replace(desk, sealed=frozenset(sample.id for sample in splits.test))
    scene = Scene(settings, cast, arms, desk, splits, calls, baseline, recipe, impossible)
    _show_changes(
        desk, compared(settings.model_dump(mode="json"), cast.identities(), splits.fingerprint), tested_before
    )
    _tell(scene, checked)
    return scene


def _needed(settings: Settings, stop: str) -> tuple[str, ...]:
    # A run that stops early never looks at test, and one that trains nothing needs no images to train on.
    trains = settings.experiment.fit_baseline or stop == "report"
    return ("train",) * trains + ("guide",) + ("test",) * (stop == "report")


def _checked(desk: Desk, splits: Splits, needed: tuple[str, ...]) -> DataCheck:
    count = sum(len(splits[name]) for name in splits.distinct)
    desk.watch(Progress("check images", 0, count))
    checked = splits.check(needed)
    desk.watch(Progress("check images", count, count))
    return checked


def _show_changes(desk: Desk, now: Mapping[str, Any], tested_before: bool) -> None:
    """Tells the watcher what is done anew because settings, plugins or images are others than before."""
    ledger = desk.store.ledger
    found = changes(ledger.fact("compared") or {}, now)
    if any(change.stale for change in found) and tested_before:
        ledger.tell("test_seen", (ledger.fact("test_seen") or 0) + 1)
    if any(change.key.partition(".")[0] in KINDS for change in found):
        ledger.tell(SPEEDS, None)  # they were another plugin's
    for change in found:
        desk.watch(Progress("settings changed", len(found), len(found), str(change)))
    ledger.tell("compared", now)


def _tell(scene: Scene, checked: DataCheck) -> None:
    settings, splits = scene.settings.model_dump(mode="json"), scene.splits
    scene.tell("settings", settings)
    experiment = settings["experiment"]
    scene.tell("comparison", {name: experiment[name] for name in ("primary", "metric", "smallest_effect", "vary")})
    scene.tell("plugins", scene.cast.told(scene.settings))
    told = {
        "labels": splits.labels,
        "fingerprint": splits.fingerprint,
        "guide_is_validation": splits.guide_is_validation,
    }
    scene.tell("data", {**checked.to_json(), **told})
    scene.desk.store.write_text("run.toml", scene.settings.to_toml())
    if checked.dropped:
        scene.desk.store.write_table("leaks.csv", [leak.to_json() for leak in checked.dropped])


def conduct(
    settings: Settings, cast: Cast, arms: Sequence[Arm], desk: Desk, splits: Splits, calls: Calls, *, stop: str
) -> None:
    """Goes through the stages of one run, up to and with `stop`; what is finished already is not done again.

    Args:
        settings: checked.
        cast: the plugins.
        arms: the training conditions, the untouched start among them.
        desk: where work is kept, who does it, who watches.
        splits: the data, not yet checked.
        calls: for plugins whose work costs money.
        stop: the last stage.
    """
    if desk.store.ledger.fact("reached") != stop and stop not in ("mistakes", "explain"):
        cast.critic.check()  # told now, not after hours of training; a finished run needs no key
    scene = opened(settings, cast, arms, desk, splits, calls, stop=stop)
    _stages(scene, stop)
    scene.tell("reached", stop)


def _stages(scene: Scene, stop: str) -> None:
    drawing, first = Drawing(scene), scene.seeds[0]
    baselines = {seed: scene.baseline(seed) for seed in scene.varied("baseline")}
    if stop in ("images", "report"):
        baselines[first] = promoted(scene, drawing, baselines[first])
    grounds = grounds_of(scene, baselines)
    if stop == "mistakes":
        return
    for ground in grounds.values():
        ground.explained()
    start = own(grounds, first)
    measure_maps(start.desk, start.baseline, start.mistakes, start.explained(), scene.settings.mistakes.faithfulness)
    if stop == "explain":
        return
    grounds = without_suspects(scene, grounds)
    if stop == "critique":
        return
    pools = drawing.of_last_round(grounds)
    if stop == "images":
        return
    _test(scene, train(scene, grounds, pools))


def _test(scene: Scene, fitted: Mapping[tuple[str, int], Fitted]) -> None:
    """Nothing but this looks at the test images, and only when all training is over."""
    test, classes = scene.splits.test, len(scene.splits.labels)
    for (arm, seed), classifier in fitted.items():
        predict(scene.desk, f"test:{arm}:{seed}", classifier, test, classes)
    for (arm, seed), classifier in fitted.items():
        for step, then in along(classifier).items():
            predict(scene.desk, f"curve:{arm}:{seed}:{step}", then, test, classes)
