"""`symcheck gate`: what must hold, with an exit code that can be trusted. Parse, call, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symcheck.cli import options
from symcheck.cli.printing import check_output

_BUDGET = 1_000_000
_BASELINE, _OUTPUT, _MEASURE = "Baseline", "Output", "How much to measure"

Config = Annotated[
    Path | None,
    typer.Argument(
        help="Configuration with [[gate]] tables; by default ./symcheck.toml, or [tool.symcheck] of ./pyproject.toml.",
        show_default=False,
    ),
]
Only = Annotated[list[str] | None, typer.Option(help="Only the gates with this id or pattern ('energy-*'); repeat.")]
Reports = Annotated[
    list[Path] | None,
    typer.Option("--report", help="Judge what an earlier run wrote (-o FILE.json) instead of measuring; repeat."),
]
CheckConfig = Annotated[bool, typer.Option("--check-config", help="Only check the configuration: nothing is measured.")]
Baseline = Annotated[
    Path | None,
    typer.Option(help="The baseline; else the one that the configuration names.", rich_help_panel=_BASELINE),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update-baseline", help="Write what was measured where it is better, and say what changed.",
        rich_help_panel=_BASELINE,
    ),
]  # fmt: skip
Loosen = Annotated[
    bool, typer.Option("--loosen", help="Let --update-baseline take worse values too.", rich_help_panel=_BASELINE)
]
UntilDecided = Annotated[
    bool,
    typer.Option("--until-decided", help="Draw more where a gate is inconclusive.", rich_help_panel=_MEASURE),
]
Budget = Annotated[
    int,
    typer.Option(min=1, help="Most pairs of one claim with --until-decided.", rich_help_panel=_MEASURE),
]
Output = Annotated[
    list[Path] | None,
    typer.Option(
        "-o", "--out",
        help="Also write FILE.json, .html, .xml (JUnit), .sarif, .md, .csv, ...; worst pairs go beside it; repeat.",
        rich_help_panel=_OUTPUT,
    ),
]  # fmt: skip
ExitZero = Annotated[
    bool, typer.Option("--exit-zero", help="Exit with 0 even when a gate fails.", rich_help_panel=_OUTPUT)
]


def gate(
    config: Config = None,
    only: Only = None,
    report: Reports = None,
    check_config: CheckConfig = False,
    baseline: Baseline = None,
    update_baseline: Update = False,
    loosen: Loosen = False,
    until_decided: UntilDecided = False,
    budget: Budget = _BUDGET,
    allow_program: options.AllowProgram = False,
    samples: options.Samples = None,
    elements: options.Elements = None,
    seed: options.Seed = None,
    device: options.Device = None,
    format_: options.Format = "text",
    output: Output = None,
    details: options.Details = False,
    quiet: options.Quiet = False,
    exit_zero: ExitZero = False,
) -> None:
    """Does every gate of this project pass? Each is decided on an interval, not on a mean.

    Exit code 0: all pass, or are waived. 1: one fails or is inconclusive. 2: one could not be judged, or there is none.

    Examples:

      symcheck gate

      symcheck gate --report audit.json --only 'energy-*'

      symcheck gate --baseline baseline.jsonl -o gate.sarif -o gate.xml -o gate.html
    """
    check_output(format_, output)
    from symcheck.cli.gate_run import Asked, checked, run_gates

    flags = {"samples": samples, "elements": elements, "seed": seed, "device": device}
    asked = Asked(
        config, tuple(only or ()), tuple(report or ()), baseline, update_baseline, loosen, until_decided, budget,
        allow_program, tuple(output or ()), {name: value for name, value in flags.items() if value is not None},
    )  # fmt: skip
    if check_config:
        from symcheck.cli.gate_text import show_configuration

        show_configuration(*checked(asked))
        return
    from symcheck.cli.gate_text import show_changes, shown_progress
    from symcheck.cli.printing import show

    with shown_progress(quiet or bool(asked.reports)) as tell:
        done = run_gates(asked, tell)
    show(done.report, format_, details)
    show_changes(done, to_stderr=format_ != "text")
    if done.exit_code and not (exit_zero and done.exit_code == 1):
        raise typer.Exit(done.exit_code)
