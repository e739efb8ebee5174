"""Cosines and shared largest entries, with ties and zeros, and the words for explainers."""

from __future__ import annotations

import pytest
import torch

from symcheck.errors import ConfigError, LoadError
from symcheck.explaining.explainers import explainers, state
from symcheck.explaining.integrated import Occlusion
from symcheck.explaining.scores import common, cosines


def test_cosines_and_zero_rows() -> None:
    a = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    b = torch.tensor([[2.0, 0, 0], [1, -1, 0], [0, 0, 0], [0, 1, 0]], dtype=torch.float64)
    found, blank = cosines(a, b)
    assert found.tolist() == pytest.approx([1.0, 0.0, 1.0, 0.0]) and blank == 2


def test_shared_entries_by_hand() -> None:
    a = torch.tensor([[9.0, 8, 1, 0], [9, 8, 1, 0], [9, 1, 1, 1]], dtype=torch.float64)
    b = torch.tensor([[8.0, -9, 0, 1], [0, 1, 8, 9], [9, 1, 1, 1]], dtype=torch.float64)
    found, ties = common(a, b, 2)
    assert found.tolist() == pytest.approx([1.0, 0.0, 1.0]) and ties == 1


def test_tied_entries_count_in_part() -> None:
    a = torch.tensor([[9.0, 1, 1, 1]], dtype=torch.float64)
    b = torch.tensor([[9.0, 5, 0, 0]], dtype=torch.float64)
    found, ties = common(a, b, 2)
    assert float(found) == pytest.approx((1 + 1 / 3) / 2) and ties == 1


def test_what_is_not_finite_is_no_agreement() -> None:
    a = torch.tensor([[torch.nan, 1.0, 2.0]], dtype=torch.float64)
    assert not bool(common(a, a, 1)[0] >= 0) or bool(torch.isnan(common(a, a, 1)[0]))
    assert bool(torch.isnan(cosines(a, a)[0]))


def test_options_of_an_explainer() -> None:
    one = state("integrated-gradients(steps=8, baseline=0.5, target=3, of=scores)")
    assert (one.target, one.of, one.word, one.explainer.baseline) == ("3", "scores", "integrated_gradients", 0.5)
    assert {"gradient", "gradient-x-input", "integrated-gradients", "occlusion"} <= set(explainers.names())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gradiant", "unknown explainer"),
        ("gradient(steps=3)", "does not take 'steps'"),
        ("gradient(3)", "does not take '3'"),
        ("integrated-gradients(steps=0)", "steps=0"),
        ("occlusion(baseline=nan)", "baseline=nan"),
        ("gradient(target=most)", "'most' is no target"),
        ("gradient(", "may stand"),
    ],
)
def test_what_is_misspelt_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        state(text)


def test_a_function_that_is_not_there_is_refused() -> None:
    with pytest.raises(LoadError):
        state("no_such_module_here:explain")


@pytest.mark.parametrize(("shape", "count"), [((3, 32, 32), 64), ((2, 7, 7), 49), ((5, 3), 5), ((6,), 6), ((), 1)])
def test_blocks_cover_every_entry_once(shape: tuple[int, ...], count: int) -> None:
    seen = torch.zeros(shape)
    blocks = list(Occlusion().blocks(shape))
    for block in blocks:
        seen[block] += 1
    assert bool((seen == 1).all()) and len(blocks) == count
