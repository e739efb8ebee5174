"""The error along one-parameter subgroups, and of the generators of discrete groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from symcheck.claim import Claim
from symcheck.groups.base import Flow, Group
from symcheck.groups.finite import LISTED
from symcheck.groups.subgroups import table_of
from symcheck.locate.subgroups.landscape import Landscape, landscape_of
from symcheck.locate.subgroups.result import Along
from symcheck.measure.audit import Audit
from symcheck.measure.plan import Stratum

POINTS = 24
_REACH = 2.0  # of a subgroup that does not close, in its own parameter
_TABLE = 128


def curves_of(audit: Audit, claim: Claim, parts: Sequence[Stratum]) -> list[Along]:
    """One curve for each one-parameter subgroup of the claim's group, or one point for each generator."""
    resampled = any(part.resampled for part in parts)
    g = next(part.g for part in parts if part.resampled == resampled)
    landscape = landscape_of(audit, claim, g, resampled=resampled)
    group = landscape.bound.group
    flows = group.flows()
    found = [along(landscape, flow) for flow in flows] if flows else [_generators(landscape, group)]
    return [curve for some in found for curve in some]


def along(landscape: Landscape, flow: Flow, points: int = POINTS) -> list[Along]:
    """The error of every output along one flow, from the identity around to it, or up to the parameter 2."""
    reach = flow.period or _REACH
    t = torch.linspace(0.0, reach, points + 2, dtype=torch.float64)[1:-1]
    errors = landscape.errors(flow.at(t))
    return [
        Along(name, flow.name, tuple(t.tolist()), tuple(e.tolist()), flow.period, _extent(t.numpy(), e, landscape))
        for name, e in errors.items()
    ]


def _extent(t: np.ndarray, errors: np.ndarray, landscape: Landscape) -> float | None:
    """How far the error stays within the tolerance, interpolated between points; None: all the way."""
    over = np.flatnonzero(~(errors <= landscape.tolerance))
    if not len(over):
        return None
    i = int(over[0])
    start, low = (0.0, 0.0) if i == 0 else (float(t[i - 1]), float(errors[i - 1]))
    rise = float(errors[i]) - low
    share = (landscape.tolerance - low) / rise if np.isfinite(rise) and rise > 0 else 0.0
    return start + share * (float(t[i]) - start)


def _generators(landscape: Landscape, group: Group) -> list[Along]:
    """A generating set of a finite group whose elements are listed, each element with its error."""
    listed = group.elements() if group.order is not None and group.order <= min(_TABLE, LISTED) else None
    table = table_of(group.compose, listed) if listed is not None else None
    if listed is None or table is None:
        return []
    chosen = table.generators(tuple(range(table.order)))
    if not chosen:
        return []
    errors = landscape.errors(listed[list(chosen)])
    return [
        Along(name, group.label(listed, h), (1.0,), (float(e[i]),), None, None if e[i] <= landscape.tolerance else 0.0)
        for name, e in errors.items()
        for i, h in enumerate(chosen)
    ]
