"""Finite elements exp(t₁X)exp(t₂Y) of a found algebra as a group, so that the audit measures them end to end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep
from symcheck.claim import Claim, Own
from symcheck.discover.forms import block_diagonal
from symcheck.discover.span import Span, canonical
from symcheck.grammar import ClaimTree, GroupTree, Slot, Term
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
            [block_diagonal((span.matrices[i], *(x[i] for x in outputs))) for i in range(len(span))]
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

    def __init__(self, name: str, start: int, width: int, scale: float | None) -> None:
        self.name, self.start, self.width, self.scale = name, start, width, scale

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


def found_claim(span: Span, inputs: Mapping[str, Tensor], outputs: Iterable[str], owner: str | None) -> Claim:
    """f(exp(tX) x) = exp(t X_out) f(x) for the generators of a span; outputs that it does not know are ignored."""
    actions: dict[str, Action] = {}
    words = {name: Term("owner" if name == owner else "scalar") for name in inputs}
    at = 0
    for block in span.sources:
        moved = Term("found", (str(at),))
        words |= dict.fromkeys(block.inputs, moved)
        actions[str(moved)] = BlockAction(str(moved), at, block.width, block.scale)
        at += block.width + 1
    following = dict.fromkeys(span.still, Term("invariant"))
    for name, x in span.outputs.items():
        following[name] = Term("found", (str(at),))
        actions[str(following[name])] = BlockAction(str(following[name]), at, x.shape[-1], None)
        at += x.shape[-1]
    given = tuple(Slot(name, (words[name],)) for name in inputs)
    made = tuple(Slot(name, (following.get(name, Term("ignore")),)) for name in outputs)
    return Claim(ClaimTree(GroupTree((Term("found"),)), given, made), Own(Exponentials(span), actions))


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
