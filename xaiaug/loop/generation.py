"""Makes the new images of a run: who checks them, who looks at them, and which are exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .. import arms as rows
from ..curation import VERSION, Gate, Judge
from ..errors import WaitingForReview
from ..records import ImageSource, Progress, Sample
from ..stages import Ground, Image, ImagePlan, Pool, Review, equally_many, export, make_images
from ..store import BlobFile
from .judge import admit, judge_of
from .run_context import Scene, own

Made = dict[tuple[str, int], list[Image]]
Samples = dict[tuple[str, int], list[Sample]]


class Drawing:
    """Makes new images, round after round, and exports those of all rounds.

    Args:
        scene: of the run.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._judge: Judge | None = None
        self._review = Review(scene.desk, scene.splits.labels) if scene.settings.curation.review else None
        self._earlier: list[Pool] = []

    def of_round(self, ground: Ground, source: ImageSource) -> list[Sample]:
        """The new images of one source, with the first seed, for a round that is not the last.

        Raises:
            WaitingForReview: nobody has looked at some of them yet.
        """
        self._admit(ground)
        name, cases, plan = rows.source_name(source), ground.cases(source), self._plan(source)
        made = [image for image in make_images(ground.desk, name, ground.seed, plan, cases) if image.kept]
        self._wait_for_review()
        number = len(self._earlier) + 1
        self._earlier.append(Pool(number, name, ground.seed, made, cases, ground.baseline, plan.gate))
        return self._samples(made)

    def of_last_round(self, grounds: Mapping[int, Ground]) -> Samples:
        """The new training images of each source and seed: equally many of each class.

        Raises:
            WaitingForReview: nobody has looked at some of them yet.
        """
        scene, sources = self.scene, rows.sources(self.scene.arms)
        self._admit(own(grounds, scene.seeds[0]))
        made: Made = {}
        cases, gates = {}, {}
        for source in sources:
            name, plan = rows.source_name(source), self._plan(source)
            found = {seed: ground.cases(source) for seed, ground in grounds.items()}
            gates[name] = plan.gate
            for seed in scene.seeds:
                cases[name, seed] = own(found, seed)
                made[name, seed] = make_images(own(grounds, seed).desk, name, seed, plan, cases[name, seed])
        self._wait_for_review()
        used = equally_many(made)
        scene.tell("images", [self._told(source, seed, used) for source in sources for seed in scene.seeds])
        number, starts = len(self._earlier) + 1, {seed: ground.baseline for seed, ground in grounds.items()}
        pools = [
            Pool(number, name, seed, used[name, seed], cases[name, seed], own(starts, seed), gates[name])
            for name, seed in used
        ]
        export(scene.desk, scene.splits.labels, scene.cast.identities(), [*self._earlier, *pools])
        return {key: self._samples(images) for key, images in used.items()}

    def _admit(self, ground: Ground) -> None:
        """Asks who is to check the labels of new images how many of the mistakes it gets right."""
        scene = self.scene
        judge = judge_of(scene.settings, scene.cast.classifier)
        if judge is None or not any(source.curated for source in rows.sources(scene.arms)):
            return
        self._judge, told = admit(scene.settings, judge, scene.splits, ground)
        scene.tell("judge", told)
        said = f"{told['name']} gets {told['right']} of {told['of']} mistakes right"
        scene.desk.watch(Progress("label check", 1, 1, f"{said}: {'on' if told.get('admitted') else 'off'}"))

    def _wait_for_review(self) -> None:
        if self._review is None:
            return
        told = self._review.save()
        self.scene.tell("review", told)
        folder = self.scene.desk.store.folder
        if told["waiting"]:
            raise WaitingForReview(
                f"waiting for review: nobody has looked at {told['waiting']} of the new images yet. Look at them with\n"
                f"  xaiaug review {folder}\n"
                f"or write keep or reject into {folder / 'review.csv'}; the same command then goes on"
            )

    def _plan(self, source: ImageSource) -> ImagePlan:
        scene, curation = self.scene, self.scene.settings.curation
        judge = self._judge if source.curated else None
        gate = Gate(curation.checks if source.curated else (), scene.splits, judge)
        return ImagePlan(
            synthesizer=scene.cast.synthesizer,
            context=scene.context,
            train_key=scene.reference_key,
            per_mistake=scene.settings.experiment.images_per_mistake,
            gate=gate,
            gate_key={
                "version": VERSION,
                "checks": list(gate.checks),
                "held": scene.splits.fingerprint,
                "judge": judge and [judge.key, judge.admitted, judge.alike],
            },
            remakes=curation.remakes,
            most_per_class=scene.settings.experiment.images_per_class_max,
            guided=source.image_guided,
            asked=rows.asks(source),
            review=self._review if source.curated else None,
            fixed=source.prompt != "critic",
        )

    def _samples(self, images: Sequence[Image]) -> list[Sample]:
        path = self.scene.desk.store.blobs.path
        blobs = [(image.row["image"]["blob"], image.target) for image in images]
        return [Sample(id=blob.split(".")[0], label=target, opener=BlobFile(path(blob))) for blob, target in blobs]

    def _told(self, source: ImageSource, seed: int, used: Made) -> dict[str, Any]:
        name, labels = rows.source_name(source), self.scene.splits.labels
        images = used[name, seed]
        return {
            "name": name,
            "source": asdict(source),
            "asks": rows.asks(source),
            "seed": seed,
            "arms": [arm.name for arm in self.scene.arms if arm.images == source],
            "count": Counter(labels[image.target] for image in images),
            "used": [image.row["image"]["blob"] for image in images],
        }
