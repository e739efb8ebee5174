from __future__ import annotations

import math

import planted_models as nets
import pytest
import torch
from planted_parts import Averaged, Axial, part_of, points, turns

from symcheck.locate.subgroups.result import Along, GroupPart


def curve(part: GroupPart, name: str) -> Along:
    return next(one for one in part.curves if one.name == name)


def test_the_axis_that_holds_is_flat() -> None:
    part = part_of(Axial(torch.tensor([0.0, 0.0, 1.0]), "C∞v"), "SO(3): points -> scalar", points(3, 3))
    flat, steep = curve(part, "rotation about z"), curve(part, "rotation about x")
    assert max(flat.errors) < 1e-10 and flat.extent is None
    assert max(steep.errors) > 0.1 and steep.extent is not None and 0 < steep.extent < 0.1
    assert flat.period == pytest.approx(2 * math.pi) and 0 < flat.at[0] < flat.at[-1] < 2 * math.pi


def test_translations_are_a_curve_of_their_own() -> None:
    part = part_of(nets.Axial(), "SE(3): points -> scalar", points(3, 6))
    assert curve(part, "translation along z").period is None
    assert max(curve(part, "translation along z").errors) > 0.01
    assert max(curve(part_of(nets.Energy(), "SE(3): points -> scalar", points(3)), "translation along z").errors) < 1e-9


def test_generators_of_a_finite_group() -> None:
    part = part_of(Averaged(turns(4), 4), "D4: points -> scalar", points(2))
    turn, mirror = curve(part, "D4: turn 1 of 4 (90 deg)"), curve(part, "D4: reflection + turn 0 of 4 (0 deg)")
    assert turn.errors[0] < 1e-10 and turn.extent is None
    assert mirror.errors[0] > 0.01 and mirror.extent == 0.0


def test_worst_elements_are_named_first() -> None:
    part = part_of(Averaged(turns(4), 4), "D4: points -> scalar", points(2))
    errors = [one.error for one in part.elements]
    assert errors == sorted(errors, reverse=True) and len(errors) == 7
    assert all("reflection" in one.label for one in part.elements[:4])
    assert all("reflection" not in one.label for one in part.elements[4:])


def test_the_extent_lies_between_two_points() -> None:
    part = part_of(Axial(torch.tensor([0.0, 0.0, 1.0]), "C∞v"), "SO(3): points -> scalar", points(3, 3), tolerance=0.2)
    steep = curve(part, "rotation about x")
    assert steep.extent is not None
    over = next(t for t, e in zip(steep.at, steep.errors, strict=True) if e > 0.2)
    before = [t for t in steep.at if t < over]
    assert (before[-1] if before else 0.0) <= steep.extent <= over
