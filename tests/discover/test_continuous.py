"""The Lie algebra of a network in closed form: laws with known answers, planted leaks, and networks that have none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.discover.claims import claims_of
from symcheck.discover.continuous import Found, find_continuous
from symcheck.discover.unknowns import Ask
from symcheck.errors import DataError
from symcheck.measure.audit import Options
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.session import open_session
from symcheck.subject import as_subject

FIXTURES = Path(__file__).parents[2] / "fixtures"


def searched(model: Any, inputs: Tensor | Mapping[str, Tensor], owner: str = "", **ask: Any) -> tuple[Found, list[str]]:
    """What is found of a network, and the claims that follow."""
    tensors = {"x": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    tolerance, only = ask.pop("tolerance", 1e-3), ask.pop("only", ())
    subject = as_subject(model)
    runner = Runner(subject, torch.device("cpu"), subject.dtype or torch.float64, [])
    slots = ", ".join(f"{name}={'owner' if name == owner else 'points'}" for name in tensors)
    texts = [f"T(3): {slots} -> invariant"] if owner else []
    with measuring(runner):
        session = open_session(runner, tensors, texts, Options(tolerance=tolerance), None)
        found = find_continuous(session, Ask(inputs=only, **ask))
        claims = claims_of(found.audit, found.span).claims if found.audit and found.span else ()
    return found, list(claims)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sine(x: Tensor) -> Tensor:
    """sin|x|²."""
    return x.square().sum(-1).sin()


def minkowski(x: Tensor) -> Tensor:
    """sin(t² − |x|²)."""
    return (x[:, 0].square() - x[:, 1:].square().sum(-1)).sin()


def wave(x: Tensor) -> Tensor:
    """x exp(−|x|²)."""
    return x * (-x.square().sum(-1, keepdim=True)).exp()


def cross(x: Tensor) -> Tensor:
    """a × b of the two halves."""
    return torch.linalg.cross(x[:, :3], x[:, 3:])


def cross_rows(x: Tensor) -> Tensor:
    """a × b of two rows."""
    return torch.linalg.cross(x[:, 0], x[:, 1])


def square(x: Tensor) -> Tensor:
    """|x|²."""
    return x.square().sum(-1)


@pytest.mark.parametrize(
    ("model", "shape", "ask", "dimension", "name"),
    [
        (sine, (3,), {}, 3, "so(3)"),
        (sine, (5,), {}, 10, "so(5)"),
        (minkowski, (4,), {}, 6, "so(1,3)"),
        (wave, (3,), {}, 3, "so(3)"),
        (cross, (6,), {}, 12, "sl(3) + sl(2) + R"),
        (cross, (6,), {"forms": {"": "skew"}}, 4, "so(3) + R"),
        (cross_rows, (2, 3), {}, 9, "gl(3)"),
        (cross_rows, (2, 3), {"forms": {"": "skew"}}, 3, "so(3)"),
        (square, (3,), {}, 3, "so(3)"),
        (square, (3,), {"acting": "free"}, 4, "so(3) + scalings"),
        (minkowski, (4,), {"forms": {"": "diag(1,1,1,1)"}}, 3, "so(3)"),
    ],
)
def test_known_algebras(
    model: Callable[[Tensor], Tensor], shape: tuple[int, ...], ask: dict[str, Any], dimension: int, name: str
) -> None:
    result = searched(model, drawn(200, *shape), **ask)[0].result
    assert (result.verdict, result.dimension, result.near) == ("exact", dimension, 0)
    assert result.interval == (dimension, dimension)
    assert result.algebra is not None and result.algebra.name == name and result.algebra.closure < 1e-12
    inside, beyond = result.spectrum[dimension - 1], result.spectrum[dimension]
    assert inside.sigma < 1e-12 and beyond.sigma > 0.1 and beyond.sigma > 100 * beyond.floor
    assert all(one.verdict == "exact" for one in result.verified)


def test_form_of_spacetime() -> None:
    algebra = searched(minkowski, drawn(200, 4))[0].result.algebra
    assert algebra is not None and algebra.killing == (3, 3, 0)
    (form,) = algebra.forms
    assert form.kind == "symmetric" and form.signature == (1, 3)
    assert np.allclose(np.array(form.matrix), np.diag([1.0, -1.0, -1.0, -1.0]), atol=1e-9)


def test_form_of_another_basis() -> None:
    s = drawn(4, 4, seed=3)
    found, claims = searched(lambda x: minkowski(x @ s.to(x)), drawn(300, 4))
    algebra = found.result.algebra
    assert algebra is not None and (algebra.name, algebra.standard) == ("so(1,3)", False)
    (form,) = algebra.forms
    eta = torch.diag(torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=torch.float64))
    expected = s @ eta @ s.T
    matrix = torch.tensor(form.matrix, dtype=torch.float64)
    assert abs(float((matrix * expected).sum() / matrix.norm() / expected.norm())) == pytest.approx(1, abs=1e-8)
    assert not claims  # the language has no words for it


def test_inputs_with_their_own_generators() -> None:
    inputs = {"a": drawn(200, 3), "b": drawn(200, 3, seed=1)}

    def two(a: Tensor, b: Tensor) -> Tensor:
        return torch.linalg.cross(a, b)

    own, claims = searched(two, inputs)
    assert own.result.dimension == 10  # gl(3), and a scaling of one of the two
    assert searched(two, inputs, shared=True)[0].result.dimension == 9
    one = searched(two, inputs, only=("a",))[0].result
    assert one.inputs == ("a",) and one.dimension == 1  # b stands still: only the scaling of a is left
    assert "O(3): a=vector, b=vector -> output=pseudovector" in claims


def fixture(name: str, count: int) -> tuple[nn.Module, dict[str, Tensor]]:
    sys.path.insert(0, str(FIXTURES))
    try:
        import models
    finally:
        sys.path.pop(0)
    net: nn.Module = getattr(models, name.replace("-", "_"))()
    net.load_state_dict(load_file(FIXTURES / f"{name}.safetensors"))
    data = np.load(FIXTURES / f"{name}-data.npz")
    return net, {key: torch.as_tensor(data[key])[:count] for key in ("pos", "z")}


def test_trained_potential_is_euclidean() -> None:
    found, claims = searched(*fixture("potential", 16))
    result = found.result
    assert (result.verdict, result.dimension) == ("exact", 6)
    assert result.algebra is not None and result.algebra.name == "e(3)"
    assert claims == ["E(3): pos=points, z=scalar -> energy=invariant, forces=vector"]


def test_its_twin_without_symmetry_only_shifts() -> None:
    found, claims = searched(*fixture("potential-mlp", 32))
    assert found.result.dimension == 3 and found.result.algebra is not None
    assert found.result.algebra.name == "t(3)"
    assert claims == ["T(3): pos=points, z=scalar -> energy=invariant, forces=invariant"]


def generic(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 3))
    for p in net.parameters():
        nn.init.normal_(p, std=0.8)
    return net


@pytest.mark.parametrize("seed", range(20))
def test_generic_network_has_nothing(seed: int) -> None:
    found, claims = searched(generic(seed), drawn(160, 4, seed=seed).float())
    assert (found.result.verdict, found.result.dimension, found.result.near) == ("nothing", 0, 0)
    assert not claims and found.result.interval == (0, 0)


class Rotated(nn.Module):
    """A float32 network of |x|², with a leak."""

    def __init__(self, leak: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net, self.leak = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 2)), leak
        for p in self.net.parameters():
            nn.init.normal_(p)
        self.direction = nn.Parameter(torch.tensor([[0.3, -1.1, 0.7], [0.9, 0.4, -0.2]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.square().sum(-1, keepdim=True)) + self.leak * (x @ self.direction.T).sin()


def test_float32_network() -> None:
    found, claims = searched(Rotated(0.0), drawn(200, 3).float(), acting="invariant")
    assert (found.result.verdict, found.result.dimension) == ("exact", 3)
    assert claims == ["O(3): x=vector -> output=invariant"]


@pytest.mark.parametrize(("leak", "least"), [(1e-3, 1e-5), (1e-5, 1e-7), (1e-9, 1e-11)])
def test_leak_is_never_exact(leak: float, least: float) -> None:
    result = searched(Rotated(leak), drawn(200, 3).float(), acting="invariant")[0].result
    assert (result.dimension, result.near) == (0, 3)
    assert all(one.sigma > max(least, 10 * one.floor) for one in result.spectrum[:3])
    assert result.verdict in ("broken", "approximate", "inconclusive") and result.dimension == 0
    assert result.algebra is not None and result.algebra.name == "so(3)"  # graded: near this one


def test_leak_within_the_tolerance_is_approximate() -> None:
    found, claims = searched(Rotated(1e-5), drawn(200, 3).float(), acting="invariant", tolerance=0.05)
    assert found.result.verdict == "approximate"
    assert claims  # they hold within what was asked for


def test_what_survives_a_leak_along_one_axis() -> None:
    found, _ = searched(lambda x: sine(x) + 1e-3 * x[:, 0] ** 3, drawn(200, 3))
    result = found.result
    assert (result.dimension, result.near, result.nearly) == (1, 2, "so(3)")
    assert result.algebra is not None and result.algebra.name == "so(2) about x"
    by = {one.what: one.verdict for one in result.verified}
    assert by["exact directions"] == "exact" and by["near directions"] != "exact"


def test_first_order_is_not_enough() -> None:
    """Locally invariant everywhere, but not along finite turns: a step across a plane has no derivative."""
    found, claims = searched(lambda x: square(x) + 2.0 * (x[:, 0] > 0).to(x), drawn(200, 3))
    assert found.result.dimension == 3 and found.result.verdict == "broken"
    assert not claims


def test_constant_output_is_trivial() -> None:
    found, _ = searched(lambda x: 0 * x.sum(-1) + 3.0, drawn(50, 3))
    assert found.result.verdict == "trivial" and found.result.dimension == 0


def test_constant_output_beside_another_says_nothing() -> None:
    found, _ = searched(lambda x: {"a": x[:, 0] * 0 + 1, "b": x[:, 0] * x[:, 1] + x[:, 2] ** 3}, drawn(100, 3))
    assert found.result.outputs == {"a": "trivial", "b": "invariant"}
    assert found.result.dimension == 1  # the hyperbolic turn of the first two


def test_directions_without_data_are_not_symmetries() -> None:
    x = drawn(200, 4)
    x[:, 3] = x[:, 0] - 2 * x[:, 1]
    result = searched(sine, x, affine=False)[0].result
    assert any("spans 3 of 4" in note for note in result.notes)
    assert len(result.spectrum) == 12  # not 16: what X does to the missing direction is no unknown


def test_lost_derivatives_are_taken_by_differences() -> None:
    def plain(x: Tensor) -> Tensor:
        return torch.from_numpy(np.sin((x.detach().numpy() ** 2).sum(-1)))

    result = searched(plain, drawn(100, 3))[0].result
    assert (result.dimension, result.verdict) == (3, "exact")
    assert "differences" in result.how


def test_detached_inputs_are_seen() -> None:
    result = searched(lambda x: sine(x) + x.detach()[:, 0] ** 2, drawn(100, 3))[0].result
    assert result.dimension == 1  # not three: the detached part moves with x too


def test_packed_rows() -> None:
    sizes = torch.tensor([3, 5, 4, 2, 6] * 12)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    pos = drawn(len(owner), 3)

    def energy(pos: Tensor, batch: Tensor) -> Tensor:
        total = pos.new_zeros(int(batch.max()) + 1, 3).index_add(0, batch, pos)
        count = torch.bincount(batch).to(pos)[:, None]
        centred = pos - (total / count)[batch]
        return pos.new_zeros(len(total)).index_add(0, batch, (centred.square().sum(-1) + 0.1).sqrt())

    found, claims = searched(energy, {"pos": pos, "batch": owner}, owner="batch")
    assert (found.result.dimension, found.result.verdict) == (6, "exact")
    assert claims == ["E(3): pos=points, batch=owner -> output=invariant"]


def test_claims_parse() -> None:
    for model, shape in ((sine, (3,)), (minkowski, (4,)), (cross_rows, (2, 3)), (square, (3,))):
        _, claims = searched(model, drawn(100, *shape))
        assert claims
        assert all(str(Claim.parse(text)) == text for text in claims)


def test_too_few_samples() -> None:
    with pytest.raises(DataError, match="too few for 72 unknown numbers"):
        searched(sine, drawn(60, 8))
