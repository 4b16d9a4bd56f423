"""The classifier for any `torch.nn.Module`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError, PluginError, UnsupportedRecipeError, XaiaugError, name_some
from ...interfaces import Classifier, Context, Prepared, TrainingMonitor
from ...records import JSON, History, Recipe, Sample
from ._saved_state import read_state, write_state

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ._dataset import TrainingTask

_WEIGHTS = "model.safetensors"


class TorchClassifier(Classifier):
    """Any `torch.nn.Module` that returns logits, as a classifier.

    A network with one logit z and two labels is one with the logits -z/2 and z/2: the second label has the probability
    sigmoid(z). Its `fit` gets it with its one logit, which is for the second label.

    `module`, `preprocess` and `fit` may be names, "package.module:function", which workers and resumed runs can import.
    Live objects work only in the process that made them: pickling them, and `load` elsewhere, are errors. Results are
    keyed by the weights, so a named function has to return the same weights every time.

    Args:
        module: the network, or the name of a function that returns it: called with n c h w, float32, it returns logits
            n k, bare or as the attribute `logits`.
        preprocess: called with a sequence of images it returns their pixels, a Tensor n c h w, or `Prepared` where the
            network does not see the entire image.
        labels: names of the k classes, in the order of the logits.
        fit: called with (module, train, validation, recipe=..., seed=...) it trains the module in place and returns
            a `History`, or None; without it only the last layer can be trained. If it declares `monitor`, it gets that
            as well: see `Classifier.fit`.
    """

    training_methods = frozenset({"group-balanced", "last-layer", "last-layer-finetune"})

    def __init__(
        self,
        module: nn.Module | str,
        preprocess: Callable[[Sequence[Image.Image]], Any] | str,
        labels: Sequence[str],
        fit: Callable[..., History | None] | str | None = None,
    ) -> None:
        from ._callables import Parts, remember_names

        self.labels = self._original_labels = tuple(labels)
        self._parts = Parts(module, preprocess, fit)
        self.trainable = fit is not None
        remember_names(self._parts)
        self._module: nn.Module | None = None
        self._start: str | None = None

    def parameters(self) -> dict[str, JSON]:
        """Names of the parts, and the labels; of a live object a description, from which it cannot be made again."""
        described = self._parts.describe()
        return {
            "module": described["module"],
            "preprocess": described["preprocess"],
            "labels": list(self._original_labels),
            "fit": described["fit"],
        }

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and a digest of the weights it started from."""
        return {**super().identity(), "weights": self._digest_start()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the names of its parts.

        Raises:
            ConfigError: it holds live objects.
        """
        from ._callables import refuse_live_parts

        if self._parts.live:
            refuse_live_parts(type(self).__name__, self._parts.live)
        return super().__reduce__()

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode."""
        if self._module is None:
            self._module = self._split_logit(self._parts.make_network())
        return self._module

    def prepare(self, context: Context) -> None:
        """Makes the network, moves it to the context's device, and reorders its logits to the context's labels.

        Raises:
            ConfigError: the context's labels are not those of the network.
        """
        from .._device import resolve_device

        self._digest_start()
        self.module.to(resolve_device(context.device))
        if context.labels and set(context.labels) != set(self.labels):
            raise ConfigError(
                f"TorchClassifier: the network has the labels {name_some(self.labels)}, the data"
                f" {name_some(context.labels)}; give labels= in the order of its logits, or another network"
            )
        if context.labels and tuple(context.labels) != self.labels:
            self._reorder(tuple(context.labels))

    def complete_labels(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The classes of the data, and the network's others where it has all of these."""
        others = [label for label in self.labels if label not in labels]
        return (*labels, *others) if set(labels) <= set(self.labels) else (*labels,)

    def fit(
        self,
        train: Sequence[Sample],
        validation: Sequence[Sample],
        *,
        recipe: Recipe,
        seed: int,
        monitor: TrainingMonitor | None = None,
    ) -> History:
        """Trains the network by the function given as `fit`, with the global generators seeded.

        With balanced sampling the function is handed steps × batch size images in balanced shares. The methods that
        train the last layer alone need no function.

        Raises:
            UnsupportedRecipeError: there is no such function, the recipe has an adapter or augmentation, or the last
                layer is not a linear one that gives the logits.
            PluginError: the function returned neither a History nor None.
        """
        from ._dataset import TrainingTask
        from ._last_layer import HEAD_FITS

        if recipe.adapter is not None or recipe.augment != "default":
            raise UnsupportedRecipeError(
                "TorchClassifier: the function given as fit does not handle adapters and augmentations; got "
                f"adapter = {recipe.adapter!r}, augment = {recipe.augment!r}"
            )
        self._digest_start()
        task = TrainingTask(self.labels, train, validation, recipe, seed)
        return self._train_head(task, monitor) if recipe.method in HEAD_FITS else self._train_network(task, monitor)

    def _train_network(self, task: TrainingTask, monitor: TrainingMonitor | None) -> History:
        from ._callables import takes_keyword
        from ._isolation import isolate_randomness
        from ._output_hooks import keep_own_logits

        if self._parts.fit is None:
            raise UnsupportedRecipeError(
                "TorchClassifier: it has no function to train with; give fit=function(module, train, validation,"
                " recipe=, seed=), or keep the model as it is with fit_baseline = false"
            )
        train, recipe = task.draw_balanced()
        function = self._parts.get_function("fit")
        options = {"monitor": monitor} if takes_keyword(function, "monitor") else {}
        try:
            with isolate_randomness(task.seed), keep_own_logits(self.module):
                history = function(self.module, train, task.validation, recipe=recipe, seed=task.seed, **options)
        finally:
            self.module.eval()
        if not isinstance(history, History | None):
            raise PluginError(f"TorchClassifier: fit must return a History or None, got {type(history).__name__}")
        return history or History()

    def _train_head(self, task: TrainingTask, monitor: TrainingMonitor | None) -> History:
        from ._head import LinearHead
        from ._last_layer import HeadNetwork, train_head

        task.check_labels(type(self).__name__)
        layer = self._find_last_layer()
        if layer is None:
            raise UnsupportedRecipeError(
                f"TorchClassifier: {task.recipe.method} trains the last layer alone, and no linear layer of"
                f" {type(self.module).__name__} gives the logits"
            )
        order = [self._original_labels.index(label) for label in self.labels]
        head = LinearHead(layer, order)
        return train_head(HeadNetwork(self._embed, self.predict_proba, head.read, head.write), task, monitor)

    def preprocess(self, images: Sequence[Image.Image]) -> Prepared:
        """The images as the network sees them, on its device; boxes are whole images unless `preprocess` returns them.

        Raises:
            PluginError: `preprocess` returned no batch of pixels.
        """
        import torch

        prepared = self._parts.get_function("preprocess")(images)
        if isinstance(prepared, torch.Tensor):
            boxes = [(0.0, 0.0, float(image.width), float(image.height)) for image in images]
            prepared = Prepared(prepared, torch.tensor(boxes))
        pixels = getattr(prepared, "pixels", None)
        if not isinstance(pixels, torch.Tensor) or pixels.ndim != 4 or len(pixels) != len(images):
            got = f"shape {tuple(pixels.shape)}" if isinstance(pixels, torch.Tensor) else type(prepared).__name__
            raise PluginError(
                f"TorchClassifier: preprocess must turn {len(images)} images into a Tensor n c h w or Prepared, got"
                f" {got}; of a transform for one image make lambda images: torch.stack([transform(i) for i in images])"
            )
        return Prepared(pixels.to(self._device()), prepared.boxes)

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; reads `batch_size` images at a time."""
        from .._logits import to_probabilities

        parts = [to_probabilities(self.module, logits) for logits in self._iter_logits(images)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), np.float32)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:
        """What the last linear layer reads, when it gives the logits: n d, float32; else None."""
        return None if self._find_last_layer() is None else self._embed(images)

    def _embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        from .._logits import record_inputs

        layer: Any = self._find_last_layer()
        with record_inputs(layer) as features:
            for _ in self._iter_logits(images):
                pass
        return np.concatenate(features) if features else np.zeros((0, layer.in_features), np.float32)

    def _find_last_layer(self) -> nn.Module | None:
        """The last linear layer, if it has as many outputs as there are logits."""
        from torch import nn

        layers = [part for part in self.module.modules() if isinstance(part, nn.Linear)]
        logits = {len(self.labels), 1} if len(self.labels) == 2 else {len(self.labels)}
        return layers[-1] if layers and layers[-1].out_features in logits else None

    def fork(self) -> Self:
        """An independent copy with the same weights."""
        other = type(self)(self._parts.module, self._parts.preprocess, self._original_labels, self._parts.fit)
        other._parts, other._start, other.labels = self._parts, self._digest_start(), self.labels
        other._module = copy.deepcopy(self.module)
        return other

    def save(self, folder: str | Path) -> None:
        """Writes the weights as safetensors, and the names of the other parts.

        Live objects are not written: `load` finds them in this process, and in no other.
        """
        from safetensors.torch import save_model

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        save_model(self.module, str(path / _WEIGHTS))
        state = {
            "parameters": self.parameters(),
            "alive": self._parts.live,
            "labels": self.labels,
            "start": self._digest_start(),
        }
        write_state(path, state)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict.

        Names are imported only where a `TorchClassifier` was created with them in this process: a file could name any
        function.

        Raises:
            ConfigError: it needs live objects, and this process does not hold them; or names that were not given in it.
            DataError: the folder was not written by `save`.
        """
        from safetensors.torch import load_model

        from .._device import resolve_device
        from ._callables import restore_parts

        state = read_state(folder, cls)
        parts = restore_parts(state, folder)
        classifier = cls(parts.module, parts.preprocess, state["parameters"]["labels"], parts.fit)
        classifier._parts, classifier._start = parts, state["start"]
        network = parts.make_network(fresh=True)
        load_model(network, str(Path(folder, _WEIGHTS)))
        classifier._module = classifier._split_logit(network)
        if tuple(state["labels"]) != classifier.labels:
            classifier._reorder(tuple(state["labels"]))
        classifier.module.to(resolve_device("auto"))
        return classifier

    def _digest_start(self) -> str:
        """Digest of the weights before any training."""
        if self._start is None:
            from ._callables import LIVE_PARTS, digest_weights, make_key

            self._start = digest_weights(self.module)
            if self._parts.live:
                LIVE_PARTS[make_key(self.parameters(), self._start)] = self._parts
        return self._start

    def _reorder(self, labels: tuple[str, ...]) -> None:
        from ._output_hooks import reorder_logits

        order = [self.labels.index(label) for label in labels]
        # On a copy: the module may be in use elsewhere, in its own order.
        self._module = reorder_logits(copy.deepcopy(self.module), order)
        self.labels = labels

    def _device(self) -> torch.device:
        import torch

        return next((tensor.device for tensor in self.module.parameters()), torch.device("cpu"))

    def _iter_logits(self, images: Sequence[Image.Image]) -> Iterator[Tensor]:
        """Logits of the images, batch by batch: b k."""
        import torch

        from .._logits import compute_logits, refuse_training_mode

        refuse_training_mode(self.module)
        remaining = iter(images)
        while batch := list(islice(remaining, self.batch_size)):
            pixels = self.preprocess(batch).pixels
            with torch.no_grad(), self._blame_network(pixels):
                logits = compute_logits(self.module, pixels)
            expected = len(batch), len(self.labels)
            if tuple(logits.shape) != expected:
                raise PluginError(
                    f"TorchClassifier: {type(self.module).__name__} must return logits of shape {expected} for the"
                    f" labels {name_some(self.labels)}, got {tuple(logits.shape)}"
                )
            yield logits

    @contextmanager
    def _blame_network(self, pixels: Tensor) -> Iterator[None]:
        """Turns what the network raises into a PluginError that names it and what it was given."""
        try:
            yield
        except XaiaugError:
            raise
        except Exception as error:
            given = f"{str(pixels.dtype).removeprefix('torch.')} of shape {tuple(pixels.shape)}"
            raise PluginError(
                f"TorchClassifier: {type(self.module).__name__} cannot read pixels {given} of preprocess:"
                f" {type(error).__name__}: {' '.join(str(error).split())[:300]}; let preprocess return what it reads,"
                " or bring the network to float32 with .float()"
            ) from error

    def _split_logit(self, network: nn.Module) -> nn.Module:
        """The network; a copy with two logits where it has two labels and one logit."""
        from ._output_hooks import has_one_logit, split_logit

        if len(self.labels) != 2 or not has_one_logit(network, self._parts.get_function("preprocess")):
            return network
        return split_logit(copy.deepcopy(network))
