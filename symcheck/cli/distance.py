"""`symcheck distance`: how far checkpoints are from one another, modulo the symmetries of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import align as matching
from symcheck.cli import labelled, options
from symcheck.cli.values import input_sources, pairs

Report = Annotated[Path | None, typer.Option("-o", "--out", help="Write the matrices as FILE.json.")]


def distance(
    first: matching.First,
    others: matching.Others,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    inputs: labelled.Inputs = None,
    samples: matching.Samples = None,
    spec: matching.SpecFile = None,
    seed: matching.Seed = None,
    output: Report = None,
    quiet: options.Quiet = False,
) -> None:
    """min over g of ‖A − g·B‖: which of several checkpoints are copies of one mode, which are close, which are apart?

    Exit code 0: done. 2: nothing could be concluded.

    Examples:

      symcheck distance fixtures/digits-mlp-a.toml fixtures/digits-mlp-b.toml

      symcheck distance a.safetensors b.safetensors c.safetensors --spec net.toml -o distances.json

      symcheck distance seed-0.pt seed-1.pt seed-2.pt --model nets.py:cnn -m width=64 -i images.npz
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key, "inputs": input_sources(inputs),
        "samples": samples, "seed": seed,
    }  # fmt: skip
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.distance_run import run_distance, show

    given = {name: value for name, value in flags.items() if value not in (None, {}, [])}
    found = run_distance(first, others, given, allow_program, spec, output, None if quiet else error_console())
    show(found, output_console())
