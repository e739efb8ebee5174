"""Channels that mean directions, and cameras that belong to an image: against plain turns, flips and projections."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.plain import make_action
from symcheck.errors import SymcheckError
from symcheck.grammar import parse_term
from symcheck.groups import make_group
from symcheck.groups.base import Extents
from symcheck.groups.draws import Draws
from symcheck.testing import check_action


def bound(group: str, action: str, shape: tuple[int, ...], extents: Extents | None = None) -> Bound:
    """The action bound as an input of this shape would bind it."""
    made = make_action(parse_term(action))
    loose = make_group(group)
    slot = Bound((made,), loose.bind(made.extents(shape) if extents is None else extents))
    for part in slot.parts:
        made.check(part.group, shape, "here")
    return slot


def noise(*shape: int) -> Tensor:
    return Draws(0, "noise").normal(1, *shape)[0]


# Directions


def differences(x: Tensor, steps: list[tuple[int, int]]) -> Tensor:
    """x(p + d) - x(p) for every step d = (right, up), as planes; circular."""
    return torch.cat([x.roll((up, -right), (-2, -1)) - x for right, up in steps], dim=1)


FOUR = [(1, 0), (0, 1), (-1, 0), (0, -1)]
EIGHT = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]


@pytest.mark.parametrize(("text", "steps"), [("directions", FOUR), ("directions(8)", EIGHT)])
def test_differences_to_the_neighbours_are_directions(text: str, steps: list[tuple[int, int]]) -> None:
    """D4 has elements of order 4 that do not commute with mirrors, so order and sense are both told apart."""
    group = make_group("D4")
    g = group.elements()
    assert g is not None
    x = noise(8, 1, 5, 5)
    planes = differences(x, steps)
    after = differences(bound("D4", "image", (1, 5, 5))(g, x), steps)
    shape = (len(steps), 5, 5)
    assert torch.equal(after, bound("D4", f"image(fiber={text})", shape)(g, planes))
    assert not torch.equal(after, bound("D4", "image", shape)(g, planes))
    other = planes[:, [*range(1, len(steps)), 0]]  # the order starts elsewhere: turns do not see it, mirrors do
    moved = differences(bound("D4", "image", (1, 5, 5))(g, x), [*steps[1:], steps[0]])
    assert not torch.equal(moved, bound("D4", f"image(fiber={text})", shape)(g, other))


def test_a_sum_of_fields_moves_each_on_its_own_channels() -> None:
    group = make_group("D4")
    g = group.elements()
    assert g is not None
    parts = {"trivial": 3, "sign": 1, "directions": 4, "vector": 4, "regular": 8}
    pieces = [noise(8, size, 4, 4) for size in parts.values()]
    text = "3*trivial+sign+directions+2*vector+regular"
    moved = bound("D4", f"image(fiber={text})", (20, 4, 4))(g, torch.cat(pieces, dim=1))
    for (kind, size), piece, found in zip(parts.items(), pieces, moved.split(list(parts.values()), 1), strict=True):
        assert torch.equal(found, bound("D4", f"image(fiber={kind})", (size, 4, 4))(g, piece)), kind
    signs = bound("D4", "image(fiber=sign)", (1, 4, 4))(g, torch.ones(8, 1, 4, 4))[:, 0, 0, 0]
    assert torch.equal(signs > 0, group.proper(g))


def test_vectors_of_a_sum_turn_by_any_angle_and_directions_by_their_own() -> None:
    slot = bound("SO(2)", "image(fiber=trivial+vector)", (3, 16, 16))
    assert slot.parts
    check_action("image(fiber=trivial+vector)", "SO(2)", (3, 16, 16))
    check_action("image(fiber=directions(8)+sign)", "D8", (9, 16, 16))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("image(fiber= 3*trivial + directions )", "image(fiber=3*trivial+directions)"),
        ("image(fiber=1*trivial+directions(4))", "image(fiber=trivial+directions)"),
        ("image(fiber=1*vector)", "image(fiber=1*vector)"),
        ("image(fiber=regular)", "image(fiber=regular)"),
    ],
)
def test_names_of_fields_are_spelt_in_one_way(text: str, name: str) -> None:
    assert make_action(parse_term(text)).name == name
    assert make_action(parse_term(name)).name == name


# Cameras


def camera(*shape: int) -> Tensor:
    """Camera matrices with different focal lengths and a principal point off the centre."""
    k = torch.zeros(*shape, 3, 3, dtype=torch.float64)
    k[..., 0, 0], k[..., 1, 1], k[..., 2, 2] = 9.0, 7.0, 1.0
    k[..., 0, 2], k[..., 1, 2] = 3.5, 1.25
    return k


def four(k: Tensor) -> Tensor:
    return torch.stack([k[..., 0, 0], k[..., 1, 1], k[..., 0, 2], k[..., 1, 2]], dim=-1)


CAMERAS = [("D4", (6, 6)), ("C4", (6, 6)), ("D2", (4, 9)), ("T(2)", (6, 8)), ("Scale(0.5,2)", (6, 8)), ("E(2)", (6, 6))]


@pytest.mark.parametrize(("group", "size"), CAMERAS)
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
def test_cameras_obey_the_laws(group: str, size: tuple[int, int], shape: tuple[int, ...]) -> None:
    check_action(f"intrinsics({size[0]}x{size[1]})", group, shape, example=camera(3, *shape[:-2]))


@pytest.mark.parametrize(("group", "size"), CAMERAS[:5])
def test_four_numbers_move_as_the_matrix(group: str, size: tuple[int, int]) -> None:
    text = f"intrinsics({size[0]}x{size[1]})"
    check_action(text, group, (4,), example=four(camera(3)))
    made = make_group(group)
    g = made.sample(12, Draws(0, "g"))
    matrix = bound(group, text, (3, 3))(g, camera(12))
    assert torch.allclose(bound(group, text, (4,))(g, four(camera(12))), four(matrix))


def test_mirrors_and_quarter_turns_keep_focal_lengths_positive() -> None:
    slot = bound("D4", "intrinsics(6x6)", (4,))
    quarter, mirror = slot(torch.tensor([[1, 0], [2, 1]]), four(camera(2)))
    assert torch.allclose(quarter, torch.tensor([7.0, 9.0, 1.25, 5 - 3.5], dtype=torch.float64))  # counter-clockwise
    assert torch.allclose(mirror, torch.tensor([9.0, 7.0, 5 - 3.5, 1.25], dtype=torch.float64))  # left and right


@pytest.mark.parametrize(("group", "size"), [("D4", (7, 7)), ("D2", (5, 9)), ("T(2,2)", (7, 7)), ("E(2,2)", (7, 7))])
def test_points_are_seen_where_the_image_shows_them(group: str, size: tuple[int, int]) -> None:
    """A camera that turned with its image has the point (x, depth) at (Q x, depth), in the pixel that moved there."""
    made = make_group(group)
    g = made.sample(20, Draws(0, "g"))
    moved = bound(group, f"intrinsics({size[0]}x{size[1]})", (3, 3))(g, camera(20))
    flip = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))  # rows count down
    turn = flip @ made.face("linear", g) @ flip
    t = made.face("translation", g) @ flip if "translation" in made.faces else torch.zeros(20, 2).double()
    point = torch.tensor([0.3, -0.2, 2.0], dtype=torch.float64)
    seen = camera(20) @ point
    pixel = seen[:, :2] / seen[:, 2:]
    centre = (torch.tensor(size[::-1], dtype=torch.float64) - 1) / 2
    there = (turn @ (pixel - centre)[:, :, None])[:, :, 0] + centre + t
    turned = torch.cat([turn @ point[:2], point[2:].expand(20, 1)], dim=1)
    again = (moved @ turned[:, :, None])[:, :, 0]
    assert torch.allclose(again[:, :2] / again[:, 2:], there)
    still = (camera(20) @ turned[:, :, None])[:, :, 0]
    assert not torch.allclose(still[:, :2] / still[:, 2:], there, atol=0.1)


def test_cameras_follow_real_shifts_of_the_image() -> None:
    canvas = Extents(grid=(12, 14), reach=2)
    slot = bound("Shift", "intrinsics(8x10)", (4,), canvas)
    moved = slot(torch.tensor([[2, -1]]), four(camera(1)))
    assert moved.tolist() == [[9.0, 7.0, 3.5 - 1, 1.25 + 2]]
    half = bound("Shift", "intrinsics(4x5)", (4,), canvas)(torch.tensor([[2, -1]]), four(camera(1)))
    assert half.tolist() == [[9.0, 7.0, 3.5 - 0.5, 1.25 + 1]]


@pytest.mark.parametrize(
    ("group", "shape", "extents", "says"),
    [
        ("C4", (3, 2), None, "at the end"),
        ("Shift", (3, 3), Extents(grid=(6, 6)), "wraps"),
        ("Shift", (3, 3), Extents(grid=(6,), reach=1), "1 grid axes"),
        ("SO(2)", (4,), None, "not square"),
        ("C8", (4,), None, "not square"),
        ("GL+(2)", (3, 3), None, "not square"),
        ("SO(3)", (3, 3), None, "2x2"),
    ],
)
def test_what_no_camera_does_is_refused(
    group: str, shape: tuple[int, ...], extents: Extents | None, says: str
) -> None:
    with pytest.raises(SymcheckError, match=says) as error:
        bound(group, "intrinsics(6x6)", shape, extents)
    assert error.value.where and error.value.hint


@pytest.mark.parametrize("text", ["intrinsics(6)", "intrinsics(6by6)", "intrinsics"])
def test_a_camera_names_its_image(text: str) -> None:
    with pytest.raises(SymcheckError) as error:
        make_action(parse_term(text))
    assert error.value.where and error.value.hint
