"""The explainer that adds up gradients on the way from a blank image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...errors import ConfigError, MissingExtraError
from ...interfaces import Classifier, Context, Explainer
from ...records import Explanation, Failure

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._network import Batch, Maps

METHOD = "integrated-gradients"


class IntegratedGradients(Explainer):
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365): what each pixel adds to the logit of a class.

    The gradient of the logit, averaged over the way from a blank image, times how far the pixel is from blank, summed
    over channels. Pixels that speak against the class are negative; all together give the logit less that of the blank
    image, as far as `steps` allow. It depends on the class. It is defined for every network whose answer has gradients
    back to its pixels; not where these are kept back.

    Args:
        steps: points on the way, 1 or more; each costs a forward and a backward pass.
        baseline: the blank image, one value for all pixels as the network sees them; 0 is the mean colour where a
            processor subtracts that.
    """

    def __init__(self, steps: int = 32, baseline: float = 0.0) -> None:
        if steps < 1:
            raise ConfigError(f"{METHOD}: steps must be 1 or more, got {steps}")
        self.steps = steps
        self.baseline = baseline

    def prepare(self, context: Context) -> None:  # noqa: ARG002
        """Makes sure that captum is there.

        Raises:
            MissingExtraError: it is not.
        """
        _integrated_gradients()

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: what each pixel the network sees adds to the logit of the target.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            MissingExtraError: captum is not installed.
            PluginError: the network is in training mode, or layers of it are compiled.
            UndefinedMethodError: the answer has no gradients back to the pixels.
        """
        from ._network import explained

        return explained(METHOD, True, self._maps, classifier, images, targets, self.batch_size)

    def _maps(self, module: nn.Module, batch: Batch, targets: list[int]) -> Maps:
        import torch

        from .._logits import logits
        from ._network import Maps
        from ._tokens import undefined

        def ask(pixels: Tensor) -> Tensor:
            answer = logits(module, pixels)
            if not answer.requires_grad:
                raise undefined(METHOD, module, "its answer has no gradients back to the pixels")
            return answer

        attribution = _integrated_gradients()
        with torch.inference_mode(mode=False):
            pixels = batch.pixels.detach().clone().requires_grad_()
            found = attribution(ask).attribute(
                pixels,
                self.baseline,
                targets,
                n_steps=self.steps,
                internal_batch_size=len(pixels),
            )
        return Maps(found.detach().float().sum(1).cpu().numpy(), batch.boxes)


def _integrated_gradients() -> Any:
    """captum's IntegratedGradients, imported when used: captum imports matplotlib."""
    try:
        from captum.attr import IntegratedGradients as Attribution  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(f"{METHOD} needs {error.name or 'captum'}: pip install 'xaiaug[captum]'") from error
    return Attribution
