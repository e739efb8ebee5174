"""Specs of permutations in the two tables that re-basin programs use, read and written. No torch.

`axes_to_perm` maps each tensor to one permutation or None for every axis, `{"fc.weight": ("P_out", "P_in")}`;
`perm_to_axes` maps each permutation to the axes that it moves, `{"P_out": [("fc.weight", 0)]}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from symcheck.errors import ConfigError, LoadError
from symcheck.patterns import Fixed, Leaf
from symcheck.report.write import write_text
from symcheck.weights.spec import Space, Spec

AxesToPerm = Mapping[str, Sequence[str | None]]
PermToAxes = Mapping[str, Sequence[tuple[str, int]]]


def to_axes_to_perm(spec: Spec) -> dict[str, tuple[str | None, ...]]:
    """The spec as `{tensor: (permutation or None, ...)}`, tied names included.

    Raises ConfigError at the first space or pattern that this form cannot express.
    """
    for space in spec.spaces.values():
        if space.kind != "permutation" or space.over or space.stacks:
            copies = f" with copies over {', '.join(space.over)}" if space.over else ""
            copies += " that moves whole tensors" if space.stacks else ""
            _refuse(f"the space '{space.name}' of kind {space.kind}{copies}", f"spaces.{space.name}")
    acted = {space.on: name for name, space in spec.spaces.items()}
    if len(acted) < len(spec.spaces):
        _refuse("an atom with two spaces", "spaces")
    table = {name: tuple(_name(spec, name, axis, acted) for axis in axes) for name, axes in spec.axes.items()}
    return table | {alias: table[name] for alias, name in spec.ties.items()}


def expressible(spec: Spec) -> Spec:
    """The spec with only the permutations that these tables can express: one for each axis that it moves."""
    moved = {
        name: [place for places in spec.places[space.on].values() for place in places]
        for name, space in spec.spaces.items()
        if space.kind == "permutation" and not space.over and space.on is not None
    }
    kept = [name for name, places in moved.items() if not any(place.path or place.dual for place in places)]
    atoms = [spec.spaces[name].on for name in kept]
    kept = [name for name, atom in zip(kept, atoms, strict=True) if atoms.count(atom) == 1]
    axes = {
        tensor: tuple(axis if isinstance(axis, Leaf) and axis.name in atoms else Fixed() for axis in each)
        for tensor, each in spec.axes.items()
    }
    spaces = {name: spec.spaces[name] for name in kept}
    return Spec(spaces=spaces, axes=axes, ties=spec.ties, shapes=spec.shapes)


def to_perm_to_axes(spec: Spec) -> dict[str, list[tuple[str, int]]]:
    """The spec as `{permutation: [(tensor, axis), ...]}`; the same errors as `to_axes_to_perm`."""
    table: dict[str, list[tuple[str, int]]] = {name: [] for name in spec.spaces}
    for tensor, names in to_axes_to_perm(spec).items():
        for axis, name in enumerate(names):
            if name is not None:
                table[name].append((tensor, axis))
    return table


def from_axes_to_perm(table: AxesToPerm, shapes: Mapping[str, Sequence[int]]) -> Spec:
    """The spec of permutations that the table states, for tensors of these shapes.

    A permutation whose name is no name of an atom, such as `P_layer1.0`, acts on an atom of a name made from it.
    Raises ConfigError where the table and the shapes do not fit together.
    """
    names = dict.fromkeys(name for axes in table.values() for name in axes if name is not None)
    atoms = _atoms([*names])
    sizes: dict[str, int] = {}
    for tensor, axes in table.items():
        if tensor not in shapes or len(shapes[tensor]) != len(axes):
            found = f"the shape {tuple(shapes[tensor])}" if tensor in shapes else "no shape"
            raise ConfigError(
                f"'{tensor}' has {found} and {len(axes)} axes in the table",
                where=f"axes_to_perm, '{tensor}'",
                hint="give the table and the checkpoint of one network",
            )
        for name, size in zip(axes, shapes[tensor], strict=True):
            if name is not None and sizes.setdefault(name, size) != size:
                raise ConfigError(
                    f"the permutation '{name}' moves axes of {sizes[name]} and of {size} entries",
                    where=f"axes_to_perm, '{tensor}' of shape {tuple(shapes[tensor])}",
                    hint="a flattened axis needs a pattern such as (c 16): write the spec as a .toml file",
                )
    return Spec(
        spaces={name: Space(name, "permutation", sizes[name], on=atoms[name]) for name in names},
        axes={
            tensor: tuple(Fixed() if name is None else Leaf(atoms[name]) for name in axes)
            for tensor, axes in table.items()
        },
        shapes={tensor: tuple(shapes[tensor]) for tensor in table},
    )


def from_perm_to_axes(table: PermToAxes, shapes: Mapping[str, Sequence[int]]) -> Spec:
    """The spec of permutations that `{permutation: [(tensor, axis), ...]}` states; see `from_axes_to_perm`."""
    axes: dict[str, list[str | None]] = {tensor: [None] * len(shape) for tensor, shape in shapes.items()}
    for name, places in table.items():
        for tensor, axis in places:
            if tensor not in axes or not 0 <= axis < len(axes[tensor]) or axes[tensor][axis] is not None:
                raise ConfigError(
                    f"the permutation '{name}' cannot move axis {axis} of '{tensor}'",
                    where=f"perm_to_axes, '{name}'",
                    hint="name axes that the tensors have, each under one permutation",
                )
            axes[tensor][axis] = name
    return from_axes_to_perm(axes, shapes)


def save_axes_to_perm(spec: Spec, path: str | Path) -> None:
    """Write the table of `to_axes_to_perm` as JSON, None as null."""
    write_text(Path(path), json.dumps(to_axes_to_perm(spec), indent=1, ensure_ascii=False) + "\n")


def load_axes_to_perm(path: str | Path, shapes: Mapping[str, Sequence[int]]) -> Spec:
    """Read such a JSON table, of either direction, as a spec; see `from_axes_to_perm`."""
    try:
        table: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(
            f"the table cannot be read: {error}", where=str(path), hint="give a JSON file of tensors and permutations"
        ) from error
    lists = isinstance(table, dict) and all(isinstance(row, list) for row in table.values())
    if lists and all(item is None or isinstance(item, str) for row in table.values() for item in row):
        return from_axes_to_perm(table, shapes)
    if lists and all(_is_place(item) for row in table.values() for item in row):
        return from_perm_to_axes({name: [(str(t), int(a)) for t, a in row] for name, row in table.items()}, shapes)
    raise LoadError(
        "this is no table of tensors and permutations",
        where=str(path),
        hint='write {"fc.weight": ["P_out", "P_in"]}, or {"P_out": [["fc.weight", 0]]}',
    )


def _is_place(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) and type(item[1]) is int


def _name(spec: Spec, tensor: str, axis: object, acted: Mapping[str | None, str]) -> str | None:
    """The permutation of one axis, if the axis is all its atom's or nothing acts on it."""
    if isinstance(axis, Leaf) and not axis.dual:
        return acted.get(axis.name)
    if isinstance(axis, Fixed):
        return None
    return _refuse(f"the axis '{axis}' of '{tensor}'", f"axes.{tensor}")


def _refuse(what: str, where: str) -> NoReturn:
    raise ConfigError(
        f"{what} cannot be expressed as one permutation for each axis",
        where=where,
        hint='keep what can be, spec.only(kinds=["permutation"]).without([...]), or save the spec as .toml',
    )


def _atoms(names: list[str]) -> dict[str, str]:
    """A name of an atom for each permutation: its own where it can be, no two alike."""
    atoms: dict[str, str] = {}
    for name in sorted(names, key=lambda name: _plain(name) != name):  # those that keep their name come first
        atom = _plain(name)
        while atom in atoms.values():
            atom += "_"
        atoms[name] = atom
    return atoms


def _plain(name: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return text if re.match(r"[A-Za-z_]", text) else f"P_{text}"
