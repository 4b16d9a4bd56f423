"""The arms (training conditions) of an experiment: the predefined rows and sets, and what each arm trains on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice
from typing import Protocol

from .errors import BudgetError, ConfigError, suggest
from .records import Arm, ImageSource, Recipe, Sample
from .records.pipeline import BASELINE, CONTINUED, EDITED, EDITED_SHUFFLED, EXPLANATIONS, HEADLINE

GENERATED = ImageSource()
CLASS_NAME_PROMPTS = ImageSource(prompt="class-name", guidance="none", image_guided=False)
RANDOM_GUIDANCE = ImageSource(prompt="none", guidance="random")
IMAGE_ONLY = ImageSource(prompt="class-name", guidance="none")
EDITS = ImageSource(cases="train-correct", prompt="none", guidance="none", synthesizer="saliency-edit")
MASKS = replace(EDITS, synthesizer="saliency-mask")
ADAPTER_RATE = 10  # times the learning rate
POINTS = 10  # on a learning curve
TRAIN_FAILURES = "train-failures"
REPEATED = frozenset({"failures", TRAIN_FAILURES})  # pools whose images may be taken more than once
COUNTED = REPEATED | {"reserve"}  # pools that give as many images as arms with new images have
CLASSICAL = "trivialaugment+cutmix"
TRAIN_ERRORS = "oversampled-train-failures"

ROWS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(BASELINE, "the classifier without further training", real="none"),
        Arm(CONTINUED, "more training on the same real images", real="train"),
        Arm("generated-only", "the new images alone", images=GENERATED, real="none"),
        Arm(HEADLINE, "the new images with the real ones", images=GENERATED, real="train"),
        Arm("generated+training-lora", "adapters instead of all weights", images=GENERATED, adapter="lora"),
        Arm("class-name-prompts", "targeting: as many images, from class names only", images=CLASS_NAME_PROMPTS),
        Arm("oversampled-failures", "re-weighting: the mistakes themselves, no new images", real="train+failures"),
        Arm("guide-added", "labels: the entire guide split with its labels, no new images", real="train+guide"),
        Arm("more-real", "more data: as many additional real images", real="train+reserve"),
        Arm("correct-case-prompts", "the choice of mistakes as cases", images=ImageSource(cases="correct")),
        Arm("no-map", "the map: a critic that sees no map", images=ImageSource(map="none")),
        Arm("shuffled-map", "the explanation: another mistake's map", images=ImageSource(map="shuffled")),
        Arm("random-map", "the explanation: a random map", images=ImageSource(map="random")),
        Arm("unguided", "the critic: random prompts and guidance", images=RANDOM_GUIDANCE),
        Arm("image-guided-no-critic", "the critic: variations of the mistakes without prompts", images=IMAGE_ONLY),
        Arm("classical", "classical augmentation: TrivialAugment and CutMix", augment=CLASSICAL),
        Arm("classical+generated", "classical augmentation with the new images", images=GENERATED, augment=CLASSICAL),
        Arm("rebalanced", "class balance", sampling="balanced"),
        Arm("unfiltered", "the filter: new images as generated", images=ImageSource(curated=False)),
        Arm("slice-budget", "the image budget: as many for each slice", images=ImageSource(budget="slices")),
        Arm(EDITED, "the map in the image: hot regions off the subject, erased and transplanted", images=EDITS),
        Arm(EDITED_SHUFFLED, "the explanation: regions of another image's map", images=replace(EDITS, map="shuffled")),
        Arm("saliency-edit-random", "the explanation: regions of a random map", images=replace(EDITS, map="random")),
        Arm("saliency-edit-none", "the explanation: random regions, without a map", images=replace(EDITS, map="none")),
        Arm("saliency-edit-oracle", "the map's error: the true region", images=replace(EDITS, map="oracle")),
        Arm("saliency-edit+failures", "both: half edits, half mistakes repeated", images=EDITS, real="train+failures"),
        Arm(TRAIN_ERRORS, "re-weighting: what it gets wrong of train, as JTT does", real="train+train-failures"),
        Arm("masktune", "masking alone: training images without what the map marks", images=MASKS, real="none"),
    )
}

BASIC = (BASELINE, "generated-only", HEADLINE, CONTINUED)
PAPER = (BASELINE, "generated-only", HEADLINE, "generated+training-lora")
STANDARD = (*PAPER, CONTINUED, "class-name-prompts", "oversampled-failures", "guide-added")
CONTROLS = tuple(f"{EDITED}-{name}" for name in ("shuffled", "random", "none"))
REWEIGHTED = ("oversampled-failures", TRAIN_ERRORS)
EDITING = (BASELINE, CONTINUED, EDITED, *CONTROLS, f"{EDITED}+failures", *REWEIGHTED, "masktune")
# Edits are as many as images show a mark. Arms with new images have as many as the one with the fewest: few edits would
# leave a full set with few images.
APART = (EDITED, *CONTROLS, f"{EDITED}+failures", f"{EDITED}-oracle", "masktune")
SETS: dict[str, tuple[str, ...]] = {
    "basic": BASIC,
    "paper": PAPER,
    "standard": STANDARD,
    "full": (*STANDARD, *(name for name in ROWS if name not in (*STANDARD, *APART))),
    "edits": EDITING,
}


def resolve_arms(chosen: str | Sequence[str | Arm], test_explanation: bool = False) -> tuple[Arm, ...]:
    """The arms of a set's name, or of a list of names and rows, in order.

    Args:
        chosen: the set, or the list.
        test_explanation: whether to add the arm with shuffled maps to each arm that it is compared with, to test the
            explanation; both arms of the first such pair where there is none.

    Raises:
        ConfigError: a name is unknown or repeated.
    """
    if isinstance(chosen, str):
        if chosen not in SETS:
            raise ConfigError(f"there is no set of arms {chosen!r}. {suggest(chosen, SETS)}")
        chosen = SETS[chosen]
    arms = tuple(_to_arm(entry) for entry in chosen)
    if test_explanation:
        chosen_names = [arm.name for arm in arms]
        arms += tuple(ROWS[name] for name in _explanation_arms(chosen_names) if name not in chosen_names)
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two arms are named {name!r}")
    if BASELINE not in names:
        arms = (ROWS[BASELINE], *arms)
    return arms


def _explanation_arms(names: Sequence[str]) -> list[str]:
    """The arms that test the explanation in a run with these."""
    pairs = [pair for pair in EXPLANATIONS if pair[0] in names] or EXPLANATIONS[:1]
    return [name for pair in pairs for name in pair]


def sources(arms: Sequence[Arm]) -> tuple[ImageSource, ...]:
    """The distinct image sources of the arms, in order of first use."""
    return tuple(dict.fromkeys(arm.images for arm in arms if arm.images is not None))


def source_name(source: ImageSource) -> str:
    """A short name for a source: its differences from the default one."""
    default = vars(GENERATED)
    changed = [f"{name}={value}" for name, value in vars(source).items() if value != default[name]]
    return ",".join(changed) or "critic"


def reads_train(arm: Arm) -> bool:
    """Whether the arm takes training images by what the baseline predicts for them."""
    edits = arm.images is not None and arm.images.cases == "train-correct"
    return edits or TRAIN_FAILURES in arm.real


def uses_critic(source: ImageSource) -> bool:
    """Whether the source uses the critic's prompt or guidance."""
    return "critic" in (source.prompt, source.guidance)


def recipe_for(arm: Arm, recipe: Recipe) -> Recipe:
    """The run's recipe with this arm's settings; steps, batch size and schedule stay equal."""
    rate = recipe.learning_rate
    if arm.adapter:  # few, small weights need a higher rate
        rate = recipe.adapter_learning_rate or ADAPTER_RATE * rate
    return replace(recipe, sampling=arm.sampling, adapter=arm.adapter, augment=arm.augment, learning_rate=rate)


def effort(recipe: Recipe, validation: int) -> int:
    """The work of a training, in images trained on; an image predicted for the learning curves counts a third.

    Args:
        recipe: how it is trained.
        validation: number of images in the validation split.
    """
    return recipe.steps * recipe.batch_size + POINTS * validation // 3


def check_budgets(recipes: Mapping[str, Recipe]) -> None:
    """Checks that all arms train with the same budget.

    Raises:
        BudgetError: two arms differ in steps, batch size or schedule.
    """
    budgets = {name: (recipe.steps, recipe.batch_size, recipe.schedule) for name, recipe in recipes.items()}
    first = next(iter(budgets), None)
    for name, budget in budgets.items():
        if first is not None and budget != budgets[first]:
            raise BudgetError(
                f"the arms {first!r} and {name!r} must have the same steps, batch size and schedule, got "
                f"{budgets[first]} and {budget}"
            )


def resolve_class_weights(recipe: Recipe, train: Sequence[Sample]) -> Recipe:
    """The recipe with "balanced" class weights replaced by numbers, mean 1 over the training images."""
    if recipe.class_weights != "balanced":
        return recipe
    counts = Counter(sample.label for sample in train)
    weights = tuple(len(train) / (len(counts) * counts[label]) for label in sorted(counts))
    return replace(recipe, class_weights=weights)


def build_training_set(
    arm: Arm,
    pools: Mapping[str, Sequence[Sample]],
    synthetic: Sequence[Sample],
    count: Mapping[int, int] | None = None,
    *,
    passes: int = 0,
    seed: int = 0,
) -> tuple[Sample, ...]:
    """The training images of an arm: its real images, then its synthetic ones with their weight.

    Args:
        arm: the row.
        pools: real images by name: "train", "failures", "train-failures", "guide", "reserve".
        synthetic: the new images of the arm's source; ignored by an arm without a source.
        count: new images of each class in the arms with new images; failures are repeated and reserve images cut to
            this number. An arm with new images and one of these pools gets half of each. None uses all as they are.
        passes: images drawn in the training, for an arm that mixes by ratio or probability: it gets exactly this many.
        seed: of the draw, for such an arm.
    """
    pool_names = [pool for pool in arm.real.split("+") if pool != "none"]
    new = [replace(sample, weight=arm.synthetic_weight) for sample in synthetic] if arm.images else []
    if new and count is not None and (shared := COUNTED.intersection(pool_names)):
        new, count = _halve(new, pools[min(shared)], count)
    real = [sample for pool in pool_names for sample in _match_count(pool, pools[pool], count)]
    if not real or not new:
        return (*real, *new)
    rng = random.Random(f"mix {seed}")
    if arm.replace_probability:
        return tuple(_replace_real(_repeat_evenly(real, passes, rng), new, arm.replace_probability, rng))
    if arm.synthetic_ratio is not None:
        share = round(passes * arm.synthetic_ratio / (1 + arm.synthetic_ratio))
        return (*_repeat_evenly(real, passes - share, rng), *_repeat_evenly(new, share, rng))
    return (*real, *new)


def _halve(
    new: Sequence[Sample], pool: Sequence[Sample], count: Mapping[int, int]
) -> tuple[list[Sample], dict[int, int]]:
    """Every second new image of each class that a pool has images of, and how many of the pool take their place."""
    others = {label: wanted // 2 for label, wanted in count.items() if any(sample.label == label for sample in pool)}
    left, seen, kept = Counter(others), Counter[int](), []
    for sample in new:
        seen[sample.label] += 1
        if seen[sample.label] % 2 == 0 and left[sample.label]:
            left[sample.label] -= 1
        else:
            kept.append(sample)
    return kept, others


def _repeat_evenly(samples: Sequence[Sample], count: int, rng: random.Random) -> Iterable[Sample]:
    """`count` samples in random order; how often they occur differs by at most one."""
    epochs = (rng.sample(range(len(samples)), len(samples)) for _ in iter(int, 1))
    return [samples[index] for index in islice(chain.from_iterable(epochs), count)]


def _replace_real(
    real: Iterable[Sample], new: Sequence[Sample], probability: float, rng: random.Random
) -> Iterable[Sample]:
    """The real samples, each replaced by a new one of its class with the given probability."""
    by_class: dict[int, list[Sample]] = {}
    for sample in new:
        by_class.setdefault(sample.label, []).append(sample)
    for sample in real:
        candidates = by_class.get(sample.label)
        yield rng.choice(candidates) if candidates and rng.random() < probability else sample


class Reads(Protocol):
    """What an arm needs to know of the synthesizer of its images; each `Synthesizer` has it."""

    @property
    def uses(self) -> frozenset[str]:
        """Which of "prompt", "guidance", "image" and "map" it reads."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Which of them it cannot do without."""
        ...


def missing_requirement(
    arm: Arm,
    synthesizer: Reads,
    *,
    reserve: bool,
    train: bool = True,
    marks: bool = False,
    causes: bool = True,
    slices: bool = True,
) -> str:
    """Why an arm cannot isolate what it is for; empty if it can.

    Args:
        arm: the row.
        synthesizer: of its images.
        reserve: whether there is a reserve split.
        train: whether there are training images.
        marks: whether the data have masks of a planted mark.
        causes: whether the causes that the critic states are tested.
        slices: whether slices are looked for.
    """
    source = arm.images
    if "reserve" in arm.real and not reserve:
        return "there are no reserve images: set [data] reserve"
    if reads_train(arm) and not train:
        return "there are no training images, and images of other splits may not take their place"
    if source is not None and source.map == "oracle" and not marks:
        return "the true region is known only where a mark was planted: [data] marks names no folder with its masks"
    if source is not None and source.causes == "confirmed" and not causes:
        return "no cause is confirmed, because none is tested: set [critic] test_causes = true"
    if source is not None and source.budget == "slices" and not slices:
        return "no slices are looked for: set [mistakes] slices = true"
    return "" if source is None else _unread(source, synthesizer.uses, synthesizer.needs)


def _unread(source: ImageSource, uses: Collection[str], needs: Collection[str]) -> str:
    """What the synthesizer would have to read, or to do without, for a source; empty where it does."""
    if not source.image_guided and "image" in needs:
        return "the synthesizer requires the failed image"
    if source.prompt == "critic":
        return ""
    if source.map != "explained" and not uses_critic(source) and "map" not in uses:
        return "the synthesizer does not read heatmaps"
    if source.guidance == "random":
        return "" if {"prompt", "guidance"} & set(uses) else "the synthesizer uses neither prompt nor guidance"
    if source.image_guided:
        return "" if "image" in uses else "the synthesizer does not start from an image"
    return "" if "prompt" in uses else "the synthesizer does not use prompts"


def select_runnable(
    arms: Sequence[Arm], by_name: bool, missing: Callable[[Arm], str]
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The arms that can isolate what they are for, and the reasons why the others cannot.

    Args:
        arms: as resolved.
        by_name: whether the user named each of them.
        missing: `missing_requirement` for the synthesizers and images of the run.

    Raises:
        ConfigError: an arm that the user named cannot.
    """
    reasons = {arm.name: reason for arm in arms if (reason := missing(arm))}
    if by_name and reasons:
        name, reason = next(iter(reasons.items()))
        raise ConfigError(f"the arm {name!r} cannot be used here: {reason}")
    return tuple(arm for arm in arms if arm.name not in reasons), reasons


def _match_count(pool: str, samples: Sequence[Sample], count: Mapping[int, int] | None) -> Iterable[Sample]:
    if pool in ("train", "guide") or count is None:
        return samples
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    return [
        sample
        for label, of_class in sorted(by_class.items())
        for sample in islice(cycle(of_class) if pool in REPEATED else of_class, count.get(label, 0))
    ]


def _to_arm(entry: str | Arm) -> Arm:
    if isinstance(entry, Arm):
        return entry
    if entry not in ROWS:
        raise ConfigError(f"there is no arm {entry!r}. {suggest(entry, ROWS)}")
    return ROWS[entry]
