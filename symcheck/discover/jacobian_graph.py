"""Which slots of an input are alike: the graph of what a network answers when one or two slots are changed.

All slots hold one row v; slot i is then given another row u, slots i and j the rows u and w. At such points a function
that is invariant under a permutation p has f(i) = f(p i) and f(i, j) = f(p i, p j) to rounding, whatever the data: the
first and second differences there are its Jacobian and Hessian at finite steps, which piecewise linear networks have as
well. Permutations that keep this coloured graph are candidates, no more: a deeper interaction may break them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.discover.moved import numbers
from symcheck.groups.graphs import Row, automorphisms
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.runner import Runner

MOST = 48  # slots: as many squared forward passes
LEVELS = (1e-6, 1e-2, 0.1)  # what counts as one colour, of the spread of all answers
_BUDGET = 4000  # steps of the search for one automorphism


def permutations(
    evaluator: Evaluator, runner: Runner, name: str, axis: int = 0, also: tuple[str, ...] = ()
) -> list[Row]:
    """Permutations p of the slots (axis of one sample of input `name`) that keep the graph, i to p[i]: generators.

    Outputs are taken to be invariant, to move with the slots where they have as many, or to change sign; each with
    exact colours and with colours that differ a little, so that nearly symmetric networks are found. `runner` is the
    subject at the precision that decides what is exact. Inputs `also` have the same slots, and are given equal rows.
    """
    answers = _answers(evaluator, runner, name, axis, also)
    found: dict[Row, None] = {}
    for vertices, edges in _graphs(answers):
        scale = float(edges.std(axis=(0, 1)).max()) or float(vertices.std(axis=0).max())
        for level in LEVELS:
            step = max(level * scale, 1e-300)
            graph = np.where(np.eye(len(edges), dtype=bool), -1, _colours(edges, step))
            found |= dict.fromkeys(automorphisms(_colours(vertices, step), graph, _BUDGET))
    return list(found)


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
