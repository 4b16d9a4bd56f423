"""The classifier that needs no training: CLIP or SigLIP compares images with the names of the classes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError, NotFittedError, UnsupportedRecipeError
from ...interfaces import Classifier, Context
from ...records import JSON, History, Recipe, Sample
from ._saved_state import read_state, write_state

_FOLDER = (
    "Give a folder of CLIP or SigLIP with model.safetensors, tokenizer and image processor, or its name on the hub."
)


class ZeroShotClassifier(Classifier):
    """CLIP (arXiv 2103.00020), SigLIP (arXiv 2303.15343) and similar models, as a classifier of the run's class names.

    Args:
        checkpoint: a folder that `save_pretrained` wrote, with its processor, or a name on the model hub.
        template: the sentence that images are compared with; {label} stands for the name of a class.
        revision: branch, tag or commit on the hub.
        batch_size: images per forward pass.
    """

    trainable = False

    def __init__(
        self,
        checkpoint: str = "openai/clip-vit-base-patch32",
        template: str = "a photo of a {label}",
        revision: str | None = None,
        batch_size: int = 32,
    ) -> None:
        self.checkpoint = checkpoint
        self.template = template
        self.revision = revision
        self.batch_size = batch_size
        self._model: Any = None
        self._processor: Any = None
        self._texts: Any = None

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters; of a folder its content, wherever it lies."""
        from ._hub import key_by_content

        return key_by_content(super().identity(), self.checkpoint)

    def prepare(self, context: Context) -> None:
        """Loads the checkpoint, and embeds the names of the classes.

        Raises:
            ConfigError: the template has no place for the label, or the checkpoint cannot compare images with texts.
        """
        from .._device import resolve_device

        if "{label}" not in self.template:
            raise ConfigError(f"ZeroShotClassifier: template must hold {{label}}, got {self.template!r}")
        if self._model is None:
            self._open(self.checkpoint)
        self._model.to(resolve_device(context.device))
        self.labels = context.labels or self.labels
        self._texts = self._embed_labels() if self.labels else None

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:  # noqa: ARG002
        """Never trains.

        Raises:
            UnsupportedRecipeError: always.
        """
        raise UnsupportedRecipeError(
            "ZeroShotClassifier cannot be trained; use it as it is with [experiment] fit_baseline = false, or"
            " train the classifier transformers"
        )

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; the softmax over the classes, for SigLIP too."""
        import torch

        if self._texts is None:
            raise NotFittedError("ZeroShotClassifier has no classes; call prepare(Context(labels=...)) first")
        with torch.no_grad():
            scale = self._model.logit_scale.exp()
            parts = [
                (scale * features @ self._texts.T).softmax(-1).float().cpu().numpy()
                for features in self._iter_features(images)
            ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), np.float32)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Features in the space of the texts: n d, float32, of length 1."""
        import torch

        with torch.no_grad():
            parts = [features.float().cpu().numpy() for features in self._iter_features(images)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def fork(self) -> Self:
        """An independent copy."""
        other = type(self)(**self.parameters())  # type: ignore[arg-type]
        other.labels, other._processor = self.labels, self._processor
        other._model, other._texts = copy.deepcopy(self._model), self._texts
        return other

    def save(self, folder: str | Path) -> None:
        """Writes a `save_pretrained` folder, and the names of the classes."""
        from ._isolation import silence_transformers

        with silence_transformers():
            self._model.save_pretrained(folder, safe_serialization=True)
            self._processor.save_pretrained(folder)
        state = {"parameters": self.parameters(), "labels": self.labels}
        write_state(folder, state)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict."""
        state = read_state(folder, cls)
        classifier = cls(**state["parameters"])
        classifier._open(str(folder))
        classifier.prepare(Context(labels=tuple(state["labels"])))
        return classifier

    def _open(self, checkpoint: str) -> None:
        import torch
        from transformers import AutoModel, AutoProcessor

        from ._checkpoint import blame_checkpoint
        from ._hub import locate
        from ._isolation import silence_transformers
        from ._weight_files import check_weight_files

        who = type(self).__name__
        path = locate(checkpoint, self.revision, who)
        with silence_transformers(), blame_checkpoint(who, checkpoint, "be loaded", _FOLDER):
            check_weight_files(who, checkpoint, Path(path))
            model = AutoModel.from_pretrained(
                path, revision=self.revision, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
            )
            self._processor = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                path, revision=self.revision, backend="pil", trust_remote_code=False
            )
        if not hasattr(model, "logit_scale") or not hasattr(self._processor, "tokenizer"):
            raise ConfigError(
                f"ZeroShotClassifier: {checkpoint!r} cannot compare images with texts; give CLIP or SigLIP"
            )
        self._model = model.eval()

    def _embed_labels(self) -> Any:
        """The embedded class names: k d, of length 1."""
        import torch
        from torch.nn.functional import normalize

        texts = [self.template.format(label=label) for label in self.labels]
        # SigLIP was trained with sentences padded to its maximum length, and reads shorter ones differently.
        padding = "max_length" if "siglip" in self._model.config.model_type else True
        inputs = self._processor(text=texts, padding=padding, truncation=True, return_tensors="pt")
        with torch.no_grad():
            return normalize(_unwrap(self._model.get_text_features(**inputs.to(self._model.device))), dim=-1)

    def _iter_features(self, images: Sequence[Image.Image]) -> Iterator[Any]:
        """Image features, batch by batch: b d, of length 1."""
        from torch.nn.functional import normalize

        from .._pixels import to_rgb

        remaining = iter(images)
        while batch := [to_rgb(image) for image in islice(remaining, self.batch_size)]:
            inputs = self._processor(images=batch, return_tensors="pt").to(self._model.device)
            yield normalize(_unwrap(self._model.get_image_features(pixel_values=inputs["pixel_values"])), dim=-1)


def _unwrap(features: Any) -> Any:
    """The features themselves: later versions of transformers wrap them."""
    return getattr(features, "pooler_output", features)
