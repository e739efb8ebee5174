"""Groups: `make_group("C4 x Shift(4)")` samples, composes and inverts elements in batches."""

from __future__ import annotations

from symcheck.groups.products import make_group

__all__ = ["make_group"]
