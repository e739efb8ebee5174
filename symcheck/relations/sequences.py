"""Relations of sequences: causality, padding, batch-mates, variants of the same text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.actions.sequence import Sequence
from symcheck.batch import Batch
from symcheck.errors import ClaimError, DataError
from symcheck.groups.arguments import whole
from symcheck.groups.base import groups
from symcheck.groups.draws import Draws
from symcheck.relations.base import Relation, Roles, Shapes, Single

_TEXT = ("sequence", "tokens")


@final
@groups.register("Causal")
class Causal(Relation):
    """Outputs up to position t do not see what comes after it: f(x')[≤ t] = f(x)[≤ t] where x' differs after t.

    Parameters (n, 2): the share of the positions that is replaced, and by which other entries of the same sample. An
    output of another length is read in proportion.
    """

    name = "Causal"
    law = "a uniform share of the end, replaced by other entries of the same sample"
    inputs = frozenset({*_TEXT, "mask", "positions"})
    outputs = frozenset({"sequence"})

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Needs sequences of at least two positions."""
        super().fit(shapes, roles, what)
        found = [name for name, action in roles.items() if role(action) in _TEXT]
        lengths = {name: _length(shapes[name], roles[name], what) for name in found}
        if not found or len(set(lengths.values())) > 1 or min(lengths.values()) < 2:
            raise ClaimError(
                f"{self.name} needs inputs with the role 'sequence' or 'tokens', of one length of at least 2",
                where=f"{what}: {lengths or 'no such input'}",
                hint="declare what runs in time, e.g. Causal: tokens=sequence -> logits=sequence",
            )
        return self

    def sample(self, n: int, rng: Draws) -> Tensor:
        """A uniform share, and a uniform choice of entries."""
        return rng.uniform(n, 2)

    def label(self, g: Tensor, i: int) -> str:
        """`the last 37 % replaced`."""
        return f"the last {100 * float(g[i, 0]):.0f} % replaced"

    def measures(self, action: Action) -> bool:
        """Outputs along the sequence; a pooled one may see everything."""
        return role(action) == "sequence"

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Every later entry becomes the one some places further on, counted in a circle."""
        dense(batch, self.name)
        tensors = dict(batch.tensors)
        for name, action in roles.inputs.items():
            if role(action) in _TEXT:
                x = tensors[name].movedim(_axis(action), 1)
                places = torch.arange(x.shape[1], device=x.device)
                away = 1 + (g[:, 1:].to(x.device) * (x.shape[1] - 1)).long()
                later = places >= self._kept(g, x.shape[1], x.device)[:, None]
                tensors[name] = _picked(x, torch.where(later, places + away, places) % x.shape[1]).movedim(
                    1, _axis(action)
                )
        return batch.with_tensors(tensors)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """f(x') − f(x) up to t, times √(length / t)."""
        axis = _axis(roles.outputs[name])
        y, z = (outputs[name].movedim(axis, 1) for outputs in (seen, rest))
        source = next(n for n, action in roles.inputs.items() if role(action) in _TEXT)
        length = batch.tensors[source].shape[_axis(roles.inputs[source])]
        if y.shape[1] % length and length % y.shape[1]:
            raise DataError(
                f"output '{name}' has {y.shape[1]} positions for {length} of the input",
                where=self.name,
                hint="their ratio must be a whole number, so that 'up to t' has a meaning",
            )
        kept = self._kept(g, length, y.device) * y.shape[1] // length
        places = torch.arange(y.shape[1], device=y.device)
        weight = (places < kept[:, None]) * (y.shape[1] / kept.clamp(min=1)).sqrt()[:, None]
        delta = minus(y, z)
        return (delta * weight.to(delta.dtype).reshape(*weight.shape, *[1] * (y.dim() - 2))).movedim(1, axis)

    def _kept(self, g: Tensor, length: int, device: torch.device) -> Tensor:
        """How many positions stay: all of them for a share of 0, else 1 … length − 1."""
        return length - (g[:, 0].to(device) * (length - 1)).ceil().long()


@final
@groups.register("Padding")
class Padding(Relation):
    """n masked positions more change nothing, whatever stands there: f(x, padding) = f(x).

    Padding(8) appends them, Padding(8,left) puts them in front. Parameters (n, 1): what stands there, entries of the
    same sample. `mask` is 0 at padding, `mask(padded)` is 1 there; `positions` go on, and are 0 in front.
    """

    examples = ("Padding(8)", "Padding(8,left)")
    law = "entries of the same sample, uniform"
    inputs = frozenset({"tokens", "mask", "positions"})
    outputs = frozenset({"sequence"})
    needs = frozenset({"tokens", "mask"})

    def __init__(self, count: str = "8", side: str = "right") -> None:
        self.count, self.left = whole(count, "Padding", 1), side == "left"
        self.name = f"Padding({self.count},left)" if self.left else f"Padding({self.count})"
        if side not in ("left", "right"):
            raise ClaimError(
                f"'{side}' is no side of a sequence", where=f"Padding({count},{side})", hint="write left or right"
            )

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform numbers that choose the entries."""
        return rng.uniform(n, 1)

    def label(self, g: Tensor, i: int) -> str:
        """`8 positions appended`."""
        return f"{self.count} positions {'in front' if self.left else 'appended'}, content {float(g[i, 0]):.4f}"

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Longer samples."""
        dense(batch, self.name)
        tensors = dict(batch.tensors)
        for name, action in roles.inputs.items():
            if (kind := role(action)) in self.inputs:
                tensors[name] = self._longer(g, tensors[name], kind, padded="(" in action.name)
        return batch.with_tensors(tensors)

    def _longer(self, g: Tensor, x: Tensor, kind: str, padded: bool) -> Tensor:
        more = torch.arange(self.count, device=x.device)
        if kind == "tokens":
            first = (g.to(x.device) * x.shape[1]).long()
            extra = _picked(x, (first + more) % x.shape[1])
        elif kind == "mask":
            extra = torch.full_like(x[:, :1], padded).expand(-1, self.count, *[-1] * (x.dim() - 2))
        else:
            last = x[:, -1:] + 1 + more.to(x.dtype).reshape(1, -1, *[1] * (x.dim() - 2))
            extra = torch.zeros_like(last) if self.left else last
        return torch.cat([extra, x] if self.left else [x, extra], dim=1)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """f(x, padding) − f(x), at the positions of x."""
        y, z, action = seen[name], rest[name], roles.outputs[name]
        if role(action) == "sequence":
            axis = _axis(action)
            length = z.shape[axis]
            if y.shape[axis] != length + self.count:
                raise DataError(
                    f"output '{name}' has {y.shape[axis]} positions with padding, and {length} without",
                    where=f"{self.name}: {self.count} more were given",
                    hint="an output along the sequence has one entry for each position; others are scalar",
                )
            y = y.narrow(axis, self.count if self.left else 0, length)
        return gap(name, y, z, self.name)


@final
@groups.register("Variant")
class Variant(Single):
    """The same samples in other words: every input NAME that has a variant PREFIX.NAME is replaced by it.

    Variants are declared `variant`, and never reach the model under their own name.
    """

    examples = ("Variant(upper)",)
    outputs = frozenset({"sequence"})
    needs = frozenset({"variant"})

    def __init__(self, prefix: str) -> None:
        self.prefix, self.name = prefix, f"Variant({prefix})"

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Every variant of this prefix needs its input, of the same shape."""
        super().fit(shapes, roles, what)
        mine = {n: n.removeprefix(f"{self.prefix}.") for n in roles if n.startswith(f"{self.prefix}.")}
        wrong = [n for n, plain in mine.items() if plain not in roles or shapes[plain] != shapes[n]]
        if not mine or wrong or any(role(roles[n]) != "variant" for n in mine):
            raise ClaimError(
                f"{self.name} needs inputs '{self.prefix}.NAME', declared variant, beside inputs NAME of their shape",
                where=f"{what}: {', '.join(f'{n} {tuple(shapes[n])}' for n in roles)}",
                hint=f"store the other words of 'text' as '{self.prefix}.text', and declare {self.prefix}.text=variant",
            )
        return self

    def _check(self, roles: Mapping[str, Action], known: frozenset[str], what: str) -> None:
        """Whatever an input is, its variant is as well."""

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """The variants in the place of their inputs."""
        return batch.with_tensors({n: batch.tensors.get(f"{self.prefix}.{n}", x) for n, x in batch.tensors.items()})

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """f(x') − f(x)."""
        return gap(name, seen[name], rest[name], self.name)


def role(action: Action) -> str:
    """The word of an action without its arguments."""
    return action.name.partition("(")[0]


def dense(batch: Batch, name: str) -> None:
    """Refuse packed rows."""
    if batch.packed:
        raise DataError(
            f"{name} changes samples of one length, not packed rows",
            where="a packed batch",
            hint="give dense samples with a leading sample axis",
        )


def gap(name: str, y: Tensor, z: Tensor, relation: str) -> Tensor:
    """y − z, refused where the shapes differ."""
    if y.shape != z.shape:
        raise DataError(
            f"output '{name}' has the shape {tuple(y.shape)} after the change, and {tuple(z.shape)} before",
            where=relation,
            hint="declare it ignore if it cannot be compared",
        )
    return minus(y, z)


def minus(y: Tensor, z: Tensor) -> Tensor:
    """y − z, of labels and truth values in float64."""
    return y - z if y.dtype == z.dtype and (y.is_floating_point() or y.is_complex()) else y.double() - z.double()


def _axis(action: Action) -> int:
    """The axis of a batch along which a sequence runs."""
    axis = action.axis if isinstance(action, Sequence) else 0
    return axis + 1 if axis >= 0 else axis


def _length(shape: tuple[int, ...], action: Action, what: str) -> int:
    axis = action.axis if isinstance(action, Sequence) else 0
    if not -len(shape) <= axis < len(shape):
        raise ClaimError(
            f"'{action}' has no axis of positions in a sample of shape {shape}",
            where=what,
            hint="positions are the first axis of a sample; sequence(axis=-1) names another one",
        )
    return shape[axis]


def _picked(x: Tensor, places: Tensor) -> Tensor:
    """x[i, places[i, j]], rows (n, T, ..)."""
    return x[torch.arange(len(x), device=x.device)[:, None], places]
