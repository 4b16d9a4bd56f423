"""Which images are made for the cases of a source, wave after wave."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import cycle, islice, zip_longest

from ..arms import uses_critic
from ..curation import ImageFilter
from ..curation.review_table import FIXED, NOT_READ
from ..interfaces import Critic, Synthesizer
from ..records import JSON, Critique, Failure, ImageSource, Sample, derive_seed
from ..store.stage_rows import ExplainRow, SynthesisRow, VerdictRow
from .mistakes import Mistake
from .review import Review
from .synthesize import ImageRequest

SourceCase = tuple[Mistake, ExplainRow, Critique | Failure]
UsableCase = tuple[Mistake, ExplainRow, Critique]
OWN = "own"  # of `Synthesizer.per_case`
MOST_TIMES = 4  # more images of one case would be much alike


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
        per_mistake: images a case, of a synthesizer that does not give a fixed number.
        image_filter: the checks an image must pass.
        filter_key: what the verdicts depend on.
        remakes: how often a rejected image is made again with a new seed.
        most_per_class: no more images of a class than this; None: no bound.
        review: what a person decides on the images; None where none looks.
        bases: training images that parts of a case may be put into.
        checker: the critic that is asked whether an image shows its prompt; None where none is.
        slice_of: the number of a case's slice by its id, where each slice has as many images; empty: each case has.
    """

    source: ImageSource
    synthesizer: Synthesizer
    per_mistake: int
    image_filter: ImageFilter
    filter_key: JSON
    remakes: int
    most_per_class: int | None = None
    review: Review | None = None
    bases: Sequence[Sample] = ()
    slice_of: Mapping[str, int] = field(default_factory=dict)
    checker: Critic | None = None

    @property
    def fixed_prompt(self) -> str:
        """Why a person may not write another prompt: the source writes them, or nothing reads one; else empty."""
        if "prompt" not in self.synthesizer.uses:
            return NOT_READ
        return FIXED if self.source.prompt != "critic" else ""

    def cap(self, wanted: Counter[int]) -> Counter[int]:
        """So many images of each class, or the most that a class may have."""
        most = self.most_per_class
        return wanted if most is None else Counter({target: min(count, most) for target, count in wanted.items()})

    @cached_property
    def bases_by_class(self) -> Mapping[int, Sequence[Sample]]:
        """The bases of each class, in an order that depends on nothing but the images."""
        found: dict[int, list[Sample]] = {}
        for sample in sorted(self.bases, key=lambda sample: sample.id):
            found.setdefault(sample.label, []).append(sample)
        return dict(sorted(found.items()))


@dataclass
class ImageRequests:
    """Which images are still to be made, class by class.

    Attributes:
        plan: how they are made.
        cases: what they are made for, those without a critique included: others of their class give more.
        seed: of the repetition.
    """

    plan: ImagePlan
    cases: Sequence[SourceCase]
    seed: int
    _usable: list[UsableCase] = field(init=False, repr=False)
    _asked: Counter[str] = field(default_factory=Counter, init=False, repr=False)  # images of each case

    def __post_init__(self) -> None:
        self._usable = [(mistake, row, made) for mistake, row, made in self.cases if isinstance(made, Critique)]

    def count_wanted(self) -> Counter[int]:
        """How many images of each class are wanted in the end."""
        return self.plan.cap(Counter([mistake.sample.label for mistake, _, _ in self.cases] * self.plan.per_mistake))

    def first_wave(self, wanted: Counter[int]) -> list[ImageRequest]:
        """Each case's first image, then each one's second, and so on, no more than are wanted of its class.

        Where the budget follows slices, each slice of a class gives an image in turn, its cases one after another.
        """
        count: Counter[int] = Counter()
        requests = []
        for case in self._in_turns() if self.plan.slice_of else self._usable * self.plan.per_mistake:
            target = case[0].sample.label
            if count[target] < wanted[target]:
                count[target] += 1
                requests.append(self._request(case, 0))
        return requests

    def _in_turns(self) -> Iterator[UsableCase]:
        """A case of each slice and class in turn; no case more often than `MOST_TIMES` its even share."""
        groups: dict[tuple[int, int], list[UsableCase]] = defaultdict(list)
        for case in self._usable:
            sample = case[0].sample
            groups[sample.label, self.plan.slice_of.get(sample.id, -1)].append(case)
        turns = [islice(cycle(group), MOST_TIMES * self.plan.per_mistake * len(group)) for group in groups.values()]
        for turn in zip_longest(*turns):
            yield from (case for case in turn if case is not None)

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
            of_class = [case for case in self._usable if case[0].sample.label == target]
            cases = [case for case in of_class if not self._is_given_up(case[0])]
            requests += [self._request(cases[i % len(cases)], 0) for i in range(count if cases else 0)]
        return requests

    def _is_given_up(self, mistake: Mistake) -> bool:
        return self.plan.review is not None and self.plan.review.has_wrong_label(mistake.sample.id)

    def _request(self, case: UsableCase, attempt: int, index: int | None = None) -> ImageRequest:
        mistake, row, critique = case
        if index is None:
            index = self._asked[mistake.sample.id]
            self._asked[mistake.sample.id] += 1
        # Derived from the case, not from the position: batch size, order and engine do not change an image.
        seed = derive_seed("image", self.seed, mistake.sample.id, index, attempt)
        source, mapped = self.plan.source, "map" in self.plan.synthesizer.uses
        return ImageRequest(mistake, row, critique, index, seed, source.image_guided, uses_critic(source), mapped)


@dataclass
class FixedImageRequests(ImageRequests):
    """Which images a synthesizer makes that gives a fixed number a case: some of its own class, some of another.

    The images of a case follow one another, the cases in random order: where another source has fewer images, whole
    cases are left out, and not all images of one kind.
    """

    # Ids of cases whose own image was not made, each with the reason.
    _hopeless: set[tuple[str, tuple[str, str]]] = field(default_factory=set, init=False, repr=False)

    def count_wanted(self) -> Counter[int]:
        """How many images of each class are wanted in the end."""
        return self.plan.cap(Counter(request.label for request in self._all()))

    def first_wave(self, wanted: Counter[int]) -> list[ImageRequest]:
        """The images of each case, no more than are wanted of a class."""
        count: Counter[int] = Counter()
        requests = []
        for request in self._all():
            if count[request.label] < wanted[request.label]:
                count[request.label] += 1
                requests.append(request)
        return requests

    def remake(self, rejected: Sequence[tuple[ImageRequest, GeneratedImage]], attempt: int) -> list[ImageRequest]:
        """The requests for rejected images with another base; an image without one would be the same again.

        Nor does another base help a case whose own image fails for the same reason.
        """
        reasons = [(request, _reason(image)) for request, image in rejected]
        self._hopeless |= {
            (request.mistake.sample.id, reason) for request, reason in reasons if request.base is None and reason[0]
        }
        return [
            self._request((request.mistake, request.explained, request.critique), attempt, request.index)
            for request, reason in reasons
            if request.base is not None
            and (request.mistake.sample.id, reason) not in self._hopeless
            and not self._is_given_up(request.mistake)
        ]

    def top_up(self, missing: Mapping[int, int]) -> list[ImageRequest]:  # noqa: ARG002
        """Nothing: each case has given what it can."""
        return []

    def _all(self) -> Iterator[ImageRequest]:
        for case in sorted(self._usable, key=lambda case: derive_seed("order", self.seed, case[0].sample.id)):
            for index, kind in enumerate(self.plan.synthesizer.per_case or ()):
                if kind == OWN or self._other_classes(case[0]):
                    yield self._request(case, 0, index)

    def _request(self, case: UsableCase, attempt: int, index: int | None = None) -> ImageRequest:
        request = super()._request(case, attempt, index)
        is_own = (self.plan.synthesizer.per_case or ())[request.index] == OWN
        return request if is_own else replace(request, base=self._draw_base(request))

    def _other_classes(self, mistake: Mistake) -> list[int]:
        """Classes that a case's region is no evidence for: all but the predicted one."""
        return [label for label in self.plan.bases_by_class if label != mistake.predicted]

    def _draw_base(self, request: ImageRequest) -> Sample:
        rng = random.Random(f"base {request.seed}")
        return rng.choice(self.plan.bases_by_class[rng.choice(self._other_classes(request.mistake))])


def _reason(image: GeneratedImage) -> tuple[str, str]:
    """Kind and message of a failure of the synthesizer; empty for an image that was made and then rejected."""
    failure = image.row.get("failure")
    return (failure["kind"], failure["message"]) if failure else ("", "")


def plan_requests(plan: ImagePlan, cases: Sequence[SourceCase], seed: int) -> ImageRequests:
    """The requests for the cases of a source."""
    kind = ImageRequests if plan.synthesizer.per_case is None else FixedImageRequests
    return kind(plan, cases, seed)
