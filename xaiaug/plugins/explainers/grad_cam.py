"""The explainer that weighs the channels of the last feature map by the gradients of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ._base import NetworkExplainer
from ._network import Batch, Grids

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._layers import Layer


class GradCam(NetworkExplainer):
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): where the last feature map supports a class.

    Each channel of the map is weighted by its mean gradient of the class's logit; the sum over channels, where it is
    positive, is the heatmap. It depends on the class. It is defined for every network with a feature map that its
    logits depend on: at the last one before pooling in ResNet, ConvNeXt, MobileNetV2 and other convolutional networks;
    at the last tokens that are read in Swin, CvT and PVT; at the first norm of the last block in ViT, DeiT, DINOv2,
    BEiT, SigLIP and CLIP, since behind that block the patches no longer reach a CLS token. Not where no late layer
    holds a map that all of the image passes through. Which cells of a layer lie where on the image is found by noise in
    parts of it; maps of several calls of a layer add up.

    Args:
        layer: dotted name of the layer whose output is the map (b c h w, b h w c or tokens b n c); None finds it.
            A network that only holds one far from its logits needs it.
    """

    method = "grad-cam"
    class_specific = True

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer
        # Finding a layer costs a forward pass: kept for each network and size of image, as long as the network lives.
        self._layers: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Layer]] = WeakKeyDictionary()

    def _explain_batch(self, module: nn.Module, batch: Batch, targets: list[int]) -> Grids:
        """What each cell adds to the logit of the target, where positive.

        Raises:
            ConfigError: `layer` names no layer with a map.
            UndefinedMethodError: no layer of the network holds a map of the image, or `layer` is needed.
        """
        import torch

        from .._logits import compute_logits
        from ._layers import insert_tap

        layer = self.find_layer(module, batch.pixels)
        with torch.no_grad(), insert_tap(module, layer) as tap:
            logits = compute_logits(module, batch.pixels)
        # Of a sum over the batch: no image's logits depend on another image.
        gradients = torch.autograd.grad(logits[range(len(targets)), targets].sum(), tap.maps, materialize_grads=True)
        weighted = [
            (gradient.mean((2, 3), keepdim=True) * each).sum(1)
            for gradient, each in zip(gradients, tap.maps, strict=True)
        ]
        return Grids(torch.stack(weighted).sum(0).relu().detach().cpu().numpy(), batch.boxes)

    def find_layer(self, module: nn.Module, pixels: Tensor) -> Layer:
        """The layer that holds the map of images of that size (n c h w); raises as `explain` does."""
        from ._layers import find_layer

        layers = self._layers.setdefault(module, {})
        size = tuple(pixels.shape[1:])
        if size not in layers:
            layers[size] = find_layer(self.method, module, pixels, self.layer)
        return layers[size]
