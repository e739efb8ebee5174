"""From a model and example inputs to a Network: one rule an operator; an unknown one pins what it reads."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export._tree_utils import reorder_kwargs
from torch.export.graph_signature import InputKind
from torch.utils._pytree import tree_leaves

from symcheck.errors import ModelError
from symcheck.weights.axes import pin
from symcheck.weights.export import export
from symcheck.weights.network import Network
from symcheck.weights.relations import Monomial, Value
from symcheck.weights.rules import RULES
from symcheck.weights.ties import ties

BUFFER_READERS = {"add", "sub", "mul", "div", "view", "unsqueeze", "reshape", "batch_norm"}
NORMS = {"_native_batch_norm_legit_no_training", "batch_norm", "native_batch_norm", "cudnn_batch_norm"}
CREATORS = {"zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"}
MOVERS = {
    "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "permute", "transpose", "expand", "clone",
    "flatten", "alias", "detach", "contiguous", "_to_copy", "to", "slice", "select", "narrow",
}  # fmt: skip
INDEX_READERS = {  # which argument is the index
    "index": 1, "index_select": 2, "embedding": 1, "gather": 2, "scatter": 2, "scatter_add": 2, "scatter_reduce": 2,
    "index_add": 2, "index_copy": 2, "one_hot": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Traced:
    """A network with its tensors by state_dict name, the ties between names, its outputs and a hash of its graph.

    `aside`: why a tensor is no weight that could be acted on.
    """

    network: Network
    parameters: Mapping[str, Value]
    shapes: Mapping[str, tuple[int, ...]]
    ties: Mapping[str, str]
    outputs: tuple[Value, ...]
    graph: str
    aside: Mapping[str, str]


def trace(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Traced:
    """Export the model and write every operator down in the primitives of a Network."""
    program = export(model, args, kwargs or {})
    tracer = _Tracer(model, program, args, kwargs or {})
    for node in program.graph.nodes:
        tracer.visit(node)
    outputs = tuple(v for v in _flat(tracer.result) if isinstance(v, Value))
    for value in outputs:
        tracer.net.pin(value, "an output has it")
        tracer.net.freeze(value)
    digest = hashlib.sha256("\n".join(f"{n.target} {n.args}" for n in program.graph.nodes).encode()).hexdigest()
    return Traced(tracer.net, tracer.parameters, tracer.shapes, tracer.ties, outputs, digest, tracer.aside)


class _Tracer:
    """Walks the graph; nodes that no weight enters are computed, the others go through their rules."""

    def __init__(
        self, model: nn.Module, program: torch.export.ExportedProgram, args: Sequence[Any], kwargs: Mapping[str, Any]
    ):
        self.net = Network()
        self.env: dict[str, Any] = {}
        self.result: Any = ()
        self.parameters: dict[str, Value] = {}
        self.program = program
        self.state = dict(model.state_dict(keep_vars=True))
        self.shapes = {name: tuple(t.shape) for name, t in self.state.items()}
        self.ties, self.shared = ties(self.state)
        self.aside: dict[str, str] = {}
        signature = program.graph_signature
        self.weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.constants = dict(signature.inputs_to_lifted_tensor_constants)
        flat = tree_leaves((tuple(args), reorder_kwargs(dict(kwargs), program.call_spec.in_spec)))
        given = [spec.arg.name for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
        self.inputs = dict(zip(given, flat, strict=True))

    def visit(self, node: torch.fx.Node) -> None:
        """One node of the graph."""
        if node.op == "placeholder":
            self.env[node.name] = self._placeholder(node)
        elif node.op == "output":
            wanted = set(self.program.graph_signature.user_outputs)
            nodes = [n for n in _flat(node.args) if isinstance(n, torch.fx.Node) and n.name in wanted]
            self.result = self._resolve(nodes)
        elif node.op == "call_function":
            self._call(node)
        elif node.op == "get_attr":
            self.env[node.name] = self.net.given(getattr(self.program.graph_module, str(node.target)), True)

    def _placeholder(self, node: torch.fx.Node) -> Any:
        if node.name in self.weights:
            name = self.weights[node.name]
            tensor = self.state.get(name)
            if reason := self._aside(node, name, tensor):
                self.aside[name] = reason
                held = tensor if tensor is not None else _buffer(self.program, name)
                return self.net.given(held.detach(), True, name)
            name = self.ties.get(name, name)
            if name not in self.parameters and tensor is not None:
                self.net.where = name
                made = self.net.value([_axis(n) for n in tensor.shape], name=name, parameter=True)
                self.parameters[name] = made
            return self.parameters[name]
        if node.name in self.constants:
            return self.net.given(self.program.constants[self.constants[node.name]].detach(), True)
        given = self.inputs.get(node.name)
        if not isinstance(given, Tensor):
            return given
        value = self.net.given(given, False, node.name)
        self.net.pin(value, "an input has it")
        return value

    def _aside(self, node: torch.fx.Node, name: str, tensor: Tensor | None) -> str:
        """Why a tensor is no weight that could be acted on; empty if it is one."""
        if tensor is None:
            return "it is not in the state dict"
        if not node.users or not tensor.numel():
            return "nothing reads it" if tensor.numel() else "it is empty"
        if name in self.shared:
            return f"it shares memory with {self.shared[name]}, seen in another way"
        if not tensor.is_floating_point():
            return f"it holds {str(tensor.dtype).removeprefix('torch.')}"
        return "" if self._is_parameter(node, name) else "the graph does not read it as a weight"

    def _is_parameter(self, node: torch.fx.Node, name: str) -> bool:
        """Parameters, and the buffers that play one's part: running statistics and vectors added or multiplied."""
        if node.name in self.program.graph_signature.inputs_to_parameters:
            return True
        readers = {_name(user) for user in node.users}
        if readers & NORMS:
            return True
        return len(self.shapes[name]) == 1 and bool(readers) and readers <= BUFFER_READERS

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return self.env[argument.name]
        if isinstance(argument, list | tuple):
            return [self._resolve(item) for item in argument]
        return argument

    def _call(self, node: torch.fx.Node) -> None:
        args, kwargs = self._resolve(list(node.args)), {k: self._resolve(v) for k, v in node.kwargs.items()}
        values = [v for v in _flat([args, list(kwargs.values())]) if isinstance(v, Value)]
        if node.target is operator.getitem:
            self.env[node.name] = args[0][args[1]] if isinstance(args[0], list) else args[0]
            return
        net, name = self.net, _name(node)
        if name in CREATORS:
            self.env[node.name] = self._compute(node, [_blank(node), *args[1:]], kwargs, True)
            return
        if all(v.data is not None for v in values):
            self.env[node.name] = self._compute(node, args, kwargs, all(v.constant for v in values))
            return
        meta = node.meta.get("val")
        first = meta[0] if isinstance(meta, list | tuple) else meta
        net.operator, net.where = name, _where(node)
        net.shape = _shape(first) if isinstance(first, Tensor) else ()
        net.reads = _reads(node)
        net.summed = bool(node.users) and all(_name(user) in ("mean", "sum") for user in node.users)
        before = len(net.relations)
        read = _flat(args[INDEX_READERS[name]]) if name in INDEX_READERS else []
        for value in values:
            if value.indexes is not None and name not in MOVERS and value not in read:
                pin(value.indexes, "an index of it is used as a number")
        try:
            made = RULES[name](net, *args, **kwargs)
            _check(made, meta)
        except Exception as error:
            del net.relations[before:]
            made = self._unknown(name, values, meta, error)
        if name in MOVERS and isinstance(made, Value) and isinstance(args[0], Value):
            made.indexes = args[0].indexes
        self.env[node.name] = made

    def _compute(self, node: torch.fx.Node, args: Any, kwargs: Any, constant: bool) -> Any:
        """What no weight enters is computed once."""
        with torch.no_grad():
            result = node.target(*_unwrap(args), **_unwrap(kwargs))  # type: ignore[operator]
        if "empty" in _name(node):
            result = torch.zeros_like(result)

        def wrap(item: Any) -> Any:
            if isinstance(item, Tensor):
                return self.net.given(item, constant)
            return [wrap(v) for v in item] if isinstance(item, list | tuple) else item

        return wrap(result)

    def _unknown(self, name: str, values: list[Value], meta: Any, error: Exception) -> Any:
        """Pin whatever an operator without a rule reads, and what it writes."""
        why = f"no rule for {name}" if isinstance(error, KeyError) and name not in RULES else f"{name}: {error}"
        self.net.unknown.setdefault(why, []).append(self.net.where)
        for value in values:
            self.net.pin(value, why)
            self.net.freeze(value)

        def opaque(item: Any) -> Any:
            if isinstance(item, list | tuple):
                return [opaque(v) for v in item]
            if not isinstance(item, Tensor):
                return item
            value = self.net.value([_axis(n) for n in _shape(item)])
            self.net.pin(value, why)
            self.net.freeze(value)
            return value

        return opaque(meta)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    if all(isinstance(n, int) for n in tensor.shape):
        return tuple(tensor.shape)
    raise ModelError(
        f"the size of a tensor depends on the data: {tuple(map(str, tensor.shape))}",
        where="the exported graph",
        hint="use torch.where or a product with the mask, or wrap the part whose shapes are fixed",
    )


def _axis(size: int) -> Any:
    from symcheck.weights.axes import Axis

    return Axis(size)


def _name(node: torch.fx.Node) -> str:
    """The operator's name without namespace and overload."""
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[-1] if schema is not None else getattr(node.target, "__name__", str(node.target))


def _where(node: torch.fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _blank(node: torch.fx.Node) -> Tensor:
    """Zeros of the shape and dtype of the first argument, for an operator that reads no more of it."""
    like = node.args[0].meta["val"]  # type: ignore[union-attr]
    return torch.zeros(_shape(like), dtype=like.dtype)


def _reads(node: torch.fx.Node) -> int:
    read = [user.args[1] for user in node.users if user.target is operator.getitem and user.users]
    return 1 + max((i for i in read if isinstance(i, int)), default=0)


def _check(made: Any, meta: Any) -> None:
    """A rule that gives another shape than the operator is no rule for it."""
    first, want = (made[0], meta[0]) if isinstance(made, list) and isinstance(meta, list | tuple) else (made, meta)
    if isinstance(first, Value) and isinstance(want, Tensor) and first.shape != _shape(want):
        raise ValueError(f"its rule gives {first.shape}, not {_shape(want)}")


def _flat(item: Any) -> list[Any]:
    if isinstance(item, list | tuple):
        return [v for part in item for v in _flat(part)]
    if isinstance(item, Mapping):
        return [v for part in item.values() for v in _flat(part)]
    return [item]


def _unwrap(item: Any) -> Any:
    if isinstance(item, Value):
        return item.data
    if isinstance(item, list):
        return [_unwrap(v) for v in item]
    return {k: _unwrap(v) for k, v in item.items()} if isinstance(item, dict) else item


def _buffer(program: torch.export.ExportedProgram, name: str) -> Tensor:
    held = program.constants.get(name, program.state_dict.get(name))
    if not isinstance(held, Tensor):
        raise ModelError(f"the buffer {name!r} has no value", where="the graph", hint="register it as a buffer")
    return held


__all__ = ["Monomial", "Traced", "export", "pin", "trace"]
