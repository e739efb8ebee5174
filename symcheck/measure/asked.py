"""The claims of a preset that apply: its templates fitted to the inputs that are there and what the model returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.claim import Claim
from symcheck.errors import ClaimError, DataError
from symcheck.grammar import parse_claim
from symcheck.measure.given import first_samples, owner_of, without_ignored
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples, observe_batch
from symcheck.preset import Missing, fit_inputs, fit_outputs, names_in_order

_FEW = 2  # samples that show what the model returns


@dataclass(frozen=True)
class Asked:
    """The claims to measure by their templates, and what cannot be asked of these data and this model."""

    claims: Mapping[str, str]
    missing: tuple[str, ...]


def asked_of(templates: Sequence[str], runner: Runner, tensors: Mapping[str, Tensor]) -> Asked:
    """Fit every template to the inputs `tensors` and to the outputs of the runner, which is called once.

    Raises DataError when no template applies, or one leaves an input or output undeclared; what the model raises.
    """
    first = {text: fit_inputs(text, [*tensors]) for text in templates}
    missing = [one for one in first.values() if isinstance(one, Missing)]
    half = {text: one for text, one in first.items() if isinstance(one, str)}
    names = _outputs(half.values(), runner, dict(tensors)) if half else []
    second = {text: fit_outputs(one, names) for text, one in half.items()}
    missing += [one for one in second.values() if isinstance(one, Missing)]
    claims = {text: str(Claim.parse(one)) for text, one in second.items() if isinstance(one, str)}
    if not claims:
        raise DataError(
            "no claim of the preset applies to these data and this model",
            where="; ".join(dict.fromkeys(one.why for one in missing)),
            hint="rename the arrays of the data, or copy the preset and add their names to its claims",
        )
    return Asked(claims, tuple(f"not measured: {one}" for one in missing))


def _outputs(texts: Sequence[str], runner: Runner, tensors: dict[str, Tensor]) -> list[str]:
    """The names of what the model returns on a few samples; those without a name get the ones of the first template."""
    given, shown = without_ignored(tensors, [*texts])
    few = first_samples(given, _FEW, shown)
    samples = Samples({name: x.to(runner.device) for name, x in few.items()}, owner_of(shown, few))
    refused: ClaimError | DataError | None = None
    for text in shown:
        try:
            bound = Claim(parse_claim(text)).bind(samples.shapes())
        except (ClaimError, DataError) as error:
            refused = refused or error
            continue
        outputs = runner(observe_batch(bound, samples.take(torch.arange(samples.count, device=runner.device))))
        return names_in_order(text, [*outputs])
    raise refused or DataError("there is nothing to measure", where="preset", hint="give a preset with claims")
