"""The classifier for a network of one's own."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import ConfigError, PluginError, UnsupportedRecipeError
from ...interfaces import Classifier, Context, Prepared
from ...records import JSON, History, Recipe, Sample
from ._saved_state import read_state, write_state

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ._callables import Parts

_WEIGHTS = "model.safetensors"


class TorchClassifier(Classifier):
    """Any `torch.nn.Module` that returns logits, as a classifier.

    `module`, `preprocess` and `fit` may be names, "package.module:function": then workers and resumed runs find them
    by themselves. Live objects serve in the process that made them; a pickle says so, and so does `load` elsewhere.
    Results are keyed by the weights, so a named function has to give the same weights every time.

    Args:
        module: the network, or the name of a function that makes it: called with n c h w, float32, it returns logits
            n k, bare or as the attribute `logits`.
        preprocess: called with a sequence of images it returns their pixels, a Tensor n c h w, or `Prepared` where the
            network does not see the whole image.
        labels: names of the k classes, in the order of the logits.
        fit: called with (module, train, validation, recipe=..., seed=...) it trains the module in place and returns
            a `History`, or None; without it the classifier cannot be trained.
    """

    def __init__(
        self,
        module: nn.Module | str,
        preprocess: Callable[[Sequence[Image.Image]], Any] | str,
        labels: Sequence[str],
        fit: Callable[..., History | None] | str | None = None,
    ) -> None:
        from ._callables import Parts

        self.labels = self._own_labels = tuple(labels)
        self._parts = Parts(module, preprocess, fit)
        self._module: nn.Module | None = None
        self._start: str | None = None

    def parameters(self) -> dict[str, JSON]:
        """The names it was given, and the labels; a live object is described, which cannot be given back."""
        described = self._parts.described()
        return {
            "module": described["module"],
            "preprocess": described["preprocess"],
            "labels": list(self._own_labels),
            "fit": described["fit"],
        }

    def identity(self) -> dict[str, JSON]:
        """Class, version, source and parameters, and a digest of the weights it started from."""
        return {**super().identity(), "weights": self._started_from()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels to another process by its names.

        Raises:
            ConfigError: it holds live objects.
        """
        from ._callables import stay

        if self._parts.alive:
            stay(self._parts.alive)
        return super().__reduce__()

    @property
    def module(self) -> nn.Module:
        """The network, in evaluation mode."""
        if self._module is None:
            self._module = self._parts.network()
        return self._module

    def prepare(self, context: Context) -> None:
        """Makes the network, brings it to the context's device, and its logits into the order of the labels there.

        Raises:
            ConfigError: the context's labels are not those of the network.
        """
        from .._device import torch_device

        self._started_from()
        self.module.to(torch_device(context.device))
        if context.labels and set(context.labels) != set(self.labels):
            raise ConfigError(
                f"TorchClassifier: the network tells {', '.join(self.labels)} apart, the data has"
                f" {', '.join(context.labels)}; give labels= in the order of its logits, or another network"
            )
        if context.labels and tuple(context.labels) != self.labels:
            self._reorder(tuple(context.labels))

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:
        """Trains the network by the function that was given for it, with the global generators seeded.

        Raises:
            UnsupportedRecipeError: no function was given, or an adapter or augmentation is asked for.
            PluginError: it returned something else than a History or None.
        """
        from ._isolation import own_randomness

        if self._parts.fit is None:
            raise UnsupportedRecipeError(
                "TorchClassifier: it was given no way to train; give fit=function(module, train, validation, recipe=,"
                " seed=), or keep the model as it is with fit_baseline = false"
            )
        if recipe.adapter is not None or recipe.augment != "default":
            raise UnsupportedRecipeError(
                "TorchClassifier: the function that trains knows nothing of adapters and augmentations; got "
                f"adapter = {recipe.adapter!r}, augment = {recipe.augment!r}"
            )
        self._started_from()
        try:
            with own_randomness(seed):
                history = self._parts.function("fit")(self.module, train, validation, recipe=recipe, seed=seed)
        finally:
            self.module.eval()
        if not isinstance(history, History | None):
            raise PluginError(f"TorchClassifier: fit must return a History or None, got {type(history).__name__}")
        return history or History()

    def preprocess(self, images: Sequence[Image.Image]) -> Prepared:
        """The images as the network sees them, on its device; boxes are whole images unless `preprocess` tells them.

        Raises:
            PluginError: `preprocess` returned no batch of pixels.
        """
        import torch

        found = self._parts.function("preprocess")(images)
        if isinstance(found, torch.Tensor):
            boxes = [(0.0, 0.0, float(image.width), float(image.height)) for image in images]
            found = Prepared(found, torch.tensor(boxes))
        pixels = getattr(found, "pixels", None)
        if not isinstance(pixels, torch.Tensor) or pixels.ndim != 4 or len(pixels) != len(images):
            got = f"shape {tuple(pixels.shape)}" if isinstance(pixels, torch.Tensor) else type(found).__name__
            raise PluginError(
                f"TorchClassifier: preprocess must turn {len(images)} images into a Tensor n c h w or Prepared, got"
                f" {got}; of a transform for one image make lambda images: torch.stack([transform(i) for i in images])"
            )
        return Prepared(pixels.to(self._device()), found.boxes)

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32, rows sum to 1; reads `batch_size` images at a time."""
        found = [answer.float().softmax(-1).cpu().numpy() for answer in self._answers(images)]
        return np.concatenate(found) if found else np.zeros((0, len(self.labels)), np.float32)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32] | None:
        """What the last linear layer reads, when it gives the logits: n d, float32; else None."""
        from torch import nn

        layers = [part for part in self.module.modules() if isinstance(part, nn.Linear)]
        if not layers or layers[-1].out_features != len(self.labels):
            return None
        features: list[NDArray[np.float32]] = []

        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            features.append(inputs[0].flatten(1).float().cpu().numpy())

        hook = layers[-1].register_forward_pre_hook(keep)
        try:
            for _ in self._answers(images):
                pass
        finally:
            hook.remove()
        return np.concatenate(features) if features else np.zeros((0, layers[-1].in_features), np.float32)

    def fork(self) -> Self:
        """An independent copy with the same weights."""
        other = type(self)(self._parts.module, self._parts.preprocess, self._own_labels, self._parts.fit)
        other._parts, other._start, other.labels = self._parts, self._started_from(), self.labels
        other._module = copy.deepcopy(self.module)
        return other

    def save(self, folder: str | Path) -> None:
        """Writes the weights as safetensors, and the names of the rest.

        Live objects are only noted: `load` finds them in this process, and in no other.
        """
        from safetensors.torch import save_model

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        save_model(self.module, str(path / _WEIGHTS))
        state = {
            "parameters": self.parameters(),
            "alive": self._parts.alive,
            "labels": self.labels,
            "start": self._started_from(),
        }
        write_state(path, state)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved in `folder`, ready to predict.

        Raises:
            ConfigError: it needs live objects, and this process does not hold them.
            DataError: `save` did not write that folder.
        """
        from safetensors.torch import load_model

        from .._device import torch_device

        state = read_state(folder, cls)
        parts = _parts(state)
        found = cls(parts.module, parts.preprocess, state["parameters"]["labels"], parts.fit)
        found._parts, found._start, found._module = parts, state["start"], parts.network(fresh=True)
        load_model(found._module, str(Path(folder, _WEIGHTS)))
        if tuple(state["labels"]) != found.labels:
            found._reorder(tuple(state["labels"]))
        found.module.to(torch_device("auto"))
        return found

    def _started_from(self) -> str:
        """Digest of the weights before any training."""
        if self._start is None:
            from ._callables import LIVING, weights_digest

            self._start = weights_digest(self.module)
            if self._parts.alive:
                LIVING[_key(self.parameters(), self._start)] = self._parts
        return self._start

    def _reorder(self, labels: tuple[str, ...]) -> None:
        order = [self.labels.index(label) for label in labels]
        # On a copy: the module may be in use elsewhere, in its own order.
        self._module = copy.deepcopy(self.module)
        self._module.register_forward_hook(partial(_reordered, order))
        self.labels = labels

    def _device(self) -> torch.device:
        import torch

        return next((tensor.device for tensor in self.module.parameters()), torch.device("cpu"))

    def _answers(self, images: Sequence[Image.Image]) -> Iterator[Tensor]:
        """Logits of the images, batch by batch."""
        import torch

        from .._logits import logits

        remaining = iter(images)
        while batch := list(islice(remaining, self.batch_size)):
            with torch.inference_mode():
                answer = logits(self.module, self.preprocess(batch).pixels)
            expected = len(batch), len(self.labels)
            if tuple(answer.shape) != expected:
                raise PluginError(
                    f"TorchClassifier: {type(self.module).__name__} must return logits of shape {expected} for the"
                    f" labels {', '.join(self.labels)}, got {tuple(answer.shape)}"
                )
            yield answer


def _reordered(order: list[int], _: nn.Module, __: Any, output: Any) -> Any:
    import torch

    if isinstance(output, torch.Tensor):
        return output[:, order]
    output.logits = output.logits[:, order]
    return output


def _parts(state: dict[str, Any]) -> Parts:
    """The parts that a saved classifier is made of."""
    from ._callables import LIVING, Parts, stay

    given = state["parameters"]
    parts = Parts(given["module"], given["preprocess"], given["fit"])
    if state["alive"]:
        return LIVING.get(_key(given, state["start"])) or stay(state["alive"])
    return parts


def _key(parameters: dict[str, JSON], start: str) -> str:
    return json.dumps([parameters, start], sort_keys=True)
