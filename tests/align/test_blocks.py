"""Blocks cover a tensor exactly once, and know which atom each dimension is."""

from __future__ import annotations

import pytest
import torch

from symcheck.align.blocks import blocks_of
from symcheck.errors import LoadError
from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec

PATTERNS = {
    "plain": ("h .", (6, 5), [("h", "")]),
    "flatten": (". (h 3)", (2, 18), [("", "h", "")]),
    "segments": ("(h + h + 2) .", (14, 3), [("h", ""), ("h", ""), ("", "")]),
    "heads": ("(k (h + h)) .", (48, 2), [("k", "h", ""), ("k", "h", "")]),
    "turns": ("(h | h) .", (12, 2), [("h", ""), ("h", "")]),
    "twice": ("h h", (6, 6), [("h", "h")]),
}


def spec(pattern: str, shape: tuple[int, ...]) -> Spec:
    spaces = {"h": Space("h", "permutation", 6)}
    if "k" in pattern:
        spaces["k"] = Space("k", "permutation", 4)
    return Spec(spaces, {"t": parse_axes(pattern)}, shapes={"t": shape})


@pytest.mark.parametrize("name", PATTERNS)
def test_every_entry_lies_in_one_block(name: str) -> None:
    pattern, shape, atoms = PATTERNS[name]
    blocks = blocks_of(spec(pattern, shape), "t", shape, {"h": 6, "k": 4})
    assert [block.atoms for block in blocks] == atoms
    seen = torch.zeros(shape, dtype=torch.int64)
    for block in blocks:
        view = block.view(seen)
        assert tuple(view.shape) == block.shape
        view += 1
    assert bool((seen == 1).all())


def test_marks_number_the_occurrences_of_an_atom() -> None:
    blocks = blocks_of(spec("(h + h) h", (12, 6)), "t", (12, 6), {"h": 6})
    assert [block.marks for block in blocks] == [(0, 2), (1, 2)]


def test_the_wrong_block_is_noticed() -> None:
    """The negative control: turns read as segments are other entries."""
    tensor = torch.arange(24).reshape(12, 2)
    turns, segments = (
        blocks_of(spec(p, (12, 2)), "t", (12, 2), {"h": 6})[0].view(tensor) for p in ("(h | h) .", "(h + h) .")
    )
    assert not torch.equal(turns, segments)


def test_a_shape_that_does_not_fit_is_refused() -> None:
    good = spec(". (h 3)", (2, 18))
    with pytest.raises(LoadError, match="has 17 entries"):
        blocks_of(good, "t", (2, 17), {"h": 6})
