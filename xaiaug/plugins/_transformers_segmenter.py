"""Subject masks by a checkpoint of transformers for semantic segmentation, such as SegFormer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import ConfigError, name_some, suggest
from ..records import JSON

Floats = NDArray[np.float32]


class TransformersSegmenter:
    """The subject by the classes of a semantic segmentation: the sum of the probabilities of some of them.

    Args:
        who: for messages.
        checkpoint: a folder that `save_pretrained` wrote; nothing is downloaded.
        subject_labels: names of its classes that count as subject.

    Raises:
        ConfigError: no labels are given; in `open`: the folder is no such checkpoint, is damaged, lacks weights, or
            does not have one of the labels.
    """

    def __init__(self, who: str, checkpoint: str, subject_labels: Sequence[str] = ()) -> None:
        if isinstance(subject_labels, str) or not all(isinstance(label, str) for label in subject_labels):
            raise ConfigError(f"{who}: subject_labels must be a list of names, got {subject_labels!r:.80}")
        self._who = who
        self._folder = Path(checkpoint).expanduser()
        self._subject = tuple(subject_labels)
        self._model: Any = None

    def check(self) -> None:
        """Raises ConfigError if the folder is no checkpoint."""
        if not (self._folder / "config.json").is_file():
            raise ConfigError(
                f"{self._who}: {str(self._folder)!r} is not a folder with config.json, model.safetensors and"
                " preprocessor_config.json; download the checkpoint first, nothing is downloaded here"
            )

    def identity(self) -> dict[str, JSON]:
        """The labels, and a digest of the folder's settings and weights."""
        from .classifiers._saved_state import digest_folder

        content = digest_folder(self._folder) if self._folder.is_dir() else None
        return {"kind": "transformers", "content": content, "subject_labels": list(self._subject)}

    def open(self, device: str) -> None:
        """Loads the checkpoint, unless it is loaded, and finds the classes of the subject in it."""
        if self._model is None:
            from ._device import resolve_device

            self._processor, model = self._load()
            self._classes = self._find_classes(model.config.id2label)
            self._model = model.to(resolve_device(device)).eval()

    def segment(self, image: Image.Image) -> Floats:
        """h w, of the image's size, 0 to 1; NaN where the model's answer is not finite."""
        import torch

        self.open("auto")
        pixels = self._processor(images=image, return_tensors="pt")["pixel_values"].to(self._model.device)
        with torch.inference_mode():
            logits = self._model(pixel_values=pixels).logits
            logits = torch.nn.functional.interpolate(
                logits.float(), image.size[::-1], mode="bilinear", align_corners=False
            )
            mask: Floats = logits.softmax(dim=1)[0, self._classes].sum(dim=0).cpu().numpy()
        return np.clip(mask, 0, 1)

    def _load(self) -> tuple[Any, Any]:
        import torch
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        from .classifiers._checkpoint import blame_checkpoint
        from .classifiers._isolation import isolate_randomness, silence_transformers
        from .classifiers._weight_files import check_weight_files

        self.check()
        folder = str(self._folder)
        way_out = "Give the folder of a checkpoint for semantic segmentation, such as a SegFormer."
        with silence_transformers(), isolate_randomness(0), blame_checkpoint(self._who, folder, "be loaded", way_out):
            check_weight_files(self._who, folder, self._folder)
            model, loading = AutoModelForSemanticSegmentation.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                folder, backend="pil", trust_remote_code=False, local_files_only=True
            )
        if missing := [name for name in loading["missing_keys"] if not name.endswith("num_batches_tracked")]:
            raise ConfigError(
                f"{self._who}: {folder!r} does not hold {name_some(sorted(missing))}; it has no trained head for"
                " segmentation, or is cut"
            )
        if cropping := [name for name in ("do_center_crop", "do_pad") if getattr(processor, name, False)]:
            raise ConfigError(
                f"{self._who}: the preprocessor_config.json of {folder!r} sets {cropping[0]}, so that its masks do not"
                " cover the image; give a checkpoint that resizes images without cropping"
            )
        return processor, model

    def _find_classes(self, names: dict[int, str]) -> list[int]:
        known = sorted(set(names.values()))
        if not self._subject:
            raise ConfigError(f"{self._who}: give subject_labels, of {name_some(known, most=40)}")
        if unknown := next((label for label in self._subject if label not in known), None):
            raise ConfigError(f"{self._who}: {str(self._folder)!r} has no label {unknown!r}. {suggest(unknown, known)}")
        return [index for index, name in names.items() if name in self._subject]
