"""Judges trials: sign-flip tests against both controls, Holm over the slices, and an outcome in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..records import Cause, CauseVerdict
from ..statistics import AdjustedContrast, holm_adjust, least_p, mean_interval, sign_flip_test
from .trial import CAUSE, ELSEWHERE, NUISANCE, Arms, EditedImage, Trial
from .wording import count_words, describe_cause

ALPHA = 0.05
FEWEST = 5  # images of each group: with fewer no p-value can be below 0.05
SMALLEST_EFFECT = 0.1  # of the probability: a cause below it is none that is worth an image
LARGE_EFFECT = 0.25  # a cause is refuted if the interval excludes it


@dataclass(frozen=True, eq=False)
class JudgedCause:
    """A verdict with its pictures.

    Attributes:
        verdict: what the trial came to.
        mistakes: some of the failed images, before and after.
        correct: some of the correct images, before and after.
    """

    verdict: CauseVerdict
    mistakes: tuple[EditedImage, ...]
    correct: tuple[EditedImage, ...]


@dataclass(frozen=True, eq=False)
class _Contrast:
    """The excess over the stronger control of one group of images, n."""

    excess: NDArray[np.float64]
    p: float


def judge_trials(trials: Sequence[Trial], labels: Sequence[str], alpha: float = ALPHA) -> list[JudgedCause]:
    """One verdict a trial, in order; those that can be tested share the error rate by Holm's method.

    A cause is confirmed if its edit changes the answers more than the same edit elsewhere does and more than the
    strongest nuisance edit does, both in fixing mistakes and in breaking correct images: the largest of the four
    p-values counts (an intersection-union test), so none of the four has to be corrected.

    Args:
        trials: of one experiment.
        labels: names of the classes.
        alpha: probability of confirming any cause where none has an effect.
    """
    contrasts = [_weakest_contrast(trial) for trial in trials]
    testable = [i for i, trial in enumerate(trials) if not _obstacle(trial)]
    adjusted = dict(zip(testable, holm_adjust([contrasts[i].p for i in testable], alpha), strict=True))
    judged = []
    for i, (trial, contrast) in enumerate(zip(trials, contrasts, strict=True)):
        verdict = _count(trial, contrast, labels)
        if i in adjusted:
            verdict = _decide(verdict, contrast, adjusted[i], alpha, len(testable), _explain_unedited(trial))
        else:
            verdict = _explain_obstacle(verdict, trial)
        judged.append(JudgedCause(verdict, trial.mistakes.images, trial.correct.images))
    return judged


def _weakest_contrast(trial: Trial) -> _Contrast:
    candidates = [
        _contrast(arms, control, sign)
        for arms, sign in ((trial.mistakes, 1), (trial.correct, -1))
        for control in (ELSEWHERE, NUISANCE)
        if arms.count
    ]
    if not candidates:
        return _Contrast(np.zeros(0), 1.0)
    weakest = min(candidates, key=lambda one: float(one.excess.mean()))
    return _Contrast(weakest.excess, max(one.p for one in candidates))


def _contrast(arms: Arms, control: str, sign: int) -> _Contrast:
    excess = sign * (arms.rise[CAUSE] - arms.rise[control])
    return _Contrast(excess, sign_flip_test(excess))


def _count(trial: Trial, contrast: _Contrast, labels: Sequence[str]) -> CauseVerdict:
    """The verdict's counts; its outcome is still open."""
    mistakes, correct = trial.mistakes, trial.correct
    wrong = {name: int((~right).sum()) for name, right in correct.right.items()}
    right = {name: int(values.sum()) for name, values in mistakes.right.items()}
    return CauseVerdict(
        cause=_typical([cause for _, cause in trial.stated]),
        label=labels[trial.label],
        predicted=labels[trial.predicted],
        outcome="untestable",
        sentence="",
        cases=tuple(name for name, _ in trial.stated),
        tested=mistakes.count,
        fixed=right[CAUSE],
        fixed_elsewhere=right[ELSEWHERE],
        fixed_by_nuisance=right[NUISANCE],
        nuisance=mistakes.nuisance,
        correct=correct.count,
        broken=wrong[CAUSE],
        broken_elsewhere=wrong[ELSEWHERE],
        broken_by_nuisance=wrong[NUISANCE],
        nuisance_of_correct=correct.nuisance,
        effect=float(contrast.excess.mean()) if len(contrast.excess) else None,
    )


def _typical(causes: Sequence[Cause]) -> Cause:
    """The cause as the slice is described by: values that its cases do not share are left out."""
    first = causes[0]
    shared = {
        name: value
        for name in ("colour", "value", "box")
        if len({getattr(one, name) for one in causes}) == 1 and (value := getattr(first, name)) is not None
    }
    if first.kind == "region" and "box" not in shared and "colour" not in shared:
        return first
    return Cause(first.kind, first.present, **shared)


def _decide(
    verdict: CauseVerdict, contrast: _Contrast, adjusted: AdjustedContrast, alpha: float, hypotheses: int, left_out: str
) -> CauseVerdict:
    p = adjusted.p
    low, high = mean_interval(contrast.excess, adjusted.level)
    verdict = replace(verdict, p=p, low=low, high=high)
    counts, effect = count_words(verdict.cause, verdict) + left_out, verdict.effect or 0.0
    if p <= alpha and effect >= SMALLEST_EFFECT:
        return replace(verdict, outcome="confirmed", sentence=f"{_begin(verdict.cause)} is a cause: {counts}.")
    if high < LARGE_EFFECT or effect < 0:
        return replace(verdict, outcome="refuted", sentence=f"{_begin(verdict.cause)} is not the cause: {counts}.")
    pairs = min(verdict.tested, verdict.correct)
    if least_p(pairs) * hypotheses > alpha:
        reason = f"{pairs} images are too few for {hypotheses} slices"
    else:
        reason = f"the effect is uncertain, {effect:+.2f} ({low:+.2f} to {high:+.2f})"
    return replace(verdict, sentence=f"{_begin(verdict.cause)} could not be tested: {reason}; {counts}.")


def _explain_unedited(trial: Trial) -> str:
    """How many of the mistakes were not edited, and why; empty where all were."""
    reasons = [
        (trial.absent, f"{trial.absent} of {len(trial.stated)} mistakes do not show it"),
        (trial.uneditable, f"{trial.uneditable} of {len(trial.stated)} could not be edited"),
    ]
    return "".join(f"; {text}" for count, text in reasons if count)


def _obstacle(trial: Trial) -> str:
    """Why a trial cannot be tested; empty if it can."""
    counts = trial.mistakes.count, trial.correct.count
    if not trial.mistakes.total:
        reasons = [
            (trial.absent, f"{trial.absent} of {len(trial.stated)} images do not show it"),
            (
                trial.uneditable,
                f"{trial.uneditable} could not be edited: no subject found, or no image to take it from",
            ),
        ]
        return "; ".join(text for count, text in reasons if count)
    if min(counts) < FEWEST:
        return f"{counts[0]} mistakes and {counts[1]} correct images decide, and each must be at least {FEWEST}"
    return ""


def _explain_obstacle(verdict: CauseVerdict, trial: Trial) -> CauseVerdict:
    reason = _obstacle(trial)
    if not verdict.tested:
        return replace(verdict, sentence=f"{_begin(verdict.cause)} could not be tested: {reason}.")
    counts = count_words(verdict.cause, verdict)
    low_bar = trial.mistakes.rise
    beyond = float((low_bar[CAUSE] - np.maximum(low_bar[ELSEWHERE], low_bar[NUISANCE])).mean())
    if beyond >= LARGE_EFFECT and verdict.fixed > max(verdict.fixed_elsewhere, verdict.fixed_by_nuisance):
        sentence = f"{_begin(verdict.cause)} may be a cause, but the cases are too few for a test: {counts}."
        return replace(verdict, outcome="suggestive", sentence=sentence, effect=beyond)
    return replace(verdict, sentence=f"{_begin(verdict.cause)} could not be tested: {reason}; {counts}.")


def _begin(cause: Cause) -> str:
    """The cause as the first words of a sentence."""
    text = describe_cause(cause)
    return text[:1].upper() + text[1:] + ("" if cause.present else ",")
