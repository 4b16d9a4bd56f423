"""Tests the causes that a run's critic states, where its settings ask for it."""

from __future__ import annotations

from collections.abc import Mapping

from .. import arms as rows
from ..interfaces import Plugin
from ..plugins._segmentation import Segmenter, create_segmenter
from ..stages import Diagnosis
from .run_context import RunContext


def test_causes(run: RunContext, diagnoses: Mapping[int, Diagnosis]) -> None:
    """Tests the causes that are reported, those of slices, and those of sources that use confirmed ones alone."""
    if not run.settings.critic.test_causes:
        return
    maps = {source.map: source for source in rows.sources(run.arms) if source.causes == "confirmed"}
    for diagnosis in diagnoses.values():
        for source in {rows.GENERATED.map: rows.GENERATED, **maps}.values():
            diagnosis.causes(source)
        diagnosis.test_slices()


def create_finder(run: RunContext) -> Segmenter:
    """The segmenter that the critic or else the synthesizer is set to; the library's own where neither is."""
    plugins: tuple[Plugin, ...] = (run.plugins.critic, run.plugins.synthesizer)
    settings = (getattr(plugin, "segmenter", None) for plugin in plugins)
    setting = next((one for one in settings if isinstance(one, str | dict)), None)
    return create_segmenter(setting, "test_causes")
