"""Scale and sign spaces of all atoms, without those that a finer one already contains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from math import prod

from symcheck.weights.axes import Axis
from symcheck.weights.beside import Beside
from symcheck.weights.contexts import Over
from symcheck.weights.degrees import degrees
from symcheck.weights.equations import Field, Solution
from symcheck.weights.occurrences import Place, Places, numbered

Entry = tuple[int, int, tuple[Place, ...]]  # value, kind of its entries, places of the atoms
Vector = dict[Entry, Fraction]
MANY = 4096  # kinds of entries of one parameter


@dataclass(frozen=True)
class Diagonal:
    """One scale or sign symmetry along an atom (None: whole tensors): the power at every place of a parameter.

    `over`: the atoms for every index of which there is another element.
    """

    atom: int | None
    kind: str
    powers: Mapping[Place, Fraction]
    over: frozenset[int]
    approximate: bool = False


def diagonals(
    places: Places, entries: Entries, over: Mapping[int, frozenset[int]], known: Mapping[str, Mapping[int, Solution]]
) -> Iterator[Diagonal]:
    """The independent scale and sign symmetries, the finest first, without uniform ones that follow from finer ones.

    `over` lists the atoms; `known`: the scales and signs along an atom that a larger group there already contains.
    """
    tori = [(a, others) for a in over for others in _finer(places, entries.beside, a, over)]
    order = [*sorted(tori, key=lambda torus: -len(torus[1])), (None, frozenset[int]())]
    for exact in (Field(), Field(signs=True)):
        kind = "sign" if exact.signs else "scale"
        larger = [(over[atom] | {atom}, solution) for atom, solution in known[kind].items()]
        strict = list(larger)
        for field, approximate in ((exact, False), (Field(relaxed=True), True))[: 1 if exact.signs else 2]:
            solved = list(larger)
            for atom, others in order:
                atoms = others if atom is None else others | {atom}
                finer = [s for have, s in solved if have >= atoms] + [s for have, s in strict if have == atoms]
                span = Span(field.signs, filter(None, (entries.image(s, atoms) for s in finer)))
                inside = None if atom is None or others == over[atom] else Over(places, entries.beside, others)
                for solution in sorted(degrees(places, atom, field, inside), key=len):
                    vector = entries.image(solution, atoms)
                    if vector is None or span.add(vector):
                        yield Diagonal(atom, kind, solution, others, approximate)
                    solved.append((atoms, solution))
            strict = solved


def _finer(places: Places, beside: Beside, atom: int, over: Mapping[int, frozenset[int]]) -> set[frozenset[int]]:
    """What an atom may have copies over: what stands beside it everywhere, and what shares its axis somewhere."""
    found = {over[atom]}
    for i, value in enumerate(places.net.values):
        for place in places.atom(value, atom) if value.parameter else ():
            near = [
                a for a in dict.fromkeys(places.leaves[i][place[1]]) if a in over and a != atom and beside(place, a)
            ]
            more = [a for a in near if a not in over[atom]]
            for size in range(1, len(more) + 1):
                found |= {over[atom] | set(some) for some in combinations(more, size)}
    return found


class Entries:
    """What the powers along an atom amount to on every kind of entry of every parameter.

    A concatenation has other entries in every segment; two symmetries are one when they agree on all of them.
    """

    def __init__(self, places: Places, beside: Beside):
        self.places, self.beside = places, beside
        self.kinds: dict[int, list[frozenset[tuple[int, int]]] | None] = {}

    def image(self, solution: Solution, atoms: frozenset[int]) -> Vector | None:
        """The powers of an element uniform but along `atoms` (none: whole tensors); None where that is too long."""
        image: Vector = {}
        for place, power in solution.items():
            value, axis, leaf = place
            kinds = self._kinds(value)
            if kinds is None:
                return None
            own = self.places.leaves[value][axis][leaf] if axis >= 0 else None
            near = [{place} if a == own else self.beside(place, a) for a in sorted(atoms)]
            for k, present in enumerate(kinds):
                if axis >= 0 and (axis, leaf) not in present:
                    continue
                for target in product(*([p for p in spots if p[1:] in present] for spots in near)):
                    key = value, k, target
                    image[key] = image.get(key, Fraction(0)) + power
        return {p: c for p, c in image.items() if c}

    def _kinds(self, value: int) -> list[frozenset[tuple[int, int]]] | None:
        if value not in self.kinds:
            axes = [list(_alternatives(axis)) for axis in self.places.net.values[value].axes]
            few = prod(map(len, axes)) <= MANY
            self.kinds[value] = (
                [
                    frozenset((axis, leaf) for axis, leaves in enumerate(chosen) for leaf in leaves)
                    for chosen in product(*axes)
                ]
                if few
                else None
            )
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
