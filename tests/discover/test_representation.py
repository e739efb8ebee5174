"""Output actions that nobody declared: planted representations are recovered, a generic network has none."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from planted_finite import mlp, normal, session
from rich.console import Console
from torch import Tensor

from symcheck.cli.discover_parts_text import representation_lines
from symcheck.discover.discrete_result import OutputAction, Representations
from symcheck.discover.irreps_fit import multiplicities
from symcheck.discover.representation import find_representations, fitted, represent, sampled_elements
from symcheck.groups.products import make_group
from symcheck.report.page import Page

Model = Callable[[Tensor], Tensor]


def mixed(columns: list[Tensor], seed: int) -> Tensor:
    """The columns scrambled by one random matrix, which is no rotation."""
    y = torch.cat([c if c.dim() > 1 else c[:, None] for c in columns], 1)
    return y @ normal(y.shape[1], y.shape[1], seed=seed).to(y)


def waves(x: Tensor) -> tuple[Tensor, torch.Tensor]:
    return x.square().sum(1), torch.complex(x[:, 0], x[:, 1])


def two_k0_k1_k2(x: Tensor) -> Tensor:
    square, z = waves(x)
    double = z * z / (1 + square)
    return mixed([square.sin(), (0.7 * square).cos(), z.real, z.imag, double.real, double.imag], 1)


def six(x: Tensor) -> Tensor:
    """1 + 2 f_1 + f_2 of C6: the second f_1 comes from the fifth power of the conjugate."""
    square, z = waves(x)
    double, again = z * z / (1 + square), z * (2 + square.sin()) + z.conj() ** 5 / (3 + square**2)
    return mixed([square.sin(), z.real, z.imag, again.real, again.imag, double.real, double.imag], 2)


def spherical(x: Tensor) -> Tensor:
    """2x0e + 1x1o + 1x2e of three points."""
    a, b, c = x.unbind(1)
    first, second = (a * b).sum(1).sin(), (b * c).sum(1).cos()
    t = a[:, :, None] * b[:, None, :]
    t = t + t.mT
    t = t - torch.eye(3).to(t) * t.diagonal(dim1=1, dim2=2).sum(1)[:, None, None] / 3
    five = torch.stack([t[:, 0, 1], t[:, 1, 2], t[:, 0, 2], t[:, 0, 0] - t[:, 1, 1], t[:, 2, 2]], 1)
    return mixed([first, second, a * first[:, None] + b, five], 3)


def one(model: Model, x: Tensor, text: str) -> OutputAction:
    with session(model, x) as audit:
        return represent(audit, f"{text} -> invariant")[0]


PLANE, SPACE = normal(128, 2, seed=5), normal(128, 3, 3, seed=6)


@pytest.mark.parametrize(
    ("model", "x", "text", "irreps"),
    [
        (two_k0_k1_k2, PLANE, "SO(2): x=vector", "2xk0+1xk1+1xk2"),
        (two_k0_k1_k2, PLANE, "O(2): x=vector", "2xk0+1xk1+1xk2"),
        (six, PLANE, "C6: x=vector", "1xk0+2xk1+1xk2+1xk4+2xk5"),
        (spherical, SPACE, "SO(3): x=points", "2x0+1x1+1x2"),
        (spherical, SPACE, "O(3): x=points", "2x0e+1x1o+1x2e"),
    ],
)
def test_multiplicities_of_scrambled_sums_are_recovered(model: Model, x: Tensor, text: str, irreps: str) -> None:
    found = one(model, x, text)
    assert (found.verdict, found.best, found.irreps) == ("action", "linear", irreps)
    assert found.integrality is not None and found.integrality < 1e-4
    assert found.residual is not None and found.shuffled is not None and found.shuffled > 100 * found.residual
    assert found.homomorphism is not None and found.homomorphism < 1e-4


def test_all_frequencies_are_counted_also_those_that_do_not_occur() -> None:
    assert [m.count for m in one(six, PLANE, "C6: x=vector").multiplicities] == [1, 2, 1, 0, 1, 2]


def cross(x: Tensor) -> Tensor:
    return torch.linalg.cross(x[:, 0], x[:, 1])


def polar(x: Tensor) -> Tensor:
    return x[:, 0] * x[:, 1].norm(dim=1, keepdim=True) + x[:, 2]


@pytest.mark.parametrize(
    ("model", "best", "irreps"),
    [
        (polar, "vector", "1x1o"),
        (cross, "pseudovector", "1x1e"),
        (lambda x: torch.linalg.det(x)[:, None], "pseudoscalar", "1x0o"),
        (lambda x: torch.linalg.det(x).square()[:, None], "invariant", "1x0e"),
        (lambda x: x - x.mean(1, keepdim=True), "vector", "1x1o"),
    ],
)
def test_stated_actions_are_ranked(model: Model, best: str, irreps: str) -> None:
    found = one(model, SPACE, "O(3): x=points")
    assert (found.verdict, found.best, found.irreps) == ("action", best, irreps)
    assert found.margin is not None and found.margin > 1e3
    assert found.claim == f"O(3): x=points -> output={best}"


def test_an_output_that_turns_the_other_way_moves_by_the_inverse() -> None:
    flip = torch.tensor([1.0, -1.0])
    found = one(lambda x: (x * (1 + x.square().sum(1, keepdim=True))) * flip.to(x), PLANE, "SO(2): x=vector")
    assert (found.verdict, found.best, found.claim) == ("action", "vector of the inverse element", "")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("text", "into"), [("C6: x=vector", 2), ("SO(2): x=vector", 2), ("SO(3): x=vector", 3)])
def test_a_generic_network_has_no_action(text: str, into: int, seed: int) -> None:
    found = one(mlp(into, 4, seed), normal(128, into, seed=seed), text)
    assert (found.verdict, found.claim, found.irreps) == ("no action", "", "")
    assert found.residual is not None and found.residual > 0.1


def test_a_constant_is_trivial_and_few_samples_are_inconclusive() -> None:
    assert one(lambda x: torch.ones(len(x), 3), PLANE, "C4: x=vector").verdict == "trivial"
    few = one(six, PLANE[:16], "C6: x=vector")
    assert few.verdict == "inconclusive" and "too few" in few.notes[0]


def test_nan_is_never_an_action() -> None:
    assert one(lambda x: x.sqrt(), PLANE, "C4: x=vector").verdict == "inconclusive"


def test_a_leak_is_an_approximate_action() -> None:
    leak = mlp(2, 6, 3)
    found = one(lambda x: two_k0_k1_k2(x) + 0.02 * leak.to(x.dtype)(x), PLANE, "SO(2): x=vector")
    assert found.verdict == "approximate" and found.claim == ""


def test_linear_maps_that_do_not_compose_are_no_action() -> None:
    """Every g has its linear map, fitted without residual, but together they are no representation."""
    group = make_group("C5")
    sampled = sampled_elements(group)
    y = normal(40, 1, 3, seed=8).double()
    maps = torch.linalg.qr(normal(5, 3, 3, seed=9).double()).Q
    fit = fitted(y, torch.stack([y @ m for m in maps]), sampled)
    assert fit is not None
    assert fit.residual < 1e-10 and fit.homomorphism > 0.5


def test_the_regular_representation_has_every_irrep_as_often_as_its_dimension() -> None:
    group = make_group("O")
    elements = group.elements()
    assert elements is not None
    traces = torch.zeros(len(elements))
    traces[0] = len(elements)
    found = multiplicities(group, elements, traces, len(elements))
    assert [m.count for m in found] == [m.dimension for m in found]


def test_what_cannot_be_searched_is_a_note_and_the_rest_is_shown() -> None:
    with session(polar, SPACE) as audit:
        found = find_representations(audit, ["O(3): x=points -> invariant", "SO(4): x=points -> invariant"])
    assert len(found.outputs) == len(found.notes) == 1
    stream = io.StringIO()
    representation_lines(Page(Console(file=stream, width=100)), Representations(found.outputs, ("x: no",)))
    assert "O(3): x=points -> output: vector" in stream.getvalue() and "note: x: no" in stream.getvalue()
