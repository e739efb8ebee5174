"""Relations of outputs that are labels: names and truth values have no difference to subtract."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.groups.draws import Draws


def verdict(model, claim: str, inputs: Tensor) -> str:
    (found,) = symcheck.audit(model, claim, inputs, elements=8).findings
    return str(found.verdict)


def labels(x: Tensor) -> Tensor:
    return x.argmax(1)


def truths(x: Tensor) -> Tensor:
    return x > 0.1


LAST = "sequence(axis=-1)"


@pytest.mark.parametrize("name", [labels, truths])
@pytest.mark.parametrize("claim", ["Tile(2): image -> image", f"Causal: {LAST} -> {LAST}"])
def test_relations_compare_labels(name, claim: str) -> None:
    """Pixel by pixel, and with the column after beside each."""
    images = Draws(0, "images").normal(16, 3, 6, 6).float()
    assert verdict(name, claim, images) == verdict(name, "Mates: image -> scalar", images) == "exact"

    def leaking(x: Tensor) -> Tensor:
        return name(x + torch.cat([x[..., 1:], torch.zeros_like(x[..., :1])], -1))

    assert verdict(leaking, claim, images) == "broken"
