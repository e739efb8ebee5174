"""`symcheck weights`: the weight symmetries of a checkpoint, derived and proved. Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import options
from symcheck.cli.values import input_sources, pairs

_SPEC, _MORE = "The spec", "What else to find out"

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint (.safetensors, .pt, .pt2, ...) or subject file (.toml); "
        "without it the table [tool.symcheck] of ./pyproject.toml is read.",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(min=1, help="How many samples the example inputs have. [default: 4]", rich_help_panel="Inputs"),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Seed of the elements and of drawn inputs. [default: 0]", rich_help_panel="Inputs"),
]
SpecFile = Annotated[
    Path | None,
    typer.Option("--spec", help="Prove the spec in this file instead of deriving one.", rich_help_panel=_SPEC),
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "-o", "--out", help="Write the spec as FILE.toml or .json; with --canonical FILE.safetensors.",
        rich_help_panel=_SPEC,
    ),
]  # fmt: skip
Table = Annotated[
    Path | None,
    typer.Option(help="Write the permutations as axes_to_perm, the JSON of re-basin.", rich_help_panel=_SPEC),
]
All = Annotated[bool, typer.Option("--all", help="A row for every space.", rich_help_panel=_SPEC)]
Canonical = Annotated[
    bool,
    typer.Option("--canonical", help="Write the canonical checkpoint of this function.", rich_help_panel=_MORE),
]
Other = Annotated[
    Path | None,
    typer.Option("--same-function", help="Is this other checkpoint the same function?", rich_help_panel=_MORE),
]
Completeness = Annotated[
    bool,
    typer.Option("--completeness", help="Count whether continuous symmetries are missed.", rich_help_panel=_MORE),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace a checkpoint that exists.", rich_help_panel=_MORE)
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.", rich_help_panel=_MORE)]


def weights(
    checkpoint: Checkpoint = None,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    inputs: options.Inputs = None,
    samples: Samples = None,
    seed: Seed = None,
    spec: SpecFile = None,
    output: Output = None,
    axes_to_perm: Table = None,
    all_: All = False,
    canonical: Canonical = False,
    same_function: Other = None,
    completeness: Completeness = False,
    json: Json = None,
    force: Force = False,
    quiet: options.Quiet = False,
) -> None:
    """f(g·θ, x) = f(θ, x): which changes of the weights leave the function alone? Derived, then proved by running it.

    Exit code 0: done. 1: a given spec fails its proof, or the functions differ. 2: nothing could be concluded.

    Examples:

      symcheck weights fixtures/digits-cnn.toml -o digits.spec.toml

      symcheck weights net.safetensors --model nets.py:cnn -i 'normal(3,32,32)' --completeness

      symcheck weights net.safetensors --spec net.spec.toml --same-function other.safetensors
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key,
        "inputs": input_sources(inputs), "samples": samples, "seed": seed,
    }  # fmt: skip
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.weights_run import Asked, run_weights
    from symcheck.cli.weights_text import show

    given = {name: value for name, value in flags.items() if value not in (None, {}, [])}
    asked = Asked(spec, same_function, canonical, completeness, tuple(output or ()), axes_to_perm, json, force)
    found = run_weights(checkpoint, given, allow_program, asked, None if quiet else error_console())
    show(found, output_console(), every=all_)
    if found.exit_code:
        raise typer.Exit(found.exit_code)
