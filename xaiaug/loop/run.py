"""One run: the stages in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..calls import Calls
from ..config import Settings
from ..data import Splits
from ..records import Arm
from ..stages import Desk, Fitted, along, measure_maps, predict
from .cast import Cast
from .drawing import Drawing
from .grounds import grounds_of, without_suspects
from .opening import opened
from .rounds import promoted
from .scene import Scene, own
from .training import train


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
