"""Worst pairs: kept with everything needed to recompute them, written to one safetensors file, replayed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ConfigError, LoadError
from symcheck.measure.defect import Slot, base_of, defect, ready, slot_for
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.plan import Stratum
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples, move_batch
from symcheck.measure.search import Searched
from symcheck.measure.tally import Cell

FORMAT = "symcheck.worst/1"


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
    error: float


def keep_worst(
    evaluator: Evaluator, bound: BoundClaim, slot: Slot, stratum: Stratum, cell: Cell, searched: Searched | None
) -> WorstPair:
    """Cut the worst pair of a cell out of the data."""
    squared = torch.from_numpy(cell.squared).nan_to_num(nan=float("inf"))
    row, column = divmod(int(squared.argmax()), squared.shape[1])
    element, error = stratum.g[row : row + 1], float(cell.squared[row, column]) ** 0.5
    if searched is not None:
        element, column, error = searched.g, searched.sample, searched.value
    samples = evaluator.samples
    batch = samples.take(torch.tensor([column], device=evaluator.runner.device))
    return WorstPair(
        str(bound.claim),
        slot.name,
        stratum.name,
        element,
        {name: x.cpu().contiguous() for name, x in batch.tensors.items()},
        samples.owner_name or "",
        {"pulled": slot.pulled, "resampled": stratum.resampled},
        error,
    )


def save_worst(path: Path, pairs: Sequence[WorstPair], source: Mapping[str, Any]) -> None:
    """Write all worst pairs to one safetensors file, moved into place when complete."""
    tensors, entries = {}, []
    for i, pair in enumerate(pairs):
        tensors[f"{i}/element"] = pair.element.contiguous().clone()
        tensors |= {f"{i}/input/{name}": x.contiguous().clone() for name, x in pair.inputs.items()}
        entries.append(
            {
                "claim": pair.claim,
                "output": pair.output,
                "part": pair.part,
                "owner": pair.owner,
                "inputs": list(pair.inputs),
                "form": dict(pair.form),
                "error": repr(pair.error),
            }
        )
    metadata = {"format": FORMAT, "pairs": json.dumps(entries), "source": json.dumps(source)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata=metadata)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(
            f"the worst pairs cannot be written: {error}", where=str(path), hint="choose a folder that exists"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


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
                    e["claim"],
                    e["output"],
                    e["part"],
                    file.get_tensor(f"{i}/element"),
                    {n: file.get_tensor(f"{i}/input/{n}") for n in e["inputs"]},
                    e["owner"],
                    e["form"],
                    float(e["error"]),
                )
                for i, e in enumerate(json.loads(metadata["pairs"]))
            ]
            return pairs, json.loads(metadata["source"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise LoadError(
            f"the worst pairs cannot be read: {error}", where=str(path), hint="write them again with symcheck audit -o"
        ) from error


def replay(pair: WorstPair, runner: Runner) -> float:
    """||δ|| of a stored pair, recomputed."""
    samples = Samples({n: x.to(runner.device) for n, x in pair.inputs.items()}, pair.owner or None)
    evaluator = Evaluator(runner, samples, chunks_for(samples, 1))
    bound = Claim.parse(pair.claim).bind(samples.shapes())
    base = evaluator.base(bound)
    outputs = bound.outputs({n: s for n, s in base.shapes().items() if n != base.owner_name})
    slot = slot_for(pair.output, outputs[pair.output], base, pair.form["pulled"], pair.form["resampled"])
    elements = ready(bound, {slot.name: slot}, pair.element, runner.device)
    index = torch.zeros(1, dtype=torch.int64, device=runner.device)
    batch = samples.take(index)
    moved = runner(move_batch(bound, elements.inputs, index, batch))
    delta = defect(slot, elements, index, moved[slot.name], base_of(slot, base, index), batch)
    return float(slot.squared(delta, batch).sqrt()[0])
