"""Other ways to find the units than weight matching; each leaves its answer in the problem.

    activations       the units whose activations correlate best on the data, then the rest by their weights
    sinkhorn          weight matching over doubly stochastic matrices that harden, rounded and matched again
    straight-through  the element for which the loss halfway is least: A + π(B) forward, gradients to A's copy
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from symcheck.align.activations import correlations
from symcheck.align.assign import assign
from symcheck.align.evidence import Evidence
from symcheck.align.problem import Problem
from symcheck.align.products import Products
from symcheck.align.weight import Ascent, match
from symcheck.errors import ConfigError, ModelError
from symcheck.measure.loss import scores
from symcheck.registry import suggest
from symcheck.weights.doubled import private
from symcheck.weights.spec import Space

Tell = Callable[[float], None]
MATCHERS = ("weights", "activations", "sinkhorn", "straight-through")
_TEMPERATURES = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)  # of the deviation of the gains
_ROUNDS = 30
_STEPS, _RATE = 60, 1e-3  # of Adam, on the copy of A


def matched_by(
    matcher: str,
    problem: Problem,
    order: list[str] | None,
    evidence: Evidence | None,
    tell: Tell | None = None,
    products: Products | None = None,
) -> tuple[Ascent, tuple[str, ...]]:
    """Run a matcher from where the problem stands; what it did, and what it has to say."""
    if matcher not in MATCHERS:
        raise ConfigError(f"there is no matcher '{matcher}'", where="matcher", hint=suggest(matcher, [*MATCHERS]))
    if matcher == "weights":
        return match(problem, order, tell, products=products), ()
    if matcher == "sinkhorn":
        return by_sinkhorn(problem, tell), ()
    if evidence is None:
        raise ConfigError(
            f"the matcher '{matcher}' looks at data", where="matcher", hint="give the network and inputs: --model, -i"
        )
    if matcher == "activations":
        return by_activations(problem, evidence, tell)
    return by_straight_through(problem, evidence, tell), ()


def by_activations(problem: Problem, evidence: Evidence, tell: Tell | None = None) -> tuple[Ascent, tuple[str, ...]]:
    """Spaces whose activations are seen in one output at least, by assignment on correlations; the rest by weights."""
    sides = [evidence.state_of(problem.spec, side) for side in (problem.a, problem.b)]
    found = correlations(evidence.module, sides[0], sides[1], problem.spec, evidence.batches())
    seen = [problem.spec.spaces[name] for name in problem.matched if name in found.matrices]
    seen = [space for space in seen if not space.over and not any(problem.inner(space))]
    if not seen:
        raise ConfigError(
            "no output of a module shows the activations of a space",
            where="--matcher activations",
            hint="use --matcher weights for this network",
        )
    for space in seen:
        gains = found.matrices[space.name][0].to(problem.device)
        signs = problem.signs(space)
        problem.source[space.name] = source = assign(gains.abs() if signs else gains)
        for sign in signs:
            picked = gains.gather(1, source[:, None])[:, 0]
            flips = torch.ones(space.size, dtype=torch.float64)
            flips[source.cpu()] = torch.where(picked < 0, -1.0, 1.0).double().cpu()
            if bool((flips < 0).any()):
                problem.turn(sign, flips)
    held = {space.name for space in seen} | {sign.name for space in seen for sign in problem.signs(space)}
    done = match(problem, [name for name in problem.matched if name not in held], tell, held=frozenset(held))
    return done, found.notes


def by_sinkhorn(problem: Problem, tell: Tell | None = None) -> Ascent:
    """Coordinate ascent over doubly stochastic matrices, from soft to hard; then weight matching from there."""
    soft = [problem.spec.spaces[name] for name in problem.matched]
    soft = [space for space in soft if not space.over and not any(problem.inner(space))]
    for temperature in _TEMPERATURES:
        for space in soft:
            gains = _gains(problem, space)
            size = float(gains.std()) or 1.0
            problem.soft[space.name] = doubly_stochastic(gains / (temperature * size))
    for space in soft:
        matrix = problem.soft.pop(space.name)
        problem.source[space.name] = assign(matrix)
    problem.best.clear()  # a rounded matrix is no assignment of the gains
    return match(problem, None, tell)


def by_straight_through(problem: Problem, evidence: Evidence, tell: Tell | None = None) -> Ascent:
    """Learn a copy of A such that weight matching B to it lowers the loss of the mean of A and π(B).

    Source: Ainsworth et al. 2022, arXiv:2209.04836, section 3.3.
    """
    if evidence.loss is None:
        raise ConfigError("there is no loss", where="--matcher straight-through", hint="give labels, and --loss")
    match(problem)
    own = private(evidence.module)
    learned = {problem.spec.ties.get(n, n) for n, _ in evidence.module.named_parameters()}
    free = {n: t.clone().requires_grad_() for n, t in problem.a.items() if n in problem.voting & learned}
    optimiser = torch.optim.Adam(free.values(), lr=_RATE)
    batches = list(evidence.data.batches(512))
    best = (float("inf"), dict(problem.source), dict(problem.b), dict(problem.element))
    trial = replace(problem, b=dict(problem.b), source=dict(problem.source), element=dict(problem.element), version={})
    for step in range(_STEPS):
        trial.a = {**problem.a, **{n: t.detach() for n, t in free.items()}}
        match(trial)
        arranged = trial.spec.apply({n: trial.targets(n).cpu() for n in trial.matched}, dict(trial.b))
        passed = {n: t + (arranged[n] - t).detach() for n, t in free.items()}
        middle = {n: (problem.a[n] + passed[n]) / 2 if n in passed else _middle(problem.a[n], arranged[n])
                  for n in problem.a}  # fmt: skip
        loss = evidence.loss_at(evidence.state_of(trial.spec, middle), batches[step % len(batches)])
        own.load_state_dict(evidence.state_of(trial.spec, {n: t.detach() for n, t in middle.items()}))
        whole = float(scores(own, evidence.data, evidence.loss).loss.mean())
        if whole < best[0]:
            best = (whole, dict(trial.source), dict(trial.b), dict(trial.element))
        if not loss.requires_grad or not bool(loss.isfinite()):
            raise ModelError(
                "the loss halfway has no gradient" if loss.isfinite() else "the loss halfway is not finite",
                where="--matcher straight-through",
                hint="give another --loss, or use --matcher weights",
            )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if tell is not None:
            tell(whole)
    problem.source.update(best[1])
    problem.restore(best[2], best[3])
    return Ascent([problem.objective()], _STEPS)


def doubly_stochastic(logits: Tensor) -> Tensor:
    """exp(logits) scaled to rows and columns that sum to 1 (Sinkhorn and Knopp 1967), (n, n)."""
    for _ in range(_ROUNDS):
        logits = logits - logits.logsumexp(1, keepdim=True)
        logits = logits - logits.logsumexp(0, keepdim=True)
    return logits.exp()


def _gains(problem: Problem, space: Space) -> Tensor:
    """How well every unit of A fits every unit of B, the others as soft as they are; up to signs."""
    classes = Products(problem, 0).gains(space)
    return sum((g.abs() if key else g for key, g in classes.items()), torch.zeros((), device=problem.device))


def _middle(a: Tensor, b: Tensor) -> Tensor:
    return (a + b) / 2 if a.is_floating_point() else a
