"""Signs with a change of biases: functions that are odd about another point than 0, or after a phase.

    f(−z) = c − f(z)    (a sigmoid: c = 1):    the units change sign, and c is taken back by the biases behind
    f(z + p) = −f(z)    (a sine: p = π):       p is added by the biases in front, and what leaves changes sign

Flips solve the equations of `degrees` in which such functions let signs pass; the flows of `shifts` find the biases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from symcheck.weights.additive_terms import term_of
from symcheck.weights.degrees import Field, Solution, degrees
from symcheck.weights.diagonals import Entries, Span
from symcheck.weights.flows import CONSTANT, Axes, Expression, Factor, Flow
from symcheck.weights.network import Monomial, Network, Value
from symcheck.weights.occurrences import Places
from symcheck.weights.shifts import Attempt, Graph, biases
from symcheck.weights.spec import Term


def reflections(
    net: Network, places: Places, entries: Entries, over: Mapping[int, Sequence[int]]
) -> Iterator[tuple[int, Solution, tuple[Term, ...]]]:
    """Along every atom the flips that need terms: the atom, the powers of parameters, the terms.

    `over` lists the atoms and those that each is over, in the order of the element's dimensions.
    """
    turning = [r for r in net.relations if isinstance(r, Monomial) and (r.centre or r.phase)]
    graph = Graph(net) if turning else None
    done: set[tuple[int, frozenset[int]]] = set()
    for atom in sorted(over, key=lambda a: -len(over[a])) if graph else ():
        if not any(places.atom(relation.out, atom) for relation in turning):
            continue
        plain = [entries.image(s, atom) for s in degrees(places, atom, Field(signs=True))]
        span = Span(True, [image for image in plain if image])
        for solution in degrees(places, atom, Field(signs=True, offset=True)):
            powers = {p: c for p, c in solution.items() if net.values[p[0]].parameter}
            used = [r for r in turning if _turns(places, r, atom, solution)]
            mark = frozenset(map(id, used))
            if not powers or not used or any((finer, mark) in done for finer in over if atom in over[finer]):
                continue
            terms = _terms(graph, places, atom, over[atom], used, solution)
            image = entries.image(powers, atom)
            if terms and (image is None or span.add(image)):
                done.add((atom, mark))
                yield atom, powers, terms


def _turns(places: Places, relation: Monomial, atom: int, solution: Solution) -> bool:
    """Whether the function at hand is passed in the way that needs a term."""
    before = [p for p in places.atom(relation.operands[0][0], atom) if p in solution]
    after = [p for p in places.atom(relation.out, atom) if p in solution]
    if relation.centre:
        return bool(before)
    odd = relation.parity == "linear"
    return bool(after) != (odd and bool(before))


def _terms(
    graph: Graph, places: Places, atom: int, over: Sequence[int], used: Sequence[Monomial], solution: Solution
) -> tuple[Term, ...]:
    """What the biases must do; empty where they cannot."""
    letters = {a: graph.carrier.letters.fresh() for a in (*over, atom)}
    element = tuple(((letter, places.atoms[a].size),) for a, letter in letters.items())
    sources: dict[int, list[Flow]] = {}
    ends: dict[int, Flow] = {}
    for relation in used:
        value = relation.out if relation.centre else relation.operands[0][0]
        if len(places.atom(value, atom)) != 1:
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
        if id(parameter) in sources:
            continue
        change = Attempt(graph, {}, False).answer(parameter, path, wanted)
        if change is not None:
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
