"""The explainer that follows attention from the head back through all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError
from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from ._place import place

if TYPE_CHECKING:
    from torch import nn

    from ._requests import Batch

METHOD = "attention-rollout"


class AttentionRollout(Explainer):
    """Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928): how attention flows from the patches to the head.

    In every layer the heads' maps become one, half identity for the residual path; the product over the layers tells
    how much of each patch reaches the token that the head reads. It does not depend on the class. It is defined for
    vision transformers with global attention and a CLS token: ViT, DeiT, DINOv2; not for Swin (windows) or networks
    without attention (ResNet, ConvNeXt).

    Args:
        head_fusion: how the heads of a layer become one map: "mean", "max" or "min".
        discard_ratio: share of each layer's smallest values that is set to zero first, from 0 to below 1.
    """

    def __init__(self, head_fusion: str = "mean", discard_ratio: float = 0.0) -> None:
        if head_fusion not in ("mean", "max", "min"):
            raise ConfigError(f"{METHOD}: head_fusion must be 'mean', 'max' or 'min', got {head_fusion!r}")
        if not 0 <= discard_ratio < 1:
            raise ConfigError(f"{METHOD}: discard_ratio must lie in 0 to below 1, got {discard_ratio}")
        self.head_fusion = head_fusion
        self.discard_ratio = discard_ratio

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: the share of each patch in what the head reads.

        Raises:
            DataError: images and targets differ in number, or a target is no index of a label.
            UndefinedMethodError: the classifier's network has no global attention with a CLS token.
        """
        from ._requests import batches, check_request

        model = check_request(METHOD, classifier, images, targets)
        found: list[Explanation | Failure] = []
        for batch in batches(model, images, self.batch_size):
            grids = self._grids(model.module, batch)
            for index, grid, box in zip(batch.indices, grids, batch.boxes.tolist(), strict=True):
                heatmap = place(grid, box, images[index].size)
                found.append(Explanation(heatmap, METHOD, int(targets[index]), class_specific=False, grid=grid))
        return found

    def _grids(self, module: nn.Module, batch: Batch) -> NDArray[np.float32]:
        """The rollout of a batch on its grid of patches: n gh gw, float32."""
        import torch

        from .._logits import logits
        from ._attention import recorded_attention
        from ._rollout import rollout
        from ._tokens import find_tokens

        with torch.inference_mode(), recorded_attention(module, self.head_fusion) as recording:
            logits(module, batch.pixels)
        tokens = find_tokens(METHOD, module, batch.pixels, recording.maps)
        with torch.inference_mode():
            row = rollout(recording.maps, tokens.readout(batch.pixels.device), self.discard_ratio)
        grids: NDArray[np.float32] = row[:, tokens.prefix :].reshape(-1, *tokens.grid).cpu().numpy()
        return grids
