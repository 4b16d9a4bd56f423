"""Sweeps every family that transformers maps to image classification, tiny: right, or refused in words.

    python benchmarks/sweep.py [--families vit swin ...] [--write] [--quick] [--json FILE]

Of each family a network with a few thousand random weights is saved as a checkpoint. It predicts, predicts again, is
explained by every method, has its labels put in another order, is saved, loaded, copied, embedded and trained for two
steps. Each step is checked against transformers itself or against a law: probabilities are the softmax of the family's
own logits; a map is the same for an image alone and beside another; Grad-CAM is its formula over the whole network's
gradients; integrated gradients add up. `--write` writes the table into docs/explanations.md; a family that needs a
package which is not installed keeps its row there.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from reporting import create_parser, describe_machine, write_json
from torch import nn
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as MAPPED

from xaiaug import load
from xaiaug.errors import XaiaugError
from xaiaug.interfaces import Context
from xaiaug.plugins._logits import compute_logits
from xaiaug.plugins.explainers._layers import find_layer
from xaiaug.plugins.explainers._layouts import Layout
from xaiaug.records import Recipe, Sample

DOCS = Path(__file__).resolve().parents[1] / "docs" / "explanations.md"
MARKS = "<!-- sweep -->", "<!-- /sweep -->"
LABELS = ("cat", "dog")
ATTENTION = ("attention-relevance", "attention-rollout", "attention-last")
# With options that make them cheap.
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 64},
    "occlusion": {"cells": 3},
    "rise": {"masks": 16, "cells": 3},
}
PREDICTIONS_ALONE = ("occlusion", "rise")
METHODS = ("auto", *ATTENTION, "grad-cam", "integrated-gradients", *PREDICTIONS_ALONE, "random", "uniform")
STEPS = ("predict", "reorder", "save and load", "fork", "embed", "fit")
QUICK = ("beit", "clip", "cvt", "deit-teacher", "dinov2_with_registers", "hiera", "levit", "pvt", "resnet", "siglip")

_SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_VIT = {**_SMALL, "image_size": 32, "patch_size": 8}
_TEXT = {**_SMALL, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
_TWO = {"hidden_sizes": [8, 16], "depths": [1, 1]}
_FOUR = {
    "hidden_sizes": [8, 8, 16, 16],
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 1, 2, 2],
    "mlp_ratios": [2, 2, 2, 2],
}
_SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
_LEVIT = {
    "image_size": 64,
    "hidden_sizes": [16, 24, 32],
    "num_attention_heads": [2, 2, 2],
    "depths": [1, 1, 1],
    "key_dim": [8, 8, 8],
    "down_ops": [["Subsample", 8, 2, 4, 2, 2], ["Subsample", 8, 2, 4, 2, 2]],
}
_PERCEIVER = {
    "num_latents": 16,
    "d_latents": 16,
    "num_blocks": 1,
    "num_self_attends_per_block": 1,
    "num_self_attention_heads": 2,
    "num_cross_attention_heads": 1,
}

# For each mapped type: the class of its config, what makes it tiny, and the side of its images. One type with several
# networks has a row for each, with the network's class.
FAMILIES: dict[str, tuple[str, dict[str, Any], int]] = {
    "beit": ("BeitConfig", {**_VIT, "use_relative_position_bias": True}, 32),
    "bit": ("BitConfig", {"embedding_size": 8, **_TWO, "num_groups": 4}, 32),
    "clip": ("CLIPConfig", {"text_config": _TEXT, "vision_config": _VIT}, 32),
    "convnext": ("ConvNextConfig", {**_TWO, "num_stages": 2}, 32),
    "convnextv2": ("ConvNextV2Config", {**_TWO, "num_stages": 2}, 32),
    "cvt": ("CvtConfig", {"embed_dim": [12, 16, 24], "num_heads": [1, 2, 3], "depth": [1, 2, 3]}, 64),
    "data2vec-vision": ("Data2VecVisionConfig", {**_VIT, "use_relative_position_bias": True}, 32),
    "deit": ("DeiTConfig", {**_VIT, "architectures": ["DeiTForImageClassification"]}, 32),
    "deit-teacher": ("DeiTConfig", {**_VIT, "architectures": ["DeiTForImageClassificationWithTeacher"]}, 32),
    "dinat": ("DinatConfig", {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "kernel_size": 3}, 32),
    "dinov2": ("Dinov2Config", _VIT, 32),
    "dinov2_with_registers": ("Dinov2WithRegistersConfig", _VIT, 32),
    "donut-swin": ("DonutSwinConfig", _SWIN, 32),
    "efficientnet": (
        "EfficientNetConfig",
        {"image_size": 64, "width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320},
        64,
    ),
    "focalnet": (
        "FocalNetConfig",
        {**_TWO, "image_size": 32, "embed_dim": 8, "focal_levels": [2, 2], "focal_windows": [3, 3]},
        32,
    ),
    "hgnet_v2": (
        "HGNetV2Config",
        {
            **_TWO,
            "embedding_size": 8,
            "hidden_sizes": [16, 16],
            "stem_channels": [3, 8, 8],
            "stage_in_channels": [8, 16],
            "stage_mid_channels": [8, 8],
            "stage_out_channels": [16, 16],
            "stage_num_blocks": [1, 1],
            "stage_downsample": [False, True],
            "stage_light_block": [False, False],
            "stage_kernel_size": [3, 3],
            "stage_numb_of_layers": [2, 2],
        },
        32,
    ),
    "hiera": (
        "HieraConfig",
        {"embed_dim": 12, "image_size": [64, 64], "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2]},
        64,
    ),
    "ijepa": ("IJepaConfig", _VIT, 32),
    "imagegpt": ("ImageGPTConfig", {"vocab_size": 17, "n_positions": 64, "n_embd": 24, "n_layer": 1, "n_head": 2}, 8),
    "levit": ("LevitConfig", {**_LEVIT, "architectures": ["LevitForImageClassification"]}, 64),
    "levit-teacher": ("LevitConfig", {**_LEVIT, "architectures": ["LevitForImageClassificationWithTeacher"]}, 64),
    "metaclip_2": ("MetaClip2Config", {"text_config": _TEXT, "vision_config": _VIT}, 32),
    "mobilenet_v1": ("MobileNetV1Config", {"depth_multiplier": 0.1, "image_size": 64}, 64),
    "mobilenet_v2": ("MobileNetV2Config", {"depth_multiplier": 0.1, "image_size": 64}, 64),
    "mobilevit": (
        "MobileViTConfig",
        {
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16],
            "num_attention_heads": 2,
        },
        64,
    ),
    "mobilevitv2": (
        "MobileViTV2Config",
        {"image_size": 64, "width_multiplier": 0.25, "n_attn_blocks": [1, 1, 1], "base_attn_unit_dims": [16, 16, 16]},
        64,
    ),
    "perceiver-learned": (
        "PerceiverConfig",
        {**_PERCEIVER, "d_model": 512, "image_size": 32, "architectures": ["PerceiverForImageClassificationLearned"]},
        32,
    ),
    "perceiver-fourier": (
        "PerceiverConfig",
        {**_PERCEIVER, "d_model": 261, "architectures": ["PerceiverForImageClassificationFourier"]},
        32,
    ),
    "perceiver-conv": (
        "PerceiverConfig",
        {**_PERCEIVER, "d_model": 322, "architectures": ["PerceiverForImageClassificationConvProcessing"]},
        64,
    ),
    "poolformer": (
        "PoolFormerConfig",
        {**_TWO, "num_encoder_blocks": 2, "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1]},
        32,
    ),
    "pp_lcnet": ("PPLCNetConfig", {"scale": 0.25}, 64),
    "pvt": ("PvtConfig", {**_FOUR, "image_size": 64, "num_labels": 2}, 64),
    "pvt_v2": ("PvtV2Config", {**_FOUR, "image_size": 64}, 64),
    "regnet": ("RegNetConfig", {**_TWO, "embedding_size": 8, "groups_width": 8}, 32),
    "resnet": ("ResNetConfig", {**_TWO, "embedding_size": 8, "layer_type": "basic"}, 32),
    "segformer": ("SegformerConfig", _FOUR, 64),
    "shieldgemma2": (
        "ShieldGemma2Config",
        {
            "text_config": {
                "hidden_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "head_dim": 8,
                "intermediate_size": 32,
                "vocab_size": 300,
            },
            "vision_config": _VIT,
            "mm_tokens_per_image": 4,
        },
        32,
    ),
    "siglip": ("SiglipConfig", {"text_config": _TEXT, "vision_config": _VIT}, 32),
    "siglip2": (
        "Siglip2Config",
        {"text_config": _TEXT, "vision_config": {**_SMALL, "patch_size": 8, "num_patches": 16}},
        32,
    ),
    "swiftformer": ("SwiftFormerConfig", {"image_size": 64, "depths": [1, 1, 1, 1], "embed_dims": [8, 8, 16, 16]}, 64),
    "swin": ("SwinConfig", _SWIN, 32),
    "swinv2": ("Swinv2Config", _SWIN, 32),
    "textnet": ("TextNetConfig", {"hidden_sizes": [8, 8, 12, 16, 24], "stem_out_channels": 8}, 64),
    "timm_wrapper": (
        "TimmWrapperConfig",
        {"architecture": "test_resnet", "pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 0.9}},
        64,
    ),
    "vit": ("ViTConfig", _VIT, 32),
    "vit_msn": ("ViTMSNConfig", _VIT, 32),
}


class Wrong(Exception):  # noqa: N818  a finding, not an error of the sweep
    """A result that breaks a law, or an error that is not one of ours."""


def is_mapped(name: str) -> bool:
    """Whether a row is of a type that transformers maps; its network may follow behind a dash."""
    return name in MAPPED or name.rpartition("-")[0] in MAPPED


def save_checkpoint(name: str, folder: Path) -> None:
    """Saves a network of that family with random weights, and a processor of its size.

    Raises:
        ImportError: the family needs a package that is not installed.
    """
    kind, settings, side = FAMILIES[name]
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    config = getattr(transformers, kind)(**settings, **labels)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        (kind,) = settings.get("architectures", [None])
        network = (
            getattr(transformers, kind)(config)
            if kind
            else transformers.AutoModelForImageClassification.from_config(config)
        )
        _spread(network, side)
    network.save_pretrained(folder)
    if name != "timm_wrapper":  # its config.json holds those settings
        transformers.ViTImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)


def _spread(network: nn.Module, side: int) -> None:
    """Weights that make something of an image, and the statistics of trained batch norms."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data = torch.randn_like(parameter) * (3 / parameter[0].numel()) ** 0.5
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    for part in network.eval().modules():
        if part in norms:
            part.momentum = None
            part.train()
    if norms:
        with torch.no_grad():
            network(torch.randn(8, 3, side, side))
        network.eval()


def make_images(count: int = 3) -> list[Image.Image]:
    """Noise of 80 × 72 pixels, blurred so that processors leave something of it."""
    made = []
    for seed in range(count):
        coarse = np.random.default_rng(seed).integers(0, 256, (9, 10, 3), dtype=np.uint8)
        made.append(Image.fromarray(coarse).resize((80, 72), Image.Resampling.BICUBIC))
    return made


def sweep_family(name: str, folder: Path, steps: Sequence[str] = (*STEPS, *METHODS)) -> dict[str, str]:
    """For each step "right", or in words why it was refused; for "auto" and "grad-cam" what they chose.

    Args:
        name: of the family.
        folder: an empty one.
        steps: which of them to take.

    Raises:
        Wrong: a result is wrong, or an error is not one of ours.
    """
    try:
        with _silence():
            save_checkpoint(name, folder)
    except ImportError as error:
        missing = str(error).split("requires the ")[-1].split()[0]
        return dict.fromkeys(steps, f"not swept: needs {missing}")
    found = {"predict": _attempt(name, "predict", lambda: _check_predict(folder))}
    if found["predict"] != "right":
        return dict.fromkeys(steps, found["predict"])
    checks: dict[str, Callable[[], str]] = {
        "reorder": lambda: _check_reorder(folder),
        "save and load": lambda: _check_saved(folder),
        "fork": lambda: _check_fork(folder),
        "embed": lambda: _check_embed(folder),
        "fit": lambda: _check_fit(folder),
        **{method: lambda method=method: _check_maps(folder, method) for method in METHODS},  # type: ignore[misc]
    }
    found |= {step: _attempt(name, step, checks[step]) for step in steps if step in checks}
    return {step: found[step] for step in steps if step in found}


def _attempt(name: str, step: str, check: Callable[[], str]) -> str:
    try:
        with _silence():
            return check()
    except XaiaugError as error:
        return f"refused: {error}"
    except Wrong as error:
        raise Wrong(f"{name}, {step}: {error}") from error
    except Exception as error:
        raise Wrong(f"{name}, {step}: raw {type(error).__name__}: {error}") from error


def _silence() -> warnings.catch_warnings:  # type: ignore[type-arg]
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return warnings.catch_warnings()


def _prepare(folder: Path, labels: tuple[str, ...] = LABELS) -> Any:
    classifier = load("classifier", "transformers", checkpoint=str(folder))
    classifier.prepare(Context(labels=labels, device="cpu"))
    return classifier


def _expect(condition: object, message: str) -> None:
    if not condition:
        raise Wrong(message)


def _expect_close(found: Any, expected: Any, message: str, tolerance: float = 1e-4) -> None:
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    _expect(found.shape == expected.shape, f"{message}: shape {found.shape}, expected {expected.shape}")
    off = float(np.abs(found - expected).max(initial=0)) / max(float(np.abs(expected).max(initial=0)), 1e-12)
    _expect(off <= tolerance, f"{message}: off by {off:.1e} of the largest value")


def _check_predict(folder: Path) -> str:
    """Twice the softmax of the family's own logits."""
    classifier, images = _prepare(folder), make_images()
    found = classifier.predict_proba(images)
    network = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        expected = compute_logits(network, pixels).softmax(-1)
    _expect_close(found, expected, "probabilities")
    _expect_close(classifier.predict_proba(images), found, "probabilities when asked again", 0)
    return "right"


def _check_reorder(folder: Path) -> str:
    images = make_images()
    expected = _prepare(folder).predict_proba(images)[:, ::-1]
    _expect_close(_prepare(folder, LABELS[::-1]).predict_proba(images), expected, "probabilities of labels in reverse")
    return "right"


def _check_saved(folder: Path) -> str:
    classifier, images = _prepare(folder, LABELS[::-1]), make_images()
    expected = classifier.predict_proba(images)
    with tempfile.TemporaryDirectory() as other:
        classifier.save(other)
        loaded = type(classifier).load(other)
    _expect(loaded.labels == LABELS[::-1], f"labels when loaded: {loaded.labels}")
    _expect_close(loaded.predict_proba(images), expected, "probabilities when loaded")
    return "right"


def _check_fork(folder: Path) -> str:
    """A copy, also of a network that has predicted and was explained."""
    classifier, images = _prepare(folder), make_images()
    expected = classifier.predict_proba(images)
    load("explainer", "integrated-gradients", steps=1).explain(classifier, images[:1], [0])
    _expect_close(classifier.fork().predict_proba(images), expected, "probabilities of a copy", 0)
    return "right"


def _check_embed(folder: Path) -> str:
    classifier, images = _prepare(folder), make_images()
    features = classifier.embed(images)
    _expect(features.ndim == 2 and len(features) == len(images), f"features of shape {features.shape}")
    _expect(np.isfinite(features).all() and np.ptp(features, axis=0).any(), "features that are equal or not finite")
    _expect_close(features[:1], classifier.embed(images[:1]), "features of an image alone", 1e-3)
    return "right"


def _check_fit(folder: Path) -> str:
    """Two steps after predicting change the weights, and what is predicted stays finite."""
    classifier, images = _prepare(folder), make_images(4)
    before = classifier.predict_proba(images)
    samples = [Sample(id=str(i), label=i % 2, opener=image.copy) for i, image in enumerate(images)]
    classifier.fit(samples, samples, recipe=Recipe(steps=2, batch_size=2), seed=0)
    after = classifier.predict_proba(images)
    _expect(np.isfinite(after).all(), "probabilities after training that are not finite")
    _expect(np.abs(after - before).max() > 0, "training changed nothing")
    return "right"


def _check_maps(folder: Path, method: str) -> str:
    """After predicting: the same map for an image alone, in a pair and again, and the laws of the method."""
    classifier, images, targets = _prepare(folder), make_images(), [0, 1, 1]
    before = classifier.predict_proba(images)
    explainer = load("explainer", method, **OPTIONS.get(method, {}))
    if method == "integrated-gradients":
        images, targets = images[:2], targets[:2]
    found = explainer.explain(classifier, images, targets)
    for image, target, each in zip(images, targets, found, strict=True):
        _expect(each.heatmap.shape == image.size[::-1], f"a heatmap of shape {each.heatmap.shape}")
        _expect(np.isfinite(each.grid).all(), "a grid that is not finite")
        (single,) = explainer.explain(classifier, [image], [target])
        # All maps are 0 where a probability of 1 does not fall.
        scale = max(float(np.abs(other.grid).max()) for other in found) or 1.0
        # At one of 64 points on the way, rounding may put a ReLU on its other side.
        tolerance = 1e-2 if method == "integrated-gradients" else 1e-3
        _expect_close(each.grid / scale, single.grid / scale, "the map of an image alone", tolerance)
    if method == "integrated-gradients":
        for each in found:
            share = abs(each.completeness_error) / max(float(np.abs(each.grid).sum()), 1e-12)
            _expect(share < 0.1, f"a sum that is off by {share:.0%} of the absolute sum")
    _expect_close(
        classifier.predict_proba(make_images())[: len(images)], before[: len(images)], "predicting afterwards"
    )
    if method == "auto":
        return found[0].method
    if method != "grad-cam":
        return "right"
    layer = _check_formula(classifier, images[0], targets[0], found[0].grid)
    return f"at `{layer}`"


def _check_formula(classifier: Any, image: Image.Image, target: int, grid: np.ndarray) -> str:
    """Grad-CAM by its formula, over the gradients of the whole network; the name of the layer."""
    network, pixels = classifier.module, classifier.preprocess([image]).pixels
    layer = find_layer("grad-cam", network, pixels)
    outputs: list[torch.Tensor] = []

    def keep(_: nn.Module, __: object, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    hook = network.get_submodule(layer.name).register_forward_hook(keep)
    # Two images: of one alone torch's batch norm may return wrong gradients.
    logits = compute_logits(network, pixels.repeat(2, 1, 1, 1))
    hook.remove()
    kept = {number: outputs[number] for number in layer.calls}
    gradients = torch.autograd.grad(logits[0, target], list(kept.values()))
    maps = [
        _weigh(layout, output, gradient)
        for (layout, output), gradient in zip(
            ((layer.calls[number], output) for number, output in kept.items()), gradients, strict=True
        )
    ]
    _expect_close(grid, torch.stack(maps).sum(0).relu().detach(), "the map by the formula", 1e-3)
    return layer.name


def _weigh(layout: Layout, output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    feature_map, gradient_map = layout.to_map(output)[0], layout.to_map(gradient)[0]
    return (gradient_map.mean((1, 2), keepdim=True) * feature_map).sum(0)


def make_table(results: dict[str, dict[str, str]]) -> str:
    """The results as a table in Markdown: a row for each family."""
    lines = [
        "| family | predict, reorder, save, load, fork, embed, fit | `auto` | attention methods | Grad-CAM"
        " | integrated gradients | occlusion, RISE |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, result in results.items():
        cells = [
            _join([result[step] for step in STEPS], STEPS),
            _shorten(result["auto"]),
            _join([result[method] for method in ATTENTION], ATTENTION),
            _shorten(result["grad-cam"]),
            _shorten(result["integrated-gradients"]),
            _join([result[method] for method in PREDICTIONS_ALONE], PREDICTIONS_ALONE),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def keep_rows(table: str, older: str) -> str:
    """The table, of a family that was not swept with its row of an older table, if any."""
    rows = {line.split(" | ")[0]: line for line in older.splitlines() if line.startswith("| ")}
    return "\n".join(
        rows.get(line.split(" | ")[0], line) if "not swept" in line else line for line in table.splitlines()
    )


def _join(outcomes: Sequence[str], names: Sequence[str]) -> str:
    """One outcome where all are the same; else each that is not right, with its name."""
    short = [_shorten(outcome) for outcome in outcomes]
    if len(set(short)) == 1:
        return short[0]
    return "; ".join(f"{name} {outcome}" for name, outcome in zip(names, short, strict=True) if outcome != "right")


def _shorten(outcome: str, most: int = 90) -> str:
    """The reason of a refusal, without who refused and what to use instead."""
    if not outcome.startswith("refused"):
        return outcome
    reason = outcome.partition(": ")[2]
    if " is not defined for " in reason:
        reason = reason.partition(" is not defined for ")[2]
    who, _, rest = reason.partition(": ")
    reason = re.sub(r"'/[^']*'", "it", (rest or who).split(";")[0])
    reason = reason if len(reason) <= most else reason[: most - 1] + "…"
    return f"refused: {reason}".replace("|", "/").replace("\n", " ")


def write_table(results: dict[str, dict[str, str]]) -> None:
    """Writes the table between its marks in the documentation."""
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARKS[0])
    older, _, after = rest.partition(MARKS[1])
    table = keep_rows(make_table(results), older)
    DOCS.write_text(f"{before}{MARKS[0]}\n\n{table}\n\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Sweeps, prints what it finds, and ends with 1 where something is wrong."""
    parser = create_parser(__doc__, quick="two families")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, metavar="NAME", default=list(FAMILIES))
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCS.name}; needs all families")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the networks are too small for more
    names = ["vit", "resnet"] if arguments.quick else arguments.families
    results, wrong = {}, []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                results[name] = sweep_family(name, Path(folder))
            except Wrong as error:
                wrong.append(str(error))
                print(f"WRONG {error}", flush=True)
                continue
        print(f"{name}: {results[name]}", flush=True)
    if arguments.write and not wrong and set(results) == set(FAMILIES):
        write_table(results)
    if arguments.json:
        write_json(arguments.json, {"results": results, "wrong": wrong, "machine": describe_machine()}, seeds=[7])
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
