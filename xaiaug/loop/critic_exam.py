"""Examines a critic: does it name planted causes, and does it read the map?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..causes import describe_cause
from ..data import Splits
from ..errors import ConfigError, DataError
from ..exam import (
    MAPS,
    PLANTED,
    ExamMarks,
    FindSubject,
    Mark,
    PlantedSet,
    choose_maps,
    create_photo_set,
    create_planted_set,
    list_photo_sets,
    mark_critique,
    mark_exam,
)
from ..interfaces import Context, Critic
from ..plugins._segmentation import create_segmenter
from ..plugins.classifiers.predict_function import PredictClassifier
from ..plugins.synthesizers._mask_folder import MaskFolder
from ..plugins.synthesizers._subject_masks import SubjectMasks
from ..records import Cause, Critique, Failure, Progress, Sample
from ..report.exam_page import render_exam
from ..report.schema_cases import CaseRow
from ..report.schema_exam import Exam
from ..results import Result, open_run
from ..store.blobs import Blobs, write_atomically
from .diagnose import LAST_STEP, diagnosis_settings
from .feedback import FeedbackLoop

__all__ = ["CriticExam", "Exam", "examine"]

FEWEST_CASES = 6
EXAM_JSON, EXAM_PAGE = "exam.json", "exam.html"


@dataclass(frozen=True)
class _Part:
    """One planted cause with one kind of map: a run of its own."""

    planted: PlantedSet
    maps: str
    run_dir: Path


class CriticExam:
    """An exam of one critic, in parts: each planted cause with each kind of map is a run, which resumes as runs do.

    Args:
        critic: an object or a registered name.
        run_dir: the folder of the exam.
        parameters: of a critic by name.
        data: a folder of photographs by class, on which causes are planted; None: drawings. Images of a split `test`
            are left out. Of more than two classes the two with the most images are taken.
        masks: a folder of masks of their subjects, by the ids of the photographs (see `Splits.link_masks`).
        segmenter: finds the subjects of the others, as the setting of that name; where there are masks or a segmenter,
            backdrops are planted too.
        cases: mistakes with each kind of map, over all planted causes; rounded to an even number for each cause.
        seed: of the images, and of which photographs are taken.
        budget_usd: most that all parts together may cost, in US dollars; None: nothing.
        allow_upload: whether a critic may send images to an outside service.
        offline: whether critics that talk to outside services are refused.

    Raises:
        ConfigError: too few cases, or parameters for a critic that is an object, or masks without data.
        DataError: too few photographs.
    """

    def __init__(  # noqa: PLR0913  each argument is one decision of the user
        self,
        critic: str | Critic,
        run_dir: str | Path = "runs/exam",
        *,
        parameters: Mapping[str, Any] | None = None,
        data: str | Path | Splits | None = None,
        masks: str | Path | None = None,
        segmenter: str | Mapping[str, Any] | None = None,
        cases: int = 60,
        seed: int = 0,
        budget_usd: float | None = None,
        allow_upload: bool = False,
        offline: bool = False,
    ) -> None:
        if cases < FEWEST_CASES:
            raise ConfigError(f"exam: needs at least {FEWEST_CASES} cases, two for each planted cause, got {cases}")
        if parameters and isinstance(critic, Critic):
            raise ConfigError(
                "exam: a critic that is an object has parameters of its own; give them where you create it"
            )
        self.critic, self.run_dir, self.seed = critic, Path(run_dir).expanduser(), seed
        self.parameters, self.budget_usd = dict(parameters or {}), budget_usd
        self._privacy = {"allow_upload": allow_upload, "offline": offline}
        if data is None and (masks is not None or segmenter is not None):
            raise ConfigError("exam: masks and a segmenter need your own photographs: give data (--data) too")
        sets = _draw_sets(cases, seed) if data is None else _plant_photos(data, masks, segmenter, cases, seed)
        self._parts = [
            _Part(planted, maps, self.run_dir / maps / planted.name.replace(" ", "-"))
            for maps in MAPS
            for planted in sets
        ]

    def loops(self) -> Iterator[tuple[FeedbackLoop, Splits, Path]]:
        """The loop, data and run folder of each part, to be planned."""
        for part in self._parts:
            yield self._loop(part, self.budget_usd), _splits(part.planted), part.run_dir

    def run(self, watch: Callable[[Progress], None] | None = None) -> Exam:
        """Asks the critic, marks what it says, and writes exam.json and exam.html.

        Args:
            watch: receives the progress.

        Raises:
            XaiaugError: as of `FeedbackLoop.run`.
        """
        results = {}
        for part in self._parts:
            left = None if self.budget_usd is None else self.budget_usd - self._sum_other_costs(part)
            loop = self._loop(part, left)
            results[part.maps, part.planted.name] = loop.run(
                _splits(part.planted), part.run_dir, LAST_STEP, watch=watch
            )
        exam = self._mark(results)
        write_atomically(self.run_dir, EXAM_JSON, exam.dump().encode())
        page = render_exam(exam, lambda name: (self.run_dir / name).read_bytes())
        write_atomically(self.run_dir, EXAM_PAGE, page.encode())
        return exam

    def _loop(self, part: _Part, budget_usd: float | None) -> FeedbackLoop:
        settings = diagnosis_settings(None, budget_usd, **self._privacy, test_causes=False, slices=False)
        settings["mistakes"]["faithfulness"] = 0
        settings["critic"] |= self.parameters
        classifier = PredictClassifier(part.planted.rule, part.planted.labels)
        return FeedbackLoop(classifier, choose_maps(part.planted, part.maps), self.critic, settings=settings)

    def _sum_other_costs(self, part: _Part) -> float:
        """What the other parts have cost, and may have."""
        others = [one.run_dir for one in self._parts if one is not part and (one.run_dir / "ledger.sqlite").exists()]
        costs = [open_run(folder).report.run.costs for folder in others]
        return sum(cost.usd + cost.unknown_usd for cost in costs)

    def _mark(self, results: Mapping[tuple[str, str], Result]) -> Exam:
        marks: dict[str, dict[tuple[str, str], Mark]] = {name: {} for name in MAPS}
        answered, rows = dict.fromkeys(MAPS, 0), []
        for part in self._parts:
            found = {case.id: case for case in results[part.maps, part.planted.name].report.cases}
            for name, truth in part.planted.truth.items():
                critique = _critique_of(found[name]) if name in found else None
                mark = mark_critique(critique, truth)
                marks[part.maps][part.planted.name, name] = mark
                answered[part.maps] += critique is not None
                rows.append(self._row(part, name, truth, mark, found.get(name), critique))
        return self._to_exam(mark_exam(marks, answered), rows, list(results.values()))

    def _row(
        self, part: _Part, name: str, truth: Cause, mark: Mark, case: CaseRow | None, critique: Critique | None
    ) -> dict[str, Any]:
        picture = (case.panel or case.image) if case is not None else None
        sample = next(sample for sample in part.planted.samples if sample.id == name)
        return {
            "id": name,
            "planted": part.planted.name,
            "label": part.planted.labels[sample.label],
            "predicted": part.planted.labels[1 - sample.label],
            "truth": describe_cause(truth),
            "maps": part.maps,
            "stated": critique.cause if critique is not None else "",
            "cause": mark.cause,
            "place": mark.place,
            "picture": picture and Blobs(part.run_dir).path(picture).relative_to(self.run_dir).as_posix(),
        }

    def _to_exam(self, marks: ExamMarks, rows: list[dict[str, Any]], results: list[Result]) -> Exam:
        reports = [result.report for result in results]
        costs = [report.run.costs for report in reports]
        plugin = reports[0].plugins.critic
        return Exam.model_validate(
            {
                "critic": plugin.model_dump(mode="json") if plugin else {"name": str(self.critic)},
                "seed": self.seed,
                "sentence": marks.sentence,
                "conditions": [
                    {
                        "maps": name,
                        "answered": marks.answered[name],
                        "cause": asdict(marks.causes[name]),
                        "place": asdict(marks.places[name]),
                        "right": asdict(marks.right[name]),
                    }
                    for name in MAPS
                ],
                "planted_sets": [{"planted": name, "right": asdict(share)} for name, share in marks.by_planted.items()],
                "map_effect": marks.map_effect,
                "map_low": marks.map_low,
                "map_high": marks.map_high,
                "map_p": marks.map_p,
                "usd": sum(cost.usd for cost in costs),
                "unknown_usd": sum(cost.unknown_usd for cost in costs),
                "calls": sum(cost.calls for cost in costs),
                "seconds": round(sum(report.run.duration_s or 0.0 for report in reports), 1),
                "cases": rows,
            }
        )


def examine(critic: str | Critic, run_dir: str | Path = "runs/exam", **options: Any) -> Exam:
    """Whether a critic names planted causes and their places, and whether that depends on the map it is shown.

    Args:
        critic: an object or a registered name.
        run_dir: the folder of the exam; an interrupted exam is resumed.
        options: `parameters`, `data`, `masks`, `segmenter`, `cases`, `seed`, `budget_usd`, `allow_upload` and `offline`
            of `CriticExam`.

    Raises:
        XaiaugError: as of `CriticExam` and its `run`.
    """
    return CriticExam(critic, run_dir, **options).run()


def _splits(planted: PlantedSet) -> Splits:
    return Splits(labels=planted.labels, guide=planted.samples)


def _draw_sets(cases: int, seed: int) -> list[PlantedSet]:
    each = _share_cases(cases, len(PLANTED))
    return [create_planted_set(name, each, seed) for name in PLANTED]


def _share_cases(cases: int, causes: int) -> int:
    """Mistakes of each planted cause: an even number."""
    return 2 * max(1, round(cases / causes / 2))


def _plant_photos(
    data: str | Path | Splits,
    masks: str | Path | None,
    segmenter: str | Mapping[str, Any] | None,
    cases: int,
    seed: int,
) -> list[PlantedSet]:
    splits = data if isinstance(data, Splits) else Splits.from_folder(data, guide=0.0, validation=0.0, test=0.0)
    photos = _take_two_classes(splits)
    subjects = masks is not None or segmenter is not None
    names = list_photo_sets(subjects=subjects)
    find = _find_subjects(masks, segmenter) if subjects else None
    return [create_photo_set(name, photos, _share_cases(cases, len(names)), seed, find) for name in names]


def _take_two_classes(splits: Splits) -> dict[str, list[Sample]]:
    """The photographs of the two largest classes, those of test left out: only finished classifiers may see them."""
    pool = [*splits.train, *splits.guide, *splits.validation, *splits.reserve]
    by_class: dict[int, list[Sample]] = {}
    for sample in sorted(pool, key=lambda sample: sample.id):
        by_class.setdefault(sample.label, []).append(sample)
    if len(by_class) < 2:
        raise DataError(f"exam: photographs of two classes are needed, got {len(by_class)}")
    largest = sorted(sorted(by_class, key=lambda label: (-len(by_class[label]), label))[:2])
    return {splits.labels[label]: by_class[label] for label in largest}


def _find_subjects(masks: str | Path | None, segmenter: str | Mapping[str, Any] | None) -> FindSubject:
    chosen = None if segmenter is None else create_segmenter(segmenter, "exam")
    if chosen is not None:
        chosen.check()
        chosen.prepare(Context())
    found = SubjectMasks(chosen, None if masks is None else MaskFolder(str(masks), "exam"))

    def find(name: str, image: Image.Image) -> NDArray[np.float32] | None:
        mask = found.find(name, image)
        return None if isinstance(mask, Failure) else mask

    return find


def _critique_of(case: CaseRow) -> Critique | None:
    row = case.critique
    if row is None:
        return None
    testable = None if row.testable is None else Cause(**row.testable.model_dump())
    return Critique(row.cause, row.prompt, row.attended, testable=testable)
