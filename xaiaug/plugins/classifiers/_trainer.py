"""Trains a network with the Hugging Face Trainer, by the loss of a training method."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from ...errors import RunStopped, UnsupportedRecipeError
from ...interfaces import Checkpoints, TrainingMonitor
from ...records import History, Recipe
from ._augmentation import apply_policies, mix_views
from ._curves import CurveRecorder
from ._dataset import Frames, Item, TrainingDataset, TrainingTask
from ._erm import ErmLoss, LossSettings
from ._isolation import isolate_randomness, silence_transformers
from ._preprocessor import Preprocessor
from ._resume import (
    CheckpointWriter,
    StepReporter,
    find_newest,
    make_save_arguments,
    open_folder,
    read_step,
    read_training_state,
    read_weights,
)
from ._trackers import drop_others, make_log_arguments, place_events

_SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def train_network(
    module: Any,
    preprocessor: Preprocessor,
    task: TrainingTask,
    kind: type[ErmLoss],
    *,
    checkpoints: Checkpoints | None = None,
    snapshot: Callable[[int, Any], None] | None = None,
    monitor: TrainingMonitor | None = None,
    logs: Path | None = None,
) -> History:
    """Trains a network in place, on the device it is on; the weights after the last step are kept.

    Exactly steps × batch size images are passed, by all processes together where `torchrun` or `accelerate launch`
    started several; the caller's random states are left as they were.

    Args:
        module: the network.
        preprocessor: of its images.
        task: what is asked for, checked.
        kind: of the loss.
        checkpoints: where they are saved; the training resumes from the newest.
        snapshot: called with the step and the network at each point of the curves.
        monitor: told of each step; may stop the training.
        logs: where events for TensorBoard are kept.

    Raises:
        UnsupportedRecipeError: the network cannot be trained by this loss.
        RunStopped: the monitor stopped it; the network is as after the last step.
    """
    recipe, seed, device = task.recipe, task.seed, module.device
    dataset = TrainingDataset(
        task.train,
        preprocessor.input_size,
        count=recipe.steps * recipe.batch_size,
        sampling=recipe.sampling,
        seed=seed,
    )
    frames = Frames(task.validation, lambda sample: preprocessor.make_frame(sample.open()))
    curves = CurveRecorder(frames, preprocessor, recipe.steps, snapshot)
    with isolate_randomness(seed), silence_transformers(), _freeze_old_objects(), open_folder(checkpoints) as folder:
        given = {**_make_arguments(recipe, seed, device), **make_save_arguments(checkpoints)}
        arguments = _limit_to_one_device(TrainingArguments(output_dir=str(folder), **given))
        arguments = drop_others(arguments, recipe.trainer)
        settings = LossSettings(
            arguments.device,
            len(task.labels),
            int(dataset.groups.max(initial=-1)) + 1,
            None if recipe.class_weights is None else [float(weight) for weight in recipe.class_weights],
            float(arguments.label_smoothing_factor),
        )
        trainer = LossTrainer(
            model=module,
            args=arguments,
            train_dataset=dataset,
            data_collator=Collator(preprocessor, tuple(recipe.augment.split("+")), seed),
        )
        trainer.remove_callback(PrinterCallback)
        place_events(trainer, logs)
        trainer.configure(kind(settings), curves)
        steps = None if monitor is None else StepReporter(monitor, save=checkpoints is not None)
        if steps is not None:
            trainer.add_callback(steps)
        start = find_newest(folder)
        if start is not None:
            trainer.set_state(read_training_state(start))
        if steps is not None and steps.begin(0 if start is None else read_step(start), recipe.steps):
            raise RunStopped("the training stopped before its first step")
        with trainer.loss.prepare(module):
            trainer.train(resume_from_checkpoint=None if start is None else str(start))
        # Mixed precision wraps forward; copies and files need the plain one.
        trainer.accelerator.unwrap_model(module, keep_fp32_wrapper=False)
    if steps is not None and steps.stopped:
        raise RunStopped(f"the training stopped after step {trainer.state.global_step} of {recipe.steps}")
    # The Trainer takes the first GPU, whichever was wanted.
    module.to(device).eval()
    return replace(curves.to_history(), notes=kind.list_notes(dataset))


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
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        **make_log_arguments(recipe.trainer, recipe.steps),
        **recipe.trainer,
        "max_steps": recipe.steps,
        "per_device_train_batch_size": _share_batch(recipe.batch_size),
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": _SCHEDULERS[recipe.schedule],
        "warmup_steps": round(recipe.steps / 20),
        "weight_decay": recipe.weight_decay,
        "seed": seed % 2**32,
        "use_cpu": device.type == "cpu",
        "eval_strategy": "no",
        "remove_unused_columns": False,
    }


def _share_batch(size: int) -> int:
    """The images of a step that this process takes: all, or its share where `torchrun` started several.

    Raises:
        UnsupportedRecipeError: the images of a step cannot be divided among them.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if size % processes:
        raise UnsupportedRecipeError(
            f"a step of {size} images cannot be divided among the {processes} processes of this training; set a "
            f"batch_size that {processes} divides"
        )
    return size // processes


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
        views, targets, weights, positions, groups, off_subject = zip(*items, strict=True)
        batch = {
            "pixels": self.preprocessor.normalize(apply_policies(views, self.augment, self.seed, positions)),
            "targets": torch.tensor(targets),
            "weights": torch.tensor(weights, dtype=torch.float32),
            "groups": torch.tensor(groups),
        }
        if off_subject[0] is not None:
            batch["off_subject"] = torch.from_numpy(np.stack(off_subject))
        return mix_views(batch, self.augment, self.seed, positions[0])


class LossTrainer(Trainer):
    """The Trainer with the loss of a training method, and images in the order of the dataset."""

    def configure(self, loss: ErmLoss, curves: CurveRecorder) -> None:
        """Sets the loss, and the recorder of the curves; checkpoints keep the state of both."""
        self.loss, self.curves = loss, curves
        self.add_callback(curves)
        self.add_callback(CheckpointWriter(lambda: {"curves": curves.get_state(), "loss": loss.get_state()}))

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what a checkpoint kept of loss and curves."""
        self.curves.set_state(state["curves"])
        self.loss.set_state(state["loss"])

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002  (part of the Trainer's signature)
    ) -> Any:
        """The loss of one batch."""
        loss, outputs = self.loss.compute(model, inputs)
        self.curves.record(loss.detach(), outputs.detach().argmax(-1) == inputs["targets"])
        return (loss, outputs) if return_outputs else loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        read_weights(Path(resume_from_checkpoint), self.model if model is None else model)

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        dataset: Any = self.train_dataset if train_dataset is None else train_dataset
        return SequentialSampler(dataset)
