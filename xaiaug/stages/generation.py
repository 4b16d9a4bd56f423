"""The new images of one source and seed: made, checked, made again, topped up from other cases of the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..curation import ImageFilter
from ..interfaces import Context, Synthesizer
from ..records import Critique, Failure, derive_seed
from .curate import curate
from .mistakes import Mistake
from .review import Review
from .runtime import StageRuntime
from .synthesize import ImageRequest, synthesize

Key = TypeVar("Key")
TOP_UPS = 2  # rounds in which other cases of the class fill what a case could not give


@dataclass(frozen=True)
class GeneratedImage:
    """One synthetic image with its verdict.

    Attributes:
        row: of the synthesis: case, index, label, seed, prompt, image blob or failure.
        verdict: kept, check, reason, score.
        target: index of its class.
    """

    row: dict[str, Any]
    verdict: dict[str, Any]
    target: int

    @property
    def kept(self) -> bool:
        """Whether it may be trained on."""
        return bool(self.verdict["kept"])


@dataclass(frozen=True, eq=False)
class ImagePlan:
    """What the images of a run are made from; equal for every source and seed.

    Attributes:
        synthesizer: not yet prepared.
        context: what it may know.
        train_key: digest of the training images it may use.
        per_mistake: images a case.
        gate: the checks an image must pass.
        gate_key: what the gate's verdicts depend on.
        remakes: how often a rejected image is made again with a new seed.
        most_per_class: no more images of a class than this; None: no bound.
        guided: whether the synthesizer may start from the guide image.
        asked: whether the critiques are a critic's.
        review: what a person says of the images; None where nobody is to look.
        fixed: whether the source itself says what the prompts are, so that nobody may write another one.
    """

    synthesizer: Synthesizer
    context: Context
    train_key: str
    per_mistake: int
    gate: ImageFilter
    gate_key: Any
    remakes: int
    most_per_class: int | None = None
    guided: bool = True
    asked: bool = False
    review: Review | None = None
    fixed: bool = False

    def wanted(self, cases: Sequence[tuple[Mistake, Any, Any]]) -> Counter[int]:
        """How many images of each class the cases ask for."""
        asked = Counter(mistake.sample.label for mistake, _, _ in cases for _ in range(self.per_mistake))
        most = self.most_per_class
        return asked if most is None else Counter({target: min(count, most) for target, count in asked.items()})


@dataclass
class _Slots:
    """Which images are still to be made, class by class."""

    plan: ImagePlan
    cases: list[tuple[Mistake, Any, Critique]]
    seed: int
    made: Counter[str] = field(default_factory=Counter)

    def first(self, wanted: Counter[int]) -> list[ImageRequest]:
        """Each case's first image, then each one's second, and so on, no more than are wanted of its class."""
        asked: Counter[int] = Counter()
        wishes = []
        for case in self.cases * self.plan.per_mistake:
            target = case[0].sample.label
            if asked[target] < wanted[target]:
                asked[target] += 1
                wishes.append(self._wish(case, 0))
        return wishes

    def again(self, failed: Sequence[tuple[ImageRequest, GeneratedImage]], attempt: int) -> list[ImageRequest]:
        """The wishes of images that were not kept, with another seed, and the prompt a person wrote where one did."""
        wishes = []
        for wish, image in failed:
            if not self._given_up(wish.mistake):
                said = self.plan.review.reworded(image.row, wish.critique) if self.plan.review else wish.critique
                wishes.append(self._wish((wish.mistake, wish.explained, said), attempt, wish.index))
        return wishes

    def top_up(self, missing: dict[int, int]) -> list[ImageRequest]:
        """Further images for classes that lack some, one case of the class after another."""
        wishes = []
        for target, count in sorted(missing.items()):
            of_class = [case for case in self.cases if case[0].sample.label == target]
            cases = [case for case in of_class if not self._given_up(case[0])]
            wishes += [self._wish(cases[i % len(cases)], 0) for i in range(count if cases else 0)]
        return wishes

    def _given_up(self, mistake: Mistake) -> bool:
        return self.plan.review is not None and self.plan.review.flagged(mistake.sample.id)

    def _wish(self, case: tuple[Mistake, Any, Critique], attempt: int, index: int | None = None) -> ImageRequest:
        mistake, row, critique = case
        if index is None:
            index = self.made[mistake.sample.id]
            self.made[mistake.sample.id] += 1
        # Derived from the case, not from the position: batch size, order and engine do not change an image.
        seed = derive_seed("image", self.seed, mistake.sample.id, index, attempt)
        return ImageRequest(mistake, row, critique, index, seed, self.plan.guided, self.plan.asked)


def make_images(
    runtime: StageRuntime,
    name: str,
    seed: int,
    plan: ImagePlan,
    cases: Sequence[tuple[Mistake, Any, Critique | Failure]],
) -> list[GeneratedImage]:
    """All images made for the cases, kept and rejected, in the order they were made.

    Args:
        runtime: where they are kept.
        name: of the source.
        seed: of the run's repetition.
        plan: what they are made from.
        cases: mistake, row of the explain stage, critique; a case whose critique failed gives no image, other cases
            of its class give more.

    Where a person is to look, no image is made in place of another before all have been looked at.
    """
    slots = _Slots(plan, [(m, row, c) for m, row, c in cases if isinstance(c, Critique)], seed)
    wanted = plan.wanted(cases)
    images: list[GeneratedImage] = []
    wishes = slots.first(wanted)
    for wave in range(1 + plan.remakes + TOP_UPS):
        if not wishes:
            break
        made = _wave(runtime, f"{name}/{seed}/{wave}", plan, wishes, images)
        failed = [(wish, image) for wish, image in zip(wishes, made, strict=True) if not image.kept]
        images += made
        if plan.review and plan.review.waits_for([image.row for image in made]):
            break
        if wave < plan.remakes:
            wishes = slots.again(failed, wave + 1)
        if wave >= plan.remakes or not wishes:
            wishes = slots.top_up(_missing(wanted, images))
    return images


def equally_many(made: Mapping[Key, Sequence[GeneratedImage]]) -> dict[Key, list[GeneratedImage]]:
    """The first kept images of each class, as many as the source and seed with the fewest has of it."""
    counts = [Counter(image.target for image in images if image.kept) for images in made.values()]
    least = {target: min(count[target] for count in counts) for target in {t for count in counts for t in count}}
    return {key: _first(images, least) for key, images in made.items()}


def _first(images: Sequence[GeneratedImage], least: Mapping[int, int]) -> list[GeneratedImage]:
    taken: Counter[int] = Counter()
    found = []
    for image in images:
        if image.kept and taken[image.target] < least[image.target]:
            taken[image.target] += 1
            found.append(image)
    return sorted(found, key=lambda image: image.target)


def _wave(
    runtime: StageRuntime, name: str, plan: ImagePlan, wishes: list[ImageRequest], before: Sequence[GeneratedImage]
) -> list[GeneratedImage]:
    rows = synthesize(runtime, name, plan.synthesizer, plan.context, plan.train_key, wishes)
    seen = [image.verdict["fingerprint"] for image in before if image.kept]
    verdicts = curate(runtime, name, plan.gate, plan.gate_key, seen, rows)
    if plan.review:
        predicted = {wish.mistake.sample.id: wish.mistake.predicted for wish in wishes}
        verdicts = plan.review.verdicts(runtime, name, rows, verdicts, predicted, plan.fixed)
    targets = [wish.mistake.sample.label for wish in wishes]
    return [GeneratedImage(*parts) for parts in zip(rows, verdicts, targets, strict=True)]


def _missing(wanted: Counter[int], images: Sequence[GeneratedImage]) -> dict[int, int]:
    have = Counter(image.target for image in images if image.kept)
    return {target: count - have[target] for target, count in wanted.items() if count > have[target]}
