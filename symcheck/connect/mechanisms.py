"""Mechanistic connectivity: does the symmetry of a network hold along the path, and does its loss on moved data?

Two networks may be connected on the data that they were trained on and not on data moved by a group: they solve the
task in different ways. Source: Lubana et al. 2022 (arXiv:2211.08422).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from symcheck.claim import Claim
from symcheck.connect.points import Network
from symcheck.connect.result import Mechanism
from symcheck.measure import labelled_moved
from symcheck.measure.audit import Audit, Options
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.loss import Labelled
from symcheck.measure.piece import findings_of
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.samples import Samples
from symcheck.report.model import Finding
from symcheck.subject import Subject, named_outputs

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
SAMPLES, ELEMENTS = 64, 32  # of each audit

At = Callable[[float], Network]  # the network at t


def moved(network: Network, data: Labelled, claim: str, seed: int) -> Labelled:
    """The data set moved by random elements of the claim's group, see `measure.labelled_moved`."""
    tree = Claim.parse(claim)

    def run(few: Labelled) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            return named_outputs(network.run(few.inputs), _names(tree))

    return labelled_moved.moved(data, tree, seed, run)


def findings(network: Network, data: Labelled, claims: Sequence[str], seed: int) -> list[Finding]:
    """The audit of the network as it stands, on the first samples."""
    few = {name: x[:SAMPLES] for name, x in data.inputs.items()}
    module = network.module
    dtype = next((x.dtype for x in network.slots.values() if x.is_floating_point()), None)
    subject = Subject(type(module).__name__, module, module=module)
    found: list[Finding] = []
    for claim in claims:
        tree = Claim.parse(claim)
        runner = Runner(subject, data.labels.device, dtype, _names(tree), cast=False)
        samples = Samples(few)
        audit = Audit(Evaluator(runner, samples, chunks_for(samples, None)), Options(ELEMENTS, seed), runner, None)
        with measuring(runner):
            found += [finding for finding, _ in findings_of(audit.measure(tree))]
    return found


def along(at: At, times: Sequence[float], data: Labelled, claims: Sequence[str], seed: int) -> tuple[Mechanism, ...]:
    """The equivariance error of every claim, output and part of the group at each t, and its barrier.

    barrier = max_t e(t) − [(1 − t) e(0) + t e(1)] over the interior, e the share or, without one, the spread error.
    """
    rows = [findings(at(t), data, claims, seed) for t in times]
    return tuple(_mechanism(cell, times) for cell in zip(*rows, strict=True))


def _mechanism(cell: Sequence[Finding], times: Sequence[float]) -> Mechanism:
    shares = [finding.share.value for finding in cell if finding.share is not None]
    errors = [math.nan if finding.error is None else finding.error.spread.mean for finding in cell]
    shared = len(shares) == len(cell)
    e = shares if shared else errors
    excess = [x - ((1 - t) * e[0] + t * e[-1]) for x, t in zip(e, times, strict=True)]
    top = max(range(1, len(e) - 1), key=lambda i: -math.inf if math.isnan(excess[i]) else excess[i])
    return Mechanism(
        cell[0].claim, cell[0].output, cell[0].part, "share" if shared else "error", tuple(times), tuple(e),
        excess[top], times[top], excess[list(times).index(0.5)],
    )  # fmt: skip


def _names(claim: Claim) -> list[str]:
    """The names of the outputs where the claim gives them all."""
    names = [slot.name for slot in claim.tree.outputs]
    return [name for name in names if name] if all(names) else []
