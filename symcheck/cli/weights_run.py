"""What `symcheck weights` does between parsing and rendering."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor, nn

from symcheck.cli.labelled import without_labels
from symcheck.cli.run import file_settings, inputs_of, subject_of
from symcheck.cli.states import is_tensors, read_state
from symcheck.cli.steps import Tell, steps
from symcheck.errors import ConfigError, ModelError
from symcheck.files import scheme
from symcheck.loading.contents import READERS
from symcheck.loading.sniff import sniff
from symcheck.measure.given import first_samples, named_inputs, without_ignored
from symcheck.report.model import Report, Verdict
from symcheck.report.write import check_path, write_report
from symcheck.subject import Subject
from symcheck.weights.act import check_fit
from symcheck.weights.canonical import canonical
from symcheck.weights.examples import Call
from symcheck.weights.nullity import LARGEST, Completeness, completeness
from symcheck.weights.rebasin import expressible, save_axes_to_perm
from symcheck.weights.same import Answer, same_function
from symcheck.weights.session import call_of, derived, network, report_on, verify_spec
from symcheck.weights.spec import Spec
from symcheck.weights.stream import open_checkpoint
from symcheck.weights.tensor_file import write_tensors

DEFAULTS = {"samples": 4, "seed": 0}


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the subject and its inputs."""

    spec: Path | None = None
    other: Path | None = None
    canonical: bool = False
    completeness: bool = False
    outputs: tuple[Path, ...] = ()
    table: Path | None = None
    report: Path | None = None
    force: bool = False

    def output(self, *suffixes: str) -> Path | None:
        """The output that ends in one of these."""
        return next((path for path in self.outputs if path.suffix in suffixes), None)


@dataclass(frozen=True)
class Found:
    """What there is to tell. `report` is None where nothing was proved, `given` the file of a given spec,
    `counted` a number or why there is none."""

    name: str
    checkpoint: Path | None
    spec: Spec
    report: Report | None
    given: Path | None
    counted: Completeness | str
    same: Answer | None = None
    written: Mapping[str, Path] = field(default_factory=dict)

    @property
    def movable(self) -> bool:
        """Whether `symcheck apply` takes this checkpoint."""
        whole = self.report is not None and self.report.subject.get("format") == "pickled module"
        return self.checkpoint is not None and not whole and _holds_weights(self.checkpoint)

    @property
    def exit_code(self) -> int:
        """0 done, 1 where a given spec or the question of the same function fails, 2 where it is undecided."""
        if self.same is not None and self.same.same is None:
            return 2
        failed = self.given is not None and self.report is not None and not self.report.holds
        return int(failed or (self.same is not None and not self.same.same))


@dataclass(frozen=True)
class Study:
    """One network, or a bare state dict, with its spec."""

    spec: Spec
    report: Report | None
    module: nn.Module | None
    call: Call | None
    name: str

    @property
    def usable(self) -> Spec:
        """The spec without what failed its proof."""
        findings = self.report.findings if self.report is not None else ()
        failed = [f.output for f in findings if f.verdict in (Verdict.BROKEN, Verdict.INVALID)]
        return self.spec.without([name for name in failed if name in self.spec.spaces])


def run_weights(
    path: Path | None, flags: Mapping[str, Any], allow_program: bool, asked: Asked, console: Console | None
) -> Found:
    """Derive a spec and prove it, or prove the one that is given; then what else was asked for."""
    _check_outputs(asked)
    settings = {**DEFAULTS, **file_settings(path, flags), **flags}
    with steps(console) as tell, redirect_stdout(sys.stderr):
        if path is not None and not settings.get("model") and _is_bare(path, asked, allow_program):
            study = _bare(path, settings, asked)
        else:
            study = study_of(settings, allow_program, asked, tell)
        counted = _counted(study, settings["seed"], asked, tell)
        same = _same(study, settings, asked, tell)
        written = _write(study, settings, asked, tell)
    checkpoint = Path(settings["checkpoint"]) if settings.get("checkpoint") else None
    found = Found(study.name, checkpoint, study.spec, study.report, asked.spec, counted, same, written)
    if asked.report is not None:
        write_report(_document(found, settings), asked.report)
    return found


def study_of(settings: Mapping[str, Any], allow_program: bool, asked: Asked, tell: Tell) -> Study:
    """The subject with its spec, derived or given, and the report of the proof."""
    tell("loading")
    subject = subject_of(settings, allow_program, "weights")
    module, seed = network(subject), settings["seed"]
    inputs = example_inputs({**settings, "samples": subject.fixed_batch or settings["samples"]}, subject)
    inputs = without_labels(inputs, settings, subject)
    call = call_of(subject, inputs, seed)
    if asked.spec is None:
        try:
            spec, certificate = derived(subject, call, seed=seed, tell=tell)
        except ModelError as error:
            if "--spec" not in error.hint:
                error.hint += "; or give a spec of your own with --spec"
            raise
        report = None if certificate is None else report_on(spec, certificate, module)
    else:
        spec = Spec.load(asked.spec)
        if not spec.spaces:
            raise ConfigError("the spec has no space", where=str(asked.spec), hint="there is nothing to prove")
        tell(f"proving {len(spec.spaces)} spaces")
        report = verify_spec(spec, subject, call, seed=seed)
        known = {name: tuple(t.shape) for name, t in module.state_dict().items() if isinstance(t, Tensor)}
        spec = replace(_shaped(spec, known), certificate=report.settings["certificate"])
    if report is not None:
        about = {"name": subject.name, "parameters": subject.parameters, **vars(subject.source)}
        report = replace(report, subject=about, notes=(*subject.notes, *report.notes))
    return Study(spec, report, module, call, subject.name)


def example_inputs(settings: Mapping[str, Any], subject: Subject | None = None) -> dict[str, Tensor]:
    """The example inputs, without those that every claim of a subject file ignores."""
    claims = settings.get("claims") or ()
    tensors, texts = named_inputs(inputs_of(settings, subject)), [claims] if isinstance(claims, str) else claims
    tensors, texts = without_ignored(tensors, texts)
    return first_samples(tensors, settings["samples"], texts)


def _is_bare(path: Path, asked: Asked, allow_program: bool) -> bool:
    """Whether a file can only be tensors; what torch.save wrote may hold a module, if programs may run."""
    if path.suffix == ".toml" or not _holds_weights(path):
        return False
    return is_tensors(path) or (asked.spec is not None and not allow_program)


def _holds_weights(path: Path) -> bool:
    return scheme(path) is None and (is_tensors(path) or sniff(path) in READERS)


def _bare(path: Path, settings: Mapping[str, Any], asked: Asked) -> Study:
    """A state dict without its network: the spec must fit its shapes, and nothing is run."""
    if asked.spec is None:
        raise ConfigError(
            "the file holds only weights, not the network that they belong to",
            where=str(path),
            hint="add --model module:factory and -i inputs to derive a spec, or give one with --spec",
        )
    if asked.completeness:
        raise ConfigError(
            "completeness is counted by running the network",
            where="--completeness",
            hint="add --model module:factory and -i inputs",
        )
    spec, key = Spec.load(asked.spec), settings.get("key")
    known = open_checkpoint(path).shapes if is_tensors(path) else _shapes(read_state(path, key))
    check_fit(spec, known, str(path))
    return Study(_shaped(spec, known), None, None, None, path.name)


def _shaped(spec: Spec, known: Mapping[str, tuple[int, ...]]) -> Spec:
    """The spec with the shapes of the tensors that it fits."""
    canonical_shapes = {spec.ties.get(name, name): shape for name, shape in known.items()}
    return replace(spec, shapes={name: canonical_shapes[name] for name in spec.axes})


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _counted(study: Study, seed: int, asked: Asked, tell: Tell) -> Completeness | str:
    if study.module is None:
        return "not computed: there is no network to run"
    count = sum(p.numel() for p in study.module.parameters())
    if not 0 < count <= LARGEST:
        return f"not computed: {count:,} parameters; give a small copy with -m width=8"
    if not asked.completeness:
        return "not computed; add --completeness"
    tell("counting the redundant dimensions")
    return completeness(study.spec, study.module, study.call, seed)


def _same(study: Study, settings: Mapping[str, Any], asked: Asked, tell: Tell) -> Answer | None:
    if asked.other is None:
        return None
    tell(f"matching {asked.other}")
    other = read_state(asked.other, None)
    state, seed = _state(study, settings), settings["seed"]
    return same_function(study.usable, state, other, study.module, study.call, seed=seed)


def _state(study: Study, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    if study.module is None:
        return read_state(Path(settings["checkpoint"]), settings.get("key"))
    return {name: t.detach() for name, t in study.module.state_dict().items() if isinstance(t, Tensor)}


def _write(study: Study, settings: Mapping[str, Any], asked: Asked, tell: Tell) -> dict[str, Path]:
    """Write what was asked for; the files by what they hold."""
    written: dict[str, Path] = {}
    if asked.table is not None:
        kept = expressible(study.usable)
        left = [s.name for s in study.spec.spaces.values() if s.kind == "permutation" and s.name not in kept.spaces]
        save_axes_to_perm(kept, asked.table)
        written["axes_to_perm" + (f" (without {', '.join(left)})" if left else "")] = asked.table
    if path := asked.output(".toml", ".json"):
        study.spec.save(path)
        written["spec"] = path
    if path := asked.output(".safetensors"):
        tell("finding the canonical representative")
        state, _ = canonical(study.usable, _state(study, settings))
        write_tensors(state, path)
        written["canonical"] = path
    return written


def _document(found: Found, settings: Mapping[str, Any]) -> Report:
    """The report with all that is printed; without a proof it has no findings."""
    report = found.report or Report({"name": found.name}, {}, {}, (), notes=("nothing was proved: no model",))
    told: dict[str, Any] = {
        "coverage": asdict(found.spec.coverage),
        "pinned": [asdict(pinned) for pinned in found.spec.pinned],
        "completeness": found.counted if isinstance(found.counted, str) else asdict(found.counted),
    }
    if found.same is not None:
        told["same_function"] = {k: v for k, v in vars(found.same).items() if k not in ("forward", "back")}
    return replace(report, settings={**report.settings, "inputs": settings.get("inputs"), "weights": told})


def _check_outputs(asked: Asked) -> None:
    """Refuse a bad destination before anything is run."""
    for path in asked.outputs:
        if path.suffix not in (".toml", ".json", ".safetensors"):
            raise ConfigError(
                f"nothing is written as '{path.suffix or path.name}'",
                where=f"-o {path}",
                hint="a spec ends in .toml or .json, the canonical checkpoint in .safetensors",
            )
    if asked.canonical != (asked.output(".safetensors") is not None):
        raise ConfigError(
            "--canonical and -o FILE.safetensors belong together",
            where="--canonical",
            hint="write --canonical -o canonical.safetensors",
        )
    target = asked.output(".safetensors")
    if target is not None and target.exists() and not asked.force:
        raise ConfigError("the output exists", where=str(target), hint="choose another name, or add --force")
    for path in filter(None, (*asked.outputs, asked.table, asked.report)):
        if not path.parent.is_dir():
            hint = f"mkdir -p {path.parent}"
            raise ConfigError(f"the folder '{path.parent}' does not exist", where=str(path), hint=hint)
    if asked.report is not None:
        check_path(asked.report)
