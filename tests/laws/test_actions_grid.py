"""Actions on grids and indices: left actions with a scatter convention, pinned against plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Action, Bound, Rep, actions
from symcheck.actions.grid import permute, turn
from symcheck.actions.image import Image
from symcheck.actions.nodes import Slots
from symcheck.errors import ClaimError, DataError, SymcheckError
from symcheck.grammar import parse_term
from symcheck.groups import make_group
from symcheck.groups.base import Extents, Group
from symcheck.groups.draws import Draws
from symcheck.measure.laws import check_law
from symcheck.testing import check_action
from symcheck.testing.action_laws import case

CCW = torch.tensor([[0, -1], [1, 0]])


def make(text: str) -> Action:
    term = parse_term(text)
    return actions.get(term.name)(*term.args)


def bound(group: str, text: str, shape: tuple[int, ...]) -> Bound:
    """The action of a slot, bound to the group as an input of this shape would bind it."""
    action = make(text)
    made = Bound((action,), make_group(group).bind(action.extents(shape)))
    for part in made.parts:
        action.check(part.group, shape, "here")
    assert made.parts, f"{text} is not moved by {group}"
    return made


def noise(*shape: int, seed: int = 0) -> Tensor:
    return Draws(seed, "noise").normal(1, *shape)[0]


def image_of(n: int, *shape: int) -> Tensor:
    return torch.stack([noise(*shape, seed=i) for i in range(n)])


EXACT = [
    ("C4", "image", (3, 6, 6)),
    ("D4", "image", (2, 3, 5, 5)),
    ("D4", "image", (4, 4)),
    ("D2", "image", (3, 4, 7)),
    ("Shift", "image", (3, 5, 7)),
    ("Shift(3)", "image", (9, 6)),
    ("Shift(2,0)", "image", (2, 8, 5)),
    ("C4", "image(fiber=regular)", (8, 5, 5)),
    ("D4", "image(fiber=regular)", (16, 4, 4)),
    ("D4", "image(fiber=vector)", (6, 5, 5)),
    ("D4", "image(fiber=3*trivial+directions)", (7, 5, 5)),
    ("D4", "image(fiber=directions)", (2, 8, 4, 4)),
    ("C4", "image(fiber=1*regular+sign+2*vector+directions(8))", (17, 4, 4)),
    ("D4", "image(fiber=sign+1*regular)", (9, 4, 4)),
    ("D4", "image(fiber=2*trivial)", (2, 4, 4)),
    ("D4", "image(crop=2)", (1, 9, 9)),
    ("Shift", "shift", (3, 7)),
    ("Shift", "shift(2)", (5, 7)),
    ("Shift(1,2,3)", "shift(3)", (2, 3, 4, 9)),
    ("Shift", "sequence", (7, 3)),
    ("Shift", "sequence(axis=-1)", (3, 7)),
    ("Shift(2)", "sequence(axis=1)", (2, 8, 3)),
    ("C2", "sequence", (6, 2)),
    ("S", "sequence", (7, 2)),
    ("S", "nodes", (7, 3)),
    ("S", "nodes", (7,)),
    ("S", "set(axis=1)", (2, 7, 3)),
    ("S", "pairs", (6, 6, 2)),
    ("S", "channels", (5, 3, 3)),
    ("S", "labels", (2, 7)),
    ("D4", "labels(4x4)", (3, 18)),
    ("C4", "labels(3x3)", (9,)),
    ("C4", "regular", (3, 4)),
    ("D4", "regular(8)", (8,)),
    ("Sign(3)", "channels", (3, 2)),
    ("Sign", "channels", (3, 2)),
]


@pytest.mark.parametrize(("group", "text", "shape"), EXACT)
def test_every_exact_action_obeys_the_laws(group: str, text: str, shape: tuple[int, ...]) -> None:
    check_action(text, group, shape)
    assert bool(case(text, group, shape).exact.all())


def test_edges_obey_the_laws() -> None:
    check_action("edges", "S(5)", (2, 9), example=Draws(3, "edges").integers(12, 2, 9, high=5))


@pytest.mark.parametrize("group", ["SO(2)", "O(2)", "SE(2)", "E(2)", "T(2)", "C12", "Scale(0.5,2)"])
@pytest.mark.parametrize("text", ["image", "image(interpolation=bilinear)", "image(mask=disc)"])
def test_resampled_images_are_near_the_laws(group: str, text: str) -> None:
    check_action(text, group, (2, 16, 16))


def test_a_quarter_turn_is_counter_clockwise_as_displayed() -> None:
    x = image_of(4, 3, 5, 5)
    moved = bound("C4", "image", (3, 5, 5))(torch.arange(4), x)
    for k in range(4):
        assert torch.equal(moved[k], torch.rot90(x[k], k, (-2, -1)))


def test_flips_mirror_y_first_and_then_turn() -> None:
    """The dihedral element (k, 1) is R(k) diag(1, -1): up and down change places, then it turns."""
    x = image_of(4, 2, 6, 6)
    g = torch.tensor([[k, 1] for k in range(4)])
    moved = bound("D4", "image", (2, 6, 6))(g, x)
    for k in range(4):
        assert torch.equal(moved[k], torch.rot90(x[k].flip(-2), k, (-2, -1)))


def test_shifts_roll_rows_and_columns() -> None:
    x = image_of(3, 2, 6, 8)
    g = torch.tensor([[1, 0], [0, 3], [5, 6]])
    moved = bound("Shift", "image", (2, 6, 8))(g, x)
    for i, (rows, columns) in enumerate(g.tolist()):
        assert torch.equal(moved[i], torch.roll(x[i], (rows, columns), (-2, -1)))
    y = image_of(2, 3, 4, 5, 6)
    g = torch.tensor([[1, 2, 5], [3, 0, 1]])
    moved = bound("Shift", "shift(3)", (3, 4, 5, 6))(g, y)
    for i in range(2):
        assert torch.equal(moved[i], torch.roll(y[i], tuple(g[i].tolist()), (1, 2, 3)))


def test_sequences_roll_and_reverse_their_own_axis() -> None:
    x = image_of(2, 5, 3)
    rolled = bound("Shift", "sequence", (5, 3))(torch.tensor([[2], [4]]), x)
    assert torch.equal(rolled[0], x[0].roll(2, 0)) and torch.equal(rolled[1], x[1].roll(4, 0))
    flipped = bound("C2", "sequence", (5, 3))(torch.tensor([0, 1]), x)
    assert torch.equal(flipped[0], x[0]) and torch.equal(flipped[1], x[1].flip(0))
    last = bound("Shift", "sequence(axis=-1)", (5, 3))(torch.tensor([[1], [2]]), x)
    assert torch.equal(last[1], x[1].roll(2, 1))


def test_permutations_scatter() -> None:
    """Slot i goes to slot p(i), on a 3-cycle, where a gather would go the other way."""
    p = torch.tensor([[1, 2, 0]])
    x = torch.tensor([[10, 20, 30]])
    assert bound("S", "nodes", (3,))(p, x).tolist() == [[30, 10, 20]]
    assert bound("S", "labels", (3,))(p, x).tolist() == [[30, 10, 20]]
    assert bound("S", "sequence", (3,))(p, x).tolist() == [[30, 10, 20]]
    a = image_of(1, 3, 3)
    matrix = torch.zeros(3, 3, dtype=torch.float64)
    for i in range(3):
        matrix[p[0, i], i] = 1
    assert torch.equal(bound("S", "pairs", (3, 3))(p, a)[0], matrix @ a[0] @ matrix.T)


def test_edges_are_renamed_like_the_adjacency_matrix_is_permuted() -> None:
    group = make_group("S(5)")
    p = group.sample(6, Draws(0, "p"))
    edges = Draws(3, "edges").integers(6, 2, 9, high=5)
    moved = Bound((make("edges"),), group)(p, edges)
    adjacency = torch.zeros(6, 5, 5, dtype=torch.int64)
    after = adjacency.clone()
    for i in range(6):
        adjacency[i].index_put_((edges[i, 0], edges[i, 1]), torch.tensor(1), accumulate=True)
        after[i].index_put_((moved[i, 0], moved[i, 1]), torch.tensor(1), accumulate=True)
    assert torch.equal(Bound((make("pairs"),), group)(p, adjacency), after)


def test_regular_is_left_multiplication() -> None:
    """A one at h goes to a one at gh; D4 does not commute, so the right multiplication is told apart."""
    group = make_group("D4")
    elements = group.elements()
    assert elements is not None
    for h in range(8):
        x = torch.zeros(8, 8)
        x[:, h] = 1
        where = bound("D4", "regular", (8,))(elements, x).argmax(1)
        assert torch.equal(elements[where], group.compose(elements, elements[h].expand(8, 2)))


def test_a_lifting_convolution_is_equivariant_into_regular_fibres() -> None:
    """Channel c·4 + h correlates with the filter turned by h: turning the input permutes the fibres."""
    filters = noise(2, 1, 3, 3)
    lifted = torch.cat([torch.stack([f.rot90(h, (-2, -1)) for h in range(4)]) for f in filters])
    group = torch.arange(4)
    x = image_of(1, 1, 7, 7).expand(4, 1, 7, 7)
    left = torch.conv2d(bound("C4", "image", (1, 7, 7))(group, x), lifted, padding=1)
    right = bound("C4", "image(fiber=regular)", (8, 7, 7))(group, torch.conv2d(x, lifted, padding=1))
    assert float((left - right).abs().max()) < 1e-12


def test_a_gradient_image_is_a_vector_field() -> None:
    """The central differences (d/dx to the right, d/dy up) of a turned image are the turned field."""

    def gradient(x: Tensor) -> Tensor:
        right = (x.roll(-1, -1) - x.roll(1, -1)) / 2
        up = (x.roll(1, -2) - x.roll(-1, -2)) / 2
        return torch.cat([right, up], dim=1)

    group = make_group("D4")
    g = group.elements()
    assert g is not None
    x = image_of(8, 1, 6, 6)
    left = gradient(bound("D4", "image", (1, 6, 6))(g, x))
    right = bound("D4", "image(fiber=vector)", (2, 6, 6))(g, gradient(x))
    assert float((left - right).abs().max()) < 1e-14
    scalar = bound("D4", "image", (2, 6, 6))(g, gradient(x))
    assert float((left - scalar).abs().max()) > 0.1


def test_a_board_of_labels_moves_like_an_image_and_the_rest_stays() -> None:
    x = image_of(4, 66)
    moved = bound("C4", "labels(8x8)", (66,))(torch.arange(4), x)
    for k in range(4):
        board = x[k, :64].view(8, 8).rot90(k)
        assert torch.equal(moved[k], torch.cat([board.flatten(), x[k, 64:]]))


def test_signs_multiply_channels() -> None:
    g = torch.tensor([[1.0, -1.0, -1.0]], dtype=torch.float64)
    x = image_of(1, 3, 2)
    assert torch.equal(bound("Sign(3)", "channels", (3, 2))(g, x), x * g[..., None])


# Outputs of another size, canvases and discs


def shifts(grid: tuple[int, ...], step: int = 1, reach: int | None = None) -> Group:
    return make_group(f"Shift({step})").bind(Extents(grid=grid, reach=reach))


def test_shifts_scale_with_the_size_of_the_output() -> None:
    group = shifts((16, 16), step=4)
    y = image_of(2, 3, 4, 4)
    moved = Bound((make("image"),), group)(torch.tensor([[4, 8], [12, 0]]), y)
    assert torch.equal(moved[0], y[0].roll((1, 2), (-2, -1)))
    assert torch.equal(moved[1], y[1].roll(3, -2))
    finer = Bound((make("sequence"),), shifts((8,)))(torch.tensor([[3]]), image_of(1, 16, 2))
    assert torch.equal(finer[0], image_of(1, 16, 2)[0].roll(6, 0))


@pytest.mark.parametrize(
    ("text", "shape", "grid"),
    [("image", (3, 4, 4), (16, 16)), ("shift", (2, 4), (16,)), ("sequence", (4, 2), (16,))],
)
def test_a_shift_that_is_no_whole_output_cell_is_refused(
    text: str, shape: tuple[int, ...], grid: tuple[int, ...]
) -> None:
    group = shifts(grid)
    with pytest.raises(DataError, match="no whole number") as error:
        make(text).check(group, shape, "'y'")
    assert "Shift(4)" in error.value.hint
    with pytest.raises(DataError, match="no whole number"):
        Bound((make(text),), group)(torch.ones(1, len(grid), dtype=torch.int64), image_of(1, *shape))
    make(text).check(shifts(grid, step=4), shape, "'y'")


@pytest.mark.parametrize(
    ("text", "shape", "reach"), [("image(crop=3)", (2, 12, 13), 3), ("shift(crop=2)", (2, 11), 2)]
)
def test_a_cropped_view_never_sees_wrapped_content(text: str, shape: tuple[int, ...], reach: int) -> None:
    """Poisoned by a wrapped border the views of x and of the shifted x would not be windows of one canvas."""
    action = make(text)
    extents = action.extents(shape)
    assert extents.reach == reach and extents.grid == shape[1:]
    slot = Bound((action,), make_group("Shift").bind(extents))
    x = image_of(40, *shape)
    g = slot.group.sample(40, Draws(0, "g"))
    assert int(g.abs().max()) == reach
    seen = slot.observe(slot(g, x))
    assert seen.shape[2:] == tuple(size - 2 * reach for size in shape[1:])
    for i, moves in enumerate(g.tolist()):
        view = x[i]
        for axis, (move, size) in enumerate(zip(moves, seen.shape[2:], strict=True)):
            view = view.narrow(axis + 1, reach - move, size)
        assert torch.equal(seen[i], view)


def test_an_output_of_a_cropped_input_leaves_its_border_out() -> None:
    group = shifts((24, 24), step=2, reach=4)
    with pytest.raises(ClaimError, match="wrapped") as error:
        make("image").check(group, (1, 8, 8), "'y'")
    assert "crop=2" in error.value.hint
    action = make("image(crop=2)")
    action.check(group, (1, 8, 8), "'y'")
    y = image_of(1, 1, 8, 8)
    moved = Bound((action,), group)(torch.tensor([[2, -4]]), y)
    assert torch.equal(moved[0], y[0].roll((1, -2), (-2, -1)))
    gap = action.difference(y, torch.zeros_like(y))
    assert gap.shape == y.shape and torch.equal(gap[..., 2:-2, 2:-2], y[..., 2:-2, 2:-2])
    assert int((gap != 0).sum()) == 16
    line = make("sequence(crop=1)").difference(image_of(1, 6, 2), torch.zeros(1, 6, 2))
    assert bool((line[:, [0, -1]] == 0).all()) and bool((line[:, 1:-1] != 0).all())


def test_the_disc_is_the_same_after_every_quarter_turn() -> None:
    for text, size in (("image", 9), ("image(crop=2)", 12)):
        mask = make(text).mask((3, size, size))
        assert mask is not None and mask.shape == (size, size)
        turns = turn(mask.expand(4, size, size), torch.stack([torch.matrix_power(CCW, k) for k in range(4)]))
        assert torch.equal(turns, mask.expand(4, size, size))
        assert mask[0, 0] == 0 and mask[size // 2, size // 2] == 1
        assert 0.4 * size < mask[size // 2].sum() < size - 1


def test_a_masked_image_shows_the_model_nothing_of_the_corners() -> None:
    x = image_of(2, 3, 9, 9)
    seen = make("image(mask=disc)").observe(x)
    assert bool((seen[..., 0, 0] == 0).all()) and torch.equal(seen[..., 4, 4], x[..., 4, 4])
    corner = x.clone()
    corner[..., 0, 0] = 99
    assert torch.equal(make("image(mask=disc)").observe(corner), seen)
    assert make("image(mask=disc,crop=1)").observe(x).shape == (2, 3, 7, 7)


# Resampled elements


def blob(size: int) -> Tensor:
    """A smooth image without symmetry that dies out before the border."""
    i = torch.arange(size, dtype=torch.float64)
    x, y = i[None, :] - (size - 1) / 2, (size - 1) / 2 - i[:, None]
    r = size / 32

    def bump(a: float, b: float, width: float) -> Tensor:
        return torch.exp(-((x - a * r) ** 2 + (y - b * r) ** 2) / (2 * (width * r) ** 2))

    return (bump(5, 0, 3) + 0.7 * bump(-2, 4, 2.5) - 0.5 * bump(0, -6, 3))[None]


def turns(degrees: float) -> Tensor:
    t = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([t.cos(), -t.sin(), t.sin(), t.cos()]).view(1, 2, 2)


def inside(y: Tensor, z: Tensor) -> float:
    """The relative difference inside the disc."""
    mask = Image().mask(tuple(y.shape[1:]))
    assert mask is not None
    return float(((y - z) * mask).norm() / (z * mask).norm())


@pytest.mark.parametrize(("text", "limit"), [("image", 0.02), ("image(interpolation=bilinear)", 0.1)])
def test_three_turns_of_thirty_degrees_are_a_quarter_turn(text: str, limit: float) -> None:
    x = blob(33)[None]
    slot = Bound((make(text),), make_group("SO(2)"))
    assert not slot.exact(turns(30)).any()
    thrice = slot(turns(30), slot(turns(30), slot(turns(30), x)))
    assert 0 < inside(thrice, x.rot90(1, (-2, -1))) < limit
    assert inside(thrice, x.rot90(-1, (-2, -1))) > 0.5
    assert inside(slot(turns(-30), slot(turns(30), x)), x) < limit


def test_a_mixed_batch_moves_lattice_elements_by_index() -> None:
    x = image_of(3, 2, 8, 8)
    slot = Bound((make("image"),), make_group("SO(2)"))
    g = torch.cat([turns(90), turns(40), turns(180)])
    assert slot.exact(g).tolist() == [True, False, True]
    moved = slot(g, x)
    assert torch.equal(moved[0], x[0].rot90(1, (-2, -1))) and torch.equal(moved[2], x[2].rot90(2, (-2, -1)))
    assert not torch.equal(moved[1], x[1])


def test_resampling_agrees_with_the_index_path_where_both_apply() -> None:
    """A rotation by a little more than 90° is resampled, and must be close to the exact quarter turn."""
    x = blob(16)[None]
    slot = Bound((make("image"),), make_group("O(2)"))
    mirror = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    for near, reference in (
        (turns(90 + 1e-5), x.rot90(1, (-2, -1))),
        (turns(90 + 1e-5) @ mirror, x.flip(-2).rot90(1, (-2, -1))),
    ):
        assert not slot.exact(near).any()
        assert inside(slot(near, x), reference) < 1e-5


@pytest.mark.parametrize(
    ("group", "count"), [("SO(2)", 3), ("O(2)", 7), ("SE(2)", 3), ("E(2)", 7), ("T(2)", 24), ("C12", 3)]
)
def test_the_lattice_of_a_group_is_exact_and_without_the_identity(group: str, count: int) -> None:
    made = make_group(group)
    action = make("image")
    lattice = action.lattice(made)
    assert lattice is not None and len(lattice) == count
    assert bool(action.exact(made, lattice).all())
    slot = Bound((action,), made)
    x = image_of(1, 1, 6, 6).expand(count, 1, 6, 6)
    law = check_law(slot, lattice, x, count)
    assert max(law.composition, law.identity, law.round_trip) == 0
    moved = slot(lattice, x).flatten(1)
    assert len(moved.unique(dim=0)) == count and not bool((moved == x.flatten(1)).all(1).any())


def test_translations_act_on_the_torus_in_pixels_x_right_y_up() -> None:
    x = image_of(2, 1, 8, 9)
    slot = Bound((make("image"),), make_group("T(2)"))
    g = torch.tensor([[3.0, 2.0], [-1.0, 0.5]], dtype=torch.float64)
    assert slot.exact(g).tolist() == [True, False]
    assert torch.equal(slot(g, x)[0], x[0].roll((-2, 3), (-2, -1)))
    smooth = blob(24)[None]
    half = torch.tensor([[10.5, -7.25]], dtype=torch.float64)
    there = slot(half, slot(half, smooth))
    assert float((there - slot(2 * half, smooth)).norm() / smooth.norm()) < 0.05
    assert float((there - slot(-2 * half, smooth)).norm() / smooth.norm()) > 0.5
    assert float((slot(-half, slot(half, smooth)) - smooth).norm() / smooth.norm()) < 0.05


def test_rigid_motions_turn_first_and_then_translate() -> None:
    x = blob(32)[None]
    g = torch.eye(3, dtype=torch.float64)[None].clone()
    g[0, :2, :2], g[0, 0, 2], g[0, 1, 2] = turns(90)[0], 3.0, 2.0
    slot = Bound((make("image"),), make_group("SE(2)"))
    moved = slot(g, x)
    assert inside(moved, x.rot90(1, (-2, -1)).roll((-2, 3), (-2, -1))) < 1e-2
    assert inside(moved, x.roll((-2, 3), (-2, -1)).rot90(1, (-2, -1))) > 0.1


def test_scale_dilates_about_the_centre() -> None:
    size = 33
    slot = Bound((make("image"),), make_group("Scale(0.5,2)"))
    i = torch.arange(size, dtype=torch.float64) - (size - 1) / 2

    def gaussian(width: float) -> Tensor:
        return torch.exp(-((i[None] - 2) ** 2 + i[:, None] ** 2) / (2 * width**2))[None, None]

    moved = slot(torch.tensor([1.5], dtype=torch.float64), gaussian(2.5))
    wanted = torch.exp(-((i[None] - 3) ** 2 + i[:, None] ** 2) / (2 * 3.75**2))[None, None]
    assert inside(moved, wanted) < 0.02
    assert inside(gaussian(2.5), wanted) > 0.2
    assert slot.exact(torch.tensor([1.0, 1.5], dtype=torch.float64)).tolist() == [True, False]


# Refusals


@pytest.mark.parametrize(
    ("group", "text", "shape", "says"),
    [
        ("C4", "image", (3, 5, 6), "rows"),
        ("SO(2)", "image", (5, 6), "rows"),
        ("C4", "image", (5,), "two axes"),
        ("SO(3)", "image", (3, 5, 5), "2x2"),
        ("Sign", "image", (3, 5, 5), "2x2"),
        ("C4", "image(fiber=regular)", (6, 5, 5), "blocks of 4"),
        ("SO(2)", "image(fiber=regular)", (6, 5, 5), "finite"),
        ("C4", "image(fiber=vector)", (3, 5, 5), "blocks of 2"),
        ("C4", "image(fiber=2*trivial+directions)", (7, 5, 5), r"2 \+ 4 channels .* has 7"),
        ("C4", "image(fiber=2*regular)", (4, 5, 5), "8 channels"),
        ("C4", "image(fiber=2*trivial)", (5, 5), "0"),
        ("C8", "image(fiber=directions)", (4, 5, 5), "4 directions"),
        ("SO(2)", "image(fiber=trivial+directions)", (5, 5, 5), "4 directions"),
        ("D4", "image(fiber=directions(6))", (6, 5, 5), "6 directions"),
        ("C4", "image(crop=3)", (3, 6, 6), "nothing is left"),
        ("C4", "sequence", (5, 2), "cannot be moved"),
        ("SO(3)", "sequence", (5, 2), "cannot be moved"),
        ("Sign", "sequence", (5, 2), "cannot be moved"),
        ("S(4)", "sequence", (5, 2), "4 slots"),
        ("S(4)", "nodes", (5, 2), "4 slots"),
        ("S", "pairs", (5, 4), "axis of 4"),
        ("S(4)", "nodes(axis=2)", (5, 2), "axis 2"),
        ("S(4)", "edges", (3, 5), r"\(2, E\)"),
        ("SO(2)", "channels", (2, 5), "mixes"),
        ("Sign(3)", "channels", (2, 5), "signs"),
        ("C4", "regular", (5,), "order"),
        ("C4", "regular(5)", (4,), "order"),
        ("SO(2)", "labels(3x3)", (9,), "less than a quarter"),
        ("C8", "labels(3x3)", (9,), "less than a quarter"),
        ("C4", "labels(3x3)", (8,), "9 entries"),
        ("C4", "labels(3x4)", (12,), "rows"),
        ("Shift(2,2)", "shift", (4,), "axes"),
    ],
)
def test_what_cannot_be_moved_is_refused(group: str, text: str, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(SymcheckError, match=says) as error:
        bound(group, text, shape)
    assert error.value.where and error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "image(3)",
        "image(crop=x)",
        "image(crop=-1)",
        "image(mask=square)",
        "image(zoom=2)",
        "image(fiber=left)",
        "image(fiber=)",
        "image(fiber=trivial+)",
        "image(fiber=0*trivial)",
        "image(fiber=vector(3))",
        "image(fiber=directions(1))",
        "shift(4)",
        "shift(zoom=2)",
        "sequence(fast)",
        "sequence(axis=first)",
        "nodes(3)",
        "nodes(crop=1)",
        "pairs(3)",
        "edges(3)",
        "channels(3)",
        "labels(8by8)",
        "regular(n)",
    ],
)
def test_unknown_arguments_are_refused(text: str) -> None:
    with pytest.raises(ClaimError) as error:
        make(text)
    assert error.value.where and error.value.hint


def test_edges_and_images_refuse_what_they_cannot_move() -> None:
    group = make_group("S(4)")
    p = group.sample(1, Draws(0, "p"))
    with pytest.raises(DataError, match="dtype"):
        Bound((make("edges"),), group)(p, torch.zeros(1, 2, 3))
    with pytest.raises(DataError, match="node 4"):
        Bound((make("edges"),), group)(p, torch.full((1, 2, 3), 4))
    with pytest.raises(DataError, match="resampled"):
        Bound((make("image"),), make_group("SO(2)"))(turns(30), torch.zeros(1, 1, 5, 5, dtype=torch.int64))


def test_words_leave_a_factor_to_the_other_actions_of_the_slot() -> None:
    group = make_group("SO(2) x Shift").bind(Extents(grid=(6,)))
    slot = Bound((make("sequence(shift)"),), group)
    assert [part.group.name for part in slot.parts] == ["Shift"]
    mixed = Bound((make("channels(permute)"),), make_group("D4 x S(3)"))
    assert [part.group.name for part in mixed.parts] == ["S(3)"]


# Planted faults: the law above must find them


class Gathers(Action):
    """Reads x[p(i)] where slot i should go to slot p(i)."""

    name = "gathers"
    uses = frozenset({"permutation"})

    def represent(self, group: Group, g: Tensor) -> Rep:
        return (group.face("permutation", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return x.gather(1, rep[0])


class TurnsBack(Action):
    """Turns clockwise, by the transposed matrix: an action of the abelian C4, but no left action of D4."""

    name = "clockwise"
    uses = frozenset({"linear"})

    def represent(self, group: Group, g: Tensor) -> Rep:
        return (group.face("linear", g).round().to(torch.int64).mT,)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return turn(x, rep[0])


class RightMultiplies(Action):
    """Permutes by right multiplication: h goes to hg."""

    name = "right"
    uses = frozenset({"regular"})

    def represent(self, group: Group, g: Tensor) -> Rep:
        elements = group.elements()
        assert elements is not None
        products = [group.compose(elements, row.expand_as(elements)) for row in g]
        match = [(p[:, None] == elements[None]).all(2).to(torch.int64).argmax(1) for p in products]
        return (torch.stack(match),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return permute(x, rep[0], 1)


@pytest.mark.parametrize(
    ("fault", "right", "group", "shape"),
    [
        (Gathers(), "nodes", "S(5)", (5,)),
        (TurnsBack(), "image", "D4", (1, 5, 5)),
        (RightMultiplies(), "regular", "D4", (8,)),
    ],
)
def test_the_law_finds_a_planted_fault(fault: Action, right: str, group: str, shape: tuple[int, ...]) -> None:
    check_action(right, group, shape)
    with pytest.raises(AssertionError, match=r"left action: \(gh\)x is not g\(hx\)"):
        check_action(fault, group, shape)


def test_a_clockwise_turn_is_a_left_action_too_and_only_the_reference_finds_it() -> None:
    """C4 is abelian, so that no law can see the direction: the pinned reference holds it."""
    x = image_of(4, 1, 5, 5)
    clockwise = turn(x, torch.stack([torch.matrix_power(CCW.T, k) for k in range(4)]))
    reference = torch.stack([x[k].rot90(k, (-2, -1)) for k in range(4)])
    assert not torch.equal(clockwise, reference)
    assert torch.equal(turn(x, torch.stack([torch.matrix_power(CCW, k) for k in range(4)])), reference)


def test_slots_follow_the_degree_of_the_data() -> None:
    assert make("nodes").extents((7, 3)) == Extents(degree=7)
    assert make("pairs").extents((7, 7, 2)) == Extents(degree=7)
    assert make("edges").extents((2, 9)) == Extents()
    assert make("labels").extents((3, 10)) == Extents(degree=10)
    assert make("image").extents((3, 8, 9)) == Extents(grid=(8, 9))
    assert isinstance(make("set"), Slots)
