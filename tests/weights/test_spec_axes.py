"""The language of axis patterns: trees and back, sizes inferred, errors that point at the place."""

from __future__ import annotations

import pytest

from symcheck.errors import ClaimError
from symcheck.patterns import Axis, Fixed, Leaf, Product, Sum, concatenation, parse_axes, print_axes, product
from symcheck.weights.sizes import Occurrence, extent, learn, occurrences, split

H, D = Leaf("h"), Leaf("d")
PATTERNS = {
    "": (),
    "h": (H,),
    "h c . .": (H, Leaf("c"), Fixed(), Fixed()),
    "h (c 16)": (H, Product((Leaf("c"), Fixed(16)))),
    "(3 h d) res": (Product((Fixed(3), H, D)), Leaf("res")),
    "(h d + h d' + h2 e) res": (
        Sum((Product((H, D)), Product((H, Leaf("d", True))), Product((Leaf("h2"), Leaf("e"))))),
        Leaf("res"),
    ),
    "(h (d + d' + e)) .": (Product((H, Sum((D, Leaf("d", True), Leaf("e"))))), Fixed()),
    "(h + h + 4 + .) x_1": (Sum((H, H, Fixed(4), Fixed())), Leaf("x_1")),
    "(. h)": (Product((Fixed(), H)),),
}


@pytest.mark.parametrize("text", PATTERNS)
def test_text_to_trees_and_back(text: str) -> None:
    assert parse_axes(text) == PATTERNS[text]
    assert print_axes(PATTERNS[text]) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("  h   ( c 16 ) ", "h (c 16)"),
        ("((h d) + (h d') + (h2 e)) res", "(h d + h d' + h2 e) res"),
        ("(a (b c))", "(a b c)"),
        ("(a + (b + c))", "(a + b + c)"),
        ("((h)) (16)", "h 16"),
        ("a(b c)", "a (b c)"),
    ],
)
def test_one_tree_for_what_means_the_same(text: str, same: str) -> None:
    assert parse_axes(text) == parse_axes(same)
    assert print_axes(parse_axes(text)) == same


@pytest.mark.parametrize(
    "axis",
    [
        Product((H, Product((D, Fixed(2))))),
        Sum((H, Sum((D, Fixed())))),
        Product((Sum((H, D)), Sum((Product((H, H)), D)))),
        product(H),
        concatenation(product(H, D)),
    ],
)
def test_built_trees_read_back_equal(axis: Axis) -> None:
    assert parse_axes(print_axes((axis,))) == (axis,)


@pytest.mark.parametrize(
    ("text", "problem", "column"),
    [
        ("h + c", "'+' outside brackets", 3),
        ("(h c", "lacks a closing ')'", 1),
        ("a (h + (c)", "lacks a closing ')'", 3),
        ("h)", "')' outside brackets", 2),
        ("(h + )", "nothing after '+'", 4),
        ("h ()", "nothing after '('", 3),
        ("h-c", "'-', which means nothing", 2),
        ("h é", "'é', which means nothing", 3),
        ("'h", "''', which means nothing", 1),
        ("(. h .)", "two factors '.'", 1),
        ("(. (h .))", "two factors '.'", 1),
        ("h 0", "size of zero", 3),
    ],
)
def test_errors_quote_the_pattern_and_point(text: str, problem: str, column: int) -> None:
    with pytest.raises(ClaimError) as error:
        parse_axes(text)
    assert problem in error.value.message and f"'{text}'" in error.value.message
    assert error.value.where == f"column {column} of the pattern"


def test_occurrences_come_in_reading_order() -> None:
    axes = parse_axes("(h + 2 h') (h d)")
    assert occurrences(axes)["h"] == (
        Occurrence(0, (0,)),
        Occurrence(0, (1, 1), dual=True),
        Occurrence(1, (0,)),
    )
    assert occurrences(axes)["d"] == (Occurrence(1, (1,)),)


@pytest.mark.parametrize(
    ("text", "total", "parts"),
    [
        ("(h d)", 12, (3, 4)),
        ("(h d)", 13, None),
        ("(h x)", 15, (3, 5)),
        ("(h x)", 16, None),
        ("(h + d)", 7, (3, 4)),
        ("(h + d)", 8, None),
        ("(h + .)", 8, (3, 5)),
        ("(h + .)", 3, None),
        ("(x y h)", 12, (None, None, 3)),
    ],
)
def test_sizes_of_parts(text: str, total: int, parts: tuple[int | None, ...] | None) -> None:
    assert split(parse_axes(text)[0], total, {"h": 3, "d": 4}) == parts


def test_sizes_are_inferred_and_contradictions_seen() -> None:
    sizes = {"h": 3}
    assert learn(parse_axes("(h (d + e))")[0], 21, sizes) and sizes == {"h": 3}  # d and e cannot be told apart
    assert learn(parse_axes("(h d)")[0], 12, sizes) and sizes["d"] == 4
    assert learn(parse_axes("(h (d + e))")[0], 21, sizes) and sizes["e"] == 3
    assert not learn(parse_axes("e")[0], 4, sizes)
    assert extent(parse_axes("(h d + 2 .)")[0], sizes) is None
    assert extent(parse_axes("(h d + 2 e)")[0], sizes) == 18
