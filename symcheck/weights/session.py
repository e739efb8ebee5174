"""From a model and example inputs to a spec that is proved: derive, execute, drop what fails, certify.

    spec = derive_spec(model, example_inputs)        report = verify_spec(spec, model, example_inputs)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from symcheck.errors import ConfigError, ModelError
from symcheck.measure.calling import by_keyword
from symcheck.report.model import Report, Verdict
from symcheck.report.numbers import number
from symcheck.subject import Subject, as_subject
from symcheck.weights.candidates import extended
from symcheck.weights.certificate import Certificate, Proof
from symcheck.weights.checks import acted_tensors
from symcheck.weights.derive import assemble
from symcheck.weights.examples import Call, as_call
from symcheck.weights.findings import report_of
from symcheck.weights.spec import Pinned, Spec
from symcheck.weights.trace import trace
from symcheck.weights.verify import prove

Step = Callable[[str], None]  # called with what is done next
FAILED = "failed its proof"


def derive_spec(model: Any, example_inputs: Any, verify: bool = True, *, seed: int = 0) -> Spec:
    """The weight symmetries of a model, f(g·θ, x) = f(θ, x), derived from its graph and proved by running it.

    `model` is an nn.Module, or what symcheck.load returned. `example_inputs` is a tensor, a tuple of tensors, a dict
    by name, or a callable seed -> inputs; they decide shapes and ranges, not the spec. What fails its proof is dropped
    and named in `spec.pinned` with the first tensor at fault; `spec.certificate` holds every proof, and the hash of
    the graph. Without `verify` nothing is run and nothing certified.
    Raises ModelError when torch.export cannot trace the model, or nothing can be proved: NaN, not deterministic.
    """
    return derived(model, example_inputs, verify, seed=seed)[0]


def derived(
    model: Any, example_inputs: Any, verify: bool = True, *, seed: int = 0, tell: Step | None = None
) -> tuple[Spec, Certificate | None]:
    """As `derive_spec`, with the certificate; `tell` hears what is done next."""
    subject, call = as_subject(model), call_of(model, example_inputs, seed)
    step = tell or _silent
    step("tracing the graph")
    traced = trace(network(subject), *call)
    step("deriving the symmetries")
    spec = extended(assemble(traced), traced, network(subject), call)
    if not verify:
        return spec, None
    step(f"proving {len(spec.spaces)} spaces")
    return proved(spec, network(subject), call, seed=seed, graph=traced.graph)


def proved(spec: Spec, model: nn.Module, call: Call, *, seed: int = 0, graph: str = "") -> tuple[Spec, Certificate]:
    """The spec without the spaces that fail, with the certificate of all of them."""
    dropped: list[Proof] = []
    while True:
        certificate = prove(spec, model, call, seed=seed, graph=graph)
        failing = [proof for proof in certificate.proofs if proof.space in certificate.failed]
        if len(failing) == len(certificate.proofs) > 0 and all(p.verdict is Verdict.INVALID for p in failing):
            raise ModelError(
                f"nothing can be proved: {failing[0].note}",
                where=f"{type(model).__name__} on its example inputs",
                hint="give a model and inputs with finite, repeatable outputs",
            )
        joint = certificate.joint
        if joint is not None and not joint.verdict.holds:
            odd = next(proof for proof in certificate.proofs if proof.space == joint.culprit)
            failing.append(replace(odd, verdict=Verdict.BROKEN, error=joint.error, note=joint.note))
        spec = _without(spec, failing)
        dropped += failing
        if joint is None or joint.verdict.holds:
            break
    names = {proof.space for proof in dropped}
    kept = tuple(proof for proof in certificate.proofs if proof.space not in names)
    certificate = replace(certificate, proofs=(*dropped, *kept))
    return replace(spec, certificate=certificate.to_dict()), certificate


def verify_spec(spec: Spec, model: Any, example_inputs: Any, *, seed: int = 0) -> Report:
    """Is f(g·θ, x) = f(θ, x) for every space of the spec? A report with one finding a space, and one for all jointly.

    The arguments are those of `derive_spec`; the model need not be traceable. Raises LoadError when the spec does not
    fit the model's tensors, ModelError when the model fails on its example.
    """
    module = network(as_subject(model))
    return report_of(prove(spec, module, call_of(model, example_inputs, seed), seed=seed), spec, module)


def report_on(spec: Spec, certificate: Certificate, model: nn.Module) -> Report:
    """The report of a derived spec: of the spaces that it kept; those that were dropped are notes."""
    kept = tuple(proof for proof in certificate.proofs if proof.space in spec.spaces)
    notes = [f"dropped: {pinned.reason}" for pinned in spec.pinned if FAILED in pinned.reason]
    return report_of(replace(certificate, proofs=kept, notes=(*certificate.notes, *notes)), spec, model)


def network(subject: Subject) -> nn.Module:
    """The module of a subject; a plain function has no weights."""
    if subject.module is None:
        raise ConfigError(
            f"'{subject.name}' is a function and has no weights",
            where="the model",
            hint="give an nn.Module, or a factory that returns one",
        )
    if subject.source.format == "onnx":
        raise ConfigError(
            f"'{subject.name}' is an ONNX graph, in which no weight can be changed",
            where=subject.source.path,
            hint="give a spec with --spec, which is then compared with its initialisers, or the network it came from",
        )
    return subject.module


def call_of(model: Any, example_inputs: Any, seed: int = 0) -> Call:
    """The arguments of one call: floats in the model's precision, all on its device.

    A dict goes by keyword where every name is one of the model's parameters, else in order.
    """
    subject = as_subject(model)
    if callable(example_inputs):
        example_inputs = example_inputs(seed)
    if isinstance(example_inputs, Mapping) and not by_keyword(subject, [*example_inputs]):
        example_inputs = tuple(example_inputs.values())
    dtype = subject.dtype
    tensors = network(subject).state_dict().values()
    device = next((t.device for t in tensors if isinstance(t, Tensor)), torch.device("cpu"))

    def fitting(x: Tensor) -> Tensor:
        return x.to(device=device, dtype=dtype if dtype is not None and x.is_floating_point() else x.dtype)

    call: Call = tree_map_only(Tensor, fitting, as_call(example_inputs))
    return call


def _without(spec: Spec, failing: Collection[Proof]) -> Spec:
    """The spec without these spaces; the tensors on which nothing acts any more are pinned by their failure."""
    if not failing:
        return spec
    kept = spec.without([proof.space for proof in failing])
    held = {name for space in kept.spaces.values() for name in acted_tensors(kept, space)}
    held |= {name for pinned in spec.pinned for name in pinned.tensors}
    found: list[Pinned] = []
    for proof in failing:
        space = spec.spaces[proof.space]
        lost = tuple(name for name in acted_tensors(spec, space) if name not in held)
        held |= {*lost}
        count = sum(torch.Size(spec.shapes[name]).numel() for name in lost)
        reason = f"'{space.name}' ({space.kind} {space.size}) {FAILED}: the output moved by {number(proof.error)}"
        reason += f"; {proof.note}" if proof.note else ""
        found.append(Pinned(reason, lost, count, proof.culprit))
    return replace(kept, pinned=(*kept.pinned, *found))


def _silent(_: str) -> None:
    return None
