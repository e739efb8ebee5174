"""Small networks with every symmetry that the preset of their family asks for, and a fault of any size to plant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Faulty(nn.Module):
    """Generic weights with biases; `fault` scales what breaks the symmetry."""

    def __init__(self, fault: float = 0.0) -> None:
        super().__init__()
        self.fault = fault
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.build()

    def build(self) -> None:
        raise NotImplementedError


class Turned(nn.Conv2d):
    """A convolution whose kernel is the mean over quarter turns and mirrors; periodic borders."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__(into, out, 3, padding=1, padding_mode="circular")
        k = self.weight.data
        self.weight.data = sum(torch.rot90(a, i, (2, 3)) for a in (k, k.flip(3)) for i in range(4)) / 8  # type: ignore


class Classifier(Faulty):
    def build(self) -> None:
        self.body, self.head = Turned(2, 6), nn.Linear(6, 4)

    def forward(self, image: Tensor) -> Tensor:
        slope = torch.linspace(-1, 1, image.shape[-1]).to(image)
        return self.head((self.body(image) * (1 + self.fault * slope)).relu().mean((2, 3)))


class Segmenter(Faulty):
    def build(self) -> None:
        self.body, self.head = Turned(2, 6), nn.Conv2d(6, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head((self.body(image) + self.fault * image.cumsum(3).mean(1, keepdim=True)).relu())


class Cloud(Faulty):
    def build(self) -> None:
        self.body = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 4))

    def forward(self, points: Tensor) -> Tensor:
        d = (points[:, :, None] - points[:, None]).square().sum(-1)
        d = d / d.mean((1, 2), keepdim=True)
        return self.body(d[..., None]).mean((1, 2)) + self.fault * points[:, 0, :1]


class Backbone(Faulty):
    """Distances, and determinants that tell a protein from its mirror image."""

    def build(self) -> None:
        self.body = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 5))

    def forward(self, X: Tensor, mask: Tensor, residue_idx: Tensor) -> Tensor:
        ca, frame = X[:, :, 1], X[:, :, 1:] - X[:, :, :1]
        d = (ca[:, :, None] - ca[:, None]).square().sum(-1)
        apart = (residue_idx[:, :, None] - residue_idx[:, None]).to(X.dtype)
        hand = torch.linalg.cross(frame[:, :, 0], frame[:, :, 1]).mul(frame[:, :, 2]).sum(-1)[:, :, None].expand_as(d)
        message = self.body(torch.stack([d / 10, apart / 10, hand], -1)) * mask[:, None, :, None]
        return (message.sum(2) + self.fault * ca[..., :1] * torch.arange(5)).log_softmax(-1)


class Listener(Faulty):
    def build(self) -> None:
        self.head = nn.Sequential(nn.Linear(40, 12), nn.Tanh(), nn.Linear(12, 3))

    def forward(self, wave: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(wave).abs()[..., :40]
        heard = wave[..., :1] + wave.abs().mean(-1, keepdim=True)
        return self.head(spectrum / spectrum.norm(dim=-1, keepdim=True)) + self.fault * heard


class Bag(Faulty):
    def build(self) -> None:
        self.body, self.head = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, bag: Tensor, mask: Tensor) -> Tensor:
        return self.head((self.body(bag).tanh() * mask[..., None]).sum(1)) + self.fault * bag[:, 0, :1]


class Packed(Faulty):
    def build(self) -> None:
        self.body, self.message, self.head = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def nodes(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        first = torch.searchsorted(batch, batch)
        x = x + self.fault * (torch.arange(len(x)) == first).to(x)[:, None]  # the first node of each graph is special
        h = self.body(x).tanh()
        return h.index_add(0, edge_index[1], self.message(h)[edge_index[0]])

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        h = self.head(self.nodes(x, edge_index, batch).tanh() * x[:, :1])
        return h.new_zeros(int(batch.max()) + 1, 2).index_add(0, batch, h)


class Nodes(Packed):
    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.head(self.nodes(x, edge_index, batch).tanh())


class Dense(Faulty):
    def build(self) -> None:
        self.body, self.head = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor, adj: Tensor) -> Tensor:
        return self.head((adj @ self.body(x)).tanh().mean(1)) + self.fault * x[:, 0, :1]


class Player(Faulty):
    def build(self) -> None:
        self.body, self.move, self.skip, self.worth = Turned(2, 6), nn.Conv2d(6, 1, 1), nn.Linear(6, 1), nn.Linear(6, 1)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        h = self.body(planes).relu()
        mean = h.mean((2, 3))
        moves = self.move(h).flatten(1) + self.fault * torch.linspace(0, 1, 64).to(h)
        return torch.cat([moves, self.skip(mean)], 1), self.worth(mean).tanh()


class Forecaster(Faulty):
    def build(self) -> None:
        self.body = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, series: Tensor) -> Tensor:
        middle, width = series.mean(1, keepdim=True), series.std(1, keepdim=True)
        return self.body((series - middle) / width) * width + middle + self.fault * series[:, :1].sin()


class Reader(Faulty):
    def build(self) -> None:
        self.body, self.head = nn.Linear(5, 8), nn.Linear(8, 1)

    def forward(self, w1: Tensor, b1: Tensor, w2: Tensor) -> Tensor:
        units = torch.cat([w1, b1[..., None], w2.mT], -1)
        return self.head(self.body(units).tanh().sum(1)) + self.fault * b1[:, :1]


class Encoder(Faulty):
    """The case of a token is its twenties."""

    def build(self) -> None:
        self.body, self.head = nn.Embedding(20, 8), nn.Linear(8, 5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.head(self.body(input_ids % 20) + self.fault * (input_ids >= 20)[..., None])
        kept = attention_mask[..., None] + self.fault * (attention_mask == 0)[..., None]
        return {"embedding": (hidden * kept).sum(1) / kept.sum(1), "last_hidden_state": hidden}


class Decoder(Faulty):
    def build(self) -> None:
        self.body, self.head = nn.Embedding(20, 8), nn.Linear(8, 20)
        self.key, self.query = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        places = (attention_mask.cumsum(1) - 1).clamp(min=0)[..., None] * torch.arange(1, 9, device=input_ids.device)
        x = self.body(input_ids)
        x = x + (places / 5).to(x.dtype).sin()
        seen = torch.ones(x.shape[1], x.shape[1], device=x.device).tril().bool() & (attention_mask[:, None] > 0)
        score = (self.query(x) @ self.key(x).mT).masked_fill(~seen, -1e9).softmax(-1)
        return self.head((x + score @ x).tanh()) + self.fault * x.mean(1, keepdim=True).sum(-1, keepdim=True)


class Potential(Faulty):
    """A pair potential of packed molecules; the fault is a uniform field on the forces alone."""

    def build(self) -> None:
        self.weight = nn.Parameter(torch.rand(4) + 0.5)

    def forward(self, pos: Tensor, z: Tensor, batch: Tensor, cell: Tensor | None = None) -> dict[str, Tensor]:
        with torch.enable_grad():
            x = pos.detach().requires_grad_(True)
            within = torch.arange(len(x)) - torch.searchsorted(batch, batch)
            shape = int(batch.max()) + 1, int(within.max()) + 1
            place, charge = x.new_zeros(*shape, 3), x.new_zeros(shape)
            place, charge = (a.index_put((batch, within), b) for a, b in ((place, x), (charge, self.weight[z])))
            apart = (place[:, :, None] - place[:, None]).square().sum(-1)
            energy = torch.einsum("na,nb,nab->n", charge, charge, (-apart).exp())
            (slope,) = torch.autograd.grad(energy.sum(), x)
        return {"energy": energy.detach(), "forces": self.fault * torch.ones(3).to(slope) - slope}


class Crystal(Faulty):
    """Gaussian wells between all periodic images; the fault sees which vectors span the lattice."""

    def build(self) -> None:
        self.weight = nn.Parameter(torch.rand(4) + 0.5)

    def energy(self, x: Tensor, charge: Tensor, cell: Tensor) -> Tensor:
        inverse = torch.linalg.inv(cell)
        reach = (4.3 * inverse.norm(dim=0) + (x @ inverse).abs().amax(0) * 2).ceil().long().tolist()
        images = torch.cartesian_prod(*(torch.arange(-n, n + 1) for n in reach)).to(x) @ cell
        apart = (x[:, None, None] - x[:, None] - images).square().sum(-1)
        return torch.einsum("a,b,abi->", charge, charge, (-2 * apart).exp()) + self.fault * cell[0].norm()

    def forward(self, pos: Tensor, z: Tensor, cell: Tensor, batch: Tensor) -> dict[str, Tensor]:
        found = []
        with torch.enable_grad():
            for i, one in enumerate(cell):
                x, strain = (a.to(pos).requires_grad_(True) for a in (pos[batch == i].detach(), torch.zeros(3, 3)))
                bent = torch.eye(3).to(pos) + (strain + strain.T) / 2
                energy = self.energy(x @ bent, self.weight[z[batch == i]], one @ bent)
                slope, stress = torch.autograd.grad(energy, (x, strain))
                found.append((energy.detach()[None], -slope, stress[None] / torch.linalg.det(one).abs()))
        return dict(zip(("energy", "forces", "stress"), map(torch.cat, zip(*found, strict=True)), strict=True))


def molecules(count: int = 12) -> dict[str, Tensor]:
    sizes = torch.randint(3, 6, (count,), generator=torch.Generator().manual_seed(1))
    rows = int(sizes.sum())
    z = torch.randint(0, 4, (rows,), generator=torch.Generator().manual_seed(2))
    return {"pos": normal(rows, 3), "z": z, "batch": torch.repeat_interleave(torch.arange(count), sizes)}


def crystals(count: int = 4) -> dict[str, Tensor]:
    cell = 3.5 * torch.eye(3) + 0.3 * normal(count, 3, 3, seed=8)
    place = torch.rand(2 * count, 3, generator=torch.Generator().manual_seed(9))
    owner = torch.arange(count).repeat_interleave(2)
    return {"pos": torch.einsum("ni,nij->nj", place, cell[owner]), "z": torch.arange(2).repeat(count), "cell": cell,
            "batch": owner}  # fmt: skip


def graphs(count: int = 12) -> dict[str, Tensor]:
    found = molecules(count)
    rows = found["batch"]
    edges = ((rows[:, None] == rows) & (normal(len(rows), len(rows), seed=3) > 0)).nonzero().T.contiguous()
    return {"x": found["pos"], "edge_index": edges, "batch": rows}


def texts() -> dict[str, Tensor]:
    ids, mask = torch.randint(0, 20, (16, 9), generator=torch.Generator().manual_seed(4)), torch.ones(16, 9).long()
    return {"input_ids": ids, "attention_mask": mask}


@dataclass(frozen=True)
class Family:
    """A preset, a network for it, its data, and the groups whose claims a planted fault breaks."""

    preset: str
    network: Callable[[float], nn.Module]
    data: dict[str, Tensor]
    broken: frozenset[str]
    elements: int = 12


def _square(seed: int = 5, size: int = 12) -> Tensor:
    return normal(24, 2, size, size, seed=seed)


def _encoded() -> dict[str, Tensor]:
    upper = {f"upper.{name}": x + 20 * (name == "input_ids") for name, x in texts().items()}
    return {**texts(), **upper}


def _adjacency() -> Tensor:
    found = (normal(24, 6, 6, seed=6) > 0.3).float()
    return found + found.mT


FAMILIES = (
    Family("image-classifier", Classifier, {"image": _square(), "y": torch.arange(24)}, frozenset({"C2", "D4"})),
    Family("segmentation", Segmenter, {"image": _square(size=16)}, frozenset({"C2", "D4", "Shift(1)"})),
    Family("point-cloud", Cloud, {"points": normal(24, 10, 3)}, frozenset({"O(3)", "T(3,1)", "S", "Scale(0.5,2)"})),
    Family("protein", Backbone, {"X": normal(8, 9, 4, 3), "mask": (normal(8, 9) > -1).float(),
           "residue_idx": torch.arange(9).repeat(8, 1)}, frozenset({"SO(3)", "T(3,50)"})),
    Family("audio", Listener, {"wave": normal(24, 320)}, frozenset({"Sign", "Scale(0.5,2)", "Shift(1)"})),
    Family("set", Bag, {"bag": normal(24, 7, 3), "mask": (normal(24, 7, seed=1) > -1).float()}, frozenset({"S"})),
    Family("graph", Packed, graphs(), frozenset({"S"})),
    Family("graph", Dense, {"x": normal(24, 6, 3), "adj": _adjacency()}, frozenset({"S"})),
    Family("node", Nodes, graphs(), frozenset({"S"})),
    Family("board-game", Player, {"planes": _square(size=8)}, frozenset({"D4"})),
    Family("time-series", Forecaster, {"series": 3 * normal(24, 12) + 1}, frozenset({"Scale(0.5,2)", "T(1)"})),
    Family("neural-operator", Segmenter, {"field": _square()}, frozenset({"D4", "Shift(1)"})),
    Family("weight-space", Reader, {"w1": normal(24, 6, 3), "b1": normal(24, 6), "w2": normal(24, 1, 6)},
           frozenset({"S"})),
    Family("text-encoder", Encoder, _encoded(), frozenset({"Padding(8)", "Variant(upper)"})),
    Family("language-model", Decoder, texts(), frozenset({"Causal", "Padding(8)", "Padding(8,left)"})),
    Family("potential", Potential, molecules(), frozenset({"O(3)", "Gradient", "NetForce"})),
    Family("potential", Crystal, crystals(), frozenset({"GL(3,Z)", "Supercell(2)"}), elements=4),
)  # fmt: skip
