"""How a batch reaches a subject: as arguments, as one dict, as one graph batch, or stacked by size."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.errors import DataError
from symcheck.importing import extra
from symcheck.subject import Subject, named_outputs

Call = Callable[..., Any]


def called(
    call: Call, takes: str, keywords: bool, inputs: Mapping[str, Tensor], batch: Batch, names: Sequence[str]
) -> dict[str, Tensor]:
    """The outputs of one forward pass by name; `inputs` are the tensors of `batch` as the subject wants them.

    `arguments`: by keyword or by position. `dict`: all tensors in one dict. `data`: one torch_geometric batch.
    `dense`: samples of one size at a time, stacked to (samples, size, ...), without the owner index; outputs with one
    entry for each row come back as packed rows.
    """
    if takes == "dense" and batch.packed:
        return _stacked(call, keywords, inputs, batch, list(names))
    if takes == "dict":
        result = call(dict(inputs))
    elif takes == "data":
        result = call(_graphs(inputs, batch))
    else:
        result = call(**inputs) if keywords else call(*inputs.values())
    return named_outputs(result, list(names))


def by_keyword(subject: Subject, names: list[str]) -> bool:
    """Whether to pass inputs by name; refuses names that the model has in another order."""
    target = subject.module.forward if subject.call is subject.module and subject.module is not None else subject.call
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return False
    open_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [p.name for p in parameters if p.kind in open_kinds]
    if all(name in known for name in names):
        only = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        return subject.castable or set(names) <= {*only}  # programs are called as they were exported
    moved = [name for i, name in enumerate(names) if name in known and known[i : i + 1] != [name]]
    if moved:
        raise DataError(
            f"the input '{moved[0]}' is a parameter of the model, but stands at another place",
            where=f"inputs: {', '.join(names)}; the model takes: {', '.join(known)}",
            hint="name every input after a parameter of the model, or give them in the model's order",
        )
    return False


def passed(takes: str, batch: Batch) -> list[str]:
    """The names of the inputs that reach the model one by one; none where they come as one object."""
    if takes in ("dict", "data"):
        return []
    return [n for n in batch.tensors if takes != "dense" or batch.kinds.get(n) != "owner"]


def _graphs(inputs: Mapping[str, Tensor], batch: Batch) -> Any:
    """A torch_geometric Batch of the samples: the owner index also as `batch`, the first rows as `ptr`."""
    if batch.owner is None or batch.sizes is None:
        raise DataError(
            "graphs are passed as packed rows with an owner index, but these inputs are dense",
            where="takes = 'data'",
            hint="declare the owner index: batch=owner",
        )
    start = torch.zeros(1, dtype=torch.int64, device=batch.owner.device)
    layout = {"batch": batch.owner, "ptr": torch.cat([start, batch.sizes.cumsum(0)])}
    made = extra("torch_geometric.data", "pyg").Batch(**{**inputs, **layout})
    made.num_nodes = len(batch.owner)
    return made


def _stacked(
    call: Call, keywords: bool, inputs: Mapping[str, Tensor], batch: Batch, names: list[str]
) -> dict[str, Tensor]:
    sizes, count = batch.sizes, batch.count
    if sizes is None or any(kind.startswith("edge") for kind in batch.kinds.values()):
        raise DataError(
            "graphs with edges cannot be stacked by size",
            where="takes = 'dense'",
            hint="give positions and features of nodes alone, or another way to take them",
        )
    firsts = sizes.cumsum(0) - sizes
    found: list[dict[str, Tensor]] = []
    order, lengths = [], []
    for size in torch.unique(sizes).tolist():
        mine = torch.nonzero(sizes == size).flatten()
        rows = firsts[mine, None] + torch.arange(size, device=sizes.device)
        stacked = {
            name: x[rows] if batch.kinds[name] == "row" else x[mine]
            for name, x in inputs.items()
            if batch.kinds[name] != "owner"
        }
        found.append(named_outputs(call(**stacked) if keywords else call(*stacked.values()), names))
        order.append((mine, rows.flatten()))
        lengths.append(size)
    return {name: _unstacked(name, [one[name] for one in found], order, lengths, count) for name in found[0]}


def _unstacked(
    name: str, parts: list[Tensor], order: list[tuple[Tensor, Tensor]], lengths: list[int], count: int
) -> Tensor:
    """One output of all sizes in the order of the batch; per row where its second axis is always the size."""
    if any(not y.dim() or len(y) != len(mine) for y, (mine, _) in zip(parts, order, strict=True)):
        raise DataError(
            f"output '{name}' has no leading sample axis",
            where=f"takes = 'dense', {count} samples stacked by size",
            hint="let the model return (samples, ...) or (samples, size, ...)",
        )
    per_row = all(y.dim() > 1 and y.shape[1] == size for y, size in zip(parts, lengths, strict=True))
    places = torch.cat([rows if per_row else mine for mine, rows in order])
    return torch.cat([y.flatten(0, 1) if per_row else y for y in parts])[places.argsort()]
