"""The explainer that follows attention back through all layers where it raises the logit of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._token_explainer import TokenExplainer, check_readout

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._tokens import Tokens


class AttentionRelevance(TokenExplainer):
    """Transformer relevance (Chefer et al. 2021, arXiv:2103.15679): attention that raises the logit of a class.

    In every layer each head's map is multiplied by its gradient and kept where positive; R ← R + ĀR over the layers
    gives how much each patch adds to what the head reads. It depends on the class. It is defined for vision
    transformers with global self-attention: ViT, DeiT, DINOv2, DINOv3, BEiT, SigLIP, CLIP; not for Swin (windows),
    networks without attention (ResNet, ConvNeXt, MobileNetV2), or a backbone that blocks gradients.

    Args:
        readout: whose row of R is the map. "auto" is what the head reads: the CLS token, its mean with the distillation
            token (DeiT with a teacher), the mean of the patches, or a pooling head's own attention; "cls", "mean" and
            "pooling" ask for one of these. SigLIP has such a head, but `SiglipForImageClassification` reads the mean
            of the patches: its logits do not depend on the head, and "pooling" is an error there.
    """

    method = "attention-relevance"
    class_specific = True

    def __init__(self, readout: str = "auto") -> None:
        self.readout = check_readout(self.method, readout)

    def _weigh_tokens(self, module: nn.Module, tokens: Tokens, pixels: Tensor, targets: list[int]) -> Tensor:
        """The relevance of each token to the target: b n."""
        import torch

        from .._logits import compute_logits
        from ._aggregation import Relevance
        from ._attention import observe_attention
        from ._tokens import find_readout_row, undefined_error

        with torch.no_grad():
            relevance = Relevance(find_readout_row(self.method, module, tokens, self.readout, pixels.device))
            with observe_attention(module, relevance):
                logits = compute_logits(module, pixels)
            if not relevance.backpropagate(logits[range(len(targets)), targets]):
                raise undefined_error(self.method, module, "gradients of its logits do not reach its attention")
        if relevance.row is None:
            raise undefined_error(self.method, module, "its logits do not depend on its pooling head")
        return relevance.row.expand(len(targets), -1)
