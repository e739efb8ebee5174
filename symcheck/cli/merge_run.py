"""What `symcheck merge` does between parsing and rendering."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from symcheck.cli.labelled import Data, data_name, device_of, labelled_data
from symcheck.cli.pairs import Checkpoints, load_network, load_states
from symcheck.cli.run import file_settings, inputs_of
from symcheck.cli.steps import steps
from symcheck.errors import ConfigError, DataError
from symcheck.measure.given import named_inputs, without_ignored
from symcheck.merge.evaluate import Trial
from symcheck.merge.merge import Merge, merge, plain
from symcheck.report.write import check_path, write_text
from symcheck.version import __version__
from symcheck.weights.session import call_of, derived, network
from symcheck.weights.spec import Spec
from symcheck.weights.tensor_file import write_tensors

SCHEMA = "symcheck.merge/1"
_EXAMPLES = 4  # samples with which the spec is derived and proved
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the network and its data."""

    method: str
    settings: Mapping[str, Any]
    base: Path | None
    spec: Path | None
    align: bool | None
    unaligned: bool
    reset: bool | None
    output: Path | None
    report: Path | None
    force: bool


@dataclass(frozen=True)
class Done:
    """What there is to tell: the merge, the names of the checkpoints, and what was written."""

    merge: Merge
    names: tuple[str, ...]
    base: Path | None
    written: Mapping[str, Path]
    data: str  # what the first data set is called


def run_merge(
    paths: Sequence[Path], flags: Mapping[str, Any], allow_program: bool, asked: Asked, console: Console | None
) -> Done:
    """Load, align, check, merge, measure, write; flags beat the subject file."""
    _check_outputs(asked)
    settings = {"seed": 0, **file_settings(paths[0], flags), **flags}
    others = [*paths[1:], *([asked.base] if asked.base is not None else [])]
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        module, found = _loaded(settings, others, allow_program)
        data = _data(settings, flags, module)
        many = len(paths)
        base = found.states[many] if asked.base is not None else None
        names = _names(paths)
        done = merge(
            found.states[:many], asked.method, base=base, align=asked.align, names=names,
            spec=_spec(asked, module, data, settings, tell),
            trial=_trial(module, data, settings), reset=asked.reset, unaligned=asked.unaligned, seed=settings["seed"],
            tell=tell, **_read(asked.settings),
        )  # fmt: skip
        written = _write(done, found.sources, names, asked, settings)
    return Done(done, names, asked.base, written, data_name(settings) if data is not None else "")


def _loaded(
    settings: Mapping[str, Any], others: Sequence[Path], allow_program: bool
) -> tuple[nn.Module | None, Checkpoints]:
    """The states, the base last; with the network where one is named."""
    if settings.get("model"):
        subject, found = load_network(settings, others, allow_program, "merge")
        return network(subject), found
    return None, load_states([Path(settings["checkpoint"]), *others], settings.get("key"))


def _data(settings: Mapping[str, Any], flags: Mapping[str, Any], module: nn.Module | None) -> Data | None:
    """The labelled data; the inputs of a subject file may have no labels, and then nothing is measured."""
    if not settings.get("inputs"):
        return None
    if module is None:
        raise ConfigError(
            "there are data, but no network to run on them",
            where="--inputs",
            hint="add --model module:factory, or drop --inputs",
        )
    try:
        return labelled_data(settings)
    except DataError:
        if {"inputs", "labels"} & set(flags):
            raise
        return None


def _spec(
    asked: Asked, module: nn.Module | None, data: Data | None, settings: Mapping[str, Any], tell: Tell
) -> Spec | None:
    """The spec to align by: the one given, or one derived and proved on a few samples where it is needed."""
    if asked.spec is not None:
        return Spec.load(asked.spec)
    if asked.align is False or (asked.align is None and asked.base is not None) or module is None:
        return None
    if not settings.get("inputs"):
        raise ConfigError(
            "aligning by the network needs example inputs, to derive its weight symmetries",
            where="--inputs",
            hint="give -i data.npz, or a spec with --spec, or --no-align for checkpoints of one lineage",
        )
    if data is not None:
        example = next(data.train.batches(_EXAMPLES)).inputs
    else:
        claims = settings.get("claims") or ()
        tensors = named_inputs(inputs_of({**settings, "samples": _EXAMPLES}))
        example = without_ignored(tensors, [claims] if isinstance(claims, str) else claims)[0]
    return derived(module, call_of(module, example, settings["seed"]), seed=settings["seed"], tell=tell)[0]


def _trial(module: nn.Module | None, data: Data | None, settings: Mapping[str, Any]) -> Trial | None:
    if module is None or data is None:
        return None
    return Trial(module, data.sets, data.loss, settings.get("batch_size"), device_of(settings.get("device")))


def _read(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the method, with the weights as numbers."""
    read = dict(settings)
    if "weights" in read:
        words = str(read["weights"]).replace(",", " ").split()
        try:
            read["weights"] = tuple(float(word) for word in words)
        except ValueError as error:
            raise ConfigError(
                f"weights are numbers, and '{read['weights']}' is not", where="--weights", hint="--weights 0.7,0.3"
            ) from error
    return read


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The checkpoints by the ends of their paths, as much as tells them apart; equal paths by number."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        names = tuple("/".join(path.parts[-depth:]).removesuffix(path.suffix) for path in paths)
        if len(set(names)) == len(names):
            return names
    return tuple(f"{i}: {path.name}" for i, path in enumerate(paths, 1))


def _write(
    done: Merge,
    sources: Sequence[Mapping[str, str]],
    names: Sequence[str],
    asked: Asked,
    settings: Mapping[str, Any],
) -> dict[str, Path]:
    """The merged checkpoint, with where it is from in its metadata, and the report; each whole or not at all."""
    written: dict[str, Path] = {}
    labels = [*names, *(["base"] if asked.base is not None else [])]
    origin = [{"name": name, **source} for name, source in zip(labels, sources, strict=True)]
    told = {**done.to_dict(), "sources": origin}
    if asked.output is not None:
        about = {
            "method": done.method, "settings": done.settings, "sources": origin, "symcheck": __version__,
            "aligned": [*done.alignments], "reset": done.reset,
        }  # fmt: skip
        write_tensors(done.state, asked.output, {"format": "pt", "symcheck.merge": json.dumps(plain(about))})
        written["merged"] = asked.output
    if asked.report is not None:
        inputs = {key: settings[key] for key in ("inputs", "labels", "test_inputs", "loss") if key in settings}
        document = {"schema": SCHEMA, "symcheck": __version__, "data": inputs, **told}
        write_text(asked.report, json.dumps(plain(document), indent=1, allow_nan=False, default=str) + "\n")
        written["report"] = asked.report
    return written


def _check_outputs(asked: Asked) -> None:
    """Refuse a bad destination before anything is loaded."""
    for path, suffix in ((asked.output, ".safetensors"), (asked.report, ".json")):
        if path is None:
            continue
        if path.suffix != suffix:
            raise ConfigError(
                f"this is not written as '{path.suffix or path.name}'",
                where=str(path),
                hint=f"end the name in {suffix}",
            )
        check_path(path.with_suffix(".json"))
    if asked.output is not None and asked.output.exists() and not asked.force:
        raise ConfigError("the output exists", where=str(asked.output), hint="choose another name, or add --force")
