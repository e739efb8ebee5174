"""Files to subjects and inputs, safely: what is data is only read, what is a program needs the user's word.

Names are loaded when first used, so that reading a subject file imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symcheck.loading.inputs import load_inputs
    from symcheck.loading.sniff import Kind, sniff
    from symcheck.loading.subject_file import SubjectFile, read_subject_file
    from symcheck.loading.subjects import load_subject

_WHERE = {
    "Kind": "sniff",
    "SubjectFile": "subject_file",
    "load_inputs": "inputs",
    "load_subject": "subjects",
    "read_subject_file": "subject_file",
    "sniff": "sniff",
}

__all__ = ["Kind", "SubjectFile", "load_inputs", "load_subject", "read_subject_file", "sniff"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'symcheck.loading' has no attribute '{name}'")
    return getattr(import_module(f"symcheck.loading.{_WHERE[name]}"), name)
