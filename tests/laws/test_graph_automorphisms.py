"""Automorphisms of graphs: orders known from theory, a brute search, directions, weights, labels."""

from __future__ import annotations

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
import torch

from symcheck.groups.generated import generated
from symcheck.groups.graphs import automorphism_group, automorphisms, refined


def order(edges: np.ndarray) -> int:
    found = automorphisms(np.zeros(len(edges), dtype=int), edges)
    return int(generated("Perm", [(*p, len(edges)) for p in found]).order or 0) if found else 1


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (nx.cycle_graph(7), 14),
        (nx.petersen_graph(), 120),
        (nx.hypercube_graph(3), 48),
        (nx.complete_bipartite_graph(3, 4), 144),
        (nx.frucht_graph(), 1),  # regular, and yet without a symmetry
    ],
)
def test_automorphisms_of_known_graphs(graph: nx.Graph, expected: int) -> None:
    assert order(nx.to_numpy_array(graph).astype(int)) == expected


def test_colours_of_edges_count() -> None:
    ring = nx.to_numpy_array(nx.cycle_graph(6)).astype(int)
    one_way = ring.copy()
    for i in range(6):
        one_way[(i + 1) % 6, i] = 2
    assert (order(ring), order(one_way)) == (12, 6)


def test_refinement_tells_the_ends_of_a_path_from_its_middle() -> None:
    colours = refined(np.zeros(5, dtype=int), nx.to_numpy_array(nx.path_graph(5)).astype(int))
    assert colours[0] == colours[4] != colours[1] == colours[3] != colours[2]


@pytest.mark.parametrize("seed", range(4))
def test_automorphisms_are_those_of_a_brute_search(seed: int) -> None:
    n = 6
    graph = nx.gnp_random_graph(n, 0.5, seed=seed, directed=bool(seed % 2))
    a = torch.from_numpy(nx.to_numpy_array(graph))
    a[0, 0] = float(seed > 1)  # a loop singles a node out
    brute = [p for p in permutations(range(n)) if torch.equal(a[list(p)][:, list(p)], a)]
    assert automorphism_group(a).order == len(brute)


def test_labels_and_weights_count() -> None:
    square = torch.from_numpy(nx.to_numpy_array(nx.cycle_graph(4)))
    assert automorphism_group(square, torch.tensor([1, 0, 0, 0])).order == 2
    assert automorphism_group(square, torch.tensor([0, 1, 2, 3])).order == 1
    heavy = square.clone()
    heavy[0, 1] = heavy[1, 0] = 2.0
    assert automorphism_group(heavy).order == 2
    arrow = square.triu()
    arrow[0, 3], arrow[3, 0] = 0.0, 1.0  # a directed cycle has turns only
    assert automorphism_group(arrow).order == 4
