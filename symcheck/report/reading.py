"""JSON objects of a report back to its frozen data. No torch, no numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from symcheck.report.model import (
    Certificate,
    Counts,
    Curve,
    Error,
    Finding,
    Floor,
    Scale,
    Share,
    Verdict,
    Worst,
)


def finding(data: Mapping[str, Any]) -> Finding:
    """A finding from its JSON object; null numbers come back as NaN, keys of a later version pass."""
    error, worst, curve, certificate = (data.get(name) for name in ("error", "worst", "curve", "certificate"))
    parts = {
        "verdict": Verdict(data["verdict"]),
        "share": data["share"] and Share(**_known(Share, data["share"], math.nan)),
        "error": error and Error(**{k: _scale(error[k]) for k in _known(Error, error, None)}),
        "floor": Floor(**_known(Floor, data["floor"], None)),
        "counts": Counts(**_known(Counts, data["counts"], None)),
        "worst": worst and Worst(**{"value": math.nan, **_known(Worst, worst, None, drop=True)}),
        "curve": curve and _curve(curve),
        "by_sample": _numbers(data.get("by_sample", ())),
        "distribution": _numbers(data.get("distribution", ())),
        "certificate": certificate and Certificate(**_known(Certificate, certificate, None)),
    }
    return Finding(**_known(Finding, {**data, **parts}, None))


def _scale(data: Mapping[str, Any]) -> Scale:
    bounds = {f.name: None for f in fields(Scale) if f.name.endswith(("_low", "_high")) and data.get(f.name) is None}
    return Scale(**{**_known(Scale, data, math.nan), **bounds})


def _curve(data: Mapping[str, Any]) -> Curve:
    at = tuple(_numbers(point) for point in data["at"])
    return Curve(data["kind"], tuple(data["labels"]), _numbers(data["errors"]), at)


def _numbers(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)


def _known(kind: type, data: Mapping[str, Any], missing: float | None, *, drop: bool = False) -> dict[str, Any]:
    """The fields of one dataclass in its JSON object: null is `missing` or dropped, keys of a later version pass."""
    found = {f.name: data[f.name] for f in fields(kind) if f.name in data}
    return {name: missing if value is None else value for name, value in found.items() if not (drop and value is None)}
