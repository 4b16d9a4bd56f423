"""Training methods: how an arm's loss is formed and which weights it trains, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingMethod:
    """How a classifier is trained, besides the data, steps and learning rate.

    A classifier names those that it can do in `Classifier.training_methods`.

    Attributes:
        name: as `Arm.method` and `Recipe.method` have it.
        source: arXiv id of the publication; empty for plain training.
        head_only: whether it trains the last layer alone, on embeddings: an exception to the equal number of steps.
        reads_groups: whether it reads the groups of the training images.
        reads_subjects: whether it reads masks of their subjects.
        work: of one training image, relative to plain training.
    """

    name: str
    source: str = ""
    head_only: bool = False
    reads_groups: bool = False
    reads_subjects: bool = False
    work: float = 1.0


METHODS: dict[str, TrainingMethod] = {
    method.name: method
    for method in (
        TrainingMethod("erm"),
        TrainingMethod("group-dro", "1911.08731", reads_groups=True),
        # Measured with a small ViT on a CPU: two backward passes, and attention that is not fused.
        TrainingMethod("rrr", "1703.03717", reads_subjects=True, work=2.5),
        TrainingMethod("last-layer", "2204.02937", head_only=True, work=1 / 3),
        TrainingMethod("last-layer-finetune", "2309.08534", head_only=True, work=1 / 3),
    )
}
GROUP_BALANCED = "group-balanced"
SAMPLINGS = ("uniform", "balanced", GROUP_BALANCED)
# What every classifier does; all else it has to name.
PLAIN = frozenset({"erm", "uniform", "balanced"})


def describe_exception(names: Sequence[str]) -> str:
    """The sentence that arms which train the last layer alone are an exception to equal budgets; empty without any."""
    if not names:
        return ""
    verb = "train" if len(names) > 1 else "trains"
    return f"Exception: {', '.join(names)} {verb} the last layer alone, on embeddings, without steps of the network."
