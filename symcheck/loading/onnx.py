"""ONNX graphs as subjects, run by onnxruntime, and their initialisers as a state dict.

A graph holds no code of its own: operators that onnxruntime does not know, and compiled ones, are refused.
"""

from __future__ import annotations

import hashlib
import inspect
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symcheck.errors import LoadError, ModelError
from symcheck.files import reason, sha256
from symcheck.importing import extra
from symcheck.subject import Source, Subject

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
_COMPILED = ("EPContext",)  # code for an accelerator, in the graph or in a file beside it
_DTYPES: Mapping[str, torch.dtype] = {
    "tensor(float)": torch.float32, "tensor(double)": torch.float64, "tensor(float16)": torch.float16,
    "tensor(int64)": torch.int64, "tensor(int32)": torch.int32, "tensor(int16)": torch.int16,
    "tensor(int8)": torch.int8, "tensor(uint8)": torch.uint8, "tensor(bool)": torch.bool,
}  # fmt: skip
_CUDA = "CUDAExecutionProvider"
_SHOWN = 5


@dataclass
class Program:
    """A graph that is called with tensors, by keyword or in its own order, and returns a dict of tensors.

    `inputs` and `outputs` give the graph's name for each identifier; `types` what each input takes.
    """

    data: bytes
    folder: Path
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, torch.dtype] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.KEYWORD_ONLY  # so that inputs go by name wherever they have the graph's names
        return inspect.Signature([inspect.Parameter(name, kind) for name in self.inputs])

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "sessions": {}}

    def session(self, device: str) -> Any:
        """The session of onnxruntime for a kind of device, made when first asked for."""
        if device not in self.sessions:
            self.sessions[device] = _session(self.data, self.folder, device)
        return self.sessions[device]

    def __call__(self, *given: Tensor, **named: Tensor) -> dict[str, Tensor]:
        """The outputs by name; floats and integers are cast to the types of the graph, where nothing is lost."""
        tensors = named or dict(zip(self.inputs, given, strict=False))
        if len(tensors) != len(self.inputs) or len(given) > len(self.inputs):
            raise ModelError(
                f"the graph takes {len(self.inputs)} inputs ({', '.join(self.inputs)})",
                where=f"called with {len(given) or len(named)}",
                hint="give an input for each of these names",
            )
        if any(x.requires_grad for x in tensors.values()):
            raise ModelError(
                "a graph of onnxruntime has no gradients",
                where="a derived output",
                hint="let the graph compute it: export the network with it as an output",
            )
        device = next((x.device for x in tensors.values()), torch.device("cpu"))
        arrays = {self.inputs[name]: self._fitting(name, x).cpu().numpy() for name, x in tensors.items()}
        found = self.session(device.type).run([*self.outputs.values()], arrays)
        return {name: torch.from_numpy(np.asarray(y)).to(device) for name, y in zip(self.outputs, found, strict=True)}

    def _fitting(self, name: str, x: Tensor) -> Tensor:
        """The tensor in the type that the graph takes; unchanged where that is of another kind: the runtime says so."""
        wanted = self.types[name]
        if wanted == x.dtype or wanted.is_floating_point != x.dtype.is_floating_point:
            return x
        cast = x.to(wanted)
        return cast if x.is_floating_point() or torch.equal(cast.to(x.dtype), x) else x


class OnnxModule(nn.Module):
    """A program with the precision in which it computes and the digest of its graph; the weights stay inside."""

    def __init__(self, program: Program, dtype: torch.dtype, digest: str) -> None:
        super().__init__()
        self.forward = program
        self.register_buffer("precision", torch.zeros((), dtype=dtype))
        self.register_buffer("digest", torch.tensor([*bytes.fromhex(digest)], dtype=torch.uint8))


def load_onnx(path: Path) -> Subject:
    """The subject in an ONNX file; inputs and outputs have the names of the graph, as identifiers.

    Raises LoadError: onnxruntime is missing, the file is damaged or of an unknown version, or needs other operators.
    """
    runtime = extra("onnxruntime", "onnx")
    data = path.read_bytes()
    beside = _check(path, _graph(path, data))
    program = Program(data, path.parent)
    try:
        session = program.session("cpu")
    except Exception as error:  # onnxruntime has a class of errors for every code
        raise LoadError(
            f"onnxruntime cannot load the graph: {reason(error)}",
            where=str(path),
            hint="export it again with an opset that the installed onnxruntime knows",
        ) from error
    files = {name: sha256(path.parent / name) for name in beside}
    notes = [f"weights lie in '{name}', sha256 {digest}" for name, digest in files.items()]
    if torch.cuda.is_available() and _CUDA not in runtime.get_available_providers():
        notes.append("this onnxruntime has no CUDA: the graph runs on the CPU, whatever the device")
    given, returned = session.get_inputs(), session.get_outputs()
    program.inputs = _identifiers([each.name for each in given])
    program.types = {name: _dtype(path, each) for name, each in zip(program.inputs, given, strict=True)}
    tensors = [each for each in returned if each.type in _DTYPES]
    if odd := [f"{each.name} ({each.type})" for each in returned if each.type not in _DTYPES]:
        notes.append(f"outputs that are no plain tensors are left alone: {', '.join(odd)}")
    if not tensors:
        raise LoadError("the graph returns no tensor", where=str(path), hint=f"it returns {odd or 'nothing'}")
    program.outputs = _identifiers([each.name for each in tensors])
    renamed = [f"{a} is {b}" for names in (program.inputs, program.outputs) for b, a in names.items() if a != b]
    notes += [f"names of the graph are written as identifiers: {', '.join(renamed)}"] if renamed else []
    batch, more = _batch([each.shape for each in given])
    types = [*program.types.values(), *(_DTYPES[each.type] for each in tensors)]
    dtype = next((t for t in types if t.is_floating_point), torch.float32)
    own = hashlib.sha256(data).hexdigest()
    whole = hashlib.sha256("".join([own, *files.values()]).encode()).hexdigest()
    module = OnnxModule(program, dtype, whole).eval()
    source = Source(str(path), own, "onnx")
    return Subject(
        path.stem, module, module=module, source=source, castable=False, fixed_batch=batch, notes=(*notes, *more)
    )


def onnx_weights(path: Path) -> dict[str, Tensor]:
    """The initialisers of a graph by name, those in files beside it too; LoadError when they cannot be read."""
    onnx = extra("onnx", "onnx")
    graph = _graph(path, path.read_bytes())
    _check(path, graph)
    try:
        onnx.load_external_data_for_model(graph, str(path.parent))
        arrays = {each.name: onnx.numpy_helper.to_array(each) for each in graph.graph.initializer}
        return {name: _tensor(array) for name, array in arrays.items()}
    except Exception as error:  # damage shows in many ways
        raise LoadError(
            f"the weights of the graph cannot be read: {reason(error)}", where=str(path), hint="copy the files again"
        ) from error


def _tensor(array: Any) -> Tensor:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def _graph(path: Path, data: bytes) -> Any:
    onnx = extra("onnx", "onnx")
    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # of protobuf, whose module may differ
        raise LoadError(
            f"the ONNX file is truncated or damaged: {reason(error)}", where=str(path), hint="copy or export it again"
        ) from error


def _check(path: Path, model: Any) -> list[str]:
    """The files beside the graph that hold its weights; LoadError unless they and its operators are harmless."""
    own = {function.domain for function in model.functions}
    bodies = [model.graph, *model.functions]
    nodes = [node for body in bodies for node in _nodes(body.node)]
    names = {(node.domain, node.op_type) for node in nodes}
    odd = sorted(f"{d}.{op}" for d, op in names if (d not in _DOMAINS and d not in own) or op in _COMPILED)
    if odd:
        shown = ", ".join(odd[:_SHOWN]) + (f" and {len(odd) - _SHOWN} more" if odd[_SHOWN:] else "")
        raise LoadError(
            f"the graph needs operators that are code of their own: {shown}",
            where=str(path),
            hint="export the network with standard operators, or give a .pt2 of it",
        )
    beside: set[str] = set()
    for tensor in _stored(model.graph, nodes):
        beside |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    for name in sorted(beside):
        target = (path.parent / name).resolve()
        if Path(name).is_absolute() or path.parent.resolve() not in target.parents or not target.is_file():
            raise LoadError(
                f"the graph takes weights from '{name}', which is no file in its folder",
                where=str(path),
                hint="copy the file of weights with the graph",
            )
    return sorted(beside)


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Every node, those in the branches of conditions and loops too."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _stored(graph: Any, nodes: Iterable[Any]) -> Iterator[Any]:
    """Every tensor that is stored in a graph, in its branches and as an attribute of a node."""
    yield from graph.initializer
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from inner.initializer


def _session(data: bytes, folder: Path, device: str) -> Any:
    runtime = extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder.resolve()))
    cuda = device == "cuda" and _CUDA in runtime.get_available_providers()
    first = [(_CUDA, {"use_tf32": "0"})] if cuda else []
    return runtime.InferenceSession(data, options, providers=[*first, "CPUExecutionProvider"])


def _dtype(path: Path, value: Any) -> torch.dtype:
    if value.type not in _DTYPES:
        raise LoadError(
            f"the input '{value.name}' is a {value.type}, which cannot be given",
            where=str(path),
            hint="export the network with inputs that are tensors of float16 to float64, integers or bool",
        )
    return _DTYPES[value.type]


def _identifiers(names: Iterable[str]) -> dict[str, str]:
    """An identifier for each name, with a number where two would be the same."""
    found: dict[str, str] = {}
    for name in names:
        text = re.sub(r"\W", "_", name, flags=re.ASCII)
        text = f"_{text}" if not text or text[0].isdigit() or keyword.iskeyword(text) else text
        count = 2
        unique = text
        while unique in found:
            unique, count = f"{text}_{count}", count + 1
        found[unique] = name
    return found


def _batch(shapes: Iterable[list[Any]]) -> tuple[int | None, list[str]]:
    """The leading size that all inputs share when none is symbolic."""
    leading = [shape[0] for shape in shapes if shape]
    if not leading or not all(isinstance(size, int) for size in leading):
        return None, []
    if len(set(leading)) == 1:
        return int(leading[0]), []
    return None, [f"the program takes only inputs of the leading sizes {', '.join(map(str, leading))}"]

