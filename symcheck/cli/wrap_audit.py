"""What `symcheck audit --canonicalizer` does between parsing and rendering, and what `wrap` shares with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from symcheck.claim import Claim
from symcheck.cli.labelled import NAMES
from symcheck.cli.run import file_settings, inputs_of, loaded
from symcheck.cli.spread import Asked
from symcheck.cli.steps import steps
from symcheck.errors import ConfigError, DataError
from symcheck.frames.accuracy import accuracy
from symcheck.frames.audit import Audited, How, audit_canonicalizer, reported, wrapped
from symcheck.frames.modules import Canonicalized, FrameAveraged
from symcheck.frames.pose import frame_of
from symcheck.frames.result import Accuracy
from symcheck.frames.scene import NoFrame
from symcheck.gate.files import read_files
from symcheck.grammar import parse_claim
from symcheck.measure.calling import by_keyword
from symcheck.measure.given import digest, without_ignored
from symcheck.measure.labelled import Labelled
from symcheck.measure.loss import loss_for, loss_of
from symcheck.measure.runner import Runner
from symcheck.measure.session import device_of, dtype_of, output_names
from symcheck.preset import settled, with_preset
from symcheck.registry import suggest
from symcheck.report.model import Report
from symcheck.report.write import check_path, write_report
from symcheck.subject import Subject


def run_canonicalizer(
    path: Path | None,
    flags: Mapping[str, Any],
    allow_program: bool,
    canonicalizer: str,
    worst: bool,
    spread: Asked,
    console: Console | None,
) -> Report:
    """Audit a canonicaliser, alone or with a network; one report of every claim, written where asked."""
    if spread.options or worst:
        raise ConfigError("this is measured in one go", where="--canonicalizer", hint="drop --worst, --shard, ...")
    start, outputs = time.perf_counter(), spread.outputs or ()
    settings = with_preset({**file_settings(path, flags), **flags})
    for output in outputs:
        check_path(output, keep=read_files(settings))
    claims = [str(Claim.parse(settled(text))) for text in settings.get("claims", ())]
    if not claims:
        raise ConfigError(
            "a canonicaliser is audited under a claim",
            where=f"--canonicalizer {canonicalizer}",
            hint="add one, such as 'SE(3): pos=points -> energy=scalar'",
        )
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        model, inputs = _subject(settings, allow_program)
        audits: list[Audited] = []
        without: dict[str, NoFrame] = {}
        for claim in claims:
            tell(f"measuring {claim}")
            try:
                audits.append(_one(canonicalizer, claim, inputs, model, settings))
            except NoFrame as error:
                without[claim] = error
        if not audits:
            raise next(iter(without.values()))
        keys = {"elements", "seed", "tolerance", "samples"}
        told = {**{key: settings[key] for key in keys}, "claims": claims, "data": digest(inputs)}
        named = model or Subject(canonicalizer, frame_of)
        report = reported(audits, named, told, time.perf_counter() - start)
        skipped = [f"not measured, {claim}: {error.message}" for claim, error in without.items()]
        report = replace(report, notes=(*report.notes, *skipped))
    for output in outputs:
        write_report(report, output)
    return report


def _subject(settings: Mapping[str, Any], allow_program: bool) -> tuple[Subject | None, dict[str, Tensor]]:
    """The network where the settings name one, and the inputs."""
    if any(settings.get(key) for key in ("checkpoint", "model", "calculator")):
        return loaded(settings, allow_program)
    return None, inputs_of(settings)


def _one(
    canonicalizer: str, claim: str, inputs: dict[str, Tensor], model: Subject | None, settings: Mapping[str, Any]
) -> Audited:
    """One claim, with accuracies where the data hold labels."""
    labels, inputs, claim = labels_in(inputs, claim, settings, model) if model is not None else (None, inputs, claim)
    tensors, (claim,) = without_ignored(inputs, [claim])
    how = how_of(settings)
    found = audit_canonicalizer(canonicalizer, claim, tensors, model, how)
    if labels is None or model is None:
        return found
    kind = FrameAveraged if found.figures.validity.elements > 1 else Canonicalized
    whole = wrapped(model, kind(model, claim, canonicalizer, [*tensors]))
    scored = compared({"vanilla": model, "canonicalised": whole}, claim, tensors, labels, settings, how)
    untested = (*found.figures.untested, "accuracy with a prior on poses: that needs training")
    return replace(found, figures=replace(found.figures, accuracy=scored, untested=untested))


def how_of(settings: Mapping[str, Any]) -> How:
    """How much to measure, from settings; one tolerance for all."""
    tolerance = settings["tolerance"]
    if isinstance(tolerance, Mapping):
        tolerance = min(tolerance.values(), default=1e-3)
    return How(
        settings["samples"], settings["elements"], settings["seed"], float(tolerance), settings["device"],
        settings["dtype"], settings.get("batch_size"),
    )  # fmt: skip


def labels_in(
    inputs: Mapping[str, Tensor], claim: str, settings: Mapping[str, Any], subject: Subject
) -> tuple[Tensor | None, dict[str, Tensor], str]:
    """The array of labels, if there is one, and inputs and claim without it; see `label_name`."""
    name = label_name(inputs, settings, subject)
    if name is None:
        return None, dict(inputs), claim
    return inputs[name], {n: x for n, x in inputs.items() if n != name}, without_slot(claim, name)


def label_name(inputs: Mapping[str, Tensor], settings: Mapping[str, Any], subject: Subject) -> str | None:
    """The array that the settings name, or else the only one with a name that labels have and the network takes not."""
    given = settings.get("labels")
    if given is not None and given not in inputs:
        raise DataError(f"there is no array '{given}'", where="--labels", hint=suggest(given, [*inputs]))
    found = [n for n in inputs if n == given or (given is None and n in NAMES and not by_keyword(subject, [n]))]
    return found[0] if len(found) == 1 and len(inputs) > 1 else None


def without_slot(claim: str, name: str) -> str:
    """The claim without one input."""
    tree = parse_claim(claim)
    return str(replace(tree, inputs=tuple(slot for slot in tree.inputs if slot.name != name)))


def compared(
    subjects: Mapping[str, Subject],
    claim: str,
    tensors: Mapping[str, Tensor],
    labels: Tensor,
    settings: Mapping[str, Any],
    how: How,
) -> tuple[Accuracy, ...]:
    """Loss and share of right labels of every network, on the samples as they are and moved."""
    data = Labelled(tensors, labels)
    name = settings.get("loss")
    loss = loss_of(name) if name else loss_for(labels)
    rows = []
    for title, subject in subjects.items():
        device, dtype = device_of(how.device, subject), dtype_of(how.dtype, subject, tensors)
        runner = Runner(subject, device, dtype, output_names([claim]), cast=how.dtype != "as-is")
        rows.append(accuracy(title, runner, Claim.parse(claim), data, loss, how.seed))
    return tuple(rows)
