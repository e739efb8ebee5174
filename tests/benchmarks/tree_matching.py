"""The nearest of all ensembles of soft trees that are one function: trees in another order, nodes flipped, levels too.

The best element of every pair of trees comes from a recursion over their subtrees, or from trying all elements where
the nodes of a level share their split; then one linear assignment of the trees. A flip of a split w, b is −w, −b with
its children exchanged. After Kanoh and Sugiyama 2024, arXiv:2405.14596. States hold split (M, nodes, pixels), bias
(M, nodes) and leaf (M, 2^D, classes), nodes in heap order or one for each level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations, product

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

State = Mapping[str, Tensor]


def match_trees(a: State, b: State) -> dict[str, Tensor]:
    """B with its trees and flips chosen for the largest ⟨A, B⟩, where every node has its own split."""
    (one, two), depth = map(_nodes, (a, b)), _depth(a)
    score = torch.einsum("mlo,nko->mnlk", a["leaf"], b["leaf"])  # of subtrees, by tree of A and B and by node of each
    turned = []
    for level in reversed(range(depth)):
        here = slice(2**level - 1, 2 ** (level + 1) - 1)
        own = torch.einsum("mif,njf->mnij", one[:, here], two[:, here])
        sides = score.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (m, n, i, left or right, j, left or right)
        straight = own + sides[:, :, :, 0, :, 0] + sides[:, :, :, 1, :, 1]
        crossed = sides[:, :, :, 0, :, 1] + sides[:, :, :, 1, :, 0] - own
        turned.append(crossed > straight)
        score = torch.maximum(straight, crossed)
    order = _assigned(score[:, :, 0, 0])
    rows = torch.arange(len(order))
    source, nodes, signs = torch.zeros(len(order), 1, dtype=torch.long), [], []
    for level, cross in enumerate(reversed(turned)):
        flip = cross[rows, order].gather(2, source.unsqueeze(2)).squeeze(2)
        nodes.append(source + 2**level - 1)
        signs.append(1.0 - 2.0 * flip)
        left = 2 * source + flip.long()
        source = torch.stack([left, 2 * source + 1 - flip.long()], -1).flatten(1)
    return _moved(b, order, torch.cat(nodes, 1), torch.cat(signs, 1), source)


def match_levels(a: State, b: State, *, orders: bool = True) -> dict[str, Tensor]:
    """B with its trees, flips and, with `orders`, orders of levels chosen for the largest ⟨A, B⟩, by trying all."""
    one, depth = _flat(a), _depth(a)
    rows = torch.arange(len(one))
    choices = [*_elements(depth, orders)]
    scores = torch.stack([one @ _flat(_moved(b, rows, *_alike(e, len(one)))).mT for e in choices])
    best, which = scores.max(0)
    order = _assigned(best)
    parts = [_alike(choices[k], 1) for k in which[rows, order].tolist()]
    return _moved(b, order, *(torch.cat(part) for part in zip(*parts, strict=True)))


Element = tuple[list[int], list[float], list[int]]  # the level that comes to each place, its sign, the leaves' sources


def _elements(depth: int, orders: bool) -> Iterator[Element]:
    """All ways to order and flip the levels of one tree."""
    for levels in permutations(range(depth)) if orders else [tuple(range(depth))]:
        for flips in product((0, 1), repeat=depth):
            leaves = []
            for path in product((0, 1), repeat=depth):  # level 0 first: its bit is worth most
                old = dict(zip(levels, (bit ^ flip for bit, flip in zip(path, flips, strict=True)), strict=True))
                leaves.append(sum(old[level] << (depth - 1 - level) for level in range(depth)))
            yield list(levels), [1.0 - 2.0 * flip for flip in flips], leaves


def _alike(element: Element, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """One element for each of `count` trees."""
    nodes, signs, leaves = (torch.tensor(part).expand(count, -1) for part in element)
    return nodes, signs, leaves


def _moved(b: State, order: Tensor, nodes: Tensor, signs: Tensor, leaves: Tensor) -> dict[str, Tensor]:
    """The trees in this order, each with these nodes in its places, with their signs, and with these leaves."""
    rows = order.unsqueeze(1)
    signs = signs.to(b["bias"].dtype)
    return {
        "split": b["split"][rows, nodes] * signs.unsqueeze(-1),
        "bias": b["bias"][rows, nodes] * signs,
        "leaf": b["leaf"][rows, leaves],
    }


def _assigned(score: Tensor) -> Tensor:
    return torch.from_numpy(linear_sum_assignment(score.numpy(), maximize=True)[1])


def _nodes(state: State) -> Tensor:
    return torch.cat([state["split"], state["bias"].unsqueeze(-1)], -1)


def _flat(state: State) -> Tensor:
    return torch.cat([_nodes(state).flatten(1), state["leaf"].flatten(1)], 1)


def _depth(state: State) -> int:
    return state["leaf"].shape[1].bit_length() - 1
