"""Networks as they come: attention, recurrences, functional code, TorchScript, packed graphs, e3nn."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from planted_weights import draws, generic
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from symcheck.locate.locate import How, locate
from symcheck.locate.result import Attribution

IMAGES, SETS = draws(3, 8, 1, 9, 9), draws(5, 16, 7, 6)
SHIFT, SLOTS = "Shift: image -> invariant", "S: nodes -> invariant"


def layers(model: nn.Module, claim: str, x: Tensor | Mapping[str, Tensor], **more: int) -> Attribution:
    found = locate(model, claim, x, How(parts=("layers",), **more)).attribution
    assert found is not None
    return found


def circular(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1, padding_mode="circular")


class Three(nn.Module):
    """Three convolutions; zeros beyond the border in the second."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = circular(1, 4), nn.Conv2d(4, 4, 3, padding=1), circular(4, 4)

    def middle(self, h: Tensor) -> Tensor:
        return self.b(h)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.c(torch.tanh(self.middle(torch.tanh(self.a(x)))))).square().mean((2, 3))


def three(kind: str) -> nn.Module:
    class Kept(Three):
        def middle(self, h: Tensor) -> Tensor:
            kept: Tensor = checkpoint(self.b, h, use_reentrant=False)
            return kept

    class Called(Three):
        def middle(self, h: Tensor) -> Tensor:
            return torch.func.functional_call(self.b, dict(self.b.named_parameters()), (h,))

    model = generic({"checkpoint": Kept, "functional_call": Called}.get(kind, Three)(), 6)
    if kind == "traced":
        model.b = torch.jit.trace(model.b, draws(1, 2, 4, 9, 9))
    if kind == "scripted":
        model.b = torch.jit.script(model.b)
    if kind == "compiled":
        model.b = torch.compile(model.b, backend="eager")
    if kind == "parametrized":
        nn.utils.parametrizations.weight_norm(model.b)
    return model.eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", ["plain", "checkpoint", "functional_call", "traced", "scripted", "compiled", "parametrized"]
)
def test_the_guilty_part_is_named_however_it_is_called(kind: str) -> None:
    found = layers(three(kind), SHIFT, IMAGES)
    assert found.modules[0].path.removesuffix("._orig_mod") == "b"
    assert found.modules[0].share["output"] > 0.99 and found.closure < 1e-9
    assert kind in ("traced", "scripted") or found.cause == "zero_padding"


class Functional(nn.Module):
    """Functional code with arguments by position."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.weight_a, self.weight_b = nn.Parameter(torch.zeros(4, 1, 3, 3)), nn.Parameter(torch.zeros(4, 4, 3, 3))
        self.b = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(F.conv2d(F.pad(x, (1, 1, 1, 1), "circular"), self.weight_a, self.b))
        if self.fault == "zero_padding":
            h = F.conv2d(h, self.weight_b, self.b, 1, 1)
        if self.fault == "stride":
            h = F.conv2d(F.pad(h, (1, 1, 1, 1), "circular"), self.weight_b, self.b, 2)
        if self.fault == "picked_place":
            h = torch.tanh(h[:, :, 3:4])
        return torch.tanh(h).square().mean((2, 3))


@pytest.mark.parametrize("fault", ["", "zero_padding", "stride", "picked_place"])
def test_arguments_by_position_are_read(fault: str) -> None:
    found = layers(generic(Functional(fault), 6), SHIFT, draws(3, 8, 1, 8, 8))
    assert found.cause == fault
    assert bool(found.operations) == bool(fault)


class Sequence(nn.Module):
    """A set network whose middle sees the order of the slots in one of many ways."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.first, self.last = nn.Linear(6, 12), nn.Linear(12, 2)
        self.attend = nn.TransformerEncoderLayer(12, 3, 16)
        self.read = nn.LSTM(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).transpose(0, 1)
        count = h.shape[0]
        if self.fault == "position_added":
            h = h + torch.sin(torch.arange(count, dtype=h.dtype))[:, None, None]
        mask = torch.full((count, count), float("-inf"), dtype=h.dtype).triu(1)
        h = self.attend(h, src_mask=mask if self.fault == "attention_mask" else None)
        if self.fault == "in_order":
            h = self.read(h)[0]
        h = h.transpose(0, 1)
        return self.last(h[:, 0] if self.fault == "picked_place" else h.mean(1))


@pytest.mark.parametrize("fault", ["", "position_added", "attention_mask", "in_order", "picked_place"])
def test_what_sees_the_order_of_slots_is_told(fault: str) -> None:
    found = layers(generic(Sequence(fault), 7), SLOTS, SETS)
    assert found.cause == fault and found.closure < 1e-9
    assert bool(found.operations) == bool(fault)


class Packed(nn.Module):
    """Messages along the edges of packed graphs; the fault acts on components."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.edge = nn.Linear(1, 1)

    def forward(self, pos: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        offset = pos[edge_index[0]] - pos[edge_index[1]]
        weight = torch.tanh(self.edge(offset.square().sum(-1, keepdim=True)))
        force = torch.zeros_like(pos).index_add(0, edge_index[1], weight * offset)
        force = torch.relu(force) if self.fault else force
        return torch.zeros(int(batch.max()) + 1, 3, dtype=pos.dtype).index_add(0, batch, force)


@pytest.mark.parametrize("fault", [False, True])
def test_rows_and_edges_of_packed_graphs_are_followed(fault: bool) -> None:
    owner = torch.arange(8).repeat_interleave(5)
    pairs = [(5 * k + i, 5 * k + j) for k in range(8) for i in range(5) for j in range(5) if i < j]
    x = {"pos": draws(4, 40, 3), "edge_index": torch.tensor(pairs).T.contiguous(), "batch": owner}
    claim = "SO(3): pos=points, edge_index=edges, batch=owner -> vector"
    found = layers(generic(Packed(fault), 3), claim.replace("edges", "trivial"), x)
    assert [row.function for row in found.operations] == (["relu"] if fault else [])
    assert {row.action for row in found.layers if row.function == "sub"} == {"vector"}


def test_e3nn_features_are_read_off() -> None:
    o3 = pytest.importorskip("e3nn.o3")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = o3.FullyConnectedTensorProduct("4x0e+2x1o", "1x0e+1x1o", "6x0e+2x1o+1x2e")
            self.b = o3.Linear("6x0e+2x1o+1x2e", "1x0e+1x1o")

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.b(self.a(x, y) + 0.1)

    torch.manual_seed(0)
    claim = "O(3): irreps(4x0e+2x1o), irreps(1x0e+1x1o) -> irreps(1x0e+1x1o)"
    found = layers(Net(), claim, {"x": draws(1, 16, 10), "y": draws(2, 16, 4)})
    assert found.operations[0].function == "add" and found.operations[0].share["output"] > 0.99
    assert "irreps(6x0e+2x1o+1x2e)" in found.operations[0].action and found.cause == "bias_on_vectors"
