"""The two tables of re-basin programs: round trips, and what they cannot express is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from spec_networks import NETWORKS, mlp, spec_of

from symcheck.errors import ConfigError, LoadError
from symcheck.weights.rebasin import (
    from_axes_to_perm,
    from_perm_to_axes,
    load_axes_to_perm,
    save_axes_to_perm,
    to_axes_to_perm,
    to_perm_to_axes,
)
from symcheck.weights.spec import Space, Spec

SHAPES = {"w1": (8, 5), "b1": (8,), "w2": (6, 8), "b2": (6,), "w3": (3, 6), "b3": (3,)}
TABLE = {"w1": ("h", None), "b1": ("h",), "w2": ("k", "h"), "b2": ("k",), "w3": (None, "k"), "b3": (None,)}


def permutations() -> Spec:
    return dataclasses.replace(mlp().spec.only(kinds=["permutation"]), shapes=SHAPES)


def test_there_and_back() -> None:
    spec = permutations()
    assert to_axes_to_perm(spec) == TABLE
    assert from_axes_to_perm(TABLE, SHAPES) == spec
    inverse = to_perm_to_axes(spec)
    assert inverse == {"h": [("w1", 0), ("b1", 0), ("w2", 1)], "k": [("w2", 0), ("b2", 0), ("w3", 1)]}
    assert from_perm_to_axes(inverse, SHAPES) == spec


def test_files_of_either_direction(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    save_axes_to_perm(permutations(), path)
    assert load_axes_to_perm(path, SHAPES) == permutations()
    path.write_text('{"h": [["w1", 0], ["b1", 0], ["w2", 1]], "k": [["w2", 0], ["b2", 0], ["w3", 1]]}')
    assert load_axes_to_perm(path, SHAPES) == permutations()


@pytest.mark.parametrize("text", ["{", "[]", '{"w1": "h"}', '{"w1": [3]}', '{"h": [["w1", "0"]]}', '{"h": [["w1"]]}'])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(LoadError):
        load_axes_to_perm(path, SHAPES)


def test_names_that_are_no_atoms_get_one() -> None:
    table = {"w": ("P_layer1.0", "P_layer1_0"), "v": ("1", None)}
    spec = from_axes_to_perm(table, {"w": (4, 3), "v": (5, 2)})
    assert {name: space.on for name, space in spec.spaces.items()} == {
        "P_layer1.0": "P_layer1_0_", "P_layer1_0": "P_layer1_0", "1": "P_1",
    }  # fmt: skip
    assert to_axes_to_perm(spec) == table


def test_tied_names_are_written_twice() -> None:
    spec = NETWORKS["tied"].spec.only(kinds=["permutation"])
    assert to_axes_to_perm(spec) == {"enc": ("h", None), "b": ("h",), "dec": ("h", None)}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (mlp().spec, "'h_scale' of kind scale"),
        (NETWORKS["group-norm"].spec, "'m' of kind permutation with copies over g"),
        (NETWORKS["conv-flatten"].spec.only(kinds=["permutation"]), "the axis '(c 16)' of 'out'"),
        (spec_of({"w": "h"}, Space("h", "permutation", 3), Space("g", "permutation", 3, on="h")), "two spaces"),
    ],
)
def test_what_the_table_cannot_express_is_named(spec: Spec, named: str) -> None:
    for write in (to_axes_to_perm, to_perm_to_axes):
        with pytest.raises(ConfigError) as error:
            write(spec)
        assert named in error.value.message


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({**TABLE, "w1": ("h",)}, "'w1' has the shape (8, 5) and 1 axes"),
        ({**TABLE, "x": ("h",)}, "'x' has no shape"),
        ({**TABLE, "w3": (None, "h")}, "axes of 8 and of 6 entries"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(table: dict[str, tuple[str | None, ...]], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_axes_to_perm(table, SHAPES)
    assert problem in error.value.message


@pytest.mark.parametrize("place", [("w1", 2), ("x", 0), ("w1", 0)])
def test_a_place_that_is_not_free_is_refused(place: tuple[str, int]) -> None:
    with pytest.raises(ConfigError, match="cannot move axis"):
        from_perm_to_axes({"h": [("w1", 0)], "k": [place]}, SHAPES)
