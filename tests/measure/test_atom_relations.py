"""What energy, forces and stress owe each other: each relation passes a sound potential and finds a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from pair_potential import RADIUS, Pairs, crystals, molecules
from torch import Tensor, nn

import symcheck
from symcheck.claim import Claim
from symcheck.errors import ClaimError, SymcheckError
from symcheck.report.model import Finding
from symcheck.subject import Subject

ATOMS = "pos=points, z=nodes, cell=lattice, batch=owner -> "
FORCES = ATOMS + "energy=extensive, forces=vector"
SMOOTH = f"Smooth({RADIUS:g})"


def findings(model: nn.Module, claim: str, inputs: Mapping[str, Tensor]) -> dict[str, Finding]:
    report = symcheck.audit(model, claim, dict(inputs), elements=12)
    return {found.output: found for found in report.findings}


def verdicts(model: nn.Module, claim: str, inputs: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: str(found.verdict) for name, found in findings(model, claim, inputs).items()}


def error(found: Finding) -> float:
    assert found.error is not None
    return found.error.spread.mean


@pytest.mark.parametrize(
    ("claim", "inputs", "fault", "broken"),
    [
        ("Supercell(2)", crystals, {"pooled": 1.0}, {"energy", "forces"}),
        ("Supercell(2,1,1)", crystals, {"pooled": 1.0}, {"energy", "forces"}),
        ("Supercell(2,1,1)", crystals, {"curl": 0.1}, {"forces"}),
        ("Copies(2)", molecules, {"pooled": 1.0}, {"energy", "forces"}),
        ("Copies(3,10)", molecules, {"field": 1e-3}, {"energy", "forces"}),
        ("Gradient(0.02)", molecules, {"factor": 1.02}, {"forces"}),
        ("Gradient(0.02)", molecules, {"curl": 0.02}, {"forces"}),
        ("Gradient(0.02)", crystals, {"factor": -1.0}, {"forces"}),
        ("NetForce", molecules, {"field": 0.01}, {"forces"}),
        ("NetForce", crystals, {"field": 0.01}, {"forces"}),
        ("NetTorque", molecules, {"curl": 0.02}, {"forces"}),
        ("NetTorque", molecules, {"field": 0.01}, {"forces"}),
    ],
)
def test_sound_forces_pass_and_a_fault_is_found(
    claim: str, inputs: Callable[[], dict[str, Tensor]], fault: dict[str, float], broken: set[str]
) -> None:
    data, text = inputs(), f"{claim}: {FORCES}"
    sound = verdicts(Pairs(), text, data)
    assert set(sound.values()) == {"exact"}
    assert {name for name, verdict in verdicts(Pairs(**fault), text, data).items() if verdict == "broken"} == broken


@pytest.mark.parametrize(("squeeze", "verdict"), [(0.0, "exact"), (0.05, "broken")])
def test_stress_is_what_a_strain_costs(squeeze: float, verdict: str) -> None:
    claim = f"Strain(0.01): {ATOMS}energy=extensive, forces=ignore, stress=tensor(ij=ji)"
    assert verdicts(Pairs(stress=True, squeeze=squeeze), claim, crystals()) == {"stress": verdict}


def test_longer_paths_cross_the_cut_off_and_hold_all_the_same() -> None:
    """The steps that suit single precision: quadrature leaves a little where pairs enter and leave, below any use."""
    claim = f"Strain: {ATOMS}energy=extensive, forces=ignore, stress=tensor(ij=ji)"
    stress = findings(Pairs(stress=True), claim, crystals())
    forces = findings(Pairs(), f"Gradient: {FORCES}", crystals())
    for found in (stress["stress"], forces["forces"]):
        assert found.verdict.holds and found.floor is not None
        assert found.floor.high < 1e-6 * found.spread and error(found) < 3e-5


def test_stress_does_not_grow_with_the_cell_and_forces_belong_to_each_copy() -> None:
    claim = f"Supercell(1,2,1): {ATOMS}energy=extensive, forces=nodes, stress=scalar"
    assert set(verdicts(Pairs(stress=True), claim, crystals()).values()) == {"exact"}


@pytest.mark.parametrize("inputs", [molecules, lambda: crystals(least=2)])
def test_a_hard_cut_off_jumps_and_a_soft_one_does_not(inputs: Callable[[], dict[str, Tensor]]) -> None:
    data = inputs()
    soft, hard = (findings(model, f"{SMOOTH}: {FORCES}", data) for model in (Pairs(), Pairs(hard=1.0)))
    assert all(found.verdict.holds and error(found) < 2e-5 for found in soft.values())
    assert {name: str(found.verdict) for name, found in hard.items()} == {"energy": "broken", "forces": "broken"}


def test_the_jump_is_measured_in_the_output_s_unit() -> None:
    """φ(r) = r inside the radius and nothing outside of it: it jumps by the radius."""

    class Step(nn.Module):
        def forward(self, pos: Tensor) -> Tensor:
            r = (pos[:, 1] - pos[:, 0]).norm(dim=1)
            return torch.where(r < RADIUS, 1.0, 0.0) * r

    pos = torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(1)).double() + 1.0
    found = symcheck.audit(Step(), f"{SMOOTH}: pos=points -> energy=scalar", {"pos": pos}).findings[0]
    assert found.error is not None
    assert abs(found.error.absolute.mean - RADIUS) < 1e-4


def test_the_error_of_forces_is_how_far_they_are_from_the_gradient() -> None:
    """With all forces too large by one in fifty, ||F + dE/dx|| is that share of ||dE/dx||."""
    found = findings(Pairs(factor=1.02), f"Gradient: {FORCES}", molecules(24))["forces"]
    assert found.error is not None
    assert abs(found.error.relative.mean / (0.02 / 1.02) - 1) < 0.25


def test_a_net_force_has_the_norm_of_its_part_of_the_forces() -> None:
    pull = torch.tensor([0.3, -0.2, 0.1])

    def forces(pos: Tensor) -> Tensor:
        return pull.to(pos) + 0.0 * pos + torch.tensor([1.0, -1.0]).to(pos)[:, None] * pos.sum(dim=(1, 2), keepdim=True)

    pos = torch.randn(16, 2, 3, generator=torch.Generator().manual_seed(1)).double()
    found = symcheck.audit(forces, "NetForce: pos=points -> forces=vector", {"pos": pos}).findings[0]
    assert found.error is not None
    assert abs(found.error.absolute.mean - float(pull.norm()) / 3**0.5) < 1e-6  # per number: |ΣF| / √n / √(3n)


class Dense(nn.Module):
    """The same potential on structures of one size, stacked, in fractional coordinates or not."""

    def __init__(self, fractional: bool = False, **faults: float) -> None:
        super().__init__()
        self.inner, self.fractional = Pairs(**faults), fractional

    def forward(self, pos: Tensor, z: Tensor, cell: Tensor) -> dict[str, Tensor]:
        owner = torch.arange(len(pos)).repeat_interleave(pos.shape[1])
        places = torch.einsum("bni,bij->bnj", pos, cell) if self.fractional else pos
        found: dict[str, Tensor] = self.inner(places.flatten(0, 1), z.flatten(), cell, owner)
        return {"energy": found["energy"], "forces": found["forces"].view_as(pos)}


def dense(fractional: bool = False) -> dict[str, Tensor]:
    packed = [crystals(3 * k + 3) for k in range(4)]
    frac = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(8)).double() * 0.05
    frac = frac + torch.tensor([[0.0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]])
    cell = torch.stack([one["cell"][-1] for one in packed])
    z = torch.stack([one["z"][:3] for one in packed])
    return {"pos": frac if fractional else torch.einsum("bni,bij->bnj", frac, cell), "z": z, "cell": cell}


@pytest.mark.parametrize("fractional", [False, True])
@pytest.mark.parametrize("claim", ["Supercell(2,1,1)", "Gradient(0.02)", "NetForce"])
def test_stacked_structures_and_fractional_coordinates(claim: str, fractional: bool) -> None:
    role = "fractional" if fractional else "points"
    text = f"{claim}: pos={role}, z=nodes, cell=lattice -> energy=extensive, forces=vector"
    fault = {"pooled": 1.0} if "Super" in claim else {"field": 0.05} if claim == "NetForce" else {"factor": 1.05}
    data = dense(fractional)
    assert set(verdicts(Dense(fractional), text, data).values()) == {"exact"}
    assert "broken" in verdicts(Dense(fractional, **fault), text, data).values()


class Edges(nn.Module):
    """A graph network that is given its edges: Σ over edges of a function of the length and of both ends."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.leak, self.table = leak, nn.Parameter(torch.randn(10, generator=torch.Generator().manual_seed(2)))

    def forward(self, pos: Tensor, z: Tensor, edge_index: Tensor, edge_weight: Tensor, batch: Tensor) -> Tensor:
        i, j = edge_index
        r = (pos[i] - pos[j]).norm(dim=1)
        per_edge = edge_weight * torch.exp(-r) * self.table[z[i]] * (1 + self.table[z[j]])
        total = torch.zeros(int(batch.max()) + 1, dtype=pos.dtype).index_add_(0, batch[i], per_edge)
        return total + self.leak * total.square()


EDGES = "pos=points, z=nodes, edge_index=scalar, edge_weight=scalar, batch=owner -> energy=extensive"


def bonded() -> dict[str, Tensor]:
    data = molecules()
    edges = torch.nonzero(data["batch"][:, None] == data["batch"][None]).T.contiguous()
    edges = edges[:, edges[0] != edges[1]]
    weights = torch.rand(edges.shape[1], generator=torch.Generator().manual_seed(4)).double()
    named = {"pos": data["pos"], "z": data["z"], "edge_index": edges, "edge_weight": weights}
    return {**named, "batch": data["batch"]}


def test_copies_take_their_edges_along() -> None:
    assert verdicts(Edges(), f"Copies(2): {EDGES}", bonded()) == {"energy": "exact"}
    assert verdicts(Edges(0.1), f"Copies(2): {EDGES}", bonded()) == {"energy": "broken"}
    with pytest.raises(SymcheckError, match="neighbour list 'edge_index'"):
        findings(Edges(), f"{SMOOTH}: {EDGES}", bonded())


@pytest.mark.parametrize(("sign", "verdict"), [("-", "exact"), ("", "broken")])
def test_paths_keep_their_edges(sign: str, verdict: str) -> None:
    net = Edges()
    subject = Subject("edges", net, net, derive={"forces": f"{sign}d(energy)/d(pos)"})
    report = symcheck.audit(subject, f"Gradient(0.02): {EDGES}, forces=vector", bonded(), elements=12)
    assert {found.output: str(found.verdict) for found in report.findings} == {"forces": verdict}


@pytest.mark.parametrize(
    ("claim", "inputs", "message"),
    [
        ("Supercell(2)", molecules, "a sample is not periodic"),
        ("Copies(2)", crystals, "a sample is periodic"),
        ("NetTorque", crystals, "a sample is periodic"),
        (SMOOTH, crystals, "has one alone"),
    ],
)
def test_structures_that_a_relation_is_not_about_are_refused(
    claim: str, inputs: Callable[[], dict[str, Tensor]], message: str
) -> None:
    with pytest.raises(SymcheckError, match=message):
        findings(Pairs(), f"{claim}: {FORCES}", inputs())


@pytest.mark.parametrize(
    "text", ["Supercell(0)", "Supercell(1)", "Supercell(x)", "Copies(1)", "Copies(2,-3)", "Smooth(0)", "Gradient(nan)"]
)
def test_bad_arguments_are_refused(text: str) -> None:
    with pytest.raises(ClaimError):
        Claim.parse(f"{text}: {FORCES}").group()


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (f"Gradient: {ATOMS}energy=ignore, forces=vector", "needs an energy and its derivative"),
        (f"Gradient: {ATOMS}energy=scalar, forces=tensor(ij=ji)", "does not understand"),
        ("NetForce: pos=scalar, z=nodes, cell=scalar, batch=owner -> energy=scalar, forces=vector", "the positions"),
        ("Supercell(2): pos=points, z=nodes, cell=scalar, batch=owner -> energy=scalar, forces=nodes", "'lattice'"),
    ],
)
def test_what_a_relation_needs_is_named(claim: str, message: str) -> None:
    with pytest.raises(SymcheckError, match=message):
        findings(Pairs(), claim, crystals())


@pytest.mark.parametrize(
    "text", ["Supercell(2)", "Supercell(1,2,3)", "Copies(2)", "Copies(2,7.5)", "Gradient(0.01)", "Smooth(4)"]
)
def test_names_parse_back(text: str) -> None:
    group = Claim.parse(f"{text}: {FORCES}").group()
    assert group.name == text
    assert Claim.parse(f"{group.name}: {FORCES}").group().name == text


def test_one_atom_alone_has_no_torque() -> None:
    with pytest.raises(SymcheckError, match="one atom alone has no torque"):
        symcheck.audit(lambda pos: pos + 1, "NetTorque: pos=points -> forces=vector", {"pos": torch.randn(5, 1, 3)})
