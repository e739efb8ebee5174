"""What `symcheck locate` does between parsing and rendering."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from symcheck.cli.run import file_settings, loaded
from symcheck.cli.steps import steps
from symcheck.errors import ConfigError, SymcheckError
from symcheck.gate.files import read_files
from symcheck.locate.locate import PARTS, USUAL, How, locate
from symcheck.locate.result import Located
from symcheck.preset import with_preset
from symcheck.report.formats import format_of
from symcheck.report.write import check_path, write_report

_DRAWN = frozenset({"layers", "group"})  # the parts that figures are made of


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the subject and its data."""

    parts: tuple[str, ...] = ()
    hidden: Mapping[str, str] | None = None
    pairs: int | None = None
    outputs: tuple[Path, ...] = ()


def run_locate(
    path: Path | None, flags: Mapping[str, Any], allow_program: bool, asked: Asked, console: Console | None
) -> Located:
    """Load the subject and its inputs, locate, write the files; flags beat the subject file."""
    settings = with_preset({**file_settings(path, flags), **flags})
    for output in asked.outputs:
        check_path(output, plain=True, keep=read_files(settings))
        _check_drawn(output, _how(settings, flags, asked).parts)
    claim = _claim(settings.get("claims"))
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        subject, inputs = loaded(settings, allow_program, "locate")
        tell(f"locating {claim}")
        found = locate(subject, claim, inputs, _how(settings, flags, asked), tell)
        plain = found.to_dict()
        plain["settings"] |= {key: settings[key] for key in ("inputs", "model", "arguments") if key in settings}
        _write(json.loads(json.dumps(plain, allow_nan=False, default=str)), asked.outputs, tell)
    return found


def _write(plain: Mapping[str, Any], outputs: Sequence[Path], tell: Callable[[str], None]) -> None:
    """Write every file that can be written; then raise what the first of the others was refused for."""
    refused: list[SymcheckError] = []
    for output in outputs:
        tell(f"writing {output}")
        try:
            write_report(plain, output)
        except SymcheckError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _check_drawn(output: Path, parts: Collection[str]) -> None:
    """Refuse a figure of parts that none is made of, before anything is measured."""
    if format_of(output) == "figure" and not {*parts} & _DRAWN:
        raise ConfigError(
            f"there is nothing to draw of {' and '.join(parts)}", where=str(output),
            hint=f"figures are made of --part {' and --part '.join(sorted(_DRAWN, reverse=True))}; or write .html",
        )  # fmt: skip


def _how(settings: Mapping[str, Any], flags: Mapping[str, Any], asked: Asked) -> How:
    parts = PARTS if "all" in asked.parts else asked.parts or USUAL
    own: dict[str, Any] = {"pairs": asked.pairs} if asked.pairs else {}
    tolerance = settings["tolerance"]
    return How(
        samples=settings["samples"], elements=settings["elements"], seed=settings["seed"],
        tolerance=tolerance if isinstance(tolerance, float | int) else 1e-3, device=settings["device"],
        dtype=flags.get("dtype", ""), batch_size=settings.get("batch_size"), parts=parts, hidden=asked.hidden or {},
        **own,
    )  # fmt: skip


def _claim(claims: Any) -> str:
    """The one claim that is asked for."""
    texts = [claims] if isinstance(claims, str) else [str(claim) for claim in claims or ()]
    if len(texts) == 1:
        return texts[0]
    if not texts:
        raise ConfigError(
            "there is no claim to locate", where="--claim", hint="write -c 'C4: image -> invariant', for example"
        )
    raise ConfigError(
        f"there are {len(texts)} claims, and one is located at a time",
        where="; ".join(texts),
        hint=f"write -c '{texts[0]}'",
    )
