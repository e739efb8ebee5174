"""Additive symmetries: a shift of one parameter that normalisers and softmax absorb, or that other biases take back.

Every parameter is shifted in turn (all of it, a segment, or alike along one axis) and the flow is followed through
the graph. Where it meets another bias in a sum that bias may take it back; what is left must be absorbed everywhere.
A second kind changes what a layer reads from a centred norm: W + u (1/γ)ᵀ, for Σ (x − mean) = 0.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symcheck.weights.additive_terms import space_of
from symcheck.weights.carry import Carrier
from symcheck.weights.centred import centred_values
from symcheck.weights.flows import CONSTANT, VARIES, Axes, Expression, Flow, alike, combined, key, matched
from symcheck.weights.hypotheses import extent, hypotheses, segments
from symcheck.weights.network import Network
from symcheck.weights.relations import Monomial, Part, Relation, Reshape, Value
from symcheck.weights.spec import Space
from symcheck.weights.trace import Traced

Sources = dict[int, list[Flow]]  # by identity of the value that is shifted
MOST = 48  # biases that may take one shift back


class Graph:
    """Who reads and who makes every value."""

    def __init__(self, net: Network):
        self.net = net
        self.carrier = Carrier(net)
        self.values = {id(value): value for value in net.values}
        self.order = self.carrier.order
        self.readers: dict[int, list[Relation]] = {}
        self.makers: dict[int, list[Relation]] = {}
        for relation in net.relations:
            out = self.carrier.output(relation) if self._made(relation) else None
            for value in _read(relation, out):
                self.readers.setdefault(id(value), []).append(relation)
            if out is not None:
                self.makers.setdefault(id(out), []).append(relation)
        self.centred = centred_values(self)

    def _made(self, relation: Relation) -> bool:
        return not isinstance(relation, Monomial) or id(relation.out) in self.order


@dataclass
class Attempt:
    """One hypothesis followed through the graph: the sources so far, and whether every flow ended.

    `ends` holds, by relation, a flow that it takes up and passes on as something else.
    """

    graph: Graph
    sources: Sources
    absorbing: bool
    ends: Mapping[int, Flow] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)
    taken: set[object] = field(default_factory=set)  # what each bias has already taken back

    joined: set[int] = field(default_factory=set)
    banned: set[int] = field(default_factory=set)  # biases that may not take anything back

    def run(self) -> bool:
        """Whether nothing of the shift reaches an output; biases that take it back join the sources."""
        for _ in range(MOST):
            found = self._once()
            if found is not None:
                return found
        return False

    def _once(self) -> bool | None:
        """True and False when it is decided, None after a bias has joined."""
        graph, flows = self.graph, {v: list(f) for v, f in self.sources.items()}
        self.reached.clear()
        queue = [graph.order[v] for v in flows]
        heapq.heapify(queue)
        done: dict[int, list[Flow]] = {}
        while queue:
            value = graph.net.values[heapq.heappop(queue)]
            if id(value) in done:
                continue
            done[id(value)] = here = combined(flows.get(id(value), []), graph.carrier.letters)
            if self.absorbing and self._absorb(value, here):
                return None
            for relation in graph.readers.get(id(value), []) if here else ():
                if _both(relation, value, done):
                    return False
                for flow in here:
                    if alike(flow, self.ends.get(id(relation))):
                        self.reached.add(id(relation))
                        continue
                    passed = graph.carrier.through(relation, value, flow)
                    if passed is None:
                        return False
                    passed = [one for one in passed if one.expression is None or one.expression.factor]  # 0 · x
                    if passed:
                        out = graph.carrier.output(relation)
                        flows.setdefault(id(out), []).extend(passed)
                        heapq.heappush(queue, graph.order[id(out)])
        return True

    def _absorb(self, value: Value, here: Sequence[Flow]) -> bool:
        """Let a bias that is added here take back the first flow that it can."""
        terms = self.graph.makers.get(id(value), [])
        if len(terms) < 2 or not all(isinstance(t, Monomial) for t in terms):
            return False
        for flow in here:
            if flow.expression is None:
                continue
            for parameter, path in biases(self.graph, value, ()):
                if id(parameter) in self.banned or (id(parameter) in self.sources and id(parameter) not in self.joined):
                    continue
                taken = self.answer(parameter, path, flow)
                if taken is not None and (mark := (id(parameter), key(taken))) not in self.taken:
                    self.taken.add(mark)
                    self.joined.add(id(parameter))
                    self.sources.setdefault(id(parameter), []).append(taken)
                    return True
        return False

    def answer(self, parameter: Value, path: tuple[Relation, ...], flow: Flow) -> Flow | None:
        """The change of a bias that makes −flow where it is added, None when it has not the shape."""
        carrier = self.graph.carrier
        for axes, support in _probes(parameter, path, carrier):
            probe: Flow | None = Flow(axes, Expression(1.0, axes), support)
            value = parameter
            for relation in path:
                passed = None if probe is None else carrier.through(relation, value, probe)
                probe, value = (passed[0] if passed else None), carrier.output(relation)
            if probe is not None and (made := _solve(probe, flow, carrier)):
                return replace(made, support=support)
        return None


Window = tuple[tuple[int, tuple[int, int]], ...]


def _probes(parameter: Value, path: Sequence[Relation], carrier: Carrier) -> Iterator[tuple[Axes, Window]]:
    """Ways to shift a bias freely: all of it, a segment, or alike along an axis from which rows are picked."""
    yield carrier.letters.axes(parameter.shape), ()
    if any(isinstance(r, Monomial) and r.picks for r in path):
        yield carrier.letters.axes(parameter.shape, [0]), ()
    if len(parameter.axes) == 1:
        for start, size in segments(parameter):
            yield carrier.letters.axes([size]), ((0, (start, parameter.shape[0])),)


def _solve(probe: Flow, flow: Flow, carrier: Carrier) -> Flow | None:
    """From the flow of a bias shifted by free letters, and the flow to take back: the shift."""
    both = matched(probe, flow, carrier.letters)
    if both is None:
        return None
    probe, flow = both
    if probe.expression is None or flow.expression is None or not probe.expression.factor:
        return None  # also where a factor of 0 keeps the bias from everything
    names: dict[str, tuple[str, int]] = {}
    for left, right in zip(probe.axes, flow.axes, strict=True):
        for (mine, n), (theirs, _) in zip(left, right, strict=True):
            if theirs == VARIES or (mine == CONSTANT and theirs != CONSTANT):
                return None
            if mine != CONSTANT and names.setdefault(mine, (theirs, n)) != (theirs, n):
                return None
    axes = tuple(tuple(names.get(k, (CONSTANT, n)) for k, n in a) for a in probe.expression.element)
    if flow.letters() - {k for a in axes for k, _ in a}:
        return None
    factor = -flow.expression.factor / probe.expression.factor
    return Flow(axes, replace(flow.expression, factor=factor))


def biases(graph: Graph, value: Value, path: tuple[Relation, ...]) -> Iterator[tuple[Value, tuple[Relation, ...]]]:
    """Parameters of which a value is a sum, with the relations that lead from them to it."""
    if value.parameter:
        yield value, path
        return
    for relation in graph.makers.get(id(value), []):
        if isinstance(relation, Reshape):
            yield from biases(graph, relation.value, (relation, *path))
        elif isinstance(relation, Part):
            if relation.part is value:
                yield from biases(graph, relation.whole, (relation, *path))
        elif isinstance(relation, Monomial):
            used = [row for row in relation.operands if row[2] != 0]
            if len(used) == 1 and used[0][2] == 1 and relation.linear and relation.factor is not None:
                yield from biases(graph, used[0][0], (relation, *path))


def _both(relation: Relation, value: Value, done: Mapping[int, list[Flow]]) -> bool:
    """Whether another factor of the relation flows too."""
    if not isinstance(relation, Monomial):
        return False
    return any(v is not value and p != 0 and done.get(id(v)) for v, _, p in relation.operands)


def _read(relation: Relation, out: Value | None) -> list[Value]:
    if isinstance(relation, Monomial):
        return list({id(v): v for v, _, p in relation.operands}.values())
    if isinstance(relation, Part):
        return [relation.whole if out is relation.part else relation.part]
    return [relation.value]


def shifts(traced: Traced) -> list[Space]:
    """The shift spaces of a traced network, one for every parameter and hypothesis that passes."""
    graph = Graph(traced.network)
    found: list[Space] = []
    seen: set[object] = set()
    exchanged: dict[object, object] = {}
    parameters = [v for v in traced.network.values if v.parameter]
    whole: set[tuple[str, bool]] = set()
    for hypothesis in hypotheses(graph, parameters):
        name, sources, changes = hypothesis
        what, reach = extent(hypothesis)
        if reach == "segment" and what in whole:
            continue
        for attempt in _passing(graph, sources):
            if reach == "whole":
                whole.add(what)
            made = space_of(name, attempt.sources, changes, graph.values, graph.carrier)
            mark = _mark(made)
            if made is None or mark in seen or any(_holds(old, made) for old in found) or not _joins(made, exchanged):
                continue
            seen.add(mark)
            found.append(made)
    return found


def _passing(graph: Graph, sources: Sources) -> Iterator[Attempt]:
    """The ways in which a shift is absorbed: by itself, or by biases, each time by others than before."""
    alone = Attempt(graph, {k: list(f) for k, f in sources.items()}, False)
    if alone.run():
        yield alone
        return
    banned: set[int] = set()
    while True:
        attempt = Attempt(graph, {k: list(f) for k, f in sources.items()}, True, banned=banned)
        if not attempt.run():
            return
        yield attempt
        banned = banned | attempt.joined


def _joins(space: Space, exchanged: dict[object, object]) -> bool:
    """Whether an exchange between two tensors follows not yet from others: a and b, b and c give a and c."""
    if len(space.terms) != 2:
        return True

    def root(item: object) -> object:
        while item in exchanged:
            item = exchanged[item]
        return item

    left, right = (root(term.to) for term in space.terms)
    if left == right:
        return False
    exchanged[left] = right
    return True


def _holds(old: Space, made: Space) -> bool:
    """Whether a shift by one number is part of a shift of the same vectors entry by entry."""
    same = {t.to for t in old.terms} == {t.to for t in made.terms}
    return same and made.size == 1 and len(old.shape) == 1


def _mark(space: Space | None) -> object:
    """Equal for the same exchange between the same tensors, whichever of them comes first."""
    if space is None:
        return None
    if any(term.operands for term in space.terms):
        return tuple((t.to, t.equation) for t in space.terms)
    return frozenset(t.to for t in space.terms), space.size
