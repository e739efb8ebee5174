"""Files to subjects and inputs, safely: what is data is only read, what is a program needs the user's word.

What needs torch is loaded when first used, so that reading a subject file imports none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from symcheck.loading.sniff import Kind, sniff
from symcheck.subject_file import SubjectFile, read_subject_file

if TYPE_CHECKING:
    from symcheck.loading.inputs import load_inputs
    from symcheck.loading.subjects import load_subject

_LAZY = {"load_inputs": "symcheck.loading.inputs", "load_subject": "symcheck.loading.subjects"}

__all__ = ["Kind", "SubjectFile", "load_inputs", "load_subject", "read_subject_file", "sniff"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'symcheck.loading' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)
