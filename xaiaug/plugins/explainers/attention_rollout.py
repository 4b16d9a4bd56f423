"""The explainer that follows attention from the head back through all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ...errors import ConfigError
from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from ._base import check_fusion, check_readout

if TYPE_CHECKING:
    from torch import nn

    from ._network import Batch, Maps

METHOD = "attention-rollout"


class AttentionRollout(Explainer):
    """Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928): how attention flows from the patches to the head.

    In every layer the heads' maps become one, and with the identity of the residual path its rows are normalised; the
    product over the layers tells how much of each patch reaches what the head reads. It does not depend on the class.
    It is defined for vision transformers with global self-attention: ViT, DeiT, DINOv2, DINOv3, BEiT, SigLIP, CLIP; not
    for Swin (windows) or networks without attention (ResNet, ConvNeXt, MobileNetV2).

    Args:
        head_fusion: how the heads of a layer become one map: "mean", "max" or "min".
        discard_ratio: share of each layer's smallest values that is set to zero first, from 0 to below 1.
        readout: whose row of the product is the map. "auto" is what the head reads: the CLS token, its mean with the
            distillation token (DeiT with a teacher), the mean of the patches, or a pooling head's own attention;
            "cls", "mean" and "pooling" ask for one of these. SigLIP has such a head, but `SiglipForImageClassification`
            reads the mean of the patches.
    """

    def __init__(self, head_fusion: str = "mean", discard_ratio: float = 0.0, readout: str = "auto") -> None:
        if not 0 <= discard_ratio < 1:
            raise ConfigError(f"{METHOD}: discard_ratio must lie in 0 to below 1, got {discard_ratio}")
        self.head_fusion = check_fusion(METHOD, head_fusion)
        self.discard_ratio = discard_ratio
        self.readout = check_readout(METHOD, readout)

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: the share of each patch in what the head reads.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            PluginError: the network is in training mode, or layers of it are compiled.
            UndefinedMethodError: the network has no global attention, or no such row.
        """
        from ._network import explained

        return explained(METHOD, False, self._maps, classifier, images, targets, self.batch_size)

    def _maps(self, module: nn.Module, batch: Batch, _: list[int]) -> Maps:
        import torch

        from .._logits import logits
        from ._aggregation import rollout
        from ._attention import recorded_attention
        from ._network import Maps, on_grid
        from ._tokens import find_tokens, readout_row

        tokens = find_tokens(METHOD, module, batch.pixels)
        with torch.inference_mode(), recorded_attention(module, self.head_fusion) as recording:
            row = readout_row(METHOD, module, tokens, self.readout, batch.pixels.device)
            logits(module, batch.pixels)
            start = recording.pooled_row() if row is None else row
            rows = rollout(recording.maps, start, self.discard_ratio, sums_to_one=self.head_fusion == "mean")
        return Maps(on_grid(rows, tokens.prefix, tokens.grid), tokens.seen(batch.boxes))
