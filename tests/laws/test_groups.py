"""The laws that every group obeys, run on every registered group, and faults that each law finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups import make_group
from symcheck.groups.base import Extents, Group, MatrixGroup, groups
from symcheck.groups.draws import Draws
from symcheck.groups.semidirect import intertwined

DATA = Extents(degree=5, grid=(12, 8))
MORE = ["C3", "D5", "Shift(5)", "SO(4)", "O(6)", "SE(4)", "E(3,2)", "GL+(4,2)"]
MORE += ["SO(1,4)", "SO(1,1)", "C4 x Shift(4)", "D3 x S", "O(3) x T(2) x Sign(2)", "D4 x Th", "Scale(0.1,9) x A(5)"]
SQUARE = Extents(grid=(8, 8))
OTHER_DATA = {
    "S(3)": Extents(degree=3),
    "A": Extents(degree=4),
    "S": Extents(degree=9),
    "Shift(2)": Extents(grid=(30, 20), reach=7),
    "Shift(3,0)": Extents(grid=(30, 20), reach=9),
    "Shift(2,1,3)": Extents(grid=(6, 5, 9)),
}


def examples() -> list[str]:
    """What each registered maker shows as its examples, the bare name where it shows none."""
    return [text for name in groups.names() for text in getattr(groups.get(name), "examples", (name,))]


def make(text: str) -> Group:
    return make_group(text).bind(DATA)


def cases() -> list[Group]:
    others = [make_group(text).bind(data) for text, data in OTHER_DATA.items()]
    turned = [intertwined(make_group(text).bind(SQUARE)) for text in ("C4 x Shift(2)", "Shift x D4", "C2 x Shift")]
    return [make(text) for text in [*examples(), *MORE]] + others + turned


def draw(group: Group, n: int, key: str) -> Tensor:
    """Elements of order three and more, wherever the group has any: involutions hide inverse mistakes."""
    g = group.sample(8 * n, Draws(5, key))
    twice = (group.compose(g, g) - group.identity(len(g))).abs().reshape(len(g), -1).sum(1)
    long = torch.nonzero(twice > 1e-6).flatten()
    return g[long][:n] if len(long) >= n else g[:n]


def triple(group: Group, n: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    return draw(group, n, "a"), draw(group, n, "b"), draw(group, n, "c")


def close(a: Tensor, b: Tensor, scale: float = 1.0) -> bool:
    assert a.shape == b.shape and a.dtype == b.dtype
    return torch.equal(a, b) if not a.is_floating_point() else bool((a - b).abs().max() <= 1e-12 * scale)


def size(*gs: Tensor) -> float:
    return float(torch.stack([g.abs().max().double().clamp(min=1.0) for g in gs]).prod())


def associative(group: Group) -> None:
    a, b, c = triple(group)
    left, right = group.compose(group.compose(a, b), c), group.compose(a, group.compose(b, c))
    assert close(left, right, size(a, b, c))


def has_identity(group: Group) -> None:
    a, e = draw(group, 16, "a"), group.identity(16)
    assert e.dtype == a.dtype and e.dtype in (torch.float64, torch.int64)
    assert close(group.compose(a, e), a, size(a)) and close(group.compose(e, a), a, size(a))


def has_inverses(group: Group) -> None:
    a, e = draw(group, 16, "a"), group.identity(16)
    back = group.inverse(a)
    assert close(group.compose(a, back), e, size(a, back))
    assert close(group.compose(back, a), e, size(a, back))


def faces_are_homomorphisms(group: Group) -> None:
    a, b, _ = triple(group)
    for kind in group.faces:
        x, y, xy = (group.face(kind, g) for g in (a, b, group.compose(a, b)))
        assert x.dtype == (torch.int64 if kind in ("permutation", "regular", "shift") else torch.float64)
        if kind in ("permutation", "regular"):
            slots = torch.arange(x.shape[1]).repeat(16, 1)
            assert torch.equal(scatter(x, scatter(y, slots)), scatter(xy, slots))
        elif kind == "shift":
            assert not ((x + y - xy) % torch.tensor(group.grid if group.order else [10**9])).any()
        elif kind == "translation":
            assert close((group.face("linear", a) @ y[:, :, None])[:, :, 0] + x, xy, size(xy))
        else:
            assert close(x @ y if kind == "linear" else x * y, xy, size(x, y))
    for part in group.factors():
        with pytest.raises(ClaimError, match="no face 'colour'"):
            part.face("colour", part.identity(1))


def scatter(p: Tensor, x: Tensor) -> Tensor:
    """Slot i goes to slot p(i)."""
    return torch.full_like(x, -1).scatter(1, p, x)


def lists_its_elements(group: Group) -> None:
    if group.order is None or group.order > 5040:
        assert group.elements() is None
        return
    g = group.elements()
    assert g is not None and len(g) == group.order
    assert close(g[:1], group.identity(1))
    assert len(torch.unique(g.double().round(decimals=9), dim=0)) == group.order
    pick = Draws(1, "pairs").integers(400, 2, high=group.order)
    assert listed(g, group.compose(g[pick[:, 0]], g[pick[:, 1]])) and listed(g, group.inverse(g))


def listed(elements: Tensor, g: Tensor) -> bool:
    distance = torch.cdist(g.double().reshape(len(g), -1), elements.double().reshape(len(elements), -1))
    return bool((distance.amin(1) < 1e-6).all())


def rows_stand_alone(group: Group) -> None:
    g = group.sample(20, Draws(3, "rows"))
    assert torch.equal(g[:6], group.sample(6, Draws(3, "rows")))
    assert torch.equal(g[13:], group.sample(7, Draws(3, "rows", start=13)))
    assert torch.equal(g[19:], group.sample(1, Draws(3, "rows", start=19)))
    assert len(group.sample(0, Draws(3, "rows"))) == 0
    assert not torch.equal(g, group.sample(20, Draws(4, "rows")))
    assert not torch.equal(g, group.sample(20, Draws(3, "other")))


def samples_belong(group: Group) -> None:
    a, b, _ = triple(group)
    for g in (a, group.compose(a, b), group.inverse(a)):
        assert belongs(group, g)


def belongs(group: Group, g: Tensor) -> bool:
    """Membership by definition: the list, integers that permute, orthogonal matrices, the Lorentz metric."""
    if len(group.factors()) > 1:
        return all(belongs(f, part) for f, part in zip(group.factors(), group.split(g), strict=True))
    elements = group.elements()
    if elements is not None:
        return listed(elements, g)
    if "permutation" in group.faces:
        slots = torch.arange(g.shape[1]).expand_as(g)
        return torch.equal(g.sort(1).values, slots)
    if "shift" in group.faces:
        return not (g % torch.tensor(group.steps).clamp(min=1)).any()
    if "linear" not in group.faces:
        return bool((g > 0).all())
    matrix, metric = group.face("linear", g), getattr(group, "metric", None)
    if group.name.startswith("GL+"):
        return bool((torch.linalg.det(matrix) > 0).all())
    metric = torch.eye(matrix.shape[1], dtype=torch.float64) if metric is None else metric
    preserved = (matrix.mT @ metric @ matrix - metric).abs().amax((1, 2)) / matrix.square().amax((1, 2)).clamp(min=1)
    return bool((preserved <= 1e-14).all()) and (group.has_improper or bool((torch.linalg.det(matrix) > 0).all()))


def halves_are_even(group: Group) -> None:
    g = group.sample(400, Draws(7, "halves"))
    share = group.proper(g).double().mean()
    assert abs(share - 0.5) < 0.125 if group.has_improper else share == 1.0


def neighbours_are_near(group: Group) -> None:
    a = draw(group, 16, "a")
    near = group.nearby(a, 1e-3, Draws(2, "near"))
    assert near.dtype == a.dtype and near.shape == a.shape and belongs(group, near)
    assert torch.equal(near, group.nearby(a, 1e-3, Draws(2, "near")))
    assert bool((near != a).any())
    if group.order is None and near.is_floating_point() and type(group).nearby is not Group.nearby:
        for factor, x, y in zip(group.factors(), group.split(a), group.split(near), strict=True):
            assert factor.order is not None or float((x - y).double().abs().max()) < 0.1 * size(x)
            still = factor.nearby(x, torch.zeros(16, dtype=torch.float64), Draws(2, "near"))
            assert factor.order is not None or close(still, x, 10 * size(x))


def is_uniform(group: Group) -> None:
    """Finite: chi-square on the counts. Compact: E L and E L (x) L do not change when multiplied by an element."""
    n = 1500
    if group.order is not None and group.order <= 150:
        g, elements = group.sample(n, Draws(11, "uniform")), group.elements()
        places = torch.cdist(g.double().reshape(n, -1), elements.double().reshape(group.order, -1)).argmin(1)
        expected = n / group.order
        spread = (places.bincount(minlength=group.order) - expected).square().sum() / expected
        assert spread <= group.order + 6 * (2 * group.order) ** 0.5
    elif group.compact and "linear" in group.faces:
        matrix = group.face("linear", group.sample(n, Draws(11, "uniform")))
        h = matrix[:3]
        square, h2 = (torch.einsum("nij,nkl->nikjl", m, m).flatten(3).flatten(1, 2) for m in (matrix, h))
        for moments, other in ((matrix.mean(0), h), (square.mean(0), h2)):
            for moved in (other @ moments, moments @ other):
                assert float((moved - moments).abs().max()) < 6 / n**0.5


def is_printable(group: Group) -> None:
    assert make_group(group.name).name == group.name == str(group)
    g = draw(group, 4, "a")
    assert group.law and all(group.label(g, i) for i in range(4))
    assert group.label(g, 0).count("\n") == 0


LAWS: list[Callable[[Group], None]] = [
    associative, has_identity, has_inverses, faces_are_homomorphisms, lists_its_elements, rows_stand_alone,
    samples_belong, halves_are_even, neighbours_are_near, is_uniform, is_printable,
]  # fmt: skip


@pytest.mark.parametrize("group", cases(), ids=lambda g: g.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[[Group], None], group: Group) -> None:
    law(group)


def broken(text: str, **methods: Callable[..., object]) -> Group:
    """The group with some methods replaced by functions of (group, ...)."""
    group = make(text)
    for name, method in methods.items():
        setattr(group, name, partial(method, group))
    return group


def unsigned(group: Group, n: int, rng: Draws) -> Tensor:
    q = torch.linalg.qr(rng.normal(n, 3, 3))[0]
    return q * torch.linalg.det(q).sign()[:, None, None]


def first_translation(group: Group, a: Tensor, b: Tensor) -> Tensor:
    g = a @ b
    g[:, :3, 3] = a[:, :3, 3] + b[:, :3, 3]
    return g


def mirrorless(group: Group, a: Tensor, b: Tensor) -> Tensor:
    return (a + b) % torch.tensor([5, 2])


FAULTS = {
    "QR without the sign fix": (is_uniform, "SO(3)", {"sample": unsigned}),
    "never the last": (is_uniform, "C5", {"sample": lambda s, n, rng: rng.integers(n, high=4)}),
    "gather for scatter": (faces_are_homomorphisms, "S(5)", {"compose": lambda s, a, b: b.gather(1, a)}),
    "translation not turned": (faces_are_homomorphisms, "SE(3)", {"compose": first_translation}),
    "mirror turns the wrong way": (faces_are_homomorphisms, "D5", {"compose": mirrorless}),
    "difference": (associative, "T(3)", {"compose": lambda s, a, b: a - b}),
    "grid forgotten": (lists_its_elements, "Shift(3,2)", {"compose": lambda s, a, b: a + b}),
    "identity not first": (lists_its_elements, "D4", {"elements": lambda s: type(s).elements(s).flip(0)}),
    "an element twice": (lists_its_elements, "I", {"elements": lambda s: s._elements[torch.arange(60) % 59]}),
    "own inverse": (has_inverses, "A(5)", {"inverse": lambda s, a: a}),
    "boost transposed": (has_inverses, "SO(1,3)", {"inverse": lambda s, a: a.mT}),
    "translation not turned back": (has_inverses, "E(3)", {"inverse": lambda s, a: 2 * s.identity(len(a)) - a}),
    "zero for one": (has_identity, "GL+(3)", {"identity": lambda s, n: torch.zeros(n, 3, 3).double()}),
    "batch decides": (rows_stand_alone, "C12", {"sample": lambda s, n, rng: rng.integers(n, high=12).flip(0)}),
    "seed ignored": (rows_stand_alone, "SO(3)", {"sample": lambda s, n, rng: s.identity(n)}),
    "slightly oblique": (samples_belong, "O(3)", {"sample": lambda s, n, r: make("O(3)").sample(n, r) * (1 + 1e-13)}),
    "mirrors never drawn": (halves_are_even, "E(3)", {"sample": lambda s, n, r: make("SE(3)").sample(n, r)}),
    "noise leaves the group": (neighbours_are_near, "SO(3)", {"nearby": lambda s, g, k, r: g + k * r.normal(*g.shape)}),
    "far away": (neighbours_are_near, "SE(2)", {"nearby": lambda s, g, k, r: s.sample(len(g), r)}),
    "stays": (neighbours_are_near, "S(5)", {"nearby": lambda s, g, k, r: g}),
    "empty label": (is_printable, "SO(3)", {"label": lambda s, g, i: ""}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_law_finds_fault(fault: str) -> None:
    law, text, methods = FAULTS[fault]
    law(make(text))
    with pytest.raises(AssertionError):
        law(broken(text, **methods))


def test_every_law_can_fail() -> None:
    assert {law for law, _, _ in FAULTS.values()} == set(LAWS)


class AboutX(MatrixGroup):
    name, dimension = "Rx", 3

    def sample(self, n: int, rng: Draws) -> Tensor:
        angle = rng.uniform(n, high=2 * torch.pi)
        g = self.identity(n)
        g[:, 1, 1] = g[:, 2, 2] = angle.cos()
        g[:, 2, 1], g[:, 1, 2] = angle.sin(), -angle.sin()
        return g


def test_new_group_is_picked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    groups.names()
    monkeypatch.setattr(groups, "_items", dict(groups._items))
    groups.register("Rx")(AboutX)
    assert "Rx" in examples()
    for law in LAWS:
        law(make("Rx"))
    has_inverses(make("Rx x C4"))
