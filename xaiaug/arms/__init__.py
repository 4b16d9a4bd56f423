"""The arms (training conditions) of an experiment: rows, recipes, training sets, and what each needs and uses."""

from .advice import advise, is_control
from .arm_recipes import POINTS, check_budgets, effort, recipe_for, resolve_class_weights
from .labels_used import LabelsUsed, count_labels
from .requirements import Available, Reads, missing_requirement, select_runnable
from .rows import GENERATED, ROWS, SETS, family, reads_train, resolve_arms, source_name, sources, uses_critic
from .training_sets import DISAGREEMENTS, RETRIEVED, TRAIN_FAILURES, build_training_set, find_empty_pool, pools_of

__all__ = [
    "DISAGREEMENTS",
    "GENERATED",
    "POINTS",
    "RETRIEVED",
    "ROWS",
    "SETS",
    "TRAIN_FAILURES",
    "Available",
    "LabelsUsed",
    "Reads",
    "advise",
    "build_training_set",
    "check_budgets",
    "count_labels",
    "effort",
    "family",
    "find_empty_pool",
    "is_control",
    "missing_requirement",
    "pools_of",
    "reads_train",
    "recipe_for",
    "resolve_arms",
    "resolve_class_weights",
    "select_runnable",
    "source_name",
    "sources",
    "uses_critic",
]
