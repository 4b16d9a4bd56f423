"""How long a part takes."""

from __future__ import annotations

from collections.abc import Mapping

from ..records import Estimate
from ..records.estimate import Range
from .known import BATCH_SECONDS, CALL_SECONDS, Known
from .parts import Part
from .spans import added_known, times, times_known

_STAGES = {"critic": "critique", "synthesizer": "synthesize"}


def hours(part: Part, known: Known, remote: Mapping[str, Estimate]) -> Range | None:
    """Hours; None where a speed is not known.

    Args:
        part: what is done.
        known: holds the speeds.
        remote: what each plugin that works elsewhere says of the part, by kind: where no speed was seen its calls
            are taken to last as long as calls do.
    """
    units = {
        "fit": part.passes,
        "predict": part.predicted,
        "explain": part.maps,
        "critique": part.cases,
        "synthesize": part.images,
    }
    seconds = {stage: times_known(count, known.seconds.get(stage)) for stage, count in units.items()}
    for kind, estimate in remote.items():
        stage = _STAGES.get(kind)
        if stage and estimate.batched and estimate.calls[1]:
            turns = max(1, round(estimate.calls[0] / max(1.0, units[stage][0])))
            seconds[stage] = times(BATCH_SECONDS, turns)
        elif stage and stage not in known.seconds and estimate.calls[1]:
            seconds[stage] = times(estimate.calls, CALL_SECONDS)
    spent = added_known(seconds.values())
    return None if spent is None else times(spent, 1 / 3600)
