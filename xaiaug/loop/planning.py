"""Plans a run: gathers what is known of it, from its folder too, and has the plan built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ..causes import MOST_CORRECT
from ..causes import PREDICTIONS as CAUSE_PREDICTIONS
from ..config import Settings
from ..data import Splits
from ..errors import RunCutShortError
from ..plan import Assumptions, Plan, PlanRequest, build_plan
from ..records import PICO
from ..records.estimate import Range
from ..records.pipeline import REDONE, TIMED, StageKind, WorkKind
from ..stages import count_unanswered
from ..stages.faithfulness import PREDICTIONS as MAP_PREDICTIONS
from ..store import CallLedger, Reader, to_run_folder
from ..store.lost_ledger import has_ledger
from ..store.schema import CASES, HELD, IMAGES, MISTAKES, REACHED, SETTINGS, SLICES, SNAPSHOT, SPEEDS
from ..store.stage_rows import SlicesRow
from .plugin_set import PluginSet
from .probe import image_bytes, model_bytes, probe_speeds
from .settings_diff import diff_settings, settings_snapshot

SPREAD: Range = (0.8, 1.25)  # how much a speed, or a number of images, may differ from that of the run before
AFTER_SLICES = frozenset(REDONE[REDONE.index("critiques") :])  # what a change may make stale without touching slices
LOOKED_AT = 8  # images of the guide that are opened to see how large images are


def plan_run(
    request: PlanRequest, plugins: PluginSet, splits: Splits, run_dir: str | Path, *, probe: bool = False
) -> Plan:
    """The plan of a run.

    Args:
        request: what it is about.
        plugins: of the run; none is prepared unless there is a probe.
        splits: the data, not checked.
        run_dir: where the run lies, or will lie.
        probe: whether to measure speeds on a few images.

    Raises:
        RunLockedError: another process is writing the run.
    """
    known = replace(_look_at(splits), workers=_count_workers(request.settings.engine.model_dump()))
    known = _add_past_run(known, request, plugins, run_dir)
    if probe:
        known = probe_speeds(known, request.settings, plugins, splits)
    return build_plan(request, known)


def _count_workers(engine: Mapping[str, Any]) -> dict[str, int]:
    """Workers of each kind of work, by the table `[engine]`; how many a cluster has room for is not known: one."""
    usual = engine.get("workers") or 1
    return {str(kind): (engine.get(kind) or {}).get("workers") or usual for kind in WorkKind}


def is_finished(run_dir: str | Path, settings: Settings, plugins: PluginSet, until: str) -> bool:
    """Whether a run folder holds all that is asked for: then nothing will be paid.

    Args:
        run_dir: the run folder.
        settings: of the run.
        plugins: of the run.
        until: the step it ends after.

    Raises:
        RunLockedError: another process is writing the run.
        RunFolderError: its ledger is damaged, or has forgotten paid calls.
    """
    reader = _open_past_run(run_dir)
    if reader is None:
        return False
    try:
        return _PastRun(reader, settings, plugins).is_finished(until)
    finally:
        reader.close()


def _open_past_run(run_dir: str | Path) -> Reader | None:
    """The run in a folder; None where there is none, or a kill left one that only the next run can read."""
    try:
        return Reader(run_dir) if has_ledger(to_run_folder(run_dir)) else None
    except RunCutShortError:
        return None


def _look_at(splits: Splits) -> Assumptions:
    images = {name: len(splits[name]) for name in ("train", "guide", "validation", "test", "reserve")}
    step = max(1, len(splits.guide) // LOOKED_AT)
    sizes = [sample.open().size for sample in splits.guide[::step][:LOOKED_AT]]
    pixels = fmean(width * height for width, height in sizes) if sizes else 0.0
    return Assumptions(
        images,
        len(splits.labels),
        pixels,
        map_predictions=MAP_PREDICTIONS,
        cause_predictions=CAUSE_PREDICTIONS,
        cause_images=MOST_CORRECT,
    )


def _add_past_run(known: Assumptions, request: PlanRequest, plugins: PluginSet, run_dir: str | Path) -> Assumptions:
    """What is known, and what the run folder adds to it; nothing where there is no run."""
    reader = _open_past_run(run_dir)
    if reader is None:
        return known
    try:
        return _PastRun(reader, request.settings, plugins).add_to(known, request.until)
    finally:
        reader.close()


class _PastRun:
    """What a run folder knows that a plan would otherwise assume; results of other settings do not count."""

    def __init__(self, reader: Reader, settings: Settings, plugins: PluginSet) -> None:
        self._reader, self._settings = reader, settings
        self._before = reader.get_fact(SNAPSHOT) or {}
        plain = settings.model_dump(mode="json")
        same_data = (reader.get_fact(SETTINGS) or {}).get("data") == plain["data"]
        # The images themselves were not read yet: the same table of settings is taken for the same images.
        fingerprint = self._before.get("data", {}).get("fingerprint", "") if same_data else ""
        self._now = settings_snapshot(plain, plugins.identities(), fingerprint)
        changes = diff_settings(self._before, self._now)
        self._stale = {work for change in changes for work in change.stale} if self._before else {"all"}

    def add_to(self, known: Assumptions, until: str) -> Assumptions:
        """The assumptions, replaced by what the run folder knows."""
        spending = CallLedger(self._reader.ledger, self._reader.blobs).spending()
        return replace(
            known,
            mistakes=self._mistakes(),
            slices=self._slices(),
            made_each=self._images_per_wanted(),
            seconds=self._seconds(),
            seconds_from="the run folder" if self._reader.get_fact(SPEEDS) else "",
            measured_workers=_count_workers(self._before.get("engine") or {}),
            model_bytes=model_bytes(self._reader.folder) if self._is_same("classifier") else None,
            image_bytes=image_bytes(self._reader.folder) if self._is_same("synthesizer") else None,
            paid_calls=spending.replies,
            paid_usd=(spending.settled + spending.open) / PICO,
            finished=self.is_finished(until),
        )

    def is_finished(self, until: str) -> bool:
        """Whether nothing is left to do."""
        reached = not self._stale and self._reader.get_fact(REACHED) == until
        return reached and not count_unanswered(self._reader.ledger)

    def _mistakes(self) -> int | None:
        """Mistakes of the baseline; those of a later round say nothing about the first."""
        mistakes = self._reader.get_fact(MISTAKES)
        is_first = self._settings.experiment.rounds == 1 and self._is_same("data", "classifier", "baseline")
        if mistakes is None or not is_first or "baseline" in self._stale:
            return None
        return sum(int(count) for _, _, count in mistakes)

    def _slices(self) -> tuple[int, int] | None:
        """Requests that the slices take, one for each true class, and the mistakes in them."""
        row: SlicesRow | None = next(self._reader.rows(SLICES), None)
        if row is None or self._stale - AFTER_SLICES:
            return None
        labels = {case["id"]: case["label"] for case in self._reader.rows(CASES)}
        inside = [[labels[case] for case in one["cases"] if case in labels] for one in row["slices"]]
        return sum(len(set(classes)) for classes in inside), sum(map(len, inside))

    def _images_per_wanted(self) -> Range | None:
        """Images made for one that was wanted, over all sources whose images were checked."""
        if not self._reader.get_fact(IMAGES) or self._stale & {"all", "images", "mistakes"}:
            return None
        stages = self._reader.stages()
        waves = {name: total for name, (_, total) in stages.items() if name.kind == StageKind.SYNTHESIZE}
        wanted = sum(total for name, total in waves.items() if name.is_first_wave)
        held, (_, cases) = self._reader.get_fact(HELD), stages.get(CASES, ([], 0))
        if not wanted or not cases:
            return None
        each = sum(waves.values()) / wanted * (1 - len(held or []) / cases)
        return each * SPREAD[0], each * SPREAD[1]

    def _seconds(self) -> dict[str, Range]:
        speeds = self._reader.get_fact(SPEEDS) or {}
        return {
            kind: (speeds[kind][1] / speeds[kind][0] * SPREAD[0], speeds[kind][1] / speeds[kind][0] * SPREAD[1])
            for kind, plugins in TIMED.items()
            if kind in speeds and self._is_same(*plugins)
        }

    def _is_same(self, *tables: str) -> bool:
        return bool(self._before) and all(self._before.get(name) == self._now.get(name) for name in tables)
