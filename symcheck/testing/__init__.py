"""For other people's test suites: assertions about models, and laws for groups and actions of their own.

    from symcheck.testing import assert_equivariant, check_group

Names are loaded when first used, so that importing this module loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symcheck.testing.action_laws import check_action
    from symcheck.testing.assertions import assert_equivariant, assert_invariant, assert_same_function
    from symcheck.testing.group_laws import check_group

_WHERE = {
    "assert_equivariant": "symcheck.testing.assertions",
    "assert_invariant": "symcheck.testing.assertions",
    "assert_same_function": "symcheck.testing.assertions",
    "check_action": "symcheck.testing.action_laws",
    "check_group": "symcheck.testing.group_laws",
}

__all__ = ["assert_equivariant", "assert_invariant", "assert_same_function", "check_action", "check_group"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'symcheck.testing' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
