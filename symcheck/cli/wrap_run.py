"""What `symcheck wrap` does between parsing and rendering."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from symcheck.api import audit
from symcheck.claim import Claim
from symcheck.cli.run import file_settings, loaded, subject_of
from symcheck.cli.steps import steps
from symcheck.cli.wrap_audit import compared, how_of, labels_in
from symcheck.errors import ConfigError
from symcheck.frames.audit import Audited, How, audit_canonicalizer
from symcheck.frames.export import export
from symcheck.frames.modules import Symmetrised
from symcheck.frames.result import Accuracy
from symcheck.frames.scene import scene
from symcheck.frames.wrapped import FACTORY, symmetrised
from symcheck.grammar import Slot, Term, parse_group
from symcheck.measure.given import first_samples, without_ignored
from symcheck.preset import settled, with_preset
from symcheck.report.model import Report
from symcheck.report.write import write_text
from symcheck.subject import Subject
from symcheck.weights.toml_text import toml_text


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the subject and its data."""

    out: Path
    claim: str | None = None
    group: str | None = None
    by: str = "frame"
    canonicalizer: str | None = None
    count: int = 64


@dataclass(frozen=True)
class Found:
    """What there is to tell."""

    claim: str
    by: str
    before: Report
    after: Report
    poses: Audited | None
    accuracy: tuple[Accuracy, ...]
    written: tuple[Path, ...]
    exported: str  # why there is no program; empty where there is one
    forwards: int  # of the network, for each sample


def run_wrap(
    path: Path | None, flags: Mapping[str, Any], allow_program: bool, asked: Asked, console: Console | None
) -> Found:
    """Load, symmetrise, write, load again what was written, and audit both; flags beat the subject file."""
    stem = _stem(asked.out)
    settings = with_preset({**file_settings(path, flags), **flags})
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        subject, inputs = loaded(settings, allow_program, "wrap")
        claim = _claim(asked, settings)
        every = [*inputs]
        labels, inputs, claim = labels_in(inputs, claim, settings, subject)
        tensors, (claim,) = without_ignored(inputs, [claim])
        how = how_of(settings)
        tell("measuring the network as it is")
        before = _audit(subject, claim, tensors, settings)
        module = symmetrised(subject, claim, asked.by, asked.canonicalizer, asked.count, how.seed, [*tensors])
        tell(f"writing {stem}.toml")
        written = [_subject_file(stem, settings, module, _ignoring(module, every), asked, allow_program)]
        few = first_samples(tensors, how.samples, [claim])
        forwards = module.poses(scene(module.claim, few)).size
        problem = _program(module, few, stem, written)
        tell("measuring what was written")
        after_subject = subject_of(file_settings(written[0], {}), allow_program, "wrap")
        after = _audit(after_subject, claim, tensors, settings)
        poses = _poses(subject, claim, tensors, asked, how)
        subjects = {"as it was": subject, f"by {asked.by}": after_subject}
        scored = compared(subjects, claim, tensors, labels, settings, how) if labels is not None else ()
    return Found(claim, asked.by, before, after, poses, scored, tuple(written), problem, forwards)


def _stem(out: Path) -> Path:
    """The place of both files without a suffix; refused where nothing can be written."""
    stem = out.with_suffix("") if out.suffix in (".toml", ".pt2") else out
    if not stem.parent.is_dir():
        raise ConfigError(
            f"the folder '{stem.parent}' does not exist", where=f"-o {out}", hint=f"mkdir -p {stem.parent}"
        )
    return stem


def _claim(asked: Asked, settings: Mapping[str, Any]) -> str:
    """The claim that is asked for, or the one of the subject file whose group it is, with the group asked for."""
    stated = [str(Claim.parse(settled(text))) for text in settings.get("claims", ())]
    texts = [asked.claim] if asked.claim else stated
    if not texts:
        raise ConfigError(
            "there is no claim", where="symcheck wrap", hint="give -c 'SE(3): pos=points -> energy=scalar'"
        )
    trees = [Claim.parse(settled(text)).tree for text in texts]
    group = parse_group(asked.group) if asked.group else None
    fitting = [tree for tree in trees if tree.group == group]
    if fitting or (group is None and len(trees) == 1):
        return str((fitting or trees)[0])
    if group is None:
        raise ConfigError(
            f"the subject file has {len(trees)} claims",
            where="symcheck wrap",
            hint=f"choose one with --group {trees[0].group}, or write it: -c '{trees[0]}'",
        )
    return str(Claim.parse(str(replace(trees[0], group=group))))


def _audit(subject: Subject, claim: str, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Report:
    return audit(
        subject, [claim], tensors, samples=settings["samples"], elements=settings["elements"], seed=settings["seed"],
        tolerance=_tolerance(settings, claim), device=settings["device"], dtype=settings["dtype"],
        batch_size=settings.get("batch_size"),
    )  # fmt: skip


def _tolerance(settings: Mapping[str, Any], claim: str) -> float:
    """The tolerance of the one claim that is measured."""
    stated = settings["tolerance"]
    return float(stated.get(claim, 1e-3) if isinstance(stated, Mapping) else stated)


def _subject_file(
    stem: Path, settings: Mapping[str, Any], module: Symmetrised, claim: str, asked: Asked, allow_program: bool
) -> Path:
    """Write OUT.toml: files in its folder and below are named from there, others from the root."""
    folder = stem.parent.resolve()
    network = {name: _beside(_absolute(settings.get(name)), folder, "./") for name in ("checkpoint", "model")}
    arguments = {
        "claim": str(module.claim), "by": asked.by, "inputs": [*module.inputs], **network,
        "arguments": dict(settings.get("arguments", {})), "key": settings.get("key"),
        "allow_program": allow_program or None, "canonicalizer": _beside(_absolute(asked.canonicalizer), folder, "./"),
        "count": asked.count if asked.by == "average" else None, "seed": settings["seed"] or None,
        "derive": dict(settings.get("derive", {})), "takes": settings.get("takes"),
    }  # fmt: skip
    base, given = settings.get("base", Path.cwd()), settings.get("inputs")
    many = (
        {n: _beside(_absolute(t, base), folder) for n, t in given.items()}
        if isinstance(given, Mapping) else _beside(_absolute(given, base), folder)
    )  # fmt: skip
    structures = _beside(_absolute(settings.get("structures"), base), folder)
    document = {
        "name": f"{module.subject.name}, by {asked.by}", "model": FACTORY, "claims": [claim],
        "takes": "dict", "graph": settings.get("graph"), "structures": structures,
        "reference": settings.get("reference"), "inputs": many, "derive": dict(settings.get("derive", {})),
        "arguments": {name: value for name, value in arguments.items() if value not in (None, {}, "")},
    }  # fmt: skip
    path = stem.with_name(f"{stem.name}.toml")
    write_text(path, toml_text({name: value for name, value in document.items() if value not in (None, {}, "")}))
    return path


def _ignoring(module: Symmetrised, names: Sequence[str]) -> str:
    """The claim with the arrays of the data that the network does not take."""
    tree = module.claim.tree
    slots = tuple(Slot(name, slot.terms) for name, slot in module.claim.input_names(module.inputs).items())
    ignored = tuple(Slot(name, (Term("ignore"),)) for name in names if name not in module.inputs)
    return str(replace(tree, inputs=(*slots, *ignored)))


def _absolute(text: Any, base: Path | None = None) -> str | None:
    """A path, or a file and what follows its last colon, from the root; any other text as it is."""
    if text is None:
        return None
    folder, (head, colon, tail) = base or Path.cwd(), str(text).rpartition(":")
    if (folder / str(text)).exists():
        return str((folder / str(text)).resolve())
    opened, bracket, name = head.rpartition("(")
    if colon and name.endswith(".py"):
        return f"{opened}{bracket}{(folder / name).resolve()}:{tail}"
    return str(text)


def _beside(text: str | None, folder: Path, start: str = "") -> str | None:
    """A path in a folder from there, and a file of code in it; any other text as it is."""
    inside = text is not None and text.startswith(f"{folder}/")
    return text.replace(f"{folder}/", start, 1) if text is not None and inside else text


def _program(module: Symmetrised, tensors: Mapping[str, Tensor], stem: Path, written: list[Path]) -> str:
    """Write OUT.pt2 where that is possible, else say why not."""
    if module.subject.derive:
        return "outputs are derived from it by gradients"
    if module.subject.takes != "arguments" or any(s.terms[0].name == "owner" for s in module.claim.tree.inputs):
        return "programs take dense tensors in order"
    path = stem.with_name(f"{stem.name}.pt2")
    problem = export(module, tensors, path)
    if not problem:
        written.append(path)
    return problem


def _poses(subject: Subject, claim: str, tensors: Mapping[str, Tensor], asked: Asked, how: How) -> Audited | None:
    """The audit of the frame or canonicaliser, with the inputs where it degenerates; None for averages."""
    if asked.by == "average":
        return None
    default = "argmax" if asked.by == "canonical" else "pca"
    return audit_canonicalizer(asked.canonicalizer or default, claim, tensors, subject, how)
