"""A certificate as a report: one finding for each space, one for all of them jointly."""

from __future__ import annotations

import math
import platform
from typing import Any

import torch
from torch import nn

from symcheck.report.model import Counts, Error, Finding, Floor, Report, Scale, Verdict
from symcheck.weights.certificate import Certificate, Proof
from symcheck.weights.spec import Spec

CLAIM = "weights: f(g·θ, x) = f(θ, x)"
_ADVICE = {
    Verdict.BROKEN: "mend or drop the space: spec.without(['{space}'])",
    Verdict.TRIVIAL: "give inputs or weights for which these tensors matter, or do not rely on this space",
    Verdict.INVALID: "give a model and inputs with finite, repeatable outputs",
}


def report_of(certificate: Certificate, spec: Spec, model: nn.Module) -> Report:
    """The report of a certificate; its settings hold the certificate itself."""
    proofs = [*certificate.proofs, *([certificate.joint] if certificate.joint else [])]
    settings: dict[str, Any] = {"elements": 1, "samples": len(certificate.inputs), "seed": certificate.seed}
    settings |= {"tolerance": certificate.tolerance, "certificate": certificate.to_dict()}
    return Report(
        subject={"name": type(model).__name__, "parameters": sum(p.numel() for p in model.parameters())},
        environment={
            "torch": torch.__version__,
            "device": "cpu",
            "device_name": platform.machine(),
            "dtype": certificate.dtype,
            "mode": "eval",
        },
        settings=settings,
        findings=tuple(_finding(proof, certificate, spec) for proof in proofs),
        notes=certificate.notes,
        seconds=certificate.seconds,
        forwards=certificate.forwards,
    )


def _finding(proof: Proof, certificate: Certificate, spec: Spec) -> Finding:
    together = f", moved with {proof.together - 1} others" if proof.together > 1 and proof.kind != "joint" else ""
    limit = certificate.tolerance
    return Finding(
        claim=CLAIM,
        output=proof.space,
        part=_group(proof, spec),
        verdict=proof.verdict,
        share=None,
        error=_error(proof.error, certificate),
        floor=Floor(limit, None, None, None, high=_known(proof.error), how=f"in {certificate.dtype}{together}"),
        counts=Counts(1, len(certificate.inputs), len(certificate.inputs), False),
        worst=None,
        law=f"one random element (seed {certificate.seed}), none of its parts the identity",
        tolerance=limit,
        note=proof.note,
        advice=_ADVICE.get(proof.verdict, "").format(space=proof.space) if proof.kind != "joint" else "",
        size=certificate.size,
        spread=certificate.spread,
    )


def _group(proof: Proof, spec: Spec) -> str:
    if proof.space not in spec.spaces or proof.kind == "joint":
        return f"{proof.together} spaces at once"
    space = spec.spaces[proof.space]
    copies = math.prod(spec.sizes.get(atom, 1) for atom in space.over)
    return f"{space.kind} of {space.size}" + (f", {copies} copies" if copies > 1 else "")


def _error(value: float, certificate: Certificate) -> Error | None:
    """One number, the largest over inputs and outputs, on all three scales."""
    if math.isnan(value):
        return None
    absolute = value * certificate.spread
    relative = absolute / certificate.size if certificate.size > 0 else math.nan
    scales = (Scale(x, x, x, x, x, x, x) for x in (absolute, relative, value))
    return Error(*scales)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
