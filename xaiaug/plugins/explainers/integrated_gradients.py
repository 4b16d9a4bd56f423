"""The explainer that sums gradients on the way from a blank image."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, UndefinedMethodError
from ._base import NetworkExplainer, require_captum
from ._network import Batch, Grids

if TYPE_CHECKING:
    from torch import Tensor, nn

_TOLERATED = 0.5  # of the absolute sum of a map


class IntegratedGradients(NetworkExplainer):
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365): what each pixel adds to the logit of a class.

    The gradient of the logit, averaged over the way from a blank image, times how far the pixel is from blank, summed
    over channels. Pixels against the class are negative; together they give the logit minus that of the blank image, as
    exactly as `steps` allow: `Explanation.completeness_error` is the difference. It depends on the class. It is defined
    for every network whose logits have gradients back to its pixels; not where these are blocked.

    Args:
        steps: points on the way, 1 or more; each costs a forward and a backward pass.
        baseline: the blank image, one value for all pixels as the network sees them; 0 is the mean colour where a
            processor subtracts that.
    """

    method = "integrated-gradients"
    class_specific = True

    def __init__(self, steps: int = 32, baseline: float = 0.0) -> None:
        if steps < 1:
            raise ConfigError(f"{self.method}: steps must be 1 or more, got {steps}")
        self.steps = steps
        self.baseline = baseline

    def check(self) -> None:
        """Raises MissingExtraError where captum is not installed."""
        require_captum(self.method)

    def _explain_batch(self, module: nn.Module, batch: Batch, targets: list[int]) -> Grids:
        """What each pixel that the network sees adds to the logit of the target.

        Raises:
            UndefinedMethodError: the logits have no gradients back to the pixels.
        """
        import torch
        from captum.attr import IntegratedGradients as Attribution

        from .._logits import compute_logits
        from ._gradients import find_node, reaches

        def forward(pixels: Tensor) -> Tensor:
            self.check_stop()
            logits = compute_logits(module, pixels)
            if torch.is_grad_enabled() and not reaches(logits.grad_fn, find_node(pixels)):
                raise UndefinedMethodError(
                    f"{self.method} is not defined for {type(module).__name__}: its logits have no gradients back to"
                    " the pixels; use occlusion or rise, which ask for predictions alone"
                )
            return logits

        pixels = batch.pixels.detach().clone().requires_grad_()
        attributions, errors = Attribution(forward).attribute(
            pixels,
            self.baseline,
            targets,
            n_steps=self.steps,
            internal_batch_size=len(pixels),
            return_convergence_delta=True,
        )
        values = attributions.detach().float().sum(1).cpu().numpy()
        return Grids(values, batch.boxes, _check_sums(self.method, module, values, errors.tolist(), self.steps))


def _check_sums(
    method: str, module: nn.Module, values: NDArray[np.float32], errors: list[float], steps: int
) -> list[float]:
    """The errors, with a warning where a sum is off by more than half of all that the pixels add and take away."""
    worst = max(
        abs(error) / max(float(np.abs(value).sum()), 1e-12) for error, value in zip(errors, values, strict=True)
    )
    if worst > _TOLERATED:
        warnings.warn(
            f"{method}: what the pixels add to a logit of {type(module).__name__} is off by {worst:.0%} of their"
            f" absolute sum; its gradients change faster than {steps} steps follow, or are wrong: give more steps, and"
            " compare with grad-cam",
            stacklevel=2,
        )
    return errors
