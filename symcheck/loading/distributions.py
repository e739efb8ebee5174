"""Stated distributions of inputs: `normal(3,32,32)`, `uniform(3,32)`, `integers(100,16)`, `irreps(8x0e+4x1o)`."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from symcheck.actions.irreps import parse_irreps
from symcheck.errors import ClaimError, DataError
from symcheck.grammar import Term, parse_term
from symcheck.groups.draws import Draws
from symcheck.registry import suggest

_LARGEST = 2**31


def _normal(draws: Draws, n: int, *shape: int) -> Tensor:
    return draws.normal(n, *shape).float()


def _uniform(draws: Draws, n: int, *shape: int) -> Tensor:
    return draws.uniform(n, *shape).float()


def _integers(draws: Draws, n: int, high: int, *shape: int) -> Tensor:
    return draws.integers(n, *shape, high=high)


def _sphere(draws: Draws, n: int, *shape: int) -> Tensor:
    x = draws.normal(n, *shape)
    unit: Tensor = x / x.norm(dim=-1, keepdim=True)
    return unit.float()


def _width(args: tuple[str, ...]) -> tuple[str, ...]:
    """Irreps in the last place, `8x0e+4x1o`, as the number of their components."""
    return (*args[:-1], str(sum(block.size for block in parse_irreps(args[-1]))))


_KNOWN: dict[str, tuple[Callable[..., Tensor], int, str]] = {
    "normal": (_normal, 0, "normal(3,32,32): the shape of one sample"),
    "uniform": (_uniform, 0, "uniform(3,32,32): the shape of one sample"),
    "integers": (_integers, 1, "integers(100,16): the upper end (left out), then the shape of one sample"),
    "irreps": (_normal, 1, "irreps(16x0e+8x1o), or irreps(10,16x0e+8x1o) for ten rows: normal numbers"),
    "sphere": (_sphere, 1, "sphere(8,3): the shape of one sample, whose last axis becomes a unit vector"),
}


def distribution(text: str) -> Term | None:
    """The distribution that the text states, or None when it has not the form of one."""
    try:
        term = parse_term(text)
    except ClaimError:
        return None
    return term if term.name in _KNOWN or "(" in text else None


def draw(term: Term, samples: int, seed: int, name: str) -> Tensor:
    """`samples` rows of a stated distribution, (samples, *shape); row i depends on (seed, name, i) alone.

    float32 from a float64 draw, int64 for integers. Raises DataError for an unknown name or a bad argument.
    """
    if term.name not in _KNOWN:
        raise DataError(
            f"unknown distribution '{term.name}'", where=f"input '{term}'", hint=suggest(term.name, [*_KNOWN])
        )
    function, least, usage = _KNOWN[term.name]
    args = _width(term.args) if term.name == "irreps" and term.args else term.args
    if len(args) < least or not all(arg.isdecimal() and int(arg) > 0 for arg in args):
        raise DataError(
            f"'{term}' needs positive whole numbers",
            where=f"input '{name}'",
            hint=f"write {usage}, without samples",
        )
    numbers = [int(arg) for arg in args]
    size = samples * math.prod(numbers[1:] if term.name == "integers" else numbers)
    if size > _LARGEST:
        raise DataError(
            f"'{term}' asks for {size:,} numbers in {samples} samples",
            where=f"input '{name}'",
            hint=f"state the shape of one sample, or take fewer samples: at most {_LARGEST:,} numbers",
        )
    return function(Draws(seed, name), samples, *numbers)
