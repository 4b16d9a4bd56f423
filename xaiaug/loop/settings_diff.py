"""Which settings differ from those a run folder was last run with, and which work that makes stale."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..records.pipeline import REDONE
from ..registry import KINDS


class _NotSet(str):
    """What stands for a setting that is not there: words, which no quotes make a value of."""

    def __repr__(self) -> str:
        return str(self)


ALL, NOTHING, MISSING = 0, len(REDONE), _NotSet("not set")
# Index in `REDONE` of the first work that a setting decides; the longest name that fits counts.
_FROM = {
    "data": ALL,
    "data.marks": 4,
    "classifier": ALL,
    "baseline": ALL,
    "experiment.fit_baseline": ALL,
    "experiment.rounds": 1,
    "experiment.promote": 1,
    "experiment.vary": 1,
    "mistakes": 2,
    "mistakes.faithfulness": NOTHING,
    "mistakes.slices": NOTHING,
    "mistakes.donors": 4,
    "explainer": 2,
    "panel": 3,
    "critic": 3,
    "synthesizer": 4,
    "synthesizers": 4,
    "curation": 4,
    "experiment": 4,
    "recipe": 5,
    "experiment.until": NOTHING,
    "experiment.metric": NOTHING,
    "experiment.primary": NOTHING,
    "experiment.smallest_effect": NOTHING,
    "experiment.smallest_group": NOTHING,
    "experiment.margin": NOTHING,
    "experiment.checkpoint_steps": NOTHING,
    "privacy": NOTHING,
    "budget": NOTHING,
    "limits": NOTHING,
    "engine": NOTHING,
    "report": NOTHING,
}
# What a critic is asked about, with the usual values. They are kept beside its identity where they are others.
_ASKED = {"per": "mistake", "unsliced": "ask", "samples": 1}


@dataclass(frozen=True)
class Change:
    """A setting that differs.

    Attributes:
        key: such as "critic.model".
        before: as it was; "not set" where it was not there.
        after: as it is, likewise.
        stale: the stages whose work is done again where it depends on the setting.
    """

    key: str
    before: Any
    after: Any
    stale: tuple[str, ...]

    def __str__(self) -> str:
        again = f"again: {', '.join(self.stale)}" if self.stale else "nothing is done again"
        return f"{self.key}: {self.before!r} -> {self.after!r} ({again})"


def diff_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The settings that differ, in order.

    Args:
        before: nested tables, as an earlier run recorded them; empty where there was none.
        after: likewise, of now.
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    names = [*old, *(name for name in new if name not in old)] if before else []
    return [
        Change(name, old.get(name, MISSING), new.get(name, MISSING), REDONE[_first(name, after) :])
        for name in names
        if old.get(name, MISSING) != new.get(name, MISSING)
    ]


def settings_snapshot(settings: Mapping[str, Any], plugins: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """Settings as they are compared: plugins by their identity, whatever named them, and data by its content."""
    tables = {name: table for name, table in settings.items() if name not in (*KINDS, "synthesizers")}
    critic = settings.get("critic") or {}
    asked = {name: critic[name] for name, usual in _ASKED.items() if critic.get(name, usual) != usual}
    plugins = {kind: {**identity, **asked} if kind == "critic" else identity for kind, identity in plugins.items()}
    # A parameter may be a tuple; what was recorded comes back from its file as a list.
    snapshot: dict[str, Any] = json.loads(json.dumps({**tables, **plugins, "data": {"fingerprint": fingerprint}}))
    return snapshot


def _first(name: str, after: Mapping[str, Any]) -> int:
    table, _, key = name.partition(".")
    if table == "recipe" and key not in after.get("baseline", {}):
        return ALL  # the baseline is trained as the arms are unless [baseline] sets the field
    return _FROM.get(name, _FROM.get(table, ALL))


def _flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tables.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
