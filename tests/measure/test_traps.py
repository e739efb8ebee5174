"""Functions that look right to a careless checker: each must get its true verdict, or a clear refusal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import symcheck

X = torch.randn(64, 5, 3, generator=torch.Generator().manual_seed(0))
INVARIANT = "SO(3): vector -> scalar"


def verdict(model, claim: str, inputs, **options) -> str:
    (found,) = symcheck.audit(model, claim, inputs, **options).findings
    return str(found.verdict)


class Offset(nn.Module):
    def __init__(self, offset: float, leak: float) -> None:
        super().__init__()
        self.offset, self.leak = nn.Parameter(torch.tensor(offset)), leak

    def forward(self, x: Tensor) -> Tensor:
        return self.offset + 2 * x.norm(dim=-1).sum(1) + self.leak * x[:, 0, 0]


@pytest.mark.parametrize("offset", [0.0, 1e5, 3e6])
def test_a_large_offset_hides_no_break(offset: float):
    assert verdict(Offset(offset, 0.1), INVARIANT, X) == "broken"
    assert verdict(Offset(offset, 0.0), INVARIANT, X) == "exact"


def test_a_program_whose_rounding_exceeds_the_tolerance_is_not_called_exact(tmp_path):
    path = tmp_path / "net.ts"
    torch.jit.trace(Offset(1e5, 0.005), X[:2]).save(str(path))
    assert verdict(symcheck.load(path, allow_program=True), INVARIANT, X) == "inconclusive"


def test_one_output_does_not_hide_another():
    on = torch.zeros(64)
    on[torch.arange(3, 64, 9)] = 1

    def model(x: Tensor, t: Tensor) -> dict[str, Tensor]:
        norms = x.norm(dim=-1).sum(1)
        return {"a": norms + 0.3 * x[:, :, 0].sum(1).tanh() * on[t], "b": torch.where(t == 40, 1e5 * norms, norms)}

    claim = "SO(3): x=vector, t=scalar -> a=scalar, b=scalar"
    found = {f.output: f.verdict for f in symcheck.audit(model, claim, {"x": X, "t": torch.arange(64)}).findings}
    assert found == {"a": "broken", "b": "exact"}


def test_large_numbers_of_one_output_hide_no_small_broken_one():
    def model(x: Tensor) -> Tensor:
        return torch.stack([1e6 * x.norm(dim=-1).sum(1), x[:, 0, 0]], 1)

    (found,) = symcheck.audit(model, INVARIANT, X).findings
    assert found.verdict == "broken" and "number 1" in found.note


def test_fixed_points_among_the_first_samples():
    x = X.clone()
    x[:4] = 0
    assert verdict(lambda x: x[..., 0].sum(1), INVARIANT, x) == "broken"
    assert verdict(lambda x: x.sum(1) * x.norm(dim=(1, 2))[:, None], "SO(3): vector -> vector", x) == "exact"


def test_a_model_that_writes_into_its_inputs_or_reuses_its_output():
    def in_place(x: Tensor) -> Tensor:
        x *= 2
        return x.norm(dim=-1).sum(1)

    class Static(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("out", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.sum(x.norm(dim=-1), 1, out=self.out.resize_(len(x)))

    assert verdict(in_place, INVARIANT, X) == "exact"
    assert verdict(Static(), INVARIANT, X) == "exact"


def test_inputs_are_bound_by_name():
    class Lean(nn.Module):
        def forward(self, pos: Tensor, vel: Tensor) -> Tensor:
            centred = pos - pos.mean(1, keepdim=True)
            return (centred * vel).sum((1, 2)) + vel.norm(dim=-1).sum(1)

    inputs = {"vel": X.flip(0), "pos": X}
    assert verdict(Lean(), "SE(3): pos=points, vel=vector -> scalar", inputs) == "exact"
    with pytest.raises(symcheck.SymcheckError, match="another place"):
        symcheck.audit(Lean(), "SE(3): vel=vector, where=points -> scalar", {"vel": X, "where": X})


def test_randomness_is_never_called_constant():
    def flips(x: Tensor) -> Tensor:
        return x.norm(dim=-1).sum(1) + (torch.rand(len(x)) < 0.3) * 5.0

    assert verdict(flips, INVARIANT, X) in ("invalid", "broken")


def test_share_is_the_same_from_averages_and_from_single_elements():
    n = torch.tensor([[0.0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.float64)
    x = torch.randn(3000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    findings = symcheck.audit(lambda x: x + x @ n, "O(3): vector -> vector", x, samples=3000, elements=64).findings
    shares = {f.part: f.share.value for f in findings}
    assert shares["proper"] == pytest.approx(0.5**0.5, rel=0.05)
    assert shares["improper"] == pytest.approx(shares["proper"], rel=0.05)


def test_an_offset_in_packed_rows_hides_no_break():
    def model(h: Tensor, b: Tensor) -> Tensor:
        return 1000 + h + 0.3 * (torch.arange(len(h)) % 5 == 0)[:, None]

    rows = torch.randn(320, 4, generator=torch.Generator().manual_seed(2))
    inputs = {"h": rows, "b": torch.arange(64).repeat_interleave(5)}
    assert verdict(model, "S: h=nodes, b=owner -> nodes", inputs) == "broken"


def ring(count: int, size: int) -> Tensor:
    nodes = torch.arange(count * size)
    return torch.stack([nodes, nodes // size * size + (nodes + 1) % size])


def test_packed_graphs_with_two_edge_lists_and_refusals():
    one = ring(4, 5)
    two = torch.cat([one, one.flip(0)], 1)
    seen = []

    def model(x: Tensor, short: Tensor, long: Tensor, edge_weight: Tensor, batch: Tensor) -> Tensor:
        seen.append(long.shape[1] / (int(batch.max()) + 1))
        out = torch.zeros_like(x).index_add(0, short[1], x[short[0]])
        return out.index_add(0, long[1], x[long[0]].sin() * edge_weight[:, None])

    inputs = {
        "x": torch.randn(20, 3, generator=torch.Generator().manual_seed(3)), "short": one, "long": two,
        "edge_weight": torch.rand(40, generator=torch.Generator().manual_seed(4)),
        "batch": torch.arange(4).repeat_interleave(5),
    }  # fmt: skip
    claim = "S: x=nodes, short=edges, long=edges, edge_weight=scalar, batch=owner -> nodes"
    assert verdict(model, claim, inputs) == "exact"
    assert set(seen) == {10.0}
    crossing = inputs | {"short": torch.stack([one[0], one[1].roll(7)])}
    with pytest.raises(symcheck.SymcheckError, match="between different samples"):
        symcheck.audit(model, claim, crossing)
    with pytest.raises(symcheck.SymcheckError, match="must number the samples"):
        symcheck.audit(model, claim, inputs | {"batch": inputs["batch"] + 3})


def test_the_search_stays_among_the_lattice_elements():
    def model(x: Tensor) -> Tensor:
        return x.sum((1, 2, 3)) + x[:, 0, 3:5, 3:5].sum((1, 2)).square()

    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    for found in symcheck.audit(model, "SO(2): image -> invariant", images, worst=True).findings:
        assert found.worst.value <= found.error.spread.max * 1.001


def test_complex_vectors_and_scalars():
    def rotated(x: Tensor) -> Tensor:
        return torch.complex(x[:, 0], x[:, 1])

    assert verdict(rotated, "SO(3): vector -> vector", X) == "exact"
    assert verdict(lambda x: rotated(x) + 0.1, "SO(3): vector -> vector", X) == "broken"


@pytest.mark.parametrize(
    "options, word",
    [
        ({"samples": -5}, "samples"),
        ({"seed": 2**64}, "seed"),
        ({"tolerance": {"C4: image -> invariant": 1.0}}, "no claim"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict, word: str):
    with pytest.raises(symcheck.SymcheckError, match=word):
        symcheck.audit(Offset(0.0, 0.0), INVARIANT, X, **options)


def test_a_finite_group_is_drawn_without_replacement():
    (found,) = symcheck.audit(lambda x: x[:, 0, 0], "C200: vector -> scalar", X[..., :2], elements=150).findings
    assert found.counts.elements == 150 and not found.counts.exhaustive


def test_a_compiled_module_and_an_empty_container():
    class Empty(nn.ModuleList):
        def forward(self, x: Tensor) -> Tensor:
            return x.norm(dim=-1).sum(1)

    assert verdict(Empty(), INVARIANT, X) == "exact"
    with pytest.raises(symcheck.SymcheckError, match="empty"):
        symcheck.audit(lambda x: x[:, :0], INVARIANT, X)


def test_packed_data_take_a_batch_size():
    inputs = {"pos": X[:8].flatten(0, 1), "batch": torch.arange(8).repeat_interleave(5)}

    def model(pos: Tensor, batch: Tensor) -> Tensor:
        return torch.zeros(int(batch.max()) + 1).index_add(0, batch, pos.norm(dim=1))

    assert verdict(model, "SO(3): pos=points, batch=owner -> scalar", inputs, batch_size=1) == "exact"


def test_translations_that_move_nothing_are_refused():
    for claim in ("SE(3): vector -> scalar", "E(3): vector -> scalar", "T(3): vector -> scalar"):
        with pytest.raises(symcheck.SymcheckError, match="no input is moved by the translations"):
            symcheck.audit(Offset(0.0, 0.0), claim, X)
    assert verdict(Offset(0.0, 0.0), "SE(3): points -> scalar", X) == "broken"


def test_labels_in_the_data_are_kept_from_the_model():
    inputs = {"x": X, "label": torch.arange(64)}
    assert verdict(Offset(0.0, 0.0), "SO(3): x=vector, label=ignore -> scalar", inputs) == "exact"


def test_integers_are_not_turned():
    with pytest.raises(symcheck.SymcheckError, match="integers"):
        symcheck.audit(lambda x: x.float().norm(dim=-1).sum(1), "SO(3): points -> scalar", (X * 9).long())


@pytest.mark.parametrize("inputs", ["normal(32,3)", 7, [1, 2], None])
def test_inputs_that_are_no_tensors_are_refused(inputs):
    with pytest.raises(symcheck.SymcheckError):
        symcheck.audit(Offset(0.0, 0.0), INVARIANT, inputs)


def test_arrays_are_inputs_and_reports_print():
    report = symcheck.audit(Offset(0.0, 0.0), INVARIANT, X.numpy())
    assert report.verdict == "exact" and "exact" in str(report)


def test_an_unstable_frame_is_broken_and_not_constant():
    def frame(pos: Tensor) -> Tensor:
        centred = pos - pos.mean(1, keepdim=True)
        return (centred @ torch.linalg.eigh(centred.mT @ centred)[1])[:, 0]

    assert verdict(frame, "SO(3): points -> scalar", X) == "broken"


def test_a_scalar_output_without_samples_is_refused():
    with pytest.raises(symcheck.SymcheckError, match="no leading sample axis"):
        symcheck.audit(lambda x: x.square().sum(), INVARIANT, X)


def test_a_leak_in_one_output_says_nothing_of_the_constants_of_another():
    def model(x: Tensor) -> dict[str, Tensor]:
        norms = x.norm(dim=-1).sum(1)
        return {"a": norms, "b": norms + 1e-9 * x[:, 0, 0], "c": norms.double() - 115.0}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {name: self.one * y for name, y in model(x).items()}

    found = {
        f.output: f for f in symcheck.audit(Net(), "SO(3): x=vector -> a=scalar, b=scalar, c=scalar", {"x": X}).findings
    }
    assert {name: str(f.verdict) for name, f in found.items()} == {"a": "exact", "b": "approximate", "c": "exact"}
    assert found["a"].note == found["c"].note == ""
