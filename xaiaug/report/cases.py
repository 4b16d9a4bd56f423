"""The mistakes on the page: what its script needs of each, as JSON, and by what they can be filtered."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from .page_text import cut_text, shorten_name
from .schema_cases import CaseRow, CritiqueRow, ImageRow
from .schema_causes import EditedImageRow, TestedCauseRow
from .schema_report import Report
from .thumbnails import Pictures, Rank

MOST_NEW = 4000  # pictures of new images on the page
MOST_KEPT, MOST_REJECTED = 6, 4  # of one mistake
MOST_EVIDENCE = 8
PANEL_SIDE = 480
EDIT_SIDE = 144
# Longest sides in pixels of mistakes, their heatmaps and new images, on pages of at most so many mistakes.
_SIDES = ((400, (288, 128, 144)), (1000, (208, 88, 112)), (10**9, (160, 64, 96)))

EXPLAINS = {True: "prediction", False: "all classes", None: None}  # by whether a heatmap is of one class
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_OUTCOMES = ("confirmed", "suggestive", "refuted", "untestable")


@dataclass(frozen=True)
class Option:
    """One choice of a filter, with the number of mistakes that it shows."""

    value: str
    name: str
    count: int


@dataclass(frozen=True)
class Filter:
    """A filter of the mistakes: `key` is its name in the address of the page."""

    key: str
    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Gallery:
    """All mistakes.

    Attributes:
        data: for the script, plain JSON.
        filters: those with more than one outcome.
        new_left_out: new images whose picture is not on the page.
    """

    data: dict[str, Any]
    filters: tuple[Filter, ...]
    new_left_out: int


def collect_cases(report: Report, pictures: Pictures) -> Gallery:
    """All cases: the first of each pair of classes, then the second of each, and so on."""
    by_pair: dict[tuple[str, str], list[CaseRow]] = {}
    for row in report.cases:
        by_pair.setdefault((row.label, row.predicted), []).append(row)
    rows = [row for row in chain.from_iterable(zip_longest(*by_pair.values())) if row is not None]
    cards = _Cards(report, pictures, [f"{shorten_name(a)} → {shorten_name(b)}" for a, b in by_pair])
    pairs = {pair: number for number, pair in enumerate(by_pair)}
    cases = [cards.describe(row, pairs[row.label, row.predicted]) for row in rows]
    data = {
        "arms": cards.arms,
        "slices": cards.slice_names,
        "causes": [cards.describe_cause(*one) for one in cards.tested],
        "cases": cases,
    }
    return Gallery(data, tuple(_filters(data, cards.pair_names)), cards.new_left_out)


class _Cards:
    """Describes the mistakes of one report."""

    def __init__(self, report: Report, pictures: Pictures, pair_names: list[str]) -> None:
        self.pictures, self.pair_names = pictures, pair_names
        self.arms = [arm.name for arm in report.arms if arm.trained and any(seed.metrics for seed in arm.seeds)]
        slices = report.slices.slices if report.slices else ()
        self.slice_names = [cut_text(row.name, 300) for row in slices]
        self.slices = _index(row.cases for row in slices)
        of_slices = [row.verdict for row in slices if row.verdict is not None]
        self.tested = [*((one, False) for one in report.causes), *((one, True) for one in of_slices)]
        self.causes = _index(cause.cases for cause, _ in self.tested)
        self.edits = _edits_by_case(cause for cause, _ in self.tested)
        self.few = len(report.cases) <= _SIDES[0][0]
        self.side, self.heat_side, self.new_side = next(sides for most, sides in _SIDES if len(report.cases) <= most)
        self.share_of_new = MOST_NEW / max(1, len(report.cases))
        self.new_left_out = 0

    def describe(self, row: CaseRow, pair: int) -> dict[str, Any]:
        """One mistake; what is empty or false is left out."""
        arms = {name: number for number, name in enumerate(self.arms)}
        card = {
            "id": row.id,
            "label": shorten_name(row.label),
            "predicted": shorten_name(row.predicted),
            "pair": pair,
            "p": round(row.probability, 4),
            "path": cut_text(row.path, 1000) if row.path else "",
            **self._pictures(row),
            "method": row.method,
            "explains": EXPLAINS[row.class_specific],
            "flat": row.degenerate,
            "slices": self.slices.get(row.id, []),
            "causes": self.causes.get(row.id, []),
            "edits": [self._describe_edit(self.edits.get((number, row.id))) for number in self.causes.get(row.id, [])],
            "critique": _describe_critique(row.critique),
            "votes": [
                [f"{vote.critic} {vote.sample + 1}:", cut_text(vote.cause or vote.failure, 60), ""]
                for vote in row.votes
            ],
            "shared": cut_text(row.critique_slice, 300),
            "failures": [[one.stage, one.kind, cut_text(one.message, 600)] for one in row.failures],
            "fixed": [arms[name] for name in row.fixed_by if name in arms],
            **self._describe_images(row.images),
        }
        return _leave_out_empty(card)

    def _pictures(self, row: CaseRow) -> dict[str, int | None]:
        heat = row.heatmap if row.image and not row.degenerate else None
        return {
            "image": self.pictures.add(row.image, self.side, Rank.MISTAKE) if row.image else None,
            # `degenerate` is of the grid, which the report does not hold; the upscaled map may look different.
            "heat": self.pictures.add_heat(heat, self.heat_side) if heat else None,
            "panel": self.pictures.add(row.panel, PANEL_SIDE, Rank.PANEL)
            if row.panel and self._shows_panel(row)
            else None,
        }

    def _shows_panel(self, row: CaseRow) -> bool:
        """Whether there is room for the panel; many mistakes share a sheet, and image and heatmap are there anyway."""
        return bool(row.critique_slice) or self.few

    def describe_cause(self, cause: TestedCauseRow, of_slice: bool) -> dict[str, Any]:
        """A cause that a critic or a slice states, with an example for mistakes that have no pictures of their own."""
        return {
            "slice": of_slice,
            "kind": cause.cause.kind,
            "outcome": cause.outcome,
            "sentence": cut_text(cause.sentence),
            "example": self._describe_edit(cause.mistakes[0]) if cause.mistakes else None,
        }

    def _describe_edit(self, edit: EditedImageRow | None) -> dict[str, Any] | None:
        if edit is None:
            return None
        blobs = (edit.before, edit.after, edit.elsewhere)
        shown = [self.pictures.add(blob, EDIT_SIDE, Rank.EXAMPLE) for blob in blobs]
        return {"id": edit.id, "pictures": shown, "right": list(edit.right)}

    def _describe_images(self, images: Sequence[ImageRow]) -> dict[str, Any]:
        kept = [image for image in images if image.kept]
        rejected = [image for image in images if not image.kept]
        some = min(MOST_KEPT, max(1, int(self.share_of_new * 0.6)))
        few = min(MOST_REJECTED, max(1, int(self.share_of_new * 0.4)))
        self.new_left_out += sum(bool(image.blob) for image in (*kept[some:], *rejected[few:]))
        return {
            "kept": len(kept),
            "rejected": len(rejected),
            "images": [self._describe_image(image) for image in (*kept[:some], *rejected[:few])],
            "dropped": cut_text(" ".join(dict.fromkeys(word for image in images for word in image.dropped)), 300),
        }

    def _describe_image(self, image: ImageRow) -> dict[str, Any]:
        described = {
            "picture": self.pictures.add(image.blob, self.new_side, Rank.NEW_IMAGE) if image.blob else None,
            "number": image.index,
            "seed": image.seed,
            "kept": image.kept,
            "check": image.check,
            "reason": cut_text(image.reason, 300),
            "prompt": cut_text(image.prompt, 600),
            "arms": list(image.arms),
            "blob": image.blob or "",
            "repetition": image.experiment_seed,
        }
        return _leave_out_empty(described)


def _leave_out_empty(described: Mapping[str, Any]) -> dict[str, Any]:
    """What is neither missing nor empty; zero is a number like others."""
    return {name: value for name, value in described.items() if value or (value == 0 and value is not False)}


def _describe_critique(critique: CritiqueRow | None) -> dict[str, Any]:
    if critique is None:
        return {}
    guidance = [_guidance_entry(name.replace("_", " "), value) for name, value in critique.guidance.items()]
    return {
        "cause": cut_text(critique.cause),
        "evidence": [cut_text(item, 400) for item in critique.evidence[:MOST_EVIDENCE]],
        "more": max(0, len(critique.evidence) - MOST_EVIDENCE),
        "attended": critique.attended,
        "confidence": round(critique.confidence, 3),
        "difficulty": cut_text(critique.difficulty, 400),
        "prompt": cut_text(critique.prompt),
        "suspect": critique.label_suspect,
        "guidance": guidance,
    }


def _guidance_entry(name: str, value: str | float) -> tuple[str, str, str]:
    """Name, value, and the colour to paint, which is set if the value is one."""
    text = value if isinstance(value, str) else f"{value:.2f}"
    return name, cut_text(text, 60), text if _COLOUR.fullmatch(text) else ""


def _edits_by_case(causes: Iterable[TestedCauseRow]) -> dict[tuple[int, str], EditedImageRow]:
    """By the number of the cause and the id of the mistake."""
    return {(number, image.id): image for number, cause in enumerate(causes) for image in cause.mistakes}


def _index(groups: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    """The numbers of the groups that hold an id."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, ids in enumerate(groups):
        for image_id in ids:
            numbers[image_id].append(number)
    return numbers


def _filters(data: Mapping[str, Any], pair_names: Sequence[str]) -> Iterable[Filter]:
    cases, causes, slices, arms = data["cases"], data["causes"], data["slices"], data["arms"]
    of_slice = Counter(number for case in cases for number in case.get("slices", ()))
    unsliced = sum("slices" not in case for case in cases)
    in_slices = [Option(str(number), name, of_slice[number]) for number, name in enumerate(slices)]
    yield from _filter("slice", "Slice", [*in_slices, *([Option("none", "in none", unsliced)] if slices else [])])
    of_pair = Counter(case["pair"] for case in cases)
    pairs = [Option(str(number), pair_names[number], count) for number, count in of_pair.most_common()]
    yield from _filter("pair", "Classes", pairs)
    tested = [[causes[number] for number in case.get("causes", ())] for case in cases]
    kinds = Counter(kind for found in tested for kind in {cause["kind"] for cause in found})
    yield from _filter("cause", "Tested cause", [Option(kind, kind, count) for kind, count in kinds.most_common()], 1)
    verdicts = Counter(outcome for found in tested for outcome in {cause["outcome"] for cause in found})
    shown = [Option(name, name, verdicts[name]) for name in _OUTCOMES if verdicts[name]]
    untested = sum(not found for found in tested)
    yield from _filter("verdict", "Verdict", [*shown, *([Option("none", "not tested", untested)] if shown else [])])
    yield from _filter("fixed", "Arms", _arm_options(cases, arms))
    suspects = sum(bool(case.get("critique", {}).get("suspect")) for case in cases)
    labels = [Option("suspect", "looks wrong", suspects), Option("sound", "looks right", len(cases) - suspects)]
    yield from _filter("label", "Label", labels if suspects else [])


def _arm_options(cases: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[Option]:
    if not arms:
        return []
    fixed = Counter(number for case in cases for number in case.get("fixed", ()))
    by_none = sum("fixed" not in case for case in cases)
    return [
        Option("any", "fixed by some arm", len(cases) - by_none),
        Option("none", "fixed by no arm", by_none),
        *(Option(str(number), f"fixed by {shorten_name(name)}", fixed[number]) for number, name in enumerate(arms)),
        *(
            Option(f"not-{number}", f"still wrong with {shorten_name(name)}", len(cases) - fixed[number])
            for number, name in enumerate(arms)
        ),
    ]


def _filter(key: str, name: str, options: Sequence[Option], fewest: int = 2) -> Iterable[Filter]:
    """The filter, where there is something to choose."""
    if len(options) >= fewest:
        yield Filter(key, name, tuple(options))
