"""Additive symmetries."""

from __future__ import annotations

from symcheck.weights.atoms import Namer
from symcheck.weights.linear_groups import Gain
from symcheck.weights.occurrences import Places
from symcheck.weights.spec import Space
from symcheck.weights.trace import Traced


def shifts(traced: Traced, places: Places, names: Namer, gain: Gain) -> list[Space]:
    """To come."""
    return []
