"""Segmenters of a few numbers, whose masks are known: an ONNX file and a checkpoint of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STEEP = 40.0


def save_red_model(
    file: Path,
    shape: Sequence[int | str] = (1, 3, 16, 16),
    *,
    answer: str = "mask",
    bias: float = -0.5 * STEEP,
    gain: float = STEEP,
) -> Path:
    """A model whose mask is the sigmoid of `gain` times the red channel plus `bias`: red things are the subject.

    Its second output are the logits; its third has no shape of a mask.

    Args:
        file: to write.
        shape: of the input, n c h w.
        answer: "mask", or "nan" for a division of 0 by 0 where the image is not red at all.
        bias: see above.
        gain: see above.
    """
    nodes = [
        helper.make_node("Slice", ["pixels", "zero", "one", "axis"], ["red"]),
        helper.make_node("Mul", ["red", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["sigmoid"]),
        helper.make_node("Div", ["red", "red"], ["ratio"]),
        helper.make_node("Mul", ["sigmoid", "ratio"], ["out"])
        if answer == "nan"
        else helper.make_node("Identity", ["sigmoid"], ["out"]),
        helper.make_node("ReduceMean", ["logits", "axis"], ["flat"], keepdims=0),
        helper.make_node("Squeeze", ["flat", "zero"], ["plane"]),
    ]
    tensors = {
        "zero": np.int64([0]),
        "one": np.int64([1]),
        "axis": np.int64([1]),
        "gain": np.float32(gain),
        "bias": np.float32(bias),
    }
    plane = [shape[0], 1, *shape[2:]]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, plane) for name in ("out", "logits")]
    outputs.append(helper.make_tensor_value_info("plane", TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, list(shape))],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(file))
    return file


def save_segformer(folder: Path) -> Path:
    """A SegFormer of a few random weights, with the classes wall, cat and dog; 32 pixels a side."""
    import torch
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    torch.manual_seed(0)
    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 8],
        patch_sizes=[3, 3],
        strides=[2, 2],
        num_attention_heads=[1, 1],
        mlp_ratios=[1, 1],
        decoder_hidden_size=8,
        id2label={0: "wall", 1: "cat", 2: "dog"},
        label2id={"wall": 0, "cat": 1, "dog": 2},
    )
    SegformerForSemanticSegmentation(config).eval().save_pretrained(folder)
    SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder
