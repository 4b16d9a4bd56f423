"""The explainer: what the classifier's decision depends on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from PIL import Image

from ..records import Explanation, Failure
from .classifier import Classifier
from .plugin import Plugin


class Explainer(Plugin):
    """Makes heatmaps of what a classifier's decision depends on."""

    @abstractmethod
    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation per image, in order.

        Args:
            classifier: a trained classifier; left as it was.
            images: n images, RGB.
            targets: n indices of the class to explain.

        Raises:
            UndefinedMethodError: the method is not defined for this classifier.
        """
