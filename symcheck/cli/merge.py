"""`symcheck merge`: one checkpoint out of several of one network. Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import labelled, options
from symcheck.cli.choices import names
from symcheck.cli.values import input_sources, pairs

_METHOD, _ALIGN, _OUTPUT = "How to merge", "Alignment", "Output"

Checkpoints = Annotated[
    list[Path],
    typer.Argument(help="Two checkpoints or more; the first may be a subject file (.toml).", show_default=False),
]
Method = Annotated[
    str,
    typer.Option(
        help="average, slerp, superpose; with --base also task, ties, dare, dare-ties, iso-c, iso-cts.",
        rich_help_panel=_METHOD, autocompletion=names("methods"),
    ),
]
Base = Annotated[
    Path | None,
    typer.Option(help="The checkpoint that all were trained from; updates are merged.", rich_help_panel=_METHOD),
]
Weights = Annotated[
    str | None,
    typer.Option(help="A weight for each checkpoint: 0.7,0.3. [default: all 1]", rich_help_panel=_METHOD),
]
Place = Annotated[
    float | None,
    typer.Option("--t", help="slerp: where on the arc, 0 the first, 1 the second. [default: 0.5]",
                 rich_help_panel=_METHOD),
]  # fmt: skip
Scale = Annotated[
    float | None, typer.Option(help="Factor of the merged update. [default: 1]", rich_help_panel=_METHOD)
]
Density = Annotated[
    float | None,
    typer.Option(
        help="ties, dare: share of each update's entries that is kept. [default: 0.2, 0.1]", rich_help_panel=_METHOD
    ),
]
CommonShare = Annotated[
    float | None,
    typer.Option(help="iso-cts: share of the directions that are common. [default: 0.8]", rich_help_panel=_METHOD),
]
Features = Annotated[
    int | None,
    typer.Option(help="superpose: directions kept of each. [default: half of what fits]", rich_help_panel=_METHOD),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Seed of dare's drop, of aligning and of drawn inputs. [default: 0]", rich_help_panel=_METHOD),
]
Reset = Annotated[
    bool | None,
    typer.Option(
        "--reset/--no-reset",
        help="Re-estimate the running statistics of BatchNorm on the data. [default: with BatchNorm and data]",
        rich_help_panel=_METHOD,
    ),
]
SpecFile = Annotated[
    Path | None,
    typer.Option("--spec", help="Weight symmetries to align by. [default: derived from --model]",
                 rich_help_panel=_ALIGN),
]  # fmt: skip
Align = Annotated[
    bool | None,
    typer.Option(
        "--align/--no-align", help="Bring the others onto the first, or all onto the base. "
        "[default: with --model or --spec and without --base]", rich_help_panel=_ALIGN,
    ),
]  # fmt: skip
Unaligned = Annotated[
    bool,
    typer.Option("--unaligned", help="Merge checkpoints that are not aligned, as they are.", rich_help_panel=_ALIGN),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.", rich_help_panel=_OUTPUT)]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Where the merged checkpoint goes: FILE.safetensors.", rich_help_panel=_OUTPUT),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Write all that was found as FILE.json.", rich_help_panel=_OUTPUT)
]
All = Annotated[bool, typer.Option("--all", help="A row for every layer.", rich_help_panel=_OUTPUT)]


def merge(
    checkpoints: Checkpoints,
    method: Method = "average",
    base: Base = None,
    weights: Weights = None,
    t: Place = None,
    scale: Scale = None,
    density: Density = None,
    common_share: CommonShare = None,
    features: Features = None,
    seed: Seed = None,
    reset: Reset = None,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    spec: SpecFile = None,
    align: Align = None,
    unaligned: Unaligned = False,
    inputs: labelled.Inputs = None,
    labels: labelled.Labels = None,
    test_inputs: labelled.TestInputs = None,
    loss: labelled.LossName = None,
    samples: labelled.Samples = None,
    batch_size: labelled.BatchSize = None,
    device: labelled.Device = None,
    output: Output = None,
    report: ReportFile = None,
    all_: All = False,
    force: Force = False,
    quiet: options.Quiet = False,
) -> None:
    """θ = merge(θ_1, g·θ_2, …): one checkpoint out of several of one network, aligned first, beside its baselines.

    Exit code 0: done. 2: nothing was merged: not aligned, not of one network.

    Examples:

      symcheck merge a.safetensors b.safetensors --model nets.py:cnn -i test.npz -o merged.safetensors

      symcheck merge run1/ run2/ run3/ --spec cnn.spec.toml -o merged.safetensors     # three folders of shards

      symcheck merge a.safetensors b.safetensors c.safetensors --base base.safetensors --method ties --density 0.3
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key, "inputs": input_sources(inputs),
        "labels": labels, "test_inputs": input_sources(test_inputs), "loss": loss, "samples": samples,
        "batch_size": batch_size, "device": device, "seed": seed,
    }  # fmt: skip
    own = {
        "weights": weights, "t": t, "scale": scale, "density": density, "common_share": common_share,
        "features": features,
    }  # fmt: skip
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.merge_run import Asked, run_merge
    from symcheck.cli.merge_text import show

    given = {name: value for name, value in flags.items() if value not in (None, {}, [])}
    settings = {name: value for name, value in own.items() if value is not None}
    asked = Asked(method, settings, base, spec, align, unaligned, reset, output, report, force)
    done = run_merge(checkpoints, given, allow_program, asked, None if quiet else error_console())
    show(done, output_console(), every=all_)
