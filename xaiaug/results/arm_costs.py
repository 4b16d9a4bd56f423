"""What each arm of a run took: minutes of training, and dollars for its critiques and images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..records import PICO
from ..records.pipeline import StageKind
from ..report.schema_report import ArmCost
from ..store import Reader, StageName
from ..store.schema import ARMS, IMAGES, SPENT, ArmFact, ImagesFact, Wave, fit_stage, is_critique_of, is_tried_part
from ..store.stage_rows import FitRow
from .predictions import seeds_of


def list_arm_costs(reader: Reader) -> tuple[ArmCost, ...]:
    """What each trained arm took, in order."""
    made: list[ImagesFact] = reader.get_fact(IMAGES) or []
    images = {arm: entry for entry in reversed(made) for arm in entry["arms"]}
    return tuple(_cost(reader, fact, images.get(fact["arm"]["name"])) for fact in reader.get_fact(ARMS) or [])


def _cost(reader: Reader, fact: ArmFact, images: ImagesFact | None) -> ArmCost:
    arm = fact["arm"]
    trained = arm["real"] != "none" or arm["images"] is not None
    usd = 0.0 if images is None else sum(_read_spending(reader, images)) / PICO
    return ArmCost(name=arm["name"], minutes=round(_count_minutes(reader, fact), 3) if trained else 0.0, usd=usd)


def _count_minutes(reader: Reader, fact: ArmFact) -> float:
    """Those of one training, or of all that tried settings, the chosen one among them."""
    arm = fact["arm"]["name"]
    if fact["used"]["settings_tried"] > 1:
        tried = [stage for stage in reader.stages() if is_tried_part(stage.part) and stage.kind == StageKind.FIT]
        return _sum_minutes(row for stage in tried if stage.detail[0] == arm for row in reader.rows(stage))
    fits = [row for seed in seeds_of(reader, arm) for row in reader.rows(fit_stage(arm, seed))]
    return _sum_minutes(fits) / max(1, len(fits))


def _sum_minutes(fits: Iterable[FitRow]) -> float:
    return sum(row["seconds"] for row in fits) / 60


def _read_spending(reader: Reader, images: ImagesFact) -> Iterator[int]:
    """Picodollars of the stages that the images of a source and its first seed came from."""
    spent = reader.get_fact(SPENT) or {}
    cases, heatmaps = images["source"]["cases"], images["source"]["map"]
    for name, amount in spent.items():
        stage = StageName.parse(name)
        if images["asks"] and is_critique_of(stage, cases, heatmaps) and not stage.part:
            yield amount
        if stage.kind in (StageKind.SYNTHESIZE, StageKind.VLM_CHECK) and not stage.part:
            wave = Wave.of(stage)
            yield amount if (wave.source, wave.seed) == (images["name"], images["seed"]) else 0
