"""The pairs of an element and a sample that are followed through a network, as many as the memory holds."""

from __future__ import annotations

import copy

import torch

from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ConfigError
from symcheck.locate.hybrids import Course
from symcheck.locate.recorder import record
from symcheck.measure.audit import Audit
from symcheck.measure.defect import Slot, ready, slot_for
from symcheck.measure.laws import check_law
from symcheck.measure.plan import strata
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples, observe_batch

PAIRS = 61
MOST = 2_000_000_000  # bytes of what the operations return


def course_of(audit: Audit, claim: Claim, pairs: int = PAIRS) -> tuple[Course, tuple[str, ...]]:
    """A batch of pairs: a few elements of every part of the group that needs no resampling, with a few samples."""
    evaluator = audit.evaluator
    bound, base, outputs = audit.bound(claim)
    if bound.relation is not None:
        raise ConfigError(
            f"'{claim}' is a relation, and no group acts inside the network",
            where="--claim",
            hint="a claim of a group can be located: C4, SO(3), S, Shift, …",
        )
    parts = strata(bound, outputs, audit.options.elements, audit.options.seed)
    exact = [part for part in parts if not part.resampled] or parts
    resampled = exact[0].resampled
    spread = torch.Generator().manual_seed(audit.options.seed)  # neighbours in a list are alike: shifts along one axis
    drawn = [part.g[torch.randperm(len(part.g), generator=spread)] for part in exact]
    g = torch.cat([one[: max(2, pairs // 8 // len(exact))] for one in drawn])
    laws = {name: check_law(action, g, base.example(name)) for name, action in outputs.items()}
    slots: dict[str, Slot] = {
        name: slot_for(name, bound, action, base, laws[name].isometric, resampled) for name, action in outputs.items()
    }
    runner = _whole(evaluator.runner)
    wanted = min(pairs, len(g) * (count := min(evaluator.samples.count, max(2, pairs // min(len(g), pairs)))))
    room = _room(runner, bound, evaluator.samples)
    place = torch.arange(_prime(min(wanted, room)), device=runner.device)
    index, picks = place % len(g), (place // len(g)) % count
    elements = ready(bound, slots, g, runner.device)
    course = Course(runner, bound, slots, elements, index, evaluator.samples.take(picks))
    left = [part for part in parts if part.resampled] if not resampled else []
    said = {
        "the elements are resampled: every number holds what resampling adds": resampled,
        "elements that need resampling are left out": bool(left),
        f"{len(place)} pairs instead of {wanted}: what all operations return would take more than {MOST / 1e9:g} GB":
            room < wanted,
    }  # fmt: skip
    return course, tuple(note for note, holds in said.items() if holds)


def _whole(runner: Runner) -> Runner:
    """The runner for all pairs at once, or their operations could not be compared; TorchScript is cast for good."""
    other = copy.copy(runner)
    other.limit, module = None, runner.module
    if module is not None and any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        other.module = copy.deepcopy(module).to(runner.dtype)
        other.call = other.module if runner.subject.call is runner.subject.module else runner.call
    return other


def _room(runner: Runner, bound: BoundClaim, samples: Samples) -> int:
    """How many pairs may be followed, at least 2: what two return, twice, is the most that is kept."""
    two = observe_batch(bound, samples.take(torch.arange(2, device=runner.device) % samples.count))
    kept = record(runner, two).values.values()
    each = sum(t.numel() * t.element_size() for values in kept for t in values) / 2
    return max(2, int(MOST / max(each, 1)))


def _prime(count: int) -> int:
    """The largest prime up to `count`: a number of pairs that no other axis of the network is likely to have."""
    return next((n for n in range(count, 1, -1) if all(n % k for k in range(2, int(n**0.5) + 1))), count)
