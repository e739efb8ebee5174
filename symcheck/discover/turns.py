"""Groups of the plane by name: turns, mirrors and shifts of pictures, and turns and mirrors of vectors in the plane."""

from __future__ import annotations

from collections.abc import Iterator

from symcheck.claim import Claim
from symcheck.discover.candidates import is_image, planar
from symcheck.discover.discrete_result import FiniteGroup, Tried
from symcheck.discover.judged import SCREEN, audited, error_of, finite_group, sentence, size_of
from symcheck.discover.moved import at_rest, bound_to, moved_outputs, spread_of
from symcheck.measure.audit import Audit
from symcheck.measure.evaluator import Evaluator
from symcheck.report.model import Verdict

_TURNS = ("D8", "C8", "D6", "C6", "D5", "C5", "D3", "C3")  # what signed permutations of two coordinates do not give


def find_planar(session: Audit, groups: list[FiniteGroup], tried: list[Tried]) -> None:
    """Every group of every picture and of every input of vectors in the plane, larger ones first."""
    for group, lead in planar(session.evaluator):
        _picture(session, group, lead, groups, tried)
    for names in _plane(session.evaluator):
        for group in _TURNS:
            _vectors(session, group, names, groups, tried)


def _picture(session: Audit, group: str, lead: str, groups: list[FiniteGroup], tried: list[Tried]) -> None:
    """One group of turns, mirrors or shifts of a picture, for outputs that stay or are pictures themselves."""
    bound = bound_to(session.evaluator, sentence(session, group, {lead: "image"}, {}))
    shapes = {name: tuple(y.shape[1:]) for name, y in at_rest(session.evaluator, bound).items()}
    for output, shape in shapes.items():
        flat = session.evaluator.samples.tensors[lead].dim() == 3
        if any(_covers(g.group, group) or (flat and g.name.startswith("S")) for g in groups
               if lead in g.input.split(", ") and g.output == output):  # fmt: skip
            continue  # it is part of a group that was found, or the rows are a set and no picture
        for action in ("invariant", "image") if len(shape) >= 2 and min(shape[-2:]) > 1 else ("invariant",):
            text = sentence(session, group, {lead: "image"}, {output: action})
            if _told(session, group, text, ("picture", lead, output, action), groups, tried):
                break


def _plane(evaluator: Evaluator) -> Iterator[tuple[str, ...]]:
    """Inputs whose last axis are two numbers: each, then all together."""
    tensors = evaluator.samples.tensors
    names = [n for n, x in tensors.items() if x.is_floating_point() and x.dim() > 1 and x.shape[-1] == 2]
    names = [n for n in names if not is_image(tensors[n])]
    yield from ((name,) for name in names)
    if len(names) > 1:
        yield tuple(names)


def _vectors(
    session: Audit, group: str, names: tuple[str, ...], groups: list[FiniteGroup], tried: list[Tried]
) -> None:
    """One group of the plane on some inputs, for outputs that stay or are vectors; one turn decides on the audit."""
    moves, lead, degree = dict.fromkeys(names, "vector"), ", ".join(names), int(group[1:])
    bound = bound_to(session.evaluator, sentence(session, f"C{degree}", moves, {}))
    step = bound.group.elements()
    if step is None:
        return
    still = at_rest(session.evaluator, bound)
    moved = moved_outputs(session.evaluator, bound, step[1:2])
    turn = bound.group.face("linear", step[1:2])[0].double()
    for output, y in still.items():
        same = [g for g in groups if g.output == output]
        inside = any(g.input == lead and _covers(g.group, group) for g in same)
        spread = spread_of(y)
        if inside or _alone(group, names, same) or not spread > 0:
            continue
        residuals = {"invariant": size_of(moved[output][0] - y)}
        if y.dim() > 1 and y.shape[-1] == 2:
            residuals["vector"] = size_of(moved[output][0] - y @ turn.mT)
        action, residual = min(residuals.items(), key=lambda pair: pair[1])
        if not residual <= SCREEN * spread:
            tried.append(Tried(group, "turn of the plane", lead, output, "", residual / spread, ""))
            continue
        text = sentence(session, group, moves, {output: action})
        _told(session, group, text, ("turn of the plane", lead, output, action), groups, tried)


def _alone(group: str, names: tuple[str, ...], found: list[FiniteGroup]) -> bool:
    """Whether the group moves each of several inputs alone: then they need not move together."""
    kept = {g.input for g in found if g.action == "invariant" and (g.group == group or _covers(g.group, group))}
    return len(names) > 1 and kept >= set(names)


def _told(
    session: Audit, group: str, text: str, about: tuple[str, str, str, str],
    groups: list[FiniteGroup], tried: list[Tried],
) -> bool:  # fmt: skip
    """Audit one claim; whether the group was exact."""
    origin, lead, output, action = about
    finding = audited(session, text, output)
    if finding is None:
        return False
    tried.append(Tried(group, origin, lead, output, action, error_of(finding, float("nan")), str(finding.verdict)))
    if finding.verdict is not Verdict.EXACT:
        return False
    order = Claim.parse(text).bind(session.evaluator.samples.shapes()).group.order
    does = "same" if action == "vector" else action
    groups.append(finite_group(finding, lead, group, (group, order or 0), (group,), does, text))
    return True


def _covers(large: str, small: str) -> bool:
    """Whether one group of the plane contains another."""
    if large.startswith("Shift") and small.startswith("Shift"):
        return int(small[6:-1]) % int(large[6:-1]) == 0
    if not all(name[0] in "CD" and name[1:].isdigit() for name in (large, small)) or large == small:
        return False
    return (large[0], small[0]) != ("C", "D") and int(large[1:]) % int(small[1:]) == 0
