"""The critic: why the classifier failed, and which new image would fix it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from ..errors import PluginError
from ..records import JSON, Case, Critique, Estimate, Failure, ImageCheck, ImageToCheck
from .plugin import Plugin


class Critic(Plugin):
    """Explains why a classifier failed, and describes a new training image.

    Attributes:
        layout: of the panels that a run draws for it: "side-by-side", "overlay", "masked" or "image-only".
        side: width of those panels in pixels.
        reference_images: correctly classified images of the true and of the predicted class, so many of each, that the
            panels show below the mistake; they are in `Case.references` too.
        compares: whether it reads `Context.explained`, the other explained images of the guide, or asks the classifier
            by `Context.predict_proba`. Then as many correct images as there are mistakes are explained too, and its
            critiques are made again when others join.
        reads_sheets: whether it can be asked once for all mistakes of a slice: it then looks at `Case.panel`, or at
            `Case.sheet`, where that is not None. Such panels are twice as wide as `side`.
        checks_images: whether it can look at new images, for `[curation] vlm`.
        stochastic: whether the same question may get another answer, so that `[critic] samples` shows how stable it is.
    """

    layout: str = "side-by-side"
    side: int = 512
    reference_images: int = 0
    compares: bool = False
    reads_sheets: bool = False
    checks_images: bool = False
    stochastic: bool = False

    @property
    def default_prices(self) -> Mapping[str, Mapping[str, JSON]]:
        """Prices by model, as in `[budget] prices`, for models without a price in the settings (on this machine)."""
        return {}

    @abstractmethod
    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique per case, in order."""

    def estimate_sheets(self, items: int) -> Estimate:
        """Estimates what critiques of so many slices will take, as `estimate` does for single mistakes."""
        return self.estimate(items)

    def check_images(self, images: Sequence[ImageToCheck]) -> list[ImageCheck | Failure]:
        """Whether each image shows what its prompt asks for, in order; only of critics with `checks_images`.

        Raises:
            PluginError: this critic cannot.
        """
        raise PluginError(f"{type(self).__name__} does not check {len(images)} images: it has no check_images")

    def estimate_checks(self, items: int) -> Estimate:
        """Estimates what checks of so many images will take, as `estimate` does for mistakes."""
        return self.estimate(items)
