"""Training conditions as rows: which there are, and what each trains on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice

from .errors import BudgetError, ConfigError, nearest
from .records import Arm, ImageSource, Recipe, Sample
from .records.pipeline import BASELINE, CONTINUED, EXPLANATION, HEADLINE

GENERATED = ImageSource()
CLASS_NAMES = ImageSource(prompt="class-name", guidance="none", image_guided=False)
BY_CHANCE = ImageSource(prompt="none", guidance="random")
GUIDED_ALONE = ImageSource(prompt="class-name", guidance="none")
ADAPTER_RATE = 10
POINTS = 10  # of a curve
CLASSICAL = "trivialaugment+cutmix"

ROWS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(BASELINE, "the classifier as it was", real="none"),
        Arm(CONTINUED, "more training on the same real images", real="train"),
        Arm("generated-only", "the new images by themselves", images=GENERATED, real="none"),
        Arm(HEADLINE, "the new images beside the real ones", images=GENERATED, real="train"),
        Arm("generated+training-lora", "adapters in place of all weights", images=GENERATED, adapter="lora"),
        Arm("class-name-prompts", "targeting: as many images, but of the class and no more", images=CLASS_NAMES),
        Arm("oversampled-failures", "re-weighting: the mistakes themselves, none made", real="train+failures"),
        Arm("guide-added", "labels: the whole guide with its labels, none made", real="train+guide"),
        Arm("more-real", "more data: as many other real images", real="train+reserve"),
        Arm("correct-case-prompts", "the choice of failures", images=ImageSource(cases="correct")),
        Arm("no-map", "the map: a critic that sees none", images=ImageSource(map="none")),
        Arm("shuffled-map", "the explanation: another mistake's map", images=ImageSource(map="shuffled")),
        Arm("random-map", "the explanation: a random map", images=ImageSource(map="random")),
        Arm("unguided", "the critic: random prompts", images=BY_CHANCE),
        Arm("image-guided-no-critic", "the critic: the failed images varied without words", images=GUIDED_ALONE),
        Arm("classical", "the cheap way: TrivialAugment and CutMix", augment=CLASSICAL),
        Arm("classical+generated", "the cheap way beside the new images", images=GENERATED, augment=CLASSICAL),
        Arm("rebalanced", "class balance", sampling="balanced"),
        Arm("unfiltered", "the filter: new images as they were made", images=ImageSource(curated=False)),
    )
}

BASIC = (BASELINE, "generated-only", HEADLINE, CONTINUED)
PAPER = (BASELINE, "generated-only", HEADLINE, "generated+training-lora")
STANDARD = (*PAPER, CONTINUED, "class-name-prompts", "oversampled-failures", "guide-added")
SETS: dict[str, tuple[str, ...]] = {
    "basic": BASIC,
    "paper": PAPER,
    "standard": STANDARD,
    "full": (*STANDARD, *(name for name in ROWS if name not in STANDARD)),
}


def resolve(chosen: str | Sequence[str | Arm], test_explanation: bool = False) -> tuple[Arm, ...]:
    """The arms of a set's name, or of a list of names and rows, in order.

    Args:
        chosen: the set, or the list.
        test_explanation: whether to add what shows whether the explanation helps: `shuffled-map` beside the real map.

    Raises:
        ConfigError: an unknown name, or a name twice.
    """
    if isinstance(chosen, str):
        if chosen not in SETS:
            raise ConfigError(f"there is no set of arms {chosen!r}. {nearest(chosen, SETS)}")
        chosen = SETS[chosen]
    arms = tuple(_row(entry) for entry in chosen)
    if test_explanation:
        arms += tuple(ROWS[name] for name in EXPLANATION if name not in {arm.name for arm in arms})
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two arms are called {name!r}")
    if BASELINE not in names:
        arms = (ROWS[BASELINE], *arms)
    return arms


def sources(arms: Sequence[Arm]) -> tuple[ImageSource, ...]:
    """The distinct image sources of the arms, in order of first use."""
    return tuple(dict.fromkeys(arm.images for arm in arms if arm.images is not None))


def source_name(source: ImageSource) -> str:
    """A short name for a source: its differences from the usual one."""
    usual = vars(GENERATED)
    changed = [f"{name}={value}" for name, value in vars(source).items() if value != usual[name]]
    return ",".join(changed) or "critic"


def asks(source: ImageSource) -> bool:
    """Whether anything of the critic's goes into the images."""
    return "critic" in (source.prompt, source.guidance)


def recipe_for(arm: Arm, recipe: Recipe) -> Recipe:
    """The run's recipe with what this arm sets: steps, batch size and schedule stay equal."""
    rate = recipe.learning_rate
    if arm.adapter:  # few weights, and small ones: they learn at a higher rate
        rate = recipe.adapter_learning_rate or ADAPTER_RATE * rate
    return replace(recipe, sampling=arm.sampling, adapter=arm.adapter, augment=arm.augment, learning_rate=rate)


def effort(recipe: Recipe, validation: int) -> int:
    """Images a training learns from, and a third of those it is asked about for its curves.

    Args:
        recipe: how it is trained.
        validation: images in the validation split.
    """
    return recipe.steps * recipe.batch_size + POINTS * validation // 3


def check_budgets(recipes: Mapping[str, Recipe]) -> None:
    """Refuses a comparison that is not fair.

    Raises:
        BudgetError: two trained arms differ in steps, batch size or schedule.
    """
    budgets = {name: (recipe.steps, recipe.batch_size, recipe.schedule) for name, recipe in recipes.items()}
    first = next(iter(budgets), None)
    for name, budget in budgets.items():
        if first is not None and budget != budgets[first]:
            raise BudgetError(
                f"the arms {first!r} and {name!r} must have one budget of steps, batch size and schedule, got "
                f"{budgets[first]} and {budget}"
            )


def with_class_weights(recipe: Recipe, train: Sequence[Sample]) -> Recipe:
    """The recipe with "balanced" class weights as numbers: mean 1 over the training images."""
    if recipe.class_weights != "balanced":
        return recipe
    counts = Counter(sample.label for sample in train)
    weights = tuple(len(train) / (len(counts) * counts[label]) for label in sorted(counts))
    return replace(recipe, class_weights=weights)


def training_set(
    arm: Arm,
    pools: Mapping[str, Sequence[Sample]],
    synthetic: Sequence[Sample],
    count: Mapping[int, int] | None = None,
    *,
    passes: int = 0,
    seed: int = 0,
) -> tuple[Sample, ...]:
    """What an arm trains on: its real images, then its synthetic ones with their weight.

    Args:
        arm: the row.
        pools: real images by name: "train", "failures", "guide", "reserve".
        synthetic: the new images of the arm's source; ignored by an arm without one.
        count: new images of each class in the arms that have any: failures are repeated, and a reserve is cut, to as
            many; None: as they are.
        passes: images the training will see, for an arm that mixes by ratio or by chance: it gets just so many.
        seed: decides which, for such an arm.
    """
    real = [sample for pool in arm.real.split("+") if pool != "none" for sample in _as_many(pool, pools[pool], count)]
    new = [replace(sample, weight=arm.synthetic_weight) for sample in synthetic] if arm.images else []
    if not real or not new:
        return (*real, *new)
    rng = random.Random(f"mix {seed}")
    if arm.replace_probability:
        return tuple(_replaced(_passes(real, passes, rng), new, arm.replace_probability, rng))
    if arm.synthetic_ratio is not None:
        share = round(passes * arm.synthetic_ratio / (1 + arm.synthetic_ratio))
        return (*_passes(real, passes - share, rng), *_passes(new, share, rng))
    return (*real, *new)


def _passes(samples: Sequence[Sample], count: int, rng: random.Random) -> Iterable[Sample]:
    """So many of the samples, each as often as the others but for one."""
    turns = (rng.sample(range(len(samples)), len(samples)) for _ in iter(int, 1))
    return [samples[place] for place in islice(chain.from_iterable(turns), count)]


def _replaced(
    real: Iterable[Sample], new: Sequence[Sample], probability: float, rng: random.Random
) -> Iterable[Sample]:
    """The real samples, each replaced by a new one of its class with that probability."""
    by_class: dict[int, list[Sample]] = {}
    for sample in new:
        by_class.setdefault(sample.label, []).append(sample)
    for sample in real:
        own = by_class.get(sample.label)
        yield rng.choice(own) if own and rng.random() < probability else sample


def lacking(arm: Arm, uses: Collection[str], reserve: bool, needs: Collection[str] = ()) -> str:
    """Why an arm cannot show what it isolates; empty where it can.

    Args:
        arm: the row.
        uses: which of "prompt", "guidance" and "image" the synthesizer reads.
        reserve: whether real images were kept back.
        needs: which of the three the synthesizer makes nothing without.
    """
    if "reserve" in arm.real and not reserve:
        return "there are no real images in reserve: set [data] reserve"
    source = arm.images
    if source is not None and not source.image_guided and "image" in needs:
        return "the synthesizer makes nothing without the failed image"
    if source is None or source.prompt == "critic":
        return ""
    if source.guidance == "random":
        return "" if {"prompt", "guidance"} & set(uses) else "the synthesizer reads neither prompt nor guidance"
    if source.image_guided:
        return "" if "image" in uses else "the synthesizer does not start from an image"
    return "" if "prompt" in uses else "the synthesizer does not read prompts"


def possible(
    arms: Sequence[Arm], by_name: bool, uses: Collection[str], reserve: bool, needs: Collection[str] = ()
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The arms that can show what they isolate, and why the others cannot.

    Args:
        arms: as resolved.
        by_name: whether the user named them one by one.
        uses: what the synthesizer reads.
        reserve: whether real images were kept back.
        needs: what the synthesizer makes nothing without.

    Raises:
        ConfigError: an arm that was asked for by its own name cannot.
    """
    why = {arm.name: reason for arm in arms if (reason := lacking(arm, uses, reserve, needs))}
    if by_name and why:
        name, reason = next(iter(why.items()))
        raise ConfigError(f"the arm {name!r} would show nothing here: {reason}")
    return tuple(arm for arm in arms if arm.name not in why), why


def _as_many(pool: str, samples: Sequence[Sample], count: Mapping[int, int] | None) -> Iterable[Sample]:
    if pool in ("train", "guide") or count is None:
        return samples
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    return [
        sample
        for label, own in sorted(by_class.items())
        for sample in islice(cycle(own) if pool == "failures" else own, count.get(label, 0))
    ]


def _row(entry: str | Arm) -> Arm:
    if isinstance(entry, Arm):
        return entry
    if entry not in ROWS:
        raise ConfigError(f"there is no arm {entry!r}. {nearest(entry, ROWS)}")
    return ROWS[entry]
