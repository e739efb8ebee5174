"""symcheck: symmetry analysis of trained neural networks. `f(g·θ, g·x) = g·f(θ, x)`.

Names are loaded when first used, so that `import symcheck` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from symcheck.version import __version__

if TYPE_CHECKING:
    from symcheck.api import audit
    from symcheck.claim import Claim
    from symcheck.errors import SymcheckError
    from symcheck.loading import load_subject as load
    from symcheck.preset import read_preset
    from symcheck.report.model import Finding, Report, Verdict
    from symcheck.subject import Subject
    from symcheck.weights.session import derive_spec, verify_spec
    from symcheck.weights.spec import Spec

_WHERE = {
    "audit": ("symcheck.api", "audit"),
    "Claim": ("symcheck.claim", "Claim"),
    "SymcheckError": ("symcheck.errors", "SymcheckError"),
    "read_preset": ("symcheck.preset", "read_preset"),
    "load": ("symcheck.loading", "load_subject"),
    "Finding": ("symcheck.report.model", "Finding"),
    "Report": ("symcheck.report.model", "Report"),
    "Verdict": ("symcheck.report.model", "Verdict"),
    "Subject": ("symcheck.subject", "Subject"),
    "derive_spec": ("symcheck.weights.session", "derive_spec"),
    "verify_spec": ("symcheck.weights.session", "verify_spec"),
    "Spec": ("symcheck.weights.spec", "Spec"),
}

__all__ = [
    "Claim", "Finding", "Report", "Spec", "Subject", "SymcheckError", "Verdict", "__version__", "audit", "derive_spec",
    "load", "read_preset", "verify_spec",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'symcheck' has no attribute '{name}'")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
