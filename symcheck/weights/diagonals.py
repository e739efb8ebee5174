"""Scale and sign spaces of all atoms, without those that a finer one already contains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod

from symcheck.weights.axes import Axis
from symcheck.weights.beside import Beside
from symcheck.weights.degrees import Field, Solution, degrees
from symcheck.weights.occurrences import Place, Places, numbered

Entry = tuple[int, int, tuple[int, ...]]  # value, kind of its entries, place of the atom
Vector = dict[Entry, Fraction]
MANY = 4096  # kinds of entries of one parameter


@dataclass(frozen=True)
class Diagonal:
    """One scale or sign symmetry along an atom (None: whole tensors): the power at every place of a parameter."""

    atom: int | None
    kind: str
    powers: Mapping[Place, Fraction]
    approximate: bool = False


def diagonals(
    places: Places,
    beside: Beside,
    atoms: Iterable[int],
    over: Mapping[int, frozenset[int]],
    known: Mapping[int, Solution],
) -> list[Diagonal]:
    """The independent scale and sign symmetries, the finest first: uniform ones that follow from finer ones are left out.

    `known`: powers along an atom that a larger group there already contains.
    """
    order = sorted(atoms, key=lambda a: -len(over.get(a, ())))
    entries = Entries(places, beside)
    found: list[Diagonal] = []
    for kind in ("scale", "sign"):
        exact, relaxed = Field(signs=kind == "sign"), Field(relaxed=True)
        fields = (exact,) if kind == "sign" else (exact, relaxed)
        solved: dict[tuple[int, Field], list[Solution]] = {}
        for atom in [*order, None]:
            own: list[Solution] = [known[atom]] if atom in known else []
            for field in fields:
                finer = [s for (a, f), each in solved.items() if f == field for s in each if atom is None or atom in over.get(a, ())]
                span = Span(field.signs, [v for s in [*finer, *own] if (v := entries.image(s, atom)) is not None])
                solutions = degrees(places, atom, field)
                for solution in solutions:
                    vector = entries.image(solution, atom)
                    if vector is None or span.add(vector):
                        found.append(Diagonal(atom, kind, solution, field.relaxed))
                own += solutions
                if atom is not None:
                    solved[atom, field] = solutions
    return found


class Entries:
    """What the powers along an atom amount to on every kind of entry of every parameter.

    A concatenation has other entries in every segment; two symmetries are one when they agree on all of them.
    """

    def __init__(self, places: Places, beside: Beside):
        self.places, self.beside = places, beside
        self.kinds: dict[int, list[frozenset[tuple[int, int]]] | None] = {}

    def image(self, solution: Solution, atom: int | None) -> Vector | None:
        """The powers of a uniform element as seen along `atom` (None: by whole tensors); None where there are too many."""
        image: Vector = {}
        for place, power in solution.items():
            value, axis, leaf = place
            kinds = self._kinds(value)
            if kinds is None:
                return None
            same = atom is not None and (axis < 0 or self.places.leaves[value][axis][leaf] == atom)
            targets = {place} if same else {()} if atom is None else self.beside(place, atom)
            for k, present in enumerate(kinds):
                for target in targets:
                    if axis < 0 or ((axis, leaf) in present and (not target or target[1:] in present)):
                        key = value, k, target
                        image[key] = image.get(key, Fraction(0)) + power
        return {p: c for p, c in image.items() if c}

    def _kinds(self, value: int) -> list[frozenset[tuple[int, int]]] | None:
        if value not in self.kinds:
            axes = [list(_alternatives(axis)) for axis in self.places.net.values[value].axes]
            few = prod(map(len, axes)) <= MANY
            self.kinds[value] = [
                frozenset((axis, leaf) for axis, leaves in enumerate(chosen) for leaf in leaves) for chosen in product(*axes)
            ] if few else None
        return self.kinds[value]


def _alternatives(axis: Axis, begin: int = 0) -> Iterator[tuple[int, ...]]:
    """The leaves of an axis that stand together, one segment of every concatenation after another."""
    node = axis.root()
    if not node.kind:
        yield (begin,) * len(node.leaves())
    elif node.kind == "product":
        parts = [list(_alternatives(part, begin + first)) for part, first, _ in numbered(node)]
        yield from (tuple(leaf for leaves in chosen for leaf in leaves) for chosen in product(*parts))
    else:
        for part, first, _ in numbered(node):
            yield from _alternatives(part, begin + first)


class Span:
    """The span of vectors over the rationals or GF(2), grown one by one."""

    def __init__(self, signs: bool, vectors: Iterable[Mapping[Entry, Fraction]]):
        self.signs = signs
        self.rows: dict[Entry, Vector] = {}
        for vector in vectors:
            self.add(vector)

    def add(self, vector: Mapping[Entry, Fraction]) -> bool:
        """Whether the vector is new; if so it is added."""
        rest = self._reduced(vector)
        while True:
            hit = next((p for p in rest if p in self.rows), None)
            if hit is None:
                break
            factor = rest[hit]
            for p, c in self.rows[hit].items():
                rest[p] = rest.get(p, Fraction(0)) - factor * c
            rest = self._reduced(rest)
        if not rest:
            return False
        pivot = min(rest)
        self.rows[pivot] = {p: c / rest[pivot] for p, c in rest.items()}
        return True

    def _reduced(self, vector: Mapping[Entry, Fraction]) -> Vector:
        if self.signs:
            return {p: Fraction(1) for p, c in vector.items() if c.numerator % 2}
        return {p: c for p, c in vector.items() if c}
