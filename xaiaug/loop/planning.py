"""Gathers what is known of a run, and has its plan drawn up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ..config import Settings
from ..data import Splits
from ..errors import RunFolderError, RunLockedError
from ..plan import Assumptions, Plan, PlanRequest, build_plan
from ..records import PICO
from ..records.estimate import Range
from ..stages.faithfulness import PREDICTIONS
from ..store import LEDGER, SPEEDS, CallLedger, Reader, parse_stage
from .plugin_set import PluginSet
from .probe import image_bytes, model_bytes
from .settings_diff import diff_settings, settings_snapshot

SPREAD: Range = (0.8, 1.25)  # how much a speed, or a number of images, may differ from that of the run before
WHOSE = {
    "fit": ("classifier",),
    "predict": ("classifier",),
    "explain": ("classifier", "explainer"),
    "critique": ("critic",),
    "synthesize": ("synthesizer",),
}


def add_past_run(
    known: Assumptions, run_dir: str | Path, settings: Settings, plugins: PluginSet, until: str
) -> Assumptions:
    """What is known, and what the run folder adds to it; nothing where there is no run.

    Args:
        known: before looking into the run folder.
        run_dir: the run folder.
        settings: of the run that is planned: what other settings came to does not count.
        plugins: likewise.
        until: the stage it stops after.

    Raises:
        RunLockedError: another process is writing the run.
    """
    if not Path(run_dir, LEDGER).exists():
        return known
    reader = Reader(run_dir)
    try:
        return _Past(reader, settings, plugins).added_to(known, until)
    finally:
        reader.close()


def is_finished(run_dir: str | Path, settings: Settings, plugins: PluginSet, until: str) -> bool:
    """Whether a run folder holds all that was asked for: then nothing will be paid.

    Args:
        run_dir: the run folder.
        settings: of the run.
        plugins: likewise.
        until: the stage it stops after.

    Raises:
        RunLockedError: another process is writing the run.
    """
    if not Path(run_dir, LEDGER).exists():
        return False
    try:
        reader = Reader(run_dir)
    except RunLockedError:
        raise
    except RunFolderError:
        return False  # torn while it was begun; what is worse is told when it is opened for writing
    try:
        return _Past(reader, settings, plugins).finished(until)
    finally:
        reader.close()


class _Past:
    def __init__(self, reader: Reader, settings: Settings, plugins: PluginSet) -> None:
        self._reader, self._settings = reader, settings
        self._before: Mapping[str, Any] = reader.fact("compared") or {}
        plain = settings.model_dump(mode="json")
        same_data = (reader.fact("settings") or {}).get("data") == plain["data"]
        # The images themselves were not read yet: the same table of settings is taken for the same images.
        fingerprint = self._before.get("data", {}).get("fingerprint", "") if same_data else ""
        self._now = settings_snapshot(plain, plugins.identities(), fingerprint)
        found = diff_settings(self._before, self._now)
        self._stale = {stage for change in found for stage in change.stale} if self._before else {"all"}

    def added_to(self, known: Assumptions, until: str) -> Assumptions:
        spent = CallLedger(self._reader.ledger, self._reader.blobs).spending()
        return replace(
            known,
            mistakes=self._mistakes(),
            made_each=self._made_each(),
            seconds=self._seconds(),
            seconds_from="the run folder" if self._reader.fact(SPEEDS) else "",
            model_bytes=model_bytes(self._reader.folder) if self._same("classifier") else None,
            image_bytes=image_bytes(self._reader.folder) if self._same("synthesizer") else None,
            paid_calls=spent.replies,
            paid_usd=(spent.settled + spent.open) / PICO,
            finished=self.finished(until),
        )

    def finished(self, until: str) -> bool:
        """Whether nothing is left to do."""
        return not self._stale and self._reader.fact("reached") == until

    def _mistakes(self) -> int | None:
        """Mistakes of the baseline; of a later round they say nothing about the first."""
        found = self._reader.fact("mistakes")
        if found is None or self._settings.experiment.rounds > 1 or not self._same("data", "classifier", "baseline"):
            return None
        if "baseline" in self._stale:
            return None
        return sum(int(count) for _, _, count in found)

    def _made_each(self) -> Range | None:
        """Images made for one that was wanted, over all sources whose images were checked."""
        told = self._reader.fact("images")
        if not told or self._stale & {"all", "images", "mistakes"}:
            return None
        stages = self._reader.stages()
        waves = {name: total for name, (_, total) in stages.items() if parse_stage(name)[1] == "synthesize"}
        wanted = sum(total for name, total in waves.items() if name.endswith("/0"))
        held, found = len(self._reader.fact("held") or ()), stages.get("cases", ((), 0))[1]
        if not wanted or not found:
            return None
        each = sum(waves.values()) / wanted * (1 - held / found)
        return each * SPREAD[0], each * SPREAD[1]

    def _seconds(self) -> dict[str, Range]:
        found = self._reader.fact(SPEEDS) or {}
        return {
            stage: (spent / units * SPREAD[0], spent / units * SPREAD[1])
            for stage, (units, spent) in found.items()
            if stage in WHOSE and self._same(*WHOSE[stage])
        }

    def _same(self, *tables: str) -> bool:
        return bool(self._before) and all(self._before.get(name) == self._now.get(name) for name in tables)


LOOKED_AT = 8  # images of the guide that are opened to see how large images are


def plan_run(
    asked: PlanRequest, plugins: PluginSet, splits: Splits, run_dir: str | Path, *, probe: bool = False
) -> Plan:
    """The plan of a run.

    Args:
        asked: what it is about.
        plugins: the plugins; none is prepared unless there is a probe.
        splits: the data, not checked.
        run_dir: where the run lies, or will lie.
        probe: whether to measure speeds on a few images.
    """
    known = add_past_run(_found(splits), run_dir, asked.settings, plugins, asked.until)
    if probe:
        from .probe import probe_speeds

        known = probe_speeds(known, asked.settings, plugins, splits)
    return build_plan(asked, known)


def _found(splits: Splits) -> Assumptions:
    images = {name: len(splits[name]) for name in ("train", "guide", "validation", "test", "reserve")}
    step = max(1, len(splits.guide) // LOOKED_AT)
    sizes = [sample.open().size for sample in splits.guide[::step][:LOOKED_AT]]
    pixels = fmean(width * height for width, height in sizes) if sizes else 0.0
    return Assumptions(images, len(splits.labels), pixels, PREDICTIONS)
