"""The automorphism group of a graph: its generators by refined colours and search, along a chain of fixed nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from symcheck.errors import DataError
from symcheck.groups.generated import Generated, generated

MOST_NODES = 200
Row = tuple[int, ...]


def automorphism_group(adjacency: Tensor, labels: Tensor | None = None) -> Generated:
    """Aut(G), the permutations p with A[p(i), p(j)] = A[i, j] and label[p(i)] = label[i], as a group of generators.

    Directions, weights and loops count. Shapes: adjacency (n, n), labels (n,). Raises DataError: not a square of at
    most 200 finite numbers.
    """
    a = adjacency.detach().double().numpy()
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not 1 <= len(a) <= MOST_NODES or not np.isfinite(a).all():
        raise DataError(
            f"an adjacency of shape {a.shape} has no automorphism group here",
            where="automorphism_group",
            hint=f"give a square matrix of finite numbers, at most {MOST_NODES} nodes",
        )
    n = len(a)
    vertices = np.zeros(n, dtype=np.int64) if labels is None else _numbered(labels.numpy())
    rows = automorphisms(vertices, _numbered(a))
    return generated("Perm", [(*row, n) for row in rows] or [tuple(range(n + 1))])


def automorphisms(vertices: np.ndarray, edges: np.ndarray, budget: int | None = None) -> list[Row]:
    """Generators of the automorphisms of a complete graph with coloured vertices (n,) and edges (n, n), p[i] of i.

    Nodes that can be exchanged first; then, with the nodes before it fixed, an image for each node that the
    automorphisms already found do not give: the product of these orbits is the order of the group. A search of more
    than `budget` steps is given up, so that the group may be larger.
    """
    n, levels = len(vertices), [refined(vertices, edges)]
    for level in range(n - 1):
        levels.append(refined(_marked(levels[-1], [level]), edges))
    found = _exchanges(levels[0], edges)
    for level in reversed(range(n)):
        reached = _orbit(level, found)
        for image in np.flatnonzero(levels[level] == levels[level][level]).tolist():
            steps = iter(range(budget)) if budget is not None else itertools.count()
            if image not in reached and (p := _match(levels[level], edges, [level], [image], steps)) is not None:
                found.append(p)
                reached = _orbit(level, found)
    return found


def refined(vertices: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Colour refinement: a node is told apart by the colours of all nodes and of its edges to them; colours (n,).

    Equal colours get equal numbers whatever the order of the nodes.
    """
    codes = _numbered(edges)
    both = _numbered(codes * (codes.max() + 1) + codes.T)
    colours, count = _numbered(vertices), 0
    while count < (now := int(colours.max()) + 1) < len(colours) or not count:
        count = now
        around = np.column_stack([colours, np.sort(both * count + colours, axis=1)])
        keys = [row.tobytes() for row in around]
        places = {key: place for place, key in enumerate(sorted(set(keys)))}
        colours = np.array([places[key] for key in keys])
    return colours


def _match(
    vertices: np.ndarray, edges: np.ndarray, source: list[int], target: list[int], steps: Iterator[int]
) -> Row | None:
    """An automorphism that takes the listed nodes to the listed ones: individualise, refine both, compare, go on."""
    if next(steps, None) is None:
        return None
    # both sides at once, so that one numbering of colours serves them
    both = np.concatenate([_marked(vertices, source), _marked(vertices, target)])
    wall = np.full_like(edges, edges.min() - 1)
    left, right = np.split(refined(both, np.block([[edges, wall], [wall, edges]])), 2)
    if sorted(left) != sorted(right):
        return None
    open_ = [k for k in range(len(left)) if (left == left[k]).sum() > 1]
    if not open_:
        p = right.argsort()[left.argsort().argsort()]
        return tuple(p.tolist()) if (edges[np.ix_(p, p)] == edges).all() else None
    images = np.flatnonzero(right == left[open_[0]]).tolist()
    further = (_match(vertices, edges, [*source, open_[0]], [*target, image], steps) for image in images)
    return next((p for p in further if p is not None), None)


def _exchanges(vertices: np.ndarray, edges: np.ndarray) -> list[Row]:
    """Of the exchanges of two nodes that keep the graph, that of each node and the last one before it."""
    found, slots = [], np.arange(len(vertices))
    for j in slots.tolist():
        for i in reversed(np.flatnonzero(vertices[:j] == vertices[j]).tolist()):
            rest = slots[(slots != i) & (slots != j)]
            alike = (edges[i, rest] == edges[j, rest]).all() and (edges[rest, i] == edges[rest, j]).all()
            if alike and edges[i, j] == edges[j, i]:
                found.append((*slots[:i].tolist(), j, *slots[i + 1 : j].tolist(), i, *slots[j + 1 :].tolist()))
                break
    return found


def _marked(colours: np.ndarray, nodes: Sequence[int]) -> np.ndarray:
    """The colours with some nodes told apart from all others, and from one another."""
    marks = np.zeros_like(colours)
    marks[list(nodes)] = np.arange(1, len(nodes) + 1)
    return np.asarray(colours * (len(colours) + 1) + marks)


def _orbit(point: int, rows: Sequence[Row]) -> set[int]:
    """The images of a node under the rows that fix all nodes before it."""
    fixing = [p for p in rows if p[:point] == tuple(range(point))]
    reached, queue = {point}, [point]
    for here in queue:
        new = {p[here] for p in fixing} - reached
        reached |= new
        queue += new
    return reached


def _numbered(values: np.ndarray) -> np.ndarray:
    """Equal numbers for equal values, in their order."""
    return np.unique(values, return_inverse=True)[1].reshape(values.shape)
