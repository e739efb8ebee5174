"""The language of claims, `GROUP: inputs -> outputs`, to frozen trees and back. No torch.

    claim   =  group ":" slots "->" slots
    group   =  term { " x " term }              C4 x Shift(4); a user's relation is file.py:name
    slots   =  slot { "," slot }
    slot    =  [ name "=" ] term { "*" term }    pos=points*nodes; in presets pos|R=points, cell?=lattice, *=scalar
    term    =  word [ "(" argument { "," argument } ")" ]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from symcheck.errors import ClaimError

_WORD = re.compile(r"[A-Za-z_./][\w.+/-]*(:[A-Za-z_]\w*)?")
_NAME = re.compile(r"\*|[A-Za-z_][\w.]*(\|[A-Za-z_][\w.]*)*\??|\w[\w.]*(@\d+)?(\[\d+\])?")
_SHORT = re.compile(r"([A-Za-z]+)(\d+)")
_SHORTHAND = ("C", "D")
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


@lru_cache(maxsize=256)
def parse_claim(text: str) -> ClaimTree:
    """Parse `GROUP: inputs -> outputs`; `parse_claim(str(tree)) == tree`.

    The first colon before a space ends the group, so that `file.py:name: x -> y` has the group `file.py:name`.
    """
    colon = re.search(r":\s", text) or re.search(":", text)
    if not colon:
        raise _error(text, "has no ':' between the group and the inputs", "")
    head, body = text[: colon.start()], text[colon.start() + 1 :]
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


def heard(claim: str) -> str:
    """A claim without the inputs that it ignores, which never reach the model; other texts as they are."""
    try:
        tree = parse_claim(claim)
    except ClaimError:
        return claim
    return str(replace(tree, inputs=tuple(s for s in tree.inputs if s.terms[0].name != "ignore")))
