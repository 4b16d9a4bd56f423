"""The explainer that shows what the head's token attends to in the last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ...interfaces import Classifier, Explainer
from ...records import Explanation, Failure
from ._base import check_fusion, check_readout

if TYPE_CHECKING:
    from torch import nn

    from ._network import Batch, Maps

METHOD = "attention-last"


class AttentionLast(Explainer):
    """Attention of the last layer (as in Caron et al. 2021, arXiv:2104.14294): where the head's token looks at the end.

    The row of what the head reads in the last attention map, the heads made one. It does not depend on the class, and
    knows nothing of how earlier layers have mixed the patches. It is defined for vision transformers with global
    self-attention: ViT, DeiT, DINOv2, DINOv3, BEiT, SigLIP, CLIP; not for Swin (windows) or networks without attention
    (ResNet, ConvNeXt, MobileNetV2).

    Args:
        head_fusion: how the heads become one map: "mean", "max" or "min".
        readout: whose row is the map. "auto" is what the head reads: the CLS token, its mean with the distillation
            token (DeiT with a teacher), the mean of the patches, or a pooling head, whose own attention is then the
            last; "cls", "mean" and "pooling" ask for one of these. SigLIP has such a head, but
            `SiglipForImageClassification` reads the mean of the patches.
    """

    def __init__(self, head_fusion: str = "mean", readout: str = "auto") -> None:
        self.head_fusion = check_fusion(METHOD, head_fusion)
        self.readout = check_readout(METHOD, readout)

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: the attention each patch gets from what the head reads.

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
        from ._attention import recorded_attention
        from ._network import Maps, on_grid
        from ._tokens import find_tokens, readout_row

        tokens = find_tokens(METHOD, module, batch.pixels)
        with torch.inference_mode(), recorded_attention(module, self.head_fusion, last=True) as recording:
            row = readout_row(METHOD, module, tokens, self.readout, batch.pixels.device)
            logits(module, batch.pixels)
            with torch.autocast(batch.pixels.device.type, enabled=False):
                rows = recording.pooled[-1] if row is None else row @ recording.maps[-1]
        return Maps(on_grid(rows, tokens.prefix, tokens.grid), tokens.seen(batch.boxes))
