"""The arms (training conditions) of an experiment: rows, recipes, training sets, and what each needs and uses."""

from .advice import advise, is_control
from .arm_recipes import POINTS, check_budgets, effort, recipe_for, resolve_class_weights
from .labels_used import LabelsUsed, count_labels
from .mixing_ratio import LIMITS, Addition, added_share, binding_limit, count_added, family, warn_of_ratio
from .requirements import Available, Reads, missing_requirement, select_runnable
from .rows import (
    GENERATED,
    ROWS,
    SETS,
    check_primary,
    find_promoted,
    reads_train,
    resolve_arms,
    source_name,
    sources,
    uses_critic,
)
from .training_sets import (
    COUNTED,
    DISAGREEMENTS,
    RETRIEVED,
    TRAIN_FAILURES,
    build_training_set,
    collect_images,
    find_empty_pool,
    pools_of,
)
from .tuning_factors import list_factors, scale_recipe

__all__ = [
    "COUNTED",
    "DISAGREEMENTS",
    "GENERATED",
    "LIMITS",
    "POINTS",
    "RETRIEVED",
    "ROWS",
    "SETS",
    "TRAIN_FAILURES",
    "Addition",
    "Available",
    "LabelsUsed",
    "Reads",
    "added_share",
    "advise",
    "binding_limit",
    "build_training_set",
    "check_budgets",
    "check_primary",
    "collect_images",
    "count_added",
    "count_labels",
    "effort",
    "family",
    "find_empty_pool",
    "find_promoted",
    "is_control",
    "list_factors",
    "missing_requirement",
    "pools_of",
    "reads_train",
    "recipe_for",
    "resolve_arms",
    "resolve_class_weights",
    "scale_recipe",
    "select_runnable",
    "source_name",
    "sources",
    "uses_critic",
    "warn_of_ratio",
]
