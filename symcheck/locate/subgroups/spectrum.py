"""How the error over a group splits by irreducible representations (Peter–Weyl), sample by sample.

F(g) = g⁻¹·f(g·x) does not depend on g for an equivariant f. Its variance over the group is the sum of the powers of
the irreducible representations but the trivial one: frequencies m for turns of a plane (an FFT over the angle),
e_l = (2l + 1) ||∫ F D^l||² for turns of space (a product quadrature), characters for finite groups. The gcd of the
frequencies above the floor is the n of the C_n that survives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from symcheck.actions.wigner import wigner
from symcheck.claim import Claim
from symcheck.groups.base import Group
from symcheck.groups.characters import characters
from symcheck.groups.rotations import about_axes, in_plane
from symcheck.groups.subgroups import elements_of, table_of
from symcheck.locate.subgroups.factors import LISTED, Factor, factors_of, turns_in
from symcheck.locate.subgroups.landscape import Landscape, landscape_of
from symcheck.locate.subgroups.result import Spectrum
from symcheck.locate.subgroups.spectrum_words import read_characters, read_degrees, read_frequencies
from symcheck.measure.audit import Audit
from symcheck.measure.plan import Stratum

ANGLES, RESAMPLED = 840, 120  # multiples of all small orders, so that nothing of C_n is folded onto another frequency
SHOWN = 24
DEGREE, NODES = 6, 7  # the highest that is shown, and what the quadrature is exact for twice
_SAMPLES = 2  # of the quadrature over space


def spectra_of(audit: Audit, claim: Claim, parts: Sequence[Stratum]) -> tuple[list[Spectrum], list[str]]:
    """The spectra over every factor of the claim's group that has one, and what is to be said of the others."""
    resampled = any(part.resampled for part in parts)
    g = next(part.g for part in parts if part.resampled == resampled)
    high = _smooth(landscape_of(audit, claim, g, resampled=resampled))
    low = _smooth(landscape_of(audit, claim, g, resampled=resampled, lower=True))
    left = [name for name in landscape_of(audit, claim, g, resampled=resampled).slots if name not in high.slots]
    notes = [f"no spectrum of {name}: its differences cannot be pulled back and averaged" for name in left]
    found: list[Spectrum] = []
    for factor in factors_of(high.bound) if high.slots else []:
        group, turns = factor.group, turns_in(factor.group)
        title = "" if factor.alone else group.name
        if turns is not None and turns.dimension == 2:
            found += _frequencies(high, low, factor, title, resampled)
        elif turns is not None and turns.dimension == 3 and not resampled:
            found += _degrees(high, factor, title)
        elif group.order is not None and group.order <= LISTED and group.elements() is not None and not resampled:
            found += _by_character(high, factor, title)
    return found, notes


def gcd_above(powers: np.ndarray, floors: np.ndarray) -> int:
    """The gcd of the frequencies 1, 2, … whose power is above its floor; 0 where none is."""
    return math.gcd(*(int(k) for k in np.flatnonzero(powers > floors) + 1))


def frequency_powers(y: np.ndarray) -> np.ndarray:
    """Powers of |m| = 1, 2, … of F at equal angles, (angles, samples, components) -> (angles // 2,): their sum is V."""
    count = len(y)
    squares: np.ndarray = (np.abs(np.fft.fft(y, axis=0) / count) ** 2).sum(2).mean(1)
    half = count // 2
    powers = squares[1 : half + 1].copy()
    powers[: count - half - 1] += squares[: half : -1][: count - half - 1]
    return powers


def degree_powers(y: Tensor, matrices: Sequence[Tensor]) -> np.ndarray:
    """e_l = (2l+1) Σ ||∫ F D^l||² for l = 0, 1, …: F at the nodes, (nodes, samples, components), and weighted D^l."""
    flat, samples = y.flatten(1), y.shape[1]
    powers = [(2 * l + 1) * float((m.T @ flat).square().sum()) / samples for l, m in enumerate(matrices)]  # noqa: E741
    return np.array(powers)


@lru_cache(maxsize=1)
def weighted_matrices(highest: int, nodes: int) -> tuple[Tensor, ...]:
    """w D^l at the nodes of `quadrature(nodes)` for l = 0..highest, (N, (2l+1)²) each."""
    rotation, weight = quadrature(nodes)
    return tuple(wigner(degree, rotation).flatten(1) * weight[:, None] for degree in range(highest + 1))


def quadrature(highest: int) -> tuple[Tensor, Tensor]:
    """Rotations (N, 3, 3) and weights (N,) that integrate degree 2·highest exactly: R_z(α) R_y(β) R_z(γ)."""
    heights, weights = np.polynomial.legendre.leggauss(highest + 1)
    around = torch.arange(2 * highest + 1, dtype=torch.float64) * (2 * math.pi / (2 * highest + 1))
    beta = torch.from_numpy(heights).arccos()
    a, b, c = (grid.flatten() for grid in torch.meshgrid(around, beta, around, indexing="ij"))
    share = torch.from_numpy(weights) / 2 / len(around) ** 2
    weight = share[None, :, None].expand(len(around), len(beta), len(around)).flatten()
    y, z = torch.eye(3, dtype=torch.float64)[1:, None]
    return about_axes(z, a) @ about_axes(y, b) @ about_axes(z, c), weight


def character_powers(flat: np.ndarray, chi: np.ndarray, quotient: np.ndarray) -> np.ndarray:
    """Powers by irrep of F, (n, components): mean squares of its parts d_i/n Σ_a χ_i(g a⁻¹)* F(a)."""
    n = len(flat)
    parts = (row[0].real / n * (row[quotient].conj() @ flat) for row in chi)
    return np.array([float((np.abs(part) ** 2).sum()) / n for part in parts])


def _smooth(landscape: Landscape) -> Landscape:
    """Only the outputs whose values can be pulled back and averaged."""
    slots = {
        name: slot
        for name, slot in landscape.slots.items()
        if not slot.curved and (slot.pulled or slot.bound.trivial or (slot.isometric and slot.kind == "dense"))
    }
    return replace(landscape, slots=slots)


def _frequencies(high: Landscape, low: Landscape, factor: Factor, title: str, resampled: bool) -> list[Spectrum]:
    turns = turns_in(factor.group)
    count = RESAMPLED if resampled else ANGLES
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    g = factor.embed(turns.embed(in_plane(angle)) if turns else in_plane(angle))
    exact, rough = high.defects(g, pulled=True), low.defects(g, pulled=True)
    found = []
    for name in high.slots:
        y = exact[name].numpy()
        powers = frequency_powers(y)
        noise = frequency_powers(rough[name].numpy() - y).mean()
        fall = (high.epsilon / low.epsilon) ** 1.6  # as the audit lets rounding fall, squared
        floors = np.full_like(powers, max(9 * noise * fall, high.rounding(name) ** 2))
        quarter = count // 4  # what is folded comes from far beyond
        order = gcd_above(powers[:quarter], floors[:quarter])
        within = gcd_above(powers[:quarter], np.full(quarter, high.tolerance**2))
        found.append(
            Spectrum(
                name, title, "frequency", tuple(map(str, range(1, SHOWN + 1))), tuple(powers[:SHOWN].tolist()),
                tuple(floors[:SHOWN].tolist()), float(powers.sum()), float(powers[SHOWN:].sum()), order,
                read_frequencies(powers, order, within, resampled),
                "the resampling of the action is in it" if resampled else "",
            )
        )  # fmt: skip
    return found


def _degrees(high: Landscape, factor: Factor, title: str) -> list[Spectrum]:
    turns = turns_in(factor.group)
    if turns is None:
        return []
    few = replace(high, rows=high.rows[:_SAMPLES])
    rotation, weight = quadrature(NODES)
    sides = [few.defects(factor.embed(turns.embed(rotation)), pulled=True)]
    if turns.mirrors:
        sides.append(few.defects(factor.embed(turns.embed(-rotation)), pulled=True))
    found = []
    for name in high.slots:
        y = [side[name] for side in sides]
        halves = [(y[0] + y[1]) / 2, (y[0] - y[1]) / 2] if turns.mirrors else y
        powers = [degree_powers(half, weighted_matrices(DEGREE, NODES)) for half in halves]
        total = sum(float((half.flatten(1).square().sum(1) * weight).sum()) / half.shape[1] for half in halves)
        variance = max(total - float(powers[0][0]), 0.0)  # the constant part is no error
        labels, values = [], []
        for parity, some in zip(("e", "o") if turns.mirrors else ("",), powers, strict=True):
            labels += [f"{degree}{parity}" for degree in range(DEGREE + 1)]
            values += some.tolist()
        shown, values = tuple(labels[1:]), values[1:]
        floors = tuple((2 * int(label.rstrip("eo")) + 1) ** 2 * high.rounding(name) ** 2 for label in shown)
        rest = max(variance - sum(values), 0.0)
        words = read_degrees(shown, values, floors, variance, rest)
        found.append(
            Spectrum(name, title, "degree", shown, tuple(values), floors, variance, rest, None, words)
        )
    return found


def _by_character(high: Landscape, factor: Factor, title: str) -> list[Spectrum]:
    g = elements_of(factor.group)
    table = table_of(factor.group.compose, g)
    if table is None or table.order < 2:
        return []
    chi = characters(table)
    labels, twins = _irreps(factor.group, g, chi, table.generators(tuple(range(table.order))))
    defects, found = high.defects(factor.embed(g), pulled=True), []
    for name in high.slots:
        flat = defects[name].flatten(1).numpy()
        single = character_powers(flat, chi, table.product[:, table.inverse]) / len(high.rows)
        powers = [sum(float(single[i]) for i in some) for some in twins]
        variance = float((flat**2).sum()) / len(flat) / len(high.rows) - float(single[0])
        floors = tuple(len(some) * float(chi[some[0], 0].real) ** 2 * high.rounding(name) ** 2 for some in twins)
        present = [i for i, power in enumerate(powers) if power > floors[i]]
        kernel = np.ones(table.order, dtype=bool)
        for i in present:
            kernel &= np.abs(chi[twins[i][0]] - chi[twins[i][0], 0]) < 1e-6
        words = read_characters([labels[i] for i in present], int(kernel.sum()), table.order)
        found.append(
            Spectrum(name, title, "character", tuple(labels), tuple(powers), floors, max(variance, 0.0), 0.0,
                     None, words)
        )  # fmt: skip
    return found


def _irreps(group: Group, g: Tensor, chi: np.ndarray, generators: Sequence[int]) -> tuple[list[str], list[list[int]]]:
    """Names of the irreps but the trivial one, complex ones beside their conjugates, and their rows of `chi`."""
    labels: list[str] = []
    twins: list[list[int]] = []
    seen: set[int] = {0}
    words = [group.label(g, h).removeprefix(f"{group.name}: ") for h in generators]
    for i, row in enumerate(chi):
        if i in seen:
            continue
        other = int(np.abs(chi - row.conj()).max(1).argmin())
        seen |= {i, other}
        twins.append([i] if other == i else [i, other])
        degree = round(row[0].real) * len(twins[-1])
        minus = [word for word, h in zip(words, generators, strict=True) if np.abs(row[h] + 1) < 1e-6]
        kind = f"{degree}-dim #{len(twins)}"
        labels.append(f"{kind}, -1 on {' and '.join(minus)}" if degree == 1 else kind)
    return labels, twins

