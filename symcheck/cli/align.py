"""`symcheck align`: bring checkpoints onto the first one by symmetries of their weights. Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import labelled, options
from symcheck.cli.choices import names
from symcheck.cli.values import input_sources, pairs

_MATCH, _OUTPUT = "Matching", "Output"

First = Annotated[
    Path,
    typer.Argument(
        metavar="A", help="Checkpoint, folder of shards, or subject file (.toml) that names one.", show_default=False
    ),
]
Others = Annotated[
    list[Path], typer.Argument(metavar="B [C...]", help="Checkpoints of the same network.", show_default=False)
]
SpecFile = Annotated[
    Path | None,
    typer.Option(
        "--spec", help="Weight symmetry spec; else it is derived from the network and proved.", rich_help_panel=_MATCH
    ),
]
Matcher = Annotated[
    str | None,
    typer.Option(
        help="weights, activations (labels are not needed), sinkhorn, straight-through (needs a loss). "
        "[default: weights]",
        rich_help_panel=_MATCH, autocompletion=names("matchers"),
    ),
]
Kinds = Annotated[
    str | None,
    typer.Option(help="Kinds that are looked for: permutation,sign,rotation. [default: all]", rich_help_panel=_MATCH),
]
Gauges = Annotated[
    str | None,
    typer.Option(
        help="Kinds that are fixed beforehand: shift,scale,general,sign; none for none. [default: all]",
        rich_help_panel=_MATCH,
    ),
]
Restarts = Annotated[
    int, typer.Option(min=0, help="Random starts, beside the identity and signatures.", rich_help_panel=_MATCH)
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of controls, restarts and drawn inputs. [default: 0]", rich_help_panel=_MATCH)
]
NoControls = Annotated[
    bool, typer.Option("--no-controls", help="Leave out the planted and the null control.", rich_help_panel=_MATCH)
]
Samples = Annotated[
    int | None,
    typer.Option(
        min=1, help="Samples of the inputs. [default: 4, or 2048 where data match units]", rich_help_panel="Inputs"
    ),
]
Stream = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream", rich_help_panel=_MATCH,
        help="Leave tensors on disk: no gauges, no controls; go on where a run was stopped. "
        "[default: with --spec, for safetensors above 1 GiB or an output folder]",
    ),
]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", help="The aligned checkpoint: FILE.safetensors, or a folder for shards or for several.",
        rich_help_panel=_OUTPUT,
    ),
]  # fmt: skip
SaveElement = Annotated[
    Path | None,
    typer.Option(help="Also write the element, as FILE.safetensors for symcheck apply.", rich_help_panel=_OUTPUT),
]
SaveSpec = Annotated[Path | None, typer.Option(help="Also write the spec, .toml or .json.", rich_help_panel=_OUTPUT)]
Report = Annotated[Path | None, typer.Option(help="Write all that was found as FILE.json.", rich_help_panel=_OUTPUT)]
Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.", rich_help_panel=_OUTPUT)]
All = Annotated[bool, typer.Option("--all", help="A row for every space.", rich_help_panel=_OUTPUT)]


def align(
    first: First,
    others: Others,
    model: options.Model = None,
    argument: options.Argument = None,
    key: options.Key = None,
    allow_program: options.AllowProgram = False,
    inputs: labelled.Inputs = None,
    labels: labelled.Labels = None,
    loss: labelled.LossName = None,
    samples: Samples = None,
    spec: SpecFile = None,
    matcher: Matcher = None,
    kinds: Kinds = None,
    gauges: Gauges = None,
    restarts: Restarts = 0,
    seed: Seed = None,
    no_controls: NoControls = False,
    stream: Stream = None,
    output: Output = None,
    save_element: SaveElement = None,
    save_spec: SaveSpec = None,
    report: Report = None,
    every: All = False,
    force: Force = False,
    quiet: options.Quiet = False,
) -> None:
    """max ⟨A, g·B⟩ over the symmetries g of the weights: write g·B, the same function as B, in the places of A.

    Exit code 0: aligned, and proved to be the same function where the network can be run. 1: it is not the same
    function. 2: nothing could be concluded.

    Examples:

      symcheck align fixtures/digits-mlp-a.toml fixtures/digits-mlp-b.toml -o aligned.safetensors

      symcheck align a.safetensors b.safetensors --spec net.toml -o aligned.safetensors --save-element g.safetensors

      symcheck align llama-a/ llama-b/ --spec llama.toml -o aligned/
    """
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key, "inputs": input_sources(inputs),
        "labels": labels, "loss": loss, "samples": samples, "seed": seed,
    }  # fmt: skip
    from symcheck.cli.align_run import Asked, run_align
    from symcheck.cli.align_stream import run_streamed, streams
    from symcheck.cli.align_text import show
    from symcheck.cli.console import error_console, output_console

    given = {name: value for name, value in flags.items() if value not in (None, {}, [])}
    asked = Asked(
        spec, matcher or "weights", _words(kinds), _words(gauges), restarts, not no_controls,
        output, save_element, save_spec, report, force, stream,
    )  # fmt: skip
    console = None if quiet else error_console()
    if streams(first, others, given, asked):
        found = run_streamed(first, others[0], asked, console)
    else:
        found = run_align(first, others, given, allow_program, asked, console)
    show(found, output_console(), every=every)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _words(text: str | None) -> tuple[str, ...] | None:
    """The words of a list with commas; `none` is none of them."""
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip() not in ("", "none"))
