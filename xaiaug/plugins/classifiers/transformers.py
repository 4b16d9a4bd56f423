"""The classifier for every image-classification checkpoint of the transformers library."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DataError, NotFittedError
from ...interfaces import Checkpoints, Classifier, Context, Prepared
from ...records import JSON, Estimate, History, Recipe, Sample
from ._saved_state import read_state, write_state

if TYPE_CHECKING:
    from ._checkpoint import Network


class TransformersClassifier(Classifier):
    """Any checkpoint that `AutoModelForImageClassification` reads, trained by the Hugging Face Trainer.

    A checkpoint with a trained head predicts and explains as it is. `fit` gives it a new head where the labels of the
    run differ from its own; the same labels in another order only re-order the head. All weights are trained.

    Args:
        checkpoint: a folder that `save_pretrained` wrote, or a name on the model hub.
        new_head: whether the first `fit` replaces the head even where the labels agree.
        revision: branch, tag or commit on the hub.
        batch_size: images a forward pass.
    """

    def __init__(
        self, checkpoint: str, new_head: bool = False, revision: str | None = None, batch_size: int = 32
    ) -> None:
        self.checkpoint = checkpoint
        self.new_head = new_head
        self.revision = revision
        self.batch_size = batch_size
        self._context = Context()
        self._network: Network | None = None

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and the content of a local checkpoint."""
        from ._saved_state import folder_digest

        folder = Path(self.checkpoint)
        return {**super().identity(), "weights": folder_digest(folder) if folder.is_dir() else None}

    def estimate(self, items: int) -> Estimate:  # noqa: ARG002  it is the same for any
        """Size and licence of a checkpoint that is on this machine; neither is known of one to be downloaded."""
        from ._hub import folder_of, licence, weights_bytes

        folder = folder_of(self.checkpoint, self.revision)
        if folder is None:
            return Estimate()
        size = weights_bytes(folder)
        return Estimate(licence=licence(folder), disk_bytes=(size, size))

    @property
    def module(self) -> Any:
        """The network, in evaluation mode; what it returns holds `logits`."""
        return self._loaded().module

    def prepare(self, context: Context) -> None:
        """Loads the checkpoint, once; brings it to the context's device and to the order of its labels."""
        from .._device import torch_device

        self._context = context
        network = self._loaded()
        network.module.to(torch_device(context.device))
        if network.fitted and set(context.labels) == set(network.labels) and context.labels != network.labels:
            from ._checkpoint import reorder_head

            reorder_head(network.module, network.labels, context.labels)
            network.labels = context.labels
        self.labels = network.labels if network.fitted else context.labels

    def fit(
        self,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        recipe: Recipe,
        seed: int,
        checkpoints: Checkpoints | None = None,
        snapshots: Path | None = None,
    ) -> History:
        """Trains all weights for `recipe.steps`, from the present ones, and returns about ten points of its curves.

        The loss of a batch is the mean of cross-entropies weighted by `Sample.weight` and the recipe's class weights.
        """
        from ._checkpoint import with_new_head
        from ._trainer import check_recipe, train_network

        network = self._loaded()
        labels = self._wanted_labels()
        check_recipe(recipe, len(labels))
        _check_samples(train, labels, "train")
        _check_samples(validation, labels, "validation", may_be_empty=True)
        replace = not network.fitted or network.labels != labels or (self.new_head and not network.trained)
        if replace:
            network.module = with_new_head(network.module, labels, seed)
        with _trained_parts(network.module, recipe, seed):
            history = train_network(
                network.module,
                network.preprocessor,
                train,
                validation,
                recipe=recipe,
                seed=seed,
                checkpoints=checkpoints,
                snapshot=None if snapshots is None else partial(self._snapshot, snapshots),
            )
        network.labels = self.labels = labels
        network.fitted = network.trained = True
        return history

    def _snapshot(self, snapshots: Path, step: int, module: Any) -> None:
        """Keeps a network in the middle of its training; adapters become part of the copy alone."""
        from ._lora import merge

        other = type(self)(**self.parameters())  # type: ignore[arg-type]
        network = self._loaded()
        other._network = replace(network, module=copy.deepcopy(module), labels=self._wanted_labels(), fitted=True)
        if any("lora_" in name for name, _ in module.named_parameters()):
            merge(other._network.module)
        folder = snapshots / str(step)
        folder.mkdir(parents=True, exist_ok=True)
        other.save(folder)

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; reads `batch_size` images at a time."""
        from .._logits import logits

        self._check_fitted()
        found = [logits(self.module, pixels).float().softmax(-1).cpu().numpy() for pixels in self._streamed(images)]
        return np.concatenate(found) if found else np.zeros((0, len(self.labels)), np.float32)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """What the head reads: n d, float32."""
        from .._logits import logits
        from ._checkpoint import head_module

        features: list[NDArray[np.float32]] = []

        def keep(_: Any, inputs: tuple[Any, ...]) -> None:
            features.append(inputs[0].flatten(1).float().cpu().numpy())

        hook = head_module(self.module).register_forward_pre_hook(keep)
        try:
            for pixels in self._streamed(images):
                logits(self.module, pixels)
        finally:
            hook.remove()
        return np.concatenate(features) if features else np.zeros((0, 0), np.float32)

    def preprocess(self, images: Sequence[Image.Image]) -> Prepared:
        """The images as the network sees them, on its device.

        Raises:
            DataError: there is none, or the checkpoint lets them keep different sizes: prepare those one by one.
        """
        import torch

        network = self._loaded()
        frames = [network.preprocessor.frame(image) for image in images]
        sizes = {frame.shape for frame in frames}
        if network.preprocessor.exact and len(sizes) != 1:
            raise DataError(
                f"TransformersClassifier: one batch needs images of one size after resizing, got {sorted(sizes)}"
            )
        boxes = torch.tensor([network.preprocessor.box(image) for image in images], dtype=torch.float32)
        return Prepared(network.preprocessor.pixels(frames).to(network.module.device), boxes)

    def fork(self) -> Self:
        """An independent copy with the same weights."""
        other = type(self)(**self.parameters())  # type: ignore[arg-type]
        other._network, other._context, other.labels = copy.deepcopy(self._network), self._context, self.labels
        return other

    def save(self, folder: str | Path) -> None:
        """Writes a `save_pretrained` folder that also loads without xaiaug."""
        from ._isolation import quiet

        network = self._loaded()
        with quiet():
            network.module.save_pretrained(folder, safe_serialization=True)
            network.preprocessor.processor.save_pretrained(folder)
        state = {
            "parameters": self.parameters(),
            "labels": network.labels,
            "fitted": network.fitted,
            "trained": network.trained,
        }
        write_state(folder, state)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict."""
        from .._device import torch_device
        from ._checkpoint import open_checkpoint

        state = read_state(folder, cls)
        found = cls(**state["parameters"])
        network = found._network = open_checkpoint(str(folder))
        network.labels = found.labels = tuple(state["labels"])
        network.fitted, network.trained = state["fitted"], state["trained"]
        network.module.to(torch_device("auto"))
        return found

    def _loaded(self) -> Network:
        if self._network is None:
            from ._checkpoint import open_checkpoint

            self._network = open_checkpoint(self.checkpoint, self.revision)
        return self._network

    def _check_fitted(self) -> None:
        if not self._loaded().fitted:
            raise NotFittedError(
                f"TransformersClassifier: {self.checkpoint!r} has no trained head; call fit first, or give a checkpoint"
                " that was trained to classify"
            )

    def _wanted_labels(self) -> tuple[str, ...]:
        network = self._loaded()
        if self._context.labels or network.fitted:
            return self._context.labels or network.labels
        raise NotFittedError(
            f"TransformersClassifier: {self.checkpoint!r} has no head and no labels; call"
            " prepare(Context(labels=...)) before fit"
        )

    def _streamed(self, images: Sequence[Image.Image]) -> Iterator[Any]:
        """Batches of pixels, each of one size, in order; no more than one is held."""
        import torch

        network = self._loaded()
        frames = map(network.preprocessor.frame, images)
        with torch.inference_mode():
            for _, alike in groupby(frames, key=lambda frame: network.preprocessor.exact and frame.shape):
                while batch := list(islice(alike, self.batch_size)):
                    yield network.preprocessor.pixels(batch).to(network.module.device)


def _trained_parts(module: Any, recipe: Recipe, seed: int) -> AbstractContextManager[None]:
    from ._lora import adapters

    return nullcontext() if recipe.adapter is None else adapters(module, seed)


def _check_samples(samples: Sequence[Sample], labels: Sequence[str], name: str, may_be_empty: bool = False) -> None:
    if not len(samples) and not may_be_empty:
        raise DataError(f"TransformersClassifier.fit: the {name} split is empty")
    wrong = {sample.label for sample in samples if not 0 <= sample.label < len(labels)}
    if wrong:
        raise DataError(
            f"TransformersClassifier.fit: labels in {name} must lie in 0..{len(labels) - 1}, got {sorted(wrong)}"
        )
