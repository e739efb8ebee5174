"""What `symcheck discover` does between parsing and rendering."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from symcheck.cli.run import file_settings, loaded
from symcheck.cli.steps import steps
from symcheck.cli.wrap_audit import label_name, without_slot
from symcheck.discover.discover import PARTS, Search, discover
from symcheck.discover.result import Discovery
from symcheck.discover.unknowns import ACTING, Ask
from symcheck.errors import ConfigError
from symcheck.preset import with_preset
from symcheck.registry import suggest
from symcheck.report.model import Verdict
from symcheck.report.write import check_path, write_report

_SAMPLES = 256


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the network and its inputs."""

    inputs: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()
    shared: bool = False
    affine: bool = True
    acting: str = "auto"
    under: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()


def run_discover(
    path: Path | None, flags: Mapping[str, Any], allow_program: bool, asked: Asked, console: Console | None
) -> Discovery:
    """Load the subject and its inputs, search, write the files; flags beat the subject file, which beats defaults."""
    for output in asked.outputs:
        check_path(output, plain=True)
    settings = with_preset({"samples": _SAMPLES, **file_settings(path, flags), **flags})
    claims = [text for text in settings.get("claims") or () if isinstance(text, str)]
    search = _search(asked, settings)
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        subject, given_inputs = loaded(settings, allow_program, "discover")
        inputs = dict(given_inputs)
        name = label_name(inputs, settings, subject)
        labels = inputs.pop(name) if name is not None else None
        claims = [without_slot(text, name) for text in claims] if name is not None else claims
        found = discover(subject, inputs, search, claims=claims, labels=labels, tell=tell)
        given = {name: settings[name] for name in ("inputs", "structures") if name in settings}
        found = replace(found, settings={**found.settings, **{f"source of {n}": v for n, v in given.items()}})
        for output in asked.outputs:
            write_report(json.loads(json.dumps(found.to_dict(), allow_nan=False, default=str)), output)
    return found


def concluded(found: Discovery) -> bool:
    """Whether anything was learnt: also that nothing is there, but not where no output depends on the inputs."""
    continuous = found.continuous
    others = [found.discrete, found.representations, found.profile, found.motions or None, found.data or None]
    searched = any(others) if continuous is None else continuous.verdict != Verdict.TRIVIAL
    return searched or bool(found.claims)


def _search(asked: Asked, settings: Mapping[str, Any]) -> Search:
    if asked.acting not in ACTING:
        words = f"'{asked.acting}' is no way in which outputs follow"
        raise ConfigError(words, where="--acting", hint=suggest(asked.acting, [*ACTING]))
    ask = Ask(asked.inputs, _forms(asked.forms), asked.shared, asked.affine, asked.acting, settings["seed"])
    return Search(
        ask, (*(asked.only or PARTS), *asked.also), asked.under, settings["samples"], settings["elements"],
        settings["seed"], settings["tolerance"], settings["device"], settings["dtype"], settings.get("batch_size"),
    )  # fmt: skip


def _forms(texts: tuple[str, ...]) -> dict[str, str]:
    """The form of each input; without a name, of all."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, form = text.partition("=")
        key, word = (name.strip(), form) if equals else ("", text)
        if key in found:
            raise ConfigError(f"there are two forms for {key or 'all inputs'}", where="--form", hint="give one")
        found[key] = word
    return found
