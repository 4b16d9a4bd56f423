"""What is known of a run before it begins, and what is assumed where nothing is."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from .. import arms as rows
from ..config import Settings
from ..errors import name_some
from ..records import METHODS, Arm
from ..records.estimate import Range, cap_range
from ..records.pipeline import IMAGE_CRITIC, StageKind
from ..records.training_method import describe_exception
from .record import Line, describe_workers

ERROR_RATE: Range = (0.02, 0.2)  # of a classifier whose mistakes are worth diagnosing, on the guide
MADE_EACH: Range = (0.9, 1.4)  # images made for one that is wanted: some labels are held out, some images made again
CALL_SECONDS: Range = (3 / 64, 15 / 8)  # three to fifteen seconds a call, with 64 or 8 of them in flight
BATCH_SECONDS: Range = (300, 24 * 3600)  # all questions of a turn together: services promise a day
BYTES_A_PIXEL: Range = (0.3, 2.5)  # of a PNG: a drawing, a noisy photograph


@dataclass(frozen=True)
class Assumptions:
    """What is known of a run before it begins.

    Attributes:
        images: images in each split.
        classes: how many there are.
        pixels: of an image of the guide, on average.
        map_predictions: predictions that the test of one heatmap takes.
        cause_predictions: predictions that a test of a cause takes for each image that it edits.
        cause_images: correct images that it edits at most, besides the mistakes of its slice.
        mistakes: of the baseline on the guide; None where they are not known yet.
        slices: requests that a critic asked once a slice takes, and the mistakes that these are about; None where no
            slices were looked for yet.
        made_each: images made for one that is wanted; None where none was made yet.
        seconds: by kind of stage, for one unit: an image to train on, predict or make, a case to explain or criticise;
            a kind that is missing is not known.
        seconds_from: where those are from, in words.
        workers: of the engine: pieces of work that are done at once, by kind of work; one of those left out.
        measured_workers: likewise, when the speeds were measured.
        model_bytes: of one copy of the classifier; None where not known.
        image_bytes: of a new image; None where not known.
        paid_calls: calls paid for already.
        paid_usd: what they cost.
        finished: whether nothing is left to do.
    """

    images: Mapping[str, int]
    classes: int
    pixels: float
    map_predictions: int = 0
    cause_predictions: float = 0.0
    cause_images: int = 0
    mistakes: int | None = None
    slices: tuple[int, int] | None = None
    made_each: Range | None = None
    seconds: Mapping[str, Range] = field(default_factory=dict)
    seconds_from: str = ""
    workers: Mapping[str, int] = field(default_factory=dict)
    measured_workers: Mapping[str, int] = field(default_factory=dict)
    model_bytes: float | None = None
    image_bytes: float | None = None
    paid_calls: int = 0
    paid_usd: float = 0.0
    finished: bool = False

    def count_steering_mistakes(self, settings: Settings) -> Range:
        """Mistakes that steer the synthesis."""
        guide = self.images["guide"]
        found = (math.floor(guide * ERROR_RATE[0]), math.ceil(guide * ERROR_RATE[1]))
        if self.mistakes is not None:
            found = (self.mistakes, self.mistakes)
        most = settings.mistakes.max
        return cap_range(found, math.inf if most == "all" else most)


def describe_upload(kind: str, uses: Collection[str], per: str = "mistake", *, references: bool = False) -> str:
    """What a plugin of that kind sends, in words.

    Args:
        kind: of plugin.
        uses: what a synthesizer reads.
        per: what a critic is asked once for.
        references: whether it is shown correctly classified images beside a mistake.
    """
    if kind == IMAGE_CRITIC:
        return "new images, their prompts and classes; no file names and no metadata"
    if kind == "synthesizer":
        return "prompts, and the failed images" if "image" in uses else "prompts"
    asked = "images and heatmaps of mistakes" if per == "slice" else "each mistake's image and heatmap"
    asked += ", correct images beside them" * (per == "slice" or references)
    what = "the images" if kind in ("classifier", "explainer") else f"{asked}, the class names"
    return f"{what}; no file names and no metadata"


def list_assumptions(
    settings: Settings, known: Assumptions, lines: Sequence[Line], arms: Sequence[Arm]
) -> tuple[str, ...]:
    """What the figures rest on, and what is equal between the arms, a sentence each."""
    sentences = [_mistakes(settings, known), *_slices(settings, known), *_budgets(settings, arms)]
    if any(line.images[1] for line in lines):
        sentences.append(_images_per_wanted(known))
    sentences += _mixing_ratios(settings, known, arms)
    sentences += [*_hours(known, lines), *_resources(settings)]
    if any(line.disk_bytes is None for line in lines):
        sentences.append("The size of the classifier is not known yet, so bytes on disk have no total.")
    sentences.append("Images are counted as found, before the check drops broken and duplicate ones.")
    return tuple(sentences)


def _mistakes(settings: Settings, known: Assumptions) -> str:
    guide = known.images["guide"]
    if known.mistakes is not None:
        return f"The baseline gets {known.mistakes} of {guide} guide images wrong (from the run folder)."
    low, high = (f"{100 * rate:g}" for rate in ERROR_RATE)
    return (
        f"Assumed: the baseline gets {low} to {high} % of {guide} guide images wrong (at most {settings.mistakes.max} "
        "are used). `xaiaug run CONFIG --until mistakes` measures it, at no cost."
    )


def _budgets(settings: Settings, arms: Sequence[Arm]) -> list[str]:
    """That budgets are equal, and which arms are an exception."""
    recipe, trained = settings.recipes()[0], [arm for arm in arms if arm.trained]
    exception = describe_exception([arm.name for arm in trained if METHODS[arm.method].head_only])
    equal = f"All trained arms have the same budget: {recipe.steps:,} steps of {recipe.batch_size:,} images."
    return [f"{equal} {exception}".strip()] if trained else []


def _slices(settings: Settings, known: Assumptions) -> list[str]:
    if settings.critic.per == "mistake":
        return []
    if known.slices is not None:
        asked, inside = known.slices
        others = "left out" if settings.critic.unsliced == "skip" else "asked about singly"
        return [f"{inside} mistakes are in slices, which take {asked} requests; the others are {others}."]
    return [
        "The slices are not known yet: anything from one request to one a mistake. `xaiaug run CONFIG --until explain` "
        "finds them, at no cost."
    ]


def _images_per_wanted(known: Assumptions) -> str:
    low, high = known.made_each or MADE_EACH
    whence = "as in the run folder" if known.made_each else "assumed"
    return f"For each image wanted, {low:.2g} to {high:.2g} are made ({whence}): rejected ones are made again."


def _mixing_ratios(settings: Settings, known: Assumptions, arms: Sequence[Arm]) -> list[str]:
    """That fewer new images would do, where the limit shows fewer than are made; and which arms have a ratio beyond."""
    experiment, recipe = settings.experiment, settings.recipes()[0]
    wanted = known.count_steering_mistakes(settings)[0] * experiment.images_per_mistake
    if experiment.images_per_class_max is not None:
        wanted = min(wanted, experiment.images_per_class_max * known.classes)
    passes, limited = recipe.steps * recipe.batch_size, []
    for arm in arms:
        limit = rows.LIMITS[rows.family(arm.images)] if arm.images and arm.real != "none" else None
        binding = rows.binding_limit(arm, known.images["train"], int(wanted), limit)
        if binding is not None and (shown := rows.count_added(passes, binding)) < wanted:
            limited.append((arm.name, shown))
    sentences = []
    if limited:
        names, shown = name_some(name for name, _ in limited), limited[0][1]
        sentences.append(
            f"New images take {shown:,} of {passes:,} passes in {names}, and {wanted:,.0f} or more are made: fewer "
            "images_per_mistake would suffice."
        )
    return sentences + [f"Warning: {warning}" for arm in arms if (warning := rows.warn_of_ratio(arm))]


def _workers(known: Assumptions) -> list[str]:
    """What the hours assume of workers, where there is more than one."""
    now, before = describe_workers(known.workers), describe_workers(known.measured_workers)
    if now == before:
        return [f"Hours are for {now}, each as fast as those of the run folder."] if now else []
    return [
        f"Hours are for {now or 'one worker'}, and speeds were measured with {before or 'one worker'}. The lower ends "
        "hold where each is as fast as one was then, the upper ends where they share one machine and are no faster "
        "together."
    ]


def _resources(settings: Settings) -> list[str]:
    """What workers have of their own, a sentence for each kind of work."""
    given = {
        kind: ", ".join(f"{name} = {amount:g}" for name, amount in table.given.items() if name != "workers")
        for kind, table in settings.engine.kinds.items()
    }
    return [f"Each worker of the kind {kind} has {amounts} of its own." for kind, amounts in given.items() if amounts]


def _hours(known: Assumptions, lines: Sequence[Line]) -> list[str]:
    sentences = [f"Speeds are from {known.seconds_from}."] if known.seconds else []
    sentences += _workers(known) if known.seconds else []
    if any(line.hours is None for line in lines):
        sentences.append("The speed of this machine is not known yet: --probe measures it on a few images.")
    if any(line.calls[1] for line in lines) and StageKind.CRITIQUE not in known.seconds:
        low, high = (f"{seconds:.2g}" for seconds in CALL_SECONDS)
        sentences.append(f"Assumed: {low} to {high} seconds per call, many calls in parallel.")
    return sentences
