"""The critic that measures: what of a failed image is unusual for its class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import ConfigError
from ...interfaces import Context, Critic
from ...records import Case, Critique, Failure, Sample
from ._measurements import Attended, attended, measure
from ._outliers import ClassReference, Comparison, Finding, compare
from ._sentences import attention_line, cause_of, difficulty_of, evidence_of, guidance_of, prompt_of


class MeasuredCritic(Critic):
    """Compares colour, light, sharpness, size and place of a failed image with the training images of its class.

    It needs no key, no weights and no network. What it does not measure (shape, breed, pose, a second animal) it
    cannot name; then it says that nothing it measured is unusual.

    Args:
        level: share of images without anything unusual that may still be called unusual, over all attributes
            together, 0 to 1.
        reference: most training images a class that are measured, at least 8.
        medium: what the prompt asks for: "photo", "drawing", …
        seed: decides which training images are measured.

    Raises:
        ConfigError: a parameter out of its range.
    """

    version = "3"

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
        self._measured: dict[str, ClassReference] = {}

    def prepare(self, context: Context) -> None:
        """Takes the training images; those of a class are measured when its first case comes."""
        train = context.train or ()
        if train is not self._train or context.labels != self._labels:
            # Otherwise a loop prepares again for another source, and what was measured still holds.
            self._labels, self._train, self._measured = context.labels, train, {}

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; each depends on its own case and the training images alone."""
        return [self._judge(case) for case in cases]

    def _judge(self, case: Case) -> Critique:
        measures = measure(case.image)
        own, seen = self._class(case.label), attended(case.explanation, measures.mask)
        other = self._class(case.predicted) if case.predicted != case.label else None
        comparison = compare(measures, own, other, self.level) if own.enough else None
        findings = _ordered(comparison, seen)
        return Critique(
            cause=cause_of(findings, measures, own, case.label, case.predicted),
            prompt=prompt_of(measures, findings, own, case.label, self.medium),
            attended=seen.kind,
            difficulty=difficulty_of(measures, findings),
            evidence=(*evidence_of(findings, comparison, measures, own, case.label), *attention_line(seen)),
            label_suspect=self._suspect(case, seen, comparison),
            confidence=_confidence(findings),
            guidance=guidance_of(measures, findings),
        )

    def _class(self, label: str) -> ClassReference:
        if label not in self._measured:
            self._measured[label] = ClassReference([measure(sample.open()) for sample in self._drawn(label)])
        return self._measured[label]

    def _drawn(self, label: str) -> list[Sample]:
        """Training images of one class: at most `reference` of them, the same ones whatever their order."""
        index = self._labels.index(label) if label in self._labels else None
        samples = sorted((sample for sample in self._train if sample.label == index), key=lambda sample: sample.id)
        order = np.random.default_rng([self.seed, 0]).permutation(len(samples))[: self.reference]
        return [samples[i] for i in order]

    def _suspect(self, case: Case, seen: Attended, comparison: Comparison | None) -> bool:
        """Whether the label looks wrong: the model is sure, looks at the subject, and nothing speaks against it.

        An image that has the colours of the predicted class is what a shortcut would be misled by, so anything
        unusual for the true class counts against a wrong label.
        """
        if comparison is None or comparison.findings or not set(self._labels) >= {case.label, case.predicted}:
            return False
        chance = {name: float(case.probabilities[self._labels.index(name)]) for name in (case.label, case.predicted)}
        sure = chance[case.predicted] >= 0.98 and chance[case.label] <= 0.01
        return sure and seen.kind in ("subject", "part") and comparison.highest_elsewhere < 1.3


def _ordered(comparison: Comparison | None, seen: Attended) -> tuple[Finding, ...]:
    """The findings, the likeliest cause first: what misleads before all else, and of that what the model looked at."""
    looked = {"subject": "subject colour", "part": "subject colour", "background": "backdrop colour"}.get(seen.kind)

    def likelihood(finding: Finding) -> tuple[bool, bool, float]:
        return finding.misleading, finding.misleading and finding.attribute == looked, finding.strength

    return tuple(sorted(comparison.findings, key=likelihood, reverse=True)) if comparison else ()


def _confidence(findings: Sequence[Finding]) -> float:
    """How sure the cause is: higher where the predicted class explains what is unusual for the true one."""
    if not findings:
        return 0.1
    return round((0.9 if findings[0].misleading else 0.6) * (1 - findings[0].p), 3)
