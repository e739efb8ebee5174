"""Canonicalisers by name: a user's function, the best of a finite group by a score, and what text means them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from symcheck.actions.base import Bound, Rep, move
from symcheck.errors import ConfigError, DataError, ModelError
from symcheck.frames.frame import PCA, Frame, GramSchmidt, Poses, Whole
from symcheck.frames.scene import NoFrame, Scene, motions
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.importing import import_object
from symcheck.measure.samples import act
from symcheck.registry import suggest

WORDS = ("pca", "gram-schmidt", "argmax", "average")
_ROUNDS, _FAR = 6, 1e-2  # Newton's steps to the nearest rotation; further off is no rotation


@final
class User(Frame):
    """A function of the inputs that it names, or of the first that moves: x -> h(x), with h(g·x) = g·h(x).

    It returns elements as the group has them, (B, *E) or (B, F, *E): matrices, turn numbers; of a group with shifts
    also a pair (matrices, shifts). Matrices that rounding made no rotations are made so.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function, self.name = function, name

    def poses(self, scene: Scene) -> Poses:
        """The elements that it returns; DataError where they are none of the group."""
        found = self.raw(scene)
        matrix = self._matrix(scene.group, found)
        if matrix is None:
            return Poses.of(found)
        defect = orthogonality(matrix)
        if not torch.compiler.is_compiling() and not bool((defect <= _FAR).all()):
            most = float(defect.detach().max())
            raise DataError(
                f"'{self.name}' returns matrices that are no rotations: ‖RᵀR − 1‖ is up to {most:.2g}",
                where=f"the canonicaliser '{self.name}'",
                hint="orthonormalise what it returns, e.g. by Gram-Schmidt",
            )
        shifts = found[..., :-1, -1] if found.shape[-1] > matrix.shape[-1] else torch.zeros_like(matrix[..., 0])
        return Poses.of(motions(scene.group, nearest(matrix), shifts))

    def raw(self, scene: Scene) -> Tensor:
        """What it returns as (B, F, *E), floats in float64, before it is judged."""
        result = self._called(scene)
        if isinstance(result, tuple | list) and len(result) == 2:
            result = motions(scene.group, result[0].double(), result[1].double())
        unit = scene.group.identity(1)
        shape = unit.shape[1:]
        if isinstance(result, Tensor) and tuple(result.shape) == (scene.batch.count, *shape):
            result = result[:, None]
        good = isinstance(result, Tensor) and result.shape[:1] == (scene.batch.count,) and result.shape[2:] == shape
        if not good or result.dim() != 2 + len(shape):
            got = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise DataError(
                f"'{self.name}' returns {got}, no elements of {scene.group.name} for {scene.batch.count} samples",
                where=f"the canonicaliser '{self.name}'",
                hint=f"return (samples, {', '.join(map(str, shape))}) "
                "or, with several for each sample, one axis more after the first; or a pair (matrices, shifts)",
            )
        found: Tensor = result
        return found.to(unit.dtype)

    def _called(self, scene: Scene) -> Any:
        target = self.function.forward if isinstance(self.function, nn.Module) else self.function
        tensors = scene.batch.tensors
        try:
            names = [*inspect.signature(target).parameters]
        except (TypeError, ValueError):
            names = []
        given = {name: self._cast(tensors[name]) for name in names if name in tensors}
        try:
            return self.function(**given) if given else self.function(self._cast(tensors[scene.moved[0]]))
        except Exception as error:  # whatever a user's function may raise is reported as its own
            raise ModelError(
                f"the canonicaliser raised {type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                where=f"'{self.name}' called with {', '.join(given) or scene.moved[0]}",
                hint="it is called with the inputs that its parameters name, or with the first one that moves",
            ) from error

    def _cast(self, x: Tensor) -> Tensor:
        """A tensor in the precision of a learned canonicaliser, as it stands now."""
        own = [p.dtype for p in self.function.parameters()] if isinstance(self.function, nn.Module) else []
        return x.to(own[0]) if own and x.is_floating_point() else x

    def _matrix(self, group: Group, found: Tensor) -> Tensor | None:
        """The linear parts (B, F, d, d), where the elements are matrices."""
        if found.dim() < 4 or "linear" not in group.faces or not group.law.startswith(("uniform (Haar)", "R uniform")):
            return None
        return found[..., :-1, :-1] if "translation" in group.faces else found


@final
class Inverted(Frame):
    """The inverses of what another canonicaliser gives: h(x)⁻¹ takes x to its canonical form."""

    def __init__(self, inner: Frame) -> None:
        self.inner, self.name = inner, f"inverse of {inner.name}"

    def poses(self, scene: Scene) -> Poses:
        """The elements inverted, in the same order."""
        found = self.inner.poses(scene)
        return Poses(scene.group.inverse(found.g), found.index, found.fixed)


@final
class ArgMax(Frame):
    """The element g of a finite group with the largest score s(g⁻¹·x): h(g·x) = g·h(x) while the best one is alone.

    The score is a function of the first input that moves, (n, *S) -> (n,); without one a fixed generic linear form.
    """

    name = "argmax"

    def __init__(self, score: Callable[[Tensor], Tensor] | None = None, seed: int = 0) -> None:
        self.score, self.seed = score, seed
        self._kept = Kept()

    def poses(self, scene: Scene) -> Poses:
        """One element a sample."""
        listed = self._elements(scene.group)
        return Poses(listed, self.scores(scene).argmax(1, keepdim=True).cpu(), fixed=True)

    def scores(self, scene: Scene) -> Tensor:
        """s(g⁻¹·x) of every element, (B, |G|)."""
        listed, name = self._elements(scene.group), scene.moved[0]
        x, size = scene.batch.tensors[name], len(listed)
        back = self._kept(("back", name), scene.bound.inputs[name], scene.group.inverse(listed), x)
        index = torch.arange(size, device=x.device).repeat(scene.batch.count)
        turned = act(scene.bound.inputs[name], back, index, x.repeat_interleave(size, 0), scene.batch, "dense")
        return self._scored(turned.to(x.dtype)).reshape(scene.batch.count, size)

    def _scored(self, x: Tensor) -> Tensor:
        if self.score is not None:
            return self.score(x)
        form = Draws(self.seed, "argmax").normal(1, *x.shape[1:])[0].to(x.device)
        return (x.double() * form).flatten(1).sum(1)

    def _elements(self, group: Group) -> Tensor:
        listed = group.elements() if group.order is not None else None
        if listed is None:
            raise NoFrame(
                f"argmax needs a finite group, which {group.name} is not",
                where="the canonicaliser argmax",
                hint="use pca or gram-schmidt(a,b), or a function of your own",
            )
        return listed


class Kept:
    """What elements look like to an action, (n, ...) float64: worked out once for elements that never change."""

    def __init__(self) -> None:
        self._reps: dict[tuple[object, ...], tuple[Rep, ...]] = {}

    def __call__(self, key: tuple[str, ...], bound: Bound, g: Tensor, x: Tensor, fixed: bool = True) -> tuple[Rep, ...]:
        """The numbers of the elements g for tensors like x, on its device."""
        if not fixed:
            return move(bound.represent(g), x.device, torch.float64)
        whole = (*key, bound.group.name, tuple(x.shape[1:]), str(x.device), len(g))
        if whole not in self._reps:
            with torch.inference_mode(False):  # what is kept may be differentiated through later
                reps = move(bound.represent(g.clone()), x.device, torch.float64)
            if torch.compiler.is_compiling():
                return reps
            self._reps[whole] = reps
        return self._reps[whole]


def orthogonality(r: Tensor) -> Tensor:
    """‖RᵀR − 1‖ of every matrix (..., d, d)."""
    defect: Tensor = torch.linalg.matrix_norm(r.mT @ r - torch.eye(r.shape[-1], dtype=r.dtype, device=r.device))
    return defect


def nearest(r: Tensor) -> Tensor:
    """The orthogonal matrix next to one that nearly is: R ← R(3 − RᵀR)/2, with a gradient where an SVD has none."""
    eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device)
    for _ in range(_ROUNDS):
        r = r @ (3 * eye - r.mT @ r) / 2
    return r


def frame_of(text: str, base: Path | None = None) -> Frame:
    """The canonicaliser that text names: one of `WORDS`, or a function as module:name or file.py:name.

    pca, pca(pos), pca(pos,mask); gram-schmidt(a,b); argmax, argmax(file.py:score); average, average(64).
    Raises ConfigError, LoadError.
    """
    head = text.partition("(")[0].strip()
    if head not in WORDS:
        if ":" not in text:
            raise ConfigError(
                f"unknown canonicaliser '{text}'",
                where="--canonicalizer",
                hint=suggest(head, [*WORDS, "file.py:function"]),
            )
        found = import_object(text, base=base)
        function = found() if inspect.isclass(found) else found
        if not callable(function):
            raise ConfigError(f"'{text}' is no function", where="--canonicalizer", hint="name a function x -> h(x)")
        return User(function, text)
    _, opened, inside = text.partition("(")
    args = [word.strip() for word in inside.rstrip(") ").split(",") if word.strip()] if opened else []
    return _built(head, args, text, base)


def _built(head: str, args: list[str], text: str, base: Path | None) -> Frame:
    if head == "gram-schmidt":
        return GramSchmidt(*args)
    if head == "argmax" and len(args) < 2:
        return ArgMax(import_object(args[0], base=base) if args else None)
    if head == "average" and len(args) < 2 and all(word.isdigit() and int(word) for word in args):
        return Whole(*map(int, args))
    if head == "pca" and len(args) < 3:
        on, weights = [*args, "", ""][:2]
        return PCA(on, weights)
    raise ConfigError(
        f"'{text}' is not understood",
        where="--canonicalizer",
        hint="write pca, pca(pos), pca(pos,mask), gram-schmidt(a,b), argmax, argmax(file.py:score) or average(64)",
    )
