"""Which slots of an input are alike: the graph of what a network answers when one or two slots are changed.

All slots hold one row v; slot i is then given another row u, slots i and j the rows u and w. At such points a function
that is invariant under a permutation p has f(i) = f(p i) and f(i, j) = f(p i, p j) to rounding, whatever the data: the
first and second differences there are its Jacobian and Hessian at finite steps, which piecewise linear networks have as
well. Permutations that keep this coloured graph are candidates, no more: a deeper interaction may break them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.discover.moved import numbers
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.runner import Runner

MOST = 48  # slots: as many squared forward passes
LEVELS = (1e-6, 1e-2, 0.1)  # what counts as one colour, of the spread of all answers
_BUDGET = 4000  # steps of the search for one automorphism
Rows = tuple[int, ...]


def automorphisms(
    evaluator: Evaluator, runner: Runner, name: str, axis: int = 0, also: tuple[str, ...] = ()
) -> list[Rows]:
    """Permutations p of the slots (axis of one sample of input `name`) that keep the graph, i to p[i]: generators.

    Outputs are taken to be invariant, to move with the slots where they have as many, or to change sign; each with
    exact colours and with colours that differ a little, so that nearly symmetric networks are found. `runner` is the
    subject at the precision that decides what is exact. Inputs `also` have the same slots, and are given equal rows.
    """
    answers = _answers(evaluator, runner, name, axis, also)
    found: dict[Rows, None] = {}
    for vertices, edges in _graphs(answers):
        scale = float(edges.std(axis=(0, 1)).max()) or float(vertices.std(axis=0).max())
        for level in LEVELS:
            step = max(level * scale, 1e-300)
            graph = np.where(np.eye(len(edges), dtype=bool), -1, _colours(edges, step))
            found |= dict.fromkeys(generators(_colours(vertices, step), graph))
    return list(found)


def generators(vertices: np.ndarray, edges: np.ndarray) -> list[Rows]:
    """Generators of the automorphisms of a complete graph with coloured vertices (n,) and edges (n, n).

    Slots that can be exchanged first; then, with the slots before it fixed, an image for each slot that the
    automorphisms already found do not give. A search that grows too long is given up, so the group may be larger.
    """
    n, vertices = len(vertices), refined(vertices, edges)
    found = [_exchange(n, i, j) for i in range(n) for j in range(i + 1, n) if _twins(vertices, edges, i, j)]
    found = _spanning(found, n)
    for level in reversed(range(n)):
        reached = _orbit(level, [p for p in found if all(p[k] == k for k in range(level))])
        for image in range(level + 1, n):
            if image in reached or vertices[image] != vertices[level]:
                continue
            p = _match(vertices, edges, [*range(level), level], [*range(level), image], [_BUDGET])
            if p is not None:
                found.append(p)
                reached = _orbit(level, [q for q in found if all(q[k] == k for k in range(level))])
    return found


def refined(vertices: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Colour refinement: a vertex is told apart by the colours around it, until nothing changes; colours (n,)."""
    colours, count = _numbered(list(vertices.tolist())), 0
    while len(set(colours)) > count:
        count = len(set(colours))
        around = [
            (colours[i], tuple(sorted(zip(edges[i].tolist(), edges[:, i].tolist(), colours, strict=True))))
            for i in range(len(colours))
        ]
        colours = _numbered(around)
    return np.array(colours)


def _answers(evaluator: Evaluator, runner: Runner, name: str, axis: int, also: tuple[str, ...]) -> list[Tensor]:
    """Every output at the probes, (P, n + n², *out): slot i changed, then i and j; a P for each choice of rows."""
    x = evaluator.samples.tensors[name]
    slots = x.movedim(axis + 1, 1)
    n, rows = slots.shape[1], slots.flatten(0, 1)
    order = rows.reshape(len(rows), -1).double().sum(1).argsort()
    places = [[0.5, 0.85, 0.2], [0.3, 0.6, 0.95]]
    probes = []
    for v, u, w in ([rows[order[int(q * (len(rows) - 1))]] for q in place] for place in places):
        one = torch.eye(n, dtype=torch.bool, device=x.device)
        first = torch.cat([one, one.repeat_interleave(n, 0)])
        second = torch.cat([torch.zeros_like(one), one.repeat(n, 1)]) & ~first
        shape = (-1, n, *[1] * (rows.dim() - 1))
        probes.append(torch.where(first.view(shape), u, torch.where(second.view(shape), w, v)))
    moved = torch.cat(probes).movedim(1, axis + 1)
    found: dict[str, list[Tensor]] = {}
    others = {k: _even(t[:1]) if k in also else t[:1] for k, t in evaluator.samples.tensors.items()}
    for start in range(0, len(moved), evaluator.chunks.size):
        piece = moved[start : start + evaluator.chunks.size]
        tensors = {k: t.expand(len(piece), *t.shape[1:]) for k, t in others.items()} | {name: piece}
        for key, y in numbers(runner(Batch(tensors, len(piece)))).items():
            found.setdefault(key, []).append(y)
    joined = [torch.cat(pieces) for pieces in found.values()]
    return [y.reshape(len(places), n + n * n, *y.shape[1:]) for y in joined if bool(torch.isfinite(y).all())]


def _even(x: Tensor) -> Tensor:
    """The first slot in every place; of pairs (1, n, n, ..) the entries of the first two slots."""
    n = x.shape[1]
    if x.dim() < 3 or x.shape[2] != n or n < 2:
        return x[:, :1].expand_as(x)
    here = torch.eye(n, dtype=torch.bool, device=x.device).reshape(1, n, n, *[1] * (x.dim() - 3))
    return torch.where(here, x[:, :1, :1], x[:, :1, 1:2])


def _graphs(answers: list[Tensor]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(vertices (n, features), edges (n, n, features)) for each output and each way in which it may move."""
    found = []
    for y in answers:
        n = int((np.sqrt(1 + 4 * y.shape[1]) - 1) / 2)
        whole = y.movedim(0, 1).reshape(n + n * n, -1).numpy()
        for one in (whole, np.abs(whole)):
            found.append((one[:n], one[n:].reshape(n, n, -1)))
        if y.dim() > 2 and y.shape[2] == n:
            found.append(_following(y.flatten(3) if y.dim() > 3 else y[..., None], n))
    return found


def _following(y: Tensor, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The graph of an output with a row for each slot, (P, n + n², n, f): what slots i and j themselves answer."""
    rows, k = y.permute(1, 2, 0, 3).flatten(2).numpy(), np.arange(n)
    pairs = rows[n:].reshape(n, n, n, -1)
    here, there = pairs[k[:, None], k, k[:, None]], pairs[k[:, None], k, k]
    return rows[:n][k, k], np.concatenate([here, there, pairs.sum(2)], -1)


def _colours(features: np.ndarray, step: float) -> np.ndarray:
    """A number for each vector of features, (..., f) -> (...): equal where they differ by at most `step`."""
    flat = features.reshape(-1, features.shape[-1])
    colours, leaders = np.full(len(flat), -1), 0
    while (left := np.flatnonzero(colours < 0)).size:
        near = np.abs(flat[left] - flat[left[0]]).max(1) <= step
        colours[left[near]] = leaders
        leaders += 1
    return colours.reshape(features.shape[:-1])


def _twins(vertices: np.ndarray, edges: np.ndarray, i: int, j: int) -> bool:
    """Whether exchanging two vertices keeps the graph."""
    if vertices[i] != vertices[j] or edges[i, j] != edges[j, i]:
        return False
    rest = np.array([k for k in range(len(vertices)) if k not in (i, j)], dtype=int)
    return bool((edges[i, rest] == edges[j, rest]).all() and (edges[rest, i] == edges[rest, j]).all())


def _match(
    vertices: np.ndarray, edges: np.ndarray, source: list[int], target: list[int], budget: list[int]
) -> Rows | None:
    """An automorphism that takes the listed slots to the listed ones: individualise, refine both, compare, go on."""
    budget[0] -= 1
    if budget[0] < 0:
        return None
    n = len(vertices)
    marks = [np.zeros(n, dtype=int), np.zeros(n, dtype=int)]
    for mark, slots in zip(marks, (source, target), strict=True):
        mark[slots] = np.arange(1, len(slots) + 1)
    # both sides at once, so that one numbering of colours serves them
    both = np.concatenate([vertices * (n + 1) + marks[0], vertices * (n + 1) + marks[1]])
    wall = np.full((n, n), -2)
    colours = refined(both, np.block([[edges, wall], [wall, edges]]))
    left, right = colours[:n], colours[n:]
    if sorted(left) != sorted(right):
        return None
    open_ = [k for k in range(n) if (left == left[k]).sum() > 1]
    if not open_:
        p = np.array([int(np.flatnonzero(right == c)[0]) for c in left])
        return tuple(p.tolist()) if (edges[np.ix_(p, p)] == edges).all() else None
    for image in np.flatnonzero(right == left[open_[0]]).tolist():
        p_ = _match(vertices, edges, [*source, open_[0]], [*target, image], budget)
        if p_ is not None:
            return p_
    return None


def _exchange(n: int, i: int, j: int) -> Rows:
    row = [*range(n)]
    row[i], row[j] = j, i
    return tuple(row)


def _spanning(exchanges: list[Rows], n: int) -> list[Rows]:
    """Of exchanges as many as are needed: none between slots that others connect."""
    root, kept = [*range(n)], []
    for p in exchanges:
        i, j = (k for k in range(n) if p[k] != k)
        if root[i] != root[j]:
            root = [root[i] if r == root[j] else r for r in root]
            kept.append(p)
    return kept


def _orbit(point: int, moves: list[Rows]) -> set[int]:
    reached, queue = {point}, [point]
    for here in queue:
        new = {p[here] for p in moves} - reached
        reached |= new
        queue += new
    return reached


def _numbered(keys: Sequence[object]) -> list[int]:
    """Equal numbers for equal keys, in the order of the keys, so that they do not depend on the vertices' order."""
    known: Mapping[object, int] = {key: i for i, key in enumerate(sorted(set(keys), key=repr))}
    return [known[key] for key in keys]
