"""Atoms: calculators as subjects, structures as packed inputs, reference energies. ASE is imported when first used."""

from symcheck.loading.calculators import load_calculator
from symcheck.loading.references import referenced
from symcheck.loading.structures import load_structures

__all__ = ["load_calculator", "load_structures", "referenced"]
