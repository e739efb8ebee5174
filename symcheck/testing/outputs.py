"""How many outputs a model has: a claim about all of them needs the number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from symcheck.claim import Claim
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.given import Inputs, first_samples, named_inputs, owner_of, without_ignored
from symcheck.measure.runner import measuring
from symcheck.measure.samples import Samples
from symcheck.measure.session import runner_for
from symcheck.subject import as_subject


def count_outputs(
    model: Any,
    claim: str,
    inputs: Inputs,
    *,
    device: str | None = None,
    dtype: str = "as-is",
    derive: Mapping[str, str] | None = None,
) -> int:
    """The number of outputs on the first two samples, `claim` being `GROUP: inputs`."""
    subject = as_subject(model)
    subject = replace(subject, derive=dict(derive)) if derive else subject
    tensors, texts = without_ignored(named_inputs(inputs), [str(Claim.parse(f"{claim} -> invariant"))])
    tensors = first_samples(tensors, 2, texts)
    runner = runner_for(subject, texts[0], tensors, device, dtype)
    runner.names = []  # the word after the arrow stands for any number of outputs
    samples = Samples({name: x.to(runner.device) for name, x in tensors.items()}, owner_of(texts, tensors))
    evaluator = Evaluator(runner, samples, chunks_for(samples, None))
    with measuring(runner):
        base = evaluator.base(Claim.parse(texts[0]).bind(samples.shapes()))
    return len(base.shapes().keys() - {base.owner_name} - runner.outputs.offer.free)
