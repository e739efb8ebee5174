"""Does a spec fit together? Every rule about names and patterns in one place. No torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from symcheck.errors import ConfigError
from symcheck.registry import suggest
from symcheck.weights.terms import parse_equation, parse_reference, tensors_of

if TYPE_CHECKING:
    from symcheck.weights.spec import Space, Spec


def check_spec(spec: Spec) -> None:
    """Raise ConfigError at the first thing in the spec that cannot be meant so."""
    _check_names(spec)
    for key, space in spec.spaces.items():
        where = f"space '{key}'"
        if space.name != key:
            raise ConfigError(f"the space '{space.name}' is filed as '{key}'", where=where, hint="give it one name")
        for atom in filter(None, (space.on, space.leaves)):
            if atom not in spec.places:
                hint = suggest(atom, [*spec.places]) if spec.places else "give the patterns in [axes]"
                raise ConfigError(f"no tensor has an axis '{atom}'", where=where, hint=hint)
        _check_stacks(spec, space, where)
        _check_terms(spec, space, where)
        _check_occurrences(spec, space, where)
        _check_over(spec, space, where)
    _ = spec.sizes  # says where sizes contradict each other


def acted_tensors(spec: Spec, space: Space) -> dict[str, None]:
    """The tensors that the space may change: along its atoms, as a whole, and by its terms."""
    along = spec.places.get(space.on, {}) if space.on is not None else {}
    powers = space.exponents
    if powers is not None and space.kind != "tree":
        along = {name: () for name, each in powers.items() if any(each)}
    return dict.fromkeys((*along, *spec.places.get(space.leaves, ()), *targets(space), *stacked(space)))


def stacked(space: Space) -> dict[str, tuple[str, int]]:
    """The tensors that a permutation moves whole: to each its stack and its number there."""
    return {stack.replace("*", str(i)): (stack, i) for stack in space.stacks for i in range(space.size)}


def targets(space: Space) -> dict[str, None]:
    """The tensors to which the terms of the space add."""
    return dict.fromkeys(parse_reference(term.to).name for term in space.terms)


def stated_by(spaces: Iterable[Space]) -> set[str]:
    """The atoms whose sizes these spaces state."""
    return {atom for space in spaces for atom in (space.on, space.leaves) if atom}


def chosen(
    spec: Spec,
    kinds: Collection[str] | None = None,
    spaces: Collection[str] | None = None,
    *,
    approximate: bool = False,
) -> dict[str, Space]:
    """The spaces of these kinds and names (None: any), the approximate ones only if asked for."""
    from symcheck.weights.spec import KINDS

    _check_known(kinds or (), KINDS, "kind", "kinds")
    _check_known(spaces or (), spec.spaces, "space", "spaces")
    return {
        name: space
        for name, space in spec.spaces.items()
        if (kinds is None or space.kind in kinds)
        and (spaces is None or name in spaces)
        and (approximate or not space.approximate or (spaces is not None and name in spaces))
    }


def _check_known(words: Iterable[str], known: Collection[str], what: str, where: str) -> None:
    for word in words:
        if word not in known:
            hint = suggest(word, [*known]) if known else "there is none"
            raise ConfigError(f"there is no {what} '{word}'", where=where, hint=hint)


def _check_names(spec: Spec) -> None:
    for alias, canonical in spec.ties.items():
        _check_known([canonical], spec.axes, "tensor", f"[ties] '{alias}'")
        if alias in spec.axes or canonical in spec.ties:
            raise ConfigError(
                f"'{alias}' is tied to '{canonical}' and has a pattern or a tie of its own",
                where=f"[ties] '{alias}'",
                hint="everything is said of the one name at the right",
            )
    _check_known(spec.offsets, spec.axes, "tensor", "[offsets]")
    for name, eps in spec.offsets.items():
        if not 0 <= eps < math.inf:
            raise ConfigError(f"'{name}' has the offset {eps}", where="[offsets]", hint="an eps is small and positive")
    _check_known(spec.shapes, spec.axes, "tensor", "[shapes]")
    for pinned in spec.pinned:
        _check_known(pinned.tensors, spec.axes, "tensor", "[[pinned]]")
    for name, shape in spec.shapes.items():
        if len(shape) != len(spec.axes[name]):
            raise ConfigError(
                f"'{name}' has {len(shape)} axes and a pattern of {len(spec.axes[name])}",
                where=f"[shapes] '{name}'",
                hint="one item of the pattern for every axis",
            )


def _check_stacks(spec: Spec, space: Space, where: str) -> None:
    """The tensors of a stack are there, and one is like the other."""
    names = stacked(space)
    _check_known(names, spec.axes, "tensor", f"{where}, stacks")
    if both := names.keys() & spec.places.get(space.on or "", {}).keys():
        raise ConfigError(
            f"'{min(both)}' stands in a stack and has the atom '{space.on}'",
            where=f"{where}, stacks",
            hint="a permutation moves a tensor whole, or moves the entries of one of its axes",
        )
    for name, (stack, _) in names.items():
        first = stack.replace("*", "0")
        shapes = spec.shapes.get(first), spec.shapes.get(name)
        if len(spec.axes[first]) != len(spec.axes[name]) or (None not in shapes and shapes[0] != shapes[1]):
            raise ConfigError(
                f"'{first}' and '{name}' differ in shape, so that one cannot take the place of the other",
                where=f"{where}, stacks",
                hint="a stack holds tensors of one shape",
            )


def _check_terms(spec: Spec, space: Space, where: str) -> None:
    for term in space.terms:
        _check_known(tensors_of(term), spec.axes, "tensor", f"{where}, terms")
        equation, target = parse_equation(term.equation), parse_reference(term.to)
        if len(equation.inputs) != len(term.operands) + 1 or target.power != 1:
            raise ConfigError(
                f"the equation '{term.equation}' has {len(equation.inputs)} inputs for {len(term.operands)} operands "
                f"and adds to '{term.to}'",
                where=f"{where}, terms",
                hint="the element comes first, then the operands; what is added to has no power",
            )


def _check_occurrences(spec: Spec, space: Space, where: str) -> None:
    """Exponents and gains name known tensors and have one entry for every occurrence of the atom."""
    tables: tuple[tuple[str, Mapping[str, tuple[object, ...]]], ...]
    tables = (("exponents", space.exponents or {}), ("gains", space.gains))
    for what, table in tables:
        _check_known(table, spec.axes, "tensor", f"{where}, {what}")
        for name, entries in table.items():
            count = 1 if space.on is None else len(spec.places[space.on].get(name, ()))
            if len(entries) != count:
                raise ConfigError(
                    f"'{name}' has {len(entries)} {what} where the atom '{space.on}' stands {count} times",
                    where=f"{where}, {what}",
                    hint="one for each time that the atom stands in the pattern, in reading order",
                )
    for gains in space.gains.values():
        for each in gains:
            _check_known(each, spec.axes, "tensor", f"{where}, gains")


def _check_over(spec: Spec, space: Space, where: str) -> None:
    """Wherever the space acts along its atom, the atoms that it is over can be told."""
    along = {name for atom in filter(None, (space.on, space.leaves)) for name in spec.places[atom]}
    for name in acted_tensors(spec, space):
        for atom in space.over if space.whole or name in along else ():
            if name not in spec.places.get(atom, {}):
                raise ConfigError(
                    f"'{name}' has the atom '{space.on}' and lacks '{atom}', over which the space has its copies",
                    where=where,
                    hint=f"write '{atom}' into the pattern of '{name}', or take it out of 'over'",
                )
