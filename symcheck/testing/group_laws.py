"""The laws of a group, for those who write their own: every law yields the ways in which the group breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from symcheck.errors import ClaimError, SymcheckError
from symcheck.groups.base import Extents, Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.report.numbers import number
from symcheck.testing.faces import face_problems
from symcheck.testing.flow_laws import flow_problems

Problems = Iterator[str]
_N = 16  # elements a law
_TIGHT = 1e-12  # of the size of what is multiplied, in float64
_NEAR = 1e-6  # elements of a list that are nearer are the same one
_DRAWN = 1500  # elements whose law is tested


def check_group(group: Group | str, *, extents: Extents | None = None) -> None:
    """Assert the laws of a group: a (bc) = (ab) c, e a = a, a⁻¹ a = e, a^|G| = e, and that faces are homomorphisms.

    Also that `elements` lists every element once, identity first; that `sample` is reproducible row by row and, where
    `law` says uniform, is; that `proper`, `nearby`, `flows` and `label` keep their words. Half of the elements are of
    order 3 and more where there are such. `extents` says what data would decide, as Extents(degree=5) for S. In
    float64.
    Raises AssertionError with every law that is broken, and by how much; ClaimError when the name is no group.
    """
    __tracebackhide__ = True
    made = make_group(group) if isinstance(group, str) else group
    made = made.bind(extents) if extents is not None else made
    if problems := [f"{name}: {words}" for name, law in LAWS.items() for words in broken(law, made)]:
        raise AssertionError("\n  ".join([f"{made.name} is not a group as symcheck needs it", *problems]))


def broken(law: Callable[[Group], Problems], group: Group) -> list[str]:
    """What one law finds; an exception in the group's own code is a finding too."""
    try:
        return list(law(group))
    except SymcheckError:  # the group itself says what is missing
        raise
    except Exception as error:  # whatever a user's group may raise is reported as the group's
        return [f"raised {type(error).__name__}: {error}"]


def mixed_elements(group: Group, n: int, key: str) -> Tensor:
    """n elements, every second one of order three and more where there are such: involutions hide inverse mistakes.

    The others are drawn as they come: in a dihedral group all of order three and more commute.
    """
    g = group.sample(8 * n, Draws(5, key))
    twice = (group.compose(g, g) - group.identity(len(g))).abs().reshape(len(g), -1).sum(1)
    order = torch.arange(n)
    if len(long := torch.nonzero(twice > _NEAR).flatten()):
        order[::2] = long[order[::2] % len(long)]
    return g[order]


def associative(group: Group) -> Problems:
    """(ab)c = a(bc), with elements of the same shape and dtype."""
    a, b, c = (mixed_elements(group, _N, key) for key in "abc")
    left, right = group.compose(group.compose(a, b), c), group.compose(a, group.compose(b, c))
    yield from _differ("(ab)c is not a(bc)", left, right, size(a, b, c))
    if left.shape != a.shape or left.dtype != a.dtype:
        yield f"compose makes {_kind(left)} of elements that are {_kind(a)}"


def has_identity(group: Group) -> Problems:
    """ea = ae = a, in float64 or int64."""
    a, e = mixed_elements(group, _N, "a"), group.identity(_N)
    if e.dtype not in (torch.float64, torch.int64):
        yield f"elements are {_kind(e)}; they must be float64 or int64"
    yield from _differ("ae is not a", group.compose(a, e), a, size(a))
    yield from _differ("ea is not a", group.compose(e, a), a, size(a))


def has_inverses(group: Group) -> Problems:
    """a⁻¹a = aa⁻¹ = e."""
    a, e = mixed_elements(group, _N, "a"), group.identity(_N)
    back = group.inverse(a)
    yield from _differ("a times its inverse is not the identity", group.compose(a, back), e, size(a, back))
    yield from _differ("the inverse times a is not the identity", group.compose(back, a), e, size(a, back))


def has_its_order(group: Group) -> Problems:
    """a^|G| = e, as in every finite group (Lagrange)."""
    if group.order is None:
        if group.elements() is not None:
            yield "order is None, infinite, but elements() lists them"
        return
    power, base, left = group.identity(_N), mixed_elements(group, _N, "a"), group.order
    while left:
        power, base, left = group.compose(power, base) if left % 2 else power, group.compose(base, base), left // 2
    gap = _gap(power, group.identity(_N))
    if not gap <= _NEAR:
        yield f"order is {group.order}, but a^{group.order} is off the identity by {number(gap)}"


def faces_are_homomorphisms(group: Group) -> Problems:
    """face(ab) is what face(a) and face(b) make together, and an unknown face is refused."""
    a, b = (mixed_elements(group, _N, key) for key in "ab")
    for kind in sorted(group.faces):
        for words in face_problems(group, kind, a, b):
            yield f"face '{kind}': {words}"
    for part in group.factors():
        try:
            part.face("colour", part.identity(1))
        except ClaimError:
            continue
        yield "face('colour', g) is not refused: end `face` with super().face(kind, g)"


def lists_its_elements(group: Group) -> Problems:
    """elements(): |G| different ones, identity first, closed, and all that is sampled."""
    g = group.elements()
    if g is None or group.order is None:
        return
    if len(g) != group.order:
        yield f"elements() lists {len(g)}, but the order is {group.order}"
    yield from _differ("the first of elements() is not the identity", g[:1], group.identity(1), 1.0)
    if (distinct := len(torch.unique(g.double().round(decimals=6), dim=0))) != len(g):
        yield f"of the {len(g)} of elements() only {distinct} are different"
    pick = Draws(1, "pairs").integers(400, 2, high=len(g))
    made = {
        "ab": group.compose(g[pick[:, 0]], g[pick[:, 1]]),
        "the inverse of a": group.inverse(g[pick[:, 0]]),
        "what sample() draws": group.sample(100, Draws(1, "listed")),
    }
    for what, elements in made.items():
        if not bool((nearest(g, elements)[0] < _NEAR).all()):
            yield f"{what} is not always among elements()"


def sampling_is_reproducible(group: Group) -> Problems:
    """Row i of a sample depends on (seed, key, i) alone, whatever the batch."""
    g = group.sample(20, Draws(3, "rows"))
    for n, start in ((6, 0), (7, 13), (1, 19), (20, 0)):
        if not torch.equal(g[start : start + n], group.sample(n, Draws(3, "rows", start=start))):
            yield f"rows {start} to {start + n - 1} of 20 are others when they are drawn alone"
    if len(group.sample(0, Draws(3, "rows"))):
        yield "a sample of 0 elements is not empty"
    if group.order != 1:
        for what, rng in (("seeds", Draws(4, "rows")), ("keys", Draws(3, "other"))):
            if torch.equal(g, group.sample(20, rng)):
                yield f"different {what} draw the same elements"


def orientation_is_a_sign(group: Group) -> Problems:
    """proper(ab) = (proper(a) = proper(b)); mirrors are drawn where has_improper says so, and only there."""
    a, b = (group.sample(400, Draws(7, key)) for key in "ab")
    signs = [group.proper(g) for g in (a, b, group.compose(a, b))]
    if not torch.equal(signs[2], signs[0] == signs[1]):
        yield "proper(ab) is not the product of proper(a) and proper(b)"
    share = float(signs[0].double().mean())
    if group.has_improper and not 0.25 < share < 0.75:
        yield f"has_improper is set, but {number(100 * share)} % of a sample is proper, not about half"
    if not group.has_improper and share < 1:
        yield f"{number(100 * (1 - share))} % of a sample reverses orientation, but has_improper is not set"


def neighbours_are_near(group: Group) -> Problems:
    """nearby(): reproducible elements of the same kind, not g itself, but near it where elements are continuous."""
    a = mixed_elements(group, _N, "a")
    near = group.nearby(a, 1e-3, Draws(2, "near"))
    if near.shape != a.shape or near.dtype != a.dtype:
        yield f"nearby makes {_kind(near)} of elements that are {_kind(a)}"
        return
    if not torch.equal(near, group.nearby(a, 1e-3, Draws(2, "near"))):
        yield "nearby is not reproducible"
    if not bool((near != a).any()) and group.order != 1:
        yield "nearby never moves"
    for factor, x, y in zip(group.factors(), group.split(a), group.split(near), strict=True):
        if factor.order is not None or not x.is_floating_point() or type(factor).nearby is Group.nearby:
            continue
        if not _gap(x, y) < 0.1 * size(x):
            yield f"nearby by 0.001 moves elements by {number(_gap(x, y))}"
        still = factor.nearby(x, torch.zeros(len(x), dtype=torch.float64), Draws(2, "near"))
        yield from _differ("nearby by 0, given for each row, is not g", still, x, 10 * size(x))


def is_uniform(group: Group) -> Problems:
    """Where `law` says so. Finite: χ² of the counts. Compact: E L and E L⊗L do not change under an element."""
    if not group.compact or "uniform" not in group.law:
        return
    drawn, elements = group.sample(_DRAWN, Draws(11, "uniform")), group.elements()
    if elements is not None and len(elements) <= _DRAWN // 10:
        counts = nearest(elements, drawn)[1].bincount(minlength=len(elements))
        expected = _DRAWN / len(elements)
        spread = float((counts - expected).square().sum() / expected)
        if not spread <= len(elements) + 6 * (2 * len(elements)) ** 0.5:
            yield f"χ² of {_DRAWN} draws is {number(spread)} for {len(elements)} elements"
    elif "linear" in group.faces:
        matrix = group.face("linear", drawn)
        square = torch.einsum("nij,nkl->nikjl", matrix, matrix).flatten(3).flatten(1, 2)
        for what, moments in (("first", matrix), ("second", square)):
            mean, h = moments.mean(0), moments[:3]
            gap = max(float((moved - mean).abs().max()) for moved in (h @ mean, mean @ h))
            if not gap < 6 / _DRAWN**0.5:
                yield f"the {what} moments of {_DRAWN} draws change by {number(gap)} under an element"


def is_printable(group: Group) -> Problems:
    """A name that parses back where it is registered, a law, and a line for every element."""
    try:
        again = make_group(group.name).name
    except SymcheckError:
        again = group.name  # not registered
    if not group.name or str(group) != group.name or again != group.name:
        yield f"the name '{group.name}' is printed as '{group}' and parses back to '{again}'"
    if not group.law:
        yield "law is empty: say from which distribution `sample` draws"
    g = mixed_elements(group, 4, "a")
    if odd := [label for label in (group.label(g, i) for i in range(len(g))) if not label or "\n" in label]:
        yield f"the label of an element is {odd[0]!r}, not one line"


LAWS: dict[str, Callable[[Group], Problems]] = {
    "associativity": associative,
    "identity": has_identity,
    "inverse": has_inverses,
    "order": has_its_order,
    "faces": faces_are_homomorphisms,
    "elements": lists_its_elements,
    "sampling": sampling_is_reproducible,
    "orientation": orientation_is_a_sign,
    "neighbours": neighbours_are_near,
    "flows": flow_problems,
    "uniformity": is_uniform,
    "words": is_printable,
}


def nearest(elements: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of each row of g to the list, and the place of the nearest element."""
    found = torch.cdist(g.double().reshape(len(g), -1), elements.double().reshape(len(elements), -1)).min(1)
    return found.values, found.indices


def size(*gs: Tensor) -> float:
    """The product of the largest entries, at least 1 each: what rounding is relative to."""
    return float(torch.stack([g.abs().max().double().clamp(min=1.0) for g in gs]).prod())


def _differ(what: str, a: Tensor, b: Tensor, scale: float) -> Problems:
    gap = _gap(a, b)
    if not gap <= (_TIGHT * scale if a.is_floating_point() else 0):
        yield f"{what}: they differ by {number(gap)}"


def _gap(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite between different shapes."""
    return float((a - b).abs().max()) if a.shape == b.shape else float("inf")


def _kind(g: Tensor) -> str:
    return f"{str(g.dtype).removeprefix('torch.')} of shape {tuple(g.shape)}"
