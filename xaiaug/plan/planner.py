"""Builds the plan of a run from its settings and what is known: a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import cast

from .. import arms as rows
from ..calls import Prices
from ..config import Settings
from ..errors import MissingExtraError, UnknownPriceError
from ..records import Arm, ImageSource
from ..records.estimate import ZERO, Range, add_optional, add_ranges
from ..records.pipeline import IMAGE_CRITIC, STARTS, StageKind, Stop, reaches
from .assumptions import Assumptions, describe_upload, list_assumptions
from .costs import Bill, add_bills, bill, disk_bytes, stage_hours
from .permissions import ImageChecker, ImageMaker, SheetReader, Worker, models_of, obstacles
from .record import Line, Plan, Receiver, add_lines
from .workload import WorkItem, work_items


@dataclass(frozen=True)
class PlanRequest:
    """What a plan is asked about.

    Attributes:
        settings: of the run, checked.
        workers: its plugins, by kind; none of them prepared.
        names: what to call them, by kind.
        arms: its training conditions, as resolved.
        prices: what models cost.
        until: the stage it stops after.
        synthesizers: those that arms name beside the run's, by name.
        available: what the run has that arms need.
        others: critics that are asked beside the run's, with their names.
        image_critic: that is asked whether new images show what was wished for; None where none is.
    """

    settings: Settings
    workers: Mapping[str, Worker]
    names: Mapping[str, str]
    arms: Sequence[Arm]
    prices: Prices
    until: str
    synthesizers: Mapping[str, ImageMaker] = field(default_factory=dict)
    available: rows.Available = field(default_factory=rows.Available)
    others: Sequence[tuple[str, Worker]] = ()
    image_critic: ImageChecker | None = None

    @property
    def critics(self) -> list[Worker]:
        """All critics that are asked, the run's first."""
        return [self.workers["critic"], *(worker for _, worker in self.others)]

    def synthesizer_of(self, source: ImageSource | None) -> ImageMaker:
        """The synthesizer of a source's images."""
        name = source.synthesizer if source else None
        return self.synthesizers.get(name or "", cast(ImageMaker, self.workers["synthesizer"]))


def build_plan(asked: PlanRequest, known: Assumptions) -> Plan:
    """The plan of a run.

    Args:
        asked: what it is about.
        known: what is known before it begins.

    Raises:
        ConfigError: an arm that was asked for by its own name would show nothing here.
    """
    settings, taking_part = asked.settings, _taking_part(asked)
    workers = [worker for _, _, worker in taking_part]
    by_name = not isinstance(settings.experiment.arms, str)

    def missing(arm: Arm) -> str:
        return rows.missing_requirement(arm, asked.synthesizer_of(arm.images), asked.available)

    arms, left_out = rows.select_runnable(asked.arms, by_name, missing)
    lines = _lines(asked, arms, known)
    return Plan(
        until=asked.until,
        mistakes=known.count_steering_mistakes(settings),
        mistakes_known=known.mistakes is not None,
        lines=lines,
        workers=known.workers,
        stage_hours=_sum_stage_hours(asked, arms, known),
        further=_further(asked, arms, known, lines),
        saved=_estimate_saving(asked, arms, known, lines),
        agreement=_estimate_agreement(asked, arms, known, lines),
        left_out=left_out,
        receivers=_receivers(asked, arms, known),
        licences={kind: licence for kind, _, worker in taking_part if (licence := worker.estimate(1).licence)},
        prices=_prices(workers, asked.prices),
        obstacles=tuple(str(error) for error in obstacles(taking_part, settings, asked.prices)),
        assumptions=list_assumptions(settings, known, lines, arms),
        budget_usd=settings.budget.usd,
        paid_calls=known.paid_calls,
        paid_usd=known.paid_usd,
        finished=known.finished,
    )


def _taking_part(asked: PlanRequest) -> list[tuple[str, str, Worker]]:
    """Kind, name and plugin."""
    plugins = [(kind, asked.names[kind], worker) for kind, worker in asked.workers.items()]
    plugins += [("critic", name, worker) for name, worker in asked.others]
    if asked.image_critic is not None and asked.settings.curation.vlm is not None:
        plugins.append((IMAGE_CRITIC, asked.settings.curation.vlm.name, asked.image_critic))
    return [plugin for plugin in plugins if reaches(asked.until, STARTS.get(plugin[0], Stop.IMAGES))]


def _lines(asked: PlanRequest, arms: Sequence[Arm], known: Assumptions) -> tuple[Line, ...]:
    return tuple(_line(asked, known, part) for part in _work(asked, arms, known))


def _work(asked: PlanRequest, arms: Sequence[Arm], known: Assumptions) -> list[WorkItem]:
    kinds = {source: asked.synthesizer_of(source).per_case for source in rows.sources(arms)}
    return work_items(asked.settings, arms, known, asked.until, kinds)


def _line(asked: PlanRequest, known: Assumptions, part: WorkItem) -> Line:
    bills = _bills(asked, part)
    estimates = [bill.estimate for bill in bills.values()]
    return Line(
        part.name,
        cases=add_ranges((part.cases, part.sheets)),
        calls=add_ranges(one.calls for one in estimates),
        input_tokens=add_ranges(one.input_tokens for one in estimates),
        output_tokens=add_ranges(one.output_tokens for one in estimates),
        usd=add_optional(one.usd for one in bills.values()),
        images=part.images,
        trainings=part.trainings,
        hours=add_optional(_stage_hours(part, known, bills).values()),
        disk_bytes=disk_bytes(part, known, bills["synthesizer"].estimate, asked.workers["classifier"].estimate(1)),
        upload_bytes=add_ranges(one.upload_bytes for one in estimates),
        shares=part.shares,
    )


def _stage_hours(part: WorkItem, known: Assumptions, bills: Mapping[str, Bill]) -> dict[StageKind, Range | None]:
    return stage_hours(part, known, {kind: one.estimate for kind, one in bills.items() if one.estimate.calls[1]})


def _sum_stage_hours(asked: PlanRequest, arms: Sequence[Arm], known: Assumptions) -> dict[str, Range | None]:
    """Hours of the whole run by kind of stage, those that take none left out."""
    parts = [_stage_hours(part, known, _bills(asked, part)) for part in _work(asked, arms, known)]
    sums = {str(kind): add_optional(part[kind] for part in parts) for kind in parts[0]}
    return {kind: hours for kind, hours in sums.items() if hours != ZERO}


def _bills(asked: PlanRequest, part: WorkItem) -> dict[str, Bill]:
    items = {
        "classifier": add_ranges((part.passes, part.predicted)),
        "explainer": part.maps,
        "synthesizer": part.images,
    }
    workers = {**asked.workers, "synthesizer": asked.synthesizer_of(part.source)}
    bills = {kind: bill(workers[kind], count, asked.prices) for kind, count in items.items()}
    checker = asked.image_critic
    if checker is not None:
        checked = _count_checked(asked, part)
        bills[IMAGE_CRITIC] = bill(checker, checked, asked.prices, checker.estimate_checks)
    return bills | {"critic": reduce(add_bills, _bill_critics(asked, part))}


def _count_checked(asked: PlanRequest, part: WorkItem) -> Range:
    """New images that a critic may look at: all of them that are curated, and made by a prompt."""
    curated = part.source is None or part.source.curated
    return part.images if curated and "prompt" in asked.synthesizer_of(part.source).uses else ZERO


def _bill_critics(asked: PlanRequest, part: WorkItem) -> list[Bill]:
    """What the work of each critic takes: all are asked equally often."""
    count, bills = len(asked.critics), []
    cases, sheets = ((low / count, high / count) for low, high in (part.cases, part.sheets))
    for critic in asked.critics:
        one = bill(critic, cases, asked.prices)
        if sheets[1]:
            one = add_bills(one, bill(critic, sheets, asked.prices, cast(SheetReader, critic).estimate_sheets))
        bills.append(one)
    return bills


def _further(asked: PlanRequest, arms: Sequence[Arm], known: Assumptions, lines: Sequence[Line]) -> tuple[Line, ...]:
    """What one more of each thing that costs would add; nothing where the run stops before it matters."""
    experiment = asked.settings.experiment
    seeds = (*experiment.seeds, max(experiment.seeds) + 1)
    changes: dict[str, Mapping[str, object]] = {
        "one more seed": {"seeds": seeds},
        "one more image per mistake": {"images_per_mistake": experiment.images_per_mistake + 1},
        "one more round": {"rounds": experiment.rounds + 1},
    }
    if not reaches(asked.until, Stop.IMAGES):
        return ()
    now = add_lines("now", lines)
    found = []
    for name, change in changes.items():
        settings = asked.settings.model_copy(update={"experiment": experiment.model_copy(update=change)})
        then = add_lines(name, _lines(replace(asked, settings=settings), arms, known))
        found.append(_difference(name, then, now))
    return tuple(found)


def _estimate_saving(asked: PlanRequest, arms: Sequence[Arm], known: Assumptions, lines: Sequence[Line]) -> Line | None:
    """What asking once a slice saves; None where it is not done, or no slices are known yet."""
    if asked.settings.critic.per == "mistake" or known.slices is None or not reaches(asked.until, Stop.CRITIQUE):
        return None
    critic = asked.settings.critic.model_copy(update={"per": "mistake", "unsliced": "ask"})
    settings = asked.settings.model_copy(update={"critic": critic})
    singly = _lines(replace(asked, settings=settings), arms, known)
    return _difference("asking once per slice", add_lines("singly", singly), add_lines("now", lines))


def _estimate_agreement(
    asked: PlanRequest, arms: Sequence[Arm], known: Assumptions, lines: Sequence[Line]
) -> Line | None:
    """What asking more than once about each mistake adds; None where each is asked about once."""
    if asked.settings.critic.answers == 1 or not reaches(asked.until, Stop.CRITIQUE):
        return None
    critic = asked.settings.critic.model_copy(update={"samples": 1, "others": ()})
    once = replace(asked, settings=asked.settings.model_copy(update={"critic": critic}), others=())
    return _difference("asking more than once", add_lines("now", lines), add_lines("once", _lines(once, arms, known)))


def _difference(name: str, then: Line, now: Line) -> Line:
    def less(one: Range | None, other: Range | None) -> Range | None:
        if one is None or other is None:
            return None
        # A further round may also be the last with mistakes left: then nothing is added.
        return max(0.0, one[0] - other[0]), max(0.0, one[1] - other[1])

    fields = [field for field in vars(now) if field not in ("name", "shares")]
    return Line(name, **{field: less(getattr(then, field), getattr(now, field)) for field in fields})  # type: ignore[arg-type]


def _receivers(asked: PlanRequest, arms: Sequence[Arm], known: Assumptions) -> tuple[Receiver, ...]:
    """Who receives what in the course of the run."""
    counted = _work(asked, arms, known)
    critics = [_bill_critics(asked, part) for part in counted]
    bills = [_bills(asked, part) for part in counted]
    found, number = [], 0
    for kind, name, worker in _taking_part(asked):
        own = [one[number] for one in critics] if kind == "critic" else [one[kind] for one in bills]
        estimates, number = [one.estimate for one in own], number + (kind == "critic")
        if worker.remote:
            receiver = next((one.receiver for one in estimates if one.receiver), "")
            size = add_ranges(one.upload_bytes for one in estimates)
            references = bool(getattr(worker, "reference_images", 0))
            what = describe_upload(kind, worker.uses, asked.settings.critic.per, references=references)
            found.append(Receiver(kind, name, receiver or "an outside service", what, size))
            second = worker.estimate(0).second
            if second is not None and second.receiver:
                declined = f"{what}, of what {receiver} declines"
                found.append(Receiver(kind, f"{name} (second)", second.receiver, declined, (0, size[1])))
    return tuple(found)


def _prices(workers: Sequence[Worker], prices: Prices) -> tuple[Mapping[str, object], ...]:
    models = dict.fromkeys(model for worker in workers for model in models_of(worker.estimate(1)))
    found = []
    for model in models:
        try:
            found.append(prices.of(model).to_row())
        except (UnknownPriceError, MissingExtraError):
            continue  # reported as an obstacle
    return tuple(found)
