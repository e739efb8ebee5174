"""What a spectrum over a group says, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST = 0.8  # a share that dominates
_SEEN = 0.01  # a share that is no folding of higher degrees
_ALONE = 1 - 1e-6
_EDGE = 0.1  # a share near the truncation that is worth a word


def read_frequencies(powers: np.ndarray, order: int, within: int, resampled: bool) -> str:
    """Frequencies 1, 2, … of turns of a plane; `order` is the gcd of those above the floor, `within` the tolerance."""
    words = [f"only multiples of {order}: C{order} is left" if order > 1 else ""]
    if order == 0:
        return "nothing above rounding: all turns hold"
    total = float(powers.sum())
    quarters = float(powers[3::4].sum())
    if order == 4 or (order < 4 and quarters > _MOST * total):
        share = "" if order == 4 else f" ({100 * quarters / total:.0f} % of the variance)"
        words.append(f"peaks at m = 4k{share}{': the pixel grid' if resampled else ''}")
    elif order == 1:
        top = ", ".join(str(k + 1) for k in sorted((-powers).argsort()[:3]))
        words.append(f"no turn is left; most at m = {top}")
    if within != order:
        words.append("within the tolerance " + (f"C{within} is left" if within else "all turns hold"))
    if float(powers[3 * len(powers) // 4 :].sum()) > _EDGE * total:
        words.append("much near the truncation: aliasing")
    return "; ".join(filter(None, words))


def read_degrees(
    labels: Sequence[str], powers: Sequence[float], floors: Sequence[float], variance: float, rest: float
) -> str:
    """Degrees l of turns of space, with their parities under mirrors."""
    present = [i for i, power in enumerate(powers) if power > floors[i]]
    if not present and not rest > max(floors):
        return "nothing above rounding: all turns hold"
    if present and all(labels[i].startswith("0") for i in present) and not rest > 1e-6 * variance:
        return "l = 0 odd alone: mirrors break, turns hold"
    shown = sorted(sorted(present, key=lambda i: -powers[i])[:3])
    words = ["most at l = " + ", ".join(labels[i] for i in shown)] if shown else []
    degrees = {int(labels[i].rstrip("eo")) for i in present if powers[i] > _SEEN * variance} - {0}
    least = min(degrees, default=0)
    hints = {1: "a preferred direction", 2: "a preferred axis or plane", 3: "a tetrahedron's symmetry at most",
             4: "a cubic (voxel) grid", 6: "an icosahedron's symmetry"}  # fmt: skip
    alone = [label for label, power in zip(labels, powers, strict=True) if power > _ALONE * variance]
    if alone and least:
        words.append(f"l = {alone[0]} alone: the output may be a tensor of degree {least}, not what is declared")
    elif least in hints:
        words.append(f"the lowest is l = {least}: {hints[least]}")
    if rest > _EDGE * variance:
        words.append(f"{100 * rest / variance:.0f} % above the highest degree: fine structure, or aliasing")
    return "; ".join(words)


def read_characters(present: Sequence[str], kernel: int, order: int) -> str:
    """The irreducible representations of a finite group that are present, and the elements that all of them ignore."""
    if not present:
        return "nothing above rounding: all elements hold"
    left = f"{kernel} of {order} elements act trivially in all of them" if kernel > 1 else "no normal subgroup is left"
    return f"present: {'; '.join(present)}; {left}"
