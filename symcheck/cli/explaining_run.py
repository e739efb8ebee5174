"""What `symcheck audit --explainer` adds to a report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from torch import Tensor

from symcheck.cli.spread import Asked
from symcheck.errors import ConfigError
from symcheck.explaining.explain import How, explain
from symcheck.explaining.explainers import state
from symcheck.measure.audit import Options
from symcheck.report.model import Report
from symcheck.subject import Subject


def check_explainers(settings: Mapping[str, Any], spread: Asked) -> None:
    """Refuse explainers that are not known before anything is run, and those of an audit that is shared out."""
    for text in settings.get("explainers", ()):
        state(text)
        if spread.options:
            raise ConfigError(
                "explanations are audited by one process",
                where=f"--explainer '{text}' with {', '.join(f'--{name}' for name in spread.options)}",
                hint="audit them in a run of their own",
            )


def explained(
    report: Report, subject: Subject, inputs: Mapping[str, Tensor], settings: Mapping[str, Any], beside: Path | None
) -> Report:
    """The report with the findings about explanations; their worst pairs go `beside` those of the audit."""
    stated = settings["tolerance"]
    tolerance = float(stated) if isinstance(stated, int | float) else Options.tolerance
    options = Options(settings["elements"], settings["seed"], tolerance)
    how = How(options, settings["samples"], settings["device"], settings["dtype"], settings.get("batch_size"))
    save = None if beside is None else beside.with_name(beside.name.replace(".worst.", ".explained."))
    with redirect_stdout(sys.stderr):
        return explain(report, subject, inputs, settings["explainers"], how, save=save)
