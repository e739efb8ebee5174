"""The automorphism group of a graph: its generators by refined colours and search, along a chain of fixed nodes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import DataError
from symcheck.groups.generated import Generated, generated

MOST_NODES = 200


def automorphisms(adjacency: Tensor, labels: Tensor | None = None) -> Generated:
    """Aut(G), the permutations p with A[p(i), p(j)] = A[i, j] and label[p(i)] = label[i], as a group of generators.

    Directions, weights and loops count. For each node of a base, one search a candidate image finds an automorphism
    that fixes the nodes before it; together these generate the group, and the product of the orbits is its order.
    Shapes: adjacency (n, n), labels (n,). Raises DataError: not a square of at most 200 finite numbers.
    """
    a = adjacency.detach().double().numpy()
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not 1 <= len(a) <= MOST_NODES or not np.isfinite(a).all():
        raise DataError(
            f"an adjacency of shape {a.shape} has no automorphism group here",
            where="automorphisms",
            hint=f"give a square matrix of finite numbers, at most {MOST_NODES} nodes",
        )
    n = len(a)
    start = np.zeros(n, dtype=np.int64) if labels is None else np.unique(labels.numpy(), return_inverse=True)[1]
    levels = [refine(a, start)]
    for base in range(n - 1):
        levels.append(refine(a, _marked(levels[-1], base)))
    rows: list[tuple[int, ...]] = []
    for base in reversed(range(n)):  # what is known already fixes every node below the base
        reached = _orbit(base, rows)
        for image in np.nonzero(levels[base] == levels[base][base])[0].tolist():
            if image not in reached and (found := _search(a, levels[base], base, image)) is not None:
                rows.append(found)
                reached = _orbit(base, rows)
    identity = tuple(range(n + 1))
    return generated("Perm", [(*row, n) for row in rows] or [identity])


def refine(adjacency: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colour refinement: nodes differ once their colour, loop, or the colours and weights of their edges do, (n,)."""
    values = np.unique(adjacency, return_inverse=True)[1].reshape(adjacency.shape)
    count = len(np.unique(colours))
    while True:
        keys = [
            (int(colours[i]), int(values[i, i]), *sorted(zip(values[i], values[:, i], colours, strict=True)))
            for i in range(len(colours))
        ]
        places = {key: place for place, key in enumerate(sorted(set(keys)))}
        colours = np.array([places[key] for key in keys], dtype=np.int64)
        if len(places) == count:
            return colours
        count = len(places)


def _search(a: np.ndarray, colours: np.ndarray, base: int, image: int) -> tuple[int, ...] | None:
    """An automorphism that fixes every node below `base` and sends it to `image`; None where there is none."""
    n = len(a)
    source, target = refine(a, _marked(colours, base)), refine(a, _marked(colours, image))
    if not np.array_equal(np.sort(source), np.sort(target)):
        return None
    # the rarest colours first; the mapping grows along `order`, with one open choice a level
    order = sorted(range(n), key=lambda i: (int((source == source[i]).sum()), i))
    choices = [iter(np.nonzero(target == source[order[0]])[0].tolist())]
    images: list[int] = []
    while choices:
        node = order[len(images)]
        for candidate in choices[-1]:
            if candidate not in images and _fits(a, order[: len(images)], images, node, candidate):
                images.append(candidate)
                break
        else:
            choices.pop()
            if images:
                images.pop()
            continue
        if len(images) == n:
            row = dict(zip(order, images, strict=True))
            return tuple(row[i] for i in range(n))
        choices.append(iter(np.nonzero(target == source[order[len(images)]])[0].tolist()))
    return None


def _fits(a: np.ndarray, nodes: list[int], images: list[int], node: int, image: int) -> bool:
    same = np.array_equal(a[node, nodes], a[image, images]) and np.array_equal(a[nodes, node], a[images, image])
    return bool(same and a[node, node] == a[image, image])


def _marked(colours: np.ndarray, node: int) -> np.ndarray:
    """The colours with one node told apart."""
    marked = 2 * colours
    marked[node] += 1
    return marked


def _orbit(base: int, rows: list[tuple[int, ...]]) -> set[int]:
    reached, queue = {base}, [base]
    for point in queue:
        for row in rows:
            if row[point] not in reached:
                reached.add(row[point])
                queue.append(row[point])
    return reached


def adjacency_of(nodes: int, edges: Tensor) -> Tensor:
    """The adjacency matrix (nodes, nodes) of an undirected edge list (2, E)."""
    a = torch.zeros(nodes, nodes, dtype=torch.float64)
    a[edges[0], edges[1]] = 1.0
    a[edges[1], edges[0]] = 1.0
    return a
