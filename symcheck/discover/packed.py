"""The finite symmetry that packed samples can have, whatever their sizes: their rows in another order."""

from __future__ import annotations

import torch

from symcheck.claim import Claim
from symcheck.discover.discrete_result import Discrete, FiniteGroup, Tried
from symcheck.errors import SymcheckError
from symcheck.measure.audit import Audit
from symcheck.report.model import Verdict

_WORDS = {"row": "nodes", "edge_index": "edges"}


def packed_rows(session: Audit) -> Discrete:
    """Whether the rows of a sample may be exchanged, by an audit of `S` for every output: nodes, or invariant."""
    samples, evaluator = session.evaluator.samples, session.evaluator
    owner = str(samples.owner_name)
    few = samples.take(torch.arange(min(2, samples.count), device=evaluator.runner.device))
    rows, answers = len(few.tensors[owner]), evaluator.run(few)
    words = {name: _WORDS.get(samples.kinds[name], "scalar") for name in samples.tensors} | {owner: "owner"}
    inputs = ", ".join(f"{name}={word}" for name, word in words.items())
    lead = ", ".join(name for name, word in words.items() if word == "nodes")
    said = {name: "nodes" if len(y) == rows else "invariant" for name, y in answers.items()}
    text = f"S: {inputs} -> {', '.join(f'{name}={word}' for name, word in said.items())}"
    note = "samples are packed: only the order of their rows was tried, no flips or permutations of components"
    try:
        findings = [piece.finding for piece in session.measure(Claim.parse(text))]
    except SymcheckError as error:
        return Discrete((), (), (note, f"{text}: {error.message}"))
    groups, tried = [], []
    for f in findings:
        size, action = f.error.spread if f.error else None, "same" if said[f.output] == "nodes" else "invariant"
        mean = size.mean if size else None
        tried.append(Tried("S", "rows", lead, f.output, action, mean, str(f.verdict)))
        if f.verdict is Verdict.EXACT:
            named = ", ".join(f"{name}={word if name == f.output else 'ignore'}" for name, word in said.items())
            groups.append(FiniteGroup(
                lead, f.output, "S", "S", 0, ("all permutations of the rows of a sample",), action,
                f"S: {inputs} -> {named}", str(f.verdict), mean, size.high if size else None, f.floor.rounding,
                f.tolerance, f.counts.elements,
            ))  # fmt: skip
    return Discrete(tuple(groups), tuple(tried), (note,))
