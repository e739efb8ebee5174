"""Shares of an error: exact, signed, and told of the operations that make it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from planted_weights import draws, generic
from torch import Tensor, nn

from symcheck.errors import ConfigError
from symcheck.locate.locate import How, locate
from symcheck.locate.result import Attribution

IMAGES = draws(3, 8, 1, 9, 9)
CLOUD = draws(4, 8, 5, 3)


def layers(
    model: nn.Module, claim: str, x: Tensor | Mapping[str, Tensor], hidden: dict[str, str] | None = None
) -> Attribution:
    found = locate(model, claim, x, How(parts=("layers",), hidden=hidden or {})).attribution
    assert found is not None
    return found


def circular(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1, padding_mode="circular")


class Two(nn.Module):
    """Two faults of known sizes behind one another: a stored map is added, twice."""

    def __init__(self, first: float, second: float) -> None:
        super().__init__()
        self.a, self.b = circular(1, 4), circular(4, 4)
        self.first, self.second = first, second
        self.register_buffer("map", draws(5, 9, 9))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x)) + self.first * self.map
        return (torch.tanh(self.b(h)) + self.second * self.map).square().mean((2, 3))


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.0), (0.0, 0.3), (0.3, 0.3), (-0.2, 0.4)])
def test_shares_sum_to_one_and_name_the_operations_that_break(first: float, second: float) -> None:
    found = layers(generic(Two(first, second), 6), "Shift: image -> invariant", IMAGES)
    guilty = {int(row.line.rpartition(":")[2]) for row in found.operations}
    lines = {int(row.line.rpartition(":")[2]) for row in found.layers if row.function == "add"}
    assert found.closure < 1e-9
    assert abs(sum(row.share["output"] for row in found.operations) - 1) < 1e-9
    assert guilty <= lines and len(guilty) == (first != 0) + (second != 0)
    assert {row.how for row in found.operations} == {"assumed"} or all(row.local < 0.2 for row in found.operations)


def test_one_operation_alone_carries_the_whole_error() -> None:
    found = layers(generic(Two(0.0, 0.2), 6), "Shift: image -> invariant", IMAGES)
    assert abs(found.operations[0].share["output"] - 1) < 1e-9
    assert abs(found.operations[0].size["output"] - found.error["output"]) < 1e-9 * found.error["output"]


def test_a_healthy_network_has_nothing_to_rank() -> None:
    found = layers(generic(Two(0.0, 0.0), 6), "Shift: image -> invariant", IMAGES)
    assert not found.operations and not found.modules and found.layers


class Message(nn.Module):
    """Messages between points; the fault acts on components."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.edge, self.gate, self.out = nn.Linear(1, 8), nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, pos: Tensor) -> dict[str, Tensor]:
        offset = pos[:, :, None] - pos[:, None]
        m = torch.tanh(self.edge((offset**2).sum(-1, keepdim=True)))
        force = (offset * self.gate(m)).sum(2)
        if self.fault:
            force = torch.relu(force)
        size = (force**2).sum(-1, keepdim=True)
        return {"energy": (self.out(m.mean(2)) * size).sum((1, 2)), "force": force * size}


@pytest.mark.parametrize("fault", [False, True])
def test_operations_of_no_known_action_are_passed_over_where_what_follows_is_sound(fault: bool) -> None:
    found = layers(
        generic(Message(fault), 7), "SO(3): pos=points -> energy=scalar, force=vector", {"pos": CLOUD}
    )
    unknown = [row.function for row in found.layers if row.how == "unknown"]
    assert set(unknown) == {"pow"} and found.unknown == 2  # squares of components are neither vectors nor scalars
    assert [row.function for row in found.operations] == (["relu"] if fault else [])


class Energies(nn.Module):
    """Forces by autograd inside the forward."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.one, self.two = nn.Linear(1, 8), nn.Linear(8, 1)
        self.register_buffer("axis", torch.tensor([1.0, 0.5, -0.3]))

    def forward(self, pos: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            pos = pos.detach().requires_grad_(True)
            centred = pos - pos.mean(1, keepdim=True)
            squares = centred.square().sum(-1, keepdim=True)
            if self.fault:
                squares = squares + 0.1 * (centred * self.axis).sum(-1, keepdim=True).square()
            energy = self.two(torch.tanh(self.one(squares))).sum((1, 2))
            (gradient,) = torch.autograd.grad(energy.sum(), pos)
        return {"energy": energy.detach(), "force": -gradient}


def test_networks_that_take_gradients_inside_are_followed() -> None:
    claim = "SO(3): pos=points -> energy=scalar, force=vector"
    sound = layers(generic(Energies(False), 8), claim, {"pos": CLOUD})
    broken = layers(generic(Energies(True), 8), claim, {"pos": CLOUD})
    assert not sound.operations
    assert broken.closure < 1e-9 and broken.error["energy"] > 1e-3
    first = max(broken.operations, key=lambda row: row.share["energy"])
    assert first.share["energy"] > 0.999 and "axis" not in first.function


class Scrambled(nn.Module):
    """Feature maps of C4 in a basis that no reading of axes knows."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault = fault
        self.kernel = nn.Parameter(draws(10, 1, 1, 3, 3))
        self.mix = nn.Parameter(draws(11, 4, 4))
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        turned = torch.cat([torch.rot90(self.kernel, k, (2, 3)) for k in range(4)])
        h = torch.conv2d(x, turned, padding=1)
        h = torch.einsum("dc,bchw->bdhw", self.mix, h)
        if self.fault:
            h = h + 0.2 * h.roll(1, -1)
        h = torch.einsum("dc,bchw->bdhw", self.mix.inverse(), h)
        return self.last(torch.relu(h).mean((2, 3)).sort(-1).values)


def test_an_action_that_no_reading_knows_is_fitted() -> None:
    found = layers(generic(Scrambled(False), 9), "C4: image -> invariant", IMAGES)
    fitted = [row for row in found.layers if row.how == "fitted"]
    assert any("map of 4 channels" in row.action and "image" in row.action for row in fitted)
    assert not found.operations
    broken = layers(generic(Scrambled(True), 9), "C4: image -> invariant", IMAGES)
    assert broken.operations and broken.operations[0].function in ("roll", "add", "mul", "einsum")
    assert broken.closure < 1e-9


def test_a_declared_action_is_taken_and_an_unknown_path_refused() -> None:
    model = generic(Two(0.2, 0.0), 6)
    found = layers(model, "Shift: image -> invariant", IMAGES, {"b": "image"})
    assert next(row for row in found.layers if row.path == "b" and row.function == "conv2d").how == "declared"
    with pytest.raises(ConfigError, match="no operation"):
        layers(model, "Shift: image -> invariant", IMAGES, {"c": "image"})


def test_a_relation_is_no_group() -> None:
    with pytest.raises(ConfigError, match="relation"):
        layers(generic(nn.Linear(3, 3), 1), "Causal: sequence -> sequence", draws(1, 8, 5, 3))


def test_what_only_the_claim_names_can_be_located() -> None:
    healthy, broken = (generic(Two(0.0, second), 6) for second in (0.0, 0.3))
    claim = "Shift: image -> probabilities=invariant"
    assert not layers(healthy, claim, IMAGES).operations
    found = layers(broken, claim, IMAGES)
    assert [row.function for row in found.operations] == ["add"] and found.closure < 1e-9
