"""The evaluator and the statistics against closed forms, and against its own choices of batch, order and packing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.claim import Claim
from symcheck.measure import evaluator as evaluator_module
from symcheck.measure.plan import strata
from symcheck.report.model import Finding


def one(model, claim: str, inputs, **options) -> Finding:
    (finding,) = symcheck.audit(model, claim, inputs, **options).findings
    return finding


class Gated(nn.Module):
    """v_i = sum_j gate(|r_ij|) r_ij, with biases: exactly equivariant; `leak` adds a part that is not."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.gate = nn.Sequential(nn.Linear(1, 16), nn.SiLU(), nn.Linear(16, 1))
        self.leak = leak

    def forward(self, pos: Tensor) -> Tensor:
        gaps = pos[:, :, None] - pos[:, None]
        distance = (gaps.square().sum(-1, keepdim=True) + 0.1).sqrt()
        exact = (self.gate(distance) * gaps).sum(2)
        return exact + self.leak * torch.tanh(pos[..., [1, 2, 0]] + 0.3)


def points(count: int = 64, n: int = 5) -> Tensor:
    return torch.randn(count, n, 3, generator=torch.Generator().manual_seed(1))


def test_share_of_a_planted_map_has_its_closed_form():
    # f(x) = x + eps N x, N traceless with |N|^2 = 3, x ~ N(0, I): share^2 = eps^2 / (1 + eps^2)
    eps = 0.1
    n = torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    n -= torch.eye(3) * n.trace() / 3
    n *= math.sqrt(3) / n.norm()
    w = torch.eye(3, dtype=torch.float64) + eps * n
    x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    found = one(lambda x: x @ w.T, "SO(3): vector -> vector", x, samples=2000, elements=400)
    expected = eps / math.sqrt(1 + eps**2)
    assert found.share.low <= expected <= found.share.high
    assert abs(found.share.value - expected) < 0.03 * expected


def test_a_constant_offset_does_not_hide_an_error():
    def energy(offset: float):
        return lambda pos: (pos[..., 0].tanh().sum(1) + offset)[:, None]

    plain, moved = (one(energy(c), "SO(3): points -> scalar", points().double()) for c in (0.0, 1000.0))
    assert moved.error.spread.mean == pytest.approx(plain.error.spread.mean, rel=1e-6)
    assert moved.error.relative.mean < 0.01 * plain.error.relative.mean


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_results_do_not_depend_on_the_batch_size(batch):
    reference = one(Gated(1e-2), "SO(3): points -> vector", points())
    found = one(Gated(1e-2), "SO(3): points -> vector", points(), batch_size=batch)
    assert found.error.spread.mean == pytest.approx(reference.error.spread.mean, rel=1e-5)
    assert found.share.value == pytest.approx(reference.share.value, rel=1e-5)
    assert (found.worst.element, found.worst.sample) == (reference.worst.element, reference.worst.sample)


def test_fewer_elements_are_a_prefix_of_more():
    worst = []
    for elements in (16, 48):
        found = one(Gated(1e-2), "SO(3): points -> vector", points(), elements=elements)
        worst.append(found.worst.value)
    assert worst[1] >= worst[0] * (1 - 1e-3)


def test_out_of_memory_halves_the_batch_and_loses_nothing():
    class Small(Gated):
        def forward(self, pos: Tensor) -> Tensor:
            if len(pos) > 20:
                raise torch.OutOfMemoryError("planted")
            return super().forward(pos)

    reference = one(Gated(1e-2), "SO(3): points -> vector", points())
    found = one(Small(1e-2), "SO(3): points -> vector", points())
    assert found.error.spread.mean == pytest.approx(reference.error.spread.mean, rel=1e-5)


def test_f_of_x_is_computed_once_and_every_pair_once():
    rows = []

    class Counting(Gated):
        def forward(self, pos: Tensor) -> Tensor:
            rows.append(len(pos))
            return super().forward(pos)

    symcheck.audit(Counting(), "SO(3): points -> vector", points(), elements=32, dtype="float32")
    cell = 64 * (32 + 1)
    assert cell <= sum(rows) <= 1.1 * cell


def test_memory_does_not_grow_with_the_elements(monkeypatch):
    sizes = []
    monkeypatch.setattr(evaluator_module, "_LARGEST", 64)

    class Watching(Gated):
        def forward(self, pos: Tensor) -> Tensor:
            sizes.append(len(pos))
            return super().forward(pos)

    largest = []
    for elements in (32, 512):
        sizes.clear()
        symcheck.audit(Watching(), "SO(3): points -> vector", points(), elements=elements)
        largest.append(max(sizes))
    assert largest[0] <= 64 and largest[1] <= 64


def test_forces_by_autograd_inside_the_model_and_by_derive():
    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(1, 8), nn.SiLU(), nn.Linear(8, 1))

        def forward(self, pos: Tensor) -> Tensor:
            square = (pos[:, :, None] - pos[:, None]).square().sum(-1, keepdim=True)
            return self.net(square).sum((1, 2, 3))

    class WithForces(Energy):
        def forward(self, pos: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            pos = pos.requires_grad_(True)
            energy = super().forward(pos)
            return {"energy": energy, "forces": -torch.autograd.grad(energy.sum(), pos)[0]}

    claim = "O(3): pos=points -> energy=scalar, forces=vector"
    inside = symcheck.audit(WithForces(), claim, {"pos": points()})
    outside = symcheck.audit(Energy(), claim, {"pos": points()}, derive={"forces": "-d(energy)/d(pos)"})
    for report in (inside, outside):
        assert {f.verdict for f in report.findings} == {"exact"}
        assert report.environment["gradients"] != "off"
        assert {(f.part, f.output) for f in report.findings} == {
            (part, output) for part in ("proper", "improper") for output in ("energy", "forces")
        }


def pack(dense: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor]:
    rows = torch.cat([x[:n] for x, n in zip(dense, sizes, strict=True)])
    return rows, torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


class PackedNet(nn.Module):
    """Packed graphs: rows with an owner index, energies per graph and vectors per row."""

    def __init__(self, leak: float = 0.0, by_order: float = 0.0) -> None:
        super().__init__()
        self.leak, self.by_order = leak, by_order

    def forward(self, pos: Tensor, batch: Tensor) -> dict[str, Tensor]:
        same = (batch[:, None] == batch[None]).to(pos)
        gaps = pos[:, None] - pos[None]
        weight = same * torch.exp(-gaps.square().sum(-1))
        force = (weight[..., None] * gaps).sum(1) + self.leak * torch.tanh(pos + 0.2)
        count = int(batch.max()) + 1
        rank = torch.arange(len(pos), device=pos.device) - torch.searchsorted(batch, batch)
        energy = torch.zeros(count, dtype=pos.dtype).index_add(
            0, batch, weight.sum(1) + self.by_order * rank * pos[:, 0]
        )
        return {"energy": energy, "forces": force}


def test_packed_and_dense_samples_give_the_same_numbers():
    class Dense(nn.Module):
        def forward(self, pos: Tensor) -> dict[str, Tensor]:
            batch = torch.arange(len(pos)).repeat_interleave(pos.shape[1])
            out = PackedNet(1e-2)(pos.flatten(0, 1), batch)
            return {"energy": out["energy"], "forces": out["forces"].view(pos.shape)}

    x = points(24, 4)
    rows, owner = pack(x, [4] * 24)
    claim = "SO(3): pos=points, batch=owner -> energy=scalar, forces=vector"
    dense = symcheck.audit(Dense(), "SO(3): pos=points -> energy=scalar, forces=vector", {"pos": x})
    packed = symcheck.audit(PackedNet(1e-2), claim, {"pos": rows, "batch": owner})
    assert [f.verdict for f in packed.findings] == [f.verdict for f in dense.findings]
    # the elements depend on the text of the claim, so the packed numbers are computed again in plain torch
    bound = Claim.parse(claim).bind({"pos": (4, 3), "batch": (4,)})
    (part,) = strata(bound, bound.outputs({"energy": (), "forces": (4, 3)}), 32, 0)
    net, wide = Dense(), x.double()
    gaps = [net(wide @ g.T)["forces"] - net(wide)["forces"] @ g.T for g in part.g]
    expected = torch.stack([gap.square().mean((1, 2)).sqrt() for gap in gaps]).mean()
    (forces,) = (f for f in packed.findings if f.output == "forces")
    assert forces.error.absolute.mean == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    "model, verdicts",
    [
        (PackedNet(), {"energy": "exact", "forces": "exact"}),
        (PackedNet(by_order=0.1), {"energy": "broken", "forces": "exact"}),
    ],
)
def test_permutations_of_ragged_packed_graphs(model, verdicts):
    sizes = [3, 6, 4, 5, 2, 6, 3, 5]
    rows, owner = pack(points(8, 6), sizes)
    report = symcheck.audit(
        model, "S: pos=nodes, batch=owner -> energy=invariant, forces=nodes", {"pos": rows, "batch": owner}
    )
    assert {f.output: f.verdict for f in report.findings} == verdicts


def test_packed_edges_are_relabelled():
    class EdgeNet(nn.Module):
        def __init__(self, broken: bool) -> None:
            super().__init__()
            self.broken = broken

        def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
            out = torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]].sin())
            return out + (0.1 * (edge_index.sum() % 7) + torch.arange(len(x))[:, None] * 0.01 if self.broken else 0.0)

    edges = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [1, 2, 0, 4, 5, 6, 3]])
    inputs = {
        "x": points(7, 1).flatten(1), "edge_index": edges, "batch": torch.tensor([0, 0, 0, 1, 1, 1, 1]),
    }  # fmt: skip
    claim = "S: x=nodes, edge_index=edges, batch=owner -> nodes"
    assert one(EdgeNet(False), claim, inputs).verdict == "exact"
    assert one(EdgeNet(True), claim, inputs).verdict in ("broken", "invalid")


def test_undeclared_outputs_and_inputs_are_errors_that_list_them():
    def model(pos: Tensor) -> dict[str, Tensor]:
        return {"energy": pos.sum((1, 2)), "charges": pos[..., 0]}

    with pytest.raises(symcheck.SymcheckError, match="charges"):
        symcheck.audit(model, "SO(3): pos=points -> energy=scalar", {"pos": points()})
    found = symcheck.audit(model, "S: pos=nodes -> energy=scalar, charges=ignore", {"pos": points()})
    assert [f.output for f in found.findings] == ["energy"]
    with pytest.raises(symcheck.SymcheckError, match="z"):
        symcheck.audit(model, "S: pos=nodes -> energy=scalar, charges=nodes", {"pos": points(), "z": points()})


def test_a_claim_that_moves_nothing_is_refused():
    with pytest.raises(symcheck.SymcheckError, match="no input is moved"):
        symcheck.audit(Gated(), "S: scalar -> scalar", points())


@pytest.mark.parametrize(
    "inputs, word",
    [
        (torch.zeros(0, 5, 3), "empty"),
        (torch.full((4, 5, 3), math.nan), "NaN"),
        (torch.zeros(1, 5, 3), "too few"),
    ],
)
def test_bad_inputs_are_refused(inputs, word):
    with pytest.raises(symcheck.SymcheckError, match=word):
        symcheck.audit(Gated(), "SO(3): points -> vector", inputs)


def test_a_model_that_raises_is_reported_as_the_model():
    def model(x: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 cannot be multiplied")

    with pytest.raises(symcheck.SymcheckError, match="cannot be multiplied") as caught:
        symcheck.audit(model, "SO(3): points -> scalar", points())
    assert "(64, 5, 3)" in caught.value.where or "5, 3" in caught.value.where


def test_training_mode_is_restored():
    net = Gated().train()
    symcheck.audit(net, "SO(3): points -> vector", points())
    assert net.training


def test_float64_subjects_and_lower_precisions():
    for dtype in ("float64", "float32"):
        assert one(Gated(), "SO(3): points -> vector", points(), dtype=dtype).verdict == "exact"
        assert one(Gated(1e-8), "SO(3): points -> vector", points(), dtype=dtype).verdict == "approximate"
    half = one(Gated(), "SO(3): points -> vector", points(), dtype="bfloat16")
    assert half.verdict == "exact"
    assert half.floor.rounding > 1e-4
    assert one(Gated(0.5), "SO(3): points -> vector", points(), dtype="bfloat16").verdict == "broken"


def test_a_model_that_computes_in_float32_inside_is_said_to():
    class Hidden(Gated):
        def forward(self, pos: Tensor) -> Tensor:
            low = {name: p.float() for name, p in self.gate.named_parameters()}
            gaps = (pos[:, :, None] - pos[:, None]).float()
            distance = (gaps.square().sum(-1, keepdim=True) + 0.1).sqrt()
            return (torch.func.functional_call(self.gate, low, (distance,)) * gaps).sum(2).to(pos)

    found = one(Hidden(), "SO(3): points -> vector", points())
    assert found.verdict == "exact"
    assert "precision could not be raised" in found.note


def test_rotation_outputs_are_compared_by_angle():
    from symcheck.actions.rotation import orthonormal

    class Frame(nn.Module):
        def __init__(self, leak: float) -> None:
            super().__init__()
            self.leak = leak

        def forward(self, pos: Tensor) -> Tensor:
            frame = orthonormal(torch.cat([pos[:, 0] - pos[:, 1], pos[:, 2] - pos[:, 1]], -1))
            tilt = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]], dtype=pos.dtype)
            return torch.linalg.matrix_exp(self.leak * torch.tanh(pos[:, 0, :1, None]) * tilt) @ frame

    assert one(Frame(0.0), "SO(3): points -> rotation", points()).verdict == "exact"
    found = one(Frame(0.1), "SO(3): points -> rotation", points())
    assert found.verdict == "broken"
    assert 0.0 < found.error.absolute.mean < 0.2  # radians


def test_complex_outputs_are_measured_whole():
    def wave(pos: Tensor) -> Tensor:
        return torch.complex(pos.square().sum((1, 2)), pos[..., 0].sum(1))

    assert one(wave, "SO(3): points -> scalar", points()).verdict == "broken"
    assert (
        one(lambda p: wave(p * 0 + p.norm(dim=-1, keepdim=True)), "SO(3): points -> scalar", points()).verdict
        == "exact"
    )


def test_a_constant_vector_is_broken_and_a_mean_direction_does_not_count_as_spread():
    def lean(pos: Tensor) -> Tensor:
        return pos.mean(1) * 1e-3 + torch.tensor([1.0, 2.0, 3.0])

    assert one(lean, "SO(3): points -> vector", points(), elements=400).share.value > 0.98
