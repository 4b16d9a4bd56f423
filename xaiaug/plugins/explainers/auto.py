"""The explainer that chooses a method by what the classifier's network can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from PIL import Image

from ...errors import UndefinedMethodError
from ...interfaces import Classifier, Explainer, TorchModel
from ...records import JSON, Explanation, Failure
from ._network import check_network, name_network, unwrap_network
from .attention_relevance import AttentionRelevance
from .grad_cam import GradCam
from .occlusion import Occlusion

if TYPE_CHECKING:
    from torch import nn

_METHOD = "auto"


class AutoExplainer(Explainer):
    """Explains with the method that suits the classifier, chosen on one image before the first batch.

    Transformer relevance (arXiv:2103.15679) for vision transformers with global attention whose head reads a CLS token;
    Grad-CAM (arXiv:1610.02391) for all other networks; occlusion (arXiv:1311.2901) for a classifier that shows no
    network. All depend on the class. `Explanation.method` names the method that was used; where a network allows
    neither of its two, an error says so.
    """

    version = "3"

    def __init__(self) -> None:
        self._relevance, self._grad_cam, self._occlusion = AttentionRelevance(), GradCam(), Occlusion()
        self._choices: WeakKeyDictionary[nn.Module, Explainer] = WeakKeyDictionary()

    def identity(self) -> dict[str, JSON]:
        """Class, version and source, and those of the methods it chooses from."""
        methods = (self._relevance, self._grad_cam, self._occlusion)
        return {**super().identity(), "methods": [method.identity() for method in methods]}

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation per image, in order, by the chosen method, whose errors it raises as well.

        Raises:
            DataError: there are no images, their number is not that of the targets, or a target is no index of a
                label.
            PluginError: the network is in training mode, or layers of it are compiled.
            UndefinedMethodError: no method is defined for the classifier's network.
        """
        if not isinstance(classifier, TorchModel):
            return self._occlusion.explain(classifier, images, targets)
        model = check_network(_METHOD, classifier, images, targets)
        return self._choose(unwrap_network(model), model, images[0]).explain(classifier, images, targets)

    def _choose(self, module: nn.Module, model: TorchModel, image: Image.Image) -> Explainer:
        if module not in self._choices:
            self._choices[module] = self._relevance if _reads_cls(module, model, image) else self._grad_cam
        return self._choices[module]


def _reads_cls(module: nn.Module, model: TorchModel, image: Image.Image) -> bool:
    """Whether the network has global attention, and its head reads a CLS token."""
    from ._gradients import guard_gradients
    from ._tokens import find_tokens

    try:
        with name_network(_METHOD, module), guard_gradients(module):
            return find_tokens(_METHOD, module, model.preprocess([image]).pixels).readout == "cls"
    except UndefinedMethodError:
        return False
