"""The explainer that chooses a method by the classifier's family."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from .attention_rollout import AttentionRollout


class AutoExplainer(Explainer):
    """Explains with the method that suits the classifier: attention rollout (arXiv:2005.00928) on vision transformers.

    `Explanation.method` names the method that was used. A classifier without self-attention over patches raises
    UndefinedMethodError, as attention rollout itself does.
    """

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, by the chosen method."""
        return AttentionRollout().explain(classifier, images, targets)
