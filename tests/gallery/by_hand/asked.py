"""The worst pairs of a file as plain tensors: the claim, the element, the input, the error that was found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # the networks


def pairs(name: str) -> Iterator[tuple[dict[str, Any], Tensor, dict[str, Tensor]]]:
    """Of the file given to the script, else of the one that is kept."""
    path = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent / "worst" / f"{name}.safetensors")
    with safe_open(path, framework="pt") as file:
        for i, entry in enumerate(json.loads(file.metadata()["pairs"])):
            inputs = {key: file.get_tensor(f"{i}/input/{key}") for key in entry["inputs"]}
            yield entry, file.get_tensor(f"{i}/element")[0], inputs


def say(entry: dict[str, Any], delta: Tensor) -> None:
    """The norm of a difference, in the output's unit, beside what symcheck found."""
    label = " ".join(filter(None, (entry["output"], entry["part"])))
    found, spread = float(delta.double().norm()), float(entry["spread"])
    print(f"{label}: {found:.5g} by hand, {float(entry['error']):.5g} by symcheck, {found / spread:.3g} of the spread")
