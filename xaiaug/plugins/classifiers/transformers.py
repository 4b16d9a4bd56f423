"""The classifier for any image-classification checkpoint of the transformers library."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import DataError, NotFittedError
from ...interfaces import Checkpoints, Classifier, Context, Prepared, TrainingMonitor
from ...records import JSON, Estimate, History, Recipe, Sample
from ._saved_state import read_state, write_state

if TYPE_CHECKING:
    from ._checkpoint import Network
    from ._dataset import TrainingTask
    from ._erm import ErmLoss
    from ._label_match import LabelMatch


class TransformersClassifier(Classifier):
    """Any checkpoint that `AutoModelForImageClassification` reads, trained by the Hugging Face Trainer.

    A checkpoint with a trained head predicts and explains as it is. `fit` gives it a new head where the labels of the
    run differ from its own, and says so in `notes`; the same labels in another order or spelling only reorder the head.
    All weights are trained, or with a recipe's `adapter = "lora"`, adapters and the head.

    Args:
        checkpoint: a folder that `save_pretrained` wrote, by transformers or by peft, or a name on the model hub.
        new_head: whether the first `fit` replaces the head even where the labels agree.
        revision: branch, tag or commit on the hub.
        batch_size: images per forward pass; on a CPU a convolutional network reads 8 at most, which is faster.
        labels: maps labels of the checkpoint to classes of the data, where the names differ:
            `{"LABEL_0": "cat"}`.
        restrict: whether only the classes of the data compete, where the checkpoint has more.
    """

    training_methods = frozenset({"group-balanced", "group-dro", "rrr", "last-layer", "last-layer-finetune"})

    def __init__(
        self,
        checkpoint: str,
        new_head: bool = False,
        revision: str | None = None,
        batch_size: int = 32,
        labels: Mapping[str, str] | None = None,
        restrict: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.new_head = new_head
        self.revision = revision
        self.batch_size = batch_size
        self.restrict = restrict
        self._table = labels
        self._context = Context()
        self._network: Network | None = None

    def parameters(self) -> dict[str, JSON]:
        """The parameters by name, as `__init__` received them."""
        table: JSON = None if self._table is None else dict(self._table)
        return {**super().parameters(), "labels": table}

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters; of a folder its content, wherever it lies."""
        from ._hub import key_by_content

        return key_by_content(super().identity(), self.checkpoint)

    def estimate(self, items: int) -> Estimate:  # noqa: ARG002  (the same for any number)
        """Size and licence of a checkpoint on this machine; neither is known before a download."""
        from ._hub import count_weight_bytes, find_local_folder, read_licence

        folder = find_local_folder(self.checkpoint, self.revision)
        if folder is None:
            return Estimate()
        size = count_weight_bytes(folder)
        return Estimate(licence=read_licence(folder), disk_bytes=(size, size))

    @property
    def module(self) -> Any:
        """The network, in evaluation mode; its output has the attribute `logits`."""
        return self._load_network().module

    def prepare(self, context: Context) -> None:
        """Loads the checkpoint, once; brings it to the context's device and to the order of its labels.

        Raises:
            ConfigError: the checkpoint cannot be used, or one of its labels stands for several of its outputs.
        """
        from .._device import resolve_device

        self._context, self.notes = context, ()
        network = self._load_network()
        network.module.to(resolve_device(context.device))
        if context.labels:
            self._adopt_labels(network, context.labels)
        self.notes = (*self.notes, *network.cautions)
        self.labels = network.labels if network.fitted else context.labels

    def complete_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The classes of the data, and those that a trained head tells apart beside them."""
        network = self._load_network()
        names = self._match_labels(network, labels).names if network.fitted and not self.restrict else ()
        return (*labels, *(name for name in names if name not in labels)) if set(labels) <= set(names) else (*labels,)

    def _match_labels(self, network: Network, classes: Sequence[str]) -> LabelMatch:
        from ._label_match import match_labels

        repeated = () if self.new_head else network.repeated
        return match_labels(network.labels, classes, repeated, network.negative)

    def _adopt_labels(self, network: Network, classes: tuple[str, ...]) -> None:
        """Brings a trained head to the classes of the data; notes what was taken for the same, or is not used."""
        from ._head import select_outputs
        from ._label_match import describe_match, describe_mismatch

        if not network.fitted:
            self.notes = (f"{network.lacks}; training gives it a new one.",) if network.unused else ()
            return
        match = self._match_labels(network, classes)
        if set(classes) == set(match.names) or (self.restrict and set(classes) <= set(match.names)):
            if match.names != classes:
                network.module = select_outputs(network.module, match.names, classes)
            network.labels = classes
            self.notes = describe_match(match)
        elif not self.new_head:
            self.notes = (describe_mismatch(self.checkpoint, match.names, classes),)

    def fit(
        self,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        recipe: Recipe,
        seed: int,
        checkpoints: Checkpoints | None = None,
        snapshots: Path | None = None,
        monitor: TrainingMonitor | None = None,
        logs: Path | None = None,
    ) -> History:
        """Trains all weights for `recipe.steps`, from the present ones, and returns about ten points of its curves.

        The loss of a batch is the mean of cross-entropies weighted by `Sample.weight` and the recipe's class weights,
        or that of the recipe's method. Where that trains the last layer alone, the curves have one point.
        Raises what `Classifier.fit` raises, and DataError for an empty training split or labels out of range.
        """
        from ._dataset import TrainingTask
        from ._head import replace_head
        from ._training_methods import LOSSES, check_task

        network = self._load_network()
        task = TrainingTask(self._find_labels(), train, validation, recipe, seed)
        check_task(task, network.preprocessor)
        task.check_labels(type(self).__name__)
        if not network.fitted or network.labels != task.labels or (self.new_head and not network.trained):
            network.module = replace_head(network.module, task.labels, seed)
        if recipe.method in LOSSES:
            kept = {"checkpoints": checkpoints, "monitor": monitor, "logs": logs}
            history = self._train_network(task, LOSSES[recipe.method], snapshots, kept)
        else:
            history = self._train_head(task, monitor)
        network.labels = self.labels = tuple(task.labels)
        network.fitted = network.trained = True
        network.lacks = ""
        return history

    def _train_network(
        self,
        task: TrainingTask,
        kind: type[ErmLoss],
        snapshots: Path | None,
        options: Mapping[str, Any],
    ) -> History:
        from ._trainer import train_network

        network = self._load_network()
        snapshot = None if snapshots is None else partial(self._save_snapshot, snapshots)
        with _restrict_training(network.module, task.recipe, task.seed):
            return train_network(network.module, network.preprocessor, task, kind, snapshot=snapshot, **options)

    def _train_head(self, task: TrainingTask, monitor: TrainingMonitor | None) -> History:
        from ._head import LinearHead, find_head
        from ._last_layer import HeadNetwork, train_head

        layer = LinearHead(find_head(self.module), range(len(task.labels)))
        return train_head(HeadNetwork(self.embed, self._predict, layer.read, layer.write), task, monitor)

    def _save_snapshot(self, snapshots: Path, step: int, module: Any) -> None:
        """Saves a copy of the network during its training; adapters are merged in the copy alone."""
        from ._lora import merge_lora

        other = type(self)(**self.parameters())  # type: ignore[arg-type]
        network = self._load_network()
        other._network = replace(network, module=copy.deepcopy(module), labels=self._find_labels(), fitted=True)
        if any("lora_" in name for name, _ in module.named_parameters()):
            merge_lora(other._network.module)
        folder = snapshots / str(step)
        folder.mkdir(parents=True, exist_ok=True)
        other.save(folder)

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; reads `batch_size` images at a time."""
        self._check_fitted()
        return self._predict(images)

    def _predict(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        from .._logits import compute_probabilities

        with self._blame():
            parts = [compute_probabilities(self.module, pixels) for pixels in self._iter_pixels(images)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), np.float32)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """What the head reads: n d, float32."""
        from .._logits import compute_logits, record_inputs
        from ._head import find_head

        with self._blame(), record_inputs(find_head(self.module)) as features:
            for pixels in self._iter_pixels(images):
                compute_logits(self.module, pixels)
        return np.concatenate(features) if features else np.zeros((0, 0), np.float32)

    def preprocess(self, images: Sequence[Image.Image]) -> Prepared:
        """The images as the network sees them, on its device.

        Raises:
            DataError: there are no images, or they keep different sizes: prepare those one by one.
        """
        import torch

        network = self._load_network()
        with self._blame():
            frames = map(network.preprocessor.make_frame, images)
            batches = list(network.preprocessor.iter_batches(frames, max(1, len(images))))
            if len(batches) != 1:
                sizes = sorted({tuple(batch.shape[2:]) for batch in batches})
                raise DataError(
                    f"TransformersClassifier: one batch needs images of one size after resizing, got {sizes}"
                )
            boxes = torch.tensor([network.preprocessor.find_box(image) for image in images], dtype=torch.float32)
        return Prepared(batches[0].to(network.module.device), boxes)

    def fork(self) -> Self:
        """An independent copy with the same weights."""
        other = type(self)(**self.parameters())  # type: ignore[arg-type]
        other._network, other._context = copy.deepcopy(self._network), self._context
        other.labels, other.notes = self.labels, self.notes
        return other

    def save(self, folder: str | Path) -> None:
        """Writes a `save_pretrained` folder that also loads without xaiaug."""
        from ._isolation import silence_transformers

        network = self._load_network()
        with silence_transformers():
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
        from .._device import resolve_device
        from ._checkpoint import open_checkpoint

        state = read_state(folder, cls)
        classifier = cls(**state["parameters"])
        network = classifier._network = open_checkpoint(str(folder))
        network.labels = classifier.labels = tuple(state["labels"])
        network.fitted, network.trained = state["fitted"], state["trained"]
        network.module.to(resolve_device("auto"))
        return classifier

    def _load_network(self) -> Network:
        if self._network is None:
            from ._checkpoint import open_checkpoint
            from ._label_match import rename_labels

            network = open_checkpoint(self.checkpoint, self.revision)
            network.labels = rename_labels(network.labels, self._table or {})
            self._network = network
        return self._network

    def _check_fitted(self) -> None:
        network = self._load_network()
        if not network.fitted:
            raise NotFittedError(
                f"TransformersClassifier: {network.lacks}; call fit first, or give a checkpoint with a trained"
                " classification head for one class an image"
            )

    def _find_labels(self) -> tuple[str, ...]:
        network = self._load_network()
        if self._context.labels or network.fitted:
            return self._context.labels or network.labels
        raise NotFittedError(
            f"TransformersClassifier: {self.checkpoint!r} has no head and no labels; call"
            " prepare(Context(labels=...)) before fit"
        )

    def _blame(self) -> AbstractContextManager[None]:
        """A block in which whatever is raised becomes an error of ours that names the checkpoint."""
        from ._checkpoint import blame_checkpoint

        return blame_checkpoint(
            type(self).__name__,
            self.checkpoint,
            "read these images",
            "Check that preprocessor_config.json is the one the network was trained with, or pass the network to"
            " TorchClassifier with your own preprocess.",
        )

    def _iter_pixels(self, images: Sequence[Image.Image]) -> Iterator[Any]:
        """Batches of pixels, each of one size, in order; one at a time is in memory."""
        import torch

        network = self._load_network()
        frames = map(network.preprocessor.make_frame, images)
        with torch.no_grad():  # tensors of inference mode that a network keeps would break a later backward pass
            for pixels in network.preprocessor.iter_batches(frames, network.count_at_once(self.batch_size)):
                yield network.to_device(pixels)


def _restrict_training(module: Any, recipe: Recipe, seed: int) -> AbstractContextManager[None]:
    """A block in which the recipe's adapters are trained; without any, all weights."""
    from ._lora import train_lora

    return nullcontext() if recipe.adapter is None else train_lora(module, seed)
