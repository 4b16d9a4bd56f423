"""The explainer that weighs the last feature map by the gradients of a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from PIL import Image

from ...errors import MissingExtraError
from ...interfaces import Classifier, Context, Explainer
from ...records import Explanation, Failure

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ._layers import Layer
    from ._network import Batch, Maps

METHOD = "grad-cam"


class GradCam(Explainer):
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): where the last feature map speaks for a class.

    Each channel of the map counts by its mean gradient of the class's logit; the sum over channels, where it is
    positive, is the heatmap. It depends on the class. It is defined for every network with a feature map that its
    answer rests on: at the last one before pooling in ResNet, ConvNeXt, MobileNetV2 and other convolutional networks;
    at the tokens of the last norm in Swin; at the first norm of the last block in ViT, DeiT, DINOv2, BEiT, SigLIP and
    CLIP, whose tokens of the patches reach a CLS token no later. Not where no layer holds a map.

    Args:
        layer: dotted name of the layer whose output is the map (b c h w, b h w c or tokens b n c); None finds it.
            Networks whose tokens are not those of a known kind need it.
    """

    def __init__(self, layer: str | None = None) -> None:
        self.layer = layer
        # Finding a layer costs a forward pass: kept for each network and size of image, as long as the network lives.
        self._layers: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Layer]] = WeakKeyDictionary()

    def prepare(self, context: Context) -> None:  # noqa: ARG002
        """Makes sure that captum is there.

        Raises:
            MissingExtraError: it is not.
        """
        _layer_grad_cam()

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order: what each cell adds to the logit of the target, where positive.

        Raises:
            ConfigError: `layer` names no layer with a map, or is needed.
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            MissingExtraError: captum is not installed.
            PluginError: the network is in training mode, or layers of it are compiled.
            UndefinedMethodError: no layer of the network holds a map of the image.
        """
        from ._network import explained

        return explained(METHOD, True, self._maps, classifier, images, targets, self.batch_size)

    def _maps(self, module: nn.Module, batch: Batch, targets: list[int]) -> Maps:
        import torch

        from .._logits import logits
        from ._layers import tapped
        from ._network import Maps

        def ask(pixels: Tensor) -> Tensor:
            with torch.no_grad():
                return logits(module, pixels)

        attribution, tap = _layer_grad_cam(), torch.nn.Identity()
        with torch.inference_mode(mode=False), tapped(module, self._found(module, batch.pixels), tap):
            maps = attribution(ask, tap).attribute(batch.pixels, targets, relu_attributions=True)
        return Maps(maps[:, 0].detach().cpu().numpy(), batch.boxes)

    def _found(self, module: nn.Module, pixels: Tensor) -> Layer:
        from ._layers import find_layer

        layers = self._layers.setdefault(module, {})
        size = tuple(pixels.shape[1:])
        if size not in layers:
            layers[size] = find_layer(METHOD, module, pixels, self.layer)
        return layers[size]


def _layer_grad_cam() -> Any:
    """captum's LayerGradCam, imported when used: captum imports matplotlib."""
    try:
        from captum.attr import LayerGradCam  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(f"{METHOD} needs {error.name or 'captum'}: pip install 'xaiaug[captum]'") from error
    return LayerGradCam
