"""Atoms get names that a reader can place, and solved axes become patterns."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fractions import Fraction

from symcheck import patterns
from symcheck.weights.axes import Axis
from symcheck.weights.occurrences import Place, Places
from symcheck.weights.relations import Value
from symcheck.weights.sizes import children
from symcheck.weights.trace import Traced


class Namer:
    """Names for the atoms of parameters: the module where each is first written, shortened."""

    def __init__(self, traced: Traced, places: Places):
        self.places, self.parameters = places, traced.parameters
        self.atoms: dict[int, str] = {}
        taken: set[str] = set()
        order = sorted(traced.parameters, key=lambda n: (list(traced.shapes).index(n) if n in traced.shapes else 0))
        for name in order:
            for axis in places.of(traced.parameters[name]):
                for atom in axis:
                    if atom not in self.atoms:
                        self.atoms[atom] = _unused(_short(name.split(".")), taken)

    def __getitem__(self, atom: int) -> str:
        return self.atoms[atom]

    def spots(self, tensor: str, atom: int) -> list[Place]:
        """The places of an atom in a parameter, in reading order."""
        return self.places.atom(self.parameters[tensor], atom)

    def by_tensor(self, atom: int, powers: Mapping[Place, Fraction | int]) -> dict[str, tuple[Fraction, ...]]:
        """Exponents of places, as one tuple a tensor."""
        found = {}
        for name in dict.fromkeys(self.places.net.values[p[0]].name for p in powers):
            found[name] = tuple(Fraction(powers.get(p, 0)) for p in self.spots(name, atom))
        return found


def _short(parts: list[str]) -> str:
    """`model.layers.3.mlp.up_proj.weight` -> `up_proj_3`, `layer1.0.conv1.weight` -> `layer1_0_conv1`."""
    kept = parts[:-1] if len(parts) > 1 else parts
    numbered = [p for p in kept[:-1] if any(c.isdigit() for c in p)] + kept[-1:]
    while len(numbered) > 1 and numbered[0].isdigit() and not all(p.isdigit() for p in numbered):
        numbered = [*numbered[1:], numbered[0]]
    name = re.sub(r"\W", "_", "_".join(numbered)) or "h"
    return f"h{name}" if name[0].isdigit() else name


def _unused(name: str, taken: set[str]) -> str:
    endings = ("", *(f"_{c}" for c in "bcdefghijklmnopqrstuvwxyz"), *(f"_{i}" for i in range(27, 999)))
    made = next(name + e for e in endings if name + e not in taken)
    taken.add(made)
    return made


def pattern(value: Value, names: Namer, needed: Collection[str]) -> tuple[patterns.Axis, ...]:
    """The axis pattern of a parameter, naming only the atoms that something acts along or is over."""
    return tuple(_print(axis, names, needed, top=True) for axis in value.axes)


def _print(axis: Axis, names: Namer, needed: Collection[str], top: bool = False) -> patterns.Axis:
    node = axis.root()
    if not node.kind:
        name = names.atoms.get(id(node), "")
        return patterns.Leaf(name) if name in needed else patterns.Fixed(None if top else node.size)
    parts = [_print(part, names, needed) for part in node.parts]
    if not any(_named(part) for part in parts):
        return patterns.Fixed(None if top else node.size)
    if node.kind == "turns":
        return patterns.interleaved(*parts)
    merged: list[patterns.Axis] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, patterns.Fixed) and isinstance(last, patterns.Fixed) and part.size and last.size:
            size = part.size * last.size if node.kind == "product" else part.size + last.size
            merged[-1] = patterns.Fixed(size)
        else:
            merged.append(part)
    return patterns.product(*merged) if node.kind == "product" else patterns.concatenation(*merged)


def _named(axis: patterns.Axis) -> bool:
    if isinstance(axis, patterns.Leaf):
        return True
    return any(_named(part) for part in children(axis))
