"""f(g·x) itself, for the finders that look at outputs instead of errors: the evaluator's batch, kept whole."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.claim import BoundClaim, Claim
from symcheck.errors import DataError
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.samples import elements_in, move_batch


def bound_to(evaluator: Evaluator, text: str) -> BoundClaim:
    """A claim bound to the samples; DataError where they are packed, since outputs are then not comparable in rows."""
    if evaluator.samples.owner_name is not None:
        raise DataError(
            "packed samples have outputs of different sizes, which cannot be fitted",
            where="discover",
            hint="give dense samples of one size, with a leading sample axis",
        )
    return Claim.parse(text).bind(evaluator.samples.shapes())


def at_rest(evaluator: Evaluator, bound: BoundClaim) -> dict[str, Tensor]:
    """f(x) of every sample, name -> (B, *out) float64 on the CPU; outputs that are no real numbers are left out."""
    return numbers(evaluator.base(bound).tensors)


def moved_outputs(evaluator: Evaluator, bound: BoundClaim, g: Tensor) -> dict[str, Tensor]:
    """f(g·x) of every pair, name -> (K, B, *out) float64 on the CPU: K B forward passes, all of it kept."""
    samples, device = evaluator.samples, evaluator.runner.device
    elements, pairs = elements_in(bound, g, device), len(g) * samples.count
    pieces: dict[str, list[Tensor]] = {}
    start = 0
    while start < pairs:
        pair = torch.arange(start, min(start + evaluator.chunks.size, pairs), device=device)
        index, picks = pair // samples.count, pair % samples.count
        outputs = evaluator.run(move_batch(bound, elements, index, samples.take(picks)))
        for name, y in numbers(outputs).items():
            pieces.setdefault(name, []).append(y)
        start += len(pair)
    joined = {name: torch.cat(found) for name, found in pieces.items()}
    return {name: y.reshape(len(g), samples.count, *y.shape[1:]) for name, y in joined.items()}


def spread_of(y: Tensor) -> float:
    """Root mean square distance from the mean over samples, of rows (B, *S); 0 for one sample and for constants."""
    flat = y.reshape(len(y), -1)
    return float((flat - flat.mean(0)).square().sum(1).mean().sqrt())


def numbers(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Real outputs as float64 on the CPU, cloned, since a model may write into what it returned."""
    real = {name: y.detach() for name, y in outputs.items() if y.is_floating_point()}
    return {name: y.to("cpu", torch.float64, copy=True) for name, y in real.items()}
