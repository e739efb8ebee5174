"""What every refusal must be, and what must not change meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symcheck.errors import SymcheckError


def refusal(action: Callable[[], Any]) -> str:
    """The text of the error, which must say what, where and what to do."""
    with pytest.raises(SymcheckError) as caught:
        action()
    error = caught.value
    assert error.message and error.where and error.hint
    assert [line.split(":")[0] for line in str(error).splitlines()[1:]] == ["where", "hint"]
    return str(error)


def listing(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_size for p in folder.rglob("*") if "__pycache__" not in p.parts}
