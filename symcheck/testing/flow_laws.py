"""The laws of the one-parameter subgroups of a group, t -> exp(tX), and of the Lie algebra that they span."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from symcheck.groups.base import Flow, Group
from symcheck.report.numbers import number

_TIGHT = 1e-12  # of the size of what is multiplied, in float64
_TIMES = (-1.3, -0.4, 0.7, 1.1)


def flow_problems(group: Group) -> Iterator[str]:
    """exp(sX) exp(tX) = exp((s+t)X), exp(period X) = e, no smaller period; X independent and closed under brackets."""
    flows = group.flows()
    if len({flow.name for flow in flows}) < len(flows):
        yield f"two flows have one name: {', '.join(flow.name for flow in flows)}"
    for flow in flows:
        yield from (f"'{flow.name}' {words}" for words in _subgroup(group, flow))
        yield from (f"'{flow.name}' {words}" for words in _period(group, flow))
        yield from (f"'{flow.name}' {words}" for words in _smooth(group, flow))
    if flows:
        yield from _algebra(group, flows)


def generators(flows: tuple[Flow, ...]) -> Tensor:
    """d/dt exp(tX) at 0 of every flow, (flows, element) float64."""
    return torch.cat([_velocity(flow.at)[1].reshape(1, -1) for flow in flows])


def bracket(group: Group, x: Flow, y: Flow) -> Tensor:
    """[X, Y] = ∂s ∂t of exp(sX) exp(tY) exp(-sX) exp(-tY) at 0, (element,), for any group that composes smoothly."""

    def commutator(t: Tensor, s: Tensor) -> Tensor:
        there = group.compose(x.at(s), y.at(t))
        return group.compose(there, group.compose(x.at(-s), y.at(-t)))

    return _velocity(lambda s: _velocity(partial(commutator, s=s))[1])[1].flatten()


def _subgroup(group: Group, flow: Flow) -> Iterator[str]:
    s = torch.tensor(_TIMES, dtype=torch.float64)
    t = s.flip(0) * 0.9
    a, b, ab = flow.at(s), flow.at(t), flow.at(s + t)
    scale = float(a.abs().max().clamp(min=1.0) * b.abs().max().clamp(min=1.0))
    if not _gap(flow.at(0 * s), group.identity(len(s))) <= _TIGHT:
        yield "is not the identity at 0"
    gap = _gap(group.compose(a, b), ab)
    if not gap <= _TIGHT * scale:
        yield f"at s times at t is off at s + t by {number(gap)}"


def _period(group: Group, flow: Flow) -> Iterator[str]:
    if flow.period is None:
        return
    shares = torch.tensor([1.0, *(1 / k for k in range(2, 7))], dtype=torch.float64)
    g, e = flow.at(flow.period * shares), group.identity(len(shares))
    away = (g - e).abs().flatten(1).amax(1)
    if not float(away[0]) <= _TIGHT * 10:
        yield f"is off the identity by {number(float(away[0]))} after its period {number(flow.period)}"
    if bool((away[1:] < 1e-6).any()):
        yield f"returns before its period {number(flow.period)}"


def _smooth(group: Group, flow: Flow) -> Iterator[str]:
    """The derivative at t is that at 0, moved there: exp(tX) exp(sX) at s = 0."""
    for t in (0.0, 0.7):
        there = flow.at(torch.tensor([t], dtype=torch.float64))
        given = _velocity(flow.at, t)[1]
        moved = _velocity(lambda s, there=there: group.compose(there, flow.at(s)))[1]  # type: ignore[misc]
        if not _gap(given, moved) <= _TIGHT * float(there.abs().max().clamp(min=1.0)):
            yield f"has the derivative of another curve at t = {number(t)}"
        if not bool(given.any()):
            yield f"does not move at t = {number(t)}"


def _algebra(group: Group, flows: tuple[Flow, ...]) -> Iterator[str]:
    basis = generators(flows)
    values = torch.linalg.svdvals(basis)
    if len(values) < len(flows) or not float(values[-1] / values[0]) > 1e-9:
        yield "the generators are linearly dependent"
        return
    for x, y in combinations(flows, 2):
        made = bracket(group, x, y)
        inside = torch.linalg.lstsq(basis.T, made[:, None]).solution[:, 0] @ basis
        if not _gap(made, inside) <= 1e-10 * float(made.abs().max().clamp(min=1.0)):
            yield f"the bracket of '{x.name}' and '{y.name}' is no combination of the generators"


def _velocity(curve: Callable[[Tensor], Tensor], t: float = 0.0) -> tuple[Tensor, Tensor]:
    """A curve and its derivative at t, by forward mode."""
    at = torch.tensor([t], dtype=torch.float64)
    value, slope = torch.func.jvp(curve, (at,), (torch.ones_like(at),))  # type: ignore[misc]
    return value, slope


def _gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max()) if a.shape == b.shape else float("inf")
