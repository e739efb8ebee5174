"""Frame averages of a random biased network: their laws, and the figures that a frame owes at a degeneracy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from symcheck import audit
from symcheck.actions.frame import FrameSet, distance
from symcheck.claim import Claim
from symcheck.frames.frame import PCA, Frame, GramSchmidt
from symcheck.frames.modules import Canonicalized, FrameAveraged, GroupAveraged, Symmetrised
from symcheck.frames.scene import scene
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.report.model import Verdict

ATOMS = 8
SLOTS = "pos=points, z=scalar -> energy=scalar, forces=vector"
METHANE = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)


class Network(nn.Module):
    """Generic, with biases: equivariant under nothing."""

    def __init__(self, atoms: int = ATOMS) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4 * atoms, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.energy, self.forces = nn.Linear(32, 1), nn.Linear(32, 3 * atoms)
        generator = torch.Generator().manual_seed(0)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator) / (p.shape[-1] ** 0.5 if p.dim() > 1 else 2)

    def forward(self, pos: Tensor, z: Tensor) -> dict[str, Tensor]:
        h = self.inner(torch.cat([pos.flatten(1), z], 1))
        return {"energy": self.energy(h)[:, 0], "forces": self.forces(h).reshape(pos.shape)}


def network(atoms: int = ATOMS) -> Network:
    return Network(atoms).double()


def cloud(samples: int = 24, atoms: int = ATOMS, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pos = torch.randn(samples, atoms, 3, generator=generator, dtype=torch.float64)
    return {"pos": pos, "z": torch.rand(samples, atoms, generator=generator, dtype=torch.float64)}


def error(model: nn.Module, claim: str, inputs: dict[str, Tensor], g: Tensor, noise: Tensor | float = 0.0) -> float:
    """||f(g·x) − g·f(x)|| / the spread of f over the samples, of the forces."""
    bound = Claim.parse(claim).bind({n: tuple(x.shape[1:]) for n, x in inputs.items()})
    still = model(inputs)["forces"].detach()
    moved = {**inputs, "pos": bound.inputs["pos"](g, inputs["pos"]) + noise}
    wanted = bound.outputs({"energy": (), "forces": tuple(still.shape[1:])})["forces"](g, still)
    spread = (still - still.mean(0)).square().flatten(1).sum(1).mean().sqrt()
    gap = (model(moved)["forces"] - wanted).detach()
    return float((gap.flatten(1).norm(dim=1) / spread).mean())


def elements(name: str, count: int) -> tuple[Group, Tensor]:
    from symcheck.groups.products import make_group

    group = make_group(name)
    return group, group.sample(count, Draws(3, "elements"))


@pytest.mark.parametrize("group", ["SO(3)", "O(3)", "SE(3)", "E(3)", "T(3)"])
def test_a_random_network_in_a_frame_is_equivariant_to_rounding(group: str) -> None:
    found = audit(FrameAveraged(network(), f"{group}: {SLOTS}"), f"{group}: {SLOTS}", cloud(), takes="dict")
    for finding in found.findings:
        assert finding.verdict is Verdict.EXACT
        assert finding.error is not None and finding.error.spread.mean < 1e-14
    bare = audit(network(), f"{group}: {SLOTS}", cloud())
    assert {finding.verdict for finding in bare.findings} == {Verdict.BROKEN}


def test_a_frame_of_rotations_does_not_turn_with_mirrors() -> None:
    whole = FrameAveraged(network(), f"SE(3): {SLOTS}")
    found = {(f.output, f.part): f for f in audit(whole, f"E(3): {SLOTS}", cloud(), takes="dict").findings}
    assert found["forces", "proper"].verdict is Verdict.EXACT
    for output in ("energy", "forces"):
        broken = found[output, "improper"]
        assert broken.verdict is Verdict.BROKEN
        assert broken.error is not None and 0.05 < broken.error.spread.mean < 1.0


@pytest.mark.parametrize(("group", "size"), [("SO(3)", 4), ("O(3)", 8), ("SE(3)", 4), ("E(3)", 8), ("T(3)", 1)])
def test_a_frame_is_a_set_of_different_elements_that_turns_with_the_cloud(group: str, size: int) -> None:
    claim, inputs = Claim.parse(f"{group}: {SLOTS}"), cloud()
    here = scene(claim, inputs)
    poses = PCA().poses(here)
    assert poses.size == size and (here.group.proper(poses.g).all() if group[0] == "S" else True)
    _, g = elements(group, 24)
    moved = PCA().poses(scene(claim, {**inputs, "pos": here.bound.inputs["pos"](g, inputs["pos"])}))
    wanted = here.group.compose(g.repeat_interleave(size, 0), poses.g)
    n = int(wanted[0].numel())
    apart = torch.cdist(moved.g.reshape(24, size, n), wanted.reshape(24, size, n))
    assert float(apart.amin(2).max()) < 1e-12 and float(apart.amin(1).max()) < 1e-12
    own = torch.cdist(poses.g.reshape(24, size, n), poses.g.reshape(24, size, n))
    assert size == 1 or float((own + 9 * torch.eye(size)).min()) > 0.1


def test_symmetrising_twice_changes_nothing() -> None:
    once = FrameAveraged(network(), f"SE(3): {SLOTS}")
    twice = FrameAveraged(once, f"SE(3): {SLOTS}")
    inputs = cloud()
    one, two, bare = once(inputs), twice(inputs), network()(**inputs)
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=0, atol=1e-12)
        assert float((one[name] - bare[name]).detach().abs().max()) > 0.01


def test_one_random_element_of_a_frame_is_not_enough() -> None:
    claim = f"SE(3): {SLOTS}"
    _, g = elements("SE(3)", 24)
    errors = {
        "full": error(FrameAveraged(network(), claim), claim, cloud(), g),
        "one": error(FrameAveraged(network(), claim, PCA(draw=1)), claim, cloud(), g),
        "many": error(FrameAveraged(network(), claim, PCA(draw=64)), claim, cloud(), g),
    }
    assert errors["full"] < 1e-12 and 0.4 < errors["one"] < 2.0
    assert errors["full"] < errors["many"] < errors["one"] / 2


def methane(gap: float, samples: int = 24) -> dict[str, Tensor]:
    """A carbon and four hydrogens, stretched so that the eigenvalues differ by about `gap` of the largest."""
    whole = torch.cat([torch.zeros(1, 3, dtype=torch.float64), METHANE])
    stretch = 1 + gap * torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    _, turns = elements("SO(3)", samples)
    z = cloud(samples, 5)["z"]
    return {"pos": (whole * stretch) @ turns.mT, "z": z}


def test_next_to_a_degeneracy_it_is_equivariant_and_noise_as_large_as_the_gap_moves_it() -> None:
    claim = f"SE(3): {SLOTS}"
    _, g = elements("SO(3)", 24)
    lifted = torch.eye(4, dtype=torch.float64).repeat(24, 1, 1)
    lifted[:, :3, :3] = g
    model, gap = FrameAveraged(network(5), claim), 1e-6
    assert error(model, claim, methane(gap), lifted) < 1e-7
    noise = gap * torch.randn(24, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    assert 0.1 < error(model, claim, methane(gap), lifted, noise) < 2.0
    assert error(model, claim, methane(0.5), lifted, noise) < 1e-4


def test_at_a_degeneracy_the_error_is_of_order_one() -> None:
    claim = f"SE(3): {SLOTS}"
    _, g = elements("SE(3)", 24)
    assert 0.2 < error(FrameAveraged(network(5), claim), claim, methane(0.0), g) < 3.0


@pytest.mark.parametrize(("group", "pose"), [("SE(3)", "gram-schmidt(pos[0],pos[1])"), ("O(3)", "gram-schmidt(a,b,c)")])
def test_the_frame_of_given_vectors_makes_a_network_equivariant(group: str, pose: str) -> None:
    inputs, extra = cloud(), {n: cloud(seed=7 + i)["pos"][:, 0] for i, n in enumerate("abc")}
    slots = SLOTS.replace("z=scalar", "z=scalar, a=vector, b=vector, c=vector")

    class More(Network):
        def forward(self, pos: Tensor, z: Tensor, a: Tensor, b: Tensor, c: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return super().forward(pos, z + a[:, :1] * b[:, 1:2] + c[:, 2:])

    model = Canonicalized(More().double(), f"{group}: {slots}", pose)
    found = audit(model, f"{group}: {slots}", {**inputs, **extra}, takes="dict")
    assert {f.verdict for f in found.findings} == {Verdict.EXACT}


def test_too_few_vectors_for_mirrors_are_refused() -> None:
    with pytest.raises(Exception, match="needs 3 vectors"):
        Canonicalized(network(), f"O(3): {SLOTS}", GramSchmidt("pos[0]", "pos[1]"))(cloud())


@pytest.mark.parametrize("group", ["C4", "D4", "Oh"])
def test_the_average_over_a_finite_group_is_equivariant(group: str) -> None:
    if group == "Oh":
        claim, inputs, model = f"Oh: {SLOTS}", cloud(), network()
    else:
        claim, inputs = f"{group}: image -> image", {"image": torch.rand(6, 1, 7, 7, dtype=torch.float64)}
        torch_generator = torch.Generator().manual_seed(4)
        model = nn.Conv2d(1, 1, 3, padding=1).double()
        for p in model.parameters():
            p.data = torch.randn(p.shape, generator=torch_generator, dtype=torch.float64)
    whole: Symmetrised = GroupAveraged(model, claim, inputs=[*inputs])
    assert {f.verdict for f in audit(whole, claim, inputs, takes="dict").findings} == {Verdict.EXACT}
    assert {f.verdict for f in audit(model, claim, inputs).findings} == {Verdict.BROKEN}


def test_an_average_over_drawn_elements_is_better_with_more_of_them() -> None:
    claim = f"SO(3): {SLOTS}"
    _, g = elements("SO(3)", 24)
    few, many = (error(GroupAveraged(network(), claim, count), claim, cloud(), g) for count in (4, 256))
    assert 1e-3 < many < few / 2


def test_sets_of_poses_are_compared_as_sets() -> None:
    _, r = elements("O(3)", 12)
    sets = r.reshape(3, 4, 3, 3)
    shuffled = sets[:, [2, 0, 3, 1]]
    action = FrameSet()
    assert float(action.difference(sets, shuffled).abs().max()) == 0.0
    assert float(action.difference(sets, sets.roll(1, 0)).min()) > 0.1
    turned = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    assert float(distance(torch.eye(3, dtype=torch.float64), turned)) == pytest.approx(torch.pi / 2)


@pytest.mark.parametrize("frame", [PCA(weights="mask"), PCA("pos", "mask")])
def test_a_mask_keeps_padding_out_of_the_frame(frame: Frame) -> None:
    claim = Claim.parse("SE(3): pos=points, mask=scalar -> scalar")
    inputs = {"pos": cloud()["pos"], "mask": torch.ones(24, ATOMS, dtype=torch.float64)}
    inputs["mask"][:, 5:] = 0
    other = {**inputs, "pos": inputs["pos"].clone()}
    other["pos"][:, 5:] += 7.0
    assert torch.equal(frame.poses(scene(claim, inputs)).g, frame.poses(scene(claim, other)).g)
    assert not torch.equal(PCA().poses(scene(claim, inputs)).g, PCA().poses(scene(claim, other)).g)
