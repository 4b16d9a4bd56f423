"""The new images of one source and seed: made, filtered, made again, topped up from other cases of the class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..store.schema import Wave
from .curate import curate
from .image_requests import GeneratedImage, ImagePlan, SourceCase, plan_requests
from .runtime import StageRuntime
from .synthesize import ImageRequest, synthesize
from .vlm_check import check_wishes

Key = TypeVar("Key")
TOP_UPS = 2  # waves in which other cases of the class fill what a case could not give


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
    requests = plan_requests(plan, cases, seed)
    wanted = requests.count_wanted()
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
    if plan.checker is not None:
        verdicts = check_wishes(runtime, wave, plan.checker, rows, verdicts)
    if plan.review:
        predicted = {request.mistake.sample.id: request.mistake.predicted for request in requests}
        verdicts = plan.review.verdicts(runtime, wave, rows, verdicts, predicted, fixed=plan.fixed_prompt)
    targets = [request.label for request in requests]
    return [GeneratedImage(*parts) for parts in zip(rows, verdicts, targets, strict=True)]


def _count_missing(wanted: Counter[int], images: Sequence[GeneratedImage]) -> dict[int, int]:
    have = Counter(image.target for image in images if image.kept)
    return {target: count - have[target] for target, count in wanted.items() if count > have[target]}
