"""The linear equations J_f(x) X_in x = X_out f(x), one row for each sample and number of an output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.discover.unknowns import Ask, Block, Slot, acting_on
from symcheck.measure.dual import Differential
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples

_PAIRS = 2**10  # pairs of a direction and a sample in one run, fewer where samples are large
_BYTES = 2**27


@dataclass(frozen=True)
class Equations:
    """Rows of the system: `inputs` (R, M) for the bases of all blocks, `outputs` (R, Q) for all free outputs.

    Row r belongs to sample `owner[r]`; every output counts alike: its rows are divided by its spread and their number.
    """

    inputs: Tensor
    outputs: Tensor
    owner: Tensor

    def of(self, samples: Tensor) -> Equations:
        """The rows of some samples, (n,)."""
        rows = torch.isin(self.owner, samples)
        return Equations(self.inputs[rows], self.outputs[rows], self.owner[rows])


def slots_of(runner: Runner, low: Runner, samples: Samples, ask: Ask) -> list[Slot]:
    """The real outputs, how each may move, and its spread; `trivial` where it is the same for every sample.

    The limit is what the lower of two precisions leaves of it.
    """
    batch = samples.take(torch.arange(samples.count, device=runner.device))
    values, rough = runner.kept(batch), low.kept(batch)
    found = []
    for name, y in values.items():
        if not y.is_floating_point():
            continue
        whole, width = y.double(), (y.shape[-1] if y.dim() > 1 else 1)
        spread = float((whole - whole.mean(0)).square().mean().sqrt())
        eps = torch.finfo(y.dtype).eps
        noise = 10 * float((rough[name].double() - whole).square().mean().sqrt()) if low is not runner else 0.0
        limit = max(noise, 100 * eps * float(whole.square().mean().sqrt()))
        acting = acting_on(width, tuple(y.shape[1:]), ask) if spread > limit else "trivial"
        found.append(Slot(name, width, acting, spread, y.numel()))
    return found


def equations(push: Differential, samples: Samples, blocks: Sequence[Block], slots: Sequence[Slot]) -> Equations:
    """All rows, in chunks of samples; on the CPU, float64."""
    device = push.runner.device
    alive = [slot for slot in slots if slot.acting != "trivial"]
    parts: dict[str, list[Equations]] = {slot.name: [] for slot in alive}
    for picks in torch.split(torch.arange(samples.count, device=device), _chunk(samples, blocks)):
        batch = samples.take(picks)
        values: Mapping[str, Tensor] = {}
        columns: dict[str, list[Tensor]] = {slot.name: [] for slot in alive}
        for block in blocks:
            values, found = _columns(push, samples, picks, batch, block, alive)
            for name, rows in found.items():
                columns[name].append(rows)
        for slot in alive:
            y = values[slot.name].reshape(-1, slot.width)
            owner = _owners(values[slot.name], batch, picks).repeat_interleave(slot.width)
            own = torch.cat(columns[slot.name], 1).cpu()
            parts[slot.name].append(Equations(own, following(y, slot, alive).cpu(), owner.cpu()))
    whole = [joined(parts[slot.name], slot) for slot in alive]
    return Equations(*(torch.cat([getattr(one, key) for one in whole]) for key in ("inputs", "outputs", "owner")))


def probe(
    samples: Samples, blocks: Sequence[Block], device: torch.device, seed: int
) -> tuple[Batch, dict[str, Tensor]]:
    """A few samples with one random change of all searched inputs, to try derivatives on."""
    batch = samples.take(torch.arange(min(samples.count, 16), device=device))
    generator = torch.Generator().manual_seed(seed)
    tangents = {}
    for block in blocks:
        matrix = torch.randn(block.width, block.width, dtype=torch.float64, generator=generator)
        for name in block.inputs:
            x = batch.tensors[name].double()
            shift = torch.randn(x.shape, dtype=torch.float64, generator=generator).to(x) * block.scale
            tangents[name] = x @ matrix.to(x) + shift
    return batch, tangents


def _columns(
    push: Differential, samples: Samples, picks: Tensor, batch: Batch, block: Block, slots: Sequence[Slot]
) -> tuple[Mapping[str, Tensor], dict[str, Tensor]]:
    """f(x), and J_f X x for the basis of a block by output, (rows, m): d products for one vector, else one each."""
    d, reach = block.width, block.width + block.affine
    lone = len(block.inputs) == 1 and samples.owner_name is None and batch.tensors[block.inputs[0]].dim() == 2
    directions = [(i, d) for i in range(d)] if lone else [(i, a) for a in range(reach) for i in range(d)]
    values: Mapping[str, Tensor] = {}
    pieces: dict[str, list[Tensor]] = {slot.name: [] for slot in slots}
    for some in _split(directions, max(1, _PAIRS // batch.count)):
        many = samples.take(picks.repeat(len(some))) if len(some) > 1 else batch
        tangents = {name: _moved(many, name, block, some, batch) for name in block.inputs}
        pushed = push(many, tangents)
        values = {name: y[: len(y) // len(some)].double() for name, y in pushed.outputs.items()}
        for slot in slots:
            pieces[slot.name].append(pushed.tangents[slot.name].double().reshape(len(some), -1))
    found = {name: torch.cat(rows).T for name, rows in pieces.items()}  # (rows, directions)
    basis = block.basis.to(push.runner.device)
    if lone:
        z = block.extended(batch.tensors[block.inputs[0]])  # (n, d + 1)
        found = {
            name: torch.einsum("rj,ra,kja->rk", rows / block.scale, z.repeat_interleave(len(rows) // len(z), 0), basis)
            for name, rows in found.items()
        }
    else:
        flat = basis[:, :, :reach].mT.reshape(len(basis), -1)  # (m, a and then i)
        found = {name: rows @ flat.T for name, rows in found.items()}
    return values, found


def _moved(many: Batch, name: str, block: Block, some: Sequence[tuple[int, int]], batch: Batch) -> Tensor:
    """e_i z_a for each of the directions (i, a), in the shape of the batch repeated once for each."""
    x = batch.tensors[name]
    z = block.extended(x)
    t = torch.zeros((len(some), *z.shape), dtype=torch.float64, device=x.device)[..., : block.width]
    for k, (i, a) in enumerate(some):
        t[k, :, i] = z[:, a]
    return t.reshape(many.tensors[name].shape)


def following(y: Tensor, slot: Slot, slots: Sequence[Slot]) -> Tensor:
    """−X_out f(x) for the unit matrices of all free outputs, (rows · width, Q), row-major."""
    columns = []
    for other in slots:
        if other.acting != "free":
            continue
        own = torch.zeros((len(y), slot.width, other.width, other.width), dtype=torch.float64, device=y.device)
        if other is slot:
            own.diagonal(dim1=1, dim2=2).copy_(-y[:, :, None].expand(-1, -1, slot.width))
        columns.append(own.reshape(len(y) * slot.width, -1))
    return torch.cat(columns, 1) if columns else y.new_zeros((y.numel(), 0))


def _owners(y: Tensor, batch: Batch, picks: Tensor) -> Tensor:
    """The sample of each row of `width` numbers of an output."""
    if batch.owner is not None and len(y) == len(batch.owner) and len(y) != batch.count:
        return picks[batch.owner].repeat_interleave(math.prod(y.shape[1:-1]))
    return picks.repeat_interleave(math.prod(y.shape[1:-1]))


def joined(parts: Sequence[Equations], slot: Slot) -> Equations:
    """The rows of one output from all chunks, divided by its spread and their number."""
    owner = torch.cat([part.owner for part in parts])
    weight = 1.0 / (slot.spread * math.sqrt(len(owner)))
    inputs, outputs = (torch.cat([getattr(part, key) for part in parts]) * weight for key in ("inputs", "outputs"))
    return replace(parts[0], inputs=inputs, outputs=outputs, owner=owner)


def _chunk(samples: Samples, blocks: Sequence[Block]) -> int:
    """Samples in one run."""
    total = sum(x.numel() * x.element_size() for x in samples.tensors.values())
    fewest = min(block.width for block in blocks)
    return max(1, min(samples.count, _PAIRS // fewest, _BYTES // max(1, total // samples.count) // fewest))


def _split(directions: Sequence[tuple[int, int]], size: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(directions), size):
        yield directions[start : start + size]
