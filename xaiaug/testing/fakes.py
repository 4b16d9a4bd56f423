"""Fake plugins for tests: fast, deterministic, without weights; they pass all checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from ..errors import NotFittedError, UnsupportedRecipeError
from ..interfaces import Classifier, Context, Critic, Explainer, Synthesizer
from ..records import (
    JSON,
    Case,
    Critique,
    Explanation,
    Failure,
    History,
    Recipe,
    Sample,
    SynthesisRequest,
    SyntheticImage,
)


def mean_colour(image: Image.Image) -> NDArray[np.float32]:
    """The mean of an image's pixels: 3, float32, 0 to 1."""
    pixels = np.asarray(image.convert("RGB"), np.float32).reshape(-1, 3)
    # A product with ones is many times as fast as a mean along the rows.
    mean: NDArray[np.float32] = np.ones(len(pixels), np.float32) @ pixels / np.float32(255 * len(pixels))
    return mean


class NearestColour(Classifier):
    """Predicts the class whose mean colour is nearest; training moves the means.

    Args:
        sharpness: how fast a probability falls with the squared distance.
    """

    def __init__(self, sharpness: float = 20.0) -> None:
        self.sharpness = sharpness
        self.means: NDArray[np.float32] | None = None

    def prepare(self, context: Context) -> None:
        """Takes the names of the classes; keeps those it was trained for if the context has none."""
        self.labels = context.labels or self.labels

    def fit(self, train: Sequence[Sample], validation: Sequence[Sample], *, recipe: Recipe, seed: int) -> History:
        """Sets each class's mean to that of the sampled training images; a class without any keeps its mean."""
        self._check_recipe(recipe)
        rng = np.random.default_rng(seed)
        picked = rng.choice(len(train), size=min(len(train), recipe.steps * recipe.batch_size), replace=False)
        colours = np.stack([mean_colour(train[i].open()) for i in picked])
        labels = np.array([train[i].label for i in picked])
        weights = np.array([train[i].weight for i in picked])
        old = self.means if self.means is not None else np.full((len(self.labels), 3), 0.5, np.float32)
        self.means = np.stack(
            [_mean(colours, weights, labels == k) if (labels == k).any() else old[k] for k in range(len(old))]
        )
        curves = [*self._evaluate([train[i] for i in picked]), *self._evaluate(validation)]
        return History((recipe.steps,), *((value,) for value in curves))

    def predict_proba(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Class probabilities: n k, float32."""
        return self._probabilities(images)

    def save(self, folder: str | Path) -> None:
        """Writes means.npz."""
        if self.means is None:
            raise NotFittedError("NearestColour: there is nothing to save; call fit first")
        Path(folder).mkdir(parents=True, exist_ok=True)
        np.savez(Path(folder, "means.npz"), means=self.means, labels=np.array(self.labels), sharpness=self.sharpness)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The classifier that was saved."""
        with np.load(Path(folder, "means.npz")) as saved:
            loaded = cls(float(saved["sharpness"]))
            loaded.labels, loaded.means = tuple(saved["labels"].tolist()), saved["means"]
        return loaded

    def fork(self) -> Self:
        """An independent copy."""
        fork = type(self)(self.sharpness)
        fork.labels, fork.means = self.labels, None if self.means is None else self.means.copy()
        return fork

    def _probabilities(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        if self.means is None:
            raise NotFittedError("NearestColour: it has not been trained; call fit first")
        colours = np.array([mean_colour(image) for image in images], np.float32).reshape(-1, 3)
        scores = np.exp(-self.sharpness * ((colours[:, None] - self.means[None]) ** 2).sum(-1))
        probabilities: NDArray[np.float32] = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
        return probabilities

    def _check_recipe(self, recipe: Recipe) -> None:
        if recipe.adapter is not None or recipe.augment != "default":
            raise UnsupportedRecipeError(
                f"NearestColour has neither adapters nor augmentations, got adapter={recipe.adapter!r} and "
                f"augment={recipe.augment!r}"
            )

    def _evaluate(self, samples: Sequence[Sample]) -> tuple[float, float]:
        """Mean loss and accuracy; 0 without samples."""
        if not samples:
            return 0.0, 0.0
        probabilities = self._probabilities([sample.open() for sample in samples])
        labels = np.array([sample.label for sample in samples])
        loss = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-9)).mean()
        return float(loss), float((probabilities.argmax(1) == labels).mean())


class Ramp(Explainer):
    """A heatmap that increases from left to right, for any image."""

    def explain(
        self,
        classifier: Classifier,  # noqa: ARG002
        images: Sequence[Image.Image],
        targets: Sequence[int],
    ) -> list[Explanation | Failure]:
        """One ramp an image."""
        ramps = [np.tile(np.linspace(0, 1, image.width, dtype=np.float32), (image.height, 1)) for image in images]
        return [Explanation(ramp, "ramp", target, False) for ramp, target in zip(ramps, targets, strict=True)]


class ScriptedCritic(Critic):
    """Gives each case the critique that the script has for its true class, and records the cases.

    Args:
        script: by name of the true class: fields of a `Critique`, each with a default, or {"failure": "reason"}.

    Attributes:
        seen: the cases, in order.
    """

    def __init__(self, script: Mapping[str, Mapping[str, JSON]] | None = None) -> None:
        self.script = script
        self.seen: list[Case] = []

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, by the script."""
        self.seen += cases
        return [self._critique_one(case) for case in cases]

    def _critique_one(self, case: Case) -> Critique | Failure:
        fields: dict[str, Any] = dict((self.script or {}).get(case.label, {}))
        if "failure" in fields:
            return Failure("scripted", str(fields["failure"]))
        fields["evidence"] = tuple(fields.get("evidence", ()))
        defaults = {"cause": f"takes {case.label} for {case.predicted}", "prompt": f"a photo of a {case.label}"}
        return Critique(**{**defaults, **fields})


class PlainColour(Synthesizer):
    """Images of one colour with a little noise: the backdrop colour in the guidance, or a random one by the seed.

    Args:
        side: of the images in pixels.
    """

    uses = frozenset({"guidance"})

    def __init__(self, side: int = 32) -> None:
        self.side = side

    def synthesize(self, requests: Sequence[SynthesisRequest]) -> list[SyntheticImage | Failure]:
        """One image a request."""
        return [self._synthesize_one(request) for request in requests]

    def _synthesize_one(self, request: SynthesisRequest) -> SyntheticImage:
        rng = np.random.default_rng(request.seed)
        backdrop = request.guidance.get("backdrop_colour")
        colour = np.array(ImageColor.getrgb(backdrop)[:3] if isinstance(backdrop, str) else rng.integers(40, 216, 3))
        # Without noise images would be equal, and curation would reject them as constant.
        pixels = np.clip(colour + rng.normal(0, 8, (self.side, self.side, 3)), 0, 255).astype(np.uint8)
        return SyntheticImage(Image.fromarray(pixels), request.seed, request.prompt)


def _mean(colours: NDArray[np.float32], weights: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.average(colours[mask], axis=0, weights=weights[mask]).astype(np.float32)
