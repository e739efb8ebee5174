"""Elements of a spec: one tensor for each space; drawing, inverting, checking, saving and reading them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.groups.draws import Draws
from symcheck.registry import suggest
from symcheck.weights.checks import chosen
from symcheck.weights.operate import contragredient, tree_slots

if TYPE_CHECKING:
    from symcheck.weights.spec import Space, Spec

SCHEMA = "symcheck.element/1"
_CLOSE = 1e-6


def element_shape(space: Space, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of an element of the space; LoadError when the size of an atom that it is over is unknown."""
    if space.kind == "shift":
        return space.shape
    unknown = [atom for atom in space.over if atom not in sizes]
    if unknown:
        raise LoadError(
            f"the size of the atom '{unknown[0]}' is not known",
            where=f"space '{space.name}'",
            hint=f"state it in [atoms], '{unknown[0]} = 4', or give the [shapes] of the tensors",
        )
    over = tuple(sizes[atom] for atom in space.over)
    if space.whole or space.kind == "rotation":
        return over
    square = space.kind in ("orthogonal", "general")
    return (*over, *(space.size,) * (2 if square else 1))


def sample(
    spec: Spec,
    seed: int,
    kinds: Collection[str] | None = None,
    spaces: Collection[str] | None = None,
    *,
    approximate: bool = False,
    scale: float = 1.0,
) -> dict[str, Tensor]:
    """A random element: one tensor for each space, float64 or int64.

    The part of a space depends on `seed` and on the name of the space alone. Permutations are uniform, signs and
    flips fair, scales log-normal with deviation 0.5, matrices Haar (orthogonal, rotation) or with singular values
    log-uniform in [0.5, 2] between two Haar factors (general), shifts normal; `scale` multiplies the shifts and
    the logarithms of scales and singular values. Approximate spaces are left out unless asked for or named.
    Raises ConfigError for an unknown kind or space.
    """
    found = chosen(spec, kinds, spaces, approximate=approximate)
    return {name: _draw(space, element_shape(space, spec.sizes), seed, scale) for name, space in found.items()}


def _draw(space: Space, shape: tuple[int, ...], seed: int, scale: float) -> Tensor:
    draws = Draws(seed, f"space:{space.name}")
    size, kind = space.size, space.kind
    over = shape[: len(space.over)]
    copies = int(torch.Size(over).numel())
    if kind == "permutation":
        return draws.permutations(copies, size).reshape(shape)
    if kind == "sign":
        return 1 - 2 * draws.integers(1, *shape, high=2)[0].to(torch.float64)
    if kind == "tree":
        return draws.integers(1, *shape, high=2)[0]
    if kind == "scale":
        return torch.exp(0.5 * scale * draws.normal(1, *shape)[0])
    if kind == "rotation":
        return draws.uniform(1, *shape, high=2 * torch.pi)[0]
    if kind == "shift":
        return scale * draws.normal(1, *shape)[0]
    if kind == "orthogonal":
        return _haar(draws, copies, size, fixes_ones=bool(space.fixes)).reshape(shape)
    left, right = _haar(draws, copies, size), _haar(draws, copies, size)
    values = 2.0 ** (scale * draws.uniform(copies, size, low=-1.0, high=1.0))
    return (left * values[:, None, :] @ right).reshape(shape)


def _haar(draws: Draws, n: int, size: int, *, fixes_ones: bool = False) -> Tensor:
    """Haar-distributed orthogonal matrices, (n, size, size); with `fixes_ones`, of those that fix the vector 1."""
    free = size - 1 if fixes_ones else size
    q: Tensor
    q, r = torch.linalg.qr(draws.normal(n, free, free))
    q = q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0)[:, None, :]
    if not fixes_ones:
        return q
    unit = torch.eye(size, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(torch.cat([torch.ones_like(unit[:, :1]), unit[:, 1:]], 1))[0]
    inner = unit.repeat(n, 1, 1)
    inner[:, 1:, 1:] = q
    return basis @ inner @ basis.mT


def inverse(space: Space, part: Tensor) -> Tensor:
    """The inverse of one space's part of an element."""
    if space.kind == "permutation":
        return part.argsort(-1)
    if space.kind in ("shift", "rotation"):
        return -part
    if space.kind == "general":
        return contragredient(part).mT
    if space.kind == "orthogonal":
        return part.mT
    if space.kind == "tree":
        return torch.empty_like(part).scatter_(-1, tree_slots(part)[..., : space.size], part)
    return 1 / part if space.kind == "scale" else part


def check_element(spec: Spec, element: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
    """Raise LoadError at a part of the element that is of no space, has the wrong shape, or lies in no group."""
    for name, part in element.items():
        if name not in spec.spaces:
            hint = suggest(name, [*spec.spaces]) if spec.spaces else "the spec has no space"
            raise LoadError(f"the element has a part '{name}', which is no space of the spec", where=name, hint=hint)
        space = spec.spaces[name]
        shape = element_shape(space, sizes)
        problem = "" if tuple(part.shape) == shape else f"has the shape {tuple(part.shape)}, not {shape}"
        problem = problem or _outside(space, part.detach().cpu())
        if problem:
            raise LoadError(
                f"the part '{name}' of the element {problem}",
                where=f"space '{name}' of kind {space.kind}",
                hint="draw an element of this spec: spec.sample(seed)",
            )


def _outside(space: Space, part: Tensor) -> str:
    """Why this is no element of the group, or nothing."""
    kind, size = space.kind, space.size
    if not part.isfinite().all():
        return "contains NaN or infinity"
    if kind == "permutation" and not torch.equal(part.sort(-1).values, torch.arange(size).expand(part.shape)):
        return f"is no arrangement of 0..{size - 1}"
    if kind == "sign" and not part.abs().eq(1).all():
        return "is not ±1"
    if kind == "tree" and not (part.eq(0) | part.eq(1)).all():
        return "is not 0 or 1"
    if kind == "scale" and not part.gt(0).all():
        return "is not positive"
    if kind == "orthogonal" and not _is_identity(part.double() @ part.double().mT):
        return "is not orthogonal"
    if kind == "orthogonal" and space.fixes and not (part.double().sum(-1) - 1).abs().max() <= _CLOSE:
        return "does not fix the vector 1"
    if kind == "general" and not torch.linalg.slogdet(part.double()).logabsdet.isfinite().all():
        return "is not invertible"
    return ""


def _is_identity(matrices: Tensor) -> bool:
    return bool((matrices - torch.eye(matrices.shape[-1], dtype=matrices.dtype)).abs().max() <= _CLOSE)


def save_element(
    element: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    path: str | Path,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write an element, or several that act one after another, as safetensors; `about` goes into the metadata.

    Whole or not at all.
    """
    from symcheck.weights.tensor_file import write_tensors

    steps = [element] if isinstance(element, Mapping) else [*element]
    parts = {_stored(k, name): part.contiguous() for k, step in enumerate(steps) for name, part in step.items()}
    metadata = {"schema": SCHEMA, **(about or {}), "spaces": json.dumps([[*step] for step in steps])}
    write_tensors(parts, Path(path), metadata)


def load_steps(path: str | Path) -> list[dict[str, Tensor]]:
    """Read the elements that `save_element` wrote, in the order in which they act; LoadError says what else it is."""
    from symcheck.weights.tensor_file import TensorFile

    file = TensorFile.open(Path(path))
    if file.metadata.get("schema") != SCHEMA:
        raise LoadError(
            f"this is no element: its metadata have no schema '{SCHEMA}'",
            where=str(path),
            hint="give a file written with symcheck apply --save-element, or --element random",
        )
    steps: list[list[str]] = json.loads(file.metadata.get("spaces", "[]"))
    for k, names in enumerate(steps):
        for name in names:
            if _stored(k, name) not in file.entries:
                raise LoadError(f"the element lacks '{name}'", where=str(path), hint="write the element again")
    return [{name: file.read(_stored(k, name)) for name in names} for k, names in enumerate(steps)]


def load_element(path: str | Path) -> dict[str, Tensor]:
    """Read one element that `save_element` wrote; LoadError where there are several."""
    steps = load_steps(path)
    if len(steps) > 1:
        raise LoadError(
            f"the file holds {len(steps)} elements that act one after another",
            where=str(path),
            hint="read them with load_steps",
        )
    return steps[0] if steps else {}


def _stored(step: int, name: str) -> str:
    """The name under which a part is stored: those of later steps bear their number."""
    return name if not step else f"{step}: {name}"
