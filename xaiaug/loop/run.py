"""One run: the stages in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

from .. import arms as rows
from ..calls import Calls
from ..config import Settings
from ..curation import VERSION, Gate, Judge
from ..data import Splits
from ..errors import ConfigError, UnsupportedRecipeError, WaitingForReview
from ..interfaces import Context
from ..records import Arm, ImageSource, Progress, Sample
from ..registry import KINDS
from ..stages import (
    Desk,
    Fitted,
    Ground,
    Image,
    ImagePlan,
    Keeping,
    Mistake,
    Pool,
    Review,
    Training,
    along,
    by_pair,
    choose,
    choose_correct,
    equally_many,
    export,
    fit,
    hold,
    list_cases,
    list_suspects,
    make_images,
    measure_maps,
    predict,
)
from ..store import SPEEDS, BlobFile, digest
from .cast import Cast
from .changes import changes, compared
from .judging import admit, judge_of

Found = TypeVar("Found")
Pools = dict[tuple[str, int], list[Sample]]


class Run:
    """Conducts the stages of one run and tells the ledger what the report needs to know.

    Args:
        settings: checked.
        cast: the plugins.
        arms: the training conditions, the untouched start among them.
        desk: where work is kept, who does it, who watches.
        splits: the data, not yet checked.
        calls: for plugins whose work costs money.
    """

    def __init__(
        self, settings: Settings, cast: Cast, arms: Sequence[Arm], desk: Desk, splits: Splits, calls: Calls
    ) -> None:
        self.settings, self.cast, self.arms, self.desk, self.splits = settings, cast, arms, desk, splits
        self.calls = calls
        self.impossible: dict[str, str] = {}
        self.tested_before = False
        self.exported: list[Pool] = []
        self.judge: Judge | None = None
        self.review: Review | None = None
        self.seeds = settings.experiment.seeds
        self.recipe, self.baseline_recipe = settings.recipes()

    def conduct(self, stop: str) -> None:
        """Goes through the stages, up to and with `stop`; what is finished already is not done again."""
        if self.desk.store.ledger.fact("reached") != stop and stop not in ("mistakes", "explain"):
            self.cast.critic.check()  # told now, not after hours of training; a finished run needs no key
        begun = self.desk.store.ledger.fact("begun") or ()
        self.tested_before = any(stage.startswith("predict/test:") for stage in begun)
        self.desk.store.start()
        self._tell("until", stop)
        self._tell("reached", None)
        self._check(stop)
        self._conduct(stop)
        self._tell("reached", stop)

    def _conduct(self, stop: str) -> None:
        baselines = {seed: self._baseline(seed) for seed in self._varied("baseline")}
        if stop in ("images", "report"):
            baselines |= self._rounds(baselines[self.seeds[0]])
        grounds = self._grounds(baselines)
        if stop == "mistakes":
            return
        for ground in grounds.values():
            ground.explained()
        first = _own(grounds, self.seeds[0])
        measured = self.settings.mistakes.faithfulness
        measure_maps(self.desk, first.baseline, first.mistakes, first.explained(), measured)
        if stop == "explain":
            return
        grounds = self._hold(grounds)
        if stop == "critique":
            return
        pools = self._images(grounds)
        if stop == "images":
            return
        fitted = self._train(grounds, pools)
        for (arm, seed), classifier in fitted.items():
            predict(self.desk, f"test:{arm}:{seed}", classifier, self.splits.test, len(self.splits.labels))
        for (arm, seed), classifier in fitted.items():
            for step, then in along(classifier).items():
                predict(self.desk, f"curve:{arm}:{seed}:{step}", then, self.splits.test, len(self.splits.labels))

    def _check(self, stop: str) -> None:
        count = sum(len(self.splits[name]) for name in self.splits.distinct)
        self.desk.watch(Progress("check images", 0, count))
        checked = self.splits.check(self._needed(stop))
        self.desk.watch(Progress("check images", count, count))
        self.splits = splits = checked.splits
        self.desk = replace(self.desk, sealed=frozenset(sample.id for sample in splits.test))
        self._refer_to(splits.train)
        self.review = Review(self.desk, splits.labels) if self.settings.curation.review else None
        self.recipe = rows.with_class_weights(self.recipe, splits.train)
        self.baseline_recipe = rows.with_class_weights(self.baseline_recipe, splits.train)
        by_name = not isinstance(self.settings.experiment.arms, str)
        reads = self.cast.synthesizer.uses
        self.arms, self.impossible = rows.possible(
            self.arms, by_name, reads, bool(splits.reserve), self.cast.synthesizer.needs
        )
        settings = self.settings.model_dump(mode="json")
        self._show_changes(compared(settings, self.cast.identities(), splits.fingerprint))
        self._tell("settings", settings)
        experiment = settings["experiment"]
        self._tell("comparison", {name: experiment[name] for name in ("primary", "metric", "smallest_effect", "vary")})
        self._tell("plugins", self.cast.told(self.settings))
        told = {
            "labels": splits.labels,
            "fingerprint": splits.fingerprint,
            "guide_is_validation": splits.guide_is_validation,
        }
        self._tell("data", {**checked.to_json(), **told})
        self.desk.store.write_text("run.toml", self.settings.to_toml())
        if checked.dropped:
            self.desk.store.write_table("leaks.csv", [leak.to_json() for leak in checked.dropped])

    def _show_changes(self, now: dict[str, Any]) -> None:
        ledger = self.desk.store.ledger
        found = changes(ledger.fact("compared") or {}, now)
        if any(change.stale for change in found) and self.tested_before:
            ledger.tell("test_seen", (ledger.fact("test_seen") or 0) + 1)
        if any(change.key.partition(".")[0] in KINDS for change in found):
            ledger.tell(SPEEDS, None)  # they were another plugin's
        for change in found:
            self.desk.watch(Progress("settings changed", len(found), len(found), str(change)))
        self._tell("compared", now)

    def _needed(self, stop: str) -> tuple[str, ...]:
        # A run that stops early never looks at test, and one that trains nothing needs no images to train on.
        trains = self.settings.experiment.fit_baseline or stop == "report"
        return ("train",) * trains + ("guide",) + ("test",) * (stop == "report")

    def _refer_to(self, samples: Sequence[Sample]) -> None:
        """Takes the images that critics and synthesizers may know."""
        count, limit = self.cast.synthesizer.token_budget() or (None, None)
        self.context = Context(
            labels=self.splits.labels, train=samples, paid=self.calls, count_tokens=count, token_limit=limit
        )
        self.reference_key = digest([[sample.id, sample.label] for sample in samples])

    def _varied(self, *what: str) -> tuple[int, ...]:
        """The seeds that have their own of what is said; the first alone where one serves all."""
        return self.seeds if set(what) & set(self.settings.experiment.vary) else self.seeds[:1]

    def _baseline(self, seed: int) -> Fitted:
        recipe = self.baseline_recipe if self.settings.experiment.fit_baseline else None
        train = self.splits.train if recipe else ()
        training = Training("baseline", seed, recipe, train, self.splits.validation if recipe else ())
        return self._fit(self.desk, training)

    def _fit(self, desk: Desk, training: Training) -> Fitted:
        experiment = self.settings.experiment
        keeping = Keeping(experiment.checkpoint_steps, experiment.test_curves and not desk.part)
        return fit(desk, self.cast.classifier, self.context, training, keeping)

    def _rounds(self, baseline: Fitted) -> dict[int, Fitted]:
        """Where the last round starts: each round before it promotes one training, as long as mistakes get fewer."""
        left: list[int] = []
        for number in range(1, self.settings.experiment.rounds):
            desk = replace(self.desk, part=f"round-{number}")
            ground = self._ground(desk, baseline, self.seeds[0])
            found = sum(count for _, _, count in by_pair(ground.predictions))
            if not found or (left and found >= left[-1]):
                break
            left.append(found)
            promoted = self._promote(ground)
            if promoted is None:
                break
            baseline = promoted
        self._tell("rounds", left)
        return {self.seeds[0]: baseline}

    def _promote(self, ground: Ground) -> Fitted | None:
        """The promoted arm, trained with the first seed; None where there is nothing to train it on."""
        name, seed = self.settings.experiment.promote, self.seeds[0]
        arm = next((arm for arm in self.arms if arm.name == name), None)
        if arm is None or arm.images is None:
            raise ConfigError(
                f"[experiment] promote = {name!r} must name an arm of this run that trains on new images; it has "
                f"{', '.join(arm.name for arm in self.arms if arm.images)}"
            )
        ground = self._hold({seed: ground})[seed]
        self._admit(ground)
        source = rows.source_name(arm.images)
        cases, plan = ground.cases(arm.images), self._plan(arm.images)
        made = [image for image in make_images(ground.desk, source, seed, plan, cases) if image.kept]
        self._wait_for_review()
        self.exported.append(Pool(len(self.exported) + 1, source, seed, made, cases, ground.baseline, plan.gate))
        synthetic = [self._sample(image) for image in made]
        if not synthetic:
            return None
        recipe, count = rows.recipe_for(arm, self.recipe), Counter(sample.label for sample in synthetic)
        real = self._real(ground.mistakes)
        passes = recipe.steps * recipe.batch_size
        train = rows.training_set(arm, real, synthetic, count, passes=passes, seed=seed)
        training = Training(arm.name, seed, recipe, train, self.splits.validation, ground.baseline)
        return self._fit(ground.desk, training)

    def _real(self, mistakes: Sequence[Mistake]) -> dict[str, Sequence[Sample]]:
        """The real images arms may train on, by pool."""
        pools = {name: self.splits[name] for name in ("train", "guide", "reserve")}
        return {**pools, "failures": [mistake.sample for mistake in mistakes]}

    def _grounds(self, baselines: dict[int, Fitted]) -> dict[int, Ground]:
        """What each seed starts from: one ground for all, or its own where baselines or critiques vary."""
        first, *others = self._varied("baseline", "critique")
        grounds = {first: self._ground(self.desk, baselines[first], first)}
        for seed in others:
            desk = replace(self.desk, part=f"seed-{seed}")
            grounds[seed] = self._ground(desk, baselines.get(seed, baselines[first]), seed)
        return grounds

    def _ground(self, desk: Desk, baseline: Fitted, seed: int) -> Ground:
        guide = self.splits.guide
        predictions = predict(desk, "guide", baseline, guide, len(self.splits.labels))
        chosen = choose(guide, predictions, self.settings.mistakes.max)
        if not self.splits.train:
            right = predictions.predicted == predictions.labels
            self._refer_to([sample for sample, known in zip(guide, right, strict=True) if known])
        if not desk.part.startswith("seed-"):
            self._tell("mistakes", by_pair(predictions))
        list_cases(desk, chosen)
        wanted = any(source.cases == "correct" for source in rows.sources(self.arms))
        return Ground(
            desk,
            self.cast.explainer,
            self.cast.critic,
            self.context,
            self.reference_key,
            baseline,
            predictions,
            chosen,
            choose_correct(guide, predictions, chosen) if wanted else (),
            seed,
            draw=self.seeds.index(seed) if "critique" in self.settings.experiment.vary else 0,
            scale=self.settings.panel.scale,
        )

    def _hold(self, grounds: dict[int, Ground]) -> dict[int, Ground]:
        """The grounds without the mistakes whose label looks wrong, as the primary source's critiques say."""
        asked, guide = self.settings.curation.suspects, self.splits.guide
        found = {seed: hold(one, asked, guide, one.judged(rows.GENERATED)) for seed, one in grounds.items()}
        list_suspects(self.desk.store, [row for _, suspects in found.values() for row in suspects])
        self._tell("held", sorted(next(iter(found.values()))[0].held))
        return {seed: ground for seed, (ground, _) in found.items()}

    def _admit(self, ground: Ground) -> None:
        """Asks who is to check the labels of new images how many of the mistakes it gets right."""
        judge = judge_of(self.settings, self.cast.classifier)
        if judge is None or not any(source.curated for source in rows.sources(self.arms)):
            return
        self.judge, told = admit(self.settings, judge, self.splits, ground)
        self._tell("judge", told)
        said = f"{told['name']} gets {told['right']} of {told['of']} mistakes right"
        self.desk.watch(Progress("label check", 1, 1, f"{said}: {'on' if told.get('admitted') else 'off'}"))

    def _wait_for_review(self) -> None:
        if self.review is None:
            return
        told = self.review.save()
        self._tell("review", told)
        if told["waiting"]:
            raise WaitingForReview(
                f"waiting for review: nobody has looked at {told['waiting']} of the new images yet. Look at them with\n"
                f"  xaiaug review {self.desk.store.folder}\n"
                f"or write keep or reject into {self.desk.store.folder / 'review.csv'}; the same command then goes on"
            )

    def _images(self, grounds: dict[int, Ground]) -> Pools:
        """The new training images of each source and seed: equally many of each class."""
        self._admit(_own(grounds, self.seeds[0]))
        made, cases, gates = {}, {}, {}
        for source in rows.sources(self.arms):
            name, plan = rows.source_name(source), self._plan(source)
            found = {seed: ground.cases(source) for seed, ground in grounds.items()}
            for seed in self.seeds:
                cases[name, seed] = _own(found, seed)
                made[name, seed] = make_images(_own(grounds, seed).desk, name, seed, plan, cases[name, seed])
            gates[name] = plan.gate
        self._wait_for_review()
        used = equally_many(made)
        self._tell(
            "images", [self._told(source, seed, used) for source in rows.sources(self.arms) for seed in self.seeds]
        )
        number, starts = len(self.exported) + 1, {seed: ground.baseline for seed, ground in grounds.items()}
        pools = [
            Pool(number, name, seed, used[name, seed], cases[name, seed], _own(starts, seed), gates[name])
            for name, seed in used
        ]
        export(self.desk, self.splits.labels, self.cast.identities(), [*self.exported, *pools])
        return {key: [self._sample(image) for image in images] for key, images in used.items()}

    def _train(self, grounds: dict[int, Ground], pools: Pools) -> dict[tuple[str, int], Fitted]:
        fitted, told = {}, []
        left_out = [{"name": name, "reason": reason} for name, reason in self.impossible.items()]
        count = self._count(pools)
        rows.check_budgets({arm.name: rows.recipe_for(arm, self.recipe) for arm in self.arms if arm.trained})
        for arm in self.arms:
            reason = self._why_not(arm, pools)
            try:
                made = {} if reason else self._fit_arm(arm, grounds, pools, count)
            except UnsupportedRecipeError as error:
                reason = str(error)
            if reason:
                left_out.append({"name": arm.name, "reason": reason})
                continue
            fitted.update(made)
            told.append(self._told_arm(arm, self._real(_own(grounds, self.seeds[0]).mistakes), count))
        self._tell("arms", told)
        self._tell("left_out", left_out)
        return fitted

    def _why_not(self, arm: Arm, pools: Pools) -> str:
        if arm.images and not any(pools[rows.source_name(arm.images), seed] for seed in self.seeds):
            return "there are no new images to train on"
        return ""

    def _fit_arm(
        self,
        arm: Arm,
        grounds: dict[int, Ground],
        pools: Pools,
        count: Counter[int] | None,
    ) -> dict[tuple[str, int], Fitted]:
        if not arm.trained:
            return {(arm.name, seed): _own(grounds, seed).baseline for seed in self._varied("baseline")}
        recipe, validation = rows.recipe_for(arm, self.recipe), self.splits.validation
        passes = recipe.steps * recipe.batch_size
        fitted = {}
        for seed in self.seeds:
            synthetic = pools[rows.source_name(arm.images), seed] if arm.images else []
            ground = _own(grounds, seed)
            train = rows.training_set(arm, self._real(ground.mistakes), synthetic, count, passes=passes, seed=seed)
            training = Training(arm.name, seed, recipe, train, validation, ground.baseline)
            fitted[arm.name, seed] = self._fit(self.desk, training)
        return fitted

    def _plan(self, source: ImageSource) -> ImagePlan:
        curation = self.settings.curation
        judge = self.judge if source.curated else None
        gate = Gate(curation.checks if source.curated else (), self.splits, judge)
        return ImagePlan(
            synthesizer=self.cast.synthesizer,
            context=self.context,
            train_key=self.reference_key,
            per_mistake=self.settings.experiment.images_per_mistake,
            gate=gate,
            gate_key={
                "version": VERSION,
                "checks": list(gate.checks),
                "held": self.splits.fingerprint,
                "judge": judge and [judge.key, judge.admitted, judge.alike],
            },
            remakes=curation.remakes,
            most_per_class=self.settings.experiment.images_per_class_max,
            guided=source.image_guided,
            asked=rows.asks(source),
            review=self.review if source.curated else None,
            fixed=source.prompt != "critic",
        )

    def _sample(self, image: Image) -> Sample:
        blob = image.row["image"]["blob"]
        return Sample(id=blob.split(".")[0], label=image.target, opener=BlobFile(self.desk.store.blobs.path(blob)))

    def _told(self, source: ImageSource, seed: int, used: dict[tuple[str, int], list[Image]]) -> dict[str, Any]:
        name = rows.source_name(source)
        images = used[name, seed]
        return {
            "name": name,
            "source": asdict(source),
            "asks": rows.asks(source),
            "seed": seed,
            "arms": [arm.name for arm in self.arms if arm.images == source],
            "count": Counter(self.splits.labels[image.target] for image in images),
            "used": [image.row["image"]["blob"] for image in images],
        }

    def _count(self, pools: Pools) -> Counter[int] | None:
        """New images of each class, the same in every source and seed; None where no arm has new images."""
        first = next(iter(pools.values()), None)
        return None if first is None else Counter(sample.label for sample in first)

    def _told_arm(self, arm: Arm, real: dict[str, Sequence[Sample]], count: Counter[int] | None) -> dict[str, Any]:
        if not arm.trained:
            return {"arm": asdict(arm), "real": len(self.splits.train), "recipe": asdict(self.baseline_recipe)}
        alone = rows.training_set(replace(arm, images=None), real, (), count)
        return {"arm": asdict(arm), "real": len(alone), "recipe": asdict(rows.recipe_for(arm, self.recipe))}

    def _tell(self, name: str, value: Any) -> None:
        self.desk.store.ledger.tell(name, value)


def _own(found: dict[int, Found], seed: int) -> Found:
    """What belongs to the seed, or to the first where one serves all."""
    return found.get(seed, next(iter(found.values())))
