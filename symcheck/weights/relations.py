"""The tensors of a traced network, and the relations between them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from symcheck.weights.axes import Axis

Label = Hashable


@dataclass(eq=False)
class Value:
    """One tensor of the graph: its axes and, when it does not depend on the weights, its numbers."""

    axes: list[Axis]
    name: str = ""
    data: Tensor | None = None  # set when no parameter enters
    constant: bool = False  # ... and no input either
    parameter: bool = False
    where: str = ""
    square: Value | None = None  # this is square ** 2, not written down yet: a sum over an axis makes it a norm
    source: Value | None = None  # this is the source, repeated along axes
    indexes: Axis | None = None  # the numbers are indices of this axis (what top-k returns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return tuple(axis.size for axis in self.axes)

    @property
    def zero(self) -> bool:
        """Whether it is 0 whatever the weights and the inputs are."""
        return self.constant and self.data is not None and not bool(self.data.count_nonzero())


@dataclass(eq=False)
class Monomial:
    """out[kept] = Σ over the other labels of Π operand ** power; `degree` and `parity` say which factors pass."""

    out: Value
    labels: tuple[Label, ...]
    operands: tuple[tuple[Value, tuple[Label, ...], Fraction], ...]
    degree: str = "linear"  # linear: degrees add | zero: nothing may be scaled
    parity: str = "linear"  # linear: signs multiply | zero: no sign | even: any sign in, none out
    linear: bool = True  # False: acts index by index (an activation)
    small: bool = False  # exact only when a small constant (an epsilon) is zero
    factor: float | None = 1.0  # the number in front; None where it is not one number
    picks: bool = False  # a label that the output lacks is picked from, not summed over
    centre: float = 0.0  # not 0: f(−x) = centre − f(x)
    phase: float = 0.0  # not 0: f(x + phase) = −f(x)


@dataclass(eq=False)
class Reshape:
    """Both hold the same numbers in the same row-major order."""

    out: Value
    value: Value


@dataclass(eq=False)
class Part:
    """`part` is `whole[..., start:stop, ...]` along the axis; `at` is None when the axis has been dropped."""

    whole: Value
    part: Value
    axis: int
    start: int
    keep: bool = True


@dataclass(eq=False)
class Normalise:
    """Divided by its root mean square over `axes` (`centred`: after its mean is removed); eps bars exact scales."""

    out: Value
    value: Value
    axes: tuple[int, ...]
    centred: bool
    eps: float


@dataclass(eq=False)
class Softmax:
    """Softmax along an axis: nothing but a shift along it passes."""

    out: Value
    value: Value
    axis: int
    log: bool = False  # its logarithm, which does not sum to 1


Relation = Monomial | Reshape | Part | Normalise | Softmax
