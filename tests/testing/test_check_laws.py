"""check_group and check_action on what other people write: healthy ones pass, each fault is named with its law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep
from symcheck.errors import ClaimError
from symcheck.groups.base import Extents, Group, MatrixGroup
from symcheck.groups.draws import Draws
from symcheck.testing import check_action, check_group
from symcheck.testing.action_laws import LAWS


class Quaternions(Group):
    """Q8 as i^a j^b, rows (a mod 4, b mod 2): a user's group, not abelian, with six elements of order 4."""

    name, order = "Q8", 8
    faces = frozenset({"linear", "regular"})

    def identity(self, n: int) -> Tensor:
        return torch.zeros(n, 2, dtype=torch.int64)

    def sample(self, n: int, rng: Draws) -> Tensor:
        k = rng.integers(n, high=8)
        return torch.stack([k % 4, k // 4], 1)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        turn = a[:, 0] + torch.where(a[:, 1] == 1, -b[:, 0], b[:, 0]) + 2 * a[:, 1] * b[:, 1]
        return torch.stack([turn % 4, (a[:, 1] + b[:, 1]) % 2], 1)

    def inverse(self, a: Tensor) -> Tensor:
        return torch.stack([torch.where(a[:, 1] == 1, a[:, 0] + 2, -a[:, 0]) % 4, a[:, 1]], 1)

    def elements(self) -> Tensor:
        k = torch.arange(8)
        return torch.stack([k % 4, k // 4], 1)

    def face(self, kind: str, g: Tensor) -> Tensor:
        """Left multiplication of quaternions by i^a j^b, and of the group by itself."""
        if kind == "linear":
            i = torch.tensor([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]], dtype=torch.float64)
            j = torch.tensor([[0, 0, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, -1, 0, 0]], dtype=torch.float64)
            powers = [torch.stack([torch.matrix_power(m, k) for k in range(n)]) for m, n in ((i, 4), (j, 2))]
            return powers[0][g[:, 0]] @ powers[1][g[:, 1]]
        if kind == "regular":
            moved = self.compose(g.repeat_interleave(8, 0), self.elements().repeat(len(g), 1))
            return (moved[:, 0] + 4 * moved[:, 1]).view(-1, 8)
        return super().face(kind, g)


class Wrong(Quaternions):
    """Q8 with one method or attribute replaced."""

    def __init__(self, **changes: Any) -> None:
        for name, change in changes.items():
            setattr(self, name, change)


def reversed_face(kind: str, g: Tensor) -> Tensor:
    q = Quaternions()
    return q.face(kind, q.inverse(g))


GROUP_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "the inverse forgets the sign": ({"inverse": lambda a: torch.stack([-a[:, 0] % 4, a[:, 1]], 1)}, "inverse: "),
    "composed in the wrong order": ({"compose": lambda a, b: Quaternions().compose(b, a)}, "faces: face 'linear'"),
    "a wrong order": ({"order": 6}, r"order: order is 6, but a\^6 is off"),
    "a multiple of the order": ({"order": 16}, r"elements: elements\(\) lists 8, but the order is 16"),
    "faces of the inverse": ({"face": reversed_face}, "faces: face 'regular'"),
    "a sample that depends on n": ({"sample": lambda n, rng: Quaternions().sample(n, rng).flip(0)}, "sampling: rows"),
    "not closed": ({"elements": lambda: Quaternions().elements()[:6]}, "elements: ab is not always"),
    "an exception": ({"label": lambda g, i: str(g[99, i])}, "words: raised IndexError"),
    "nothing said of the law": ({"law": ""}, "words: law is empty"),
}


def test_a_users_group_passes() -> None:
    check_group(Quaternions())
    check_group("C4 x Shift(4)", extents=Extents(grid=(8, 8)))


@pytest.mark.parametrize("fault", GROUP_FAULTS)
def test_a_fault_of_a_users_group_is_named(fault: str) -> None:
    changes, words = GROUP_FAULTS[fault]
    with pytest.raises(AssertionError, match=rf"^Q8 is not a group as symcheck needs it\n(.|\n)*\n?  {words}"):
        check_group(Wrong(**changes))


def test_a_group_that_lacks_its_data_says_so() -> None:
    with pytest.raises(ClaimError, match="degree of S is unknown"):
        check_group("S")
    with pytest.raises(ClaimError, match="unknown group"):
        check_group("Soo(3)")
    check_group("S", extents=Extents(degree=6))


class Rx(MatrixGroup):
    """Rotations about x, drawn in half of the angles: said to be uniform, and not."""

    name, dimension = "Rx", 3

    def sample(self, n: int, rng: Draws) -> Tensor:
        angle = rng.uniform(n, high=torch.pi)
        g = self.identity(n)
        g[:, 1, 1] = g[:, 2, 2] = angle.cos()
        g[:, 2, 1], g[:, 1, 2] = angle.sin(), -angle.sin()
        return g


def test_a_law_that_is_not_uniform_must_not_say_so() -> None:
    with pytest.raises(AssertionError, match="uniformity: the first moments of 1500 draws change by"):
        check_group(Rx())
    honest = Rx()
    honest.law = "angles in [0, π)"
    check_group(honest)


class Vector(Action):
    """g·x = R x: healthy, with methods that a test may replace."""

    name, uses = "mine", frozenset({"linear"})

    def __init__(self, **changes: Any) -> None:
        for name, change in changes.items():
            setattr(self, name, change)

    def represent(self, group: Group, g: Tensor) -> Rep:
        return (group.face("linear", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return torch.einsum("nij,n...j->n...i", rep[0], x)


def acting(change: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Any]:
    return {"act": lambda group, rep, x: change(rep[0], x)}


def turn(r: Tensor, x: Tensor) -> Tensor:
    return torch.einsum("nij,n...j->n...i", r, x)


ACTION_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "transposed": (acting(lambda r, x: turn(r.mT, x)), r"left action: \(gh\)x is not g\(hx\): off by 1"),
    "shifted": (acting(lambda r, x: turn(r, x) + 1e-6), "left action: ex is not x"),
    "projected": (acting(lambda r, x: turn(r, x) * torch.tensor([1, 1, 0])), "left action: ex is not x"),
    "batch-mates": (acting(lambda r, x: turn(r, x) + 1e-3 * (x - x.mean(0))), "rows: a row moved alone"),
    "one row less": (acting(lambda r, x: turn(r, x)[..., :2]), "shape: rows"),
    "always float64": (acting(lambda r, x: turn(r.double(), x.double())), "shape: rows"),
    "float32 inside": (acting(lambda r, x: turn(r.float(), x.float()).to(x.dtype)), "left action"),
    "stretched": (acting(lambda r, x: turn(r, x) * (2 + r[:, :1, :1])), "left action"),
    "nothing": (acting(lambda r, x: x), "movement: nothing ever moves"),
    "trivial": ({"trivial": True}, "movement: trivial is set, but act moves x"),
    "represented in float32": (
        {"represent": lambda group, g: (group.face("linear", g).float(),)}, "represent: represent gave torch.float32"
    ),
    "exact by number": ({"exact": lambda group, g: torch.ones(len(g))}, "exact: raised "),
    "an exception": (acting(lambda r, x: x[:, 99]), "left action: raised IndexError"),
    "another action's name": ({"name": "invariant"}, "name: the name 'invariant' parses back to 'scalar'"),
}  # fmt: skip


@pytest.mark.parametrize("group", ["SO(3)", "O(3)", "I", "C4 x SO(3)"])
def test_a_users_action_passes(group: str) -> None:
    if "x" not in group:
        check_action(Vector(), group, (4, 3))
    check_action(Vector(), "SO(3)", (3,), example=torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("fault", ACTION_FAULTS)
def test_a_fault_of_a_users_action_is_named(fault: str) -> None:
    changes, words = ACTION_FAULTS[fault]
    with pytest.raises(AssertionError, match=rf"is not an action of SO\(3\) as symcheck needs it\n(.|\n)*  {words}"):
        check_action(Vector(**changes), "SO(3)", (4, 3))


class Sheared(Vector):
    """x turned after a shear and sheared back: a left action that keeps no distance."""

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        shear = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]]).to(x)
        return turn(shear @ rep[0] @ torch.linalg.inv(shear), x)


def test_isometric_must_be_true() -> None:
    with pytest.raises(AssertionError, match="distances: isometric is set, but distances change by up to"):
        check_action(Sheared(), "SO(3)", (4, 3))
    check_action(Sheared(isometric=False), "SO(3)", (4, 3))


class Rolled(Action):
    """A circular shift by any angle over 2π of a grid: whole cells by index, the rest through frequencies."""

    name, uses = "rolled", frozenset({"linear"})

    def __init__(self, wrong: float = 1.0, lie: bool = False) -> None:
        self.wrong, self.lie = wrong, lie

    def represent(self, group: Group, g: Tensor) -> Rep:
        r = group.face("linear", g)
        return (torch.atan2(r[:, 1, 0], r[:, 0, 0]) / (2 * torch.pi),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        n = x.shape[-1]
        cells = rep[0] * n + (self.wrong - 1.0) * (rep[0] * n).square()
        places = (torch.arange(n) - cells[:, None]) % n
        low = places.floor().long() % n
        part = (places - places.floor()).to(x)
        return x.gather(1, low) * (1 - part) + x.gather(1, (low + 1) % n) * part

    def exact(self, group: Group, g: Tensor) -> Tensor:
        cells = self.represent(group, g)[0] * 32
        return torch.ones(len(g), dtype=torch.bool) if self.lie else (cells - cells.round()).abs() < 1e-9


def test_resampled_elements_need_only_be_near_the_law_but_must_say_so() -> None:
    check_action(Rolled(), "SO(2)", (32,))
    with pytest.raises(AssertionError, match="left action: "):
        check_action(Rolled(lie=True), "SO(2)", (32,))
    with pytest.raises(AssertionError, match="resampling: for small elements"):
        check_action(Rolled(wrong=60.0), "SO(2)", (32,))
    with pytest.raises(AssertionError, match="resampling: a resampled row is not finite"):
        check_action(Rolled(wrong=float("nan")), "SO(2)", (32,))


def test_an_action_that_cannot_be_bound_says_so() -> None:
    with pytest.raises(ClaimError, match="does not act"):
        check_action(Vector(), "S(4)", (4, 3))
    with pytest.raises(ClaimError, match="unknown action"):
        check_action("vectr", "SO(3)", (4, 3))
    with pytest.raises(ClaimError):
        check_action("vector", "SO(3)", (4, 2))


def test_every_law_of_actions_can_fail() -> None:
    named = {words.partition(":")[0] for _, words in ACTION_FAULTS.values()} | {"distances", "resampling"}
    assert named - {"exact"} == set(LAWS)
