"""Labelled views: where an atom and the atoms that it is over are found, and what is refused."""

from __future__ import annotations

import pytest
import torch
from spec_networks import spec_of

from symcheck.errors import LoadError
from symcheck.patterns import parse_axes
from symcheck.weights.act import check_fit
from symcheck.weights.sizes import occurrences
from symcheck.weights.spec import Space
from symcheck.weights.views import Pattern

SIZES = {"h": 2, "d": 3, "e": 5, "g": 4}
CASES = [
    ("d .", (3, 7), (), [(3, 7)]),
    (". d", (7, 3), (), [(3, 7)]),
    ("(h d)", (6,), ("h",), [(2, 3)]),
    ("(d h)", (6,), ("h",), [(2, 3)]),
    ("(3 h g d) .", (72, 7), ("g", "h"), [(4, 2, 3, 3, 7)]),
    ("d h .", (3, 2, 7), ("h",), [(2, 3, 7)]),
    ("h . d", (2, 7, 3), ("h",), [(2, 3, 7)]),
    ("(h (d + e)) .", (16, 7), ("h",), [(2, 3, 7)]),
    ("(h d + h e) .", (16, 7), ("h",), [(2, 3, 7)]),
    ("d (h g)", (3, 8), ("h",), [(2, 3, 4)]),
    ("(h d) h", (6, 2), ("h",), [(2, 3, 2)]),  # in the same axis first
    ("d (h g + h e)", (3, 18), ("h",), [(2, 3, 4), (2, 3, 5)]),  # one for each segment
    ("(d + d) .", (6, 7), (), [(3, 7)]),
]


@pytest.mark.parametrize(("text", "shape", "over", "shapes"), CASES)
def test_views_have_the_labelled_dimensions_in_front(
    text: str, shape: tuple[int, ...], over: tuple[str, ...], shapes: list[tuple[int, ...]]
) -> None:
    axes = parse_axes(text)
    tensor = torch.arange(torch.Size(shape).numel()).reshape(shape)
    where = occurrences(axes)["d"]
    for one in where:
        found = Pattern("w", axes, SIZES).views(tensor, one, over)
        assert [tuple(view.shape) for view in found] == shapes
        assert all(view.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr() for view in found)
    every = [view for one in where for view in Pattern("w", axes, SIZES).views(tensor, one, over)]
    entries = torch.cat([view.flatten() for view in every])
    assert len(entries.unique()) == len(entries)


def test_the_entries_of_a_view_are_those_of_its_labels() -> None:
    """In (3 h g d) the entry (q, h, g, d) is at ((3·2 + h)·4 + g)·3 + d."""
    axes = parse_axes("(3 h g d)")
    view = Pattern("w", axes, SIZES).views(torch.arange(72), occurrences(axes)["d"][0], ("g", "h"))[0]
    for q, h, g, d in [(0, 0, 0, 0), (2, 1, 3, 2), (1, 0, 2, 1)]:
        assert view[g, h, d, q] == ((q * 2 + h) * 4 + g) * 3 + d


@pytest.mark.parametrize(
    ("text", "shape", "problem"),
    [
        ("d g", (3, 4), "lacks 'h'"),
        ("(d + e) (h + g)", (8, 6), "a part without 'h'"),
        ("d h h", (3, 2, 2), "'h' in two places"),
        ("(h d h)", (12,), "'h' in two places"),
        ("d (h h)", (3, 4), "'h' in two places"),
        ("(h d)", (7,), "7 entries where the pattern says '(h d)'"),
        ("(h x d y)", (36,), "36 entries where the pattern"),
    ],
)
def test_what_cannot_be_told_is_refused(text: str, shape: tuple[int, ...], problem: str) -> None:
    axes = parse_axes(text)
    with pytest.raises(LoadError) as error:
        Pattern("w", axes, SIZES).views(torch.zeros(shape), occurrences(axes)["d"][0], ("h",))
    assert problem in error.value.message and "'w'" in error.value.message and f"'{text}'" in error.value.where


SPEC = spec_of(
    {"w": "h (c 16)", "b": "h", "v": ". h"},
    Space("h", "permutation", 4),
    Space("c", "permutation", 3),
    ties={"u": "b"},
    shapes={"v": (2, 4)},
)
FITS = {"w": (4, 48), "b": (4,), "v": (2, 4)}


def test_shapes_that_fit_give_the_sizes() -> None:
    assert check_fit(SPEC, {**FITS, "extra": (9, 9)}, "here") == {"h": 4, "c": 3}
    assert check_fit(SPEC, {"w": (4, 48), "u": (4,), "v": (2, 4)}, "here") == {"h": 4, "c": 3}


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"w": (4, 48), "b": (4,)}, "names 1 tensors that are missing: v"),
        ({}, "names 3 tensors that are missing: w, b, v"),
        ({**FITS, "w": (4, 47)}, "'w' of shape (4, 47) is no 'h (c 16)': axis 1 has 47 entries, with c = 3"),
        ({**FITS, "w": (5, 48), "b": (6,)}, "'b' of shape (6,) is no 'h': axis 0 has 6 entries, with h = 4"),
        ({**FITS, "b": (4, 1)}, "'b' of shape (4, 1) is no 'h': 2 axes, not 1"),
        ({**FITS, "v": (3, 4)}, "'v' has the shape (3, 4); the spec is for (2, 4)"),
    ],
)
def test_shapes_that_do_not_fit_are_listed(shapes: dict[str, tuple[int, ...]], problem: str) -> None:
    with pytest.raises(LoadError) as error:
        check_fit(SPEC, shapes, "here")
    assert problem in error.value.message and error.value.where == "here"
