"""What a claim leaves out is answered with what to write: the array that is no input, the name that nobody has."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.errors import DataError

X = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELLED = {"image": X, "y": torch.arange(8)}


def total(image: Tensor) -> Tensor:
    return image.square().sum((1, 2, 3))


def two(image: Tensor) -> dict[str, Tensor]:
    return {"a": total(image), "b": image}


@pytest.mark.parametrize(
    ("model", "claim", "inputs", "hint"),
    [
        (total, "C4: image=image -> invariant", LABELLED, "add y=scalar (or the right action); y=ignore keeps it from"),
        (total, "C4: image -> invariant", LABELLED, "; y=ignore keeps it from the model"),
        (two, "C4: image -> a=invariant", X, "add b=scalar (or the right action); b=ignore leaves it out"),
        (two, "C4: image -> invariant", X, "name each one, e.g. a=scalar, b=scalar (or the right action); b=ignore"),
        (total, "C4: pixels=image(mask=disc) -> invariant", X, "write image(mask=disc) without a name, or"),
        (total, "C4: image, scalar -> invariant", X, "name each one, e.g. input=scalar (or the right action)"),
        (total, "C4: image=image, z=ignore, w=ignore -> invariant", LABELLED, "add y=scalar"),
        (total, "C4: image=image, y=ignore, w=ignore -> invariant", LABELLED, "use the names above for the inputs"),
    ],
)
def test_the_hint_is_what_to_write(model, claim: str, inputs, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        symcheck.audit(model, [claim], inputs)
    assert hint in caught.value.hint
    assert "ignore" not in caught.value.hint or inputs is LABELLED or model is two


@pytest.mark.parametrize("claim", ["C4: image=image, y=ignore -> invariant"])
def test_what_the_hint_says_works(claim: str) -> None:
    assert symcheck.audit(total, [claim], LABELLED).findings[0].verdict == "exact"
    assert symcheck.audit(total, ["C4: image(mask=disc) -> invariant"], X).findings[0].verdict == "exact"
    assert symcheck.audit(total, ["C4: pixels=image -> invariant"], {"pixels": X}).findings[0].verdict == "exact"
