"""`symcheck discover`: which symmetries does a network have that nobody declared? Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import options
from symcheck.cli.choices import words
from symcheck.cli.values import input_sources, pairs

_SEARCH, _OUTPUT = "What to search", "Output"

Input = Annotated[
    list[str] | None,
    typer.Option("--input", help="An input to move; the others stand still; repeat.", rich_help_panel=_SEARCH),
]
Form = Annotated[
    list[str] | None,
    typer.Option(
        "--form", help="Only generators that preserve a form: skew, symplectic, diag(1,-1,-1,-1); NAME=... for one "
        "input; repeat.", rich_help_panel=_SEARCH,
    ),
]  # fmt: skip
Shared = Annotated[
    bool, typer.Option("--shared", help="One generator for all inputs of one width.", rich_help_panel=_SEARCH)
]
Linear = Annotated[bool, typer.Option("--linear", help="No translations of inputs.", rich_help_panel=_SEARCH)]
Acting = Annotated[
    str | None,
    typer.Option(
        help="How outputs may follow: free (any matrix), invariant, auto (one number stays). [default: auto]",
        rich_help_panel=_SEARCH, autocompletion=words("auto", "free", "invariant"),
    ),
]  # fmt: skip
Under = Annotated[
    list[str] | None,
    typer.Option(
        help="How do outputs move under a group? 'SO(3): x=vector'; groups that are found are asked anyway; repeat.",
        rich_help_panel=_SEARCH,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="One search: continuous, discrete, representations; repeat. [default: all]", rich_help_panel=_SEARCH,
        autocompletion=words("continuous", "discrete", "representations"),
    ),
]  # fmt: skip
Also = Annotated[
    list[str] | None,
    typer.Option(
        help="Slow: data (symmetries that the inputs have without the network), profile (network beside data); repeat.",
        rich_help_panel=_SEARCH, autocompletion=words("data", "profile"),
    ),
]  # fmt: skip
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels", help="The array of labels, for the profile: do x and g·x have one? [default: y, label or target]",
        rich_help_panel=_SEARCH,
    ),
]  # fmt: skip
AsClaims = Annotated[
    bool, typer.Option("--as-claims", help="Print only the claims that hold, one a line.", rich_help_panel=_OUTPUT)
]
Output = Annotated[
    list[Path] | None,
    typer.Option("-o", "--out", help="Write FILE.json with every number; repeat.", rich_help_panel=_OUTPUT),
]
Samples = Annotated[
    int | None,
    typer.Option(min=8, help="How many samples, from the first on. [default: 256]", rich_help_panel=_SEARCH),
]


def discover(
    checkpoint: options.Checkpoint = None,
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
    moved: Input = None,
    form: Form = None,
    shared: Shared = False,
    linear: Linear = False,
    acting: Acting = None,
    under: Under = None,
    only: Only = None,
    also: Also = None,
    labels: Labels = None,
    samples: Samples = None,
    elements: options.Elements = None,
    seed: options.Seed = None,
    tolerance: options.Tolerance = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    as_claims: AsClaims = False,
    output: Output = None,
    quiet: options.Quiet = False,
) -> None:
    """Which symmetries does a network have? Generators in closed form, finite groups, the actions of its outputs.

    Exit code 0: done, also where nothing was found. 2: nothing could be concluded.

    Examples:

      symcheck discover fixtures/potential.toml

      symcheck discover net.pt --model nets.py:net -i x.npz --form 'diag(1,-1,-1,-1)' -o found.json

      symcheck discover net.toml --as-claims -q
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key, "derive": pairs(derive, "--derive"),
        "output": tuple(take or ()), "takes": takes, "graph": graph, "calculator": calculator,
        "structures": structures, "inputs": input_sources(inputs), "samples": samples, "elements": elements,
        "seed": seed, "tolerance": tolerance, "device": device, "dtype": dtype, "batch_size": batch_size,
        "labels": labels,
    }  # fmt: skip
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.discover_run import Asked, concluded, run_discover
    from symcheck.cli.discover_text import show

    given = {name: value for name, value in flags.items() if value not in (None, {}, [], ())}
    asked = Asked(
        tuple(moved or ()), tuple(form or ()), shared, not linear, acting or "auto", tuple(under or ()),
        tuple(only or ()), tuple(also or ()), tuple(output or ()),
    )  # fmt: skip
    found = run_discover(checkpoint, given, allow_program, asked, None if quiet else error_console())
    if as_claims:
        for claim in found.claims:
            typer.echo(claim)
        for words in found.unsaid:
            typer.echo(words, err=True)
    else:
        show(found, asked.outputs, output_console())
    if not concluded(found):
        raise typer.Exit(2)
