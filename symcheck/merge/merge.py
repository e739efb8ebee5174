"""One checkpoint out of several: aligned first, checked, merged by a method, and measured beside the baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from symcheck.errors import ConfigError, LoadError
from symcheck.merge.evaluate import ENSEMBLE, Score, Trial, has_statistics, reset_statistics, scores
from symcheck.merge.layers import Kept, kept
from symcheck.merge.methods import average, methods
from symcheck.merge.notes import chance, setbacks
from symcheck.merge.related import Relation, refuse_mixed, relation
from symcheck.merge.sources import Sources, State
from symcheck.weights.spec import Spec

Tell = Callable[[str], None]
LARGE = 1.0  # ‖θ_t − θ_0‖ / ‖θ_0‖ beyond which θ_t is no fine-tuned θ_0
DRIFT = 0.05  # share of the units that matching may move: dead units and copies of one another stand anywhere
NAIVE, MERGED, UNRESET = "average as given", "merged", "merged, statistics averaged"
_AVERAGED = "running statistics were averaged, which is not what the merged network has: give -i data and --reset"


@dataclass(frozen=True)
class Merge:
    """What was made: the state, how, what each layer kept, how the sources are related, and the scores.

    `relations` are of the sources as they were merged: to the base, or to the first without one. `alignments` holds
    what aligning each of the others recorded; `reset` says whether running statistics were re-estimated.
    """

    state: dict[str, Tensor] = field(repr=False)
    method: str
    settings: Mapping[str, Any]
    layers: tuple[Kept, ...]
    relations: Mapping[str, Relation]
    alignments: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    reset: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything but the tensors, as plain data."""
        told = {
            name: {**asdict(found), "mixed": [order.name for order in found.mixed]}
            for name, found in self.relations.items()
        }
        found: dict[str, Any] = plain({
            "method": self.method, "settings": self.settings, "notes": self.notes, "relations": told,
            "alignments": self.alignments, "reset": self.reset, "scores": [asdict(score) for score in self.scores],
            "layers": [asdict(layer) for layer in self.layers],
        })  # fmt: skip
        return found


def merge(
    states: Sequence[State],
    method: str = "average",
    *,
    base: State | None = None,
    spec: Spec | None = None,
    align: bool | None = None,
    names: Sequence[str] = (),
    trial: Trial | None = None,
    reset: bool | None = None,
    unaligned: bool = False,
    seed: int = 0,
    tell: Tell | None = None,
    **settings: Any,
) -> Merge:
    """One state out of several by a method of `symcheck.merge.methods`, with its `settings`.

    With a spec and no base the others are aligned to the first; `align` says otherwise. States whose units are in no
    common order are refused, with LoadError, unless `unaligned`. With a `trial` the merged model is measured beside the
    single ones, the average of the states as given and the mean of their outputs; the running statistics of batch
    normalisations are re-estimated on the first data set of it, unless `reset` says otherwise.
    """
    chosen, step = methods.get(method, where="method"), tell or _silent
    given = Sources(tuple(states), base)
    called = _called(names, len(given.states))
    notes: list[str] = []
    sources, alignments = given, dict[str, Any]()
    wanted = (spec is not None and base is None) if align is None else align
    if wanted:
        sources, alignments = _aligned(given, called, spec, trial, seed, step)
        notes += chance(alignments, proved=trial is not None)
    relations = _relations(sources, called)
    if not wanted or base is not None:
        step("checking that they belong together")
        notes += _checked(sources, relations, {} if wanted else _drift(sources, called, spec, seed), unaligned)
    step(f"merging by {method}")
    used = {**chosen.settings, **({"seed": seed} if "seed" in chosen.settings else {}), **settings}
    state = chosen(sources, **used)
    models = {**dict(zip(called, given.states, strict=True)), NAIVE: average(given)}
    anew = trial is not None and has_statistics(trial.module) if reset is None else reset
    if anew:
        step("re-estimating running statistics")
        models[UNRESET], state = state, _reset(trial, state)
    elif given.statistics:
        notes.append(_AVERAGED)
    step("comparing the layers and measuring the models")
    layers = kept(sources, state)
    found = () if trial is None else scores(trial, {**models, MERGED: state}, len(called))
    notes += setbacks(found, called, NAIVE, MERGED)
    return Merge(state, method, used, layers, relations, alignments, found, anew, tuple(notes))


def _called(names: Sequence[str], count: int) -> tuple[str, ...]:
    """A name for each model, apart from those of the rows beside them."""
    if names and len(set(names)) != count:
        raise ConfigError(
            f"{len(set(names))} names for {count} checkpoints", where="names", hint="give each a name of its own"
        )
    taken = (ENSEMBLE, NAIVE, MERGED, UNRESET)
    own = names or [f"model {i}" for i in range(1, count + 1)]
    return tuple(f"{name} (given)" if name in taken else name for name in own)


def _aligned(
    given: Sources, names: Sequence[str], spec: Spec | None, trial: Trial | None, seed: int, tell: Tell
) -> tuple[Sources, dict[str, Any]]:
    """Every state brought onto the base, or onto the first; with a network it must stay the function that it was."""
    from symcheck.align.many import align_many
    from symcheck.align.proof import same_function
    from symcheck.align.steps import applied

    if spec is None:
        raise ConfigError(
            "aligning needs the weight symmetries of the network", where="--align", hint="add --model, or --spec FILE"
        )
    ahead = list(given.states[:1]) if given.base is None else []
    others = given.states[len(ahead) :]
    group = (*ahead, *others) if given.base is None else (given.base, *others)
    found = align_many(group, spec, seed=seed, cycles=False, tell=tell).alignments
    records = {}
    for name, state, one in zip(names[len(ahead) :], others, found, strict=True):
        records[name] = one.record
        if trial is not None:
            wide = {n: t.double() if t.is_floating_point() else t for n, t in state.items()}
            proof = same_function(trial.module, trial.example, state, applied(spec, one.steps, wide), seed)
            records[name] = {**records[name], "same_function": asdict(proof)}
            if not proof.same:
                raise LoadError(
                    f"aligned, {name} is another function: its outputs move by {proof.distance:.2g} of their spread",
                    where="the spec",
                    hint="the spec does not hold for this network: see symcheck weights --spec, or let it be derived",
                )
    return Sources((*ahead, *(one.aligned for one in found)), given.base), records


def _drift(sources: Sources, names: Sequence[str], spec: Spec | None, seed: int) -> dict[str, float]:
    """Of every model the share of units that matching to the base, or the first, would move; nothing without a spec."""
    from symcheck.align.alignment import align

    if spec is None:
        return {}
    first = sources.states[0] if sources.base is None else sources.base
    units = spec.only(kinds=["permutation"])
    found = {}
    for name, state in zip(names, sources.states, strict=True):
        steps = [] if state is first else align(first, state, units, seed=seed, controls=False).steps
        parts = [part for step in steps for part in step.values()]
        moved = sum(int((part != torch.arange(part.shape[-1])).sum()) for part in parts)
        found[name] = moved / max(sum(part.numel() for part in parts), 1)
    return found


def _relations(sources: Sources, names: Sequence[str]) -> dict[str, Relation]:
    """Of every model to the base, or of the others to the first."""
    if sources.base is not None:
        pairs = zip(names, sources.states, strict=True)
        return {f"the base and {name}": relation(sources.base, state) for name, state in pairs}
    others = zip(names[1:], sources.states[1:], strict=True)
    return {f"{names[0]} and {name}": relation(sources.states[0], state) for name, state in others}


def _checked(
    sources: Sources, relations: Mapping[str, Relation], drift: Mapping[str, float], unaligned: bool
) -> list[str]:
    """Refuse what must not be mixed; what is only odd, or wanted, is a note."""
    try:
        hint = "give --model (or --spec) and they are aligned first, or --unaligned to merge them as they are"
        if sources.base is not None:
            hint = "was it trained from this base? --model with --align brings it there, --unaligned merges it as it is"
        refuse_mixed(relations, hint)
        for name, share in drift.items():
            if not share <= DRIFT:
                raise LoadError(
                    f"matching would move {100 * share:.0f} % of the units of {name}", where="--spec", hint=hint
                )
        for name, found in relations.items() if sources.base is not None else ():
            if not found.distance <= LARGE:
                raise LoadError(
                    f"the update is {found.distance:.2g} times as large as the base",
                    where=name,
                    hint="give the checkpoint that it was trained from, or --unaligned",
                )
    except LoadError as error:
        if not unaligned:
            raise
        return [f"unaligned: {error.message} ({error.where})"]
    tested = sum(len(found.orders) for found in relations.values())
    return [] if tested else ["no tensor was large enough to tell whether the units are in a common order"]


def _reset(trial: Trial | None, state: State) -> dict[str, Tensor]:
    """The merged state with running statistics measured on the first data set."""
    if trial is None:
        raise ConfigError("statistics are re-estimated from data", where="--reset", hint="give -i data and --model")
    return reset_statistics(trial, state, next(iter(trial.data.values())))


def plain(value: Any) -> Any:
    """Plain data without tensors, NaN or infinities, which no JSON has."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Tensor):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _silent(_: str) -> None:
    return None
