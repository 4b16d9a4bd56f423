"""The predefined arms (training conditions) and sets of them, as rows of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import ConfigError, suggest
from ..records import Arm, ImageSource
from ..records.pipeline import BASELINE, CONTINUED, EDITED, EDITED_SHUFFLED, EXPLANATIONS, HEADLINE, PRIMARY
from ..records.training_method import GROUP_BALANCED
from .training_sets import TRAIN_FAILURES

GENERATED = ImageSource()
CLASS_NAME_PROMPTS = ImageSource(prompt="class-name", guidance="none", image_guided=False)
RANDOM_GUIDANCE = ImageSource(prompt="none", guidance="random")
IMAGE_ONLY = ImageSource(prompt="class-name", guidance="none")
EDITS = ImageSource(cases="train-correct", prompt="none", guidance="none", synthesizer="saliency-edit")
MASKS = replace(EDITS, synthesizer="saliency-mask")
CLASSICAL = "trivialaugment+cutmix"
TRAIN_ERRORS = "oversampled-train-failures"
REFIT, FINETUNE = "last-layer", "last-layer-finetune"

ROWS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(BASELINE, "the classifier without further training", real="none"),
        Arm(CONTINUED, "more training on the same real images", real="train"),
        Arm("generated-only", "the new images alone", images=GENERATED, real="none"),
        Arm(HEADLINE, "the new images with the real ones", images=GENERATED, real="train"),
        Arm("generated+training-lora", "adapters instead of all weights", images=GENERATED, adapter="lora"),
        Arm(
            "class-name-prompts",
            "targeting: the same number of images, from class names only",
            images=CLASS_NAME_PROMPTS,
        ),
        Arm("oversampled-failures", "re-weighting: the mistakes themselves, no new images", real="train+failures"),
        Arm("guide-added", "labels: the entire guide split with its labels, no new images", real="train+guide"),
        Arm("more-real", "more data: the same number of additional real images", real="train+reserve"),
        Arm(
            "retrieved-real",
            "targeted data: the same number of real images, nearest to the mistakes",
            real="train+retrieved",
        ),
        Arm("correct-case-prompts", "the choice of mistakes as cases", images=ImageSource(cases="correct")),
        Arm("no-map", "the map: a critic that sees no map", images=ImageSource(map="none")),
        Arm("shuffled-map", "the explanation: another mistake's map", images=ImageSource(map="shuffled")),
        Arm("random-map", "the explanation: a random map", images=ImageSource(map="random")),
        Arm("unguided", "the critic: random prompts and guidance", images=RANDOM_GUIDANCE),
        Arm("image-guided-no-critic", "the critic: variations of the mistakes without prompts", images=IMAGE_ONLY),
        Arm("classical", "classical augmentation: TrivialAugment and CutMix", augment=CLASSICAL),
        Arm("classical+generated", "classical augmentation with the new images", images=GENERATED, augment=CLASSICAL),
        Arm("rebalanced", "class balance", sampling="balanced"),
        Arm(GROUP_BALANCED, "group balance: each class crossed with its groups equally often", sampling=GROUP_BALANCED),
        Arm("group-dro", "the worst group's loss, by GroupDRO", sampling=GROUP_BALANCED, method="group-dro"),
        Arm("rrr", "the explanation in the loss: no input gradients off the subject", method="rrr"),
        Arm("class-balanced-head", "the last layer: refit on guide", real="guide", sampling="balanced", method=REFIT),
        Arm("dfr", "the last layer, groups balanced", real="guide", sampling=GROUP_BALANCED, method=REFIT),
        Arm("self", "the last layer, on disagreements", real="disagreements", sampling="balanced", method=FINETUNE),
        Arm("unfiltered", "the filter: new images as generated", images=ImageSource(curated=False)),
        Arm("slice-budget", "the image budget: the same for each slice", images=ImageSource(budget="slices")),
        Arm(EDITED, "the map in the image: hot regions off the subject, erased and transplanted", images=EDITS),
        Arm(EDITED_SHUFFLED, "the explanation: regions of another image's map", images=replace(EDITS, map="shuffled")),
        Arm("saliency-edit-random", "the explanation: regions of a random map", images=replace(EDITS, map="random")),
        Arm("saliency-edit-none", "the explanation: random regions, without a map", images=replace(EDITS, map="none")),
        Arm("saliency-edit-oracle", "the map's error: the true region", images=replace(EDITS, map="oracle")),
        Arm("saliency-edit+failures", "both: half edits, half mistakes repeated", images=EDITS, real="train+failures"),
        Arm(TRAIN_ERRORS, "re-weighting: the training images it gets wrong, as in JTT", real="train+train-failures"),
        Arm("masktune", "masking alone: training images without what the map marks", images=MASKS, real="none"),
    )
}

BASIC = (BASELINE, "generated-only", HEADLINE, CONTINUED)
PAPER = (BASELINE, "generated-only", HEADLINE, "generated+training-lora")
STANDARD = (*PAPER, CONTINUED, "class-name-prompts", "oversampled-failures", "guide-added")
CONTROLS = tuple(f"{EDITED}-{name}" for name in ("shuffled", "random", "none"))
REWEIGHTED = ("oversampled-failures", TRAIN_ERRORS)
EDITING = (BASELINE, CONTINUED, EDITED, *CONTROLS, f"{EDITED}+failures", *REWEIGHTED, "masktune")
# Edits are of training images, and their arms are compared with each other.
APART = (EDITED, *CONTROLS, f"{EDITED}+failures", f"{EDITED}-oracle", "masktune")
LAST_LAYER = ("class-balanced-head", "self", "dfr")
ROBUST = ("rebalanced", *LAST_LAYER, "group-dro", GROUP_BALANCED, "rrr", "masktune")
REMEDIES = (
    *(BASELINE, CONTINUED, *REWEIGHTED, "guide-added", "more-real", "retrieved-real"),
    *(*ROBUST, EDITED, f"{EDITED}+failures", HEADLINE),
)
SETS: dict[str, tuple[str, ...]] = {
    "basic": BASIC,
    "paper": PAPER,
    "standard": STANDARD,
    "full": (*STANDARD, *(name for name in ROWS if name not in (*STANDARD, *APART))),
    "edits": EDITING,
    "remedies": REMEDIES,
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


def check_primary(primary: tuple[str, str], arms: Sequence[Arm]) -> None:
    """Refuses a primary contrast of an arm that is not there, which would leave the run without its verdict.

    Args:
        primary: arm and reference. The usual contrast passes, since nobody may have asked for it.
        arms: of the run.

    Raises:
        ConfigError: an arm is missing.
    """
    names = [arm.name for arm in arms]
    for name in primary:
        if primary != PRIMARY and name not in names:
            raise ConfigError(f"[experiment] primary: this run has no arm {name!r}. {suggest(name, names)}")


def find_promoted(name: str, arms: Sequence[Arm]) -> tuple[Arm, ImageSource]:
    """The arm that the next round starts from, and the source of its new images.

    Args:
        name: of the arm.
        arms: of the run.

    Raises:
        ConfigError: there is none of that name, or it trains on no new images.
    """
    for arm in arms:
        if arm.name == name and arm.images is not None:
            return arm, arm.images
    raise ConfigError(
        f"[experiment] promote = {name!r} must name an arm of this run that trains on new images; it has "
        f"{', '.join(arm.name for arm in arms if arm.images) or 'none'}"
    )


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


def _to_arm(entry: str | Arm) -> Arm:
    if isinstance(entry, Arm):
        return entry
    if entry not in ROWS:
        raise ConfigError(f"there is no arm {entry!r}. {suggest(entry, ROWS)}")
    return ROWS[entry]
