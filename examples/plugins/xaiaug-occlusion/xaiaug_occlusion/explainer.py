"""An explainer that hides one patch after another."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from xaiaug import Classifier, Explainer, Explanation, Failure
from xaiaug.errors import ConfigError


class OcclusionExplainer(Explainer):
    """Occlusion (Zeiler and Fergus 2014, arXiv:1311.2901): the drop in the target's probability when a patch is hidden.

    It only needs probabilities, so it is defined for every classifier, and it is class-specific. It costs `cells`² + 1
    predictions an image.

    Args:
        cells: patches per side, 1 or more.
        fill: colour of a hidden patch: "mean" (the image's mean colour) or "grey".
    """

    version = "1"

    def __init__(self, cells: int = 7, fill: str = "mean") -> None:
        self.cells = cells
        self.fill = fill

    def prepare(self, context) -> None:
        """Checks the parameters.

        Raises:
            ConfigError: one is out of range.
        """
        if self.cells < 1:
            raise ConfigError(f"occlusion: cells must be 1 or more, got {self.cells}; 7 is usual")
        if self.fill not in ("mean", "grey"):
            raise ConfigError(f"occlusion: fill must be 'mean' or 'grey', got {self.fill!r}")

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order; its grid has one value per patch."""
        return [self._explain(classifier, image, int(target)) for image, target in zip(images, targets, strict=True)]

    def _explain(self, classifier: Classifier, image: Image.Image, target: int) -> Explanation:
        probabilities = np.concatenate(
            [classifier.predict_proba(batch)[:, target] for batch in _batches(self._occlude(image), self.batch_size)]
        )
        grid = (probabilities[0] - probabilities[1:]).reshape(self.cells, self.cells).astype(np.float32)
        heatmap = np.asarray(Image.fromarray(grid).resize(image.size, Image.Resampling.BILINEAR), np.float32)
        return Explanation(heatmap, "occlusion", target, class_specific=True, grid=grid)

    def _occlude(self, image: Image.Image) -> Iterator[Image.Image]:
        """The image itself, then a copy with each patch hidden, row by row."""
        yield image
        colour = self._colour(image)
        xs, ys = (np.linspace(0, side, self.cells + 1).astype(int).tolist() for side in image.size)
        for top, bottom in pairwise(ys):
            for left, right in pairwise(xs):
                copy = image.copy()
                copy.paste(colour, (left, top, right, bottom))
                yield copy

    def _colour(self, image: Image.Image) -> tuple[int, ...]:
        if self.fill == "grey":
            return (128, 128, 128)
        mean: NDArray[np.float64] = np.asarray(image, float).mean(axis=(0, 1))
        return tuple(int(value) for value in mean.round())


def _batches(images: Iterator[Image.Image], size: int) -> Iterator[list[Image.Image]]:
    """The images in lists of at most `size`, since all copies at once might fill the memory."""
    batch: list[Image.Image] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
