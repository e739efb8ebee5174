"""What every operator does to axes, scales and signs; one file a family, one entry an operator."""

from symcheck.weights.rules import attention, contraction, indexing, norms, pointwise, positions, recurrent, shapes
from symcheck.weights.rules.table import RULES, rule

__all__ = [
    "RULES",
    "attention",
    "contraction",
    "indexing",
    "norms",
    "pointwise",
    "positions",
    "recurrent",
    "rule",
    "shapes",
]
