"""What the laws cannot see: conventions, moments and characters, ranges, words, and errors of the groups."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups import make_group
from symcheck.groups.base import Extents, Group, groups
from symcheck.groups.draws import Draws
from symcheck.groups.permutations import odd
from symcheck.groups.rotations import haar_rotation, turn

N = 4000
SIGMAS = 5 / N**0.5


def linear(group: Group, n: int = N) -> Tensor:
    return group.face("linear", group.sample(n, Draws(2, "facts")))


def matrix(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("text", ["SO(2)", "SO(3)", "O(3)", "SO(4)", "O(5)", "T", "O", "I", "Ih", "C5", "D3"])
def test_entries_have_mean_zero_and_square_one_over_n(text: str) -> None:
    g = linear(make_group(text))
    assert float(g.mean(0).abs().max()) < SIGMAS
    assert float((g.square().mean(0) - 1 / g.shape[1]).abs().max()) < SIGMAS


def characters(g: Tensor, degree: int) -> Tensor:
    """χ_l = 1 + 2 Σ cos(kθ) of rotations of space."""
    cos = ((g.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)
    angle = cos.acos()
    return torch.ones_like(angle) + sum(2 * (k * angle).cos() for k in range(1, degree + 1))


def test_characters_of_rotations_are_orthonormal() -> None:
    chi = torch.stack([characters(linear(make_group("SO(3)")), degree) for degree in (1, 2, 3)])
    assert float(chi.mean(1).abs().max()) < SIGMAS
    gram = chi @ chi.T / N
    assert float((gram - torch.eye(3, dtype=torch.float64)).abs().max()) < 4 * SIGMAS


def test_uniform_angles_and_axes_are_not_haar() -> None:
    rng = Draws(2, "naive")
    angle = rng.uniform(N, high=math.pi)
    chi = 1 + 2 * angle.cos()
    assert abs(float(chi.mean())) > 10 * SIGMAS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("T", [1, 0, 0, 1, 1, 0, 2, 1]), ("O", [1, 0, 0, 0, 1, 0, 1, 0]), ("I", [1, 0, 0, 0, 0, 0, 1, 0])],
)
def test_invariants_of_each_degree(text: str, expected: list[int]) -> None:
    g = make_group(text).elements()
    found = [float(characters(g, degree).mean()) for degree in range(8)]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["T", "O", "I", "Th", "Oh", "Ih"])
def test_polyhedral_groups_are_closed_to_rounding(text: str) -> None:
    group = make_group(text)
    g = group.elements()
    assert float((g.mT @ g - torch.eye(3, dtype=torch.float64)).abs().max()) <= 1e-15
    first, second = g.repeat_interleave(len(g), 0), g.repeat(len(g), 1, 1)
    assert float((group.compose(first, second) - first @ second).abs().max()) <= 1.5e-15
    assert group.has_improper == (len(text) == 2)


@pytest.mark.parametrize("text", ["SO(2)", "SO(3)", "O(4)", "SO(8)", "SE(3)", "E(5)"])
def test_rotations_are_orthogonal_to_rounding(text: str) -> None:
    g = linear(make_group(text), 300)
    assert float((g.mT @ g - torch.eye(g.shape[1], dtype=torch.float64)).abs().max()) <= 1e-14


def test_turns_are_counterclockwise_and_exact_at_quarters() -> None:
    group = make_group("C8")
    g = group.face("linear", torch.tensor([2, 4, 6]))
    quarter = matrix([0.0, -1.0], [1.0, 0.0])
    assert torch.equal(g, torch.stack([quarter, quarter @ quarter, quarter.T]))
    eighth = group.face("linear", torch.tensor([1]))[0]
    assert torch.allclose(eighth, matrix([1.0, -1.0], [1.0, 1.0]) / 2**0.5, atol=1e-15)


def test_dihedral_elements_mirror_first_and_then_turn() -> None:
    group = make_group("D4")
    g = torch.tensor([[1, 1]])
    assert torch.equal(group.face("linear", g)[0], matrix([0.0, -1.0], [1.0, 0.0]) @ matrix([1.0, 0.0], [0.0, -1.0]))
    assert group.proper(group.elements()).tolist() == [True] * 4 + [False] * 4
    assert group.face("regular", g)[0].tolist() == [5, 4, 7, 6, 1, 0, 3, 2]


def test_permutations_scatter() -> None:
    group = make_group("S(4)")
    a, b = torch.tensor([[1, 2, 0, 3]]), torch.tensor([[0, 2, 3, 1]])
    assert group.compose(a, b).tolist() == [[1, 0, 3, 2]]
    assert group.compose(b, a).tolist() == [[2, 3, 0, 1]]
    assert group.inverse(a).tolist() == [[2, 0, 1, 3]]


def test_parity_agrees_with_inversions() -> None:
    p = Draws(1, "parity").permutations(200, 9)
    inversions = sum((p[:, i] > p[:, j]).long() for i, j in itertools.combinations(range(9), 2))
    assert torch.equal(odd(p), inversions % 2 == 1)
    assert not odd(make_group("A(9)").sample(200, Draws(1, "even"))).any()
    assert not odd(make_group("A(9)").nearby(p[~odd(p)], 0.1, Draws(1, "near"))).any()


@pytest.mark.parametrize(("text", "moved"), [("S(9)", 2), ("A(9)", 3)])
def test_neighbours_of_permutations_differ_in_one_cycle(text: str, moved: int) -> None:
    group = make_group(text)
    g = group.sample(50, Draws(1, "p"))
    assert ((group.nearby(g, 0.1, Draws(1, "near")) != g).sum(1) == moved).all()


def test_degree_comes_from_the_data() -> None:
    group = make_group("S x C4").bind(Extents(degree=7))
    assert group.name == "S(7) x C4" and group.order == math.factorial(7) * 4
    assert make_group("S").order is None
    for use in (lambda g: g.identity(1), lambda g: g.sample(1, Draws(0, "s")), lambda g: g.elements()):
        with pytest.raises(ClaimError, match="degree of S is unknown"):
            use(make_group("S"))
    with pytest.raises(ClaimError, match="permutes 5 slots, but the data has 6"):
        make_group("S(5)").bind(Extents(degree=6))


def test_circular_shifts_know_the_grid() -> None:
    group = make_group("Shift(8)").bind(Extents(grid=(20, 24)))
    assert group.order == 5 * 3 and group.name == "Shift(8)"
    assert group.law == "uniform circular multiples of (4, 8) on a grid of 20 x 24"
    assert group.compose(torch.tensor([[16, 16]]), torch.tensor([[8, 16]])).tolist() == [[4, 8]]
    assert make_group("Shift(4,0)").bind(Extents(grid=(16, 16))).elements().tolist() == [[4 * k, 0] for k in range(4)]


def test_cropped_shifts_keep_their_reach_and_never_wrap() -> None:
    group = make_group("Shift(4)").bind(Extents(grid=(32,), reach=17))
    g = group.sample(500, Draws(1, "crop"))
    assert sorted(set(g.flatten().tolist())) == list(range(-16, 17, 4))
    assert group.law == "uniform multiples of 4 within +-17" and group.order is None
    assert group.compose(torch.tensor([[16]]), torch.tensor([[16]])).tolist() == [[32]]
    for size in (0.01, 0.5, 2.0):
        assert int(group.nearby(g, size, Draws(2, "near")).abs().max()) <= 16
    with pytest.raises(ClaimError, match="moves by 4 or more, but the crop leaves room for 3"):
        make_group("Shift(4)").bind(Extents(grid=(32,), reach=3))


def test_shifts_need_a_grid_with_as_many_axes() -> None:
    with pytest.raises(ClaimError, match="grid of Shift is unknown"):
        make_group("Shift").sample(1, Draws(0, "s"))
    with pytest.raises(ClaimError, match="2 axes, but the data's grid has 3"):
        make_group("Shift(4,1)").bind(Extents(grid=(8, 8, 8)))


def test_near_shifts_grow_with_the_size_and_reach_odd_cells() -> None:
    group = make_group("Shift").bind(Extents(grid=(64, 64)))
    zero = group.identity(300)
    near = group.nearby(zero, 0.01, Draws(1, "near"))
    signed = (near + 32) % 64 - 32
    assert bool((near != zero).any(1).all())
    assert int(signed.abs().max()) == 1 and set(signed.sum(1).remainder(2).tolist()) == {0, 1}
    far = (group.nearby(zero, 0.5, Draws(1, "near")) + 32) % 64 - 32
    assert 8 < int(far.abs().max()) <= 16


@pytest.mark.parametrize("d", [2, 3, 5])
def test_small_turns_have_the_size_asked_for(d: int) -> None:
    g = turn(400, d, torch.full((400,), 0.01), Draws(1, "turn"))
    angle = (g - g.mT).square().sum((1, 2)).sqrt() / (2 * 2**0.5)
    assert float(angle.square().mean().sqrt()) == pytest.approx(0.01, rel=0.15)


def test_neighbours_have_a_size_for_each_row() -> None:
    group = make_group("SO(3)")
    g = group.sample(40, Draws(1, "g"))
    size = torch.tensor([0.0, 1e-6, 1e-3, 0.1]).repeat(10)
    moved = (group.nearby(g, size, Draws(1, "near")) - g).norm(dim=(1, 2)).view(10, 4).median(0).values
    assert moved[0] < 1e-15 and bool((moved[1:] / size[1:4]).sub(1.4).abs().max() < 0.8)


def test_lorentz_keeps_the_metric_and_its_rapidity() -> None:
    group = make_group("SO(1,3,1.5)")
    g = group.sample(500, Draws(1, "boost"))
    for some in (g, group.nearby(g, 0.5, Draws(1, "near"))):
        rapidity = some[:, 0, 0].acosh()
        assert float(rapidity.max()) <= 1.5 + 1e-9 and bool((some[:, 0, 0] >= 1).all())
        violation = (some.mT @ group.metric @ some - group.metric).abs().amax((1, 2))
        assert bool((violation <= 1e-15 * (2 * rapidity).exp() * 4).all())
    assert float(g[:, 0, 0].acosh().mean()) == pytest.approx(0.75, abs=0.1)
    assert make_group("SO(1,3)").law.endswith("eta uniform in [0, 2]") and not group.compact


def test_stretches_keep_their_bound() -> None:
    group = make_group("GL+(3,0.7)")
    g = group.sample(300, Draws(1, "g"))
    for some in (g, group.nearby(g, 0.5, Draws(1, "near"))):
        assert float(torch.linalg.svdvals(some).log().norm(dim=1).max()) <= 0.7 + 1e-9
    assert bool((torch.linalg.det(g) < 1).any()) and bool((torch.linalg.det(g) > 1).any())


def test_scales_and_translations_keep_their_range() -> None:
    scale, shift = make_group("Scale(0.25,4)"), make_group("T(2,3)")
    s, t = scale.sample(N, Draws(1, "s")), shift.sample(N, Draws(1, "t"))
    place = (s.log().sort().values / math.log(4) + 1) / 2
    assert float((place - torch.linspace(0, 1, N, dtype=torch.float64)).abs().max()) < 2 / N**0.5
    assert float(s.min()) >= 0.25 and float(s.max()) <= 4
    assert float(t.abs().max()) <= 3 and float(t.square().mean()) == pytest.approx(3, abs=0.2)
    near = scale.nearby(s, 1.0, Draws(2, "s"))
    assert float(near.min()) >= 0.25 and float(near.max()) <= 4
    assert float(shift.nearby(t, 1.0, Draws(2, "t")).abs().max()) <= 3


def test_products_split_into_native_parts_and_multiply_orientation() -> None:
    group = make_group("O(3) x D4 x S(3)")
    parts = [factor.sample(64, Draws(1, "p")) for factor in group.factors()]
    g = group.pack(parts)
    assert g.dtype == torch.float64 and g.shape == (64, 9 + 2 + 3)
    assert all(torch.equal(p, q) and p.dtype == q.dtype for p, q in zip(parts, group.split(g), strict=True))
    both = [factor.proper(part) for factor, part in zip(group.factors(), parts, strict=True)]
    assert torch.equal(group.proper(g), (both[0] == both[1]) & both[2]) and group.has_improper
    assert make_group("C3 x C5 x Sign(2)").elements().shape == (60, 4)


@pytest.mark.parametrize(
    ("text", "element", "label"),
    [
        ("C4", [1], "C4: turn 1 of 4 (90 deg)"),
        ("D4", [[2, 1]], "D4: reflection + turn 2 of 4 (180 deg)"),
        ("S(6)", [[3, 0, 4, 1, 2, 5]], "permutation (0 3 1)(2 4)"),
        ("S(4)", [[0, 1, 2, 3]], "identity permutation"),
        ("S(40)", [[*range(1, 40), 0]], "permutation (0 1 2 3 4 5 6 7 8 9 10 11 ...), 40 of 40 slots moved"),
        ("SO(3)", [[[0, 0, 1], [1, 0, 0], [0, 1, 0]]], "rotation 120.0 deg about (0.58, 0.58, 0.58)"),
        ("SO(3)", [[[1, 0, 0], [0, -1, 0], [0, 0, -1]]], "rotation 180.0 deg about (1.00, 0.00, 0.00)"),
        ("SO(3)", [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]], "identity"),
        ("O(3)", [[[1, 0, 0], [0, -1, 0], [0, 0, 1]]], "reflection along (0.00, 1.00, 0.00)"),
        ("O(3)", [[[-1, 0, 0], [0, -1, 0], [0, 0, -1]]], "inversion"),
        ("O(2)", [[[0, 1], [1, 0]]], "reflection + rotation 90.0 deg"),
        ("SE(2)", [[[0, -1, 3], [1, 0, -2.5], [0, 0, 1]]], "rotation 90.0 deg, then translation (3.00, -2.50)"),
        ("Scale(0.5,2)", [1.25], "scale by 1.25"),
        ("Sign(3)", [[1, -1, 1]], "signs +-+"),
        ("C4 x T(1)", [[3, 0.5]], "C4: turn 3 of 4 (270 deg), translation (0.50)"),
    ],
)
def test_label(text: str, element: list[object], label: str) -> None:
    group = make_group(text)
    assert group.label(torch.tensor(element).to(group.identity(1).dtype), 0) == label


def test_label_of_shift_takes_the_short_way_round() -> None:
    group = make_group("Shift").bind(Extents(grid=(16, 16)))
    assert group.label(torch.tensor([[3, 11]]), 0) == "shift (3, -5)"


@pytest.mark.parametrize("angle", [1e-3, 1.0, 3.1, 3.14159, math.pi])
def test_label_finds_axis_at_every_angle(angle: float) -> None:
    group = make_group("SO(3)")
    base = haar_rotation(1, 3, Draws(4, "axis"))
    about = torch.linalg.matrix_exp(angle * matrix([0, -1, 0], [1, 0, 0], [0, 0, 0]).repeat(2, 1, 1))[:1]
    words = group.label(base @ about @ base.mT, 0)
    axis = [float(v) for v in words[words.index("(") + 1 : -1].split(",")]
    assert words.startswith(f"rotation {math.degrees(angle):.1f} deg")
    sign = 1.0 if angle < 3.1415 else math.copysign(1.0, axis[0] * float(base[0, 0, 2]))
    assert axis == pytest.approx((sign * base[0, :, 2]).tolist(), abs=0.006)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("C", "group 'C' does not take 0 argument", "write C5"),
        ("C(x)", "'x' is not a number that C accepts", "C(3)"),
        ("D(0)", "integer of at least 1, not 0", "D(1)"),
        ("SO(3,1)", "not offered", "SO(1,3)"),
        ("I(3)", "group 'I' does not take 1 argument", "write I"),
        ("Scale(2,1)", "range of Scale(2,1) is empty", "Scale(0.5,2)"),
        ("Scale(2)", "does not take 1 argument", "Scale(0.5,2)"),
        ("T(2,nan)", "positive number, not nan", "finite"),
        ("Shift(0,0)", "no axis that moves", "Shift(8)"),
        ("Shift(1,1,1,1)", "more than three axes", "Shift(8)"),
        ("C4 x Soo(3)", "unknown group 'Soo'", "'SO'"),
    ],
)
def test_error_names_the_right_form(text: str, message: str, hint: str) -> None:
    with pytest.raises(ClaimError) as caught:
        make_group(text)
    assert message in caught.value.message and hint in caught.value.hint and caught.value.where


def test_every_error_example_is_a_group() -> None:
    for name in groups.names():
        for text in getattr(groups.get(name), "examples", (name,)):
            assert make_group(text).name.startswith(name)
