"""Whether the arms that test the explanation can differ at all: whether another map gave other images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from ..records.pipeline import EXPLANATIONS, StageKind
from ..store import Reader
from ..store.schema import IMAGES, ImagesFact, Wave

Pair = tuple[str, str]
SAME_PLACE = 0.5  # overlap, as intersection over union, from which two regions count as the same
MOSTLY = 0.8  # share of the edits with the same region from which a shuffled map stands for the real one


def find_untestable(reader: Reader) -> dict[Pair, str]:
    """The pairs of arms whose comparison says nothing about the explanation, each with the reason in a sentence."""
    found = {}
    for arm, control in EXPLANATIONS:
        real, shuffled = _images_of(reader, arm), _images_of(reader, control)
        reason = _why_untestable(reader, arm, control, real, shuffled) if real and shuffled else ""
        if reason:
            found[arm, control] = reason
    return found


def _images_of(reader: Reader, arm: str) -> list[ImagesFact]:
    return sorted((entry for entry in reader.get_fact(IMAGES) or [] if arm in entry["arms"]), key=lambda e: e["seed"])


def _why_untestable(
    reader: Reader, arm: str, control: str, real: Sequence[ImagesFact], shuffled: Sequence[ImagesFact]
) -> str:
    overlaps = [overlap for pair in zip(real, shuffled, strict=False) for overlap in _overlaps(reader, *pair)]
    share = fmean(overlap >= SAME_PLACE for overlap in overlaps) if overlaps else 0.0
    if share >= MOSTLY:
        return (
            f"{control} cannot show whether the explanation helps: in {share:.0%} of its edits the shuffled map marks "
            "the region that the real one marks, as happens if a mark is always at the same place. Compare with "
            "saliency-edit-random."
        )
    used = [[sorted(entry["used"]) for entry in entries] for entries in (real, shuffled)]
    if not any(used[0]) or used[0] != used[1]:
        return ""
    return (
        f"This run cannot show whether the explanation helps: the new images of {control} are those of {arm}, pixel "
        "for pixel. Neither critic nor synthesizer let the map change an image; saliency-edit does."
    )


def _overlaps(reader: Reader, real: ImagesFact, shuffled: ImagesFact) -> Iterator[float]:
    """Intersection over union of the regions of the same edit by both maps."""
    first, second = (_regions(reader, entry["name"], entry["seed"]) for entry in (real, shuffled))
    yield from (_overlap(first[edit], second[edit]) for edit in first.keys() & second.keys())


def _regions(reader: Reader, source: str, seed: int) -> dict[tuple[str, int], list[float]]:
    """The regions of a source's edits, left, top, right and bottom, by case and number."""
    regions = {}
    for stage in reader.stages():
        if stage.kind != StageKind.SYNTHESIZE or stage.of_early_round:
            continue
        wave = Wave.of(stage)
        if (wave.source, wave.seed) == (source, seed):
            for row in reader.rows(stage):
                region = row.get("details", {}).get("region")
                if region:
                    regions[row["case"], row["index"]] = region
    return regions


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in range(2)]
    common = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return common / (areas - common) if areas > common else 0.0
