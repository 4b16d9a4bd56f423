"""Training conditions as rows: which there are, and what each trains on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .errors import ConfigError, nearest
from .records import Arm, ImageSource, Recipe, Sample

GENERATED = ImageSource()

ROWS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("baseline", "the untouched start", real="none"),
        Arm("continued", "more training on the same real images", real="train"),
        Arm("generated-only", "the new images by themselves", images=GENERATED, real="none"),
        Arm("generated+training", "the new images beside the real ones", images=GENERATED, real="train"),
    )
}

SETS: dict[str, tuple[str, ...]] = {
    "basic": ("baseline", "generated-only", "generated+training", "continued"),
}


def resolve(chosen: str | Sequence[str | Arm]) -> tuple[Arm, ...]:
    """The arms of a set's name, or of a list of names and rows, in order.

    Raises:
        ConfigError: an unknown name, a name twice, no baseline, or a row that asks for what cannot be done.
    """
    if isinstance(chosen, str):
        if chosen not in SETS:
            raise ConfigError(f"there is no set of arms {chosen!r}. {nearest(chosen, SETS)}")
        chosen = SETS[chosen]
    arms = tuple(_row(entry) for entry in chosen)
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two arms are called {name!r}")
    if "baseline" not in names:
        arms = (ROWS["baseline"], *arms)
    for arm in arms:
        _check_supported(arm)
    return arms


def sources(arms: Sequence[Arm]) -> tuple[ImageSource, ...]:
    """The distinct image sources of the arms, in order of first use."""
    return tuple(dict.fromkeys(arm.images for arm in arms if arm.images is not None))


def source_name(source: ImageSource) -> str:
    """A short name for a source: its differences from the usual one."""
    usual = vars(GENERATED)
    changed = [f"{name}={value}" for name, value in vars(source).items() if value != usual[name]]
    return ",".join(changed) or "critic"


def recipe_for(arm: Arm, recipe: Recipe) -> Recipe:
    """The run's recipe with what this arm sets: steps, batch size and schedule stay equal."""
    return replace(recipe, sampling=arm.sampling, adapter=arm.adapter, augment=arm.augment)


def with_class_weights(recipe: Recipe, train: Sequence[Sample]) -> Recipe:
    """The recipe with "balanced" class weights as numbers: mean 1 over the training images."""
    if recipe.class_weights != "balanced":
        return recipe
    counts = Counter(sample.label for sample in train)
    weights = tuple(len(train) / (len(counts) * counts[label]) for label in sorted(counts))
    return replace(recipe, class_weights=weights)


def training_set(arm: Arm, pools: Mapping[str, Sequence[Sample]], synthetic: Sequence[Sample]) -> tuple[Sample, ...]:
    """What an arm trains on: its real images, then its synthetic ones with their weight.

    Args:
        arm: the row.
        pools: real images by name: "train", "failures", "guide", "reserve".
        synthetic: the new images of the arm's source; ignored by an arm without one.
    """
    real = [sample for pool in arm.real.split("+") if pool != "none" for sample in pools[pool]]
    new = [replace(sample, weight=arm.synthetic_weight) for sample in synthetic] if arm.images else []
    return (*real, *new)


def _row(entry: str | Arm) -> Arm:
    if isinstance(entry, Arm):
        return entry
    if entry not in ROWS:
        raise ConfigError(f"there is no arm {entry!r}. {nearest(entry, ROWS)}")
    return ROWS[entry]


def _check_supported(arm: Arm) -> None:
    usual = Arm(arm.name, arm.isolates, arm.images, arm.real)
    for name in ("synthetic_ratio", "replace_probability"):
        if getattr(arm, name) != getattr(usual, name):
            raise ConfigError(f"arm {arm.name!r} sets {name}, which this version cannot do; leave it out")
    if arm.images and (arm.images.map != "explained" or arm.images.cases != "mistakes"):
        raise ConfigError(f"arm {arm.name!r} asks for images of a kind this version cannot make: {arm.images}")
    if arm.images and (arm.images.prompt != "critic" or arm.images.guidance != "critic"):
        raise ConfigError(f"arm {arm.name!r} asks for images of a kind this version cannot make: {arm.images}")
