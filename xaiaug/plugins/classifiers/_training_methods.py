"""The training methods of networks by name, and what each refuses before it trains."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from transformers import TrainingArguments

from ...errors import UnsupportedRecipeError
from ...records import Recipe, Sample
from ._augmentation import AUGMENTATIONS
from ._dataset import TrainingTask
from ._erm import ErmLoss
from ._group_dro import GroupDroLoss
from ._preprocessor import Preprocessor
from ._rrr import RrrLoss
from ._trackers import list_trackers

LOSSES: dict[str, type[ErmLoss]] = {"erm": ErmLoss, "group-dro": GroupDroLoss, "rrr": RrrLoss}


# What the recipe sets itself, and what would change how many images a training sees.
_RESERVED = {
    *("output_dir", "max_steps", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("learning_rate", "lr_scheduler_type", "weight_decay", "seed", "data_seed", "auto_find_batch_size", "use_cpu"),
    *("load_best_model_at_end", "push_to_hub", "warmup_steps", "warmup_ratio", "remove_unused_columns"),
}


def check_task(task: TrainingTask, preprocessor: Preprocessor) -> None:
    """Refuses a recipe that cannot be followed, before anything is trained.

    Args:
        task: what is asked for.
        preprocessor: of the images.

    Raises:
        UnsupportedRecipeError: an adapter, augmentation, trainer argument or number of class weights; a method without
            what it reads.
        ConfigError: a tracker that the Trainer does not know.
        MissingExtraError: one whose package is not installed.
    """
    recipe = task.recipe
    if recipe.adapter not in (None, "lora"):
        raise UnsupportedRecipeError(f"TransformersClassifier has no adapter {recipe.adapter!r}, only 'lora'")
    _check_augmentation(recipe)
    _check_class_weights(recipe, len(task.labels))
    for name in recipe.trainer:
        if name in _RESERVED or name.startswith(("save_", "eval_", "hub_")):
            raise UnsupportedRecipeError(
                f"Recipe: trainer may not set {name!r}: the recipe sets it, or it would change the budget"
            )
        if name not in TrainingArguments.__dataclass_fields__:
            raise UnsupportedRecipeError(f"Recipe: trainer has no argument {name!r}; see TrainingArguments")
    list_trackers(recipe.trainer)
    check_images(recipe, task.train)
    if recipe.how.reads_subjects and not preprocessor.exact:
        raise UnsupportedRecipeError(
            f"{recipe.method} follows masks through the image processor, and the settings of"
            f" {type(preprocessor.processor).__name__} do not tell what it does with an image"
        )
    if recipe.how.head_only and recipe.adapter is not None:
        raise UnsupportedRecipeError(f"{recipe.method} trains the last layer alone, not adapters")


def check_images(recipe: Recipe, train: Sequence[Sample]) -> None:
    """Refuses a recipe that reads what none of the training images has.

    Raises:
        UnsupportedRecipeError: no image has a group, or a mask of its subject.
    """
    who = recipe.method if recipe.how.reads_groups or recipe.how.reads_subjects else f"sampling = {recipe.sampling!r}"
    if recipe.reads_groups and not any(sample.groups for sample in train):
        raise UnsupportedRecipeError(f"{who} needs training images with groups, and none has any (Sample.groups)")
    if recipe.how.reads_subjects and not any(sample.subject for sample in train):
        raise UnsupportedRecipeError(f"{who} needs masks of the subjects of training images (Sample.subject)")


def _check_augmentation(recipe: Recipe) -> None:
    parts = recipe.augment.split("+")
    if not set(parts) <= set(AUGMENTATIONS):
        known = ", ".join(map(repr, AUGMENTATIONS))
        raise UnsupportedRecipeError(
            f"TransformersClassifier augments by {known}, joined by '+', not by {recipe.augment!r}"
        )
    fitting = LOSSES[recipe.method].augmentations if recipe.method in LOSSES else ("default",)
    if not set(parts) <= set(fitting):
        raise UnsupportedRecipeError(
            f"{recipe.method} can be combined with augment = {' or '.join(map(repr, fitting))}, not {recipe.augment!r}"
        )
    if parts != ["default"] and importlib.util.find_spec("kornia") is None:
        raise UnsupportedRecipeError(f"augment = {recipe.augment!r} needs kornia: pip install 'xaiaug[evidence]'")


def _check_class_weights(recipe: Recipe, classes: int) -> None:
    if isinstance(recipe.class_weights, str):
        raise UnsupportedRecipeError(
            f"Recipe: class_weights = {recipe.class_weights!r} is for a loop, which computes them; give fit numbers"
        )
    if recipe.class_weights is not None and len(recipe.class_weights) != classes:
        raise UnsupportedRecipeError(
            f"Recipe: class_weights needs one weight for each of {classes} classes, got {len(recipe.class_weights)}"
        )
