"""The two text languages, to frozen trees and back. No torch.

Claims, `GROUP: inputs -> outputs`:

    claim   =  group ":" slots "->" slots
    group   =  term { " x " term }              C4 x Shift(4)
    slots   =  slot { "," slot }
    slot    =  [ name "=" ] term { "*" term }    pos=points*nodes
    term    =  word [ "(" argument { "," argument } ")" ]

Axis patterns, one axis after another: how each axis of a tensor is built from named atoms:

    axes    =  { factor }                        h (c 16)
    factor  =  "." | name [ "'" ] | size | "(" sum ")"
    sum     =  product { "+" product }           concatenation, in order
    product =  factor { factor }                 row-major, the first factor is the slowest
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from symcheck.errors import ClaimError

_WORD = re.compile(r"[A-Za-z_./][\w.+/-]*(:[A-Za-z_]\w*)?")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_SHORT = re.compile(r"([A-Za-z]+)(\d+)")
_SHORTHAND = ("C", "D")
_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)(?P<dual>'?)|(?P<size>\d+)|(?P<sign>[.+()]))", re.ASCII)
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Term:
    """One word with its arguments, as written: `SO(3)`, `irreps(16x0e+8x1o)`, `image(crop=4)`."""

    name: str
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.args:
            return self.name
        if self.name in _SHORTHAND and len(self.args) == 1 and self.args[0].isdigit():
            return self.name + self.args[0]
        return f"{self.name}({','.join(self.args)})"


@dataclass(frozen=True)
class GroupTree:
    """A direct product of one or more groups."""

    factors: tuple[Term, ...]

    def __str__(self) -> str:
        return " x ".join(map(str, self.factors))


@dataclass(frozen=True)
class Slot:
    """One input or output, named or by position, and the action on it."""

    name: str | None
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        action = "*".join(map(str, self.terms))
        return action if self.name is None else f"{self.name}={action}"


@dataclass(frozen=True)
class ClaimTree:
    """`group: inputs -> outputs`."""

    group: GroupTree
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]

    def __str__(self) -> str:
        return f"{self.group}: {', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"


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


Axis = Leaf | Fixed | Product | Sum


def product(*factors: Axis) -> Axis:
    """The row-major product; of one factor, that factor."""
    return factors[0] if len(factors) == 1 else Product(factors)


def concatenation(*terms: Axis) -> Axis:
    """The concatenation of segments; of one segment, that segment."""
    return terms[0] if len(terms) == 1 else Sum(terms)


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
    while at < len(tokens) and tokens[at]["sign"] not in ("+", ")"):
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
    """The sum whose '(' is token `start`, and the index of its ')'."""
    terms, at = [], start
    while at == start or (at < len(tokens) and tokens[at]["sign"] == "+"):
        sign = tokens[at].start("sign")
        factors, at = _factors(text, tokens, at + 1)
        if not factors:
            raise _axes_error(text, f"has nothing after '{text[sign]}'", sign)
        term = product(*factors)
        if isinstance(term, Product) and term.factors.count(Fixed()) > 1:
            raise _axes_error(text, "has two factors '.' in one product, whose sizes cannot be told apart", sign)
        terms.append(term)
    if at == len(tokens):
        raise _axes_error(text, "lacks a closing ')'", tokens[start].start("sign"))
    return concatenation(*terms), at


def _axes_error(text: str, problem: str, at: int) -> ClaimError:
    return ClaimError(
        f"the axis pattern '{text}' {problem}",
        where=f"column {at + 1} of the pattern",
        hint="write one item an axis: h, d', ., 16, (h 16), (3 h d), (h + h)",
    )


@lru_cache(maxsize=256)
def parse_claim(text: str) -> ClaimTree:
    """Parse `GROUP: inputs -> outputs`; `parse_claim(str(tree)) == tree`."""
    head, colon, body = text.partition(":")
    if not colon:
        raise _error(text, "has no ':' between the group and the inputs", "")
    left, arrow, right = body.partition("->")
    if not arrow:
        raise _error(text, "has no '->' between the inputs and the outputs", body)
    inputs, outputs = _slots(left, text), _slots(right, text)
    for slots in (inputs, outputs):
        names = [slot.name for slot in slots if slot.name]
        if len(set(names)) < len(names):
            raise _error(text, "names a slot twice", "")
        if names and len(names) < len(slots):
            raise _error(text, "names some slots and not others", "")
    return ClaimTree(parse_group(head, text), inputs, outputs)


def parse_group(text: str, whole: str | None = None) -> GroupTree:
    """Parse `C4 x Shift(4)`; a digit after C or D is its argument."""
    whole = text if whole is None else whole
    terms = []
    for part in re.split(r"\s+[x×]\s+", text.strip()):
        term = parse_term(part, whole)
        short = _SHORT.fullmatch(term.name)
        if short and not term.args:
            term = Term(short[1], (short[2],))
        terms.append(term)
    return GroupTree(tuple(terms))


def parse_term(text: str, whole: str | None = None) -> Term:
    """Parse `word` or `word(argument, ...)`."""
    whole = text if whole is None else whole
    text = text.strip()
    found = _WORD.match(text)
    if not found:
        raise _error(whole, f"has no word where one is expected, but '{text}'", text)
    word, rest = found[0], text[found.end() :].strip()
    if not rest:
        return Term(word)
    if not (rest.startswith("(") and rest.endswith(")")):
        raise _error(whole, f"has '{rest}' after '{word}', where only (...) may stand", rest)
    args = [argument.strip() for argument in _split(rest[1:-1], ",", whole)]
    if not all(args):
        raise _error(whole, f"has an empty argument in '{text}'", rest)
    return Term(word, tuple(re.sub(r"\s*=\s*", "=", argument) for argument in args))


def _slots(text: str, whole: str) -> tuple[Slot, ...]:
    slots = []
    for part in _split(text, ",", whole):
        name, equals, action = part.partition("=")
        if not (equals and _NAME.fullmatch(name.strip())):
            name, action = "", part
        terms = tuple(parse_term(term, whole) for term in _split(action, "*", whole))
        slots.append(Slot(name.strip() or None, terms))
    return tuple(slots)


def _split(text: str, separator: str, whole: str) -> list[str]:
    """Split at `separator` outside brackets."""
    parts, closers, start = [], [], 0
    for i, char in enumerate(text):
        if char in _CLOSING:
            closers.append(_CLOSING[char])
        elif char in _CLOSING.values():
            if not closers or closers.pop() != char:
                raise _error(whole, f"has a '{char}' that closes nothing", text)
        elif char == separator and not closers:
            parts.append(text[start:i])
            start = i + 1
    if closers:
        raise _error(whole, f"lacks a closing '{closers[-1]}'", text)
    return [*parts, text[start:]]


def _error(whole: str, problem: str, at: str) -> ClaimError:
    column = whole.find(at) + 1 if at else 0
    where = f"column {column} of the claim" if column else f"'{whole}'"
    return ClaimError(
        f"'{whole}' {problem}",
        where=where,
        hint="write GROUP: inputs -> outputs, e.g. 'SO(3): pos=points -> energy=scalar, forces=vector'",
    )
