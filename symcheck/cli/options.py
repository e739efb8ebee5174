"""The options of `symcheck audit`, each with its help, unit and default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli.choices import names, words
from symcheck.report.formats import PRINTED

_SUBJECT, _DATA, _MEASURE, _OUTPUT = "The subject", "Inputs", "How much to measure", "Output"

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        help="Checkpoint (.safetensors, .pt, .pt2, ...) or subject file (.toml); "
        "without it the table [tool.symcheck] of ./pyproject.toml is read.",
        show_default=False,
    ),
]
Claims = Annotated[
    list[str] | None,
    typer.Argument(
        help="Claims such as 'C4: image -> invariant'; without any, a battery is proposed.", show_default=False,
        autocompletion=names("groups"),
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Code that builds the network: module:factory or path/file.py:factory.", rich_help_panel=_SUBJECT
    ),
]
Argument = Annotated[
    list[str] | None,
    typer.Option("-m", "--argument", help="key=value for the factory, read as TOML; repeat.", rich_help_panel=_SUBJECT),
]
Key = Annotated[
    str | None,
    typer.Option(help="Entry of the file that holds the weights: model_state_dict.", rich_help_panel=_SUBJECT),
]
AllowProgram = Annotated[
    bool,
    typer.Option("--allow-program", help="Run programs: .pt2, TorchScript, pickled modules.", rich_help_panel=_SUBJECT),
]
Derive = Annotated[
    list[str] | None,
    typer.Option(help="Extra output by gradient: forces='-d(energy)/d(pos)'; repeat.", rich_help_panel=_SUBJECT),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--inputs",
        help="data.npz, x.safetensors, module:function, normal(3,32,32); name=... for several; repeat.",
        rich_help_panel=_DATA,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(min=2, help="How many samples, from the first on. [default: 64]", rich_help_panel=_MEASURE),
]
Elements = Annotated[
    int | None,
    typer.Option(
        min=2, help="How many group elements in each part; small groups are enumerated. [default: 32]",
        rich_help_panel=_MEASURE,
    ),
]  # fmt: skip
Seed = Annotated[
    int | None,
    typer.Option(help="Seed of the elements and of drawn inputs. [default: 0]", rich_help_panel=_MEASURE),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        min=0.0, help="Largest mean error to accept, relative to the output's spread. [default: 0.001]",
        rich_help_panel=_MEASURE,
    ),
]  # fmt: skip
WorstCase = Annotated[
    bool, typer.Option("--worst", help="Also search the group for the worst case.", rich_help_panel=_MEASURE)
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1. [default: auto]", rich_help_panel=_MEASURE)]
Dtype = Annotated[
    str | None,
    typer.Option(help="as-is, float64, float32, bfloat16, float16. [default: as-is]", rich_help_panel=_MEASURE),
]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help="Pairs in one forward pass; found by itself when not given.", rich_help_panel=_MEASURE),
]
Format = Annotated[
    str,
    typer.Option(
        "--format", help=f"What to print: {', '.join(PRINTED)}.", rich_help_panel=_OUTPUT,
        autocompletion=words(*PRINTED),
    ),
]  # fmt: skip
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "-o", "--output", help="Also write FILE.json, .md, .txt, .html, .xml (JUnit), .sarif, .csv, .pdf, .svg "
        "or .png; the worst pairs go beside it; repeat.", rich_help_panel=_OUTPUT,
    ),
]  # fmt: skip
Details = Annotated[
    bool, typer.Option("--details", help="All three scales, quantiles, floors and laws.", rich_help_panel=_OUTPUT)
]
Replay = Annotated[
    Path | None,
    typer.Option(
        help="Recompute the worst pairs of an earlier run from FILE.worst.safetensors.", rich_help_panel=_OUTPUT
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.", rich_help_panel=_OUTPUT)]
ExitZero = Annotated[
    bool, typer.Option("--exit-zero", help="Exit with 0 even when a claim does not hold.", rich_help_panel=_OUTPUT)
]
