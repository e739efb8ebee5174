from __future__ import annotations

import math

import numpy as np
import planted_models as nets
import pytest
import torch
from planted_parts import Averaged, Axial, dihedral, part_of, points, spectrum_of, tilted, turns

from symcheck.actions.wigner import wigner
from symcheck.groups.characters import characters
from symcheck.groups.point_groups import named_groups
from symcheck.groups.products import make_group
from symcheck.groups.subgroups import elements_of, table_of
from symcheck.locate.subgroups.spectrum import (
    character_powers,
    degree_powers,
    frequency_powers,
    gcd_above,
    quadrature,
    weighted_matrices,
)


def test_frequencies_sum_to_the_variance() -> None:
    rng = np.random.default_rng(0)
    for count in (24, 25):
        y = rng.standard_normal((count, 3, 2))
        total = ((y - y.mean(0)) ** 2).sum(2).mean()
        assert frequency_powers(y).sum() == pytest.approx(total, rel=1e-12)


def test_a_single_frequency_stands_at_its_place() -> None:
    angle = np.arange(120) * 2 * math.pi / 120
    y = np.stack([np.cos(6 * angle), 2 * np.sin(9 * angle)], 1)[:, None]
    powers = frequency_powers(y)
    assert powers[5] == pytest.approx(0.5) and powers[8] == pytest.approx(2.0)
    assert gcd_above(powers, np.full(60, 1e-20)) == 3
    assert gcd_above(powers, np.full(60, 10.0)) == 0


def test_degrees_sum_to_the_variance() -> None:
    rotation, weight = quadrature(7)
    assert float(weight.sum()) == pytest.approx(1)
    rng = torch.Generator().manual_seed(0)
    y = torch.zeros(len(rotation), 2, 1, dtype=torch.float64)
    planted = {}
    for degree in (1, 4, 6):
        mixed = torch.randn(2 * degree + 1, 2 * degree + 1, generator=rng, dtype=torch.float64)
        y[:, 0, 0] += (wigner(degree, rotation) * mixed).sum((1, 2))
        planted[degree] = float(mixed.square().sum()) / (2 * degree + 1) / 2
    powers = degree_powers(y, weighted_matrices(6, 7))
    assert powers == pytest.approx([planted.get(degree, 0.0) for degree in range(7)], abs=1e-10)
    assert powers[1:].sum() == pytest.approx(float((y.square().sum((1, 2)) * weight).sum()) / 2)


@pytest.mark.parametrize(
    "name, degrees",
    [("C6", [1] * 6), ("D4", [1, 1, 1, 1, 2]), ("S(4)", [1, 1, 2, 3, 3]), ("A(5)", [1, 3, 3, 4, 5]),
     ("Oh", [1, 1, 1, 1, 2, 2, 3, 3, 3, 3]), ("S(5)", [1, 1, 4, 4, 5, 5, 6])],
)  # fmt: skip
def test_characters(name: str, degrees: list[int]) -> None:
    group = make_group(name)
    table = table_of(group.compose, elements_of(group))
    assert table is not None
    chi = characters(table)
    assert chi[:, 0].real.round().astype(int).tolist() == degrees
    assert np.abs(chi[0] - 1).max() < 1e-6  # the trivial one comes first
    assert np.abs(chi @ chi.conj().T / table.order - np.eye(len(chi))).max() < 1e-6
    # powers of any function on the group sum to its mean square
    y = np.random.default_rng(1).standard_normal((table.order, 3))
    powers = character_powers(y, chi, table.product[:, table.inverse])
    assert powers.min() > 0 and powers.sum() == pytest.approx((y**2).sum(1).mean())


def test_the_sign_of_mirrors_is_seen_alone() -> None:
    part = part_of(Averaged(turns(4), 4), "D4: points -> scalar", points(2))
    (spectrum,) = part.spectra
    present = [label for label, p, f in zip(spectrum.labels, spectrum.powers, spectrum.floors, strict=True) if p > f]
    assert len(spectrum.labels) == 4 and len(present) == 1 and "reflection" in present[0]
    assert sum(spectrum.powers) == pytest.approx(spectrum.variance)


@pytest.mark.parametrize("name, least, word", [("O", 4, "voxel"), ("I", 6, "icosahedron"), ("T", 3, "tetrahedron")])
def test_the_lowest_degree_of_a_solid(name: str, least: int, word: str) -> None:
    q = tilted()
    net = Averaged(q @ named_groups()[name] @ q.T, 3)
    (spectrum,) = part_of(net, "SO(3): points -> scalar", points(3, 3)).spectra
    assert word in spectrum.reading
    assert all(power < 1e-3 * spectrum.variance for power in spectrum.powers[: least - 1])
    assert spectrum.powers[least - 1] > 0.05 * spectrum.variance


def test_parity_of_a_chiral_output() -> None:
    net = nets.After(nets.Energy(), lambda y, pos: 0.1 * y + nets.triple(pos))
    (spectrum,) = part_of(net, "O(3): points -> scalar", points(3, 6)).spectra
    share = dict(zip(spectrum.labels, spectrum.powers, strict=True))
    assert share["0o"] == pytest.approx(spectrum.variance, rel=1e-6) and "mirrors break" in spectrum.reading


def test_a_preferred_axis_has_even_degrees_only() -> None:
    net = Axial(torch.tensor([0.3, -0.5, 0.8]), "D∞h")
    (spectrum,) = part_of(net, "O(3): points -> scalar", points(3, 3)).spectra
    share = dict(zip(spectrum.labels, spectrum.powers, strict=True))
    assert share["2e"] > 0.3 * spectrum.variance
    assert all(power < 1e-6 * spectrum.variance for label, power in share.items() if label.endswith("o"))


def test_rounding_is_no_spectrum() -> None:
    frequencies = spectrum_of(nets.Gated(), "SO(2): points -> vector", points(2, 6))
    degrees = spectrum_of(nets.Gated(), "SO(3): points -> vector", points(3, 6))
    characters_ = spectrum_of(nets.Gated(), "D4: points -> vector", points(2, 6))
    for one in (frequencies, degrees, characters_):
        assert all(p <= f for p, f in zip(one.powers, one.floors, strict=True))
        assert one.reading.startswith("nothing above rounding")


def test_a_dihedral_network_keeps_its_frequencies() -> None:
    (spectrum,) = part_of(Averaged(dihedral(3, 0.2), 4), "O(2): points -> scalar", points(2)).spectra
    assert spectrum.order == 3
    assert all(p <= f for k, (p, f) in enumerate(zip(spectrum.powers, spectrum.floors, strict=True), 1) if k % 3)


def test_a_vector_declared_as_scalar_has_one_degree() -> None:
    (spectrum,) = part_of(nets.Gated(), "SO(3): points -> scalar", points(3, 6)).spectra
    assert spectrum.powers[0] == pytest.approx(spectrum.variance) and "tensor of degree 1" in spectrum.reading
