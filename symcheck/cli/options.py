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
        help="Checkpoint (.safetensors, .pt, .ckpt, .onnx, .pt2, hf:FOLDER, ...) or subject file (.toml); "
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
    typer.Option(
        help="Output made from others: forces='-d(energy)/d(pos)', label='argmax(scores)'; repeat.",
        rich_help_panel=_SUBJECT,
    ),
]
Take = Annotated[
    list[str] | None,
    typer.Option(
        "--output", help="What to measure: an output, probabilities, label, or a part inside (layer4.1); repeat.",
        rich_help_panel=_SUBJECT,
    ),
]  # fmt: skip
Takes = Annotated[
    str | None,
    typer.Option(
        help="How packed graphs are passed: arguments, dict, data (torch_geometric), dense. [default: arguments]",
        rich_help_panel=_SUBJECT, autocompletion=words("arguments", "dict", "data", "dense"),
    ),
]  # fmt: skip
Graph = Annotated[
    str | None,
    typer.Option(
        help="The neighbour graph: radius(5.0) or knn(16), or edge_index=radius(5.0) to build it.",
        rich_help_panel=_SUBJECT,
    ),
]  # fmt: skip
Calculator = Annotated[
    str | None,
    typer.Option(help="An ASE calculator instead of a network: module:factory.", rich_help_panel=_SUBJECT),
]
Canonicalizer = Annotated[
    str | None,
    typer.Option(
        help="Audit a canonicaliser x -> h(x), alone or with the network: module:fn, pca, gram-schmidt(a,b), argmax.",
        rich_help_panel=_MEASURE,
    ),
]  # fmt: skip
Structures = Annotated[
    str | None,
    typer.Option(
        help="Atoms to measure on: FILE.extxyz, .cif, .traj, builtin:molecules, builtin:crystals.",
        rich_help_panel=_DATA,
    ),
]  # fmt: skip
Preset = Annotated[
    str | None,
    typer.Option(
        help="The claims of a whole family: potential, image-classifier, FILE.toml.", rich_help_panel=_DATA,
        autocompletion=names("presets"),
    ),
]  # fmt: skip
Devices = Annotated[
    str | None,
    typer.Option(help="Several devices of this machine: cuda:0,cuda:1.", rich_help_panel=_MEASURE),
]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Address of a dask.distributed scheduler whose workers measure.", rich_help_panel=_MEASURE),
]
Shard = Annotated[
    str | None,
    typer.Option(
        help="Measure part i of n, as i/n; 'symcheck report merge' puts the parts together.", rich_help_panel=_MEASURE
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on from what an interrupted run has left beside -o.", rich_help_panel=_MEASURE),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--inputs",
        help="data.npz, texts.txt, module:function, normal(3,32,32); name=... for several; repeat.",
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
Explainers = Annotated[
    list[str] | None,
    typer.Option(
        "--explainer",
        help="Also audit the attributions of an explainer: gradient, 'integrated-gradients(steps=64)', occlusion, "
        "module:function, 'captum(Saliency)'; repeat.",
        rich_help_panel=_MEASURE, autocompletion=names("explainers"),
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
        "-o", "--out", help="Also write FILE.json, .md, .txt, .html, .xml (JUnit), .sarif, .csv, .pdf, .svg "
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
