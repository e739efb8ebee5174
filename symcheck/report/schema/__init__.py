"""The JSON Schema (draft 2020-12) of `symcheck.report/1`; new keys keep the version, changed meanings raise it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def schema() -> dict[str, Any]:
    """The schema that every report on disk obeys."""
    text = files(__name__).joinpath("report-1.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
