"""The claims of a preset that apply: its templates fitted to the inputs that are there and what the model returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ClaimError, ConfigError, DataError, ModelError
from symcheck.grammar import parse_claim
from symcheck.groups.draws import Draws
from symcheck.measure.given import first_samples, owner_of, with_graph, without_ignored
from symcheck.measure.graphs import Graph
from symcheck.measure.outputs import WORDS
from symcheck.measure.parts import parts_of
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples, elements_in, move_batch, observe_batch
from symcheck.preset import Missing, fit_inputs, fit_outputs, output_names

_FEW = 3  # samples that show what the model returns
_TRIES = 8  # draws that must leave everything where it is before a group is said to move nothing


@dataclass(frozen=True)
class Asked:
    """The claims to measure by their templates, and what cannot be asked of these data and this model."""

    claims: Mapping[str, str]
    missing: tuple[str, ...]

    def limits(self, tolerance: float | Mapping[str, float]) -> float | dict[str, float]:
        """A tolerance by claim, where it is stated by template; those of claims that do not apply are left out."""
        if not isinstance(tolerance, Mapping):
            return tolerance
        return {self.claims[text]: limit for text, limit in tolerance.items() if text in self.claims}


def asked_of(templates: Sequence[str], runner: Runner, tensors: Mapping[str, Tensor]) -> Asked:
    """Fit every template to the inputs `tensors` and to what the runner returns, which is called on two samples.

    A claim that the data cannot carry (quarter turns of oblong images) is missing too. Raises DataError when no
    template applies, or one leaves an input or output undeclared; ClaimError for an unknown group or action; what the
    model raises.
    """
    for text in templates:
        Claim.parse(text)
    graph = runner.subject.graph
    built = Graph.parse(graph) if graph else None
    edges = [name for name in (built.edges, built.shifts) if name] if built is not None and built.frozen else []
    found = {text: fit_inputs(text, [*tensors, *edges]) for text in templates}
    halves = {text: half for text, half in found.items() if isinstance(half, str)}
    if halves:
        given, heard = without_ignored(dict(tensors), [*halves.values()])
        few = with_graph(first_samples(given, _FEW, heard), graph, heard, runner.dtype)
        samples = Samples({name: x.to(runner.device) for name, x in few.items()}, owner_of(heard, few))
        found |= _fitted(halves, heard, samples, runner)
    claims = {text: str(Claim.parse(one)) for text, one in found.items() if isinstance(one, str)}
    missing = tuple(one for one in found.values() if isinstance(one, Missing))
    if not claims:
        raise DataError(
            "no claim of the preset applies to these data and this model",
            where="; ".join(dict.fromkeys(one.why for one in missing)),
            hint="rename the arrays of the data, or copy the preset and add their names to its claims",
        )
    return Asked(claims, (*(f"not measured: {one}" for one in missing), *_meant(claims.values(), runner)))


def _meant(claims: Iterable[str], runner: Runner) -> list[str]:
    """Says of names that are also parts of the module that an output is meant."""
    parts = parts_of(runner.subject.module)
    named = dict.fromkeys(name for text in claims for name in output_names(text) if name in parts)
    return [f"'{name}' is an output here; the part of that name is measured with --output {name}" for name in named]


def _fitted(
    halves: Mapping[str, str], heard: Sequence[str], samples: Samples, runner: Runner
) -> dict[str, str | Missing]:
    """The templates with their outputs fitted too; `heard` are they without the inputs that the model is not given."""
    found: dict[str, str | Missing] = {}
    batch = samples.take(torch.arange(samples.count, device=runner.device))
    for (text, half), inputs in zip(halves.items(), heard, strict=True):
        try:
            bound = Claim(parse_claim(inputs)).bind(samples.shapes())
        except (ClaimError, DataError) as error:
            found[text] = Missing(text, error.message)
            continue
        try:
            names = _named(runner, observe_batch(bound, batch), half)
        except ModelError as error:
            withheld = [name for name, one in bound.inputs.items() if one.actions[0].hidden]
            if not withheld:
                raise
            found[text] = Missing(text, f"without {', '.join(withheld)}, {error.message}")
            continue
        found[text], fitted = fit_outputs(half, names), fit_outputs(inputs, names)
        if isinstance(fitted, str) and (why := _refusal(Claim.parse(fitted).bind(samples.shapes()), batch, runner)):
            found[text] = Missing(text, why)
    return found


def _refusal(bound: BoundClaim, batch: Batch, runner: Runner) -> str:
    """Why a claim says nothing about these data or this model (molecules have no supercell); empty if it does."""
    draws = Draws(0, str(bound.claim))
    if bound.relation is None:
        return "" if any(_moved(bound, draws, batch) for _ in range(_TRIES)) else f"{bound.group.name} moves nothing"
    relation, g = bound.relation, bound.group.sample(batch.count, draws)
    try:
        rest = runner(observe_batch(bound, batch.copy()))
        roles = bound.roles(rest)
        relation.check_outputs(roles.outputs, f"'{bound.claim}'")
        seen = runner(observe_batch(bound, relation.move(g, batch, roles)))
        for name, action in roles.outputs.items():
            if action.name != "ignore" and relation.measures(action):
                relation.residual(name, g, seen, rest, batch, roles)
    except (ClaimError, DataError, ModelError) as error:
        return error.message
    return ""


def _moved(bound: BoundClaim, draws: Draws, batch: Batch) -> bool:
    """Whether random elements move any input of these samples."""
    device = next(iter(batch.tensors.values())).device
    elements = elements_in(bound, bound.group.sample(batch.count, draws), device)
    moved = move_batch(bound, elements, torch.arange(batch.count, device=device), batch)
    shown = observe_batch(bound, batch).tensors
    return any(not torch.equal(moved.tensors[name].to(x.dtype), x) for name, x in shown.items())


def _named(runner: Runner, batch: Batch, text: str) -> list[str]:
    """What the outputs are called: as the model calls them, else as the template does; with what follows from them.

    A name of the template that is also the path of a part of the module names nothing here: the output is meant.
    """
    wanted = output_names(text)
    own = [name for name in wanted if name not in WORDS]
    own = [] if {*own} & {*parts_of(runner.subject.module)} else own
    for names in ([*own, *(name for name in wanted if name in WORDS)], own):
        runner.names = names
        try:
            return [*runner(batch)]
        except (DataError, ConfigError):  # there is no label where there is one class, or nothing that could have one
            if names == own:
                raise
    return []
