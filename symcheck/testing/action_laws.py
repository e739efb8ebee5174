"""The laws of an action, for those who write their own: every law yields the ways in which the action breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.actions.base import Action, Bound
from symcheck.actions.plain import make_action
from symcheck.errors import ClaimError, SymcheckError
from symcheck.grammar import parse_term
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.measure.laws import check_law
from symcheck.report.numbers import number
from symcheck.testing.group_laws import mixed_elements

Problems = Iterator[str]
_N = 12  # rows a law
_TIGHT = 1e-11  # relative, in float64
_SINGLE = 1e-4  # relative, between float32 and float64
_RIGID = 1e-9  # relative change of a distance
_SMALL = 0.02  # how far resampled elements are from the identity
_LOOSE = 0.5  # of the way that those move anything


@dataclass(frozen=True)
class Case:
    """An action of a bound group on rows x, (n, *S), with elements g, half of order three and more."""

    action: Action
    bound: Bound
    x: Tensor
    g: Tensor
    exact: Tensor

    @property
    def floating(self) -> bool:
        """Whether the samples are real numbers."""
        return self.x.is_floating_point()


def check_action(
    action: Action | str, group: Group | str, shape: tuple[int, ...], *, example: Tensor | None = None
) -> None:
    """Assert the laws of an action on samples of one shape: (gh)x = g(hx), ex = x, g⁻¹(gx) = x.

    Also that shape and dtype are kept, that a row does not depend on the others, that `represent` is in float64 or
    int64, and that `exact`, `isometric`, `trivial` and `name` say the truth. Elements that are resampled need only be
    finite, and near the law close to the identity. `example` (n, *S) replaces normal noise where the action needs
    other data: rotations, or integers.
    Raises AssertionError with every law that is broken, and by how much; ClaimError when the group cannot act at all.
    """
    __tracebackhide__ = True
    found = case(action, group, shape, example)
    if problems := [f"{name}: {words}" for name, law in LAWS.items() for words in broken(law, found)]:
        title = f"{found.action.name} is not an action of {found.bound.group.name} as symcheck needs it"
        raise AssertionError("\n  ".join([title, *problems]))


def case(action: Action | str, group: Group | str, shape: tuple[int, ...], example: Tensor | None = None) -> Case:
    """The action bound to the group as an input of this shape would bind it, with data and elements."""
    made = make_action(parse_term(action)) if isinstance(action, str) else action
    loose = make_group(group) if isinstance(group, str) else group
    bound = Bound((made,), loose.bind(made.extents(shape)))
    for part in bound.parts:
        made.check(part.group, shape, f"a sample of shape {shape}")
    if bound.trivial and not made.trivial:
        raise ClaimError(
            f"'{made.name}' does not act: {bound.group.name} has none of the faces that it uses",
            where=f"uses {sorted(made.uses)}; the group offers {sorted(bound.group.faces)}",
            hint="give the action a face of the group in `uses`, or set `trivial`",
        )
    x = Draws(2, "x").normal(_N, *shape) if example is None else example[torch.arange(_N) % len(example)]
    g = mixed_elements(bound.group, _N, "g")
    lattice = made.lattice(bound.group) if bound.parts and len(bound.group.factors()) == 1 else None
    try:
        if lattice is not None and not bool(bound.exact(g).any()):
            g = torch.cat([lattice[torch.arange(_N // 2) % len(lattice)], g])[:_N]
        return Case(made, bound, x.double() if x.is_floating_point() else x, g, bound.exact(g))
    except RuntimeError as error:
        title = f"{made.name} is not an action of {bound.group.name} as symcheck needs it"
        raise AssertionError(f"{title}\n  exact: raised {error}; it must give one bool an element") from error


def broken(law: Callable[[Case], Problems], found: Case) -> list[str]:
    """What one law finds; an exception in the action's own code is a finding too."""
    try:
        return list(law(found))
    except Exception as error:  # whatever a user's action may raise is reported as the action's
        first = error.message if isinstance(error, SymcheckError) else f"{type(error).__name__}: {error}"
        return [f"raised {first}"]


def is_a_left_action(found: Case) -> Problems:
    """(gh)x = g(hx), ex = x, g⁻¹(gx) = x, for elements that need no resampling."""
    if not bool(found.exact.any()):
        return
    law = check_law(found.bound, found.g[found.exact], found.x, _N)
    for what, gap in (("(gh)x is not g(hx)", law.composition), ("ex is not x", law.identity)):
        if not gap <= _TIGHT:
            yield f"{what}: off by {number(gap)} of the size"
    if not law.round_trip <= _TIGHT:
        yield f"g⁻¹(gx) is not x: off by {number(law.round_trip)} of the size"


def resampling_is_near_the_law(found: Case) -> Problems:
    """Elements that `exact` leaves out: finite everywhere, and (gh)x = g(hx) on smooth data close to the identity."""
    group, action = found.bound.group, found.bound
    if bool(found.exact.all()):
        return
    if not bool(torch.isfinite(action(found.g, found.x)).all()):
        yield "a resampled row is not finite"
    if type(group).nearby is Group.nearby:
        return
    a, b = (group.nearby(group.identity(_N), _SMALL, Draws(4, key)) for key in "ab")
    x = _smooth(found.x)
    once, twice = action(group.compose(a, b), x), action(a, action(b, x))
    way = max(_norm(action(a, x) - x), _norm(once - x))
    if not _norm(action.difference(twice, once)) <= max(_LOOSE * way, _TIGHT * _norm(x)):
        yield f"for small elements (gh)x is off g(hx) by {number(_norm(twice - once) / way)} of the way that x moves"


def shape_and_dtype_are_kept(found: Case) -> Problems:
    """g·x is as x is; in float32, and as integers where elements are integers, it is what float64 gives."""
    rounded = (100 * found.x).round() if found.floating else found.x
    dtypes = [torch.float32, torch.float64] if found.floating else [found.x.dtype]
    if found.floating and not any(t.is_floating_point() for rep in found.bound.represent(found.g) for t in rep):
        dtypes.append(torch.int64)
    wide = found.bound(found.g, rounded)
    for dtype in dtypes:
        moved = found.bound(found.g, rounded.to(dtype))
        if moved.shape != found.x.shape or moved.dtype != dtype:
            yield f"rows {tuple(found.x.shape)} {dtype} became {tuple(moved.shape)} {moved.dtype}"
        elif not _norm(found.bound.difference(moved.double(), wide.double())) <= _SINGLE * _norm(wide.double()):
            yield f"in {dtype} the result is another one"


def rows_stand_alone(found: Case) -> Problems:
    """A row does not depend on its batch-mates."""
    whole = found.bound(found.g, found.x)
    alone = torch.cat([found.bound(found.g[i : i + 1], found.x[i : i + 1]) for i in range(5)])
    gap = _norm(found.bound.difference(whole[:5].double(), alone.double())) / (_norm(whole.double()) or 1.0)
    if not gap <= _TIGHT:
        yield f"a row moved alone is off by {number(gap)} of the size"


def distances_are_kept_where_declared(found: Case) -> Problems:
    """isometric: ||gx − gy|| = ||x − y||, under groups that do not stretch themselves."""
    if not (found.bound.isometric and found.floating and bool(found.exact.any()) and _rigid(found)):
        return
    gap = stretch(found)
    if not gap <= _RIGID:
        yield f"isometric is set, but distances change by up to {number(gap)} of themselves"


def stretch(found: Case) -> float:
    """The largest relative change of a distance under an element that needs no resampling."""
    g, x, y = found.g[found.exact], found.x[found.exact], found.x.roll(1, 0)[found.exact]
    gap = found.bound.difference if any(action.curved for action in found.bound.actions) else torch.sub
    before = gap(x, y).flatten(1).norm(dim=1)
    after = gap(found.bound(g, x), found.bound(g, y)).flatten(1).norm(dim=1)
    return float(((after - before).abs() / before.clamp(min=1e-300)).max())


def represents_once(found: Case) -> Problems:
    """`represent` gives tensors in float64 or int64 on the CPU, one row an element."""
    for rep in found.bound.represent(found.g):
        for t in rep:
            if len(t) != len(found.g) or t.dtype not in (torch.float64, torch.int64) or t.device.type != "cpu":
                yield f"represent gave {t.dtype} of shape {tuple(t.shape)} on {t.device} for {len(found.g)} elements"


def moves_or_is_trivial(found: Case) -> Problems:
    """Something moves unless `trivial` is set, and nothing if it is."""
    group = found.bound.group
    if not found.action.trivial:
        if not bool((found.bound(found.g, found.x) != found.x).any()):
            yield "nothing ever moves, but trivial is not set"
    elif not torch.equal(found.action.act(group, found.action.represent(group, found.g), found.x), found.x):
        yield "trivial is set, but act moves x"


def names_parse_back(found: Case) -> Problems:
    """The name gives the same action again, where it is registered."""
    try:
        again = make_action(parse_term(found.action.name)).name
    except SymcheckError:
        return  # not registered
    if again != found.action.name:
        yield f"the name '{found.action.name}' parses back to '{again}'"


LAWS: dict[str, Callable[[Case], Problems]] = {
    "left action": is_a_left_action,
    "resampling": resampling_is_near_the_law,
    "shape": shape_and_dtype_are_kept,
    "rows": rows_stand_alone,
    "distances": distances_are_kept_where_declared,
    "represent": represents_once,
    "movement": moves_or_is_trivial,
    "name": names_parse_back,
}


def _rigid(found: Case) -> bool:
    """Whether the group's own matrices are orthogonal, and its factors signs."""
    for factor, g in zip(found.bound.group.factors(), found.bound.group.split(found.g), strict=True):
        for kind in {"linear", "unimodular"} & factor.faces:
            r = factor.face(kind, g).double()
            if not float((r.mT @ r - torch.eye(r.shape[-1], dtype=r.dtype)).abs().max()) <= _RIGID:
                return False
        if "factor" in factor.faces and not float((factor.face("factor", g).abs() - 1).abs().max()) <= _RIGID:
            return False
    return True


def _smooth(x: Tensor) -> Tensor:
    """Noise without high frequencies on every axis of 8 and more, dying out at both ends."""
    for axis in (i for i in range(1, x.dim()) if x.shape[i] >= 8):
        n = x.shape[axis]
        spectrum = torch.fft.rfft(x, dim=axis)
        kept = torch.arange(spectrum.shape[axis]) <= max(1, n // 8)
        along = [1] * x.dim()
        along[axis] = -1
        window = torch.hann_window(n, periodic=False, dtype=torch.float64).view(along)
        x = torch.fft.irfft(spectrum * kept.view(along), n=n, dim=axis) * window
    return x


def _norm(x: Tensor) -> float:
    return float(x.double().norm())
