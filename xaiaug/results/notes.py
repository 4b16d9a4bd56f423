"""Cautions for the reader of a report, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import name_some
from ..records import PASSING
from ..records.pipeline import BASELINE, FEWEST_MISTAKES, FEWEST_SEEDS, PRIMARY, StageKind
from ..report import Report
from ..report.schema_arms import ArmResult
from ..report.schema_report import Note

MANY, UNEVEN = 0.5, 3
REPAINTED = 0.2  # of the pixels outside a mask: more than a soft edge and compression explain
FAIR = 0.4  # below it Landis and Koch (1977, doi:10.2307/2529310) call a kappa fair at best
STILL, IMPROVING = 4, 0.1  # a validation loss that fell by more than a tenth over the last points of its curve


def notes(report: Report) -> tuple[Note, ...]:
    """The warnings first, then the rest."""
    found = [note for part in PARTS for note in part(report)]
    return tuple(sorted(found, key=lambda note: note.kind != "warning"))


def _warn(text: str) -> Note:
    return Note(kind="warning", text=text)


def _info(text: str) -> Note:
    return Note(kind="info", text=text)


def _world(report: Report) -> Iterator[Note]:
    if report.data.drawn:
        yield _info(
            "These figures are from a drawn world with a planted shortcut. They show that the parts work together; "
            "they say nothing about photographs or about a vision-language critic."
        )
    if report.data.guide_is_validation:
        yield _warn(
            "The validation split was used as guide: its curves no longer show images that training has not seen."
        )
    if report.data.test_seen:
        times = "once" if report.data.test_seen == 1 else f"{report.data.test_seen} times"
        yield _warn(
            f"The test split was used {times} before in this run folder, with other settings or critiques. If settings "
            "were chosen by these results, the figures of the test split are too optimistic."
        )


def _balance(report: Report) -> Iterator[Note]:
    counts = [count for count in report.data.counts.get("train", {}).values() if count]
    if counts and max(counts) > UNEVEN * min(counts):
        metric, weights = _setting(report, "experiment", "metric"), _setting(report, "recipe", "class_weights")
        advice = ['set [experiment] metric = "balanced-accuracy"'] * (metric in (None, "accuracy"))
        advice += ['consider [recipe] class_weights = "balanced"'] * (weights is None)
        if advice:
            times = f"{max(counts) / min(counts):.1f} times as many training images as the smallest"
            yield _warn(f"The largest class has {times}: {', and '.join(advice)}.")


def _setting(report: Report, table: str, name: str) -> object:
    values = report.settings.get(table)
    return values.get(name) if isinstance(values, Mapping) else None


def _reference(report: Report) -> Iterator[Note]:
    if report.mistakes.guide_size and not report.data.counts.get("train"):
        yield _info(
            "Nothing was trained in this run. The critic compared each mistake with correctly classified guide images."
        )


def _other_classes(report: Report) -> Iterator[Note]:
    known = {label for counts in report.data.counts.values() for label in counts}
    others = [label for label in report.data.labels if label not in known]
    if known and others:
        yield _info(
            f"The classifier also knows {len(others)} class{'es' * (len(others) > 1)} without images in the data:"
            f" {name_some(others)}. To predict one of them is a mistake. [classifier] restrict = true excludes them."
        )


def _mistakes(report: Report) -> Iterator[Note]:
    found, size = report.mistakes.found, report.mistakes.guide_size
    if not size:
        return
    if not found:
        yield _warn(
            f"The baseline makes no mistake on the {size} guide images: there is nothing to fix. A larger or harder "
            "guide split may show some."
        )
    elif found < FEWEST_MISTAKES:
        yield _warn(
            f"The baseline makes only {found} mistake{'s' if found > 1 else ''} on the {size} guide images. "
            f"So few are a weak basis for new images; aim for at least {FEWEST_MISTAKES} with a larger guide split."
        )
    held = report.mistakes.held
    if held:
        looks = "has a label that looks" if held == 1 else "have labels that look"
        yield _warn(
            f"{held} of the mistakes {looks} wrong, listed in suspects.csv: no image is "
            'made from them. If a label is right after all, write "yes" into its label_is_right and rerun.'
        )
    unanswered = sum(any(failure.kind in PASSING for failure in case.failures) for case in report.cases)
    if unanswered:
        yield _warn(
            f"The critic gave no answer for {unanswered} of {len(report.cases)} mistakes, perhaps temporarily (see "
            "each for the reason): no image is made from them. Rerun the same command to ask again."
        )
    if found > MANY * size:
        yield _warn(
            f"The baseline is wrong on {found} of {size} guide images. Check the labels and the training first: "
            "images made from its mistakes cannot fix a classifier that has not learned."
        )


def _agreement(report: Report) -> Iterator[Note]:
    kappa = None if report.agreement is None else report.agreement.kappa
    if kappa is not None and kappa < FAIR:
        yield _warn(
            f"Critiques of the same mistake hardly agree (kappa {kappa:.2f}): the stated causes are hardly better than "
            "guesses. [critic] test_causes = true tests them by experiment."
        )


def _maps(report: Report) -> Iterator[Note]:
    if report.maps and report.maps.outcome in ("no better", "worse"):
        yield _warn(report.maps.sentence)


def _images(report: Report) -> Iterator[Note]:
    used = report.images.used
    without = [label for label, count in used.items() if not count]
    if used and any(used.values()) and without:
        shown = ", ".join(without[:10]) + (" …" if len(without) > 10 else "")
        yield _warn(
            f"No new images of {shown}: no usable mistake of that class. "
            "An arm trained on new images alone never sees it."
        )


def _unchecked(report: Report) -> Iterator[Note]:
    if report.images.unchecked:
        yield _warn(
            f"{report.images.unchecked} of {report.images.made} new images were not checked by the critic of "
            "[curation] vlm, which declined them or gave no answer: they are kept, each with the reason. Rerun the "
            "same command to ask again where the failure may be temporary."
        )


def _edits(report: Report) -> Iterator[Note]:
    changed = report.images.changed_outside
    if changed is not None and changed > REPAINTED:
        then = (
            "The photo's own pixels were restored there, so a seam may show along the mask."
            if report.images.kept_outside
            else "So they are new images rather than edits: outside the mask they do not show the photo."
        )
        yield _warn(
            f"The service repaints what the mask protects: half of its edits change {changed:.0%} or more of the "
            f"pixels outside it. {then}"
        )


def _ratios(report: Report) -> Iterator[Note]:
    yield from (_warn(arm.ratio_warning) for arm in report.arms if arm.ratio_warning)
    for limit in sorted({arm.ratio_limit for arm in report.arms if arm.ratio_limit is not None}):
        limited = [arm for arm in report.arms if arm.ratio_limit == limit]
        yield _info(
            f"There are more than {limit:g} images to add per real one, so added images, new or real, are limited to "
            f"{limited[0].added_share:.0%} of the passes of {name_some(arm.name for arm in limited)}. Your own arm can "
            "set another synthetic_ratio."
        )


def _map_effect(report: Report) -> Iterator[Note]:
    yield from map(_warn, report.images.untestable)


def _judge(report: Report) -> Iterator[Note]:
    judge = report.images.judge
    if judge is None:
        return
    share = f"{judge.name} gets {judge.right} of {judge.of} mistakes right"
    if judge.admitted:
        yield _info(f"The labels of new images were checked by another classifier: {share}.")
    if judge.admitted and judge.right < judge.needed * judge.of:
        yield _warn(
            f"The judge of the new images fails where the classifier does: {share}. With the same blind spots it "
            "rejects the very images that fix them."
        )
    if judge.admitted is False:
        why = f"{share}, and {judge.needed:.0%} are needed" if judge.of else "there was nothing to fit a judge on"
        yield _warn(
            f"The label check is off: {why}. A judge with the classifier's own blind spots would reject the very "
            'images that fix them. [curation] judge = "zero-shot", or your own classifier, may do better.'
        )
    if judge.admitted is not None and not judge.trained_on:
        yield _warn(
            f"The training data of the judge {judge.name} are not declared. If it has seen test images, the choice of "
            "new images depends on them. Declare them with [curation.judge] trained_on."
        )


def _review(report: Report) -> Iterator[Note]:
    review = report.images.review
    if review is None:
        return
    if review.waiting:
        yield _warn(
            f"Waiting for review: {review.waiting} of the new images have no decision yet. `xaiaug review` shows them; "
            "then rerun the same command to resume."
        )
    if review.kept or review.rejected:
        yield _info(
            f"A person reviewed the new images without knowing their arms: {review.kept} kept, {review.rejected} "
            f"rejected, {review.prompts} of these with another prompt; {review.labels} mistakes with a wrong label."
        )


def _seeds(report: Report) -> Iterator[Note]:
    seeds = max((len(arm.seeds) for arm in report.arms if arm.trained), default=0)
    if seeds == 1:
        yield _warn("One seed proves nothing: another seed may reverse the ranking of the arms.")
    elif seeds == 2:
        yield _warn("Two seeds prove little: take at least three, better five.")


def _contrast(report: Report) -> Iterator[Note]:
    seeds = max((len(arm.seeds) for arm in report.arms if arm.trained), default=0)
    if report.verdict is not None or seeds < FEWEST_SEEDS:
        return
    named = _setting(report, "experiment", "primary")
    arm, against = named if isinstance(named, list | tuple) else PRIMARY
    missing = [name for name in (arm, against) if name not in {row.name for row in report.arms}]
    if missing:
        yield _warn(
            f"No verdict: it would compare {arm} with {against}, and this run has no results of "
            f"{' and '.join(missing)}. Set [experiment] primary to two arms that it has."
        )


def _rounds(report: Report) -> Iterator[Note]:
    if report.rounds:
        counts = " -> ".join(str(count) for count in (*report.rounds, report.mistakes.found))
        yield _info(
            f"This is round {len(report.rounds) + 1}: its baseline is the classifier that the previous round promoted. "
            f"Mistakes on guide: {counts}. The guide steered every round, so fewer mistakes on it prove nothing; the "
            "test split was used once, at the end."
        )


def _adapter(report: Report) -> Iterator[Note]:
    means = {arm.name: _mean(arm) for arm in report.arms}
    for name, mean in means.items():
        start = means.get(BASELINE)
        if name.endswith("-lora") and mean is not None and start is not None and mean < start:
            yield _warn(
                f"{name} ends at {100 * mean:.1f} %, below the baseline's {100 * start:.1f} %. Adapters often need a "
                "higher learning rate ([recipe] adapter_learning_rate) or more steps than all weights do; its head was "
                "trained."
            )


def _mean(arm: ArmResult) -> float | None:
    found = [seed.metrics.accuracy for seed in arm.seeds if seed.metrics is not None]
    return sum(found) / len(found) if found else None


def _unfinished_training(report: Report) -> Iterator[Note]:
    baseline = next((arm for arm in report.arms if arm.name == BASELINE), None)
    curve = baseline.seeds[0].history.validation_loss if baseline and baseline.seeds else ()
    points = [value for value in curve if value is not None]
    if len(points) >= STILL and points[-1] < (1 - IMPROVING) * points[-STILL]:
        yield _warn(
            "The baseline was still improving when its training ended: more training may do as much as new images. "
            "Give [baseline] more steps, and compare with the arm continued."
        )


def _snapshots(report: Report) -> Iterator[Note]:
    asked = report.settings.get("experiment")
    if not isinstance(asked, dict) or not asked.get("test_curves") or not report.complete:
        return
    networks = [arm for arm in report.arms if arm.seeds and not arm.head_only]
    without = [arm.name for arm in networks if not arm.seeds[0].history.test_accuracy]
    if without:
        yield _info(
            f"There is no curve of the test split for {', '.join(without)}: the classifier keeps no weights while it "
            "trains."
        )


def _bill(report: Report) -> Iterator[Note]:
    for one in report.run.costs.overruns:
        yield _warn(
            f"The service billed calls of {one.model} up to {one.ratio:.3g} times their reserved maximum, "
            f"${one.usd:.4f} above it in total: check the price of the model, and the bill of the service."
        )
    table = report.settings.get("budget")
    cap, paid = table.get("usd") if isinstance(table, dict) else None, report.run.costs.usd
    if isinstance(cap, int | float) and paid > cap:
        yield _warn(f"More was billed than the budget of ${cap:g} allows: ${paid:.4f}, ${paid - cap:.4f} above it.")


def _stages(report: Report) -> Iterator[Note]:
    for stage, what in ((StageKind.EXPLAIN, "heatmap"), (StageKind.CRITIQUE, "critique")):
        failed = sum(any(failure.stage == stage for failure in case.failures) for case in report.cases)
        if failed:
            yield _warn(f"{failed} of {len(report.cases)} mistakes have no {what}: see each for the reason.")
    flat = sum(case.degenerate for case in report.cases)
    if flat:
        yield _warn(f"{flat} of {len(report.cases)} heatmaps carry no information: they are constant.")
    if not report.complete:
        yield _warn(f"This run is not finished{_how_far(report)}: rerun the same command to resume.")


def _how_far(report: Report) -> str:
    judged = sum(
        case.critique is not None or any(f.stage == StageKind.CRITIQUE for f in case.failures) for case in report.cases
    )
    return f" ({judged} of {len(report.cases)} mistakes have been shown to the critic)" if report.cases else ""


def _classifier(report: Report) -> Iterator[Note]:
    if report.plugins.classifier is not None:
        yield from map(_warn, report.plugins.classifier.notes)


def _keys(report: Report) -> Iterator[Note]:
    for kind in type(report.plugins).model_fields:
        plugin = getattr(report.plugins, kind)
        if plugin is not None and not plugin.keyed:
            yield _info(
                f"The source of the {kind} {plugin.name} cannot be read (a class typed at a prompt, for example), so "
                "its results are not reused: they are computed again whenever this run resumes. To avoid this, put "
                "the class in a file."
            )


PARTS = (
    _world,
    _classifier,
    _balance,
    _reference,
    _other_classes,
    _mistakes,
    _agreement,
    _maps,
    _images,
    _unchecked,
    _edits,
    _ratios,
    _map_effect,
    _judge,
    _review,
    _seeds,
    _contrast,
    _rounds,
    _adapter,
    _unfinished_training,
    _snapshots,
    _bill,
    _stages,
    _keys,
)
