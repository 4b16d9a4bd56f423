"""One run: the stages in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from .. import arms as rows
from ..config import Settings
from ..curation import Gate
from ..data import Splits
from ..errors import UnsupportedRecipeError
from ..interfaces import Context
from ..records import Arm, Critique, Failure, ImageSource, Sample
from ..stages import Desk, Fitted, Image, ImagePlan, Mistake, choose, critique, explain, fit, make_images, predict
from ..stages.images import kept_by_class
from ..stages.train import Training
from ..store import BlobFile, digest
from .cast import Cast

Cases = list[tuple[Mistake, Any, Critique | Failure]]


class Run:
    """Conducts the stages of one run and tells the ledger what the report needs to know.

    Args:
        settings: checked.
        cast: the plugins.
        arms: the training conditions, the untouched start among them.
        desk: where work is kept, who does it, who watches.
        splits: the data, not yet checked.
    """

    def __init__(self, settings: Settings, cast: Cast, arms: Sequence[Arm], desk: Desk, splits: Splits) -> None:
        self.settings, self.cast, self.desk = settings, cast, desk
        self.arms = list(arms)
        self.recipe, self.baseline_recipe = settings.recipes()
        self.splits = splits
        self.left_out: list[dict[str, str]] = []

    def conduct(self, stop: str) -> None:
        """Goes through the stages, up to and with `stop`; what is finished already is not done again."""
        self._check_data(stop)
        self._conduct(stop)
        self._tell("reached", stop)

    def _conduct(self, stop: str) -> None:
        baseline = self._baseline()
        mistakes = self._mistakes(baseline)
        if stop == "mistakes":
            return
        explained = explain(self.desk, self.cast.explainer, self._context(), baseline, mistakes)
        if stop == "explain":
            return
        critiques = critique(self.desk, self.cast.critic, self._context(), self._train_key(), mistakes, explained)
        if stop == "critique":
            return
        pools = self._images(list(zip(mistakes, explained, critiques, strict=True)))
        if stop == "images":
            return
        fitted = self._train(baseline, mistakes, pools)
        self._evaluate(fitted)

    def _check_data(self, stop: str) -> None:
        checked = self.splits.check()
        self.splits = checked.splits
        self._tell("settings", self.settings.model_dump(mode="json"))
        self.desk.store.write_text("run.toml", self.settings.to_toml())
        self._tell("until", stop)
        self._tell("reached", None)
        self._tell("plugins", self.cast.told(self.settings))
        self._tell("data", {**checked.to_json(), "fingerprint": self.splits.fingerprint, "labels": self.splits.labels})

    def _baseline(self) -> Fitted:
        training = Training(
            "baseline",
            self.settings.experiment.seeds[0],
            self.baseline_recipe,
            self.splits.train,
            self.splits.validation,
        )
        baseline, _ = fit(self.desk, self.cast.classifier, self._context(), training)
        return baseline

    def _mistakes(self, baseline: Fitted) -> list[Mistake]:
        guide = self.splits.guide
        predictions = predict(self.desk, "guide", baseline, guide, len(self.splits.labels))
        mistakes = choose(guide, predictions, "all")
        chosen = choose(guide, predictions, self.settings.mistakes.max)
        self._tell("mistakes", [[m.sample.label, m.predicted] for m in mistakes])
        self._tell("cases", [[m.sample.id, m.sample.label, m.predicted, m.probabilities[m.predicted]] for m in chosen])
        return chosen

    def _images(self, cases: Cases) -> dict[tuple[ImageSource, int], list[Sample]]:
        """The new training images of each source and seed: equally many of each class."""
        made = {
            (source, seed): make_images(self.desk, rows.source_name(source), seed, self._plan(source), cases)
            for source in rows.sources(self.arms)
            for seed in self.settings.experiment.seeds
        }
        kept = {key: kept_by_class(images) for key, images in made.items()}
        classes = range(len(self.splits.labels))
        count = {c: min((len(by_class.get(c, [])) for by_class in kept.values()), default=0) for c in classes}
        used = {
            key: [image for c in classes for image in by_class.get(c, [])[: count[c]]] for key, by_class in kept.items()
        }
        self._tell("images", [self._told_images(key, images) for key, images in used.items()])
        self._export(used)
        return {key: [self._sample(image) for image in images] for key, images in used.items()}

    def _train(
        self, baseline: Fitted, mistakes: Sequence[Mistake], pools: dict[tuple[ImageSource, int], list[Sample]]
    ) -> dict[tuple[str, int], Fitted]:
        first = self.settings.experiment.seeds[0]
        fitted = {("baseline", first): baseline}
        told = []
        for arm in self.arms:
            if not arm.trained:
                told.append(
                    {"arm": asdict(arm), "real": len(self.splits.train), "recipe": asdict(self.baseline_recipe)}
                )
                continue
            if arm.images and not any(pools[arm.images, first]):
                self._leave_out(arm, "there are no new images to train on")
                continue
            try:
                for seed in self.settings.experiment.seeds:
                    fitted[arm.name, seed] = self._fit_arm(arm, seed, baseline, mistakes, pools)
            except UnsupportedRecipeError as error:
                self._leave_out(arm, str(error))
                continue
            real = rows.training_set(replace(arm, images=None), self._pools(mistakes), ())
            told.append({"arm": asdict(arm), "real": len(real), "recipe": asdict(rows.recipe_for(arm, self.recipe))})
        self._tell("arms", told)
        self._tell("left_out", self.left_out)
        return fitted

    def _fit_arm(
        self,
        arm: Arm,
        seed: int,
        baseline: Fitted,
        mistakes: Sequence[Mistake],
        pools: dict[tuple[ImageSource, int], list[Sample]],
    ) -> Fitted:
        synthetic = pools[arm.images, seed] if arm.images else []
        train = rows.training_set(arm, self._pools(mistakes), synthetic)
        recipe = rows.recipe_for(arm, self.recipe)
        training = Training(arm.name, seed, recipe, train, self.splits.validation, baseline)
        return fit(self.desk, self.cast.classifier, self._context(), training)[0]

    def _evaluate(self, fitted: dict[tuple[str, int], Fitted]) -> None:
        for (arm, seed), classifier in fitted.items():
            predict(self.desk, f"test:{arm}:{seed}", classifier, self.splits.test, len(self.splits.labels))

    def _pools(self, mistakes: Sequence[Mistake]) -> dict[str, Sequence[Sample]]:
        return {
            "train": self.splits.train,
            "guide": self.splits.guide,
            "reserve": self.splits.reserve,
            "failures": [mistake.sample for mistake in mistakes],
        }

    def _plan(self, source: ImageSource) -> ImagePlan:
        curation = self.settings.curation
        checks = curation.checks if source.curated else ("broken",)
        held = self.splits
        gate = Gate(checks, held)
        key = {"checks": list(checks), "held": self.splits.fingerprint}
        per_mistake = self.settings.experiment.images_per_mistake
        return ImagePlan(
            self.cast.synthesizer, self._context(), self._train_key(), per_mistake, gate, key, curation.remakes
        )

    def _context(self) -> Context:
        return Context(labels=self.splits.labels, train=self.splits.train)

    def _train_key(self) -> str:
        return digest([[sample.id, sample.label] for sample in self.splits.train])

    def _sample(self, image: Image) -> Sample:
        blob = image.row["image"]["blob"]
        return Sample(id=blob.split(".")[0], label=image.target, opener=BlobFile(self.desk.store.blobs.path(blob)))

    def _told_images(self, key: tuple[ImageSource, int], images: Sequence[Image]) -> dict[str, Any]:
        source, seed = key
        users = [arm.name for arm in self.arms if arm.images == source]
        blobs = [image.row["image"]["blob"] for image in images]
        count = Counter(self.splits.labels[image.target] for image in images)
        names = {"name": rows.source_name(source), "source": asdict(source), "seed": seed, "arms": users}
        return {**names, "count": dict(count), "used": blobs}

    def _export(self, used: dict[tuple[ImageSource, int], list[Image]]) -> None:
        files = []
        for (source, seed), images in used.items():
            for image in images:
                row = image.row
                blob = row["image"]["blob"]
                stem = f"{row['case'][:12]}-{row['index']}-{seed}-{blob[:8]}"
                origin = {
                    name: row[name] for name in ("label", "case", "index", "seed", "prompt", "dropped", "details")
                }
                files.append(
                    (
                        f"{row['label']}/{stem}.png",
                        blob,
                        {**origin, "source": rows.source_name(source), "repetition": seed},
                    )
                )
        self.desk.store.write_synthetic(files)

    def _leave_out(self, arm: Arm, reason: str) -> None:
        self.left_out.append({"name": arm.name, "reason": reason})

    def _tell(self, name: str, value: Any) -> None:
        self.desk.store.ledger.tell(name, value)
