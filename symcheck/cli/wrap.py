"""`symcheck wrap`: parse, call, render. Heavy imports stay inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import labelled, options
from symcheck.cli.choices import words
from symcheck.cli.values import input_sources, pairs

_HOW = "How to symmetrise"

ClaimText = Annotated[
    str | None,
    typer.Option(
        "-c", "--claim", help="What shall hold: 'SE(3): pos=points -> energy=scalar'. [default: the subject file's]",
        show_default=False, rich_help_panel=_HOW,
    ),
]  # fmt: skip
GroupName = Annotated[
    str | None, typer.Option("--group", help="The group instead of that of the claim: SE(3), D4.", rich_help_panel=_HOW)
]
By = Annotated[
    str,
    typer.Option(
        help="frame: 2^d principal-axis frames; average: the whole group, or drawn elements; canonical: one element.",
        rich_help_panel=_HOW, autocompletion=words("frame", "average", "canonical"),
    ),
]  # fmt: skip
Count = Annotated[
    int | None,
    typer.Option(min=1, help="Elements drawn for an infinite group, --by average. [default: 64]", rich_help_panel=_HOW),
]
Out = Annotated[
    Path, typer.Option("-o", "--out", help="Write OUT.toml, a subject file, and OUT.pt2 where that is possible.")
]


def wrap(
    checkpoint: options.Checkpoint = None,
    out: Out = Path("wrapped.toml"),
    claim: ClaimText = None,
    group: GroupName = None,
    by: By = "frame",
    canonicalizer: options.Canonicalizer = None,
    count: Count = None,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    derive: options.Derive = None,
    takes: options.Takes = None,
    graph: options.Graph = None,
    inputs: options.Inputs = None,
    labels: labelled.Labels = None,
    loss: labelled.LossName = None,
    samples: options.Samples = None,
    elements: options.Elements = None,
    seed: options.Seed = None,
    tolerance: options.Tolerance = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    quiet: options.Quiet = False,
) -> None:
    """f(x) = mean over g in F(x) of g·φ(g⁻¹·x): make a network equivariant, write it, and measure both again.

    Exit code 0: the claim holds of what was written. 1: it does not. 2: nothing could be concluded.

    Examples:

      symcheck wrap fixtures/potential-mlp.toml --group 'O(3)' --by frame -o framed.toml

      symcheck wrap fixtures/digits-cnn.toml --group D4 --by average -o averaged.toml

      symcheck wrap net.pt --model nets.py:net -c 'C4: image -> invariant' --by canonical -i images.npz
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key,
        "derive": pairs(derive, "--derive"), "takes": takes, "graph": graph, "labels": labels, "loss": loss,
        "inputs": input_sources(inputs), "samples": samples, "elements": elements, "seed": seed,
        "tolerance": tolerance, "device": device, "dtype": dtype, "batch_size": batch_size,
    }  # fmt: skip
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.wrap_run import Asked, run_wrap
    from symcheck.cli.wrap_text import show

    given = {name: value for name, value in flags.items() if value not in (None, {}, [], ())}
    asked = Asked(out, claim, group, by, canonicalizer, count or 64)
    found = run_wrap(checkpoint, given, allow_program, asked, None if quiet else error_console())
    show(found, output_console())
    if not found.after.holds:
        raise typer.Exit(1)
