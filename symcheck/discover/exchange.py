"""Inputs that may change places, f(x, y) = f(y, x): stacked into one input, so that a permutation can move them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.discover.discrete_result import FiniteGroup
from symcheck.measure.audit import Audit
from symcheck.measure.runner import Runner
from symcheck.measure.session import open_session


class Spread(nn.Module):
    """A network whose inputs `names` come stacked as one tensor (B, len(names), *S), before the others of `order`."""

    def __init__(self, call: Callable[..., Any], names: tuple[str, ...], order: list[str], how: str) -> None:
        super().__init__()
        self.call, self.names, self.order, self.how = call, names, order, how

    def forward(self, stacked: Tensor, *others: Tensor) -> Any:
        """What the network returns for the inputs one by one."""
        rest = [name for name in self.order if name not in self.names]
        given = dict(zip(self.names, stacked.unbind(1), strict=True)) | dict(zip(rest, others, strict=True))
        inputs = {name: given[name] for name in self.order}
        if self.how == "dict":
            return self.call(inputs)
        return self.call(**inputs) if self.how == "keywords" else self.call(*inputs.values())


def told_by_name(group: FiniteGroup, names: tuple[str, ...]) -> FiniteGroup:
    """A group that permutes the inputs `names`, with the inputs that it moves and their names in its cycles."""
    moved = sorted({int(digits) for cycles in group.generators for digits in re.findall(r"\d+", cycles)})
    written = tuple(re.sub(r"\d+", lambda found: names[int(found[0])], cycles) for cycles in group.generators)
    return replace(group, input=" and ".join(names[i] for i in moved), generators=written)


def exchanged(session: Audit, names: tuple[str, ...]) -> Audit | None:
    """An audit of the same network with the inputs `names` stacked into one; None where that cannot be done.

    That is so where samples are packed, outputs are derived from an input by name, or the network takes one object.
    """
    evaluator, runner = session.evaluator, session.evaluator.runner
    subject, samples = runner.subject, evaluator.samples
    if samples.owner_name is not None or subject.derive or subject.graph or subject.takes not in ("arguments", "dict"):
        return None
    how = subject.takes if subject.takes == "dict" else "keywords" if runner.keywords else "arguments"
    wrapped = Spread(subject.call, names, list(samples.tensors), how)
    module = wrapped if subject.call is subject.module else subject.module
    made = replace(subject, call=wrapped, module=module, takes="arguments")
    tensors = {"_".join(names): torch.stack([samples.tensors[name] for name in names], 1)}
    tensors |= {name: x for name, x in samples.tensors.items() if name not in names}
    other = Runner(made, runner.device, runner.dtype, list(runner.names))
    return open_session(other, tensors, [], session.options, evaluator.chunks.size if evaluator.chunks.fixed else None)
