"""Signs with a change of biases: functions that are odd about another point than 0, or after a phase.

    f(−z) = c − f(z)    (a sigmoid: c = 1):    the units change sign, and c is taken back by the biases behind
    f(z + p) = −f(z)    (a sine: p = π):       p is added by the biases in front, and what leaves changes sign

Flips solve the equations of `degrees` in which such functions let signs pass; the flows of `shifts` find the biases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

from symcheck.weights.additive_terms import term_of
from symcheck.weights.degrees import degrees
from symcheck.weights.diagonals import Entries, Span
from symcheck.weights.equations import Field, Solution
from symcheck.weights.flows import CONSTANT, Axes, Expression, Factor, Flow, alike
from symcheck.weights.network import Network
from symcheck.weights.occurrences import Places
from symcheck.weights.relations import Monomial, Value
from symcheck.weights.shifts import Attempt, Graph, biases
from symcheck.weights.spec import Term

FEW = 4  # flips that fail alone and are tried together
Reflection = tuple[Solution, tuple[Term, ...]]  # the powers of parameters, and what is added before


def reflections(
    net: Network, places: Places, entries: Entries, over: Mapping[int, Sequence[int]]
) -> Iterator[tuple[int, Reflection]]:
    """Along every atom the flips that need terms.

    `over` lists the atoms and those that each is over, in the order of the element's dimensions.
    """
    turning = [r for r in net.relations if isinstance(r, Monomial) and (r.centre or r.phase)]
    if not turning:
        return
    graph, done = Graph(net), set[tuple[int, frozenset[int]]]()
    for atom in sorted(over, key=lambda a: -len(over[a])):
        near = [relation for relation in turning if places.atom(relation.out, atom)]
        finer = {used for other, used in done if atom in over[other]}
        for used, found in _along(graph, places, entries, (*over[atom], atom), near) if near else ():
            if used not in finer:
                done.add((atom, used))
                yield atom, found


def _along(
    graph: Graph, places: Places, entries: Entries, atoms: Sequence[int], near: Sequence[Monomial]
) -> Iterator[tuple[frozenset[int], Reflection]]:
    """The flips along the last of `atoms`, each with the functions that it passes; those that fail alone, together."""
    net, atom = places.net, atoms[-1]
    plain = [entries.image(s, frozenset(atoms)) for s in degrees(places, atom, Field(signs=True))]
    span = Span(True, [image for image in plain if image])
    waiting: list[Solution] = []

    def tried(solution: Solution) -> Iterator[tuple[frozenset[int], Reflection]]:
        powers = {place: power for place, power in solution.items() if net.values[place[0]].parameter}
        used = [relation for relation in near if _turns(places, relation, atom, solution)]
        terms = _terms(graph, places, atoms, used) if powers and used else ()
        image = entries.image(powers, frozenset(atoms))
        if terms and (image is None or span.add(image)):
            yield frozenset(map(id, used)), (powers, terms)
        elif used and not terms:
            waiting.append(solution)

    for solution in sorted(degrees(places, atom, Field(signs=True, offset=True)), key=len):
        yield from tried(solution)
    alone = waiting[:FEW]
    for size in range(2, len(alone) + 1):
        for some in combinations(alone, size):
            counts = Counter(place for solution in some for place in solution)
            yield from tried({place: Fraction(1) for place, count in counts.items() if count % 2})


def _turns(places: Places, relation: Monomial, atom: int, solution: Solution) -> bool:
    """Whether the function at hand is passed in the way that needs a term."""
    before = [p for p in places.atom(relation.operands[0][0], atom) if p in solution]
    after = [p for p in places.atom(relation.out, atom) if p in solution]
    if relation.centre:
        return bool(before)
    odd = relation.parity == "linear"
    return bool(after) != (odd and bool(before))


def _terms(graph: Graph, places: Places, atoms: Sequence[int], used: Sequence[Monomial]) -> tuple[Term, ...]:
    """What the biases must do; empty where they cannot."""
    letters = {a: graph.carrier.letters.fresh() for a in atoms}
    element = tuple(((letter, places.atoms[a].size),) for a, letter in letters.items())
    sources: dict[int, list[Flow]] = {}
    ends: dict[int, Flow] = {}
    for relation in used:
        value = relation.out if relation.centre else relation.operands[0][0]
        if len(places.atom(value, atoms[-1])) != 1:
            return ()
        axes = _axes(value, letters)
        if axes is None:
            return ()
        flow = Flow(axes, Expression(-relation.centre if relation.centre else relation.phase, element))
        if relation.centre:
            sources.setdefault(id(value), []).append(flow)
            continue
        ends[id(relation)] = flow
    for relation in used:
        if relation.phase and not _phased(graph, relation, ends[id(relation)], sources):
            return ()
    attempt = Attempt(graph, sources, any(r.centre for r in used), ends)
    if not attempt.run() or attempt.reached != set(ends):
        return ()
    changed = [(graph.values[v], flow) for v, flows in attempt.sources.items() for flow in flows]
    terms = [term_of(value, flow, grouped=True) for value, flow in changed if value.parameter]
    return tuple(term for term in terms if term) if all(terms) else ()


def _phased(graph: Graph, relation: Monomial, flow: Flow, sources: dict[int, list[Flow]]) -> bool:
    """Let a bias add the phase to what the function reads."""
    if flow.expression is None:
        return False
    wanted = replace(flow, expression=replace(flow.expression, factor=-flow.expression.factor))
    for parameter, path in biases(graph, relation.operands[0][0], ()):
        change = Attempt(graph, {}, False).answer(parameter, path, wanted)
        if change is not None and all(alike(change, old) for old in sources.get(id(parameter), [])):
            sources[id(parameter)] = [change]
            return True
    return False


def _axes(value: Value, letters: Mapping[int, str]) -> Axes | None:
    """The axes of a value with the letters of atoms, constant along all else; None where an atom stands in a sum."""
    axes: list[tuple[Factor, ...]] = []
    for axis in value.axes:
        factors: list[Factor] = []
        root = axis.root()
        for part in root.parts if root.kind == "product" else [root]:
            part = part.root()
            if part.kind and any(id(leaf) in letters for leaf in part.leaves()):
                return None
            factors.append((letters.get(id(part), CONSTANT), part.size))
        axes.append(tuple(factors) or ((CONSTANT, 1),))
    return tuple(axes)
