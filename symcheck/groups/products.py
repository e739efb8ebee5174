"""Direct products, and `make_group`: from text to group."""

from __future__ import annotations

import inspect
import math
from functools import cached_property, partial

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.grammar import GroupTree, Term, parse_group
from symcheck.groups.base import Extents, Flow, Group, groups
from symcheck.groups.draws import Draws
from symcheck.groups.flows import through

LISTED = 5040


def make_group(text: str | GroupTree) -> Group:
    """The group that `C4 x Shift(4)` or its tree names; a single factor comes bare. Raises ClaimError."""
    tree = parse_group(text) if isinstance(text, str) else text
    factors = tuple(_make(term, str(tree)) for term in tree.factors)
    if len(factors) > 1 and (odd := [factor.name for factor in factors if factor.related]):
        raise ClaimError(
            f"{odd[0]} is a relation, not a group, and has no products",
            where=f"the group '{tree}'",
            hint="state it in a claim of its own",
        )
    return factors[0] if len(factors) == 1 else Product(factors)


class Product(Group):
    """The direct product of indivisible groups; an element is the row of its parts, (K, total) float64.

    Integers stay exact up to 2^53; `split` gives back the parts. Actions work factor by factor, so there are
    no faces. An element is improper when an odd number of its parts is.
    """

    def __init__(self, factors: tuple[Group, ...]) -> None:
        self._factors = factors
        self.name = " x ".join(factor.name for factor in factors)
        orders = [factor.order for factor in factors if factor.order is not None]
        self.order = math.prod(orders) if len(orders) == len(factors) else None
        self.compact = all(factor.compact for factor in factors)
        laws = {factor.law for factor in factors}
        self.law = laws.pop() if len(laws) == 1 else "; ".join(f"{f.name} {f.law}" for f in factors)

    def factors(self) -> tuple[Group, ...]:
        """The factors, in the order of the name."""
        return self._factors

    def bind(self, extents: Extents) -> Group:
        """The product of the bound factors."""
        return Product(tuple(factor.bind(extents) for factor in self._factors))

    def split(self, g: Tensor) -> tuple[Tensor, ...]:
        """The part of g in each factor, in that factor's shape and dtype."""
        parts = torch.split_with_sizes(g, [math.prod(shape) for shape, _ in self._units], 1)
        return tuple(
            part.reshape(len(g), *shape).to(dtype) for part, (shape, dtype) in zip(parts, self._units, strict=True)
        )

    def pack(self, parts: list[Tensor]) -> Tensor:
        """The product elements with these parts: the inverse of `split`."""
        return torch.cat([part.reshape(len(part), math.prod(part.shape[1:])).double() for part in parts], 1)

    def identity(self, n: int) -> Tensor:
        """The identities of the factors."""
        return self.pack([factor.identity(n) for factor in self._factors])

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Independent samples of the factors."""
        return self.pack([factor.sample(n, rng) for factor in self._factors])

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """Factor by factor."""
        pairs = zip(self._factors, self.split(a), self.split(b), strict=True)
        return self.pack([factor.compose(p, q) for factor, p, q in pairs])

    def inverse(self, a: Tensor) -> Tensor:
        """Factor by factor."""
        return self.pack([factor.inverse(p) for factor, p in self._parts(a)])

    def elements(self) -> Tensor | None:
        """All combinations, the last factor running fastest, up to 5040 of them."""
        if self.order is None or self.order > LISTED:
            return None
        lists = [factor.elements() for factor in self._factors]
        listed = [one for one in lists if one is not None]
        if len(listed) < len(lists):
            return None
        places = torch.cartesian_prod(*[torch.arange(len(one)) for one in listed])
        return self.pack([one[places[:, k]] for k, one in enumerate(listed)])

    def flows(self) -> tuple[Flow, ...]:
        """The flows of the factors, while the other parts stay at the identity."""
        return tuple(
            through(flow, partial(self._beside, i), f"{factor.name}: {flow.name}")
            for i, factor in enumerate(self._factors)
            for flow in factor.flows()
        )

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """Every factor moved."""
        return self.pack([factor.nearby(p, size, rng) for factor, p in self._parts(g)])

    def proper(self, g: Tensor) -> Tensor:
        """(K,) bool: True where an even number of parts reverses orientation."""
        improper = [~factor.proper(p) for factor, p in self._parts(g)]
        return torch.stack(improper).sum(0) % 2 == 0

    @property
    def has_improper(self) -> bool:
        """Whether a factor has improper elements."""
        return any(factor.has_improper for factor in self._factors)

    def label(self, g: Tensor, i: int) -> str:
        """The labels of the parts."""
        return ", ".join(factor.label(p, 0) for factor, p in self._parts(g[i : i + 1]))

    @cached_property
    def _units(self) -> list[tuple[torch.Size, torch.dtype]]:
        """Shape and dtype of one element of each factor; no tensor, which might belong to a forward-mode level."""
        ones = (factor.identity(1) for factor in self._factors)
        return [(one.shape[1:], one.dtype) for one in ones]

    def _beside(self, i: int, part: Tensor) -> Tensor:
        """The elements with this part in factor i, and the identity in the others."""
        return self.pack([part if k == i else f.identity(len(part)) for k, f in enumerate(self._factors)])

    def _parts(self, g: Tensor) -> list[tuple[Group, Tensor]]:
        return list(zip(self._factors, self.split(g), strict=True))


def _make(term: Term, whole: str) -> Group:
    if ":" in term.name:  # a user's own relation
        term = Term("module:name", (term.name, *term.args))
    maker = groups.get(term.name, where=f"the group '{whole}'")
    try:
        inspect.signature(maker).bind(*term.args)
    except TypeError:
        shown = getattr(maker, "examples", (term.name,))
        raise ClaimError(
            f"group '{term.name}' does not take {len(term.args)} argument(s)",
            where=f"'{term}' in the group '{whole}'",
            hint="write " + " or ".join(shown),
        ) from None
    return maker(*term.args)
