"""Which outputs of a network's modules carry the atoms of its permutation spaces: found by running it.

    y(g·θ, x) = g·y(θ, x)        for every hidden output y, with g acting along the axes of y

An output that changes when units are permuted is itself permuted: by which atoms, along which axes and in which layout
is tried out, and kept when it is so to rounding for every element of a set that tells all spaces apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from symcheck.errors import ModelError
from symcheck.patterns import Axis, Fixed, Leaf, Product
from symcheck.subject import call_with
from symcheck.weights.act import apply, check_fit
from symcheck.weights.doubled import Doubled, private, raised
from symcheck.weights.examples import Call, as_call
from symcheck.weights.sizes import children, extent, leaves
from symcheck.weights.spec import Space, Spec

_EXACT = 1e-9  # of the largest entry: rounding in double precision
_ALIKE = 1e-7  # of a moment's size: what may be a permutation and is tried
_TRIED = 64  # patterns for one output
Element = Mapping[str, Tensor]


@dataclass(frozen=True)
class Carriers:
    """Outputs of modules as tensors on which permutations act. `spec` has a pattern for each output that carries an
    atom, called like its module, with #2 for its second call and [1] for the second tensor that it returns.

    `without` are the permutation spaces that no output carries.
    """

    spec: Spec
    without: tuple[str, ...]

    def of(self, space: str) -> tuple[str, ...]:
        """The outputs that carry the atom of a space."""
        found = self.spec.spaces.get(space)
        return () if found is None or found.on is None else tuple(self.spec.places[found.on])


def carriers(module: nn.Module, state: Mapping[str, Tensor], spec: Spec, call: Any, *, seed: int = 0) -> Carriers:
    """The outputs of the modules that carry permuted atoms, from 2 + log2(number of spaces) runs on one call.

    `call` is a tensor, a tuple of arguments or a mapping of keywords. The module stays as it was.
    """
    own = private(module, raised)
    example: Call = tree_map_only(Tensor, raised, as_call(call))
    double = {name: raised(t.detach()) for name, t in state.items()}
    sizes = check_fit(spec, {name: tuple(t.shape) for name, t in state.items()}, "the state dict")
    spaces = {
        name: replace(space, stacks=())
        for name, space in spec.spaces.items()
        if space.kind == "permutation" and space.on is not None and space.size > 1
    }
    search = Search(spaces, sizes, spec)
    before = outputs(own, double, example)
    for i, chosen in enumerate(_codes([*spaces])):
        element = _element(spec, chosen, seed + i)
        after = outputs(own, spec.apply(element, double), example)
        search.step(element, before, after)
    found = search.found
    carried = {leaf.name for axes in found.values() for axis in axes for leaf, _ in leaves(axis)}
    kept = {name: space for name, space in spaces.items() if space.on in carried and {*space.over} <= carried}
    atoms = {atom: sizes[atom] for atom in carried - {space.on for space in kept.values()}}
    return Carriers(Spec(kept, found, atoms=atoms), tuple(name for name in spaces if name not in kept))


def outputs(module: nn.Module, state: Mapping[str, Tensor], call: Call) -> dict[str, Tensor]:
    """The floating tensors that the modules within return, by the names of `Carriers`; each once, in double precision.

    Raises ModelError when the module fails.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, y: Tensor) -> None:
        if not any(y.shape == other.shape and torch.equal(y, other) for other in found.values()):
            found[name] = y.detach().clone()

    with Doubled(), watching(module, keep):
        run(module, state, call)
    return found


@contextmanager
def watching(module: nn.Module, act: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Show `act` every floating tensor that a module within returns, as soon as it does."""
    calls: dict[str, int] = {}

    def hook(name: str) -> Callable[..., None]:
        def after(_: nn.Module, __: Any, output: Any) -> None:
            calls[name] = calls.get(name, 0) + 1
            tensors = [t for t in tree_leaves(output) if isinstance(t, Tensor)]
            for i, y in enumerate(tensors):
                if y.is_floating_point() and y.dim() and y.numel():
                    again = f"#{calls[name]}" if calls[name] > 1 else ""
                    act(name + again + (f"[{i}]" if i else ""), y)

        return after

    handles = [part.register_forward_hook(hook(name)) for name, part in module.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run(module: nn.Module, state: Mapping[str, Tensor], call: Call) -> Any:
    """What the module returns with these tensors; tensors of the call are not written into."""
    args, kwargs = tree_map_only(Tensor, torch.clone, call)
    try:
        with torch.no_grad():
            return call_with(module, state, args, kwargs)
    except Exception as error:  # whatever a model may raise is reported as the model's
        raise ModelError(
            f"the model raised {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            where=type(module).__name__,
            hint="check that the inputs have the shapes, order and types that the model's forward takes",
        ) from error


class Search:
    """The patterns that are still possible for each output, fewer with every element that is tried."""

    def __init__(self, spaces: Mapping[str, Space], sizes: Mapping[str, int], spec: Spec) -> None:
        self.spaces, self.sizes = spaces, sizes
        self.atoms = [space.on for space in spaces.values() if space.on is not None]
        self.nodes = _nodes(spec, self.atoms, sizes)
        self.possible: dict[str, list[tuple[Axis, ...]]] | None = None

    @property
    def found(self) -> dict[str, tuple[Axis, ...]]:
        """The first pattern that every element has left, by output."""
        return {name: patterns[0] for name, patterns in (self.possible or {}).items() if patterns}

    def step(self, element: Element, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
        """Keep what fits one more element; the first one, of all spaces, gives what there is to keep."""
        if self.possible is None:
            both = {n: (y, after[n]) for n, y in before.items() if n in after and y.shape == after[n].shape}
            self.possible = {
                name: [*itertools.islice(self._proposed(y, z, element), _TRIED)]
                for name, (y, z) in both.items()
                if not _equal(y, z)
            }
        for name, patterns in self.possible.items():
            y, z = before[name], after.get(name)
            self.possible[name] = [axes for axes in patterns if z is not None and self._fits(y, z, axes, element)]

    def _proposed(self, y: Tensor, z: Tensor, element: Element) -> Iterator[tuple[Axis, ...]]:
        """Patterns whose axes, each alone, may lead from y to z; then those of copies that stand on another axis."""
        options = [self._options(y, z, axis, element) for axis in range(y.dim())]
        whole = (axes for axes in itertools.product(*options) if not all(isinstance(a, Fixed) for a in axes))
        yield from whole
        for space in self.spaces.values():
            atoms = (*space.over, space.on or "")
            for places in itertools.permutations(range(y.dim()), len(atoms)) if space.over else ():
                if all(y.shape[axis] == self.sizes[atom] for axis, atom in zip(places, atoms, strict=True)):
                    named = dict(zip(places, atoms, strict=True))
                    yield tuple(Leaf(named[i]) if i in named else Fixed() for i in range(y.dim()))

    def _options(self, y: Tensor, z: Tensor, axis: int, element: Element) -> list[Axis]:
        """What may act along an axis: the moments of the slices of y, moved, are those of z."""
        one, two = _moments(y, axis), _moments(z, axis)
        limit = _ALIKE * two[:, 1].mean().sqrt() ** torch.arange(1, 4)
        found: list[Axis] = [Fixed()] if bool(((one - two).abs() <= limit).all()) else []
        for node in self._layouts(y.shape[axis]):
            moved = self._moved(one, (node, Fixed()), element)
            if moved is not None and bool(((moved - two).abs() <= limit).all()):
                found.append(node)
        return found

    def _layouts(self, size: int) -> Iterator[Axis]:
        """What an axis of this size may be: a layout of the weights, or an atom beside other factors."""
        yield from self.nodes.get(size, ())
        for atom in self.atoms:
            many, rest = divmod(size, self.sizes[atom])
            for inner in range(1, many + 1) if not rest and many > 1 else ():
                if many % inner == 0:
                    outer = (Fixed(),) if inner < many else ()
                    yield Product((*outer, Leaf(atom), *((Fixed(inner),) if inner > 1 else ())))

    def _fits(self, y: Tensor, z: Tensor, axes: tuple[Axis, ...], element: Element) -> bool:
        moved = self._moved(y, axes, element)
        return moved is not None and _equal(moved, z)

    def _moved(self, y: Tensor, axes: tuple[Axis, ...], element: Element) -> Tensor | None:
        """The element acting along the axes; None where the copies that a space is over are not there."""
        atoms = {leaf.name for axis in axes for leaf, _ in leaves(axis)}
        acting = {name: space for name, space in self.spaces.items() if space.on in atoms}
        if not all({*space.over} <= atoms for space in acting.values()):
            return None
        others = {atom: self.sizes[atom] for atom in atoms - {space.on for space in acting.values()}}
        spec = Spec(acting, {"y": axes}, atoms=others)
        return apply(spec, {name: part for name, part in element.items() if name in acting}, {"y": y})["y"]


def _nodes(spec: Spec, permuted: Collection[str], sizes: Mapping[str, int]) -> dict[int, list[Axis]]:
    """Layouts that the weights' patterns are made of, by size; the atoms themselves come first."""
    found: dict[str, tuple[int, Axis]] = {atom: (sizes[atom], Leaf(atom)) for atom in permuted}

    def visit(nodes: Iterable[Axis]) -> None:
        for node in nodes:
            size = extent(node, sizes)
            if size is not None and any(leaf.name in permuted for leaf, _ in leaves(node)):
                found.setdefault(str(node), (size, node))
            visit(children(node))

    for axes in spec.axes.values():
        visit(axes)
    by_size: dict[int, list[Axis]] = {}
    for size, node in found.values():
        by_size.setdefault(size, []).append(node)
    return by_size


def _codes(names: Sequence[str]) -> Iterator[list[str]]:
    """All names, then as many lists as it takes for every two names to differ in one of them."""
    if names:
        yield [*names]
    for bit in range(len(names).bit_length()):
        yield [name for k, name in enumerate(names, 1) if k >> bit & 1]


def _element(spec: Spec, spaces: Collection[str], seed: int) -> dict[str, Tensor]:
    """A random element of these spaces, of which no part is the identity."""
    drawn = spec.sample(seed, spaces=spaces)
    still = {name: bool((part == torch.arange(part.shape[-1])).all()) for name, part in drawn.items()}
    return {name: part.roll(1, -1) if still[name] else part for name, part in drawn.items()}


def _moments(y: Tensor, axis: int) -> Tensor:
    """The first three moments of every slice along an axis, which no order of the other axes changes, (n, 3)."""
    rows = torch.where(y.isfinite(), y, 0.0).movedim(axis, 0).reshape(y.shape[axis], -1)
    return torch.stack([rows.pow(k).mean(1) for k in (1, 2, 3)], 1)


def _equal(y: Tensor, z: Tensor) -> bool:
    """Whether two tensors are equal up to rounding; infinities and NaN in the same places are."""
    size = torch.where(z.isfinite(), z, 0.0).abs().max()
    return bool((((y - z).abs() <= _EXACT * size) | (y == z) | (y.isnan() & z.isnan())).all())
