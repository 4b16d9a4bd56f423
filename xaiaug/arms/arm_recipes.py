"""How each arm is trained: the recipe of the run with the settings of the arm, under equal budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..errors import BudgetError
from ..records import Arm, Recipe, Sample

ADAPTER_RATE = 10  # times the learning rate
POINTS = 10  # on a learning curve


def recipe_for(arm: Arm, recipe: Recipe) -> Recipe:
    """The run's recipe with this arm's settings; steps, batch size and schedule stay equal."""
    rate = recipe.learning_rate
    if arm.adapter:  # few, small weights need a higher rate
        rate = recipe.adapter_learning_rate or ADAPTER_RATE * rate
    own = {"sampling": arm.sampling, "adapter": arm.adapter, "augment": arm.augment, "method": arm.method}
    return replace(recipe, **own, learning_rate=rate)  # type: ignore[arg-type]


def effort(recipe: Recipe, train: int, validation: int) -> int:
    """The work of a training, in images trained on plainly; an image that is only predicted counts a third.

    Args:
        recipe: how it is trained.
        train: number of training images.
        validation: number of images in the validation split.
    """
    if recipe.how.head_only:
        return max(1, round(recipe.how.work * (train + validation)))
    return round(recipe.how.work * recipe.steps * recipe.batch_size) + min(POINTS, recipe.steps) * validation // 3


def check_budgets(recipes: Mapping[str, Recipe]) -> None:
    """Checks that all arms train with the same budget, but those that train the last layer alone.

    Raises:
        BudgetError: two arms differ in steps, batch size or schedule.
    """
    budgets = {
        name: (recipe.steps, recipe.batch_size, recipe.schedule)
        for name, recipe in recipes.items()
        if not recipe.how.head_only
    }
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
