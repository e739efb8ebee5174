"""Audits of canonicalisers: sound ones, planted faults, degeneracies made on purpose, and the plain figures."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from test_frame_laws import METHANE, Network, cloud, network
from torch import Tensor, nn

from symcheck.errors import ConfigError, DataError, SymcheckError
from symcheck.frames.audit import Audited, How, audit_canonicalizer
from symcheck.frames.degenerate import families
from symcheck.frames.figures import circular_transport, prior
from symcheck.frames.frame import Frame
from symcheck.frames.pose import User, frame_of
from symcheck.groups.draws import Draws
from symcheck.groups.rotations import haar_rotation
from symcheck.report.model import Report, Verdict
from symcheck.subject import as_subject

SLOTS = "pos=points, z=scalar -> energy=scalar, forces=vector"
HOW = How(samples=16, elements=8)


def columns(pos: Tensor) -> Tensor:
    """Gram-Schmidt of the first two points from the centroid."""
    x = pos - pos.mean(1, keepdim=True)
    a = nn.functional.normalize(x[:, 0], dim=-1)
    b = nn.functional.normalize(x[:, 1] - (a * x[:, 1]).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.linalg.cross(a, b, dim=-1)], -1)


def transposed(pos: Tensor) -> Tensor:
    return columns(pos).mT


def still(pos: Tensor) -> Tensor:
    return torch.eye(3).repeat(len(pos), 1, 1)


def doubled(pos: Tensor) -> Tensor:
    return 2 * columns(pos)


def posed(pos: Tensor) -> tuple[Tensor, Tensor]:
    return columns(pos), pos.mean(1)


def found_of(audited: Audited) -> dict[tuple[str, str], Verdict]:
    """The verdicts by output and part, of the canonicaliser and end to end."""
    return {(f.output, f.part): f.verdict for f in audited.findings if "pose=frame" not in f.claim}


def audited(pose: Frame | str, group: str = "SO(3)", model: nn.Module | None = None, samples: int = 16) -> Audited:
    subject = None if model is None else as_subject(model)
    return audit_canonicalizer(pose, f"{group}: {SLOTS}", cloud(samples), subject, HOW)


def user(function: Callable[..., object]) -> User:
    return User(function, function.__name__)


@pytest.mark.parametrize("pose", [user(columns), "gram-schmidt(pos[0],pos[1])"])
def test_a_sound_canonicaliser_is_exact_by_all_parts_of_the_budget(pose: Frame | str) -> None:
    found = audited(pose, model=network())
    general = {key: v for key, v in found_of(found).items() if not key[1]}
    assert general.keys() == {(name, "") for name in ("frame", "canonical", "energy", "forces")}
    assert {*general.values()} == {Verdict.EXACT}
    special = {key[1]: v for key, v in found_of(found).items() if key[1] in ("tetrahedral", "symmetric top")}
    assert len(special) == 2 and {*special.values()} == {Verdict.EXACT}  # its vectors do not degenerate there
    assert [row.part for row in found.figures.budget] == ["canonicaliser", "network with an oracle", "end to end"]
    assert all(row.error < 1e-12 for row in found.figures.budget)
    assert found.figures.validity.orthogonality < 1e-12 and found.figures.validity.idempotence < 1e-6


@pytest.mark.parametrize("planted", [transposed, still])
def test_a_planted_fault_breaks_the_canonicaliser_and_not_the_network_with_an_oracle(
    planted: Callable[[Tensor], Tensor],
) -> None:
    found = audited(user(planted), model=network())
    verdicts = found_of(found)
    assert {verdicts[name, ""] for name in ("frame", "canonical", "energy", "forces")} == {Verdict.BROKEN}
    inverse = any("returns the inverse" in f.advice for f in found.findings)
    assert inverse == (planted is transposed)
    alone, oracle, whole = found.figures.budget
    assert (alone.verdict, oracle.verdict, whole.verdict) == (Verdict.BROKEN, Verdict.EXACT, Verdict.BROKEN)


def test_a_frame_with_a_cross_product_does_not_turn_with_mirrors() -> None:
    verdicts = found_of(audited(user(columns), "O(3)"))
    assert verdicts["frame", "proper"] is Verdict.EXACT
    assert verdicts["frame", "improper"] is Verdict.BROKEN


def test_a_pair_of_turn_and_shift_is_an_element_of_a_group_with_shifts() -> None:
    assert found_of(audited(user(posed), "SE(3)"))["frame", ""] is Verdict.EXACT
    with pytest.raises(DataError, match=r"no elements of SE\(3\)"):
        audited(user(columns), "SE(3)")


def test_what_is_no_rotation_is_refused() -> None:
    with pytest.raises(DataError, match="no rotations"):
        audited(user(doubled))


def test_an_exact_frame_is_broken_at_the_degeneracies_alone() -> None:
    found = audited("pca", "SE(3)", network())
    verdicts = found_of(found)
    names = ("frame", "canonical", "energy", "forces")
    for part in ("", "planar"):
        assert {verdicts[name, part] for name in names} == {Verdict.EXACT}
    for part in ("tetrahedral", "symmetric top"):
        assert {verdicts[name, part] for name in names} == {Verdict.BROKEN}
    # a turn about the line leaves the cloud alone: the frame is free, the form is not
    assert verdicts["frame", "collinear"] is Verdict.BROKEN and verdicts["canonical", "collinear"] is Verdict.EXACT
    stray = next(f for f in found.findings if (f.output, f.part) == ("frame", "collinear"))
    for one in (f for f in found.findings if f.verdict is Verdict.BROKEN and f.part):
        assert one.error is not None and one.floor.rounding is not None
        assert one.error.spread.mean > one.floor.rounding or "the floor excuses nothing" in one.note, one
    still = next(f for f in found.findings if (f.output, f.part) == ("canonical", "collinear"))
    assert "could not be raised" not in still.note
    assert "leaves x alone" in stray.note
    assert not found.report(as_subject(network()), {}).holds


def test_a_tetrahedral_molecule_in_the_data_is_a_finding_of_its_own() -> None:
    inputs = cloud(16, 5)
    whole = torch.cat([torch.zeros(1, 3, dtype=torch.float64), METHANE])
    for i, r in enumerate(haar_rotation(3, 3, Draws(0, "methane"))):
        inputs["pos"][5 * i] = whole @ r.T
    found = audit_canonicalizer("pca", f"SE(3): {SLOTS}", inputs, as_subject(network(5)), HOW)
    verdicts = found_of(found)
    for name in ("frame", "canonical", "energy", "forces"):
        assert verdicts[name, ""] is Verdict.EXACT
        assert verdicts[name, "3 degenerate samples"] is Verdict.BROKEN
    gaps = found.figures.gaps
    assert gaps is not None and gaps.kind == "eigen-gap" and gaps.least < 1e-12 and gaps.decades[-1] == 3


def test_a_frame_average_jumps_where_axes_swap_and_is_smooth_elsewhere() -> None:
    found = audited("pca", "SE(3)", network())
    straight, swap = found.figures.continuity
    assert swap.jumps and abs(swap.slope) < 0.1 and swap.jump > 0.05
    assert not straight.jumps and straight.slope == pytest.approx(1.0, abs=0.1)
    plain = audited("average(8)", "SO(3)", network()).figures.continuity
    assert [one.jumps for one in plain] == [False]


def test_an_argmax_over_turns_is_exact_and_jumps() -> None:
    images = {"image": torch.rand(12, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))}
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    found = audit_canonicalizer("argmax", "C4: image -> logits=invariant", images, as_subject(model), HOW)
    assert {f.verdict for f in found.findings} == {Verdict.EXACT}
    assert found.figures.gaps is not None and found.figures.gaps.kind == "margin"
    assert found.figures.continuity[0].jumps
    assert any("no dense input of points" in what for what in found.figures.untested)


def test_a_learned_canonicaliser_is_cast_with_the_network() -> None:
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(8, 2, bias=False)

        def forward(self, pos: Tensor) -> Tensor:
            v = self.mix((pos - pos.mean(1, keepdim=True)).mT)
            return columns(torch.cat([v.mT, -v.mT.sum(1, keepdim=True)], 1))

    inputs = {name: x.float() for name, x in cloud(16).items()}
    found = audit_canonicalizer(User(Learned(), "learned"), f"SO(3): {SLOTS}", inputs, as_subject(Network()), HOW)
    verdicts = found_of(found)
    assert {verdicts[name, ""] for name in ("frame", "canonical", "energy", "forces")} == {Verdict.EXACT}


def test_packed_clouds_have_frames_too() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 4)).double()

        def forward(self, pos: Tensor, batch: Tensor) -> dict[str, Tensor]:
            h = self.inner(pos)
            count = int(batch.max()) + 1
            return {"energy": h.new_zeros(count).index_add(0, batch, h[:, 0]), "forces": h[:, 1:]}

    sizes = torch.tensor([4, 7, 5, 6, 9, 4])
    batch = torch.repeat_interleave(torch.arange(6), sizes)
    inputs = {"pos": cloud(1, int(sizes.sum()))["pos"][0], "batch": batch}
    claim = "SE(3): pos=points, batch=owner -> energy=scalar, forces=vector"
    found = audit_canonicalizer("pca", claim, inputs, as_subject(Pooled()), HOW)
    assert {f.verdict for f in found.findings} == {Verdict.EXACT}
    assert {f.output for f in found.findings} == {"frame", "energy", "forces"}
    assert found.figures.untested


def test_the_law_of_poses_tells_upright_data_from_turned_ones() -> None:
    upright = torch.eye(2, dtype=torch.float64).repeat(64, 1, 1)[:, None]
    angle = torch.arange(64, dtype=torch.float64) * (2 * math.pi / 64)
    even = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(64, 1, 2, 2)
    flat, peaked = prior(even), prior(upright)
    assert flat is not None and peaked is not None
    assert flat.from_uniform < 0.06 and peaked.from_uniform == pytest.approx(math.pi / 2, rel=0.01)
    assert circular_transport(angle + 1.0) == pytest.approx(circular_transport(angle), abs=0.01)
    haar, fixed = (prior(r[:, None]) for r in (haar_rotation(4000, 3, Draws(0, "law")), torch.eye(3).repeat(9, 1, 1)))
    assert haar is not None and fixed is not None
    assert haar.from_uniform < 0.01 and fixed.from_uniform == pytest.approx(math.log(32), rel=1e-6)
    assert haar.mean_angle == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.05)


def test_clouds_are_as_degenerate_as_they_are_called() -> None:
    x = cloud(3, 7)["pos"]
    made = families(x)
    assert made.keys() == {"collinear", "planar", "symmetric top", "tetrahedral"}
    ranks = {name: torch.linalg.svdvals(y - y.mean(1, keepdim=True)) for name, y in made.items()}
    assert float(ranks["collinear"][:, 1].max()) < 1e-12 < float(ranks["collinear"][:, 0].min())
    assert float(ranks["planar"][:, 2].max()) < 1e-12 < 0.1 < float(ranks["planar"][:, 1].min())
    assert torch.allclose(ranks["tetrahedral"][:, 0], ranks["tetrahedral"][:, 2])
    assert {*families(x[..., :2])} == {"collinear", "polygon"}


def test_the_figures_of_an_audit_are_plain_data_of_a_report() -> None:
    report = audited("pca", "SE(3)").report(as_subject(network()), {"samples": 16})
    again = Report.from_json(report.to_json())
    assert again.findings == report.findings
    assert again.settings["canonicalizer"][0]["validity"]["elements"] == 4
    assert any("eigen-gap" in note for note in again.notes)


@pytest.mark.parametrize("text", ["pcb", "pca(a,b,c)", "average(x)", "nowhere:pose"])
def test_unknown_canonicalisers_are_refused(text: str) -> None:
    with pytest.raises(SymcheckError):
        frame_of(text)


def test_a_frame_of_several_elements_is_no_canonicaliser() -> None:
    from symcheck.frames.modules import Canonicalized

    with pytest.raises(ConfigError, match="4 elements"):
        Canonicalized(network(), f"SE(3): {SLOTS}", "pca")(cloud())
