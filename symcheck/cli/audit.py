"""`symcheck audit`: parse, call, render. Heavy imports stay inside."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from symcheck.cli.console import error_console, output_console
from symcheck.errors import ConfigError

if TYPE_CHECKING:
    from symcheck.report.model import Report

_SUBJECT, _DATA, _MEASURE, _OUTPUT = "The subject", "Inputs and claims", "How much to measure", "Output"


def audit(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint (.safetensors, .pt, .pt2) or subject file (.toml); without it [tool.symcheck] is read."),
    ] = None,
    claims: Annotated[
        list[str] | None, typer.Argument(help="Claims such as 'C4: image -> invariant'; without any a battery is proposed.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Code that builds the network: module:factory or path/file.py:factory.", rich_help_panel=_SUBJECT)
    ] = None,
    argument: Annotated[
        list[str] | None, typer.Option("-m", "--argument", help="key=value for the factory, read as TOML; repeat.", rich_help_panel=_SUBJECT)
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Entry of the checkpoint that holds the weights, e.g. model_state_dict.", rich_help_panel=_SUBJECT)
    ] = None,
    allow_program: Annotated[
        bool, typer.Option("--allow-program", help="Run programs: .pt2, TorchScript, pickled modules.", rich_help_panel=_SUBJECT)
    ] = False,
    derive: Annotated[
        list[str] | None, typer.Option(help="Extra output by gradient: forces='-d(energy)/d(pos)'; repeat.", rich_help_panel=_SUBJECT)
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("-i", "--inputs", help="data.npz, x.safetensors, module:function, normal(3,32,32), or name=any of these; repeat.", rich_help_panel=_DATA),
    ] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Samples, the first so many of the inputs. [default: 64]", rich_help_panel=_MEASURE)] = None,
    elements: Annotated[int | None, typer.Option(min=2, help="Group elements per part of the group. [default: 32]", rich_help_panel=_MEASURE)] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the elements and of drawn inputs. [default: 0]", rich_help_panel=_MEASURE)] = None,
    tolerance: Annotated[float | None, typer.Option(min=0.0, help="Largest error to accept, relative to the output's spread. [default: 0.001]", rich_help_panel=_MEASURE)] = None,
    worst: Annotated[bool, typer.Option("--worst", help="Search the group for the worst case.", rich_help_panel=_MEASURE)] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1. [default: auto]", rich_help_panel=_MEASURE)] = None,
    dtype: Annotated[str | None, typer.Option(help="as-is, float64, float32, bfloat16. [default: as-is]", rich_help_panel=_MEASURE)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Pairs per forward pass; found by itself when not given.", rich_help_panel=_MEASURE)] = None,
    format_: Annotated[str, typer.Option("--format", help="What to print: text, json or markdown.", rich_help_panel=_OUTPUT)] = "text",
    output: Annotated[list[Path] | None, typer.Option("-o", "--output", help="Also write FILE.json, .md or .txt; the worst pairs go beside it; repeat.", rich_help_panel=_OUTPUT)] = None,
    details: Annotated[bool, typer.Option("--details", help="All scales, quantiles and floors.", rich_help_panel=_OUTPUT)] = False,
    replay: Annotated[Path | None, typer.Option(help="Recompute the worst pairs of an earlier run.", rich_help_panel=_OUTPUT)] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.", rich_help_panel=_OUTPUT)] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 even when a claim does not hold.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Is f(g·x) = g·f(x)? Measure the equivariance error of a checkpoint, with floors, intervals and a verdict.

    Exit code 0: every claim holds (exact or approximate). 1: one does not. 2: nothing could be concluded.

    Examples:

      symcheck audit fixtures/potential.toml

      symcheck audit net.safetensors 'C4: image -> invariant' --model nets.py:cnn -i 'normal(3,32,32)'

      symcheck audit net.pt2 --allow-program -i images.npz -o report.json
    """
    flags = {
        "model": model, "arguments": _pairs(argument, "-m", toml=True), "key": key, "derive": _pairs(derive, "--derive"),
        "inputs": _inputs(inputs), "claims": claims, "samples": samples, "elements": elements, "seed": seed,
        "tolerance": tolerance, "device": device, "dtype": dtype, "batch_size": batch_size,
    }  # fmt: skip
    _check_output(format_, output)
    from symcheck.cli.run import replay_pairs, run_audit

    given = {name: value for name, value in flags.items() if value not in (None, {}, [])}
    if replay is not None:
        replay_pairs(replay, checkpoint, given, allow_program, output_console())
        return
    report = run_audit(checkpoint, given, allow_program, worst, output, None if quiet else error_console())
    _show(report, format_, details)
    if not exit_zero and not _passes(report):
        raise typer.Exit(1)


def _passes(report: Report) -> bool:
    """Stated claims must hold; a proposed battery only reports, but invalid findings never pass."""
    if report.proposed:
        return bool(report.findings) and all(f.verdict != "invalid" for f in report.findings)
    return report.holds


def _show(report: Report, format_: str, details: bool) -> None:
    if format_ == "json":
        typer.echo(report.to_json(), nl=False)
    elif format_ == "markdown":
        from symcheck.report.markdown import render_markdown

        typer.echo(render_markdown(report), nl=False)
    else:
        from symcheck.report.text import render_text

        render_text(report, output_console(), detailed=details)


def _check_output(format_: str, output: list[Path] | None) -> None:
    """Refuse a bad destination before the measurement, not after it."""
    if format_ not in ("text", "json", "markdown"):
        raise ConfigError(
            f"unknown format '{format_}'", where="--format", hint="use text, json or markdown"
        )
    from symcheck.report.write import check_path

    for path in output or []:
        check_path(path)


def _pairs(items: list[str] | None, flag: str, *, toml: bool = False) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"'{item}' is not key=value", where=flag, hint=f"write {flag} width=64")
        pairs[name.strip()] = _toml(value) if toml else value
    return pairs


def _toml(text: str) -> Any:
    """A TOML value; what is none is a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _inputs(items: list[str] | None) -> Any:
    """One source for all inputs, or name=source for each."""
    if not items:
        return None
    if len(items) == 1 and not _named(items[0]):
        return items[0]
    unnamed = [item for item in items if not _named(item)]
    if unnamed:
        raise ConfigError(
            f"'{unnamed[0]}' has no name among several inputs", where="--inputs", hint="write name=source for each one"
        )
    return dict(item.split("=", 1) for item in items)


def _named(item: str) -> bool:
    name, equals, _ = item.partition("=")
    return bool(equals) and name.isidentifier()
