"""Everything that can be discovered of one network on one set of inputs, each part by its own search."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from symcheck.discover.claims import Stated, claims_of, holding, joined
from symcheck.discover.contained import without_contained
from symcheck.discover.continuous import Found, find_continuous
from symcheck.discover.discrete import find_discrete
from symcheck.discover.from_data import data_symmetries
from symcheck.discover.images import find_motions, image_inputs
from symcheck.discover.profile import find_profile
from symcheck.discover.representation import find_representations
from symcheck.discover.result import Discovery
from symcheck.discover.unknowns import Ask
from symcheck.errors import ConfigError, DataError
from symcheck.grammar import parse_claim
from symcheck.measure.audit import Audit, Options
from symcheck.measure.given import Inputs, digest, first_samples, named_inputs, without_ignored
from symcheck.measure.runner import Runner, environment, measuring
from symcheck.measure.session import device_of, dtype_of, open_session, output_names
from symcheck.registry import suggest
from symcheck.report.model import Verdict
from symcheck.report.numbers import count
from symcheck.subject import as_subject
from symcheck.version import __version__

PARTS = ("continuous", "discrete", "representations")
SLOW = ("data", "profile")  # only where they are asked for
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Search:
    """What to search for, on how many samples, and how large an error is accepted by the audit.

    `under` are groups with their actions on the inputs, `SO(3): x=vector`, under which the outputs' action is asked.
    """

    ask: Ask = field(default_factory=Ask)
    parts: tuple[str, ...] = PARTS
    under: tuple[str, ...] = ()
    samples: int = 256
    elements: int = 32
    seed: int = 0
    tolerance: float = 1e-3
    device: str | None = None
    dtype: str = "as-is"
    batch_size: int | None = None


def discover(
    model: Any,
    inputs: Inputs,
    search: Search | None = None,
    *,
    claims: Sequence[str] = (),
    labels: torch.Tensor | None = None,
    tell: Tell = lambda step: None,
) -> Discovery:
    """The Lie algebra, the finite groups and the output actions of a network that nobody declared.

    `model` is an nn.Module, a callable on tensors, or a Subject; `inputs` as in `audit`.
    `claims` only name the outputs and the owner of packed rows, as those of a subject file do; `labels` (B, ...) are
    for the profile. Raises DataError where nothing can be searched, ConfigError for unknown parts and forms.
    """
    start, search, subject = time.perf_counter(), search or Search(), as_subject(model)
    if unknown := [part for part in search.parts if part not in PARTS + SLOW]:
        raise ConfigError(
            f"there is no part '{unknown[0]}'", where="--only and --also", hint=suggest(unknown[0], [*PARTS, *SLOW])
        )
    tensors, texts = without_ignored(named_inputs(inputs), list(claims))
    tensors = first_samples(tensors, search.samples, texts)
    dtype = dtype_of(search.dtype, subject, tensors)
    cast = search.dtype != "as-is"
    runner = Runner(subject, device_of(search.device, subject), dtype, output_names(texts), cast=cast)
    with measuring(runner):
        options = Options(search.elements, search.seed, search.tolerance)
        session = open_session(runner, tensors, texts, options, search.batch_size)
        about = {"name": subject.name, "parameters": subject.parameters, **vars(subject.source)}
        _check_under(search.under, [*tensors])
        unread = _unread(session)
        settings = _settings(search, session, digest(tensors))
        versions = environment(runner, {"symcheck": __version__, "python": platform.python_version()})
        found = _searched(session, search, tell, Discovery(about, settings, versions))
        found = _beside(session, search, tell, found, texts, labels)
    notes = (*subject.notes, *unread, *found.notes)
    return replace(found, notes=notes, seconds=time.perf_counter() - start, forwards=runner.forwards)


def _check_under(texts: Sequence[str], known: Sequence[str]) -> None:
    """ConfigError where a group is asked for on an input that there is not."""
    for text in texts:
        names = [slot.name for slot in parse_claim(f"{text.partition('->')[0]} -> invariant").inputs]
        for name in (name for name in names if name is not None and name not in known):
            raise ConfigError(
                f"there is no input '{name}'", where=f"--under '{text}'", hint=f"the inputs are {', '.join(known)}"
            )


def _unread(session: Audit) -> list[str]:
    """What is said of outputs that hold no real numbers; DataError where none does, or where they are not finite."""
    samples = session.evaluator.samples
    values = session.evaluator.run(samples.take(torch.arange(samples.count, device=session.evaluator.runner.device)))
    real = {name: y for name, y in values.items() if y.is_floating_point()}
    bad = {name: int((~torch.isfinite(y)).reshape(len(y), -1).any(1).sum()) for name, y in real.items()}
    if wrong := [name for name, many in bad.items() if many]:
        raise DataError(
            f"output '{wrong[0]}' is NaN or infinite in {bad[wrong[0]]} of {len(real[wrong[0]])} rows",
            where=session.low.subject.name, hint="leave such samples out, or name the other outputs: --output NAME",
        )  # fmt: skip
    other = {name: str(y.dtype).removeprefix("torch.") for name, y in values.items() if name not in real}
    if not real:
        raise DataError(
            "no output holds real numbers: nothing can be compared",
            where=", ".join(f"{name} {kind}" for name, kind in other.items()),
            hint="return scores instead of labels, a complex number as its two parts (torch.view_as_real)",
        )  # fmt: skip
    return [f"output '{name}' holds {kind}, and was not searched" for name, kind in other.items()]


def _searched(session: Audit, search: Search, tell: Tell, result: Discovery) -> Discovery:
    """The result with the parts, the verified claims, and what could not be searched."""
    claims: list[str] = []
    under: list[str] = list(search.under)
    notes: list[str] = []
    found, stated = None, Stated()
    if "continuous" in search.parts:
        tell("solving for generators")
        found = _continuous(session, search, notes)
        motions = (find_motions(session, name, search.ask) for name in image_inputs(session))
        result = replace(result, motions=tuple(filter(None, motions)))
    if found is not None:
        result = replace(result, continuous=found.result)
        if found.span is not None and found.audit is not None:
            tell("measuring claims")
            stated = claims_of(found.audit, found.span)
            claims += stated.claims
            under += stated.open
    if "discrete" in search.parts:
        tell("trying finite elements")
        shapes = {name: tuple(x.shape[1:]) for name, x in session.evaluator.samples.tensors.items()}
        discrete = without_contained(find_discrete(session), claims, shapes)
        result = replace(result, discrete=discrete)
        claims += discrete.claims
    if "representations" in search.parts and under:
        tell("fitting the actions of outputs")
        made = find_representations(session, under)
        result = replace(result, representations=made)
        claims += holding(session, [one.claim for one in made.outputs if one.claim])
    told = tuple(joined(session, claims))
    unsaid = (*_weaker(found, stated, told), *(result.discrete.unsaid if result.discrete is not None else ()))
    return replace(result, claims=told, unsaid=unsaid, notes=tuple(notes))


def _weaker(found: Found | None, stated: Stated, claims: Sequence[str]) -> Iterator[str]:
    """What is said where the verified algebra has generators that no claim speaks of."""
    if found is None or found.span is None or found.result.algebra is None or not Verdict(found.result.verdict).holds:
        return
    said, size, name = stated.reached(claims), len(found.span), found.result.nearly or found.result.algebra.name
    if not said:
        yield f"no claim says this: {name}, {count(size, 'generator')}"
    elif said < size:
        yield f"the claims are weaker than what was found: {said} of the {size} generators of {name}"


def _beside(
    session: Audit, search: Search, tell: Tell, result: Discovery, stated: Sequence[str], labels: torch.Tensor | None
) -> Discovery:
    """The result with the slow parts: what the data have without the network, and the profile of every claim."""
    samples, notes = session.evaluator.samples, list(result.notes)
    if "data" in search.parts:
        found = {}
        for name, x in samples.tensors.items():
            if x.is_floating_point() and samples.owner_name is None:
                tell(f"learning symmetries of {name}")
                try:
                    found[name] = data_symmetries(x.cpu(), seed=search.seed)
                except DataError as error:
                    notes.append(f"{name}: {error.message} ({error.hint})")
        result = replace(result, data=found, notes=tuple(notes))
    if "profile" in search.parts:
        tell("comparing network and data")
        if labels is not None and len(labels) < samples.count:
            raise DataError(
                f"there are {len(labels)} labels for {samples.count} samples", where="--labels",
                hint="give one row of labels for each sample",
            )  # fmt: skip
        own = None if labels is None else labels[: samples.count]
        result = replace(result, profile=find_profile(session, stated, found=result.claims, labels=own))
    return result


def _continuous(session: Audit, search: Search, notes: list[str]) -> Found | None:
    """The generators; where they cannot be searched that is said, and is an error only where nothing else is asked."""
    try:
        return find_continuous(session, search.ask)
    except DataError as error:
        if search.ask.inputs or (search.parts == ("continuous",) and not image_inputs(session)):
            raise
        notes.append(f"generators were not searched: {error.message} ({error.where})")
        return None


def _settings(search: Search, session: Audit, data: str) -> dict[str, object]:
    ask = search.ask
    return {
        "parts": list(search.parts), "under": list(search.under), "inputs": list(ask.inputs), "forms": dict(ask.forms),
        "shared": ask.shared, "affine": ask.affine, "acting": ask.acting, "seed": search.seed,
        "samples": session.evaluator.samples.count, "elements": search.elements, "tolerance": search.tolerance,
        "data": data,
    }  # fmt: skip
