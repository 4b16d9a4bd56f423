"""The critic that measures: it looks for properties of the image that are unusual for its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import ConfigError
from ...interfaces import Context, Critic
from ...records import Case, Critique, Failure, Sample
from ._measurements import Attention, measure, measure_attention
from ._outliers import ClassReference, Comparison, Finding, compare
from ._region_sentences import describe_region, list_hot_place, list_regions
from ._sentences import (
    describe_cause,
    describe_difficulty,
    list_attention,
    list_evidence,
    to_cause,
    write_guidance,
    write_prompt,
)
from ._shared_regions import SharedRegions


class MeasuredCritic(Critic):
    """Compares a misclassified image with others: by its heatmap, and by colour, light, sharpness, size and position.

    Where a run gives it the other explained images, it looks for spots off the subject that many maps mark, and names
    one that goes with a class and that this image has, or lacks, against its label. It sees pixels, maps, labels and
    predictions alone.

    It needs no key, no weights and no network. It cannot name what it does not measure (shape, breed, pose, a second
    animal), and reports that no unusual property was found.

    Args:
        level: significance level over all attributes together, 0 to 1: the share of ordinary images that may be
            reported as unusual.
        reference: maximum number of training images measured per class, at least 8.
        medium: what the prompt asks for: "photo", "drawing", …
        seed: selects the training images.

    Raises:
        ConfigError: a parameter out of its range.
    """

    version = "4"
    compares = True

    def __init__(self, level: float = 0.05, reference: int = 200, medium: str = "photo", seed: int = 0) -> None:
        self.level = level
        self.reference = reference
        self.medium = medium
        self.seed = seed
        if not 0 < level < 1:
            raise ConfigError(f"MeasuredCritic: level must lie between 0 and 1, got {level}; 0.05 is usual")
        if reference < 8:
            raise ConfigError(f"MeasuredCritic: reference must be at least 8 images a class, got {reference}")
        self._labels: tuple[str, ...] = ()
        self._train: Sequence[Sample] = ()
        self._references: dict[str, ClassReference] = {}
        self._explained: Sequence[Case] = ()
        self._regions: SharedRegions | None = None

    def prepare(self, context: Context) -> None:
        """Takes the training images; those of a class are measured with its first case."""
        train = context.train or ()
        if train is not self._train or context.labels != self._labels:
            # A loop prepares again for every source: the references of the same images are kept.
            self._labels, self._train, self._references = context.labels, train, {}
        if context.explained is not self._explained:
            self._explained, self._regions = context.explained, None

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; each depends on its case, the training images and the explained ones."""
        return [self._critique_one(case) for case in cases]

    def _critique_one(self, case: Case) -> Critique:
        measurements = measure(case.image)
        attention = measure_attention(case.explanation, measurements.mask)
        reference = self._reference(case.label)
        predicted = self._reference(case.predicted) if case.predicted != case.label else None
        comparison = compare(measurements, reference, predicted, self.level) if reference.enough else None
        findings = _rank_findings(comparison, attention)
        regions = self._shared_regions().findings(case, self.level)
        cause = describe_cause(findings, measurements, reference, case.label, case.predicted)
        return Critique(
            cause=describe_region(regions[0], case.label, case.predicted) if regions else cause,
            prompt=write_prompt(measurements, findings, reference, case.label, self.medium),
            attended=attention.kind,
            difficulty=describe_difficulty(measurements, findings),
            evidence=(
                *list_evidence(findings, comparison, measurements, reference, case.label),
                *list_attention(attention),
                *list_regions(regions, case.label, case.predicted),
                *list_hot_place(case),
            ),
            label_suspect=self._is_label_suspect(case, attention, comparison),
            confidence=round(0.9 * (1 - regions[0].p), 3) if regions else _confidence(findings),
            guidance=write_guidance(measurements, findings),
            testable=regions[0].cause if regions else to_cause(findings, measurements),
        )

    def _shared_regions(self) -> SharedRegions:
        if self._regions is None:
            self._regions = SharedRegions(self._explained)
        return self._regions

    def _reference(self, label: str) -> ClassReference:
        if label not in self._references:
            self._references[label] = ClassReference([measure(sample.open()) for sample in self._select(label)])
        return self._references[label]

    def _select(self, label: str) -> list[Sample]:
        """At most `reference` training images of one class, selected independently of their order."""
        index = self._labels.index(label) if label in self._labels else None
        samples = sorted((sample for sample in self._train if sample.label == index), key=lambda sample: sample.id)
        order = np.random.default_rng([self.seed, 0]).permutation(len(samples))[: self.reference]
        return [samples[i] for i in order]

    def _is_label_suspect(self, case: Case, attention: Attention, comparison: Comparison | None) -> bool:
        """Whether the label looks wrong: the model is confident, looks at the subject, and no property is unusual.

        Anything unusual for the true class speaks against a wrong label: with the colours of the predicted class, for
        instance, a shortcut is the better explanation.
        """
        if comparison is None or comparison.findings or not set(self._labels) >= {case.label, case.predicted}:
            return False
        label, predicted = (case.probabilities[self._labels.index(name)] for name in (case.label, case.predicted))
        confident = float(predicted) >= 0.98 and float(label) <= 0.01
        return confident and attention.kind in ("subject", "part") and comparison.highest_elsewhere < 1.3


def _rank_findings(comparison: Comparison | None, attention: Attention) -> tuple[Finding, ...]:
    """The findings, most likely cause first: misleading ones before others, and among them what the model looked at."""
    colours = {"subject": "subject colour", "part": "subject colour", "background": "backdrop colour"}
    attended = colours.get(attention.kind)

    def likelihood(finding: Finding) -> tuple[bool, bool, float]:
        return finding.misleading, finding.misleading and finding.attribute == attended, finding.strength

    return tuple(sorted(comparison.findings, key=likelihood, reverse=True)) if comparison else ()


def _confidence(findings: Sequence[Finding]) -> float:
    """Confidence in the cause, 0 to 1: higher if the predicted class explains what is unusual for the true one."""
    if not findings:
        return 0.1
    return round((0.9 if findings[0].misleading else 0.6) * (1 - findings[0].p), 3)
