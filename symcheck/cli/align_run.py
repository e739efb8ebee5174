"""What `symcheck align` does between parsing and rendering."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from symcheck.align.alignment import Alignment, align
from symcheck.align.evidence import Evidence
from symcheck.align.gauge import GAUGES
from symcheck.align.many import Cycle, align_many
from symcheck.align.matchers import MATCHERS
from symcheck.align.proof import SameFunction, same_function
from symcheck.align.setup import DISCRETE
from symcheck.align.steps import applied
from symcheck.align.streamed import Streamed
from symcheck.cli.align_outputs import check_outputs
from symcheck.cli.labelled import labelled_data, without_labels
from symcheck.cli.pairs import Checkpoints, load_network, load_states
from symcheck.cli.run import file_settings
from symcheck.cli.steps import Tell, steps
from symcheck.cli.weights_run import example_inputs
from symcheck.errors import ConfigError
from symcheck.measure.loss import Labelled
from symcheck.registry import suggest
from symcheck.report.write import write_text
from symcheck.version import __version__
from symcheck.weights.element import save_element
from symcheck.weights.examples import Call
from symcheck.weights.session import call_of, derived, network
from symcheck.weights.spec import KINDS, MATRICES, Spec
from symcheck.weights.tensor_file import write_tensors

SCHEMA = "symcheck.align/1"
DEFAULTS = {"samples": 4, "seed": 0}
MANY = 2048  # samples for matchers that look at data


@dataclass(frozen=True)
class Asked:
    """What the command line asks for, beyond the network and its inputs."""

    spec: Path | None = None
    matcher: str = "weights"
    kinds: tuple[str, ...] | None = None
    gauges: tuple[str, ...] | None = None
    restarts: int = 0
    controls: bool = True
    output: Path | None = None
    element: Path | None = None
    save_spec: Path | None = None
    report: Path | None = None
    force: bool = False
    stream: bool | None = None


@dataclass(frozen=True)
class Found:
    """What there is to tell: one alignment, proof and place of output for every checkpoint but the first."""

    checkpoints: Checkpoints
    spec: Spec
    alignments: tuple[Alignment, ...]
    proofs: tuple[SameFunction | None, ...]
    cycles: tuple[Cycle, ...]
    sweeps: int
    derived: bool
    seconds: float
    written: Mapping[str, Path]
    streamed: Streamed | None = None

    @property
    def exit_code(self) -> int:
        """0, or 1 where an aligned network is not the same function."""
        return int(any(proof is not None and not proof.same for proof in self.proofs))


def run_align(
    first: Path,
    others: Sequence[Path],
    flags: Mapping[str, Any],
    allow_program: bool,
    asked: Asked,
    console: Console | None,
) -> Found:
    """Load the checkpoints, derive or read the spec, align, prove, write."""
    start = time.perf_counter()
    _check(asked, len(others))
    settings = {**DEFAULTS, **file_settings(first, flags), **flags}
    with steps(console) as tell, redirect_stdout(sys.stderr):
        tell("loading")
        checkpoints, module, call = _loaded(first, others, settings, allow_program, asked)
        spec = _spec(checkpoints, call, settings, asked, tell)
        options: dict[str, Any] = {
            "gauges": GAUGES if asked.gauges is None else asked.gauges, "kinds": asked.kinds,
            "restarts": asked.restarts, "controls": asked.controls, "matcher": asked.matcher,
            "evidence": _evidence(checkpoints, settings, asked),
        }  # fmt: skip
        states, seed = checkpoints.states, settings["seed"]
        cycles: tuple[Cycle, ...] = ()
        sweeps = 0
        if len(states) == 2:
            found: tuple[Alignment, ...] = (align(states[0], states[1], spec, seed=seed, tell=tell, **options),)
        else:
            family = align_many(states, spec, seed=seed, tell=tell, **options)
            found, cycles, sweeps = family.alignments, family.cycles, family.sweeps
        tell("proving that the functions are the same")
        proofs = tuple(_proof(module, call, spec, one, b) for one, b in zip(found, states[1:], strict=True))
        result = Found(
            checkpoints, spec, found, proofs, cycles, sweeps, asked.spec is None, time.perf_counter() - start, {}
        )
        written = {} if result.exit_code else _write(result, asked, others)
    result = Found(**{**vars(result), "written": written})
    if asked.report is not None:
        write_text(asked.report, json.dumps(document(result, settings, asked), indent=2, default=str) + "\n")
    return result


def document(found: Found, settings: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The document of schema symcheck.align/1."""
    return {
        "schema": SCHEMA,
        "checkpoints": [dict(source) for source in found.checkpoints.sources],
        "settings": {
            **{k: settings[k] for k in ("model", "arguments", "inputs", "seed", "samples") if k in settings},
            "matcher": asked.matcher, "kinds": asked.kinds, "gauges": asked.gauges, "restarts": asked.restarts,
            "spec": "derived" if found.derived else asked.spec,
        },
        "alignments": [
            {**one.record, "same_function": None if proof is None else asdict(proof)}
            for one, proof in zip(found.alignments, found.proofs, strict=True)
        ],
        "streamed": None if found.streamed is None else found.streamed.record,
        "cycles": [asdict(cycle) for cycle in found.cycles],
        "sweeps": found.sweeps,
        "environment": {
            "symcheck": __version__, "torch": torch.__version__, "python": platform.python_version(),
        },
        "seconds": found.seconds,
    }  # fmt: skip


def _loaded(
    first: Path, others: Sequence[Path], settings: Mapping[str, Any], allow_program: bool, asked: Asked
) -> tuple[Checkpoints, nn.Module | None, Call | None]:
    """The checkpoints, with the network and its example inputs where they are given."""
    if asked.spec is not None and not settings.get("model") and first.suffix != ".toml":
        return load_states([first, *others], settings.get("key")), None, None
    subject, checkpoints = load_network(settings, others, allow_program, "align")
    if not settings.get("inputs") and asked.spec is not None:
        return checkpoints, None, None
    inputs = example_inputs({**settings, "samples": subject.fixed_batch or settings["samples"]}, subject)
    inputs = without_labels(inputs, settings, subject)
    return checkpoints, network(subject), call_of(subject, inputs, settings["seed"])


def _evidence(checkpoints: Checkpoints, settings: Mapping[str, Any], asked: Asked) -> Evidence | None:
    """The data that a matcher looks at; without labels, where it needs none."""
    if asked.matcher not in ("activations", "straight-through"):
        return None
    if checkpoints.subject is None:
        raise ConfigError(
            f"the matcher '{asked.matcher}' runs the network",
            where="--matcher",
            hint="give --model module:factory and -i inputs",
        )
    wanted = {**settings, "samples": settings["samples"] if settings["samples"] > 4 else MANY}
    module = network(checkpoints.subject)
    if asked.matcher == "straight-through":
        data = labelled_data(wanted)
        return Evidence(module, data.train, data.loss)
    inputs = without_labels(example_inputs(wanted, checkpoints.subject), settings, checkpoints.subject)
    count = len(next(iter(inputs.values())))
    return Evidence(module, Labelled(inputs, torch.zeros(count)))


def _spec(
    checkpoints: Checkpoints, call: Call | None, settings: Mapping[str, Any], asked: Asked, tell: Tell
) -> Spec:
    """The spec that is given, or the derived one without what failed its proof."""
    if asked.spec is not None:
        return Spec.load(asked.spec)
    return derived(checkpoints.subject, call, seed=settings["seed"], tell=tell)[0]


def _proof(
    module: nn.Module | None, call: Call | None, spec: Spec, one: Alignment, b: Mapping[str, Tensor]
) -> SameFunction | None:
    """Both networks are run, with the element applied in float64."""
    if module is None or call is None:
        return None
    wide = {name: t.double() if t.is_floating_point() else t for name, t in b.items()}
    return same_function(module, call, b, applied(spec, one.steps, wide), stored=one.aligned)


def _write(found: Found, asked: Asked, others: Sequence[Path]) -> dict[str, Path]:
    """Write what was asked for, every file whole or not at all."""
    written: dict[str, Path] = {}
    if asked.save_spec is not None:
        found.spec.save(asked.save_spec)
        written["spec"] = asked.save_spec
    sources = found.checkpoints.sources
    for k, one in enumerate(found.alignments):
        about = {"onto": sources[0]["sha256"], "from": sources[k + 1]["sha256"]}
        for what, path in (("aligned", asked.output), ("element", asked.element)):
            if path is None:
                continue
            target = path if len(others) == 1 else path / f"{_names(others)[k]}.safetensors"
            target.parent.mkdir(exist_ok=True)
            if what == "aligned":
                write_tensors({n: t.contiguous() for n, t in one.aligned.items()}, target, {"format": "pt", **about})
            else:
                save_element(one.steps, target, about)
            written[what if len(others) == 1 else f"{what} {k + 1}"] = target
    return written


def _names(others: Sequence[Path]) -> list[str]:
    """A name for each checkpoint, with numbers where some would be called alike."""
    stems = [path.stem for path in others]
    numbered = [f"{stem}-{i + 1}" for i, stem in enumerate(stems)]
    return stems if len(set(stems)) == len(stems) else numbered


def _check(asked: Asked, count: int, *, folder: bool = False) -> None:
    """Refuse unknown words and bad destinations before anything is run; the output may be a folder of shards."""
    for word, known, where in (
        (asked.matcher, MATCHERS, "--matcher"),
        *((kind, KINDS, "--kinds") for kind in asked.kinds or ()),
        *((kind, GAUGES, "--gauges") for kind in asked.gauges or ()),
    ):
        if word not in known:
            raise ConfigError(f"there is no '{word}' here", where=where, hint=suggest(word, [*known]))
    if not {*(asked.kinds or DISCRETE)} & {*DISCRETE, *MATRICES}:
        raise ConfigError(
            "none of these kinds is looked for",
            where=f"--kinds {','.join(asked.kinds or ())}",
            hint=f"give some of {', '.join((*DISCRETE, *MATRICES))}; --gauges are for scales and shifts",
        )
    outputs = {"-o": asked.output, "--save-element": asked.element, "--save-spec": asked.save_spec}
    check_outputs({**outputs, "--report": asked.report}, force=asked.force, folder=folder, several=count > 1)
