"""Trains a network with the Hugging Face Trainer, and records its curves."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from ...errors import UnsupportedRecipeError
from ...interfaces import Checkpoints
from ...records import History, Recipe, Sample
from .._logits import compute_logits
from ._augmentation import AUGMENTATIONS, apply_policies, mix_views
from ._dataset import Frames, Item, TrainingDataset
from ._isolation import isolate_randomness, silence_transformers
from ._preprocessor import Preprocessor
from ._resume import CheckpointWriter, find_newest, make_save_arguments, open_folder, read_curves, read_weights

_POINTS = 10
_SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
# What the recipe sets itself, and what would change how many images a training sees.
_RESERVED = {
    *("output_dir", "max_steps", "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("learning_rate", "lr_scheduler_type", "weight_decay", "seed", "data_seed", "auto_find_batch_size", "use_cpu"),
    *("load_best_model_at_end", "push_to_hub", "warmup_steps", "warmup_ratio", "remove_unused_columns"),
}


def check_recipe(recipe: Recipe, classes: int) -> None:
    """Refuses a recipe that cannot be followed, before anything is trained.

    Raises:
        UnsupportedRecipeError: an adapter, augmentation, trainer argument or number of class weights.
    """
    if recipe.adapter not in (None, "lora"):
        raise UnsupportedRecipeError(f"TransformersClassifier has no adapter {recipe.adapter!r}, only 'lora'")
    parts = recipe.augment.split("+")
    if not set(parts) <= set(AUGMENTATIONS):
        known = ", ".join(map(repr, AUGMENTATIONS))
        raise UnsupportedRecipeError(
            f"TransformersClassifier augments by {known}, joined by '+', not by {recipe.augment!r}"
        )
    if parts != ["default"] and importlib.util.find_spec("kornia") is None:
        raise UnsupportedRecipeError(f"augment = {recipe.augment!r} needs kornia: pip install 'xaiaug[evidence]'")
    if (weights := _read_class_weights(recipe)) is not None and len(weights) != classes:
        raise UnsupportedRecipeError(
            f"Recipe: class_weights needs one weight for each of {classes} classes, got {len(weights)}"
        )
    for name in recipe.trainer:
        if name in _RESERVED or name.startswith(("save_", "eval_", "hub_")):
            raise UnsupportedRecipeError(
                f"Recipe: trainer may not set {name!r}: the recipe sets it, or it would change the budget"
            )
        if name not in TrainingArguments.__dataclass_fields__:
            raise UnsupportedRecipeError(f"Recipe: trainer has no argument {name!r}; see TrainingArguments")


def _read_class_weights(recipe: Recipe) -> Sequence[float] | None:
    if isinstance(recipe.class_weights, str):
        raise UnsupportedRecipeError(
            f"Recipe: class_weights = {recipe.class_weights!r} is for a loop, which computes them; give fit numbers"
        )
    return recipe.class_weights


def train_network(
    module: Any,
    preprocessor: Preprocessor,
    train: Sequence[Sample],
    validation: Sequence[Sample],
    *,
    recipe: Recipe,
    seed: int,
    checkpoints: Checkpoints | None = None,
    snapshot: Callable[[int, Any], None] | None = None,
) -> History:
    """Trains a network in place, on the device it is on; the weights after the last step are kept.

    Exactly steps × batch size images are passed; the caller's random states are left as they were. With checkpoints it
    resumes from the newest. `snapshot` is called with the step and the network at each point of the curves.
    """
    dataset = TrainingDataset(
        train,
        preprocessor.input_size,
        count=recipe.steps * recipe.batch_size,
        sampling=recipe.sampling,
        seed=seed,
    )
    augment = recipe.augment.split("+")
    device = module.device
    curves = CurveRecorder(Frames(validation, preprocessor.make_frame), preprocessor, recipe.steps, snapshot)
    with isolate_randomness(seed), silence_transformers(), _freeze_old_objects(), open_folder(checkpoints) as folder:
        arguments = {**_make_arguments(recipe, seed, device), **make_save_arguments(checkpoints)}
        trainer = WeightedTrainer(
            model=module,
            args=_limit_to_one_device(TrainingArguments(output_dir=str(folder), **arguments)),
            train_dataset=dataset,
            data_collator=Collator(preprocessor, tuple(augment), seed),
            callbacks=[curves, CheckpointWriter(curves.get_state)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.configure(curves, _read_class_weights(recipe))
        start = find_newest(folder)
        if start is not None:
            curves.set_state(read_curves(start))
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
        # Mixed precision wraps forward; copies and files need the plain one.
        trainer.accelerator.unwrap_model(module, keep_fp32_wrapper=False)
    # The Trainer takes the first GPU, whichever was wanted.
    module.to(device).eval()
    return curves.to_history()


@contextmanager
def _freeze_old_objects() -> Iterator[None]:
    """Keeps the garbage collection that the Trainer starts with from walking over every module loaded so far."""
    frozen = gc.get_freeze_count()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()


def _make_arguments(recipe: Recipe, seed: int, device: torch.device) -> dict[str, Any]:
    return {
        "dataloader_pin_memory": device.type == "cuda",
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        **recipe.trainer,
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": _SCHEDULERS[recipe.schedule],
        "warmup_steps": round(recipe.steps / 20),
        "weight_decay": recipe.weight_decay,
        "seed": seed % 2**32,
        "use_cpu": device.type == "cpu",
        "eval_strategy": "no",
        "remove_unused_columns": False,
    }


def _limit_to_one_device(arguments: TrainingArguments) -> TrainingArguments:
    # More devices would mean more images per step: the budget must not depend on the machine.
    _ = arguments.device
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


@dataclass(frozen=True)
class Collator:
    """Turns a batch of views into tensors.

    Attributes:
        preprocessor: of the checkpoint.
        augment: augmentations of the views besides the default.
        seed: of the training; with the positions of the views it decides all randomness.
    """

    preprocessor: Preprocessor
    augment: tuple[str, ...] = ("default",)
    seed: int = 0

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        views, targets, weights, positions = zip(*items, strict=True)
        batch = {
            "pixels": self.preprocessor.normalize(apply_policies(views, self.augment, self.seed, positions)),
            "targets": torch.tensor(targets),
            "weights": torch.tensor(weights, dtype=torch.float32),
        }
        return mix_views(batch, self.augment, self.seed, positions[0])


class WeightedTrainer(Trainer):
    """The Trainer with a loss weighted by image and class, and images in the order of the dataset."""

    def configure(self, curves: CurveRecorder, class_weights: Sequence[float] | None) -> None:
        """Sets the recorder of losses, and the weight of each class in the loss."""
        self.curves = curves
        self.class_weights = None if class_weights is None else torch.tensor(class_weights, device=self.args.device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002  (part of the Trainer's signature)
    ) -> Any:
        """The weighted mean of the cross-entropies of one batch."""
        outputs = compute_logits(model, inputs["pixels"])
        targets, weights = inputs["targets"], inputs["weights"]
        if self.class_weights is not None:
            weights = weights * self.class_weights[targets]
        losses = self._losses(outputs.float(), targets)
        if "others" in inputs:  # a mixed image is partly of another class
            share = inputs["share"]
            losses = (1 - share) * losses + share * self._losses(outputs.float(), inputs["others"])
        loss = (losses * weights).sum() / weights.sum()
        self.curves.record(loss.detach(), outputs.detach().argmax(-1) == targets)
        return (loss, outputs) if return_outputs else loss

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs, targets, reduction="none", label_smoothing=self.args.label_smoothing_factor)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        read_weights(Path(resume_from_checkpoint), self.model if model is None else model)

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(dataset)


@dataclass
class CurveRecorder(TrainerCallback):
    """Records the curves: about ten points over the training."""

    frames: Frames
    preprocessor: Preprocessor
    steps: int
    snapshot: Callable[[int, Any], None] | None = None
    losses: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)
    points: list[tuple[int, float, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due = {round(part * self.steps / _POINTS) for part in range(1, _POINTS + 1)}

    def record(self, loss: Tensor, hits: Tensor) -> None:
        """Records one batch: its loss, and which of its images were classified correctly."""
        self.losses.append(loss)
        self.hits.append(hits)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Adds a point when one is due."""
        if state.global_step not in self.due:
            return
        train = torch.stack(self.losses).mean().item(), torch.cat(self.hits).float().mean().item()
        self.points.append((state.global_step, *train, *_measure(model, self.preprocessor, self.frames)))
        self.losses.clear()
        self.hits.clear()
        if self.snapshot is not None:
            self.snapshot(state.global_step, model)

    def get_state(self) -> dict[str, Any]:
        """Everything recorded so far, JSON-plain."""
        return {
            "points": self.points,
            "losses": [loss.item() for loss in self.losses],
            "hits": [hits.tolist() for hits in self.hits],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned."""
        self.points = [tuple(point) for point in state["points"]]
        self.losses = [torch.tensor(loss) for loss in state["losses"]]
        self.hits = [torch.tensor(hits) for hits in state["hits"]]

    def to_history(self) -> History:
        """The curves so far."""
        return History(*zip(*self.points, strict=True))


@torch.no_grad()
def _measure(module: Any, preprocessor: Preprocessor, frames: Frames) -> tuple[float, float]:
    """Mean loss and accuracy over all frames; NaN without any."""
    if not len(frames):
        return float("nan"), float("nan")
    targets = torch.tensor([sample.label for sample in frames.samples])
    outputs = _compute_logits(module, preprocessor, frames)
    return cross_entropy(outputs, targets).item(), (outputs.argmax(-1) == targets).float().mean().item()


@torch.no_grad()
def _compute_logits(module: Any, preprocessor: Preprocessor, frames: Frames, batch_size: int = 64) -> Tensor:
    """Logits of all frames, in evaluation mode: n k, float32."""
    training = module.training
    module.eval()
    try:
        batches = preprocessor.iter_batches((frames[index] for index in range(len(frames))), batch_size)
        parts = [compute_logits(module, pixels.to(module.device)).float().cpu() for pixels in batches]
        return torch.cat(parts)
    finally:
        module.train(training)
