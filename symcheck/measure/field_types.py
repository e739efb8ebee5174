"""Field types of escnn, read off their attributes: the group of the plane, and what it does to the channels.

A field type has `representations`, each giving the matrix of an element of `fibergroup`, and a `gspace` whose
`basespace_action` gives the matrix of the same element on the plane; that matrix tells which element of ours it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symcheck.actions.planar import matrices
from symcheck.errors import SymcheckError
from symcheck.grammar import parse_group
from symcheck.groups.base import Group
from symcheck.groups.products import make_group

_EQUAL = 1e-5


def is_field_type(value: Any) -> bool:
    """Whether this has what a field type on the plane has."""
    space, fields = getattr(value, "gspace", None), getattr(value, "representations", None)
    return bool(fields) and getattr(space, "dimensionality", 0) == 2 and getattr(value, "fibergroup", None) is not None


def plane_group(field: Any) -> str | None:
    """C4, D4, SO(2), ... as the group of a field type turns the plane; None where no group of ours does so."""
    plane = _plane(field, _elements(field))
    mirrors = bool((torch.linalg.det(plane) < 0).any())
    if int(field.fibergroup.order()) < 0:
        return "O(2)" if mirrors else "SO(2)"
    order = len(plane) // 2 if mirrors else len(plane)
    name = f"{'D' if mirrors else 'C'}{order}"
    try:
        return name if _places(field, make_group(parse_group(name))) is not None else None
    except SymcheckError:
        return None


def fibre_text(field: Any, group: str) -> str | None:
    """What `image(fiber=…)` says of the channels, such as `3*trivial+2*regular`; None where it has no word for one."""
    ours, words = make_group(parse_group(group)), []
    for representation in field.representations:
        word = _word(field, representation, ours)
        if word is None:
            return None
        words.append(word)
    runs = [(len(list(same)), word) for word, same in groupby(words)]
    return "+".join(word if count == 1 < len(runs) else f"{count}*{word}" for count, word in runs)


def fibre_matrices(field: Any, group: Group, g: Tensor) -> Tensor | None:
    """ρ(g) of all channels for elements of our finite group, (n, C, C) float64; None where one is not theirs."""
    places = _places(field, group, g)
    if places is None:
        return None
    elements = _elements(field)
    each = {place: _blocks(field.representations, elements[place]) for place in set(places)}
    return torch.stack([each[place] for place in places])


def _blocks(representations: Sequence[Callable[[Any], Any]], element: Any) -> Tensor:
    blocks: Tensor = torch.block_diag(*(_matrix(one(element)) for one in representations))  # type: ignore[no-untyped-call]
    return blocks


def _matrix(value: Any) -> Tensor:
    return torch.from_numpy(np.asarray(value, dtype=np.float64))


def _elements(field: Any) -> list[Any]:
    """Every element of a finite group, some of a continuous one."""
    group = field.fibergroup
    if int(group.order()) > 0:
        return list(group.elements)
    return list(group.testing_elements())


def _plane(field: Any, elements: Sequence[Any]) -> Tensor:
    return torch.stack([_matrix(field.gspace.basespace_action(element)) for element in elements])


def _places(field: Any, group: Group, g: Tensor | None = None) -> list[int] | None:
    """For each element of ours (by default all) the one of theirs that does the same to the plane."""
    listed = group.elements() if g is None else g
    if listed is None:
        return None
    away = (matrices(group, listed)[:, None] - _plane(field, _elements(field))[None]).abs().amax((2, 3))
    least, places = away.min(1)
    return [int(place) for place in places] if bool((least < _EQUAL).all()) else None


def _word(field: Any, representation: Any, group: Group) -> str | None:
    """trivial, sign, vector or regular, by its matrices."""
    elements = _elements(field)
    found, plane = torch.stack([_matrix(representation(e)) for e in elements]), _plane(field, elements)
    known = {
        "trivial": torch.ones(len(plane), 1, 1, dtype=torch.float64),
        "sign": torch.linalg.det(plane)[:, None, None],
        "vector": plane,
    }
    for word, expected in known.items():
        if expected.shape == found.shape and bool(((expected - found).abs() < _EQUAL).all()):
            return word
    listed, places = group.elements(), _places(field, group)
    if listed is None or places is None or "regular" not in group.faces or found.shape[1] != len(listed):
        return None
    moved = torch.nn.functional.one_hot(group.face("regular", listed), len(listed)).mT.double()
    return "regular" if bool(((moved - found[places]).abs() < _EQUAL).all()) else None
