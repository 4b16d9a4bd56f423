"""The explainer that shows what the head's token attends to in the last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._token_explainer import TokenExplainer, check_head_fusion, check_readout

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._tokens import Tokens


class AttentionLast(TokenExplainer):
    """Attention of the last layer (as in Caron et al. 2021, arXiv:2104.14294): what the head's token attends to.

    The row of the last attention map that the head reads, averaged (or otherwise fused) over heads. It does not depend
    on the class, and ignores how earlier layers have mixed the patches. It is defined for vision transformers with
    global self-attention: ViT, DeiT, DINOv2, DINOv3, BEiT, SigLIP, CLIP; not for Swin (windows) or networks without
    attention (ResNet, ConvNeXt, MobileNetV2).

    Args:
        head_fusion: how the heads become one map: "mean", "max" or "min".
        readout: whose row is the map. "auto" is what the head reads: the CLS token, its mean with the distillation
            token (DeiT with a teacher), the mean of the patches, or a pooling head, whose own attention is then the
            last; "cls", "mean" and "pooling" ask for one of these. SigLIP has such a head, but
            `SiglipForImageClassification` reads the mean of the patches.
    """

    method = "attention-last"
    class_specific = False

    def __init__(self, head_fusion: str = "mean", readout: str = "auto") -> None:
        self.head_fusion = check_head_fusion(self.method, head_fusion)
        self.readout = check_readout(self.method, readout)

    def _weigh_tokens(self, module: nn.Module, tokens: Tokens, pixels: Tensor, _: list[int]) -> Tensor:
        """The attention that each token gets from what the head reads: b n."""
        import torch

        from .._logits import compute_logits
        from ._attention import record_attention
        from ._tokens import find_readout_row

        with torch.no_grad(), record_attention(module, self.head_fusion, last=True) as recording:
            row = find_readout_row(self.method, module, tokens, self.readout, pixels.device)
            compute_logits(module, pixels)
            with torch.autocast(pixels.device.type, enabled=False):
                return recording.pooled[-1] if row is None else row @ recording.maps[-1]
