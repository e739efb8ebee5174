"""From two checkpoints and a spec to a problem: what votes, what is matched, what turns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from symcheck.align.gauge import Gauged
from symcheck.align.problem import Problem
from symcheck.errors import LoadError
from symcheck.weights.act import check_fit
from symcheck.weights.checks import stacked
from symcheck.weights.slots import basis, places
from symcheck.weights.spec import MATRICES, Space, Spec

DISCRETE = ("permutation", "sign", "tree")
_SMALL = 2**18  # entries up to which everything is computed in float64
_UNIT = 1e-6


def check_finite(state: Mapping[str, Tensor], name: str) -> None:
    """Raise LoadError that names the tensors with NaN or infinity."""
    odd = [key for key, t in state.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if odd:
        more = f" and {len(odd) - 8} more" if len(odd) > 8 else ""
        raise LoadError(
            f"{name} holds NaN or infinity in {', '.join(odd[:8])}{more}",
            where=name,
            hint="nothing can be compared with it: give another checkpoint",
        )


def check_same(a: Mapping[str, Tensor], b: Mapping[str, Tensor], names: tuple[str, str] = ("A", "B")) -> None:
    """Raise LoadError that lists the tensors in which two state dicts differ in name or shape."""
    first, second = names
    odd = [f"'{name}' is only in {first}" for name in a if name not in b]
    odd += [f"'{name}' is only in {second}" for name in b if name not in a]
    for name in a:
        if name in b and a[name].shape != b[name].shape:
            odd.append(f"'{name}' is {tuple(a[name].shape)} in {first} and {tuple(b[name].shape)} in {second}")
    if odd:
        more = f"; and {len(odd) - 12} more" if len(odd) > 12 else ""
        raise LoadError(
            f"the checkpoints are not of one architecture: {len(odd)} tensors differ",
            where="; ".join(odd[:12]) + more,
            hint="give checkpoints of the same network and sizes; networks of other sizes have no common symmetry",
        )


def problem_of(spec: Spec, one: Gauged, two: Gauged, kinds: Collection[str] | None = None) -> Problem:
    """The problem of bringing `two` onto `one` by the spaces of these kinds, all that are understood by default."""
    a, b = one.state, two.state
    sizes = check_fit(spec, {name: tuple(t.shape) for name, t in a.items()}, "the state dict")
    floats = [name for name in spec.axes if a[name].is_floating_point() and name not in spec.offsets]
    if not floats:
        raise LoadError(
            "there is nothing to compare: no tensor of the spec holds floating-point numbers",
            where="the state dict",
            hint="give the checkpoints before quantisation",
        )
    small = sum(a[name].numel() for name in floats) <= _SMALL
    wide = torch.float64 if small else torch.float32
    dtype = {name: wide if name in floats else a[name].dtype for name in spec.axes}
    states = [{n: s[n].to(dtype[n]).contiguous() for n in spec.axes} for s in (a, b)]
    matched, turning = sought(spec, kinds, one.fixed, lambda space: _plain(spec, space, states, sizes))
    return Problem(spec, states[0], states[1], sizes, frozenset(floats), matched, turning)


def sought(
    spec: Spec, kinds: Collection[str] | None, fixed: Collection[str], plain: Callable[[Space], bool]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The permutations that are looked for, the outer ones first, and the turns: matrices that are `plain`, signs."""
    wanted = {
        name: space
        for name, space in spec.spaces.items()
        if (kinds is None or space.kind in kinds) and not space.approximate and name not in fixed
    }
    turning = {n: s for n, s in wanted.items() if _turns(spec, s, wanted) and plain(s)}
    turned = {(s.on, s.over) for s in turning.values() if s.kind in ("orthogonal", "general")}
    matched = [
        name
        for name, space in wanted.items()
        if space.kind == "permutation" and space.on and not space.stacks and (space.on, space.over) not in turned
    ]
    return tuple(sorted(matched, key=lambda name: len(wanted[name].over))), tuple(turning)


def _turns(spec: Spec, space: Space, wanted: Mapping[str, Space]) -> bool:
    """Whether a space is a turn that is looked for."""
    if space.kind in MATRICES:
        return True
    if space.kind == "tree":
        return any(other.kind == "permutation" and space.over == (other.on,) for other in wanted.values())
    if space.kind != "sign" or space.terms:
        return False
    return space.on is None or not space.over or any(
        other.kind == "permutation" and (other.on, other.over) == (space.on, space.over) for other in wanted.values()
    )


def _plain(
    spec: Spec, space: Space, states: list[dict[str, Tensor]], sizes: Mapping[str, int]
) -> bool:
    """Whether a matrix acts in a basis without gains, so that a rotation leaves norms alone."""
    if space.kind not in MATRICES or not space.gains:
        return True
    for state in states:
        for place in places(spec, space, state, sizes):
            scale = basis(space, place, state)
            if scale is not None and float((scale - 1).abs().max()) > _UNIT:
                return False
    return True


def left_alone(spec: Spec, problem: Problem, fixed: Collection[str] = ()) -> dict[str, str]:
    """The spaces that are not looked for, and why; `fixed` are those that the gauge has decided."""
    found: dict[str, str] = {}
    for name, space in spec.spaces.items():
        if name in problem.matched or name in problem.turning or space.kind in ("shift", "scale"):
            continue
        if space.approximate:
            found[name] = "exact only where an eps is 0"
        elif stacked(space):
            found[name] = "moves whole tensors"
        elif space.kind == "tree":
            found[name] = "flips of trees"
        elif space.terms:
            found[name] = "signs with additive terms"
        elif space.kind == "permutation":
            found[name] = "part of a rotation that is looked for"
        elif space.kind in MATRICES:
            found[name] = "acts in a basis of gains that cannot be folded"
        elif name in fixed:
            found[name] = "decided by the gains"
        else:
            found[name] = "not looked for"
    return found
