"""What `symcheck distance` does after parsing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from symcheck.align.distance import CLOSE, Distances, Outputs, distances
from symcheck.align.proof import same_function
from symcheck.cli.align_run import DEFAULTS, Asked, _loaded, _spec
from symcheck.cli.pairs import Checkpoints
from symcheck.cli.run import file_settings
from symcheck.cli.steps import steps
from symcheck.errors import ConfigError
from symcheck.report.numbers import count, number
from symcheck.report.page import INDENT, Page
from symcheck.report.write import write_text

SCHEMA = "symcheck.distance/1"


@dataclass(frozen=True)
class Found:
    """The distances, and the checkpoints between which they are."""

    checkpoints: Checkpoints
    distances: Distances
    output: Path | None


def run_distance(
    first: Path,
    others: Sequence[Path],
    flags: Mapping[str, Any],
    allow_program: bool,
    spec: Path | None,
    output: Path | None,
    console: Console | None,
) -> Found:
    """Load the checkpoints, derive or read the spec, align every pair, write."""
    if output is not None and (output.suffix != ".json" or not output.parent.is_dir()):
        raise ConfigError("the matrices cannot be written there", where=f"-o {output}", hint="give FILE.json")
    asked = Asked(spec)
    settings = {**DEFAULTS, **file_settings(first, flags), **flags}
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        checkpoints, module, call = _loaded(first, others, settings, allow_program, asked)
        read = _spec(checkpoints, call, settings, asked, tell)
        run: Outputs | None = None
        if module is not None:

            def run(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
                return same_function(module, call, a, b, settings["seed"]).distance

        found = distances(checkpoints.states, read, seed=settings["seed"], outputs=run, tell=tell)
    if output is not None:
        sources = [dict(source) for source in checkpoints.sources]
        document = {"schema": SCHEMA, "checkpoints": sources, **asdict(found), "copies": found.copies}
        write_text(output, json.dumps(document, indent=2) + "\n")
    return Found(checkpoints, found, output)


def show(found: Found, console: Console) -> None:
    """Print the matrices and the clusters."""
    page, result = Page(console), found.distances
    names = [Path(source["path"]).name or "?" for source in found.checkpoints.sources]
    for k, name in enumerate(names, 1):
        page.line(f"{k}  {name}", "", INDENT)
    tables = [("in one gauge", result.raw), ("modulo the symmetries", result.modulo)]
    tables += [("of their outputs, largest over spread", result.outputs)] if result.outputs else []
    for title, matrix in tables:
        page.line()
        page.line(f"Distance {title}", "bold")
        for i, row in enumerate(matrix):
            cells = [page.text("·" if i == j else number(x)) for j, x in enumerate(row)]
            for cell in cells:
                cell.align("right", 9)
            page.row([(page.text(f"{i + 1}", "dim"), 3), *((cell, 9) for cell in cells)], INDENT)
    page.line()
    if result.null == result.null:
        page.line(f"matching alone leaves {number(result.null)} between the first and shuffled weights", "dim", INDENT)
    for words, clusters in (("copies of one mode", result.modes), (f"within {CLOSE}", result.families)):
        for k in dict.fromkeys(clusters):
            members = [str(i + 1) for i, other in enumerate(clusters) if other == k]
            if len(members) > 1:
                page.line(f"{words}: {', '.join(members)}", "", INDENT)
    page.line(f"{count(len(set(result.modes)), 'mode')} among {count(len(names), 'checkpoint')}", "", INDENT)
    for note in result.notes:
        page.line(note, "yellow", INDENT)
    if found.output is not None:
        page.whole(page.text(f"wrote {found.output}"))
