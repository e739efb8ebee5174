"""Irreducible characters of a finite group from its multiplication table, by numbers (Burnside 1911, Dixon 1967)."""

from __future__ import annotations

import numpy as np

from symcheck.errors import ClaimError
from symcheck.groups.subgroups import Table

_TRIES = 20


def characters(table: Table) -> np.ndarray:
    """χ_i(g) of every irreducible representation, (irreps, n) complex, the trivial one first, then by degree.

    The class sums K_a = Σ_{g in class a} g multiply as K_a K_b = Σ_c m_abc K_c, and the characters are the common
    eigenvectors of the matrices M_a = (m_abc): one random combination has all of them apart.
    """
    classes, n = table.classes, table.order
    place = np.empty(n, dtype=int)
    for i, members in enumerate(classes):
        place[list(members)] = i
    sizes = np.array([len(members) for members in classes])
    count = len(classes)
    sums = np.zeros((count, count, count))
    for c, members in enumerate(classes):
        z = members[0]
        for a in range(n):
            # a·b = z has the one solution b = a⁻¹z
            sums[place[a], place[table.product[table.inverse[a], z]], c] += 1
    rng = np.random.default_rng(0)
    for _ in range(_TRIES):
        mixed = np.einsum("a,abc->bc", rng.standard_normal(count), sums)
        _, vectors = np.linalg.eig(mixed)
        # M_a v = ω_a v with v_c = ω(K_c) = |c| χ(c) / χ(e), so v_e = 1
        omega = vectors / vectors[0]
        if not np.isfinite(omega).all():
            continue
        ratio = omega.T / sizes
        degree = np.sqrt(n / (sizes * np.abs(ratio) ** 2).sum(1))
        found = ratio * degree[:, None]
        gram = (found * sizes) @ found.conj().T / n
        if np.abs(degree - degree.round()).max() < 1e-6 and np.abs(gram - np.eye(count)).max() < 1e-6:
            return _sorted(found, place)
    raise ClaimError(
        f"the characters of this group of order {n} could not be found",
        where="its multiplication table",
        hint="check that `compose` and `elements` of the group belong together",
    )


def _sorted(by_class: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Characters on elements: the trivial one first, then by degree, then those that are real and near to it."""
    trivial = np.abs(by_class - 1).max(1) < 1e-6
    degree = by_class[:, 0].real.round()
    complex_ = np.abs(by_class.imag).max(1) > 1e-6
    shown = np.round(by_class, 6)
    keys = [(not trivial[i], degree[i], complex_[i], *(-shown[i].real), *shown[i].imag) for i in range(len(by_class))]
    order = sorted(range(len(by_class)), key=lambda i: keys[i])
    return np.asarray(by_class[order][:, place])
