"""The laws that every group obeys, run on every registered group, and faults that each law finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from symcheck.groups import make_group
from symcheck.groups.base import Extents, Flow, Group, MatrixGroup, groups
from symcheck.groups.draws import Draws
from symcheck.groups.semidirect import intertwined
from symcheck.testing import check_group
from symcheck.testing.group_laws import LAWS, mixed_elements, nearest

DATA = Extents(degree=5, grid=(12, 8))
MORE = ["GL(4,Z)", "C3", "D5", "Shift(5)", "SO(4)", "O(6)", "SE(4)", "E(3,2)", "GL+(4,2)"]
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
    """What each registered maker of a group shows as its examples, the bare name where it shows none."""
    made = {name: groups.get(name) for name in groups.names()}
    named = {name: maker for name, maker in made.items() if not getattr(maker, "related", False)}
    return [text for name, maker in named.items() for text in getattr(maker, "examples", (name,))]


def make(text: str) -> Group:
    return make_group(text).bind(DATA)


def cases() -> list[Group]:
    others = [make_group(text).bind(data) for text, data in OTHER_DATA.items()]
    turned = [intertwined(make_group(text).bind(SQUARE)) for text in ("C4 x Shift(2)", "Shift x D4", "C2 x Shift")]
    return [make(text) for text in [*examples(), *MORE]] + others + turned


def samples_belong(group: Group) -> Iterator[str]:
    """Membership by definition; what one's own groups are is not known to the public laws."""
    a, b = (mixed_elements(group, 16, key) for key in "ab")
    made = {"sample": a, "ab": group.compose(a, b), "inverse": group.inverse(a)}
    made["nearby"] = group.nearby(a, 1e-3, Draws(2, "near"))
    yield from (f"{what} leaves the group" for what, g in made.items() if not belongs(group, g))


def belongs(group: Group, g: Tensor) -> bool:
    """Membership by definition: the list, integers that permute, orthogonal matrices, the Lorentz metric."""
    if len(group.factors()) > 1:
        return all(belongs(f, part) for f, part in zip(group.factors(), group.split(g), strict=True))
    elements = group.elements()
    if elements is not None:
        return bool((nearest(elements, g)[0] < 1e-6).all())
    if "permutation" in group.faces:
        slots = torch.arange(g.shape[1]).expand_as(g)
        return torch.equal(g.sort(1).values, slots)
    if "shift" in group.faces:
        return not (g % torch.tensor(group.steps).clamp(min=1)).any()
    if "unimodular" in group.faces:
        return bool((torch.linalg.det(g.double()).abs().round() == 1).all())
    if "linear" not in group.faces:
        return bool((g > 0).all())
    matrix, metric = group.face("linear", g), getattr(group, "metric", None)
    if group.name.startswith("GL+"):
        return bool((torch.linalg.det(matrix) > 0).all())
    metric = torch.eye(matrix.shape[1], dtype=torch.float64) if metric is None else metric
    preserved = (matrix.mT @ metric @ matrix - metric).abs().amax((1, 2)) / matrix.square().amax((1, 2)).clamp(min=1)
    return bool((preserved <= 1e-14).all()) and (group.has_improper or bool((torch.linalg.det(matrix) > 0).all()))


def lists_up_to_5040(group: Group) -> Iterator[str]:
    """What may stay unlisted elsewhere is listed here, and every compact group is said to be drawn uniformly."""
    if (group.elements() is not None) != (group.order is not None and group.order <= 5040):
        yield "is listed exactly when it has no more than 5040 elements"
    if group.compact and "uniform" not in group.law:
        yield f"is compact, but drawn as {group.law}"
    if make_group(group.name).name != group.name:
        yield "does not parse back"


OURS: dict[str, Callable[[Group], Iterator[str]]] = {**LAWS, "belongs": samples_belong, "listed": lists_up_to_5040}


@pytest.mark.parametrize("group", cases(), ids=lambda g: g.name)
@pytest.mark.parametrize("law", OURS)
def test_law(law: str, group: Group) -> None:
    assert list(OURS[law](group)) == []


def broken(text: str, **changes: Any) -> Group:
    """The group with some attributes replaced, methods by functions of (group, ...)."""
    group = make(text)
    for name, change in changes.items():
        setattr(group, name, partial(change, group) if callable(change) else change)
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


def shuffled(group: Group, kind: str, g: Tensor) -> Tensor:
    return type(group).face(group, kind, group.inverse(g))


def of_the_batch(group: Group, n: int, rng: Draws) -> Tensor:
    return rng.integers(n, high=12).flip(0)


def hurried(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    return (*flows[:-1], replace(flows[-1], at=lambda t: flows[-1].at(t + t**3)))


def halved(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    return tuple(replace(flow, period=(flow.period or 0.0) / 2) for flow in flows)


def twice(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    return (*flows, replace(flows[0], name="another", at=lambda t: flows[0].at(2 * t), period=torch.pi))


def stiff(flows: tuple[Flow, ...]) -> tuple[Flow, ...]:
    return tuple(replace(flow, at=lambda t: t.detach().exp()) for flow in flows)


FAULTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "QR without the sign fix": ("uniformity", "SO(3)", {"sample": unsigned}),
    "never the last": ("uniformity", "C5", {"sample": lambda s, n, rng: rng.integers(n, high=4)}),
    "gather for scatter": ("faces", "S(5)", {"compose": lambda s, a, b: b.gather(1, a)}),
    "wrong order of factors": ("faces", "SO(3)", {"compose": lambda s, a, b: b @ a}),
    "an anti-homomorphism": ("faces", "SO(3)", {"face": shuffled}),
    "a permutation inverted": ("faces", "S(5)", {"face": shuffled}),
    "left for right multiplication": ("faces", "D4", {"face": shuffled}),
    "translation not turned": ("faces", "SE(3)", {"compose": first_translation}),
    "mirror turns the wrong way": ("faces", "D5", {"compose": mirrorless}),
    "a face in float32": ("faces", "SO(3)", {"face": lambda s, kind, g: type(s).face(s, kind, g).float()}),
    "a face that no action asks for": ("faces", "SO(2)", {"faces": frozenset({"lineer"})}),
    "faces never refused": ("faces", "SO(2)", {"face": lambda s, kind, g: g}),
    "difference": ("associativity", "T(3)", {"compose": lambda s, a, b: a - b}),
    "another dtype": ("associativity", "C5", {"compose": lambda s, a, b: (a + b).int() % 5}),
    "grid forgotten": ("elements", "Shift(3,2)", {"compose": lambda s, a, b: a + b}),
    "identity not first": ("elements", "D4", {"elements": lambda s: type(s).elements(s).flip(0)}),
    "an element twice": ("elements", "I", {"elements": lambda s: s._elements[torch.arange(60) % 59]}),
    "an element missing": ("elements", "C6", {"elements": lambda s: torch.arange(5)}),
    "half of the order": ("order", "C6", {"order": 3}),
    "no divisor of the order": ("order", "I", {"order": 64}),
    "twice the order": ("elements", "C6", {"order": 12}),
    "an infinite order": ("order", "C6", {"order": None}),
    "a finite order": ("order", "SO(3)", {"order": 60}),
    "own inverse": ("inverse", "A(5)", {"inverse": lambda s, a: a}),
    "boost transposed": ("inverse", "SO(1,3)", {"inverse": lambda s, a: a.mT}),
    "translation not turned back": ("inverse", "E(3)", {"inverse": lambda s, a: 2 * s.identity(len(a)) - a}),
    "zero for one": ("identity", "GL+(3)", {"identity": lambda s, n: torch.zeros(n, 3, 3).double()}),
    "batch decides": ("sampling", "C12", {"sample": of_the_batch}),
    "seed ignored": ("sampling", "SO(3)", {"sample": lambda s, n, rng: s.identity(n)}),
    "never empty": ("sampling", "C12", {"sample": lambda s, n, rng: rng.integers(max(n, 1), high=12)}),
    "slightly oblique": ("belongs", "O(3)", {"sample": lambda s, n, r: make("O(3)").sample(n, r) * (1 + 1e-13)}),
    "mirrors never drawn": ("orientation", "E(3)", {"sample": lambda s, n, r: make("SE(3)").sample(n, r)}),
    "mirrors not declared": ("orientation", "SO(3)", {"sample": lambda s, n, r: make("O(3)").sample(n, r)}),
    "all proper": ("orientation", "O(3)", {"proper": lambda s, g: torch.ones(len(g), dtype=torch.bool)}),
    "noise leaves the group": ("belongs", "SO(3)", {"nearby": lambda s, g, k, r: g + k * r.normal(*g.shape)}),
    "far away": ("neighbours", "SE(2)", {"nearby": lambda s, g, k, r: s.sample(len(g), r)}),
    "stays": ("neighbours", "S(5)", {"nearby": lambda s, g, k, r: g}),
    "a flow that hurries": ("flows", "T(2)", {"flows": lambda s: hurried(type(s).flows(s))}),
    "half a turn for a turn": ("flows", "SO(2)", {"flows": lambda s: halved(type(s).flows(s))}),
    "a generator missing": ("flows", "SO(3)", {"flows": lambda s: type(s).flows(s)[1:]}),
    "a generator twice": ("flows", "SE(3)", {"flows": lambda s: twice(type(s).flows(s))}),
    "a flow without a derivative": ("flows", "Scale(0.5,2)", {"flows": lambda s: stiff(type(s).flows(s))}),
    "empty label": ("words", "SO(3)", {"label": lambda s, g, i: ""}),
    "two lines": ("words", "SO(3)", {"label": lambda s, g, i: "a\nb"}),
    "an integer matrix of another determinant": ("belongs", "GL(3,Z)", {"sample": lambda s, n, r: 2 * s.identity(n)}),
    "a basis transposed": ("faces", "GL(3,Z)", {"face": lambda s, kind, g: type(s).face(s, kind, g).mT}),
    "another name": ("words", "SO(3)", {"name": "SO( 3 )"}),
    "unlisted": ("listed", "C6", {"elements": lambda s: None}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_law_finds_fault(fault: str) -> None:
    law, text, changes = FAULTS[fault]
    assert list(OURS[law](make(text))) == []
    assert list(OURS[law](broken(text, **changes)))


def test_every_law_can_fail() -> None:
    assert {law for law, _, _ in FAULTS.values()} == set(OURS)


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
    for text in ("Rx", "Rx x C4"):
        check_group(text)
