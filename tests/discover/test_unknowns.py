"""Which inputs can be searched, and which forms fit them; what cannot be is refused in words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from symcheck.discover.unknowns import Ask, blocks_of, spanned
from symcheck.errors import ConfigError, DataError
from symcheck.measure.samples import Samples


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (drawn(20, 100), "too large"),
        (drawn(20, 3, 8, 8), "too large"),
        (torch.randint(0, 5, (20, 3)), "no input is real"),
        (torch.zeros(20, 3, dtype=torch.float64), "zero throughout"),
    ],
)
def test_refused_inputs(inputs: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        blocks_of(Samples({"x": inputs}), Ask())


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ({"forms": {"": "skw"}}, "is not a form"),
        ({"forms": {"": "diag(1,0,1)"}}, "is not a form"),
        ({"forms": {"": "diag(1,-1)"}}, "has 2 entries"),
        ({"forms": {"": "symplectic"}}, "even number"),
        ({"forms": {"y": "skew"}}, "no input 'y'"),
        ({"inputs": ("y",)}, "no input 'y'"),
    ],
)
def test_bad_words(ask: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        blocks_of(Samples({"x": drawn(20, 3)}), Ask(**ask))


def test_integer_input_by_name_is_refused() -> None:
    samples = Samples({"x": drawn(20, 3), "z": torch.ones(20, 4, dtype=torch.long)})
    assert [block.inputs for block in blocks_of(samples, Ask())] == [("x",)]
    with pytest.raises(DataError, match="no generator can move"):
        blocks_of(samples, Ask(inputs=("z",)))


def test_norm_of_the_basis_is_that_of_moved_samples() -> None:
    x = drawn(50, 4, 3)
    (block,) = blocks_of(Samples({"x": x}), Ask())
    rows = block.extended(x)
    moved = torch.einsum("kia,ra->kri", block.basis, rows)
    expected = torch.einsum("kri,lri->kl", moved, moved) / x.square().sum()
    assert torch.allclose(block.gram, expected) and spanned(block) == 4


def test_shared_blocks_have_one_width_and_one_form() -> None:
    samples = Samples({"a": drawn(20, 3), "b": drawn(20, 5, 3), "c": drawn(20, 4)})
    assert [block.inputs for block in blocks_of(samples, Ask(shared=True))] == [("a", "b"), ("c",)]
    assert len(blocks_of(samples, Ask(shared=True, forms={"a": "skew"}))) == 3
