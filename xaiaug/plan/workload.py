"""The work of a run, counted: the cases, images and trainings of each part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .. import arms as rows
from ..config import Settings
from ..records import Arm, ImageSource, Recipe
from ..records.cause import CAUSE_KINDS
from ..records.estimate import ZERO, Range, add_ranges, cap_range, multiply
from ..records.pipeline import BASELINE, Stop, reaches
from .assumptions import MADE_EACH, Assumptions

UNCURATED: Range = (0.9, 1.0)
FEWEST_SHARE = 10  # mistakes of a slice that holds, about: five or more of either half
RIGHT_ON_TRAIN: Range = (0.5, 1.0)  # share of the training images that a baseline gets right


@dataclass(frozen=True)
class WorkItem:
    """The work of one part of a run.

    Attributes:
        name: of the part.
        cases: images that the critic is asked about one by one; each counts as often as it is asked about, by whomever.
        sheets: slices that it is asked about, likewise.
        maps: images that are explained.
        images: new images to make.
        trainings: trainings.
        copies: of a classifier's weights that are kept.
        passes: what those take, in images to learn from.
        predicted: images the classifier is asked about.
        at_once: trainings of the run that can be done side by side with those of this part, these included.
        shares: the earlier part whose images it takes.
        source: of those images; None without any, or where they are the run's own.
    """

    name: str
    cases: Range = ZERO
    sheets: Range = ZERO
    maps: Range = ZERO
    images: Range = ZERO
    trainings: Range = ZERO
    copies: Range = ZERO
    passes: Range = ZERO
    predicted: Range = ZERO
    at_once: float = 1.0
    shares: str = ""
    source: ImageSource | None = None


def work_items(
    settings: Settings,
    arms: Sequence[Arm],
    known: Assumptions,
    until: str,
    per_case: Mapping[ImageSource, tuple[str, ...] | None],
) -> list[WorkItem]:
    """The work of a run, in order; what two arms share is counted with the first.

    Args:
        settings: of the run.
        arms: those that can be run.
        known: of the run.
        until: the step it ends after.
        per_case: of the synthesizer of each source.
    """
    return list(_WorkCount(settings, arms, known, until, per_case).items())


@dataclass
class _WorkCount:
    settings: Settings
    arms: Sequence[Arm]
    known: Assumptions
    until: str
    per_case: Mapping[ImageSource, tuple[str, ...] | None]
    first_with_images: dict[ImageSource, str] = field(default_factory=dict)  # the first arm with a source's images
    criticised: set[tuple[str, str]] = field(default_factory=set)  # cases and maps the critic is asked about
    explained: set[str] = field(default_factory=set)  # which cases have heatmaps

    def items(self) -> Iterator[WorkItem]:
        yield self._baseline()
        rounds = self.settings.experiment.rounds if self._reaches(Stop.IMAGES) else 1
        first = self.known.count_steering_mistakes(self.settings)
        later = (0.0, first[1]) if rounds > 1 else first  # a round that leaves no fewer mistakes is the last
        for number in range(1, rounds):
            yield self._round(number, first if number == 1 else later)
        yield self._diagnosis("mistakes, heatmaps, critiques", later)
        if self._reaches(Stop.IMAGES):
            for arm in self.arms:
                if arm.trained:
                    yield self._arm(arm, later)

    def _baseline(self) -> WorkItem:
        """The baseline: trained first, tested last."""
        trained = float(self._repetitions("baseline") if self.settings.experiment.fit_baseline else 0)
        return WorkItem(
            BASELINE,
            trainings=(trained, trained),
            copies=multiply(self._count_copies(), self._repetitions("baseline")),
            passes=multiply(self._effort(self.settings.recipes()[1], self.known.images["train"]), trained),
            predicted=multiply(self._count_tested(), self._repetitions("baseline")),
            at_once=trained,
        )

    def _diagnosis(self, name: str, mistakes: Range) -> WorkItem:
        """What comes before the arms: the critiques of all mistakes decide which labels look wrong."""
        guide = float(self.known.images["guide"]) * self._repetitions("baseline")
        cases, sheets = self._count_asked(mistakes, self._repetitions("baseline", "critique"))
        self.criticised, self.explained = {(rows.GENERATED.cases, rows.GENERATED.map)}, {rows.GENERATED.cases}
        return WorkItem(
            name,
            cases=cases if self._reaches(Stop.CRITIQUE) else ZERO,
            sheets=sheets if self._reaches(Stop.CRITIQUE) else ZERO,
            maps=multiply(mistakes, self._repetitions("baseline")) if self._reaches(Stop.EXPLAIN) else ZERO,
            predicted=add_ranges(
                (
                    (guide, guide),
                    self._predictions_on_train(),
                    self._predictions_for_maps(mistakes),
                    self._predictions_for_causes(mistakes),
                )
            ),
        )

    def _predictions_on_train(self) -> Range:
        """What is asked to find the training images that arms edit or repeat."""
        asked = self._reaches(Stop.IMAGES) and any(rows.reads_train(arm) for arm in self.arms)
        train = float(self.known.images["train"]) * self._repetitions("baseline") * asked
        return train, train

    def _predictions_for_maps(self, mistakes: Range) -> Range:
        """What is asked to test a sample of the heatmaps, those of the first baseline alone."""
        sample = cap_range(mistakes, self.settings.mistakes.faithfulness if self._reaches(Stop.EXPLAIN) else 0)
        return multiply(sample, self.known.map_predictions)

    def _predictions_for_causes(self, mistakes: Range) -> Range:
        """What is asked to test the stated causes: none where no cause is stated, and no more slices than mistakes."""
        if not (self.settings.critic.test_causes and self._reaches(Stop.CRITIQUE)):
            return ZERO
        pairs = self.known.classes * (self.known.classes - 1)
        slices = min(mistakes[1], pairs * 2 * len(CAUSE_KINDS))  # a mechanism is present or absent
        images = mistakes[1] + slices * self.known.cause_images
        images *= 2 if self.settings.mistakes.slices else 1  # what the names of slices state is tested too
        return 0.0, images * self.known.cause_predictions * self._repetitions("baseline", "critique")

    def _round(self, number: int, mistakes: Range) -> WorkItem:
        guide = float(self.known.images["guide"])
        self.criticised = {(rows.GENERATED.cases, rows.GENERATED.map)}
        promoted = next((arm for arm in self.arms if arm.name == self.settings.experiment.promote), None)
        source = promoted.images if promoted else None
        likely = float(number == 1 and mistakes[0] > 0)
        cases, sheets = self._count_asked(mistakes, 1 + self._count_new_critiques(source))
        return WorkItem(
            f"round {number}",
            cases=cases,
            sheets=sheets,
            maps=mistakes,
            images=self._images(source, mistakes) if source else ZERO,
            trainings=(likely, 1.0),
            copies=(likely, 1.0),
            passes=multiply(self._effort(self.settings.recipes()[0], self.known.images["train"]), (likely, 1.0)),
            predicted=(guide, guide),
        )

    def _arm(self, arm: Arm, mistakes: Range) -> WorkItem:
        source, seeds = arm.images, len(self.settings.experiment.seeds)
        shares = self.first_with_images.get(source, "") if source else ""
        images, cases, sheets, maps = ZERO, ZERO, ZERO, ZERO
        if source and not shares:
            self.first_with_images[source] = arm.name
            cases_of = self._donors() if source.cases == "train-correct" else mistakes
            images = multiply(self._images(source, cases_of), seeds)
            maps = ZERO if source.cases in self.explained else multiply(cases_of, self._repetitions("baseline"))
            self.explained.add(source.cases)
            times = self._count_new_critiques(source) * self._repetitions("baseline", "critique")
            cases, sheets = self._count_asked(mistakes, times, source.cases)
        tried = self._count_trials()
        trained = float(seeds + tried if self._reaches(Stop.REPORT) else 0)
        recipe = rows.recipe_for(arm, self.settings.recipes()[0])
        return WorkItem(
            arm.name,
            cases=cases,
            sheets=sheets,
            maps=maps,
            images=images,
            trainings=(trained, trained),
            copies=multiply(self._count_copies(), trained),
            passes=multiply(self._effort(recipe, self.known.images["guide"]), trained),
            predicted=add_ranges(
                (
                    multiply(self._count_tested(), seeds),
                    multiply(mistakes, seeds * self._reaches(Stop.REPORT)),  # whether the arm gets them right
                    self._predictions_for_pools(arm),
                    self._predictions_for(tried),
                )
            ),
            at_once=float(seeds * sum(one.trained for one in self.arms)),
            shares=shares,
            source=source,
        )

    def _count_trials(self) -> int:
        """Trainings of an arm that try settings, besides the one that is then kept for the first seed."""
        return self.settings.experiment.settings_tried - 1

    def _predictions_for(self, trials: int) -> Range:
        """What is asked to choose among settings."""
        asked = float((trials + 1) * bool(trials) * self.known.images["validation"] * self._reaches(Stop.REPORT))
        return asked, asked

    def _donors(self) -> Range:
        """Training images that edits are made from: those that the baseline gets right."""
        most, train = self.settings.mistakes.donors, self.known.images["train"]
        return cap_range((RIGHT_ON_TRAIN[0] * train, RIGHT_ON_TRAIN[1] * train), math.inf if most == "all" else most)

    def _count_asked(self, count: Range, times: int, cases: str = "mistakes") -> tuple[Range, Range]:
        """Images and slices that the critic is asked about, so many times, for that many cases."""
        critic, slices = self.settings.critic, self.known.slices
        times *= critic.answers
        if critic.per == "mistake" or cases != "mistakes":
            return multiply(count, times), ZERO
        skips = critic.unsliced == "skip"
        if slices is None:
            single = (min(1.0, count[0]), count[1])  # one slice has all of them, or none holds
            found: tuple[Range, Range] = (ZERO, (0.0, count[1] // FEWEST_SHARE)) if skips else (single, ZERO)
        else:
            outside = tuple(max(0.0, end - slices[1]) for end in count)
            found = (ZERO if skips else (outside[0], outside[1])), (float(slices[0]),) * 2
        return multiply(found[0], times), multiply(found[1], times)

    def _count_new_critiques(self, source: ImageSource | None) -> int:
        """1 where the critic has to be asked once more for a source, else 0."""
        if source is None or not rows.uses_critic(source) or (source.cases, source.map) in self.criticised:
            return 0
        self.criticised.add((source.cases, source.map))
        return 1

    def _images(self, source: ImageSource, cases: Range) -> Range:
        """Images to make for a source with one seed."""
        experiment, fixed = self.settings.experiment, self.per_case.get(source)
        if rows.uses_critic(source) and self.settings.critic.unsliced == "skip" and source.cases == "mistakes":
            cases = (0.0, cases[1]) if self.known.slices is None else cap_range(cases, self.known.slices[1])
        wanted = multiply(cases, experiment.images_per_mistake if fixed is None else len(fixed))
        if experiment.images_per_class_max is not None:
            wanted = cap_range(wanted, experiment.images_per_class_max * self.known.classes)
        return multiply(wanted, (self.known.made_each or MADE_EACH) if source.curated else UNCURATED)

    def _repetitions(self, *what: str) -> int:
        """How often something is done that one baseline or critique shares between seeds, or does not."""
        experiment = self.settings.experiment
        return len(experiment.seeds) if set(what) & set(experiment.vary) else 1

    def _count_tested(self) -> Range:
        """Test images one training is asked about; a curve of them asks at each of its points."""
        tested = float(self.known.images["test"] if self._reaches(Stop.REPORT) else 0)
        return multiply((tested, tested), self._count_copies())

    def _count_copies(self) -> Range:
        """Copies of the weights of one training: the last ones, and those at each point of a curve of the test."""
        kept = 1.0 + rows.POINTS * self.settings.experiment.test_curves
        return kept, kept

    def _predictions_for_pools(self, arm: Arm) -> Range:
        """What is asked to find the real images of an arm: early weights about guide, or embeddings of reserve."""
        splits = {rows.DISAGREEMENTS: "guide", rows.RETRIEVED: "reserve"}
        asked = sum(self.known.images[splits[pool]] for pool in rows.pools_of(arm) if pool in splits)
        found = float(asked * self._repetitions("baseline") * self._reaches(Stop.REPORT))
        return found, found

    def _effort(self, recipe: Recipe, train: int) -> Range:
        effort = float(rows.effort(recipe, train, self.known.images["validation"]))
        return effort, effort

    def _reaches(self, stop: Stop) -> bool:
        return reaches(self.until, stop)
