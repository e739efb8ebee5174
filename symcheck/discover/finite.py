"""Finite elements exp(t₁X)exp(t₂Y) of a found algebra as a group, so that the audit measures them end to end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep
from symcheck.actions.plain import make_actions
from symcheck.claim import Claim
from symcheck.discover.span import Span, canonical
from symcheck.grammar import ClaimTree, GroupTree, Term
from symcheck.grammar import Slot as Word
from symcheck.groups.base import Group, MatrixGroup
from symcheck.groups.draws import Draws
from symcheck.measure.audit import Audit
from symcheck.report.model import Finding

_TURN, _STRETCH = math.pi, 0.5  # how far to go along generators that turn, and along others


@final
class Exponentials(MatrixGroup):
    """The group of products of two exponentials of a span of generators, on all blocks and outputs at once.

    A generator has E|X x|² = E|x|²; the coefficients are Gaussian, of a length up to π where nothing but turns is
    found, else up to ½.
    """

    compact = False

    def __init__(self, span: Span) -> None:
        outputs = list(span.outputs.values())
        self.name, self.order = "found", None
        self.generators_ = torch.stack(
            [torch.block_diag(span.matrices[i], *(x[i] for x in outputs)) for i in range(len(span))]
        )
        sizes = sum(torch.einsum("kia,ab,kib->k", span.blocks[b.name][:, :-1], b.moment, span.blocks[b.name][:, :-1])
                    for b in span.sources)  # fmt: skip
        self.generators_ = self.generators_ / torch.as_tensor(sizes).sqrt()[:, None, None]
        self.dimension = self.generators_.shape[-1]
        self.reach = _TURN if self._turns() else _STRETCH
        self.law = f"exp(X) exp(Y), X and Y in random directions of the {len(span)} generators, up to {self.reach:.3g}"

    def sample(self, n: int, rng: Draws) -> Tensor:
        """n elements from `law`."""
        return self._exponential(n, rng) @ self._exponential(n, rng)

    def proper(self, g: Tensor) -> Tensor:
        """All True: they are connected with the identity."""
        return torch.ones(len(g), dtype=torch.bool)

    def label(self, g: Tensor, i: int) -> str:
        """How far the element is from the identity."""
        far = float(torch.linalg.matrix_norm(g[i] - torch.eye(self.dimension, dtype=g.dtype)))
        return f"an element {far:.3g} from the identity"

    def _exponential(self, n: int, rng: Draws) -> Tensor:
        c = rng.normal(n, len(self.generators_))
        c = c / torch.linalg.vector_norm(c, dim=1, keepdim=True) * rng.uniform(n, 1, high=self.reach)
        found: Tensor = torch.linalg.matrix_exp(torch.einsum("nk,kab->nab", c, self.generators_))
        return found

    def _turns(self) -> bool:
        """Whether the eigenvalues of a random generator are imaginary and not all zero."""
        c = torch.randn(len(self.generators_), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.eigvals(torch.einsum("k,kab->ab", c, self.generators_))
        size = float(values.abs().max())
        return size > 1e-3 and float(values.real.abs().max()) < 1e-3 * size


@final
class BlockAction(Action):
    """x -> A x + b on the trailing axis, with the block of the element that starts at `start`."""

    uses = frozenset({"linear"})
    isometric = False
    rowwise = True

    def __init__(self, start: int, width: int, scale: float | None) -> None:
        self.name, self.start, self.width, self.scale = "found", start, width, scale

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n, d, d) matrices and (n, d) shifts."""
        matrix = group.face("linear", g)
        stop = self.start + self.width
        linear = matrix[:, self.start : stop, self.start : stop]
        shift = matrix[:, self.start : stop, stop] * self.scale if self.scale else torch.zeros_like(linear[:, 0])
        return (linear, shift)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product, then the shift."""
        dtype = torch.promote_types(rep[0].dtype, x.dtype)
        rows = x.to(dtype).reshape(len(x), -1, self.width)
        return (rows @ rep[0].to(dtype).mT + rep[1].to(dtype)[:, None]).reshape(x.shape)


@final
@dataclass(frozen=True)
class FoundClaim(Claim):
    """A claim whose group and actions were found, not written."""

    found: Group
    acting: Mapping[str, Action]

    def group(self) -> Group:
        """The generated group."""
        return self.found

    def actions(self, slot: Word) -> tuple[Action, ...]:
        """The found action of an input or an output that moves; as written for the others."""
        key = f"{'out' if slot in self.tree.outputs else 'in'}:{slot.name}"
        return (self.acting[key],) if key in self.acting else make_actions(slot)


def found_claim(span: Span, inputs: Mapping[str, Tensor], outputs: Iterable[str], owner: str | None) -> FoundClaim:
    """f(exp(tX) x) = exp(t X_out) f(x) for the generators of a span; outputs that it does not know are ignored."""
    acting: dict[str, Action] = {}
    at = 0
    for block in span.sources:
        for name in block.inputs:
            acting[f"in:{name}"] = BlockAction(at, block.width, block.scale)
        at += block.width + 1
    for name, x in span.outputs.items():
        acting[f"out:{name}"] = BlockAction(at, x.shape[-1], None)
        at += x.shape[-1]
    words = {name: "scalar" if name != owner else "owner" for name in inputs}
    given = [Word(n, (Term("found" if f"in:{n}" in acting else words[n]),)) for n in inputs]
    kept = {**dict.fromkeys(span.still, "invariant"), **dict.fromkeys(span.outputs, "found")}
    made = [Word(name, (Term(kept.get(name, "ignore")),)) for name in outputs]
    tree = ClaimTree(GroupTree((Term("found"),)), tuple(given), tuple(made))
    return FoundClaim(tree, Exponentials(span), acting)


def verify(audit: Audit, span: Span) -> list[Finding]:
    """The findings of the audit on the found group, one for each output."""
    samples = audit.evaluator.samples
    claim = found_claim(canonical(span), samples.tensors, output_names(audit), samples.owner_name)
    return [replace(piece.finding, claim=str(claim)) for piece in audit.measure(claim)]


def output_names(audit: Audit) -> list[str]:
    """The outputs of the network, as a claim names them."""
    samples = audit.evaluator.samples
    few = samples.take(torch.arange(min(2, samples.count), device=audit.evaluator.runner.device))
    return list(audit.evaluator.run(few))
