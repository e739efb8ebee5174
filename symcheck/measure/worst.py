"""Worst pairs: kept with everything needed to recompute them, written to one safetensors file, replayed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.errors import LoadError
from symcheck.measure.defect import Slot, at_rest_of, defect, ready, slot_for
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.finding import Facts
from symcheck.measure.given import digest
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.samples import Elements, Samples, move_batch
from symcheck.measure.tally import Cell
from symcheck.relations.base import Relation
from symcheck.report.write import write_bytes
from symcheck.subject import Subject, slots

FORMAT = "symcheck.worst/1"
_NUMBERS = ("error", "floor", "spread")  # kept as text: JSON has no NaN


@dataclass(frozen=True)
class WorstPair:
    """One pair (g, x) with its claim and the error it had; `form` repeats how the defect was taken."""

    claim: str
    output: str
    part: str
    element: Tensor
    inputs: Mapping[str, Tensor]
    owner: str
    form: Mapping[str, Any]
    error: float  # ||δ||, like the rounding floor and the spread, in the output's unit
    floor: float
    spread: float
    # moved/INPUT = g·x, left/OUTPUT = f(g·x), right/OUTPUT = g·f(x)
    sides: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def together(self) -> bool:
        """Whether the error came from what else stood in the batch, which is not kept."""
        return isinstance(relation := Claim.parse(self.claim).group(), Relation) and relation.together


def keep_worst(evaluator: Evaluator, slot: Slot, facts: Facts, cell: Cell, spread: float) -> WorstPair:
    """Cut the worst pair of a cell out of the data."""
    stratum, searched = facts.stratum, facts.searched
    row, column = cell.worst()
    element, error = stratum.g[row : row + 1], float(cell.squared[row, column]) ** 0.5
    if searched is not None:
        element, column, error = searched.g, searched.sample, searched.value
    samples = evaluator.samples
    batch = samples.take(torch.tensor([column], device=evaluator.runner.device))
    return WorstPair(
        claim=facts.claim,
        output=slot.name,
        part=stratum.name,
        element=element,
        inputs={name: x.cpu().contiguous() for name, x in batch.tensors.items()},
        owner=samples.owner_name or "",
        form={
            "pulled": slot.pulled,
            "resampled": stratum.resampled,
            "shapes": {name: list(shape) for name, shape in samples.shapes().items()},  # what the group was bound to
        },
        error=error,
        floor=facts.precision.floor,
        spread=spread,
    )


def save_worst(path: Path, pairs: Sequence[WorstPair], source: Mapping[str, Any]) -> None:
    """Write all worst pairs to one safetensors file, whole or not at all."""
    tensors, entries = {}, []
    for i, pair in enumerate(pairs):
        tensors[f"{i}/element"] = pair.element.contiguous().clone()
        tensors |= {f"{i}/input/{name}": x.contiguous().clone() for name, x in pair.inputs.items()}
        tensors |= {f"{i}/{name}": x.contiguous().clone() for name, x in pair.sides.items()}
        plain = {k: v for k, v in vars(pair).items() if k not in ("element", "inputs", "sides", *_NUMBERS)}
        entries.append({**plain, "inputs": list(pair.inputs), **{k: repr(getattr(pair, k)) for k in _NUMBERS}})
    metadata = {"format": FORMAT, "pairs": json.dumps(entries), "source": json.dumps(source, default=str)}
    write_bytes(path, save(tensors, metadata=metadata))


def origin_of(subject: Subject, seed: int, dtype: str) -> dict[str, Any]:
    """Where worst pairs came from: the source of the subject, the digest of its weights, and how it was run."""
    how = {"seed": seed, "dtype": dtype, "derive": dict(subject.derive), "weights": weights_digest(subject)}
    how |= {"output": list(subject.output), "takes": subject.takes, "graph": subject.graph}
    return {**how, **vars(subject.source)}


def weights_digest(subject: Subject) -> str:
    """The digest of all parameters and buffers with their names; of nothing where a subject has none."""
    return digest(slots(subject.module) if subject.module is not None else {})


def same_weights(subject: Subject, origin: Mapping[str, Any]) -> bool | None:
    """Whether a subject has the weights that worst pairs came from; None where the file does not tell."""
    if origin.get("sha256") and subject.source.sha256 == origin["sha256"]:
        return True
    if "weights" in origin:
        return bool(weights_digest(subject) == origin["weights"])
    return False if origin.get("sha256") else None


def load_worst(path: Path) -> tuple[list[WorstPair], dict[str, Any]]:
    """Read what `save_worst` wrote: the pairs, and where the subject came from."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise LoadError(
                    "this file holds no worst pairs",
                    where=str(path),
                    hint="write one with symcheck audit -o report.json",
                )
            pairs = [
                WorstPair(
                    **{
                        **entry,
                        "element": file.get_tensor(f"{i}/element"),
                        "inputs": {n: file.get_tensor(f"{i}/input/{n}") for n in entry["inputs"]},
                        **{k: float(entry[k]) for k in _NUMBERS},
                    }
                )
                for i, entry in enumerate(json.loads(metadata["pairs"]))
            ]
            return pairs, json.loads(metadata["source"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise LoadError(
            f"the worst pairs cannot be read: {error}", where=str(path), hint="write them again with symcheck audit -o"
        ) from error


def replay(pair: WorstPair, runner: Runner) -> float:
    """||δ|| of a stored pair, recomputed."""
    with measuring(runner):
        found = _again(pair, runner, pair.form["pulled"])
        delta = defect(found.slot, found.elements, found.index, found.left, found.rest, found.batch)
        return float(found.slot.squared(delta, found.batch).sqrt()[0])


def with_sides(pair: WorstPair, runner: Runner) -> WorstPair:
    """The pair with both sides of the claim: g·x, f(g·x) and g·f(x), as they are drawn."""
    found = _again(pair, runner, False)
    left, rest = found.left[pair.output], found.rest[pair.output]
    if found.slot.related is not None:  # its views have shapes of their own: what is owed, on top of f(x)
        right = rest
        left = rest + defect(found.slot, found.elements, found.index, found.left, found.rest, found.batch)
    else:
        right = found.slot.act(found.elements.outputs[pair.output], found.index, rest, found.batch)
    sides = {f"moved/{name}": x for name, x in found.moved.items()}
    sides |= {f"left/{pair.output}": left, f"right/{pair.output}": right}
    return replace(pair, sides={name: x.detach().cpu() for name, x in sides.items()})


@dataclass(frozen=True)
class _Again:
    slot: Slot
    elements: Elements
    index: Tensor
    batch: Batch
    moved: Mapping[str, Tensor]
    left: Mapping[str, Tensor]
    rest: Mapping[str, Tensor]


def _again(pair: WorstPair, runner: Runner, pulled: bool) -> _Again:
    """Run the subject on x and on g·x once more."""
    samples = Samples({n: x.to(runner.device) for n, x in pair.inputs.items()}, pair.owner or None)
    evaluator = Evaluator(runner, samples, chunks_for(samples, 1))
    stated = {name: tuple(shape) for name, shape in pair.form.get("shapes", {}).items()}
    bound = Claim.parse(pair.claim).bind(stated or samples.shapes())
    base = evaluator.base(bound)
    bound = replace(bound, offer=runner.outputs.offer)
    shapes = {n: s for n, s in base.shapes().items() if n != base.owner_name}
    if pair.owner in stated:  # one row for each of the largest sample, as the inputs
        shapes = {n: (*stated[pair.owner], *s[1:]) if base.kinds[n] == "row" else s for n, s in shapes.items()}
    outputs = bound.outputs(shapes)
    slot = slot_for(pair.output, bound, outputs[pair.output], base, pulled, pair.form["resampled"])
    elements = ready(bound, {slot.name: slot}, pair.element, runner.device)
    index = torch.zeros(1, dtype=torch.int64, device=runner.device)
    batch = samples.take(index)
    moved, rest = move_batch(bound, elements, index, batch), at_rest_of({slot.name: slot}, base, index)
    return _Again(slot, elements, index, batch, moved.tensors, runner(moved), rest)
