"""The base of attention explainers: a method weighs the tokens of a vision transformer."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ._base import NetworkExplainer
from ._network import Batch, Grids

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._tokens import Tokens

_HEAD_FUSIONS = ("mean", "max", "min")
_READOUTS = ("auto", "cls", "mean", "pooling")


class TokenExplainer(NetworkExplainer):
    """An explainer of vision transformers with global attention; a method weighs their tokens."""

    def _explain_batch(self, module: nn.Module, batch: Batch, targets: list[int]) -> Grids:
        import torch

        from ._tokens import find_tokens

        tokens = find_tokens(self.method, module, batch.pixels)
        # What is kept takes more memory than all else: fewer images at once.
        at_once = tokens.count_at_once(module, batch.pixels, backward=self.class_specific)
        rows = [
            self._weigh_tokens(module, tokens, batch.pixels[first : first + at_once], targets[first : first + at_once])
            for first in range(0, len(targets), at_once)
        ]
        return Grids(tokens.to_grids(torch.cat(rows)), tokens.crop_boxes(batch.boxes))

    @abstractmethod
    def _weigh_tokens(self, module: nn.Module, tokens: Tokens, pixels: Tensor, targets: list[int]) -> Tensor:
        """What each token counts for each image: b n."""


def check_head_fusion(method: str, head_fusion: str) -> str:
    """The head fusion, if it is one; else a ConfigError."""
    return _check_choice(method, "head_fusion", head_fusion, _HEAD_FUSIONS)


def check_readout(method: str, readout: str) -> str:
    """The readout, if it is one; else a ConfigError."""
    return _check_choice(method, "readout", readout, _READOUTS)


def _check_choice(method: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ConfigError(f"{method}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
