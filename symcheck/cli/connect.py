"""`symcheck connect`: the loss between two checkpoints, and its barrier. Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import labelled, options
from symcheck.cli.choices import names
from symcheck.cli.values import input_sources, pairs

_PATH, _ALIGN = "The path", "Alignment"

First = Annotated[
    Path, typer.Argument(metavar="A", help="Checkpoint, or subject file (.toml) that names one.", show_default=False)
]
Second = Annotated[
    Path, typer.Argument(metavar="B", help="Another checkpoint of the same network.", show_default=False)
]
SpecFile = Annotated[
    Path | None,
    typer.Option("--spec", help="Align by this spec; else it is derived and proved.", rich_help_panel=_ALIGN),
]
Aligned = Annotated[
    Path | None, typer.Option(help="B aligned already, from symcheck align.", rich_help_panel=_ALIGN)
]
NoAlign = Annotated[bool, typer.Option("--no-align", help="Only the naive path.", rich_help_panel=_ALIGN)]
Points = Annotated[
    int | None,
    typer.Option(min=3, help="Points of the path; the midpoint is one of them. [default: 25]", rich_help_panel=_PATH),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--path",
        help="linear; quadratic: keeps the norm of every tensor; bezier: its middle is trained. [default: linear]",
        rich_help_panel=_PATH, autocompletion=names("paths"),
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Steps of training the middle of --path bezier. [default: 300]", rich_help_panel=_PATH),
]
Mechanisms = Annotated[
    list[str] | None,
    typer.Option(
        help="A claim: its equivariance error along the path, and the loss on data moved by it; repeat.",
        rich_help_panel=_PATH,
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of the alignment and of drawn elements. [default: 0]", rich_help_panel=_PATH)
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "-o", "--out", help="Write FILE.json, a page FILE.html, or the curves as FILE.png, .svg or .pdf; repeat.",
        rich_help_panel="Output",
    ),
]  # fmt: skip


def connect(
    first: First,
    second: Second,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    inputs: labelled.Inputs = None,
    labels: labelled.Labels = None,
    test_inputs: labelled.TestInputs = None,
    loss: labelled.LossName = None,
    samples: labelled.Samples = None,
    batch_size: labelled.BatchSize = None,
    device: labelled.Device = None,
    spec: SpecFile = None,
    aligned: Aligned = None,
    no_align: NoAlign = False,
    points: Points = None,
    path: Kind = None,
    path_steps: Steps = None,
    mechanisms: Mechanisms = None,
    seed: Seed = None,
    output: Output = None,
    quiet: options.Quiet = False,
) -> None:
    """L((1 − t) A + t B): how far does the loss rise between two checkpoints, before and after they are aligned?

    Exit code 0: done. 2: nothing could be concluded.

    Examples:

      symcheck connect fixtures/digits-mlp-a.toml fixtures/digits-mlp-b.toml

      symcheck connect a.safetensors b.safetensors --model nets.py:cnn -i train.npz --test-inputs test.npz -o curves.png

      symcheck connect a.pt b.pt --model nets.py:cnn -i train.npz --mechanisms 'C4: image -> invariant'
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key, "inputs": input_sources(inputs),
        "labels": labels, "test_inputs": input_sources(test_inputs), "loss": loss, "samples": samples, "seed": seed,
        "batch_size": batch_size, "device": device, "points": points, "path": path, "path_steps": path_steps,
    }  # fmt: skip
    from symcheck.cli.connect_run import Asked, run_connect
    from symcheck.cli.connect_text import show
    from symcheck.cli.console import error_console, output_console

    given = {name: value for name, value in flags.items() if value not in (None, {}, [])}
    asked = Asked(spec, aligned, not no_align, tuple(mechanisms or ()), tuple(output or ()))
    found = run_connect(first, second, given, allow_program, asked, None if quiet else error_console())
    show(found, output_console())
