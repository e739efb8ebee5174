"""Bringing checkpoints onto one another by the symmetries of their weights.

    from symcheck.align import align, align_many, distances
"""

from symcheck.align.alignment import Alignment, align
from symcheck.align.distance import Distances, distances
from symcheck.align.evidence import Evidence
from symcheck.align.many import Family, align_many

__all__ = ["Alignment", "Distances", "Evidence", "Family", "align", "align_many", "distances"]
