"""The explainer that follows attention back as far as it speaks for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from ._base import check_readout

if TYPE_CHECKING:
    from torch import nn

    from ._network import Batch, Maps

METHOD = "attention-relevance"


class AttentionRelevance(Explainer):
    """Transformer relevance (Chefer et al. 2021, arXiv:2103.15679): attention that raises the logit of a class.

    In every layer each head's map counts by its gradient, where the two together are positive; R ← R + ĀR over the
    layers tells how much each patch adds to what the head reads. It depends on the class. It is defined for vision
    transformers with global self-attention: ViT, DeiT, DINOv2, DINOv3, BEiT, SigLIP, CLIP; not for Swin (windows),
    networks without attention (ResNet, ConvNeXt, MobileNetV2), or a backbone that keeps gradients back.

    Args:
        readout: whose row of R is the map. "auto" is what the head reads: the CLS token, its mean with the distillation
            token (DeiT with a teacher), the mean of the patches, or a pooling head's own attention; "cls", "mean" and
            "pooling" ask for one of these. SigLIP has such a head, but `SiglipForImageClassification` reads the mean
            of the patches: its answer does not rest on "pooling", which is an error there.
    """

    def __init__(self, readout: str = "auto") -> None:
        self.readout = check_readout(METHOD, readout)

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: the relevance of each patch to the target.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            PluginError: the network is in training mode, or layers of it are compiled.
            UndefinedMethodError: the network has no global attention, no such row, or no gradients.
        """
        from ._network import explained

        return explained(METHOD, True, self._maps, classifier, images, targets, self.batch_size)

    def _maps(self, module: nn.Module, batch: Batch, targets: list[int]) -> Maps:
        import torch

        from .._logits import logits
        from ._aggregation import Relevance
        from ._attention import observed_attention
        from ._network import Maps, on_grid
        from ._tokens import find_tokens, readout_row, undefined

        tokens = find_tokens(METHOD, module, batch.pixels)
        with torch.inference_mode(mode=False), torch.no_grad():
            relevance = Relevance(readout_row(METHOD, module, tokens, self.readout, batch.pixels.device))
            with observed_attention(module, relevance):
                answer = logits(module, batch.pixels)
            if not relevance.follow(answer[range(len(targets)), targets]):
                raise undefined(METHOD, module, "gradients of its answer do not reach its attention")
        if relevance.row is None:
            raise undefined(METHOD, module, "its answer does not rest on its pooling head")
        rows = relevance.row.expand(len(targets), -1)
        return Maps(on_grid(rows, tokens.prefix, tokens.grid), tokens.seen(batch.boxes))
