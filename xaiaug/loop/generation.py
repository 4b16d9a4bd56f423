"""Makes the new images of a run: has them filtered and reviewed, and exports those that arms train on."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from .. import arms as rows
from ..curation import VERSION, ImageFilter, Judge
from ..errors import WaitingForReview
from ..records import ImageSource, Progress, Sample
from ..stages import Diagnosis, ExportedImages, GeneratedImage, ImagePlan, Review, equally_many, export, make_images
from ..store import BlobFile
from ..store.schema import IMAGES, JUDGED_BY, REVIEWED, ImagesFact
from .judge import admit_judge, create_judge
from .run_context import RunContext, for_seed

BySourceAndSeed = tuple[str, int]
Samples = dict[BySourceAndSeed, list[Sample]]


class ImageGeneration:
    """Makes new images, round after round, and exports those of all rounds.

    Args:
        run: whose images they are.
    """

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self._judge: Judge | None = None
        self._review = Review(run.runtime, run.splits.labels) if run.settings.curation.review else None
        self._earlier: list[ExportedImages] = []

    def early_round(self, diagnosis: Diagnosis, source: ImageSource) -> list[Sample]:
        """The new images of one source, with the first seed, for a round that is not the last.

        Raises:
            WaitingForReview: some of them are still to be reviewed.
        """
        self._admit_judge(diagnosis)
        plan = self._plan(source)
        images = [image for image in self._make(plan, diagnosis, diagnosis.seed) if image.kept]
        self._wait_for_review()
        self._earlier.append(ExportedImages(len(self._earlier) + 1, plan, diagnosis.seed, images, diagnosis))
        return self._samples(images)

    def last_round(self, diagnoses: Mapping[int, Diagnosis]) -> Samples:
        """The new training images of each source and seed: equally many of each class in every family of sources.

        Raises:
            WaitingForReview: some of them are still to be reviewed.
        """
        run = self.run
        self._admit_judge(for_seed(diagnoses, run.seeds[0]))
        plans = {rows.source_name(source): self._plan(source) for source in rows.sources(run.arms)}
        images = {
            (name, seed): self._make(plan, for_seed(diagnoses, seed), seed)
            for name, plan in plans.items()
            for seed in run.seeds
        }
        self._wait_for_review()
        # A source that could make none trains no arm; it takes no images from the arms of the others.
        empty = {name for (name, _), made in images.items() if not any(image.kept for image in made)}
        used: dict[BySourceAndSeed, list[GeneratedImage]] = {key: [] for key in images}
        for family in {rows.family(plan.source) for plan in plans.values()}:
            names = {name for name, plan in plans.items() if rows.family(plan.source) == family} - empty
            used |= equally_many({key: made for key, made in images.items() if key[0] in names})
        number = len(self._earlier) + 1
        exported = [
            ExportedImages(number, plans[name], seed, chosen, for_seed(diagnoses, seed))
            for (name, seed), chosen in used.items()
        ]
        export(run.runtime, run.splits.labels, run.plugins.identities(), [*self._earlier, *exported])
        run.set_fact(IMAGES, [self._fact(plans[name], seed, used[name, seed]) for name, seed in used])
        return {key: self._samples(chosen) for key, chosen in used.items()}

    def _make(self, plan: ImagePlan, diagnosis: Diagnosis, seed: int) -> list[GeneratedImage]:
        name = rows.source_name(plan.source)
        if plan.source.budget == "slices":
            if not diagnosis.slice_of:
                return []  # they would be those of the source without slices, made a second time
            plan = replace(plan, slice_of=diagnosis.slice_of)
        return make_images(diagnosis.runtime, name, seed, plan, diagnosis.cases(plan.source))

    def _admit_judge(self, diagnosis: Diagnosis) -> None:
        """Examines the classifier that checks the labels of new images."""
        run = self.run
        judge = create_judge(run.settings, run.plugins.classifier)
        if judge is None or not any(source.curated for source in rows.sources(run.arms)):
            return
        self._judge, exam = admit_judge(run.settings, judge, run.splits, diagnosis)
        run.set_fact(JUDGED_BY, exam)
        note = f"{exam['name']} gets {exam['right']} of {exam['of']} mistakes right"
        run.runtime.watch(Progress("label check", 1, 1, f"{note}: {'on' if exam.get('admitted') else 'off'}"))

    def _wait_for_review(self) -> None:
        if self._review is None:
            return
        counts = self._review.save()
        self.run.set_fact(REVIEWED, counts)
        folder = self.run.runtime.store.folder
        if counts["waiting"]:
            raise WaitingForReview(
                f"waiting for review: {counts['waiting']} of the new images have no decision yet. Look at them with\n"
                f"  xaiaug review {shlex.quote(str(folder))}\n"
                f"or write keep or reject into {folder / 'review.csv'}; then rerun the same command to resume"
            )

    def _plan(self, source: ImageSource) -> ImagePlan:
        run, curation = self.run, self.run.settings.curation
        synthesizer = run.plugins.synthesizer_of(source)
        judge = self._judge if source.curated else None
        image_filter = ImageFilter(curation.checks if source.curated else (), run.splits, judge)
        return ImagePlan(
            source=source,
            synthesizer=synthesizer,
            per_mistake=run.settings.experiment.images_per_mistake,
            image_filter=image_filter,
            filter_key={
                "version": VERSION,
                "checks": list(image_filter.checks),
                "held": run.splits.digest,
                "judge": None if judge is None else [judge.key, judge.admitted, judge.near_duplicate_threshold],
            },
            remakes=curation.remakes,
            most_per_class=run.settings.experiment.images_per_class_max,
            review=self._review if source.curated else None,
            bases=run.splits.train,
            checker=run.plugins.image_critic if source.curated and "prompt" in synthesizer.uses else None,
        )

    def _samples(self, images: Sequence[GeneratedImage]) -> list[Sample]:
        folder = self.run.runtime.store.folder
        blobs = [(image.row["image"]["blob"], image.target) for image in images]
        return [Sample(id=blob.split(".")[0], label=target, opener=BlobFile(folder, blob)) for blob, target in blobs]

    def _fact(self, plan: ImagePlan, seed: int, images: Sequence[GeneratedImage]) -> ImagesFact:
        source, labels = plan.source, self.run.splits.labels
        return ImagesFact(
            name=rows.source_name(source),
            source=asdict(source),
            asks=rows.uses_critic(source),
            seed=seed,
            arms=[arm.name for arm in self.run.arms if arm.images == source],
            count=dict(Counter(labels[image.target] for image in images)),
            used=[image.row["image"]["blob"] for image in images],
        )
