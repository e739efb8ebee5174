"""The neighbour graph of a subject: built for it from the positions, or only watched.

`radius(5.0)` says what graph the model builds inside: symcheck builds the same one for x and g·x and tells errors on
one graph from those where an edge has crossed the cut-off. `edge_index=radius(5.0)` also hands it to the model, built
anew for g·x; `edge_index=radius(5.0, frozen)` builds it once from x, and claims declare it like any other input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.errors import ConfigError, DataError
from symcheck.grammar import parse_term

_PRIME = 2**61 - 1
_CELLS = 2**23  # distances at once
_NAMES = {"pos": ("pos", "positions", "coordinates", "coords", "R", "x"), "cell": ("cell",), "pbc": ("pbc",)}


@dataclass(frozen=True)
class Graph:
    """`radius(r)` or `knn(k)`: directed edges j → i, in the dtype that the model computes in.

    `edges` and `shifts` are the inputs that it fills: (2, E) sources and targets, and (E, 3) what is added to
    pos[target] − pos[source] where the edge leaves the cell.
    """

    kind: str
    number: float
    edges: str = ""
    shifts: str = ""
    frozen: bool = False
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Graph:
        """Read `[edge_index[+edge_shift]=]radius(5.0[, frozen][, pos=R])`; ConfigError with an example."""
        named = -1 < text.find("=") < text.find("(")
        head, _, body = text.partition("=") if named else ("", "", text)
        edges, _, shifts = (part.strip() for part in head.partition("+"))
        term = parse_term(body)
        options = dict(a.split("=", 1) for a in term.args if "=" in a)
        plain = [a for a in term.args if "=" not in a and a != "frozen"]
        frozen = "frozen" in term.args
        try:
            number = float(plain[0])
        except (IndexError, ValueError):
            number = 0.0
        known = term.name in ("radius", "knn") and len(plain) == 1 and options.keys() <= _NAMES.keys()
        if not (known and number > 0):
            raise ConfigError(
                f"'{text}' is no neighbour graph",
                where="graph",
                hint="write radius(5.0), knn(16) or edge_index=radius(5.0)",
            )
        if frozen and not edges:
            raise ConfigError(
                "a frozen graph needs a name under which the model takes it",
                where=f"graph = '{text}'",
                hint="write edge_index=radius(5.0, frozen)",
            )
        return cls(term.name, number, edges, shifts, frozen, options)

    def with_edges(self, batch: Batch) -> Batch:
        """The batch with the edges of its own positions; DataError where rows are not packed."""
        if not batch.packed:
            raise DataError(
                "a graph is built for packed rows with an owner index, but these inputs are dense",
                where=f"graph = '{self.edges}={self.kind}(...)'",
                hint="declare the owner index, batch=owner; a graph that is only watched needs none",
            )
        (source, target), shift = self.build(batch)
        added = {self.edges: torch.stack([source, target])}
        kinds = {self.edges: "edge_index"}
        if self.shifts:
            added[self.shifts], kinds[self.shifts] = shift, f"edge:{self.edges}"
        return Batch({**batch.tensors, **added}, batch.count, batch.owner, batch.sizes, {**batch.kinds, **kinds})

    def build(self, batch: Batch) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """All edges as packed row numbers, ordered by sample and target, and their (E, 3) shifts."""
        found = self._pairs(batch)
        firsts = found.sizes.cumsum(0) - found.sizes
        sample, image, target, source = found.near
        return (firsts[sample] + source, firsts[sample] + target), found.shift(sample, image)

    def key(self, batch: Batch, ranked: bool) -> Tensor:
        """One number for the graph of each sample, (count,) int64: equal graphs have equal ones.

        With `ranked` rows keep their places and edges are compared one by one; else nodes by their degrees.
        """
        found = self._pairs(batch)
        sample, image, target, source = found.near
        if ranked:
            offset = found.offsets[image].long() + 64
            places = ((offset @ offset.new_tensor([2**14, 2**7, 1][: offset.shape[1]])) << 40) + (target << 20) + source
        else:
            firsts = found.sizes.cumsum(0) - found.sizes
            places = torch.zeros(int(found.sizes.sum()), dtype=torch.int64, device=sample.device)
            places.index_add_(0, firsts[sample] + target, torch.ones_like(sample))
            sample = torch.repeat_interleave(torch.arange(batch.count, device=sample.device), found.sizes)
        mixed = (places + 1) * 0x9E3779B97F4A7C1 % _PRIME
        mixed = (mixed ^ (mixed >> 29)) * 0x1B873593 % _PRIME
        return torch.zeros(batch.count, dtype=torch.int64, device=sample.device).index_add_(0, sample, mixed)

    def input(self, role: str, names: Mapping[str, Tensor]) -> Tensor | None:
        """The positions, the cell or the periodicity among the inputs."""
        wanted = (self.names[role],) if role in self.names else _NAMES[role]
        found = next((name for name in wanted if name in names), None)
        if found is None and (role == "pos" or role in self.names):
            raise DataError(
                f"the graph needs {role}, but there is no input '{wanted[0]}'",
                where=f"inputs: {', '.join(names)}",
                hint=f"name it: {self.kind}({self.number:g}, {role}=NAME)",
            )
        return None if found is None else names[found]

    def _pairs(self, batch: Batch) -> _Pairs:
        tensors = batch.tensors
        pos, cell, pbc = (self.input(role, tensors) for role in ("pos", "cell", "pbc"))
        if pos is None or not pos.is_floating_point() or pos.shape[-1] not in ((3,) if cell is not None else (1, 2, 3)):
            raise DataError("positions must be rows of floats", where="graph", hint="name them: radius(5.0, pos=NAME)")
        if batch.owner is None or batch.sizes is None:
            padded = pos
            sizes = torch.full((batch.count,), pos.shape[1], device=pos.device)
        else:
            sizes = batch.sizes
            within = torch.arange(len(pos), device=pos.device) - (sizes.cumsum(0) - sizes)[batch.owner]
            padded = pos.new_full((batch.count, int(sizes.max()), pos.shape[1]), torch.nan)
            padded[batch.owner, within] = pos
        offsets, shifts, outside = self._shifts(padded, sizes, cell, pbc)
        middle = int(torch.nonzero((offsets == 0).all(1))[0])
        step = max(1, _CELLS // (len(offsets) * padded.shape[1] ** 2))
        near = []
        for first in range(0, batch.count, step):
            x, some = padded[first : first + step], slice(first, first + step)
            # d[b, m, i, j] = |x_j + shift_m − x_i|: j at the image m sends to i
            d = torch.linalg.vector_norm(x[:, None, None] + shifts[some, :, None, None] - x[:, None, :, None], dim=4)
            d = d.masked_fill(outside[some, :, None, None], torch.nan)
            d[:, middle].diagonal(dim1=1, dim2=2).fill_(torch.nan)
            found = torch.nonzero(self._near(d))
            near.append(found + found.new_tensor([first, 0, 0, 0]))
        return _Pairs(torch.cat(near).unbind(1), sizes, offsets, shifts)

    def _shifts(
        self, padded: Tensor, sizes: Tensor, cell: Tensor | None, pbc: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Integer offsets (m, d) of the images, what each adds to positions (b, m, d), which do not exist (b, m)."""
        count, dimension = len(padded), padded.shape[2]
        periodic = None if cell is None else _periodic(cell, pbc)
        if cell is None or periodic is None or not bool(periodic.any()):
            none = torch.zeros(count, 1, dtype=torch.bool, device=padded.device)
            return padded.new_zeros(1, dimension), padded.new_zeros(count, 1, dimension), none
        offsets = _images(cell, periodic, self._reach(sizes, cell)).to(padded)
        shifts = torch.einsum("md,bde->bme", offsets, cell.to(padded))
        return offsets, shifts, ((offsets[None] != 0) & ~periodic[:, None]).any(2)

    def _reach(self, sizes: Tensor, cell: Tensor) -> float:
        """How far images are looked for: the cut-off, or for nearest neighbours a sphere that surely holds them."""
        if self.kind == "radius":
            return self.number
        volume = torch.linalg.det(cell.double()).abs()
        return float((3 * (self.number + 1) * volume / sizes / (4 * torch.pi)).max() ** (1 / 3)) * 2

    def _near(self, d: Tensor) -> Tensor:
        if self.kind == "radius":
            return d <= self.number
        flat = d.transpose(1, 2).flatten(2).nan_to_num(nan=torch.inf)  # (b, i, m·j)
        nearest = flat.topk(min(int(self.number), flat.shape[2]), largest=False)
        chosen = torch.zeros_like(flat, dtype=torch.bool).scatter_(2, nearest.indices, nearest.values.isfinite())
        return chosen.reshape(len(d), d.shape[2], d.shape[1], d.shape[3]).transpose(1, 2)


@dataclass(frozen=True)
class _Pairs:
    """Edges as (sample, image, target, source), all within their sample; images by `offsets` and `shifts`."""

    near: tuple[Tensor, ...]
    sizes: Tensor
    offsets: Tensor
    shifts: Tensor

    def shift(self, sample: Tensor, image: Tensor) -> Tensor:
        """What is added to x_source − x_target; reported for x_target − x_source with the sign changed."""
        return -self.shifts[sample, image]


def _periodic(cell: Tensor, pbc: Tensor | None) -> Tensor:
    """(b, 3) along which axes each sample repeats: as `pbc` says, else where the cell has an extent."""
    extent = cell.abs().sum(2) > 0
    return extent if pbc is None else extent & pbc.reshape(len(cell), -1).bool()


def _images(cell: Tensor, periodic: Tensor, reach: float) -> Tensor:
    """The integer offsets (m, 3) of all images that may lie within `reach`, for all samples alike."""
    wide = torch.where(periodic[:, :, None], cell, 0.0).double()
    wide = wide + torch.diag_embed((~periodic).double())
    heights = 1 / torch.linalg.inv(wide).norm(dim=1)
    counts = torch.where(periodic, torch.ceil(reach / heights), 0.0).amax(0).long().tolist()
    axes = [torch.arange(-n, n + 1, device=cell.device) for n in counts]
    return torch.cartesian_prod(*axes)
