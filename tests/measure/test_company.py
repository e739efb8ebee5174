"""What stands in a batch beside a sample: leaks are found wherever they come from, and no company is no test."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.groups.draws import Draws


def verdict(model, claim: str, inputs: Tensor, **options: int) -> str:
    (found,) = symcheck.audit(model, claim, inputs, elements=8, **options).findings
    return str(found.verdict)


def quantized(image: Tensor) -> Tensor:
    """Rounded to a scale that the largest number of the whole batch sets."""
    scale = image.abs().amax() / 15
    return (image / scale).round().mean((1, 2, 3))[:, None] * scale + torch.tensor([0.3, 0.7])


@pytest.mark.parametrize("largest", [0, 1, 2, 4, 6, 9, 15])
@pytest.mark.parametrize("claim", ["Mates: image -> scalar", "C4: image -> invariant"])
def test_a_scale_that_the_largest_sample_of_a_batch_sets(claim: str, largest: int) -> None:
    images = Draws(0, "images").normal(16, 1, 6, 6).float()
    images[largest] *= 4
    assert verdict(quantized, claim, images) == "invalid"


def test_samples_run_alone_have_no_company() -> None:
    images = Draws(0, "images").normal(16, 1, 6, 6).float()

    def centred(image: Tensor) -> Tensor:
        return (image - image.mean(0) + image).square().mean((1, 2, 3))

    def sound(image: Tensor) -> Tensor:
        return image.square().mean((1, 2, 3))

    claim = "Mates: image -> scalar"
    assert [verdict(centred, claim, images, batch_size=size) for size in (1, 2)] == ["trivial", "invalid"]
    assert [verdict(sound, claim, images, batch_size=size) for size in (1, 2)] == ["trivial", "exact"]
