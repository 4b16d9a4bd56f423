"""Makes the new images of a run: who checks them, who looks at them, and which are exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .. import arms as rows
from ..curation import VERSION, ImageFilter, Judge
from ..errors import WaitingForReview
from ..records import ImageSource, Progress, Sample
from ..stages import Diagnosis, ExportedImages, GeneratedImage, ImagePlan, Review, equally_many, export, make_images
from ..store import BlobFile
from .judge import admit_judge, create_judge
from .run_context import RunContext, for_seed

Made = dict[tuple[str, int], list[GeneratedImage]]
Samples = dict[tuple[str, int], list[Sample]]


class ImageGeneration:
    """Makes new images, round after round, and exports those of all rounds.

    Args:
        run: of the run.
    """

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self._judge: Judge | None = None
        self._review = Review(run.runtime, run.splits.labels) if run.settings.curation.review else None
        self._earlier: list[ExportedImages] = []

    def of_round(self, diagnosis: Diagnosis, source: ImageSource) -> list[Sample]:
        """The new images of one source, with the first seed, for a round that is not the last.

        Raises:
            WaitingForReview: nobody has looked at some of them yet.
        """
        self._admit(diagnosis)
        name, cases, plan = rows.source_name(source), diagnosis.cases(source), self._plan(source)
        made = [image for image in make_images(diagnosis.runtime, name, diagnosis.seed, plan, cases) if image.kept]
        self._wait_for_review()
        number = len(self._earlier) + 1
        self._earlier.append(ExportedImages(number, name, diagnosis.seed, made, cases, diagnosis.baseline, plan.gate))
        return self._samples(made)

    def of_last_round(self, diagnoses: Mapping[int, Diagnosis]) -> Samples:
        """The new training images of each source and seed: equally many of each class.

        Raises:
            WaitingForReview: nobody has looked at some of them yet.
        """
        run, sources = self.run, rows.sources(self.run.arms)
        self._admit(for_seed(diagnoses, run.seeds[0]))
        made: Made = {}
        cases, gates = {}, {}
        for source in sources:
            name, plan = rows.source_name(source), self._plan(source)
            found = {seed: diagnosis.cases(source) for seed, diagnosis in diagnoses.items()}
            gates[name] = plan.gate
            for seed in run.seeds:
                cases[name, seed] = for_seed(found, seed)
                made[name, seed] = make_images(for_seed(diagnoses, seed).runtime, name, seed, plan, cases[name, seed])
        self._wait_for_review()
        used = equally_many(made)
        run.tell("images", [self._told(source, seed, used) for source in sources for seed in run.seeds])
        number, starts = len(self._earlier) + 1, {seed: diagnosis.baseline for seed, diagnosis in diagnoses.items()}
        pools = [
            ExportedImages(number, name, seed, used[name, seed], cases[name, seed], for_seed(starts, seed), gates[name])
            for name, seed in used
        ]
        export(run.runtime, run.splits.labels, run.plugins.identities(), [*self._earlier, *pools])
        return {key: self._samples(images) for key, images in used.items()}

    def _admit(self, diagnosis: Diagnosis) -> None:
        """Asks who is to check the labels of new images how many of the mistakes it gets right."""
        run = self.run
        judge = create_judge(run.settings, run.plugins.classifier)
        if judge is None or not any(source.curated for source in rows.sources(run.arms)):
            return
        self._judge, told = admit_judge(run.settings, judge, run.splits, diagnosis)
        run.tell("judge", told)
        said = f"{told['name']} gets {told['right']} of {told['of']} mistakes right"
        run.runtime.watch(Progress("label check", 1, 1, f"{said}: {'on' if told.get('admitted') else 'off'}"))

    def _wait_for_review(self) -> None:
        if self._review is None:
            return
        told = self._review.save()
        self.run.tell("review", told)
        folder = self.run.runtime.store.folder
        if told["waiting"]:
            raise WaitingForReview(
                f"waiting for review: nobody has looked at {told['waiting']} of the new images yet. Look at them with\n"
                f"  xaiaug review {folder}\n"
                f"or write keep or reject into {folder / 'review.csv'}; the same command then goes on"
            )

    def _plan(self, source: ImageSource) -> ImagePlan:
        run, curation = self.run, self.run.settings.curation
        judge = self._judge if source.curated else None
        gate = ImageFilter(curation.checks if source.curated else (), run.splits, judge)
        return ImagePlan(
            synthesizer=run.plugins.synthesizer,
            context=run.context,
            train_key=run.reference_key,
            per_mistake=run.settings.experiment.images_per_mistake,
            gate=gate,
            gate_key={
                "version": VERSION,
                "checks": list(gate.checks),
                "held": run.splits.digest,
                "judge": judge and [judge.key, judge.admitted, judge.alike],
            },
            remakes=curation.remakes,
            most_per_class=run.settings.experiment.images_per_class_max,
            guided=source.image_guided,
            asked=rows.uses_critic(source),
            review=self._review if source.curated else None,
            fixed=source.prompt != "critic",
        )

    def _samples(self, images: Sequence[GeneratedImage]) -> list[Sample]:
        path = self.run.runtime.store.blobs.path
        blobs = [(image.row["image"]["blob"], image.target) for image in images]
        return [Sample(id=blob.split(".")[0], label=target, opener=BlobFile(path(blob))) for blob, target in blobs]

    def _told(self, source: ImageSource, seed: int, used: Made) -> dict[str, Any]:
        name, labels = rows.source_name(source), self.run.splits.labels
        images = used[name, seed]
        return {
            "name": name,
            "source": asdict(source),
            "asks": rows.uses_critic(source),
            "seed": seed,
            "arms": [arm.name for arm in self.run.arms if arm.images == source],
            "count": Counter(labels[image.target] for image in images),
            "used": [image.row["image"]["blob"] for image in images],
        }
