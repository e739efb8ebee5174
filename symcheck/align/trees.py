"""Soft trees: the flips of nodes that bring a tree of B nearest to a tree of A, for all pairs at once.

A flip turns the sign of a node and exchanges its children. With N the products of nodes, L those of leaves,
    best(p, q) = max( N_pq + best(p₀, q₀) + best(p₁, q₁),  −N_pq + best(p₀, q₁) + best(p₁, q₀) )
which needs 4^D steps where the flips are 2^(2^D − 1). Source: Kanoh and Sugiyama 2024, arXiv:2405.14596.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.align.problem import Problem
from symcheck.weights.act import exponent_of
from symcheck.weights.spec import Space


def tree_gains(problem: Problem, trees: Space, units: Space) -> tuple[Tensor, Tensor]:
    """How well every tree of A fits every tree of B after the best flips, (n, n), and these flips, (n, n, nodes)."""
    nodes = _products(problem, units, trees.on or "", trees)
    leaves = _products(problem, units, trees.leaves, None)
    return best_flips(nodes, leaves)


def best_flips(nodes: Tensor, leaves: Tensor) -> tuple[Tensor, Tensor]:
    """The largest sum and its flips, of B's nodes in their own order.

    Shapes: nodes (..., m, m) and leaves (..., m + 1, m + 1) in heap order to (...) and (..., m) of 0 and 1.
    """
    m = nodes.shape[-1]
    depth = (m + 1).bit_length() - 1
    best, turned = leaves, []
    for level in reversed(range(depth)):
        first, count = 2**level - 1, 2**level
        here = nodes[..., first : first + count, first : first + count]
        quarters = torch.unflatten(torch.unflatten(best, -1, (count, 2)), -3, (count, 2))  # p, its child, q, its child
        straight = here + quarters[..., 0, :, 0] + quarters[..., 1, :, 1]
        crossed = -here + quarters[..., 0, :, 1] + quarters[..., 1, :, 0]
        turned.append(crossed > straight)
        best = torch.maximum(straight, crossed)
    flips = torch.zeros(*nodes.shape[:-2], m, dtype=torch.int64)
    at = torch.zeros(*nodes.shape[:-2], 1, dtype=torch.int64)  # of every node of A, in order, the node of B it meets
    for level, chosen in enumerate(reversed(turned)):
        here = chosen.gather(-1, at[..., None])[..., 0].long()
        flips.scatter_(-1, at + 2**level - 1, here)
        at = torch.stack([2 * at + here, 2 * at + 1 - here], -1).flatten(-2)
    return best[..., 0, 0], flips


def _products(problem: Problem, units: Space, atom: str, trees: Space | None) -> Tensor:
    """Σ ⟨row p of tree i of A, row q of tree j of B⟩ over the blocks with this atom, (n, n, rows, rows)."""
    total: Tensor | None = None
    for block in problem.blocks:
        if atom not in block.atoms or units.on not in block.atoms:
            continue
        own, dim = block.atoms.index(units.on or ""), block.atoms.index(atom)
        if trees is not None:
            where = problem.spec.places[atom][block.tensor][block.marks[dim]]
            if exponent_of(trees, block.tensor, block.marks[dim], where) % 2 == 0:
                continue
        x, y = (
            view.movedim((own, dim), (0, 1)).double().flatten(2)
            for view in (problem.view_a(block).unsqueeze(-1), problem.view_b(block, but=[own, dim]).unsqueeze(-1))
        )
        both = torch.einsum("ipk,jqk->ijpq", x, y)
        total = both if total is None else total + both
    return torch.zeros(units.size, units.size, 1, 1) if total is None else total
