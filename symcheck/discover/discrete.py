"""Finite symmetries nobody declared: candidates from shapes and from the graph of answers, each verified by the audit.

An element is screened by one forward pass per sample under four output actions (nothing, a change of sign, the same
permutation, or none of these); what passes is audited; what is exact generates a group that is audited as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.discover.candidates import Family, Row, exchanges, families
from symcheck.discover.discrete_result import Discrete, FiniteGroup, Tried
from symcheck.discover.exchange import exchanged, told_by_name
from symcheck.discover.group_names import name_of, needed
from symcheck.discover.judged import SCREEN, audited, error_of, finite_group, sentence, size_of
from symcheck.discover.moved import at_rest, bound_to, moved_outputs, spread_of
from symcheck.discover.packed import packed_rows
from symcheck.discover.turns import find_planar
from symcheck.errors import ClaimError, SymcheckError
from symcheck.groups.generated import Generated, generated, spelled_row
from symcheck.measure.audit import Audit
from symcheck.report.model import Finding, Verdict

_COUNTED = 170  # slots of which the order is told
_SURE = 1e-5  # of the spread: alike to rounding
_SAME, _SIGN, _STILL = "same", "sign", "invariant"


def find_discrete(session: Audit) -> Discrete:
    """The finite groups of a network, for each input and output; candidates that fail are listed, never dropped."""
    groups: list[FiniteGroup] = []
    tried: list[Tried] = []
    notes: list[str] = []
    if session.evaluator.samples.owner_name is not None:
        return packed_rows(session)
    _search(session, "", groups, tried, notes)
    for names in exchanges(session.evaluator):
        joined = exchanged(session, names)
        if joined is not None:
            made: list[FiniteGroup] = []
            _search(joined, " and ".join(names), made, tried, notes)
            groups += (told_by_name(group, names) for group in made)
    return Discrete(tuple(groups), tuple(tried), tuple(dict.fromkeys(notes)))


def _search(session: Audit, joined: str, groups: list[FiniteGroup], tried: list[Tried], notes: list[str]) -> None:
    """All families of one session; `joined` names inputs that were stacked, and then nothing else is searched."""
    name = next(iter(session.evaluator.samples.tensors))
    found = families(session.evaluator, session.high or session.low)
    if joined:
        found = [replace(f, rows={r: o for r, o in f.rows.items() if not f.signed([r])})
                 for f in found if f.input == name and f.axis == 0 and not f.also]  # fmt: skip
    for family in found:
        try:
            for screened in _screened(session, family, notes):
                _judge(session, _unimplied(screened, tried), joined, groups, tried)
        except SymcheckError as error:
            notes.append(f"{family.input}, axis {family.axis}: {error.message}")
    if not joined:
        find_planar(session, groups, tried)


def _everything(family: Family, rows: Sequence[Row]) -> bool:
    """Whether some rows give all permutations: an exchange of neighbours and one step, no signs."""
    n = family.degree
    neighbours, step = (1, 0, *range(2, n), n), (*range(1, n), 0, n)
    return n > 2 and {neighbours, step} <= set(rows) and min(map(min, rows)) >= 0


@dataclass(frozen=True)
class _Screened:
    """The rows of one family with what one output does under each, and the residual on the output's spread."""

    family: Family
    output: str
    shape: tuple[int, ...]
    actions: Mapping[Row, tuple[str, float]]


def _unimplied(one: _Screened, tried: Sequence[Tried]) -> _Screened:
    """Without the flips of several inputs at once that are exact for some of them and for the others, too."""
    names = {one.family.input, *one.family.also}
    exact: dict[str, list[set[str]]] = {}
    for other in tried:
        if other.output == one.output and other.verdict == Verdict.EXACT:
            exact.setdefault(other.what, []).append(set(other.input.split(", ")))

    def implied(row: Row) -> bool:
        held = exact.get(spelled_row(row), [])
        return min(row) < 0 and len(names) > 1 and any(names - part in held for part in held if part < names)

    return replace(one, actions={row: done for row, done in one.actions.items() if not implied(row)})


def _screened(session: Audit, family: Family, notes: list[str]) -> list[_Screened]:
    """f(g·x) of all candidates at once, compared with f(x) under each output action."""
    rows = list(family.rows)
    group = generated("Signed" if family.signed(rows) else "Perm", rows[:1])  # for its actions, not its elements
    moved_by = family.action(rows, family.shape, family.axis)
    moves = {family.input: moved_by, **family.also}
    bound = bound_to(session.evaluator, sentence(session, group.name, moves, {}))
    still = at_rest(session.evaluator, bound)
    moved = moved_outputs(session.evaluator, bound, torch.tensor(rows))
    found = []
    for output, y in still.items():
        spread = spread_of(y)
        if not (spread > 1e-9 * float(y.abs().mean() + 1e-300)):
            notes.append(f"{output} does not depend on the samples: nothing was tested")
            continue
        actions = {
            row: _plainest(_residuals(family, row, y, moved[output][k]), spread) for k, row in enumerate(rows)
        }
        scaled = {row: (action, size / spread) for row, (action, size) in actions.items()}
        found.append(_Screened(family, output, tuple(y.shape[1:]), scaled))
    return found


def _plainest(found: list[tuple[str, float]], spread: float) -> tuple[str, float]:
    """The first action that fits as well as the best does, up to rounding: inversion moves vectors and flips them."""
    best = min(size for _, size in found)
    return next(pair for pair in found if not pair[1] > max(2 * best, 1e-5 * spread))


def _residuals(family: Family, row: Row, y: Tensor, z: Tensor) -> list[tuple[str, float]]:
    """(action, root mean square of f(g·x) − ρ f(x)) for each output action that the shape allows."""
    found = [(_STILL, z - y)]
    axis = _following(family, tuple(y.shape[1:]))
    if axis is not None:
        row_ = torch.tensor([row])
        places, signs = torch.where(row_ < 0, ~row_, row_)[0, :-1], 1.0 - 2.0 * (row_ < 0)[0, :-1].double()
        shape = [1] * y.dim()
        shape[axis + 1] = -1
        carried = torch.empty_like(y).index_copy_(axis + 1, places, y * signs.reshape(shape))
        found.append((_SAME, z - carried))
    found.append((_SIGN, z + y))
    return [(action, size_of(delta)) for action, delta in found]


def _following(family: Family, shape: tuple[int, ...]) -> int | None:
    """The axis of an output that may move with the slots: the same place if its size fits, else the last."""
    fits = [i for i, size in enumerate(shape) if size == family.degree]
    if not fits or family.degree < 2:
        return None
    last = len(family.shape) - 1
    return family.axis if family.axis in fits and family.axis != last else fits[-1] if family.axis == last else fits[0]


def _judge(session: Audit, one: _Screened, joined: str, groups: list[FiniteGroup], tried: list[Tried]) -> None:
    """Audit what passed the screen, and the groups that the exact and the nearly exact rows generate.

    Rows that the screen finds alike to rounding are audited by the group that they generate; where that is not exact,
    and all others, row by row.
    """
    lead = joined or ", ".join((one.family.input, *one.family.also))
    marked = {row: (*row[:-1], ~row[-1]) if action == _SIGN else row for row, (action, _) in one.actions.items()}
    sure: dict[bool, list[Row]] = {}
    for same in (True, False):
        rows = [marked[r] for r, (action, size) in one.actions.items() if size <= _SURE and (action == _SAME) is same]
        made = _generated(session, one, rows, same, joined, lead) if len(rows) > 1 else []
        if made and made[0].verdict == Verdict.EXACT:
            sure[same] = rows
            groups += made
    kept: dict[tuple[bool, Verdict], list[Row]] = {(same, Verdict.EXACT): [*rows] for same, rows in sure.items()}
    for row, (action, residual) in one.actions.items():
        same, verdict, error = action == _SAME, str(Verdict.EXACT), float(residual)
        if marked[row] not in sure.get(same, ()):
            finding = audited(session, _text(session, one, [marked[row]], same), one.output, residual)
            verdict = "" if finding is None else str(finding.verdict)
            if finding is not None:
                error = error_of(finding, residual)
                kept.setdefault((same, finding.verdict), []).append(marked[row])
        done = action if residual <= SCREEN else ""
        tried.append(Tried(spelled_row(row), one.family.rows[row], lead, one.output, done, error, verdict))
    for same in (True, False):
        exact, near = (kept.get((same, verdict), []) for verdict in (Verdict.EXACT, Verdict.APPROXIMATE))
        whole = exact if len(exact) > len(sure.get(same, ())) else []
        groups[:] = [g for g in groups if not (whole and same in sure and g.input == lead and g.output == one.output
                                               and (g.action == _SAME) is same)]  # fmt: skip
        for rows in (whole, [*exact, *near] if near else []):
            if rows:
                groups += _generated(session, one, rows, same, joined, lead)


def _generated(
    session: Audit, one: _Screened, rows: list[Row], same: bool, joined: str, lead: str
) -> list[FiniteGroup]:
    """The group of these rows, audited as a whole; none where their signs contradict one another or it is broken."""
    if _everything(one.family, rows):
        return _symmetric(session, one, same, joined, lead)
    try:
        group = needed(generated("Signed" if one.family.signed(rows) else "Perm", rows))
    except ClaimError:
        return []
    text = _text(session, one, list(group.rows), same)
    finding = audited(session, text, one.output)
    if finding is None or not finding.verdict.holds:
        return []
    action = _SAME if same else _SIGN if group.odd else _STILL
    return [_group(finding, lead, group, action, "" if joined else _shorter(text, one, group))]


def _symmetric(session: Audit, one: _Screened, same: bool, joined: str, lead: str) -> list[FiniteGroup]:
    """All permutations of the slots, audited as `S`: of many slots nothing has to be listed."""
    n = one.family.degree
    steps = [(1, 0, *range(2, n), n), (*range(1, n), 0, n)]
    text = f"S:{_text(session, one, steps[:1], same).partition(':')[2]}"
    finding = audited(session, text, one.output)
    if finding is None or not finding.verdict.holds:
        return []
    written, order = tuple(map(spelled_row, steps)), math.factorial(n) if n <= _COUNTED else 0
    does = _SAME if same else _STILL
    return [finite_group(finding, lead, "S", (f"S{n}", order), written, does, "" if joined else text)]


def _group(finding: Finding, lead: str, group: Generated, action: str, claim: str) -> FiniteGroup:
    written = tuple(map(spelled_row, group.rows))
    name, order = name_of(group), int(group.order or 0)
    return finite_group(finding, lead, group.name, (name, order), written, action, claim)







def _text(session: Audit, one: _Screened, rows: list[Row], same: bool) -> str:
    """The claim that these rows hold for one output; the others are left out."""
    family = one.family
    group = generated("Signed" if family.signed(rows) else "Perm", rows)
    axis = _following(family, one.shape)
    action = family.action(rows, one.shape, axis) if same and axis is not None else ""
    action = action or ("homogeneous" if group.odd else "invariant")
    moves = {family.input: family.action(rows, family.shape, family.axis), **family.also}
    return sentence(session, group.name, moves, {one.output: action})


def _shorter(text: str, one: _Screened, group: Generated) -> str:
    """The same claim with the group's own name where there is one: S, A, Shift(1)."""
    degree, rest = group.degree, text.partition(":")[2]
    if group.odd or group.kind != "Perm" or degree < 3:
        return text
    name = name_of(group)
    if name in (f"S{degree}", f"A{degree}"):
        return f"{name[0]}:{rest}"
    step = (*range(1, degree), 0, degree)
    turns = group.order == degree and step in group.rows and one.family.axis == 0 and not one.family.also
    return f"Shift(1):{rest}".replace("nodes", "sequence") if turns else text

