"""Which arithmetic keeps a symmetry: the order of precisions, the cheapest that will do, and planted constants."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from symcheck.errors import ClaimError
from symcheck.locate.arithmetic import Rounded, rounded
from symcheck.locate.numerics import Asked, numerics_matrix
from symcheck.locate.numerics_result import Numerics
from symcheck.report.model import Verdict

SO3 = "SO(3): pos=points -> energy=invariant, force=vector"


class Gated(nn.Module):
    """Scalars and vectors of points (N, 3): exact under rotations, but for a stretched axis."""

    def __init__(self, leak: float = 0.0, *, constant: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 2))
        self.leak, self.constant = leak, constant

    def forward(self, pos: Tensor) -> dict[str, Tensor]:
        """The energy (n,) and one force (n, 3)."""
        if self.constant:  # an orthogonal matrix and its inverse, stored in single precision
            turn = torch.linalg.qr(torch.arange(9.0).reshape(3, 3).cos())[0].float()
            pos = pos @ turn.to(pos) @ torch.diag(torch.tensor([1.0, 1.0 / 3.0 * 3.0, 1.0])).to(pos)
            pos = pos @ turn.T.contiguous().float().to(pos)
        pos = pos * (1 + self.leak * torch.tensor([0.0, 0.0, 1.0]).to(pos))
        gram = pos @ pos.mT
        out = self.net(gram.sort(-1).values)
        return {"energy": out[..., 0].sum(-1), "force": (out[..., 1:] * pos).sum(-2)}


def matrix(leak: float = 0.0, compiler: str = "", constant: bool = False, **more: object) -> Numerics:
    torch.manual_seed(0)
    model = Gated(leak, constant=constant)
    x = torch.randn(12, 4, 3, generator=torch.Generator().manual_seed(1))
    asked = Asked(samples=8, elements=6, batch=16, compiler=compiler, **more)  # type: ignore[arg-type]
    return numerics_matrix(model, SO3, {"pos": x}, asked)


def error(found: Numerics, precision: str, output: str = "force", batch: int | None = None) -> float:
    cell = found.cell(precision, batch=batch)
    assert cell is not None and cell.measured, cell
    return cell.outputs[output].error


def test_an_exact_network_falls_with_the_precision_and_the_cheapest_is_named() -> None:
    found = matrix(tolerance=3e-3)
    errors = [error(found, p) for p in ("bfloat16", "tf32", "float32", "float64")]
    assert errors[0] > 3 * errors[1] > 9 * errors[2] > 1e6 * errors[3]
    assert errors[2] < 1e-5 and errors[3] < 1e-12
    floors = [cell.outputs["force"].floor for cell in found.cells]
    assert all(floor is not None and floor > 0 for floor in floors)
    assert found.cheapest is not None and found.cheapest.meets(3e-3) and found.cheapest.batch == 16
    cheaper = [c for c in found.cells if c.precision == "bfloat16"]
    assert not any(c.meets(3e-3) for c in cheaper) or found.cheapest.precision in ("bfloat16", "float16")


def test_the_tolerance_decides_which_cell_will_do() -> None:
    names = {}
    for tolerance in (1e-1, 1e-5, 1e-10):
        cheapest = matrix(tolerance=tolerance, precisions=("bfloat16", "float32", "float64")).cheapest
        assert cheapest is not None
        names[tolerance] = cheapest.precision
    assert names == {1e-1: "bfloat16", 1e-5: "float32", 1e-10: "float64"}
    assert matrix(leak=0.1, tolerance=1e-3).cheapest is None


def test_a_leak_stays_in_every_precision() -> None:
    found = matrix(leak=1e-2)
    fine, coarse = error(found, "float64"), error(found, "float32")
    assert fine > 1e-4 and coarse == pytest.approx(fine, rel=1e-2)
    assert found.notes == ()


def test_constants_in_single_precision_are_told() -> None:
    found = matrix(constant=True)
    assert 1e-10 < error(found, "float64") < 1e-6
    assert any("stored or computed in float32" in note for note in found.notes)
    assert matrix().notes == ()


def test_one_alone_and_many_together() -> None:
    found = matrix(precisions=("float32",))
    assert [cell.batch for cell in found.cells] == [1, 16]
    one, many = error(found, "float32", batch=1), error(found, "float32", batch=16)
    assert 0.2 < one / many < 5


def test_a_compiler_that_is_there_and_one_that_is_not() -> None:
    found = matrix(compiler="eager", precisions=("float32", "float64"))
    cell = found.cell("float64", "compiled")
    assert cell is not None and cell.measured and cell.outputs["force"].error < 1e-12
    missing = matrix(compiler="no-such-backend", precisions=("float32",)).cell("float32", "compiled")
    assert missing is not None and not missing.measured and missing.how.startswith("not measured: ")
    emulated = matrix(compiler="eager", precisions=("tf32",))
    assert not any(cell.measured for cell in emulated.cells if cell.engine == "compiled")


def test_a_program_of_fixed_precision_is_measured_as_it_is() -> None:
    torch.manual_seed(0)
    x = torch.randn(12, 4, 3, generator=torch.Generator().manual_seed(1))
    program = torch.jit.trace(  # type: ignore[no-untyped-call]
        nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval(), x
    )
    found = numerics_matrix(program, "SO(3): points -> invariant", x, Asked(samples=8, elements=4, compiler=""))
    assert {cell.precision for cell in found.cells if cell.measured} == {"float32"}
    assert all("fixed precision" in cell.how for cell in found.cells if not cell.measured)


def test_what_overflows_never_meets_a_tolerance() -> None:
    class Loud(nn.Module):
        """Numbers that half precision does not hold."""

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(1, 2)

        def forward(self, pos: Tensor) -> Tensor:
            y: Tensor = self.net(1e6 * pos.square().sum((1, 2))[:, None])
            return y

    torch.manual_seed(0)
    x = torch.randn(8, 4, 3, generator=torch.Generator().manual_seed(1))
    asked = Asked(samples=8, elements=4, compiler="", precisions=("float16", "float32"))
    found = numerics_matrix(Loud(), "SO(3): points -> invariant", x, asked)
    half = found.cell("float16")
    assert half is not None and not half.meets(math.inf)
    assert found.cheapest is not None and found.cheapest.precision == "float32"
    assert any("NaN or infinity" in note for note in found.notes) or not half.measured


def test_relations_and_packed_graphs_are_refused() -> None:
    x = torch.randn(6, 3)
    batch = torch.tensor([0, 0, 0, 1, 1, 1])
    with pytest.raises(ClaimError, match="packed"):
        numerics_matrix(Gated(), "SO(3): pos=points, batch=owner -> energy=invariant", {"pos": x, "batch": batch})


def test_rounding_to_ten_bits_is_to_the_nearest_and_even() -> None:
    step = 2.0**-10
    x = torch.tensor([1.0, 1 + 0.4 * step, 1 + 0.6 * step, 1 + 0.5 * step, 1 + 1.5 * step, -1 - 0.6 * step, math.inf])
    expected = torch.tensor([1.0, 1.0, 1 + step, 1.0, 1 + 2 * step, -1 - step, math.inf])
    assert torch.equal(rounded(x, 10), expected)
    assert bool(rounded(torch.tensor([math.nan]), 10).isnan())
    y = torch.randn(1000)
    assert float(((rounded(y, 10) - y) / y).abs().max()) <= 2.0**-11


def test_emulation_rounds_products_in_single_precision_and_nothing_else() -> None:
    a, b = torch.randn(8, 8), torch.randn(8, 8)
    with Rounded():
        product, total, double = a @ b, a + b, a.double() @ b.double()
    assert torch.equal(product, rounded(a, 10) @ rounded(b, 10)) and not torch.equal(product, a @ b)
    assert torch.equal(total, a + b) and torch.equal(double, a.double() @ b.double())


def test_the_document_is_plain() -> None:
    found = matrix(precisions=("float32",))
    plain = found.to_dict()
    assert plain["schema"] == "symcheck.numerics/1" and plain["cheapest"] == str(found.cheapest)
    assert plain["cells"][0]["outputs"]["force"]["verdict"] == Verdict.EXACT


def test_products_inside_of_recurrent_layers_are_rounded_too() -> None:
    torch.manual_seed(0)
    net, x = nn.LSTM(4, 8, batch_first=True), torch.randn(3, 5, 4)
    with torch.inference_mode():
        plain = net(x)[0]
        with Rounded():
            coarse = net(x)[0]
        with Rounded(bits=22):
            same = net(x)[0]
    assert 1e-5 < float((coarse - plain).abs().max()) < 1e-2
    assert float((same - plain).abs().max()) < 1e-6
