"""Axes that take turns: `(a | b)` is a0 b0 a1 b1 …"""

from __future__ import annotations

import pytest
import torch
from spec_networks import spec_of

from symcheck.errors import ClaimError, ConfigError, LoadError
from symcheck.patterns import Axis, Fixed, Interleave, Leaf, Product, Sum, interleaved, parse_axes, print_axes
from symcheck.weights.axes import Axis as Node
from symcheck.weights.axes import total
from symcheck.weights.sizes import extent, learn, split
from symcheck.weights.spec import Space
from symcheck.weights.unify import Algebra

A, B, C = Leaf("a"), Leaf("b"), Leaf("c")
PATTERNS: dict[str, Axis] = {
    "(a | b)": Interleave((A, B)),
    "(a + c | b)": Interleave((Sum((A, C)), B)),
    "((a | b) | c)": Interleave((Interleave((A, B)), C)),
    "(a 2 | b | 4)": Interleave((Product((A, Fixed(2))), B, Fixed(4))),
    "((a | b) 3)": Product((Interleave((A, B)), Fixed(3))),
    "((a | b) + c)": Sum((Interleave((A, B)), C)),
}


@pytest.mark.parametrize("text", PATTERNS)
def test_text_to_trees_and_back(text: str) -> None:
    assert parse_axes(text) == (PATTERNS[text],)
    assert print_axes((PATTERNS[text],)) == text


def test_turns_of_turns_are_not_flat() -> None:
    assert parse_axes("((a | b) | c)") != parse_axes("(a | b | c)")
    assert interleaved(A) == A


@pytest.mark.parametrize("text", ["(a |)", "(| a)", "a | b", "(a | b"])
def test_errors(text: str) -> None:
    with pytest.raises(ClaimError):
        parse_axes(text)


def test_all_have_one_size() -> None:
    axis = PATTERNS["(a | b)"]
    assert extent(axis, {"a": 3}) == 6 and extent(axis, {}) is None
    assert split(axis, 6, {}) == (3, 3) and split(axis, 7, {}) is None and split(axis, 6, {"b": 2}) is None
    sizes: dict[str, int] = {}
    assert learn(PATTERNS["((a | b) | c)"], 8, sizes) and sizes == {"a": 2, "b": 2, "c": 4}
    assert not learn(axis, 6, {"a": 3, "b": 2})


def test_every_other_index_moves() -> None:
    spec = spec_of({"w": "(a | .) ."}, Space("a", "permutation", 3))
    w = torch.arange(12).reshape(6, 2)
    moved = spec.apply({"a": torch.tensor([1, 2, 0])}, {"w": w})["w"]
    assert moved[:, 0].tolist() == [8, 2, 0, 6, 4, 10]


def test_turns_of_turns_act_where_they_stand() -> None:
    """a0 c0 b0 c1 a1 c2 b1 c3."""
    spaces = [Space("a", "sign", 2), Space("b", "scale", 2), Space("c", "permutation", 4)]
    spec = spec_of({"w": "((a | b) | c)"}, *spaces)
    element = {"a": torch.tensor([1.0, -1.0]), "b": torch.tensor([2.0, 4.0]), "c": torch.tensor([1, 0, 3, 2])}
    moved = spec.apply(element, {"w": torch.arange(1.0, 9.0)})["w"]
    assert moved.tolist() == [1, 4, 6, 2, -5, 8, 28, 6]


def test_copies_over_an_axis_that_takes_turns() -> None:
    """One sign of h for every index of k; k has both terms of (k h | k h)."""
    spec = spec_of({"w": "(k h | k h)"}, Space("h", "sign", 2, over=("k",)), atoms={"k": 2})
    moved = spec.apply({"h": torch.tensor([[1.0, -1.0], [-1.0, 1.0]])}, {"w": torch.ones(8)})["w"]
    assert moved.tolist() == [1, 1, -1, -1, -1, -1, 1, 1]


def test_coverage_counts_every_other_index() -> None:
    spec = spec_of({"w": "(a | .) ."}, Space("a", "permutation", 3), shapes={"w": (6, 2)})
    assert spec.coverage.acted == 6


def test_sizes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="axis 0 has 7 entries"):
        spec_of({"w": "(a | b)"}, Space("a", "permutation", 3), shapes={"w": (7,)})
    with pytest.raises(LoadError):
        spec_of({"w": "(a | b)"}, Space("a", "permutation", 3)).apply(
            {"a": torch.tensor([1, 2, 0])}, {"w": torch.ones(8)}
        )


# -- the same in the algebra of axes


def shuffled(*parts: Node) -> Node:
    """(n k) as k axes one after the other, transposed, and read row by row."""
    algebra = Algebra()
    count, size = len(parts), parts[0].size
    rows = algebra.factor_groups([total("sum", parts)], [count, size])
    algebra.tensors.append(rows)
    return algebra.factor_groups(rows[::-1], [count * size])[0].root()


def test_a_transposed_view_takes_turns() -> None:
    a, b = Node(4), Node(4)
    node = shuffled(a, b)
    assert node.kind == "turns" and [p.root() for p in node.parts] == [a.root(), b.root()]
    same = shuffled(a, a)
    assert same.kind == "product" and same.parts[0].root() is a.root()


def test_a_cut_through_turns() -> None:
    """Between two rounds it cuts every term; inside a round nothing may move."""
    algebra = Algebra()
    a, b = Node(4), Node(4)
    first, second = algebra.split(shuffled(a, b), 4)
    assert first.root().kind == second.root().kind == "turns"
    assert [leaf.size for leaf in a.leaves()] == [leaf.size for leaf in b.leaves()] == [2, 2]
    c, d = Node(4), Node(4)
    algebra.split(shuffled(c, d), 3)
    assert all(leaf.pinned for leaf in (*c.leaves(), *d.leaves()))


def test_turns_unify_term_by_term() -> None:
    algebra = Algebra()
    a, b, c, d = (Node(4) for _ in range(4))
    algebra.unify(shuffled(a, b), shuffled(c, d))
    assert a.root() is c.root() and b.root() is d.root() and a.root() is not b.root()
    free = Node(8)
    algebra.unify(free, shuffled(a, b))
    assert free.root().kind == "turns"


def test_turns_and_a_product_tie_their_terms() -> None:
    """A product with an axis that is no index of its own has one action at every index."""
    algebra = Algebra()
    a, b, rows, columns = Node(4), Node(4), Node(4), Node(2)
    columns.pinned = "an input has it"
    algebra.unify(shuffled(a, b), total("product", [rows, columns]))
    assert a.root() is b.root() is rows.root()


def test_turns_of_other_lengths_are_pinned() -> None:
    algebra = Algebra()
    axes = [Node(6) for _ in range(2)], [Node(4) for _ in range(3)]
    algebra.unify(*(shuffled(*each) for each in axes))
    assert all(leaf.pinned for each in axes for axis in each for leaf in axis.leaves())


def test_a_family_that_holds_what_it_meets_is_tied() -> None:
    algebra = Algebra()
    over, inner = Node(2, "sum", [Node(1), Node(1)]), Node(4)
    family = Node(4, "family", [inner, Node(4)], over)
    algebra.unify(inner, family)
    assert family.root() is inner.root() and not inner.root().kind
