"""Scale and sign spaces of all atoms, without those that a finer one already contains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from symcheck.weights.degrees import Field, Solution, degrees
from symcheck.weights.occurrences import Place, Places

Vector = dict[Place, Fraction]


@dataclass(frozen=True)
class Diagonal:
    """One scale or sign symmetry along an atom (None: whole tensors): the power at every place of a parameter."""

    atom: int | None
    kind: str
    powers: Mapping[Place, Fraction]
    approximate: bool = False


def diagonals(
    places: Places, atoms: Iterable[int], over: Mapping[int, frozenset[int]], known: Mapping[int, Solution]
) -> list[Diagonal]:
    """The independent scale and sign symmetries, the finest first: uniform ones that follow from finer ones are left out.

    `known`: powers along an atom that a larger group there already contains.
    """
    order = sorted(atoms, key=lambda a: -len(over.get(a, ())))
    found: list[Diagonal] = []
    for kind in ("scale", "sign"):
        solved: dict[int, list[Solution]] = {}
        for atom in [*order, None]:
            finer = [a for a in solved if atom is None or atom in over.get(a, ())]
            images = [v for a in finer for s in solved[a] if (v := _image(places, s, atom)) is not None]
            span = _Span(kind == "sign", [*images, *([known[atom]] if atom in known else [])])
            strict = degrees(places, atom, Field(signs=kind == "sign"))
            kept = [Diagonal(atom, kind, s) for s in strict if span.add(s)]
            if kind == "scale":
                relaxed = degrees(places, atom, Field(relaxed=True))
                kept += [Diagonal(atom, kind, s, True) for s in relaxed if span.add(s)]
                strict = [*strict, *relaxed]
            if atom is not None:
                solved[atom] = strict
            found += kept
    return found


def _image(places: Places, solution: Solution, atom: int | None) -> Vector | None:
    """What a uniform element along the finer atom does along a coarser one (None: to whole tensors)."""
    by_value: dict[int, list[Place]] = {}
    for place in solution:
        by_value.setdefault(place[0], []).append(place)
    image: Vector = {}
    for i, spots in by_value.items():
        if atom is None:
            image[(i, -1, -1)] = sum((solution[p] for p in spots), Fraction(0))
            continue
        targets = places.atom(places.net.values[i], atom)
        fine = [(i, p[1], p[2]) for p in places.atom(places.net.values[i], _leaf(places, spots[0]))]
        if len(targets) == 1:
            image[targets[0]] = sum((solution[p] for p in spots), Fraction(0))
        elif len(targets) == len(fine):
            image |= {t: solution.get(p, Fraction(0)) for t, p in zip(targets, fine, strict=True)}
        else:
            return None
    return {p: c for p, c in image.items() if c}


def _leaf(places: Places, place: Place) -> int:
    return places.leaves[place[0]][place[1]][place[2]]


class _Span:
    """The span of vectors over the rationals or GF(2), grown one by one."""

    def __init__(self, signs: bool, vectors: Iterable[Mapping[Place, Fraction]]):
        self.signs = signs
        self.rows: dict[Place, Vector] = {}
        for vector in vectors:
            self.add(vector)

    def add(self, vector: Mapping[Place, Fraction]) -> bool:
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

    def _reduced(self, vector: Mapping[Place, Fraction]) -> Vector:
        if self.signs:
            return {p: Fraction(1) for p, c in vector.items() if c.numerator % 2}
        return {p: c for p, c in vector.items() if c}
