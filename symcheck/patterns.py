"""The language of axis patterns: how each axis of a tensor is built from named atoms, one axis after another. No torch.

    axes    =  { factor }                        h (c 16)
    factor  =  "." | name [ "'" ] | size | "(" sums ")"
    sums    =  sum { "|" sum }                   interleaved, index by index in turns
    sum     =  product { "+" product }           concatenation, in order
    product =  factor { factor }                 row-major, the first factor is the slowest
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from symcheck.errors import ClaimError

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)(?P<dual>'?)|(?P<size>\d+)|(?P<sign>[.+|()]))", re.ASCII)


@dataclass(frozen=True)
class Leaf:
    """A named atom; `dual` where a linear group acts by the contragredient, A^-T."""

    name: str
    dual: bool = False

    def __str__(self) -> str:
        return self.name + "'" * self.dual


@dataclass(frozen=True)
class Fixed:
    """A factor, segment or whole axis on which nothing acts; None where its size is inferred."""

    size: int | None = None

    def __str__(self) -> str:
        return "." if self.size is None else str(self.size)


@dataclass(frozen=True)
class Product:
    """A row-major product of two or more factors; a product of products is one product."""

    factors: tuple[Axis, ...]

    def __post_init__(self) -> None:
        flat = [inner for f in self.factors for inner in (f.factors if isinstance(f, Product) else (f,))]
        object.__setattr__(self, "factors", tuple(flat))

    def __str__(self) -> str:
        return f"({' '.join(map(str, self.factors))})"


@dataclass(frozen=True)
class Sum:
    """The concatenation of two or more segments, in order; a sum of sums is one sum."""

    terms: tuple[Axis, ...]

    def __post_init__(self) -> None:
        flat = [inner for t in self.terms for inner in (t.terms if isinstance(t, Sum) else (t,))]
        object.__setattr__(self, "terms", tuple(flat))

    def __str__(self) -> str:
        texts = (str(term)[1:-1] if isinstance(term, Product) else str(term) for term in self.terms)
        return f"({' + '.join(texts)})"


@dataclass(frozen=True)
class Interleave:
    """Two or more terms of one size that take turns: index i of term k of n stands at i·n + k."""

    terms: tuple[Axis, ...]

    def __str__(self) -> str:
        texts = (str(term)[1:-1] if isinstance(term, Product | Sum) else str(term) for term in self.terms)
        return f"({' | '.join(texts)})"


Axis = Leaf | Fixed | Product | Sum | Interleave


def product(*factors: Axis) -> Axis:
    """The row-major product; of one factor, that factor."""
    return factors[0] if len(factors) == 1 else Product(factors)


def concatenation(*terms: Axis) -> Axis:
    """The concatenation of segments; of one segment, that segment."""
    return terms[0] if len(terms) == 1 else Sum(terms)


def interleaved(*terms: Axis) -> Axis:
    """Terms that take turns; of one term, that term."""
    return terms[0] if len(terms) == 1 else Interleave(terms)


@lru_cache(maxsize=4096)
def parse_axes(text: str) -> tuple[Axis, ...]:
    """Parse an axis pattern such as `(h c) . (d' + 3)`; `parse_axes(print_axes(axes)) == axes`."""
    tokens, end = [], 0
    while text[end:].strip():
        found = _TOKEN.match(text, end)
        if not found:
            at = len(text) - len(text[end:].lstrip())
            raise _axes_error(text, f"has '{text[at]}', which means nothing here", at)
        tokens.append(found)
        end = found.end()
    axes, rest = _factors(text, tokens, 0)
    if rest < len(tokens):
        sign = tokens[rest]["sign"]
        raise _axes_error(text, f"has a '{sign}' outside brackets", tokens[rest].start("sign"))
    return axes


def print_axes(axes: tuple[Axis, ...]) -> str:
    """The text of an axis pattern."""
    return " ".join(map(str, axes))


def _factors(text: str, tokens: list[re.Match[str]], at: int) -> tuple[tuple[Axis, ...], int]:
    """Factors from token `at` on, and the index of the token that ends them."""
    found: list[Axis] = []
    while at < len(tokens) and tokens[at]["sign"] not in ("+", "|", ")"):
        token = tokens[at]
        if token["sign"] == "(":
            inner, at = _sum(text, tokens, at)
            found.append(inner)
        elif token["name"]:
            found.append(Leaf(token["name"], bool(token["dual"])))
        elif token["size"] and int(token["size"]) < 1:
            raise _axes_error(text, "has a size of zero", token.start("size"))
        else:
            found.append(Fixed(int(token["size"]) if token["size"] else None))
        at += 1
    return tuple(found), at


def _sum(text: str, tokens: list[re.Match[str]], start: int) -> tuple[Axis, int]:
    """The sum, or the interleaved sums, whose '(' is token `start`, and the index of its ')'."""
    sums: list[list[Axis]] = [[]]
    at = start
    while at == start or (at < len(tokens) and tokens[at]["sign"] in ("+", "|")):
        sign = tokens[at].start("sign")
        if text[sign] == "|":
            sums.append([])
        factors, at = _factors(text, tokens, at + 1)
        if not factors:
            raise _axes_error(text, f"has nothing after '{text[sign]}'", sign)
        term = product(*factors)
        if isinstance(term, Product) and term.factors.count(Fixed()) > 1:
            raise _axes_error(text, "has two factors '.' in one product, whose sizes cannot be told apart", sign)
        sums[-1].append(term)
    if at == len(tokens):
        raise _axes_error(text, "lacks a closing ')'", tokens[start].start("sign"))
    return interleaved(*(concatenation(*terms) for terms in sums)), at


def _axes_error(text: str, problem: str, at: int) -> ClaimError:
    return ClaimError(
        f"the axis pattern '{text}' {problem}",
        where=f"column {at + 1} of the pattern",
        hint="write one item an axis: h, d', ., 16, (h 16), (3 h d), (h + h), (h | h)",
    )
