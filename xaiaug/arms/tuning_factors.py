"""The settings that each method is tried with, equally many for every arm."""

from __future__ import annotations

import math
from dataclasses import replace

from ..records import Recipe

STEP = math.sqrt(10)  # between two settings


def list_factors(count: int) -> tuple[float, ...]:
    """`count` factors on what a method is tuned by, nearest to 1 first: 1, √10 below, √10 above, 10 below, …"""
    return tuple(STEP ** ((place + 1) // 2 * (-1 if place % 2 else 1)) for place in range(count))


def scale_recipe(recipe: Recipe, factor: float) -> Recipe:
    """The recipe with its learning rate multiplied; of a last layer trained alone, its penalty divided or its rate."""
    if recipe.how.head_only:
        return replace(recipe, head_factor=factor)
    return replace(recipe, learning_rate=factor * recipe.learning_rate)
