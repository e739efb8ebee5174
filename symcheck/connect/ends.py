"""The ends of a path: B brought onto A, and the proof that it is still the same function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from symcheck.connect.path import Path, State
from symcheck.connect.walk import Walker
from symcheck.errors import DataError
from symcheck.loading.fit import fit_state
from symcheck.subject import Subject
from symcheck.weights.session import call_of, derived
from symcheck.weights.spec import Spec

_SAME = 1e4  # machine epsilons of its spread that the outputs of an aligned checkpoint may differ by


def aligned_end(
    subject: Subject, walker: Walker, a: State, b: State, spec: Spec | None, seed: int, tell: Callable[[str], None]
) -> tuple[State, dict[str, Any]]:
    """B aligned on A by a spec, derived and proved on A where none is given; and what the alignment says of itself."""
    from symcheck.align.alignment import align

    how = "by the spec given"
    if spec is None:
        module = walker.network.module
        fit_state(module, a, "A")
        few = next(walker.train.batches(4))
        own = replace(subject, call=module, module=module)
        spec, _ = derived(own, call_of(own, dict(few.inputs), seed), seed=seed, tell=tell)
        how = "by a spec derived and proved"
    tell("aligning")
    found = align(a, b, spec, seed=seed)
    return found.aligned, {"how": how, "record": found.record}


def same_outputs(walker: Walker, b: State, aligned: State) -> float:
    """‖f_B'(x) − f_B(x)‖ relative to the spread of f_B over a batch; DataError where it is more than rounding."""
    network = walker.network
    batch, found = next(walker.train.batches(walker.batch_size)), list[Tensor]()
    for state in (b, aligned):
        Path("", (state,)).to(walker.device).place(0.0, network.slots)
        with torch.no_grad():
            leaves = tree_leaves(network.run(batch.inputs))
        found.append(torch.cat([x.flatten(1).double() for x in leaves if _numbers(x, batch.count)], 1))
    spread = float((found[0] - found[0].mean(0)).square().mean().sqrt()) or float(found[0].abs().max()) or 1.0
    gap = float((found[0] - found[1]).square().mean().sqrt()) / spread
    eps = max((torch.finfo(x.dtype).eps for x in b.values() if x.is_floating_point()), default=0.0)
    if not gap <= min(_SAME * eps, 0.05):
        raise DataError(
            f"the aligned checkpoint is another function than B: the outputs differ by {gap:.1e} of their spread",
            where="the aligned checkpoint, on the first batch",
            hint="align again with symcheck align; symcheck weights --same-function says which tensor is at fault",
        )
    return gap


def changed_integers(a: State, b: State) -> list[str]:
    """The tensors of whole numbers in which B differs from A, counters of batches left out; a path keeps those of A."""
    return [
        name for name, x in a.items()
        if not (x.is_floating_point() or x.is_complex() or name.endswith("num_batches_tracked"))
        and not torch.equal(x, b[name].to(x.device))
    ]  # fmt: skip


def _numbers(x: Any, count: int) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point() and x.dim() > 0 and len(x) == count
