"""The new images of one source and seed: made, filtered, made again, topped up from other cases of the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..arms import uses_critic
from ..curation import ImageFilter
from ..interfaces import Synthesizer
from ..records import JSON, Critique, Failure, ImageSource, derive_seed
from ..store.schema import ExplainRow, SynthesisRow, VerdictRow, Wave
from .curate import curate
from .mistakes import Mistake
from .review import Review
from .runtime import StageRuntime
from .synthesize import ImageRequest, synthesize

Key = TypeVar("Key")
SourceCase = tuple[Mistake, ExplainRow, Critique | Failure]
TOP_UPS = 2  # waves in which other cases of the class fill what a case could not give


@dataclass(frozen=True)
class GeneratedImage:
    """One synthetic image with its verdict.

    Attributes:
        row: of the synthesis.
        verdict: of the filter, or of the person who reviewed it.
        target: index of its class.
    """

    row: SynthesisRow
    verdict: VerdictRow
    target: int

    @property
    def kept(self) -> bool:
        """Whether it may be trained on."""
        return bool(self.verdict["kept"])


@dataclass(frozen=True, eq=False)
class ImagePlan:
    """How the images of a source are made.

    Attributes:
        source: whose images they are.
        synthesizer: not yet prepared.
        per_mistake: images a case.
        image_filter: the checks an image must pass.
        filter_key: what the verdicts depend on.
        remakes: how often a rejected image is made again with a new seed.
        most_per_class: no more images of a class than this; None: no bound.
        review: what a person decides on the images; None where none looks.
    """

    source: ImageSource
    synthesizer: Synthesizer
    per_mistake: int
    image_filter: ImageFilter
    filter_key: JSON
    remakes: int
    most_per_class: int | None = None
    review: Review | None = None

    @property
    def prompt_is_fixed(self) -> bool:
        """Whether the source itself writes the prompts, so that a person may not write another one."""
        return self.source.prompt != "critic"

    def count_wanted(self, cases: Sequence[SourceCase]) -> Counter[int]:
        """How many images of each class the cases ask for."""
        wanted = Counter(mistake.sample.label for mistake, _, _ in cases for _ in range(self.per_mistake))
        most = self.most_per_class
        return wanted if most is None else Counter({target: min(count, most) for target, count in wanted.items()})


@dataclass
class _Requests:
    """Which images are still to be made, class by class."""

    plan: ImagePlan
    cases: list[tuple[Mistake, ExplainRow, Critique]]
    seed: int
    asked: Counter[str] = field(default_factory=Counter)  # images of each case

    def first_wave(self, wanted: Counter[int]) -> list[ImageRequest]:
        """Each case's first image, then each one's second, and so on, no more than are wanted of its class."""
        count: Counter[int] = Counter()
        requests = []
        for case in self.cases * self.plan.per_mistake:
            target = case[0].sample.label
            if count[target] < wanted[target]:
                count[target] += 1
                requests.append(self._request(case, 0))
        return requests

    def remake(self, rejected: Sequence[tuple[ImageRequest, GeneratedImage]], attempt: int) -> list[ImageRequest]:
        """The requests for rejected images, with another seed, and the prompt that a person wrote where one did."""
        requests, review = [], self.plan.review
        for request, image in rejected:
            if not self._is_given_up(request.mistake):
                critique = review.with_new_prompt(image.row, request.critique) if review else request.critique
                requests.append(self._request((request.mistake, request.explained, critique), attempt, request.index))
        return requests

    def top_up(self, missing: Mapping[int, int]) -> list[ImageRequest]:
        """Further images for classes that lack some, one case of the class after another."""
        requests = []
        for target, count in sorted(missing.items()):
            of_class = [case for case in self.cases if case[0].sample.label == target]
            cases = [case for case in of_class if not self._is_given_up(case[0])]
            requests += [self._request(cases[i % len(cases)], 0) for i in range(count if cases else 0)]
        return requests

    def _is_given_up(self, mistake: Mistake) -> bool:
        return self.plan.review is not None and self.plan.review.has_wrong_label(mistake.sample.id)

    def _request(
        self, case: tuple[Mistake, ExplainRow, Critique], attempt: int, index: int | None = None
    ) -> ImageRequest:
        mistake, row, critique = case
        if index is None:
            index = self.asked[mistake.sample.id]
            self.asked[mistake.sample.id] += 1
        # Derived from the case, not from the position: batch size, order and engine do not change an image.
        seed = derive_seed("image", self.seed, mistake.sample.id, index, attempt)
        source = self.plan.source
        return ImageRequest(mistake, row, critique, index, seed, source.image_guided, uses_critic(source))


def make_images(
    runtime: StageRuntime, name: str, seed: int, plan: ImagePlan, cases: Sequence[SourceCase]
) -> list[GeneratedImage]:
    """All images made for the cases, kept and rejected, in the order they were made.

    Args:
        runtime: where they are kept.
        name: of the source.
        seed: of the repetition.
        plan: how they are made.
        cases: what they are made for; a case whose critique failed gives no image, other cases of its class give more.

    Where a person reviews images, none is made in place of another before all have been looked at.
    """
    requests = _Requests(plan, [(m, row, c) for m, row, c in cases if isinstance(c, Critique)], seed)
    wanted = plan.count_wanted(cases)
    images: list[GeneratedImage] = []
    wave = requests.first_wave(wanted)
    for number in range(1 + plan.remakes + TOP_UPS):
        if not wave:
            break
        results = _make_wave(runtime, Wave(name, seed, number), plan, wave, images)
        rejected = [(request, image) for request, image in zip(wave, results, strict=True) if not image.kept]
        images += results
        if plan.review and plan.review.waits_for([image.row for image in results]):
            break
        if number < plan.remakes:
            wave = requests.remake(rejected, number + 1)
        if number >= plan.remakes or not wave:
            wave = requests.top_up(_count_missing(wanted, images))
    return images


def equally_many(images: Mapping[Key, Sequence[GeneratedImage]]) -> dict[Key, list[GeneratedImage]]:
    """The first kept images of each class, as many as the source and seed with the fewest has of it."""
    counts = [Counter(image.target for image in of_source if image.kept) for of_source in images.values()]
    fewest = {target: min(count[target] for count in counts) for target in {t for count in counts for t in count}}
    return {key: _first_kept(of_source, fewest) for key, of_source in images.items()}


def _first_kept(images: Sequence[GeneratedImage], fewest: Mapping[int, int]) -> list[GeneratedImage]:
    taken: Counter[int] = Counter()
    chosen = []
    for image in images:
        if image.kept and taken[image.target] < fewest[image.target]:
            taken[image.target] += 1
            chosen.append(image)
    return sorted(chosen, key=lambda image: image.target)


def _make_wave(
    runtime: StageRuntime,
    wave: Wave,
    plan: ImagePlan,
    requests: Sequence[ImageRequest],
    before: Sequence[GeneratedImage],
) -> list[GeneratedImage]:
    rows = synthesize(runtime, wave, plan.synthesizer, requests)
    seen = [text for image in before if image.kept and (text := image.verdict["fingerprint"])]
    verdicts = curate(runtime, wave, plan.image_filter, plan.filter_key, seen, rows)
    if plan.review:
        predicted = {request.mistake.sample.id: request.mistake.predicted for request in requests}
        verdicts = plan.review.verdicts(runtime, wave, rows, verdicts, predicted, fixed=plan.prompt_is_fixed)
    targets = [request.mistake.sample.label for request in requests]
    return [GeneratedImage(*parts) for parts in zip(rows, verdicts, targets, strict=True)]


def _count_missing(wanted: Counter[int], images: Sequence[GeneratedImage]) -> dict[int, int]:
    have = Counter(image.target for image in images if image.kept)
    return {target: count - have[target] for target, count in wanted.items() if count > have[target]}
