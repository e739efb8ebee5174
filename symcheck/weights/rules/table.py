"""The table of operators: the name of an ATen operator -> the rule that says it in the primitives of a Network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Rule = Callable[..., Any]
AnyRule = TypeVar("AnyRule", bound=Rule)
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Enter a rule for these operators; it takes the network and the operator's own arguments."""

    def enter(function: AnyRule) -> AnyRule:
        for name in names:
            if name in RULES:
                raise ValueError(f"the operator {name} has two rules")
            RULES[name] = function
        return function

    return enter
