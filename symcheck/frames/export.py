"""A symmetrised network as an exported program (.pt2), checked by loading it again."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from symcheck.errors import SymcheckError
from symcheck.frames.modules import Symmetrised
from symcheck.loading import load_subject
from symcheck.report.write import write_bytes
from symcheck.subject import named_outputs

BATCH = 32
_SLACK = 1e3  # units in the last place, relative to the size of the output


@final
class _Positional(nn.Module):
    """The network with its inputs in order, as programs take them."""

    def __init__(self, network: Symmetrised, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: Tensor) -> Any:
        return self.network(dict(zip(self.names, tensors, strict=True)))


def export(network: Symmetrised, inputs: Mapping[str, Tensor], path: Path) -> str:
    """Write the program to `path`; empty where it gives the same outputs when loaded again, else why there is none.

    It takes batches of one size (32, or as many samples as there are), to which larger ones are cut.
    """
    count = min(BATCH, *(x.shape[0] for x in inputs.values()))
    batch = tuple(x[:count].clone() for x in inputs.values())
    plain = _Positional(network, tuple(inputs)).eval()
    wanted, written = None, False
    try:
        with torch.no_grad():
            wanted = named_outputs(plain(*batch), [])
        with _quietly():
            program, file = torch.export.export(plain, batch, strict=False), io.BytesIO()
            torch.export.save(program, file)
        write_bytes(path, file.getvalue())
        written = True
        with torch.no_grad():
            found = named_outputs(load_subject(path, allow_program=True).call(*batch), [])
        problem = _different(wanted, found)
    except SymcheckError as error:
        problem = error.message
    except Exception as error:  # the exporter raises nearly anything
        problem = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0].partition('. ')[0]}"
    if problem and written:
        path.unlink(missing_ok=True)
    return problem


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter prints, warns and logs of a network that it cannot take."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _different(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What the loaded program does otherwise; empty where nothing but rounding."""
    if [*wanted] != [*found]:
        return f"loaded again it returns {', '.join(found)} instead of {', '.join(wanted)}"
    for name, y in wanted.items():
        z = found[name]
        size = float(y.double().abs().max()) if y.numel() else 0.0
        unit = torch.finfo(y.dtype).eps if y.is_floating_point() else 0.0
        gap = float((y.double() - z.double()).abs().max()) if y.shape == z.shape else math.inf
        if not gap <= _SLACK * unit * size:
            return f"loaded again its output '{name}' is off by {gap:.2g}"
    return ""
