"""The JSON Schemas (draft 2020-12) of our documents; new keys keep the version, changed meanings raise it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Literal


def schema(name: Literal["report", "gate"] = "report") -> dict[str, Any]:
    """The schema that every `symcheck.report/1` or `symcheck.gate/1` document on disk obeys, complete in itself."""
    text = files(__name__).joinpath(f"{name}-1.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    if name == "gate":
        found["$defs"]["report"] = schema("report")
    return found
