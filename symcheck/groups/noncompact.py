"""Groups without a uniform law: scalings, GL+(n) and Lorentz groups, drawn with bounded stretch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.arguments import plain, positive, title, whole
from symcheck.groups.base import Flow, Group, MatrixGroup, groups, per_row
from symcheck.groups.draws import Draws
from symcheck.groups.flows import axis, boosting, rotations, stretches, through
from symcheck.groups.rotations import describe, haar_rotation, nearest_rotation, turn, vector

RAPIDITY = 2.0
STRETCH = 1.0


@groups.register("Scale")
class Scale(Group):
    """Multiplication by a positive number, (K,) float64; drawn from [a, b], which products may leave."""

    examples = ("Scale(0.5,2)", "Scale(1,3)")
    compact = False
    faces = frozenset({"factor"})

    def __init__(self, a: str, b: str) -> None:
        self.low, self.high = positive(a, "Scale"), positive(b, "Scale")
        self.name = title("Scale", self.low, self.high)
        if not self.low < self.high:
            raise ClaimError(
                f"the range of {self.name} is empty",
                where=self.name,
                hint="write the smaller factor first, e.g. Scale(0.5,2)",
            )
        self.law = f"log-uniform in [{plain(self.low)}, {plain(self.high)}]"

    def identity(self, n: int) -> Tensor:
        """n ones."""
        return torch.ones(n, dtype=torch.float64)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """exp of a uniform number in [log a, log b]."""
        return self._inside(rng.uniform(n, low=math.log(self.low), high=math.log(self.high)).exp())

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The product."""
        return a * b

    def inverse(self, a: Tensor) -> Tensor:
        """1 / a."""
        return 1.0 / a

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`factor`: the elements themselves."""
        return g if kind == "factor" else super().face(kind, g)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """Times exp(size · normal), kept in the range."""
        return self._inside(g * (per_row(size, 0) * rng.normal(len(g))).exp())

    def flows(self) -> tuple[Flow, ...]:
        """t -> e^t."""
        return (Flow("scaling", torch.exp),)

    def label(self, g: Tensor, i: int) -> str:
        """`scale by 1.37`."""
        return f"scale by {float(g[i]):.4g}"

    def _inside(self, g: Tensor) -> Tensor:
        return g.clamp(self.low, self.high)


@groups.register("GL+")
class GeneralLinear(MatrixGroup):
    """GL+(n), matrices of positive determinant: R exp(S), R a rotation, S symmetric, |S| at most r.

    Every element has this form (polar decomposition); exp of a general matrix would not reach all of them.
    """

    examples = ("GL+(3)", "GL+(2,0.5)", "GL+(1)")
    compact = False

    def __init__(self, n: str, stretch: str = "1") -> None:
        self.dimension = whole(n, "GL+", 1)
        self.stretch = positive(stretch, "GL+")
        self.name = title("GL+", self.dimension, self.stretch, default=STRETCH)
        self.law = (
            f"R exp(S), R uniform (Haar) on SO({self.dimension}), S symmetric in a uniform direction, "
            f"Frobenius norm uniform in [0, {plain(self.stretch)}]"
        )

    def sample(self, n: int, rng: Draws) -> Tensor:
        """R exp(S) from `law`."""
        r = haar_rotation(n, self.dimension, rng)
        s = self._symmetric(n, rng)
        length = rng.uniform(n, 1, 1, high=self.stretch)
        return torch.matmul(r, _exp(s * (length / _norm(s))))

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """R turned by about `size` radians, S moved by about `size` times its bound, which it keeps."""
        u, values, vh = torch.linalg.svd(g)
        s = vh.mT @ (values.log()[:, :, None] * vh)
        d = self.dimension
        scale = self.stretch * math.sqrt(2 / (d * (d + 1)))
        s = s + self._symmetric(len(g), rng) * (per_row(size, 2) * scale)
        s = s * (self.stretch / _norm(s)).clamp(max=1.0)
        return torch.matmul(turn(len(g), d, size, rng) @ (u @ vh), _exp(s))

    def proper(self, g: Tensor) -> Tensor:
        """All True: the determinant is positive."""
        return torch.ones(len(g), dtype=torch.bool)

    def flows(self) -> tuple[Flow, ...]:
        """The turns, then the stretches: n² in all."""
        return (*rotations(self.dimension), *stretches(self.dimension))

    def label(self, g: Tensor, i: int) -> str:
        """`rotation ... after stretches 0.71, 1.22`."""
        stretches = ", ".join(f"{v:.2f}" for v in torch.linalg.svdvals(g[i]).tolist())
        return f"{describe(nearest_rotation(g[i]))} after stretches {stretches}"

    def _symmetric(self, n: int, rng: Draws) -> Tensor:
        """Isotropic Gaussian symmetric matrices: E |S|² = d(d+1)/2."""
        x = rng.normal(n, self.dimension, self.dimension)
        diagonal = x.diagonal(dim1=-2, dim2=-1)
        upper = x.triu(1) / math.sqrt(2.0)
        return torch.diag_embed(diagonal) + upper + upper.mT


class Lorentz(MatrixGroup):
    """The proper orthochronous group SO+(1, n), signature (+, -, ..., -), time first: B(v) R.

    B(v) is the boost by the rapidity vector v, R a rotation of space; g^T η g = η to rounding times e^(2|v|).
    """

    compact = False

    def __init__(self, space: int, rapidity: float) -> None:
        self.space, self.rapidity = space, rapidity
        self.dimension = space + 1
        self.name = title("SO", 1, space, rapidity, default=RAPIDITY)
        self.law = (
            f"R1 boost(eta) R2, R1 and R2 uniform (Haar) on SO({space}), "
            f"rapidity eta uniform in [0, {plain(rapidity)}]"
        )
        self.metric = torch.diag(torch.tensor([1.0] + [-1.0] * space, dtype=torch.float64))

    def sample(self, n: int, rng: Draws) -> Tensor:
        """B(eta u) R with u a uniform direction, which has the law R1 boost(eta) R2."""
        r = haar_rotation(n, self.space, rng)
        u = rng.normal(n, self.space)
        eta = rng.uniform(n, 1, high=self.rapidity)
        return boost(eta * u / u.norm(dim=1, keepdim=True)) @ _spatial(r)

    def inverse(self, a: Tensor) -> Tensor:
        """η a^T η."""
        return self.metric @ a.mT @ self.metric

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """R turned by about `size` radians, v moved by about `size` times its bound, which it keeps."""
        v, r = self._parts(g)
        v = v + rng.normal(len(g), self.space) * (per_row(size, 1) * self.rapidity / math.sqrt(self.space))
        v = v * (self.rapidity / v.norm(dim=1, keepdim=True)).clamp(max=1.0)
        return boost(v) @ _spatial(turn(len(g), self.space, size, rng) @ r)

    def proper(self, g: Tensor) -> Tensor:
        """All True: the determinant is 1."""
        return torch.ones(len(g), dtype=torch.bool)

    def flows(self) -> tuple[Flow, ...]:
        """The turns of space, then the boosts along its axes."""
        n = self.space
        boosts = (Flow(f"boost along {axis(i, n)}", boosting(n + 1, 0, i + 1)) for i in range(n))
        return (*(through(flow, _spatial) for flow in rotations(n)), *boosts)

    def label(self, g: Tensor, i: int) -> str:
        """`rotation ..., then boost by rapidity 1.20 along (...)`."""
        v, r = self._parts(g[i : i + 1])
        size = float(v.norm())
        return f"{describe(r[0])}, then boost by rapidity {size:.2f} along {vector(v[0] / (size + 1e-300))}"

    def _parts(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """The rapidity vector v and the rotation R of g = B(v) R."""
        momentum = g[:, 1:, 0]
        size = momentum.norm(dim=1, keepdim=True)
        v = momentum * (size.asinh() / (size + 1e-300))
        return v, nearest_rotation((boost(-v) @ g)[:, 1:, 1:])


def boost(v: Tensor) -> Tensor:
    """[[cosh η, u^T sinh η], [u sinh η, I + (cosh η - 1) u u^T]] with v = η u, (n, d) to (n, d+1, d+1)."""
    eta = v.norm(dim=1, keepdim=True)
    u = v / (eta + 1e-300)
    g = torch.eye(v.shape[1] + 1, dtype=torch.float64).repeat(len(v), 1, 1)
    # from e^η - 1: accurate near zero, and the same to the last bit in every batch, which cosh and sinh are not
    e = eta.expm1()
    sinh, cosh_less_one = e * (e + 2.0) / (2.0 * (e + 1.0)), e * e / (2.0 * (e + 1.0))
    g[:, :1, 0] += cosh_less_one
    g[:, 1:, 0] = g[:, 0, 1:] = u * sinh
    g[:, 1:, 1:] += cosh_less_one[:, :, None] * u[:, :, None] * u[:, None, :]
    return g


def _spatial(r: Tensor) -> Tensor:
    g = torch.eye(r.shape[1] + 1, dtype=torch.float64).repeat(len(r), 1, 1)
    g[:, 1:, 1:] = r
    return g


def _norm(s: Tensor) -> Tensor:
    """Frobenius norms, (n, 1, 1)."""
    return s.square().sum((1, 2), keepdim=True).sqrt()


def _exp(s: Tensor) -> Tensor:
    """exp of symmetric matrices through their eigenvalues."""
    values, vectors = torch.linalg.eigh(s)
    return torch.matmul(vectors * values.exp()[:, None, :], vectors.mT)
