"""The explainer that chooses a method by what the classifier's network can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from PIL import Image

from ...errors import UndefinedMethodError
from ...interfaces import Classifier, Explainer
from ...records import JSON, Explanation, Failure
from .attention_rollout import AttentionRollout
from .grad_cam import GradCam

if TYPE_CHECKING:
    from torch import nn

    from ...interfaces import TorchModel

METHOD = "auto"


class AutoExplainer(Explainer):
    """Explains with the method that suits the network, found out with one image before the first batch.

    Attention rollout (arXiv:2005.00928) where it is defined: vision transformers with global attention whose head reads
    a CLS token. Grad-CAM (arXiv:1610.02391) elsewhere. `Explanation.method` names the method that was used, and
    `Explanation.class_specific` whether the map depends on the class.
    """

    def __init__(self) -> None:
        self._methods = AttentionRollout(), GradCam()
        self._choices: WeakKeyDictionary[nn.Module, Explainer] = WeakKeyDictionary()

    def identity(self) -> dict[str, JSON]:
        """Class, version and source, and those of the methods it chooses from."""
        return {**super().identity(), "methods": [method.identity() for method in self._methods]}

    def explain(
        self, classifier: Classifier, images: Sequence[Image.Image], targets: Sequence[int]
    ) -> list[Explanation | Failure]:
        """One explanation an image, in order, by the chosen method.

        Raises:
            DataError: images and targets differ in number, or a target is no index of a label.
            UndefinedMethodError: no method is defined for this classifier.
        """
        from ._requests import check_request

        model = check_request(METHOD, classifier, images, targets)
        return self._choice(model, images[0]).explain(classifier, images, targets) if images else []

    def _choice(self, model: TorchModel, image: Image.Image) -> Explainer:
        rollout, grad_cam = self._methods
        if model.module not in self._choices:
            self._choices[model.module] = rollout if _can_be_followed(model, image) else grad_cam
        return self._choices[model.module]


def _can_be_followed(model: TorchModel, image: Image.Image) -> bool:
    """Whether attention goes from the patches to what the head reads, so that attention rollout is defined."""
    import torch

    from .._logits import logits
    from ._attention import recorded_attention
    from ._tokens import find_tokens

    pixels = model.preprocess([image]).pixels
    with torch.inference_mode(), recorded_attention(model.module) as recording:
        logits(model.module, pixels)
    try:
        find_tokens(METHOD, model.module, pixels, recording.maps)
    except UndefinedMethodError:
        return False
    return True
