"""The table of operators: the name of an ATen operator -> the rule that writes it down in the primitives of a Network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule for these operators; it takes the network and the operator's own arguments."""

    def enter(function: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"the operator {name} has two rules")
            RULES[name] = function
        return function

    return enter
