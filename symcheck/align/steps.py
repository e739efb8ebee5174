"""Elements that act one after another."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from symcheck.errors import LoadError
from symcheck.weights.spec import Spec

Steps = tuple[dict[str, Tensor], ...]


def applied(spec: Spec, steps: Steps, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The steps one after another, in float64 where they do more than move and flip; in the dtypes of the state."""
    found = dict(state)
    exact = all(spec.spaces[name].kind in ("permutation", "sign") for step in steps for name in step)
    if not exact:
        found = {n: t.double() if t.is_floating_point() else t for n, t in found.items()}
    for step in steps:
        found = spec.apply(step, found)
    found = {name: found[name].to(t.dtype) for name, t in state.items()}
    lost = [name for name, t in found.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if lost:
        raise LoadError(
            f"the aligned '{lost[0]}' does not fit into {str(found[lost[0]].dtype).removeprefix('torch.')}",
            where=f"{len(lost)} tensors, in the gauge of A",
            hint="convert the checkpoints to float32 first, or leave the scales: gauges sign only (--gauges sign)",
        )
    return found
