"""ONNX models of a few numbers, whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GAIN = np.float32([[3, -2, 5], [-1, 4, -6]])  # k c


def save_model(
    file: Path,
    shape: Sequence[int | str] = ("n", 3, 8, 8),
    *,
    kind: int = TensorProto.FLOAT,
    gain: np.ndarray = GAIN,
    softmax: bool = False,
    metadata: dict[str, str] | None = None,
    second_output: bool = False,
    external: bool = False,
) -> Path:
    """A model whose logits are `gain` times the mean of each channel, less 1."""
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)
    nodes = [helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0))
    nodes.append(helper.make_node("Gemm", ["means", "gain", "bias"], ["scores"], transB=1))
    nodes.append(helper.make_node("Softmax" if softmax else "Identity", ["scores"], ["out"]))
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [shape[0], len(gain)])]
    if second_output:
        outputs.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], len(gain)]))
    tensors = {
        "axes": np.int64([1, 2] if last else [2, 3]),
        "gain": np.float32(gain),
        "bias": -np.ones(len(gain), np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", kind, list(shape))],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for name, value in (metadata or {}).items():
        model.metadata_props.add(key=name, value=value)
    options: dict[str, Any] = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 53}
    onnx.save(model, str(file), **(options if external else {}))
    return file
