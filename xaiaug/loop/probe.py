"""Measures this machine's speed: runs the loop on a few images, in a folder of its own."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import fmean

from .. import arms as rows
from ..arms import effort
from ..calls import Calls
from ..config import Settings, create_plugin, merge_tables, parse_settings
from ..data import Splits
from ..data.split_options import Policy
from ..engines import LocalEngine
from ..files import Directory, Entry
from ..plan import Assumptions
from ..records import Recipe, Sample
from ..records.estimate import Range
from ..records.pipeline import BASELINE, CONTINUED, HEADLINE, StageKind, Stop
from ..stages import StageRuntime
from ..store import CallLedger, Store, open_reader
from ..store.run_files import MODELS, SYNTHETIC
from ..store.schema import SPEEDS, fit_stage
from ..store.stage_rows import FitRow
from .plugin_set import PluginSet
from .run import prepare_run, run_stages

SPREAD: Range = (0.6, 1.6)  # how much the speed of a run may differ from that of so few images
IMAGES = 48  # of the guide; each class gives as many
WARM, FEWEST, MOST = 1, 4, 40  # steps of a training: of one that only starts, and of the one that counts
TRAINING_S = 10.0  # what that one should take
LOOKED_AT = 50  # images whose size on disk is looked up


def probe_speeds(known: Assumptions, settings: Settings, plugins: PluginSet, splits: Splits) -> Assumptions:
    """What is known, and what a probe adds to it: speeds of what works on this machine, sizes where none is known.

    The loop runs twice, and the second run counts: the first one loads what is loaded once. Its arm trains on images as
    the planned run does, each opened as often, and is measured as often on validation; what a training takes beside its
    steps is known from a baseline of one step. Nothing is sent away: a remote critic is replaced by one that works
    here, and a remote synthesizer is not asked: the arm that is timed then trains on real images alone.

    Args:
        known: before the probe.
        settings: of the run that is planned.
        plugins: its plugins.
        splits: its images, of which few are used.
    """
    if plugins.classifier.remote or plugins.explainer.remote:
        return known
    here = _replace_remote(plugins)
    with tempfile.TemporaryDirectory(prefix="xaiaug-probe-") as folder:
        arm = CONTINUED if plugins.synthesizer.remote else HEADLINE
        first = _run_small(_small_settings(settings, WARM), here, arm, _few_images(splits), Path(folder, "first"))
        run_dir, steps = Path(folder, "second"), _steps(first)
        few = _few_images(splits, settings.recipes()[0], steps)
        measured = _run_small(_small_settings(settings, steps), here, arm, few, run_dir)
        training = _time_training(run_dir, arm, settings, splits, few, steps)
        return replace(
            known,
            # What a run took with all its images counts more.
            seconds={**_seconds(measured, plugins), **training, **known.seconds},
            seconds_from=" and ".join(filter(None, (known.seconds_from, "a probe on a few images"))),
            model_bytes=known.model_bytes or model_bytes(run_dir),
            image_bytes=known.image_bytes or image_bytes(run_dir),
        )


def _steps(first: Mapping[str, Sequence[float]]) -> int:
    """Steps of the training that counts; a classifier that is not trained at first is taken for a slow one."""
    if StageKind.FIT not in first:
        return FEWEST
    return min(MOST, max(FEWEST, round(TRAINING_S / (first[StageKind.FIT][1] / 2 / WARM))))


def _time_training(
    run_dir: Path, arm: str, settings: Settings, splits: Splits, few: Splits, steps: int
) -> dict[str, Range]:
    """Seconds of training for each unit of its effort, of a training as long as the planned one.

    The probe's arm less its baseline, of one step, is what steps take; the rest is what every training takes once.
    Empty where the probe trained only one of them.
    """
    with open_reader(run_dir) as reader:
        rows: list[FitRow | None] = [next(reader.rows(fit_stage(one, 0)), None) for one in (BASELINE, arm)]
    if rows[0] is None or rows[1] is None:
        return {}
    recipe, baseline = settings.recipes()
    sizes = len(few.train), len(few.validation)
    short, long = effort(replace(baseline, steps=WARM), *sizes), effort(replace(recipe, steps=steps), *sizes)
    started, took = rows[0]["seconds"], rows[1]["seconds"]
    each = (took - started) / max(1, long - short)
    if long <= short or each <= 0:
        return {}
    once = max(0.0, started - short * each)
    planned = each + once / effort(recipe, len(splits.train), len(splits.validation))
    return {StageKind.FIT: (planned * SPREAD[0], planned * SPREAD[1])}


def _replace_remote(plugins: PluginSet) -> PluginSet:
    # One critic, asked once, tells the speed of all critiques well enough.
    alone, usual = replace(plugins, others=(), image_critic=None), Settings()
    if plugins.critic.remote:
        alone = replace(alone, critic=create_plugin("critic", usual.critic))
    if plugins.synthesizer.remote:
        alone = replace(alone, synthesizer=create_plugin("synthesizer", usual.synthesizer))
    return alone


def _seconds(measured: Mapping[str, Sequence[float]], plugins: PluginSet) -> dict[str, Range]:
    return {
        stage: (spent / units * SPREAD[0], spent / units * SPREAD[1])
        for stage, (units, spent) in measured.items()
        if not (stage == StageKind.CRITIQUE and plugins.critic.remote)
    }


def _run_small(
    settings: Settings, plugins: PluginSet, arm: str, splits: Splits, folder: Path
) -> dict[str, list[float]]:
    with Store(folder) as store:
        runtime = StageRuntime(store, LocalEngine(), lambda _: None)
        calls = Calls(CallLedger(store.ledger, store.blobs), budget_usd=None)
        arms = rows.resolve_arms((arm,))
        run_stages(prepare_run(settings, plugins, arms, runtime, splits, calls, until=Stop.REPORT))
        return store.ledger.get_fact(SPEEDS) or {}


def _small_settings(settings: Settings, steps: int) -> Settings:
    tables = settings.model_dump()
    small = {
        "mistakes": {"max": 6},
        "critic": {"per": "mistake", "unsliced": "ask", "samples": 1, "others": ()},
        "experiment": {"seeds": (0,), "vary": (), "images_per_mistake": 1, "rounds": 1, "test_curves": False},
        "curation": {"remakes": 0, "suspects": (), "vlm": None},
        "recipe": {"steps": steps},
        "baseline": {"steps": WARM},
    }
    return parse_settings(merge_tables(tables, small), "probe")


def _few_images(splits: Splits, recipe: Recipe | None = None, steps: int = WARM) -> Splits:
    """Some images of each class; of train and validation so many that a training of some steps treats them as the
    planned one does.

    Args:
        splits: of the run.
        recipe: of the planned training; None: few images will do.
        steps: of the probe's training.
    """
    classes = len(splits.labels)
    each = max(2, IMAGES // classes)
    train, validation = each, 0
    if recipe is not None:
        part = min(1.0, steps / recipe.steps)
        passes = min(steps * recipe.batch_size, math.ceil(part * len(splits.train)))
        train = max(each, math.ceil(passes / classes))
        validation = math.ceil(part * len(splits.validation) / classes)
    # With the next class's label nearly every image is a mistake, however good the classifier is.
    guide = [replace(sample, label=(sample.label + 1) % classes) for sample in _first_of_each_class(splits.guide, each)]
    return replace(
        splits,
        train=_first_of_each_class(splits.train, train),
        guide=guide,
        validation=_first_of_each_class(splits.validation, validation),
        test=_first_of_each_class(splits.test, each),
        reserve=(),
        guide_is_validation=False,
        policy=Policy(on_bad_image="skip", on_leak="drop", on_near_duplicate="allow"),
    )


def _first_of_each_class(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The first so many samples of each class."""
    taken: Counter[int] = Counter()
    found = []
    for sample in samples:
        taken[sample.label] += 1
        if taken[sample.label] <= count:
            found.append(sample)
    return found


def model_bytes(run_dir: Path) -> float | None:
    """Bytes of a model folder, on average; None where there is none."""
    files = Directory(run_dir)
    with suppress(OSError):  # what is damaged is reported when the run is opened for writing
        arms = [entry.name for entry in files.entries(MODELS) if entry.kind == "folder"]
        folders = [entry.name for arm in arms for entry in files.entries(arm) if entry.kind == "folder"]
        return _average(_sum_sizes(files, files.entries(folder)) for folder in folders)
    return None


def image_bytes(run_dir: Path) -> float | None:
    """Bytes of a kept image, on average; None where there is none."""
    files = Directory(run_dir)
    images = (entry for entry in files.walk(SYNTHETIC) if entry.name.endswith(".png") and entry.kind == "file")
    with suppress(OSError):
        return _average(files.stat(image.name).st_size for image in islice(images, LOOKED_AT))
    return None


def _average(sizes: Iterable[int]) -> float | None:
    known = list(sizes)
    return fmean(known) if known else None


def _sum_sizes(files: Directory, entries: Iterable[Entry]) -> int:
    return sum(files.stat(entry.name).st_size for entry in entries if entry.kind == "file")
