"""`symcheck locate`: where a symmetry breaks. Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import options
from symcheck.cli.choices import words
from symcheck.cli.values import input_sources, pairs
from symcheck.errors import ConfigError

_WHERE = "Where to look"
PARTS = ("layers", "group", "certificates", "lie", "aliasing", "numerics")

ClaimOption = Annotated[
    str | None,
    typer.Option(
        "-c", "--claim", help="The claim, such as 'C4: image -> invariant'; by default that of the subject file.",
        rich_help_panel="Inputs",
    ),
]  # fmt: skip
Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        help="layers: which operation. group: which elements, which subgroups hold. certificates: linear layers, "
        "without data. lie: infinitesimally. aliasing: what images lose. numerics: precisions. all. "
        "[default: layers, group, certificates]; repeat.",
        rich_help_panel=_WHERE, autocompletion=words(*PARTS, "all"),
    ),
]  # fmt: skip
HiddenActions = Annotated[
    list[str] | None,
    typer.Option(
        "--hidden", help="How the group acts on what a module returns: blocks.0='irreps(8x0e+4x1o)'; repeat.",
        rich_help_panel=_WHERE,
    ),
]  # fmt: skip
Pairs = Annotated[
    int | None,
    typer.Option(
        "--pairs", min=2, help="Pairs of an element and a sample that are followed through the layers. [default: 61]",
        rich_help_panel=_WHERE,
    ),
]  # fmt: skip
AllLayers = Annotated[
    bool, typer.Option("--details", help="Every operation with its hidden action and defect.", rich_help_panel="Output")
]
Out = Annotated[
    list[Path] | None,
    typer.Option(
        "-o", "--out", help="Write FILE.json, a page FILE.html, or the bars as FILE.png, .svg or .pdf; repeat.",
        rich_help_panel="Output",
    ),
]  # fmt: skip


def locate(
    checkpoint: options.Checkpoint = None,
    claim: ClaimOption = None,
    parts: Parts = None,
    hidden: HiddenActions = None,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    derive: options.Derive = None,
    take: options.Take = None,
    takes: options.Takes = None,
    graph: options.Graph = None,
    calculator: options.Calculator = None,
    structures: options.Structures = None,
    inputs: options.Inputs = None,
    samples: options.Samples = None,
    elements: options.Elements = None,
    pairs_: Pairs = None,
    seed: options.Seed = None,
    tolerance: options.Tolerance = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    output: Out = None,
    details: AllLayers = False,
    quiet: options.Quiet = False,
) -> None:
    """Where does f(g·x) = g·f(x) break? Which operation, which elements of the group, and the most likely cause.

    Runs in float64 where the network can be cast. Exit code 0: done, whatever was found. 2: nothing could be concluded.

    Examples:

      symcheck locate fixtures/digits-cnn.toml -c 'C4: image -> invariant'

      symcheck locate net.safetensors -c 'Shift: image -> invariant' --model nets.py:cnn -i 'normal(3,32,32)'

      symcheck locate potential.toml --part lie --part layers -o where.html
    """
    if checkpoint is not None and "->" in str(checkpoint):
        raise ConfigError(f"'{checkpoint}' is a claim", where="CHECKPOINT", hint=f"write -c '{checkpoint}'")
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key,
        "derive": pairs(derive, "--derive"), "output": tuple(take or ()), "takes": takes, "graph": graph,
        "calculator": calculator, "structures": structures, "inputs": input_sources(inputs),
        "claims": [claim] if claim else None, "samples": samples, "elements": elements, "seed": seed,
        "tolerance": tolerance, "device": device, "dtype": dtype, "batch_size": batch_size,
    }  # fmt: skip
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.locate_run import Asked, run_locate
    from symcheck.cli.locate_text import show

    given = {name: value for name, value in flags.items() if value not in (None, {}, [], ())}
    asked = Asked(tuple(parts or ()), _declared(hidden), pairs_, tuple(output or ()))
    found = run_locate(checkpoint, given, allow_program, asked, None if quiet else error_console())
    show(found, output_console(), details=details, written=asked.outputs)


def _declared(items: list[str] | None) -> dict[str, str]:
    """The hidden actions by module."""
    for item in items or []:
        if not all(part.strip() for part in item.partition("=")):
            raise ConfigError(f"'{item}' is not module=action", where="--hidden", hint="write --hidden blocks.0=vector")
    found: dict[str, str] = pairs(items, "--hidden")
    return found
