"""Which atoms carry a general linear or an orthogonal group: those that no operator reads index by index.

The places of an atom are linked by contractions, sums and views. A product with a gain vector γ does not break the
group, it changes the basis: every place has a potential τ, a monomial in gains, and A acts there as τ A τ^-1. A
contraction pairs τ with τ^-1, a norm needs τ = 1, and where no such τ exists the atom keeps its permutations only.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from fractions import Fraction

from symcheck.weights.network import Network
from symcheck.weights.occurrences import Place, Places
from symcheck.weights.relations import Monomial, Normalise, Part, Reshape, Softmax, Value

Gains = dict[str, Fraction]
Edge = tuple[Place, bool, Gains]  # neighbour, whether it is the dual, the gains in between


@dataclass(frozen=True)
class Linear:
    """The linear group of an atom: every place has a sign (−1 for the contragredient) and its potential τ.

    `orthogonal` where a norm or a product with itself reads it, `centred` where a norm removes its mean.
    """

    orthogonal: bool
    centred: bool
    signs: dict[Place, int]
    potentials: dict[Place, Gains]


@dataclass
class _Links:
    edges: dict[Place, list[Edge]] = field(default_factory=dict)
    normed: list[Place] = field(default_factory=list)
    centred: bool = False
    broken: bool = False

    def link(self, a: Place, b: Place, dual: bool = False, gains: Gains | None = None) -> None:
        """τ_b = ±τ_a + gains."""
        forward = gains or {}
        backward = forward if dual else {g: -p for g, p in forward.items()}
        self.edges.setdefault(a, []).append((b, dual, forward))
        self.edges.setdefault(b, []).append((a, dual, backward))


class Gain:
    """Which values are a gain vector: a 1-D parameter, perhaps with axes of size 1 around it."""

    def __init__(self, net: Network):
        self.names: dict[int, str] = {id(v): v.name for v in net.values if v.parameter and len(v.axes) == 1}
        for relation in net.relations:
            if isinstance(relation, Reshape) and id(relation.value) in self.names:
                if sum(n > 1 for n in relation.out.shape) == 1:
                    self.names[id(relation.out)] = self.names[id(relation.value)]
            elif isinstance(relation, Monomial) and len(relation.operands) == 1 and relation.linear:
                value, labels, power = relation.operands[0]
                if id(value) in self.names and power == 1 and len(relation.out.axes) == len(labels):
                    self.names[id(relation.out)] = self.names[id(value)]


def linear_group(places: Places, gain: Gain, atom: int) -> Linear | None:
    """The linear group of an atom, None where an operator reads it index by index."""
    if places.atoms[atom].pinned:
        return None
    links = _Links()
    for relation in places.relations.get(atom, []):
        if isinstance(relation, Monomial):
            _monomial(places, gain, atom, relation, links)
        elif isinstance(relation, Softmax):
            links.broken |= bool(places.atom(relation.value, atom))
        elif isinstance(relation, Normalise):
            _normalise(places, atom, relation, links)
        else:
            _carry(places, atom, relation, links)
        if links.broken:
            return None
    if any(places.net.values[place[0]].data is not None for place in links.edges):
        return None  # data stays as it is
    return _solve(links)


def _carry(places: Places, atom: int, relation: Reshape | Part, links: _Links) -> None:
    for left, right in places.carried(relation, atom):
        if len(left) != len(right):
            links.broken = True
            return
        for a, b in zip(left, right, strict=False):
            links.link(a, b)


def _normalise(places: Places, atom: int, relation: Normalise, links: _Links) -> None:
    for axis, (left, right) in enumerate(places.carried(relation, atom)):
        if left and axis not in relation.axes:
            links.broken = True
        for a, b in zip(left, right, strict=True):
            links.link(a, b)
            links.normed.append(a)
            links.centred |= relation.centred


def _monomial(places: Places, gain: Gain, atom: int, relation: Monomial, links: _Links) -> None:
    for label in places.labels(relation, atom):
        held = places.label(relation, label, atom)
        if not relation.linear or relation.degree == "zero" or len({len(spots) for spots, _, _ in held}) > 1:
            links.broken = True
            return
        _label(gain, relation, label, held, links)


def _label(
    gain: Gain,
    relation: Monomial,
    label: Hashable,
    held: list[tuple[list[Place], Fraction | None, Value]],
    links: _Links,
) -> None:
    gains: Gains = {}
    if len(held) == 3 and held[0][1] is None:
        found = [h for h in held[1:] if id(h[2]) in gain.names]
        if not found or held[1][2] is held[2][2]:
            links.broken = True
            return
        _, power, value = found[0]
        gains = {gain.names[id(value)]: power or Fraction(1)}
        held = [h for h in held if h is not found[0]]
    if len(held) != 2 or any(power not in (None, 1) for _, power, _ in held):
        links.broken = True
        return
    (left, first, _), (right, _, _) = held
    dual = first is not None  # both are operands: contracted with each other
    for a, b in zip(left, right, strict=True):
        # the output is listed first: τ_out = τ_in + gains
        if dual:
            links.link(a, b, dual=True)
        else:
            links.link(b, a, gains=gains)


def _solve(links: _Links) -> Linear | None:
    """τ at every linked place, component by component; None when the conditions contradict each other."""
    solved: dict[Place, Gains] = {}
    signs: dict[Place, int] = {}
    orthogonal = False
    normed = set(links.normed)
    for root in links.edges:
        if root in solved:
            continue
        component: dict[Place, tuple[int, Gains]] = {root: (1, {})}
        fixed: list[Gains] = []  # values that the root's τ must have
        queue = [root]
        while queue:
            here = queue.pop()
            sign, constant = component[here]
            if here in normed:
                fixed.append({g: -sign * p for g, p in constant.items() if p})
            for there, dual, gains in links.edges[here]:
                turn = -1 if dual else 1
                new = (turn * sign, _add({g: turn * p for g, p in constant.items()}, gains))
                old = component.get(there)
                if old is None:
                    component[there] = new
                    queue.append(there)
                elif old[0] == new[0]:
                    if old[1] != new[1]:
                        return None
                else:
                    half = _add(new[1], {g: -p for g, p in old[1].items()})
                    fixed.append({g: p * old[0] / 2 for g, p in half.items()})
        start = fixed[0] if fixed else {}
        if any(value != start for value in fixed):
            return None
        orthogonal |= bool(fixed)
        for place, (sign, constant) in component.items():
            signs[place] = sign
            solved[place] = _add({g: sign * p for g, p in start.items()}, constant)
    return Linear(orthogonal, links.centred, signs, solved)


def _add(a: Gains, b: Gains) -> Gains:
    total = {g: a.get(g, Fraction(0)) + b.get(g, Fraction(0)) for g in a.keys() | b.keys()}
    return {g: p for g, p in total.items() if p}
