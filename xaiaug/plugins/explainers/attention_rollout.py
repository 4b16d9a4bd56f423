"""The explainer that follows attention from the head back through all layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError
from ._token_explainer import TokenExplainer, check_head_fusion, check_readout

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._tokens import Tokens


class AttentionRollout(TokenExplainer):
    """Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928): how attention flows from the patches to the head.

    In every layer the heads' maps become one, and with the identity of the residual path its rows are normalised; the
    product over the layers gives how much of each patch reaches what the head reads. It does not depend on the class.
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

    method = "attention-rollout"
    class_specific = False

    def __init__(self, head_fusion: str = "mean", discard_ratio: float = 0.0, readout: str = "auto") -> None:
        if not 0 <= discard_ratio < 1:
            raise ConfigError(f"{self.method}: discard_ratio must lie in 0 to below 1, got {discard_ratio}")
        self.head_fusion = check_head_fusion(self.method, head_fusion)
        self.discard_ratio = discard_ratio
        self.readout = check_readout(self.method, readout)

    def _weigh_tokens(self, module: nn.Module, tokens: Tokens, pixels: Tensor, _: list[int]) -> Tensor:
        """The share of each token in what the head reads: b n."""
        import torch

        from .._logits import compute_logits
        from ._aggregation import rollout
        from ._attention import record_attention
        from ._tokens import find_readout_row

        with torch.no_grad(), record_attention(module, self.head_fusion) as recording:
            row = find_readout_row(self.method, module, tokens, self.readout, pixels.device)
            compute_logits(module, pixels)
            start = recording.pooled_row() if row is None else row
            return rollout(recording.maps, start, self.discard_ratio, sums_to_one=self.head_fusion == "mean")
