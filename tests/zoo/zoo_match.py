"""Which of the expected symmetries a spec holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import networkx
from zoo_entry import Expect

from symcheck.weights.spec import Space, Spec

# Kinds that hold another kind along the same atom.
LARGER = {
    "permutation": ("general", "orthogonal"),
    "orthogonal": ("general",),
    "rotation": ("general",),
    "scale": ("general",),
    "sign": ("general", "orthogonal"),
}
NUMBERS = ("scale", "sign", "shift")


@dataclass(frozen=True)
class Held:
    """A space as the comparison sees it: its size, its copies, and the places on which it acts."""

    space: Space
    over: int
    places: frozenset[str]

    @property
    def numbers(self) -> int:
        """How many independent numbers a scale, sign or shift has."""
        return self.space.size * self.over


def held(spec: Spec, space: Space) -> Held:
    """The places, `tensor` and `tensor:axis`, on which a space acts."""
    places = {term.to.split("[")[0].split("^")[0] for term in space.terms}
    places |= {name for name in spec.axes for stack in space.stacks if fnmatchcase(name, stack)}
    if space.on is None:
        places |= {name for name, powers in (space.exponents or {}).items() if any(powers)}
    else:
        for atom, powers in ((space.on, space.exponents), (space.leaves, None)):
            for name, found in spec.places.get(atom, {}).items():
                if powers is None or space.kind == "tree":
                    chosen = list(found)
                else:
                    chosen = [o for o, power in zip(found, powers.get(name, ()), strict=False) if power]
                places |= {f"{name}:{o.axis}" for o in chosen} | ({name} if chosen else set())
    return Held(space, math.prod(spec.sizes[atom] for atom in space.over), frozenset(places))


def resolve(place: str, ties: Mapping[str, str]) -> str:
    """A place under the name by which the spec keys its tensor."""
    name, colon, axis = place.partition(":")
    return ties.get(name, name) + colon + axis


def there(expect: Expect, one: Held, ties: Mapping[str, str]) -> bool:
    """Whether the space acts on every place that it must act on, and on none that it must not."""
    wanted = [{resolve(place, ties) for place in each.split("|")} for each in expect.on]
    return all(each & one.places for each in wanted) and not {resolve(p, ties) for p in expect.off} & one.places


def fits(expect: Expect, one: Held) -> bool:
    """Whether a space of the expected kind has the expected size."""
    if expect.kind == "shift":
        return True
    if expect.kind in NUMBERS:
        return one.numbers <= expect.size and (not one.space.approximate or expect.eps)
    return (one.space.size, one.over) == (expect.size, expect.over)


def contains(expect: Expect, one: Held) -> bool:
    """Whether a space of a larger kind holds what is expected."""
    if one.space.kind not in LARGER.get(expect.kind, ()) or one.space.approximate:
        return False
    if one.space.kind == "orthogonal" and one.space.fixes and expect.kind != "permutation":
        return False
    if expect.kind in NUMBERS:
        return one.numbers == expect.size
    return (one.space.size, one.over) == (expect.size, expect.over)


def missed(expected: Iterable[Expect], spec: Spec) -> list[Expect]:
    """What is expected and not held; a space serves one expectation of its own kind, or as many as it has numbers."""
    spaces = [held(spec, space) for space in spec.spaces.values()]
    rest = [e for e in expected if not any(contains(e, s) and there(e, s, spec.ties) for s in spaces)]
    graph = networkx.DiGraph()
    for i, expect in enumerate(rest):
        counted = expect.kind in NUMBERS
        graph.add_edge(("expected", i), "sink", capacity=expect.size if counted else 1)
        for one in spaces:
            if one.space.kind == expect.kind and fits(expect, one) and there(expect, one, spec.ties):
                supply = one.numbers if counted else 1
                graph.add_edge("source", one.space.name, capacity=supply)
                graph.add_edge(one.space.name, ("expected", i), capacity=supply)
    if "source" not in graph:
        return rest
    _, flow = networkx.maximum_flow(graph, "source", "sink")
    need = {i: e.size if e.kind in NUMBERS else 1 for i, e in enumerate(rest)}
    return [expect for i, expect in enumerate(rest) if flow[("expected", i)]["sink"] < need[i]]
