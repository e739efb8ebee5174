"""Derivation: a traced network -> its spec. Axes first, then linear groups, scales, signs and shifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from torch import nn

from symcheck import patterns
from symcheck.weights.atoms import Namer, pattern
from symcheck.weights.beside import Beside
from symcheck.weights.candidates import extended
from symcheck.weights.checks import targets
from symcheck.weights.contexts import contexts
from symcheck.weights.diagonals import Diagonal, Entries, diagonals
from symcheck.weights.linear_groups import Gain, Linear, linear_group
from symcheck.weights.occurrences import Place, Places
from symcheck.weights.planes import rotation
from symcheck.weights.reflections import reflections
from symcheck.weights.settle import PLANE, rotary, settle
from symcheck.weights.shifts import shifts
from symcheck.weights.sizes import children
from symcheck.weights.spec import Pinned, Space, Spec
from symcheck.weights.trace import Traced, trace


def derive(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> Spec:
    """The spec of a model, derived from its graph and not yet proved; see `derive_spec` for the proof.

    Raises ModelError when torch.export cannot trace the model.
    """
    traced = trace(model, args, kwargs)
    return extended(assemble(traced), traced, model, (tuple(args), dict(kwargs or {})))


def assemble(traced: Traced) -> Spec:
    """The spec of a traced network."""
    settle(traced.network)
    rotary(traced.network)
    builder = _Builder(traced)
    builder.build()
    return builder.spec()


class _Builder:
    """Collects the spaces, atom by atom."""

    def __init__(self, traced: Traced):
        self.traced = traced
        self.places = Places(traced.network)
        self.beside = Beside(self.places)
        self.over = contexts(self.places, self.beside)
        self.gain = Gain(traced.network)
        self.names = Namer(traced, self.places)
        self.spaces: dict[str, Space] = {}

    def build(self) -> None:
        """All spaces: linear groups and permutations, then scales and signs, then shifts."""
        known: dict[str, dict[int, dict[Place, Fraction]]] = {"scale": {}, "sign": {}}
        for atom, name in self.names.atoms.items():
            if self.places.atoms[atom].pinned == PLANE:
                made = rotation(self.places, atom)
                if made is not None:
                    self.places.turn(made)
                    self._add(Space(name, "rotation", 2, over=self._over(atom), note=PLANE))
                continue
            group = linear_group(self.places, self.gain, atom)
            general = group is not None and not group.orthogonal and bool(group.signs)
            if group is not None and group.signs:
                self._linear(atom, name, group)
                for kind in ("scale", "sign") if general else () if group.centred else ("sign",):
                    known[kind][atom] = self._powers(group)
            if not self.places.atoms[atom].pinned and not general:
                self._add(Space(name, "permutation", self.places.atoms[atom].size, over=self._over(atom)))
        atoms = list(self.names.atoms)
        entries = Entries(self.places, self.beside)
        for diagonal in diagonals(self.places, entries, {a: self.over[a] & set(atoms) for a in atoms}, known):
            self._diagonal(diagonal)
        inner = {atom: self._inner(atom) for atom in atoms}
        for atom, (powers, terms) in reflections(self.traced.network, self.places, entries, inner):
            exponents = self.names.by_tensor(atom, powers)
            name, size = self.names[atom], self.places.atoms[atom].size
            self._add(
                Space(f"{name}_flip", "sign", size, on=name, over=self._over(atom), exponents=exponents, terms=terms)
            )
        for space in shifts(self.traced):
            self._add(space)

    def _inner(self, atom: int, others: frozenset[int] | None = None) -> list[int]:
        inner = [a for a in (self.over[atom] if others is None else others) if a in self.names.atoms]
        return sorted(inner, key=lambda a: (len(self.over[a]), list(self.names.atoms).index(a)))

    def _over(self, atom: int, others: frozenset[int] | None = None) -> tuple[str, ...]:
        return tuple(self.names[a] for a in self._inner(atom, others))

    def _powers(self, group: Linear) -> dict[Place, Fraction]:
        return {p: Fraction(s) for p, s in group.signs.items() if self.places.net.values[p[0]].parameter}

    def _linear(self, atom: int, name: str, group: Linear) -> None:
        kind = "orthogonal" if group.orthogonal else "general"
        signs = {p: 1 if group.orthogonal else s for p, s in group.signs.items()}
        powers = {p: s for p, s in signs.items() if self.places.net.values[p[0]].parameter}
        exponents = self.names.by_tensor(atom, powers)
        gains = {
            tensor: tuple(
                {g: p * signs.get(place, 1) for g, p in group.potentials.get(place, {}).items()}
                for place in self.names.spots(tensor, atom)
            )
            for tensor in exponents
        }
        space = Space(
            f"{name}_rotation" if group.orthogonal else name, kind, self.places.atoms[atom].size, on=name,
            over=self._over(atom), exponents=exponents, gains={t: g for t, g in gains.items() if any(g)},
            fixes="ones" if group.orthogonal and group.centred else "",
        )  # fmt: skip
        self._add(space)

    def _diagonal(self, found: Diagonal) -> None:
        atom = found.atom
        if atom is None:
            whole = {self.places.net.values[p[0]].name: (c,) for p, c in found.powers.items()}
            name = f"all_{found.kind}"
            self._add(Space(name, found.kind, 1, on=None, exponents=whole, approximate=found.approximate))
            return
        exponents = self.names.by_tensor(atom, found.powers)
        name = f"{self.names[atom]}_{found.kind}"
        size = self.places.atoms[atom].size
        self._add(
            Space(name, found.kind, size, on=self.names[atom], over=self._over(atom, found.over), exponents=exponents,
                  approximate=found.approximate)
        )  # fmt: skip

    def _add(self, space: Space) -> None:
        name, count = space.name, 2
        while name in self.spaces:
            name, count = f"{space.name}_{count}", count + 1
        self.spaces[name] = Space(**{**vars(space), "name": name, "on": space.on})

    def spec(self) -> Spec:
        """The spec, with what was pinned and why."""
        traced = self.traced
        needed = {a for s in self.spaces.values() for a in (s.on, s.leaves, *s.over) if a}
        axes: dict[str, tuple[patterns.Axis, ...]] = {}
        for name in traced.shapes:
            if name in traced.ties:
                continue
            value = traced.parameters.get(name)
            fixed = tuple(patterns.Fixed() for _ in traced.shapes[name])
            axes[name] = fixed if value is None else pattern(value, self.names, needed)
        stated = {a for s in self.spaces.values() for a in (s.on, s.leaves) if a}
        atoms = {self.names[a]: self.places.atoms[a].size for a in self.names.atoms if self.names[a] in needed - stated}
        offsets = {name: eps for name, eps in traced.network.offsets.items() if name in axes}
        ties = {alias: name for alias, name in traced.ties.items() if name in axes}
        return Spec(
            spaces=self.spaces, axes=axes, ties=ties, offsets=offsets, pinned=self._pinned(axes), atoms=atoms,
            shapes={name: traced.shapes[name] for name in axes},
        )  # fmt: skip

    def _pinned(self, axes: Mapping[str, tuple[patterns.Axis, ...]]) -> tuple[Pinned, ...]:
        acted = {t for s in self.spaces.values() for t in (*(s.exponents or ()), *targets(s))}
        acted |= {name for name, each in axes.items() if any(self._moves(a) for a in each)}
        lost: dict[str, list[str]] = {}
        for name in axes:
            if name in acted:
                continue
            value = self.traced.parameters.get(name)
            reasons = [] if value is None else [leaf.pinned for a in value.axes for leaf in a.leaves() if leaf.pinned]
            unruled = [r for r in reasons if r in self.traced.network.unknown]
            reason = (unruled or reasons or [self.traced.aside.get(name, "nothing reads it")])[0]
            lost.setdefault(reason, []).append(name)
        for reason in self.traced.network.unknown:
            lost.setdefault(reason, [])
        return tuple(
            Pinned(reason, tuple(names), sum(_count(self.traced.shapes[n]) for n in names),
                   ", ".join(sorted(set(self.traced.network.unknown.get(reason, [])))[:4]))
            for reason, names in lost.items()
        )  # fmt: skip

    def _moves(self, axis: patterns.Axis) -> bool:
        if isinstance(axis, patterns.Leaf):
            return any(s.on == axis.name and s.exponents is None for s in self.spaces.values())
        return any(self._moves(p) for p in children(axis))


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total
