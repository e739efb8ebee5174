"""What networks do that a follower of operations may get silently wrong."""

from __future__ import annotations

import pytest
import torch
from planted_weights import draws, generic
from torch import Tensor, nn

from symcheck.locate import pairs
from symcheck.locate.locate import How, locate
from symcheck.locate.result import Attribution, Located

IMAGES = draws(3, 8, 1, 9, 9)
SHIFT = "Shift: image -> invariant"


def located(model: nn.Module, claim: str = SHIFT, x: Tensor = IMAGES, **more: int) -> Located:
    return locate(model, claim, x, How(parts=("layers",), **more))


def layers(model: nn.Module, claim: str = SHIFT, x: Tensor = IMAGES, **more: int) -> Attribution:
    found = located(model, claim, x, **more).attribution
    assert found is not None
    return found


class Net(nn.Module):
    """Two convolutions with something in between."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(i, 4, 3, padding=1, padding_mode="circular") for i in (1, 4))

    def between(self, h: Tensor) -> Tensor:
        return torch.tanh(h)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.b(self.between(self.a(x)))).square().mean((2, 3))


class Row(Net):
    """One row is scaled in place: shifts along it are harmless."""

    def between(self, h: Tensor) -> Tensor:
        h[:, :, 0] *= 1.5
        return h


def test_elements_of_every_direction_are_followed() -> None:
    found = layers(generic(Row(), 6))
    assert found.error["output"] > 1e-3 and found.operations[0].share["output"] > 0.99


class View(Net):
    """A fault is written into a view, and what is read is the whole."""

    def between(self, h: Tensor) -> Tensor:
        whole = h.new_zeros(h.shape)
        whole.narrow(1, 0, 4).copy_(h)
        whole.narrow(1, 0, 2).add_(0.2 * torch.linspace(0, 1, 9, dtype=h.dtype))
        return whole


def test_what_is_written_into_a_view_comes_from_there() -> None:
    found = layers(generic(View(), 6))
    assert found.operations[0].share["output"] > 0.99 and found.cause == "position_added"
    assert found.operations[0].function == "add_"


@pytest.mark.parametrize("size", [1, 7])
def test_all_pairs_go_through_at_once_whatever_the_batch_size(size: int) -> None:
    model = generic(View(), 6)
    assert layers(model, batch_size=size).operations == layers(model).operations


def test_fewer_pairs_are_followed_where_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "MOST", 200_000)
    found = layers(generic(View(), 6))
    assert found.pairs < 20 and any("GB" in note for note in found.notes)
    assert found.operations[0].share["output"] > 0.99


class Mapped(Net):
    """vmap: what runs inside is not seen."""

    def between(self, h: Tensor) -> Tensor:
        return torch.vmap(lambda one: torch.tanh(one) + torch.arange(9.0, dtype=h.dtype))(h)


def test_what_cannot_be_seen_is_said() -> None:
    found = layers(generic(Mapped(), 6))
    assert found.closure < 1e-9 and any("no operation is seen to make" in note for note in found.notes)
    assert not any("no operation is seen to make" in note for note in layers(generic(View(), 6)).notes)


class Noise(Net):
    """Dropout that stays on."""

    def between(self, h: Tensor) -> Tensor:
        return nn.functional.dropout(h, 0.5, True)


class Dead(Net):
    """A constant."""

    def between(self, h: Tensor) -> Tensor:
        return 0 * h


@pytest.mark.parametrize("kind", [Noise, Dead])
def test_nothing_is_attributed_where_nothing_was_measured(kind: type[Net]) -> None:
    found = located(generic(kind(), 6))
    assert found.attribution is None and found.notes


class Strided(Net):
    """What is replaced must lie in memory as what it replaces."""

    def between(self, h: Tensor) -> Tensor:
        h = torch.tanh(h.permute(0, 2, 3, 1).contiguous()) + torch.linspace(0, 1, 9, dtype=h.dtype)[:, None]
        return h.view(len(h), 81, 4).mT.reshape(len(h), 4, 9, 9)


def test_replaced_results_keep_their_layout() -> None:
    found = layers(generic(Strided(), 6))
    assert found.operations[0].function == "add" and found.closure < 1e-9


def test_a_slice_alone_is_told() -> None:
    class Slice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[..., 0]

    found = layers(Slice())
    assert found.cause == "picked_place" and any("no operation" in note for note in found.notes)


class Centre(nn.Module):
    """Points, their centre, and a fault that reads where the centre is."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 1)

    def forward(self, pos: Tensor) -> Tensor:
        centre = pos.mean(1)
        return torch.tanh(self.out(pos - centre[:, None])).sum((1, 2)) + 0.1 * torch.tanh(centre[:, 0])


def test_points_are_not_read_as_vectors_under_translations() -> None:
    found = layers(generic(Centre(), 2), "T(3): points -> scalar", draws(4, 8, 5, 3))
    assert next(row.action for row in found.layers if row.function == "mean") == "points"
    assert found.operations[0].function == "tanh" and found.operations[0].share["output"] > 0.99
