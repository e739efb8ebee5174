"""`symcheck audit`: parse, call, render. Heavy imports stay inside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from symcheck.cli import options
from symcheck.cli.printing import check_output, show
from symcheck.cli.spread import spread_of
from symcheck.cli.values import input_sources, pairs
from symcheck.errors import ConfigError

if TYPE_CHECKING:
    from symcheck.report.model import Report


def audit(
    checkpoint: options.Checkpoint = None,
    claims: options.Claims = None,
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
    preset: options.Preset = None,
    inputs: options.Inputs = None,
    samples: options.Samples = None,
    elements: options.Elements = None,
    seed: options.Seed = None,
    tolerance: options.Tolerance = None,
    worst: options.WorstCase = False,
    canonicalizer: options.Canonicalizer = None,
    explainer: options.Explainers = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    batch_size: options.BatchSize = None,
    devices: options.Devices = None,
    scheduler: options.Scheduler = None,
    shard: options.Shard = None,
    resume: options.Resume = False,
    format_: options.Format = "text",
    output: options.Output = None,
    details: options.Details = False,
    replay: options.Replay = None,
    quiet: options.Quiet = False,
    exit_zero: options.ExitZero = False,
) -> None:
    """Is f(g·x) = g·f(x)? Measure the equivariance error of a checkpoint, with floors, intervals and a verdict.

    Exit code 0: every claim holds (exact or approximate). 1: one does not. 2: nothing could be concluded.

    Examples:

      symcheck audit fixtures/potential.toml

      symcheck audit net.safetensors 'C4: image -> invariant' --model nets.py:cnn -i 'normal(3,32,32)'

      symcheck audit hf:FOLDER --preset text-encoder -m 'pooling="mean"' -i texts.txt

      symcheck audit --calculator ase.calculators.emt:EMT --structures builtin:Cu --preset potential

      symcheck audit net.pt2 --allow-program -i images.npz -o report.json
    """
    if checkpoint is not None and "->" in str(checkpoint):
        checkpoint, claims = None, [str(checkpoint), *(claims or [])]
    flags = {
        "model": model, "arguments": pairs(argument, "-m", toml=True), "key": key, "derive": pairs(derive, "--derive"),
        "output": tuple(take or ()), "takes": takes, "graph": graph, "calculator": calculator, "structures": structures,
        "preset": preset, "inputs": input_sources(inputs), "claims": claims, "samples": samples, "elements": elements,
        "seed": seed, "tolerance": tolerance, "device": device, "dtype": dtype, "batch_size": batch_size,
        "explainers": explainer,
    }  # fmt: skip
    asked = spread_of(devices, scheduler, shard, resume, output, os.environ)
    check_output(format_, asked.outputs)
    if replay is not None and (output or asked.options):
        raise ConfigError("a replay writes no report", where="--replay", hint="leave out -o, or audit again")
    from symcheck.cli.console import error_console, output_console
    from symcheck.cli.replay_run import replay_pairs
    from symcheck.cli.run import run_audit

    given = {name: value for name, value in flags.items() if value not in (None, {}, [], ())}
    if replay is not None:
        replay_pairs(replay, checkpoint, given, allow_program, output_console())
        return
    console = None if quiet else error_console()
    if canonicalizer is not None:
        from symcheck.cli.wrap_audit import run_canonicalizer

        report = run_canonicalizer(checkpoint, given, allow_program, canonicalizer, worst, asked, console)
    else:
        report = run_audit(checkpoint, given, allow_program, worst, asked, console)
    show(report, format_, details)
    if asked.part:
        typer.echo(asked.part, err=True)
    elif not exit_zero and not _passes(report):
        raise typer.Exit(1)


def _passes(report: Report) -> bool:
    """Stated claims must hold; a proposed battery only reports, but invalid findings never pass."""
    if report.proposed:
        return bool(report.findings) and all(f.verdict != "invalid" for f in report.findings)
    return report.holds
