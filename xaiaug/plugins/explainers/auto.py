"""The explainer that chooses a method by what the classifier's network can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from PIL import Image

from ...errors import UndefinedMethodError
from ...interfaces import Classifier, Context, Explainer, TorchModel
from ...records import JSON, Explanation, Failure
from ._network import check_network, name_network, unwrap_network
from .attention_relevance import AttentionRelevance
from .grad_cam import GradCam
from .occlusion import Occlusion

if TYPE_CHECKING:
    from torch import Tensor, nn

_METHOD = "auto"


class AutoExplainer(Explainer):
    """Explains with the method that suits the classifier, chosen on one image before the first batch.

    Transformer relevance (arXiv:2103.15679) for vision transformers with global attention whose head reads a CLS token;
    Grad-CAM (arXiv:1610.02391) for other networks with a late map that all of the image passes through; occlusion
    (arXiv:1311.2901), which only needs predictions, for the rest, and for a classifier without a network. All
    depend on the class. `Explanation.method` names the method that was used.
    """

    version = "4"

    def __init__(self) -> None:
        self._relevance, self._grad_cam, self._occlusion = AttentionRelevance(), GradCam(), Occlusion()
        self._choices: WeakKeyDictionary[nn.Module, Explainer] = WeakKeyDictionary()

    def identity(self) -> dict[str, JSON]:
        """Class, version and source, and those of the methods it chooses from."""
        methods = (self._relevance, self._grad_cam, self._occlusion)
        return {**super().identity(), "methods": [method.identity() for method in methods]}

    def prepare(self, context: Context) -> None:
        """Prepares each method that it may choose."""
        for method in (self._relevance, self._grad_cam, self._occlusion):
            method.prepare(context)

    def check(self) -> None:
        """Raises what any method that it may choose lacks: which one it is, is known with the first image."""
        for method in (self._relevance, self._grad_cam, self._occlusion):
            method.check()

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation per image, in order, by the chosen method, whose errors it raises as well.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            PluginError: the network is in training mode, or layers of it are compiled.
        """
        if not isinstance(classifier, TorchModel):
            return self._occlusion.explain(classifier, images, targets)
        model = check_network(_METHOD, classifier, images, targets)
        return self._choose(unwrap_network(model), model, images[0]).explain(classifier, images, targets)

    def _choose(self, module: nn.Module, model: TorchModel, image: Image.Image) -> Explainer:
        if module not in self._choices:
            pixels = model.preprocess([image]).pixels
            methods: tuple[tuple[Explainer, Callable[[nn.Module, Tensor], object]], ...] = (
                (self._relevance, _check_cls),
                (self._grad_cam, self._grad_cam.find_layer),
            )
            defined = (method for method, check in methods if _is_defined(check, module, pixels))
            self._choices[module] = next(defined, self._occlusion)
        return self._choices[module]


def _is_defined(check: Callable[[nn.Module, Tensor], object], module: nn.Module, pixels: Tensor) -> bool:
    from ._gradients import guard_gradients

    try:
        with name_network(_METHOD, module), guard_gradients(module):
            check(module, pixels)
    except UndefinedMethodError:
        return False
    return True


def _check_cls(module: nn.Module, pixels: Tensor) -> None:
    """Raises UndefinedMethodError unless the network has global attention, and its head reads a CLS token."""
    from ._tokens import find_tokens

    if find_tokens(_METHOD, module, pixels).readout != "cls":
        raise UndefinedMethodError(f"{_METHOD}: the head of {type(module).__name__} reads no CLS token")
