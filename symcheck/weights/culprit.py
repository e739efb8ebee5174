"""The tensor at fault in a space that does not hold: the one whose own action, when changed, mends the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import permutations

from torch import Tensor

from symcheck.errors import SymcheckError
from symcheck.patterns import Axis, Fixed, Interleave, Leaf, Product, Sum, print_axes
from symcheck.weights.act import check_fit
from symcheck.weights.moves import alone, drawn, moved
from symcheck.weights.sizes import children, leaves
from symcheck.weights.spec import MATRICES, Space, Spec
from symcheck.weights.terms import parse_reference
from symcheck.weights.twin import Twin

_POWERS = tuple(Fraction(n, 2) for n in (-4, -2, -1, 1, 2, 4))
_CANDIDATES = 48  # tensors that may have been forgotten, nearest by name
_ROUNDS = 4  # forgotten tensors that are looked for together


@dataclass(frozen=True)
class Fault:
    """The first tensor at fault, empty when none was found, and what is wrong with it."""

    tensor: str
    note: str


def find_fault(
    spec: Spec, name: str, twin: Twin, sizes: Mapping[str, int], seed: int, tolerance: float
) -> Fault:
    """Look for one change of one tensor's action that mends the space: none, another exponent, axis or order of
    factors; then for tensors that were forgotten; else name the tensor without which the error is smallest."""
    single = alone(spec, name)
    trial = _Trial(name, twin, sizes, seed)
    whole = trial.error(single)
    order = [tensor for tensor in twin.state if tensor in trial.changed(single)]
    for tensor in order:
        for note, variant in _variants(single, name, tensor):
            if trial.error(variant) <= tolerance:
                return Fault(tensor, f"'{tensor}' {note}")
    if fault := _forgotten(spec, single, name, trial, whole, tolerance):
        return fault
    if len(order) < 2:
        return Fault(order[0] if order else "", "no single change mends it")
    left = {tensor: trial.error(single, skip=tensor) for tensor in order}
    best = min(order, key=lambda tensor: left[tensor])
    if not left[best] < 0.5 * whole:
        return Fault("", "no single tensor is at fault: neither leaving one out nor changing its action mends it")
    return Fault(best, f"most of the error comes with '{best}': without it {left[best]:.1e}, with it {whole:.1e}")


@dataclass
class _Trial:
    name: str
    twin: Twin
    sizes: Mapping[str, int]
    seed: int

    def changed(self, spec: Spec) -> dict[str, Tensor]:
        """What a random element of the only space changes."""
        shapes = {name: tuple(self.twin.state[name].shape) for name in spec.axes}
        return moved(spec, drawn(spec, [self.name], self.seed), self.twin.state, check_fit(spec, shapes, self.name))

    def error(self, spec: Spec, skip: str = "") -> float:
        """The distance on the first input; infinite when it cannot act at all, or gives NaN."""
        try:
            changed = self.changed(spec)
            changed.pop(skip, None)
            distance = self.twin.distance(changed, 1)
        except (SymcheckError, RuntimeError):
            return float("inf")
        return distance if distance == distance else float("inf")


def _variants(spec: Spec, name: str, tensor: str) -> Iterator[tuple[str, Spec]]:
    """Other actions on one tensor, each with the words that say what was wrong."""
    space = spec.spaces[name]
    for left in _without(spec, space, tensor):
        yield "does not move with it: left out, the function stays", left
    atom = space.on
    count = len(spec.places.get(atom, {}).get(tensor, ())) if atom else 1
    if space.kind in ("scale", *MATRICES) and tensor in _listed(spec, space):
        powers = (Fraction(-1), Fraction(1)) if space.kind in MATRICES else _POWERS
        for j in range(count):
            now = _listed(spec, space)[tensor]
            for power in powers:
                if power != now[j]:
                    one = (*now[:j], power, *now[j + 1 :])
                    words = f"has the exponent {now[j]} where {power} holds"
                    yield words, _with_exponents(spec, space, {**_listed(spec, space), tensor: one})
    if atom:
        for axes in _rearranged(spec.axes[tensor], atom):
            words = f"has the pattern '{print_axes(spec.axes[tensor])}' where '{print_axes(axes)}' holds"
            if variant := _with_axes(spec, space, tensor, axes):
                yield words, variant


def _listed(spec: Spec, space: Space) -> Mapping[str, tuple[Fraction, ...]]:
    """The exponents as they are, or as they follow from the primes."""
    if space.exponents is not None:
        return space.exponents
    places = spec.places.get(space.on or "", {})
    return {tensor: tuple(Fraction(-1 if o.dual else 1) for o in where) for tensor, where in places.items()}


def _with_exponents(spec: Spec, space: Space, exponents: Mapping[str, tuple[Fraction, ...]]) -> Spec:
    return replace(spec, spaces={space.name: replace(space, exponents=exponents)})


def _without(spec: Spec, space: Space, tensor: str) -> Iterator[Spec]:
    """The space without its action on one tensor, if something is left of it."""
    terms = tuple(term for term in space.terms if parse_reference(term.to).name != tensor)
    if space.kind == "shift":
        if terms and len(terms) < len(space.terms):
            yield replace(spec, spaces={space.name: replace(space, terms=terms)})
        return
    gains = {name: each for name, each in space.gains.items() if name != tensor}
    exponents = space.exponents
    if exponents is not None:
        exponents = {name: powers for name, powers in exponents.items() if name != tensor}
        if space.whole and not exponents:
            return
    changed = replace(space, terms=terms, gains=gains, exponents=exponents)
    atoms = {space.on, space.leaves}
    axes = {**spec.axes, tensor: tuple(_blank(axis, atoms) for axis in spec.axes[tensor])}
    found = {leaf.name for each in axes.values() for axis in each for leaf, _ in leaves(axis)}
    if space.whole or space.on in found:
        yield replace(spec, spaces={space.name: changed}, axes=axes)


def _blank(axis: Axis, atoms: set[str | None]) -> Axis:
    """The axis, or one on which nothing acts where it holds one of the atoms."""
    return Fixed() if any(leaf.name in atoms for leaf, _ in leaves(axis)) else axis


def _rearranged(axes: tuple[Axis, ...], atom: str) -> Iterator[tuple[Axis, ...]]:
    """Other patterns of the same tensor: the factors or segments of an axis in another order, axes exchanged."""
    for i, axis in enumerate(axes):
        if not any(leaf.name == atom for leaf, _ in leaves(axis)):
            continue
        parts = children(axis)
        for order in permutations(parts) if 1 < len(parts) <= 4 else ():
            if order != parts and isinstance(axis, Product | Sum | Interleave):
                yield (*axes[:i], type(axis)(order), *axes[i + 1 :])
        for j, other in enumerate(axes):
            if j == i:
                continue
            exchanged = list(axes)
            exchanged[i], exchanged[j] = other, axis
            yield tuple(exchanged)
            if not any(leaf.name == atom for leaf, _ in leaves(other)):
                yield (*axes[:j], axis, *axes[j + 1 :])


def _with_axes(spec: Spec, space: Space, tensor: str, axes: tuple[Axis, ...]) -> Spec | None:
    """The spec with another pattern of one tensor; an exponent for every occurrence."""
    count = sum(leaf.name == space.on for axis in axes for leaf, _ in leaves(axis))
    exponents = space.exponents
    if exponents is not None and tensor in exponents:
        exponents = {**exponents, tensor: exponents[tensor][:1] * count}
    gains = {name: each[:1] * count if name == tensor else each for name, each in space.gains.items()}
    try:
        changed = replace(space, exponents=exponents, gains=gains)
        return replace(spec, spaces={space.name: changed}, axes={**spec.axes, tensor: axes})
    except SymcheckError:
        return None


def _forgotten(
    full: Spec, spec: Spec, name: str, trial: _Trial, whole: float, tolerance: float
) -> Fault | None:
    """Tensors on which the space does not act and must: taken in one by one, whichever lowers the error most."""
    space = spec.spaces[name]
    if space.on is None:
        return None
    touched = set(trial.changed(spec))
    near = sorted(
        (t for t in trial.twin.state if t not in touched and t not in full.ties and trial.twin.state[t].dim()),
        key=lambda t: -max(_in_common(t, other) for other in touched),
    )[:_CANDIDATES]
    added: list[str] = []
    for _ in range(_ROUNDS):
        ways = [(trial.error(v), t, v) for t in near if t not in added for v in _extended(full, spec, t, trial)]
        if not ways:
            return None
        error, tensor, best = min(ways, key=lambda way: way[0])
        if not error < 0.999 * whole:
            return None
        added.append(tensor)
        spec, space, whole = best, best.spaces[name], error
        if error <= tolerance:
            first = min(added, key=list(trial.twin.state).index)
            more = f", and so must {', '.join(t for t in added if t != first)}" if len(added) > 1 else ""
            return Fault(first, f"'{first}' has been forgotten: it must move too{more}")
    return None


def _in_common(one: str, two: str) -> int:
    """How many characters two names begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def _extended(full: Spec, spec: Spec, tensor: str, trial: _Trial) -> Iterator[Spec]:
    """The space acting on one more tensor: where that has the atom already, or along an axis that has the size."""
    state, space = trial.twin.state, spec.spaces[trial.name]
    if not state[tensor].is_floating_point():
        return
    plain = space.kind in ("permutation", "orthogonal", "general", "sign") and space.exponents is None
    powers = (Fraction(1), Fraction(-1)) if space.kind in MATRICES else _POWERS
    places = full.places.get(space.on or "", {}).get(tensor, ())
    beside = all(tensor in full.places.get(atom, {}) for atom in space.over)  # or its copies cannot be told apart
    for power in powers if places and beside and not plain else ():
        exponents = {**_listed(spec, space), tensor: (power,) * len(places)}
        yield replace(
            spec,
            axes={**spec.axes, tensor: full.axes[tensor]},
            spaces={space.name: replace(space, exponents=exponents)},
        )
    over = 1
    for atom in space.over:
        over *= trial.sizes.get(atom, 1)
    leaf: Axis = Leaf(space.on or "")
    axis = Product((*(Leaf(atom) for atom in space.over), leaf)) if space.over else leaf
    dots: list[Axis] = [Fixed() for _ in state[tensor].shape]
    for i, size in enumerate(state[tensor].shape):
        if size != over * space.size:
            continue
        axes = {**spec.axes, tensor: (*dots[:i], axis, *dots[i + 1 :])}
        if plain:
            yield replace(spec, axes=axes)
        for power in () if plain else powers:
            exponents = {**_listed(spec, space), tensor: (power,)}
            yield replace(spec, axes=axes, spaces={space.name: replace(space, exponents=exponents)})
