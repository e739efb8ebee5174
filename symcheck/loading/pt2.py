"""Exported programs (.pt2) as modules: loaded from the bytes that were checked, with their batch size."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from symcheck.errors import LoadError
from symcheck.loading.pt2_check import check_exported


class ExportedModule(nn.Module):
    """An exported program as a module; its mode is baked in, so that train() and eval() do nothing."""

    def __init__(self, program: nn.Module, call_names: tuple[str, ...]) -> None:
        """`call_names` are the keyword arguments that follow the positional ones."""
        super().__init__()
        self.program = program
        self.call_names = call_names

    def forward(self, *inputs: Any) -> Any:
        """The program's outputs; the last inputs are passed by keyword where the program was exported so."""
        split = len(inputs) - len(self.call_names)
        named = dict(zip(self.call_names, inputs[split:], strict=True)) if split >= 0 else {}
        return self.program(*inputs[: max(split, 0)], **named)

    def train(self, mode: bool = True) -> ExportedModule:
        """Nothing: an exported program cannot change its mode."""
        return self


def load_exported(path: Path, data: bytes) -> tuple[ExportedModule, int | None, list[str]]:
    """The program in a .pt2, the only batch size that it takes (None: any), and notes.

    Raises LoadError when a payload needs unrestricted unpickling, a symbolic size or guard is more than
    arithmetic, an operator is no torch operator, or the archive holds native code.
    """
    check_exported(path, data)
    try:
        program = torch.export.load(io.BytesIO(data))
        module = program.module()
    except Exception as error:  # the deserialiser raises nearly anything on a file of another version
        raise LoadError(
            f"torch {torch.__version__} cannot load the exported program: {type(error).__name__}: {error}",
            where=str(path),
            hint="export it again with the installed version of torch",
        ) from error
    batch, notes = _batch(program)
    return ExportedModule(module, _call_names(program)), batch, notes


def _batch(program: torch.export.ExportedProgram) -> tuple[int | None, list[str]]:
    """The leading size that all inputs share when none is symbolic."""
    wanted = set(program.graph_signature.user_inputs)
    shapes = [
        node.meta["val"].shape
        for node in program.graph.find_nodes(op="placeholder")
        if node.name in wanted and isinstance(node.meta.get("val"), torch.Tensor) and node.meta["val"].dim()
    ]
    leading = [shape[0] for shape in shapes]
    if not leading or not all(isinstance(size, int) for size in leading):  # a symbolic size takes any batch
        return None, []
    if len(set(leading)) == 1:
        return int(leading[0]), []
    return None, [f"the program takes only inputs of the leading sizes {', '.join(map(str, leading))}"]


def _call_names(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """The names of the inputs that the program takes by keyword."""
    spec = program.call_spec.in_spec
    if spec is None or spec.num_children != 2:
        return ()
    return tuple(str(name) for name in spec.child(1).context or ())
