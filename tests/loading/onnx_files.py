"""Small ONNX graphs, made with the onnx package; those that import this have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
WEIGHT = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
BIAS = np.random.default_rng(1).normal(size=4).astype(np.float32)


def tensor(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[Any] = ("batch", 3)) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def saved(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **more: Any) -> Path:
    """A model of these nodes; `weights` are initialisers by name, `domains` other operator sets."""
    stored = [numpy_helper.from_array(array, name) for name, array in more.get("weights", {}).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializer=stored)
    sets = [helper.make_opsetid(domain, 1) for domain in more.get("domains", ())]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET), *sets])
    model.ir_version = 8
    onnx.save_model(model, str(path), **more.get("how", {}))
    return path


def linear(path: Path, *, batch: Any = "batch", kind: int = TensorProto.FLOAT, **more: Any) -> Path:
    """tanh(x W + b) as the output `logits.1` of the input `input.1`."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [
        helper.make_node("Gemm", ["input.1", "net.weight", "net.bias"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["logits.1"]),
    ]
    weights = {"net.weight": WEIGHT.astype(dtype), "net.bias": BIAS.astype(dtype)}
    return saved(
        path, nodes, [tensor("input.1", kind, (batch, 3))], [tensor("logits.1", kind, (batch, 4))],
        weights=weights, **more,
    )  # fmt: skip


def expected(x: Any) -> Any:
    """What `linear` computes, in float64."""
    return np.tanh(np.asarray(x, np.float64) @ WEIGHT.astype(np.float64) + BIAS.astype(np.float64))


def external(path: Path, location: str = "weights.data") -> Path:
    """The same with its weights in a file beside it."""
    how = {"save_as_external_data": True, "location": location, "size_threshold": 0}
    return linear(path, how=how)
