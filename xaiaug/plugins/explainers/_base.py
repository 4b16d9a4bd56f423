"""Bases of the built-in explainers: they check, batch and scale; a method only gives the grids."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import MissingExtraError, RunStopped
from ...interfaces import Classifier, Context, Explainer, PartialViewer, TorchModel
from ...records import Explanation, Failure
from ._heatmap import place
from ._network import Batch, Grids, check_network, check_request, explain_batches
from ._perturbation import HiddenParts

if TYPE_CHECKING:
    from torch import nn


def require_captum(method: str) -> None:
    """Raises MissingExtraError where captum, which the method is computed by, is not installed.

    Args:
        method: name of the explainer.
    """
    if find_spec("captum") is None:
        raise MissingExtraError(f"the explainer {method!r} needs captum: pip install 'captum>=0.9,<1'")


class StoppableExplainer(Explainer):
    """An explainer that stops within a batch: a slow classifier may take minutes for one.

    Attributes:
        method: its name, in explanations and errors.
    """

    method: ClassVar[str]
    _stopping: Callable[[], bool] = bool

    def prepare(self, context: Context) -> None:
        """Takes from the run how it is asked to stop."""
        self._stopping = context.stopping

    def check_stop(self) -> None:
        """Raises RunStopped where the run was asked to stop; called between two passes of the classifier."""
        if self._stopping():
            raise RunStopped(f"stopped in {self.method}: rerun the same command to resume")


class NetworkExplainer(StoppableExplainer):
    """An explainer that looks into the classifier's network; a method gives the grids of one batch.

    Attributes:
        class_specific: whether its heatmaps depend on the target.
    """

    class_specific: ClassVar[bool]

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation per image, in order.

        Raises:
            ConfigError: a parameter does not fit the network.
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            PluginError: the network is in training mode, or layers of it are compiled.
            UndefinedMethodError: the method is not defined for the network.
        """
        model = check_network(self.method, classifier, images, targets)
        return explain_batches(
            self.method,
            self._explain_batch,
            model,
            images,
            targets,
            batch_size=self.batch_size,
            class_specific=self.class_specific,
        )

    @abstractmethod
    def _explain_batch(self, module: nn.Module, batch: Batch, targets: list[int]) -> Grids:
        """The grids of a batch, before they are placed on its images."""


class ImageExplainer(StoppableExplainer):
    """An explainer that takes any classifier, and explains images one by one: no result depends on the batch."""

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation per image, in order.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            PluginError: the classifier was asked, and returned no probabilities.
        """
        check_request(self.method, classifier, images, targets)
        return [
            self._explain_image(classifier, image, int(target)) for image, target in zip(images, targets, strict=True)
        ]

    @abstractmethod
    def _explain_image(self, classifier: Classifier, image: Image.Image, target: int) -> Explanation:
        """The explanation of one image."""


class PredictionExplainer(ImageExplainer):
    """An explainer that asks for predictions alone, and so is defined for every classifier.

    It hides parts of an image and watches the probability of the target. A method gives the grid of one image. The
    heatmap is NaN where the classifier tells that it does not see the image.
    """

    def _explain_image(self, classifier: Classifier, image: Image.Image, target: int) -> Explanation:
        parts = HiddenParts(self.method, classifier, image, _find_box(classifier, image), target, self.check_stop)
        grid = self._make_grid(parts)
        heatmap = place(grid, parts.box, image.size)
        return Explanation(heatmap, self.method, target, class_specific=True, grid=grid)

    @abstractmethod
    def _make_grid(self, parts: HiddenParts) -> NDArray[np.float32]:
        """The grid of one image over what the classifier sees of it: gh gw."""


class ControlExplainer(ImageExplainer):
    """A control: a map that depends neither on the class nor on the classifier, made for one image.

    Where the classifier shows what it sees of an image, the heatmap is NaN elsewhere, as that of other methods.
    """

    def _explain_image(self, classifier: Classifier, image: Image.Image, target: int) -> Explanation:
        grid = self._make_grid(image)
        heatmap = place(grid, _find_box(classifier, image), image.size)
        return Explanation(heatmap, self.method, target, class_specific=False, grid=grid)

    @abstractmethod
    def _make_grid(self, image: Image.Image) -> NDArray[np.float32]:
        """The grid of one image: gh gw."""


def _find_box(classifier: Classifier, image: Image.Image) -> Sequence[float]:
    """x0 y0 x1 y1 of what the classifier sees, in pixels of the image; all of it where it does not tell."""
    if isinstance(classifier, PartialViewer):
        return classifier.find_box(image)
    if not isinstance(classifier, TorchModel):
        return 0, 0, image.width, image.height
    box: list[float] = classifier.preprocess([image]).boxes[0].tolist()
    return box
