"""What `symcheck connect` does between parsing and rendering."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from symcheck.cli.labelled import Data, data_name, device_of, labelled_data
from symcheck.cli.pairs import Checkpoints, load_network, same_network, same_ties, short_names, tied
from symcheck.cli.run import file_settings
from symcheck.cli.states import read_state
from symcheck.cli.steps import steps
from symcheck.connect.connect import connect
from symcheck.connect.result import Connection
from symcheck.errors import ConfigError
from symcheck.grammar import parse_claim
from symcheck.report.write import check_path, write_report
from symcheck.weights.session import network
from symcheck.weights.spec import Spec

_OPTIONS = ("points", "path", "path_steps", "batch_size", "seed")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the network and its data."""

    spec: Path | None = None
    aligned: Path | None = None
    align: bool = True
    mechanisms: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Found:
    """What there is to tell."""

    connection: Connection
    checkpoints: Checkpoints
    written: tuple[Path, ...] = ()
    data: str = "train"  # what the first data set is called

    @property
    def names(self) -> tuple[str, str]:
        """The names of both checkpoints, with as much of their folders as tells them apart."""
        a, b = short_names([source["path"] for source in self.checkpoints.sources])
        return a or "?", b or "?"


def run_connect(
    first: Path, second: Path, flags: Mapping[str, Any], allow_program: bool, asked: Asked, console: Console | None
) -> Found:
    """Load both checkpoints and the data, connect, write the files; flags beat the subject file."""
    _check(asked)
    settings = {**file_settings(first, flags), **flags}
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        subject, checkpoints = load_network(settings, [second], allow_program, "connect")
        (a, b), data = checkpoints.states, labelled_data(settings)
        aligned = None
        if asked.aligned is not None:
            aligned = read_state(asked.aligned, None)
            same_network(b, aligned, str(second), str(asked.aligned))
            same_ties(tied(network(subject)), aligned, str(asked.aligned))
        connection = connect(
            subject, a, b, data.train, loss=data.loss, test=data.test,
            spec=None if asked.spec is None else Spec.load(asked.spec), aligned=aligned, align=asked.align,
            device=device_of(settings.get("device")), tell=tell, mechanisms=_claims(asked, data),
            **{name: settings[name] for name in _OPTIONS if name in settings},
        )  # fmt: skip
        found = Found(connection, checkpoints, asked.outputs, data_name(settings))
        for path in asked.outputs:
            tell(f"writing {path}")
            _write(found, settings, path)
    return found


def document(found: Found, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The document of schema symcheck.connect/1, with the checkpoints and the sources of the data."""
    plain = found.connection.to_dict()
    sources = {name: settings[name] for name in ("model", "arguments", "inputs", "test_inputs") if name in settings}
    named = zip(found.checkpoints.sources, found.names, strict=False)
    plain["checkpoints"] = [{**source, "name": name} for source, name in named]
    plain["settings"] = {**plain["settings"], **sources}
    return plain


def _claims(asked: Asked, data: Data) -> tuple[str, ...]:
    """The claims without what they ignore and the network does not take: the labels of a data file."""
    claims = []
    for tree in map(parse_claim, asked.mechanisms):
        known = [s for s in tree.inputs if s.terms[0].name != "ignore" or s.name in data.train.inputs]
        claims.append(str(replace(tree, inputs=tuple(known))))
    return tuple(claims)


def _write(found: Found, settings: Mapping[str, Any], path: Path) -> None:
    plain = json.loads(json.dumps(document(found, settings), allow_nan=False, default=str))
    write_report(plain, path)


def _check(asked: Asked) -> None:
    """Refuse what contradicts itself and bad destinations, before anything is run."""
    if not asked.align and (asked.spec or asked.aligned):
        raise ConfigError(
            "--no-align leaves nothing to align",
            where="--spec" if asked.spec else "--aligned",
            hint="drop one of the two",
        )
    for path in asked.outputs:
        check_path(path, plain=True)
