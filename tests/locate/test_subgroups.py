from __future__ import annotations

import itertools

import planted_models as nets
import pytest
import torch
from planted_parts import (
    Averaged,
    Axial,
    Generic,
    Shuffled,
    Summed,
    broken,
    dihedral,
    held,
    part_of,
    points,
    spectrum_of,
    tilted,
    turns,
)
from torch import Tensor, nn

from symcheck.groups.point_groups import named_groups
from symcheck.groups.products import make_group
from symcheck.report.model import Verdict

AXIS = torch.tensor([0.3, -0.5, 0.8])


# Turns of a plane ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 7, 8])
def test_the_order_of_the_turns(n: int) -> None:
    part = part_of(Averaged(turns(n), 4), "SO(2): points -> scalar", points(2))
    assert held(part) == ({(f"C{n}", "exact")} if n > 1 else set())
    (spectrum,) = part.spectra
    assert spectrum.order == n
    lattice = part.lattice("output")
    assert lattice.nodes[-1].verdict is Verdict.BROKEN  # the whole group
    assert all(lattice.nodes[i].verdict is Verdict.BROKEN for i in lattice.beyond)


def test_all_turns() -> None:
    class Gram(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Generic(3, 16)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net((x @ x.mT).flatten(1))
            return out

    part = part_of(Gram(), "SO(2): points -> scalar", points(2))
    assert held(part) == {("SO(2)", "exact")} and not part.spectra
    assert spectrum_of(Gram(), "SO(2): points -> scalar", points(2)).order == 0


def test_turns_against_mirrors() -> None:
    x = points(2)
    only_turns, both = Averaged(turns(4), 4), Averaged(dihedral(4, 0.0), 4)
    part = part_of(only_turns, "D4: points -> scalar", x)
    assert held(part) == {("C4", "exact")} and broken(part) == {"D1"}
    assert "breaks: D1 (mirror)" in part.lattice("output").sentence
    assert held(part_of(both, "D4: points -> scalar", x)) == {("D4", "exact")}
    one = part_of(Averaged(dihedral(1, torch.pi / 2), 4), "D4: points -> scalar", x)  # a diagonal mirror
    lattice = one.lattice("output")
    (node,) = [lattice.nodes[i] for i in lattice.holds]
    assert (node.name, node.where, node.conjugates) == ("D1", "reflection + turn 1 of 4 (90 deg)", 2)


@pytest.mark.parametrize("n", [1, 4, 5])
def test_a_tilted_mirror_is_found(n: int) -> None:
    part = part_of(Averaged(dihedral(n, 0.37), 4), "O(2): points -> scalar", points(2))
    assert held(part) == {(f"D{n}", "exact")}
    lattice = part.lattice("output")
    at = float(lattice.nodes[lattice.holds[0]].where.split()[3])
    steps = (at - 0.37 * 90 / torch.pi) * n / 180  # the mirror lines of D_n are half a turn over n apart
    assert steps == pytest.approx(round(steps), abs=1e-3)


# Turns of space -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["I", "Td", "D3d", "Cs"])
def test_a_point_group_in_no_standard_orientation(name: str) -> None:
    q = tilted()
    part = part_of(Averaged(q @ named_groups()[name] @ q.T, 3), "O(3): points -> scalar", points(3, 3))
    assert held(part) == {(name, "exact")}
    lattice = part.lattice("output")
    assert lattice.beyond and all(lattice.nodes[i].verdict is Verdict.BROKEN for i in lattice.beyond)


def test_an_axis_is_named() -> None:
    q = tilted()
    part = part_of(Averaged(q @ named_groups()["C4"] @ q.T, 3), "SO(3): points -> scalar", points(3, 3))
    lattice = part.lattice("output")
    where = lattice.nodes[lattice.holds[0]].where
    axis = torch.tensor([float(v) for v in where.split("(")[1].rstrip(")").split(",")]).double()
    assert float((axis @ q[:, 2]).abs()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("keep", ["SO(2)", "C∞v", "C∞h", "D∞", "D∞h"])
def test_a_preferred_axis(keep: str) -> None:
    part = part_of(Axial(AXIS, keep), "O(3): points -> scalar", points(3, 3))
    assert held(part) == {(keep, "exact")}
    assert "about (0.30, -0.51, 0.81)" in part.lattice("output").sentence


def chiral(y: Tensor, pos: Tensor) -> Tensor:
    value: Tensor = 0.1 * y + nets.triple(pos)
    return value


@pytest.mark.parametrize("group, largest", [("O(3)", "SO(3)"), ("E(3)", "SE(3)")])
def test_proper_against_improper(group: str, largest: str) -> None:
    claim, x = f"{group}: points -> scalar", points(3, 6)
    part = part_of(nets.After(nets.Energy(), chiral), claim, x)
    assert held(part) == {(largest, "exact")} and broken(part) == {"Ci", "Cs"}
    assert held(part_of(nets.Energy(), claim, x)) == {(group, "exact")}


def test_turns_without_translations_and_the_reverse() -> None:
    class About(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Generic(6, 16)

        def forward(self, pos: Tensor) -> Tensor:
            out: Tensor = self.net((pos @ pos.mT).flatten(1))
            return out

    class Along(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Generic(6, 9)

        def forward(self, pos: Tensor) -> Tensor:
            out: Tensor = self.net((pos[:, 1:] - pos[:, :1]).flatten(1))
            return out

    assert held(part_of(About(), "E(3): points -> scalar", points(3))) == {("O(3)", "exact")}
    assert held(part_of(Along(), "SE(3): points -> scalar", points(3))) == {("T(3)", "exact")}


def test_what_holds_exactly_inside_what_holds_nearly() -> None:
    net = Summed(nets.After(nets.Energy(), lambda y, _: y[:, None]), Averaged(named_groups()["O"], 3), 1e-2)
    part = part_of(net, "SO(3): points -> scalar", points(3, 3))
    assert held(part) == {("SO(3)", "approximate")}
    lattice = part.lattice("output")
    assert lattice.names(lattice.exact) == ("O",) and "exactly: O" in lattice.sentence


def test_precision_that_cannot_be_raised() -> None:
    q = tilted()
    net = Averaged(q @ named_groups()["D3"] @ q.T, 3)
    part = part_of(lambda x: net(x.float()).detach(), "SO(3): points -> scalar", points(3, 3))
    assert {name for name, _ in held(part)} == {"D3"}


def test_space_without_time() -> None:
    class Still(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Generic(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            a, b = x[:, 0, 1:], x[:, 1, 1:]
            out: Tensor = self.net(torch.stack([x[:, 0, 0], a.square().sum(-1), (a * b).sum(-1)], 1))
            return out

    part = part_of(Still(), "SO(1,3): vector -> scalar", points(4, 3))
    assert held(part) == {("SO(3)", "exact")} and {"boost along x", "boost along z"} <= broken(part)


# Slots, shifts, products --------------------------------------------------------------------------------


def test_even_permutations_alone() -> None:
    for n in (4, 6):
        even = make_group(f"A({n})").elements()
        assert even is not None
        part = part_of(Shuffled(even.tolist()), "S: nodes -> scalar", points(2, n))
        lattice = part.lattice("output")
        assert lattice.names(lattice.exact) == (f"A({n})",)


def test_all_permutations() -> None:
    every = [list(p) for p in itertools.permutations(range(4))]
    assert held(part_of(Shuffled(every), "S: nodes -> scalar", points(2, 4))) == {("S(4)", "exact")}


def test_turns_of_the_slots() -> None:
    ring = [[(i + k) % 6 for i in range(6)] for k in range(6)]
    part = part_of(Shuffled(ring), "S: nodes -> scalar", points(2, 6))
    assert held(part) == {("C6", "exact")} and any("given order" in note for note in part.notes)


def test_blocks_of_slots() -> None:
    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.each = Generic(3, 4), Generic(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.each(x)
            out: Tensor = self.net(torch.cat([y[:, [0, 2, 3, 6, 7]].sum(1), y[:, [1, 4, 5]].square().sum(1)], 1))
            return out

    part = part_of(Blocks(), "S: nodes -> scalar", points(2, 8))
    assert held(part) == {("S(5) x S(3) on 0 2 3 6 7 | 1 4 5", "exact")}


def test_multiples_of_a_stride() -> None:
    image = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    part = part_of(nets.Strided(), "Shift: image -> invariant", image)
    assert held(part) == {("Shift(4)", "exact")} and broken(part) == {"Shift(2,0)", "Shift(0,2)"}


def test_turns_of_an_image_and_what_resampling_leaves_open() -> None:
    image = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    part = part_of(nets.Conv(turned=True), "SO(2): image -> image", image)
    assert held(part) == {("C4", "exact")}
    assert "pixel grid" in part.spectra[0].reading and part.spectra[0].note
    assert held(part_of(nets.Conv(), "SO(2): image -> image", image)) == set()


def test_each_factor_alone() -> None:
    part = part_of(nets.Axial(), "SO(3) x S: points*nodes -> scalar", points(3, 6))
    assert held(part) == {("SO(2)", "exact"), ("S(6)", "exact")}
    lattice = part.lattice("output")
    assert {node.factor for node in lattice.nodes} == {"", "SO(3)", "S(6)"}
    assert {node.name: node.verdict for node in lattice.nodes}["SO(3)"] is Verdict.BROKEN


def test_outputs_apart() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.energy, self.other = nets.Energy(), nets.Axial()

        def forward(self, pos: Tensor) -> dict[str, Tensor]:
            return {"energy": self.energy(pos), "other": self.other(pos)}

    part = part_of(Both(), "O(3): pos=points -> energy=scalar, other=scalar", {"pos": points(3, 5)})
    assert held(part, "energy") == {("O(3)", "exact")} and held(part, "other") == {("C∞v", "exact")}


# What is not to be believed -----------------------------------------------------------------------------


def test_a_constant_tells_nothing() -> None:
    part = part_of(nets.After(nets.Energy(), lambda y, _: 0 * y + 3), "SO(3): points -> scalar", points(3))
    assert not held(part) and "nothing was tested" in part.notes[0]


def test_a_network_without_any_symmetry_has_none() -> None:
    for seed, group in enumerate(("O(3)", "SE(3)", "SO(3) x S")):
        act, net = ("points*nodes" if "S" in group[3:] else "points"), Averaged(torch.eye(3)[None], 3, seed)
        assert not held(part_of(net, f"{group}: {act} -> scalar", points(3, 3, seed=seed + 20)))
