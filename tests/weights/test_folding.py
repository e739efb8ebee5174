"""Spaces as rows: equal spaces of numbered layers fold, others do not; names and places stay true."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from symcheck.weights.derive import derive
from symcheck.weights.folding import abbreviated, rows
from symcheck.weights.spec import Spec


class Layer(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, hidden), nn.Linear(hidden, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Stack(nn.Module):
    def __init__(self, *hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(size) for size in hidden)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def spec_of(*hidden: int) -> Spec:
    return derive(Stack(*hidden), [torch.randn(3, 4)])


def test_equal_spaces_of_layers_are_one_row() -> None:
    spec = spec_of(6, 6, 6)
    (row,) = (row for row in rows(spec) if row.spaces[0].kind == "permutation" and row.spaces[0].size == 6)
    assert len(row.spaces) == 3 and "*" in row.name
    assert row.where == ("layers.*.up.{weight,bias}", "layers.*.down.weight")
    assert sum(len(row.spaces) for row in rows(spec)) == len(spec.spaces) == len(rows(spec, folded=False))


def test_layers_of_other_sizes_stay_apart() -> None:
    found = {row.spaces[0].size: row for row in rows(spec_of(6, 5)) if row.spaces[0].kind == "permutation"}
    assert found[6].where == ("layers.0.up.{weight,bias}", "layers.0.down.weight")
    assert found[5].where == ("layers.1.up.{weight,bias}", "layers.1.down.weight")


def test_unfolded_rows_have_their_own_names() -> None:
    spec = spec_of(6, 6)
    assert [row.name for row in rows(spec, folded=False)] == [*spec.spaces]


@pytest.mark.parametrize(
    ("tensors", "short"),
    [
        (["0.weight", "0.bias", "3.weight"], ("0.{weight,bias}", "3.weight")),
        (["h.0.ln.weight", "h.1.ln.weight", "wte"], ("h.*.ln.weight", "wte")),
        (["h.0.mlp.0.weight", "h.0.mlp.2.weight", "h.1.mlp.0.weight"], ("h.*.mlp.0.weight", "h.0.mlp.2.weight")),
        (["b1.conv.weight", "b2.conv.weight"], ("b*.conv.weight",)),
        (["w"], ("w",)),
    ],
)
def test_names_are_abbreviated(tensors: list[str], short: tuple[str, ...]) -> None:
    assert abbreviated(tensors) == short
