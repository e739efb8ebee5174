"""A spec is written and read back equal, every kind of space in both formats; what is not understood is refused."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from spec_networks import NETWORKS, spec_of

from symcheck.errors import ConfigError, SymcheckError
from symcheck.weights.spec import KINDS, Pinned, Space, Spec, Term
from symcheck.weights.spec_file import from_table, to_table
from symcheck.weights.toml_text import toml_text

SUFFIXES = (".toml", ".json")
ODD = 'a "quoted" name\\ with \x7f, é and \n'


def rich_spec() -> Spec:
    """Something in every field."""
    spec = spec_of(
        {"w": "h c", "b": "h", ODD: "(h c' + 3) .", "s": "", "n": "n", "leaf": "(2 l)"},
        Space("h", "permutation", 4, note="don't"),
        Space("c one", "general", 2, on="c", exponents={"w": (1,), ODD: (-1,)}, gains={"w": ({"b": -2},)}),
        Space("root", "scale", 4, on="h", exponents={"w": (Fraction(1, 2),), ODD: (Fraction(-1, 3),)}),
        Space("none", "scale", 4, on="h", exponents={}),
        Space("whole", "scale", 1, on=None, exponents={"s": (1,), "b": (-1,)}, approximate=True),
        Space("flip", "sign", 4, on="h", exponents={"w": (1,)}, terms=(Term("b", "h -> h", (), 0.1),)),
        Space("push", "shift", 8, shape=(4, 2), terms=(Term("b[0:4]", "h c, h c -> h", ("w^-1",)),)),
        Space("tree", "tree", 3, on="n", leaves="l"),
        Space("turn", "orthogonal", 4, on="h", exponents={"w": (1,)}, fixes="ones"),
        ties={"again": "w"},
        offsets={"b": 1e-5},
        shapes={"w": (4, 2), "s": ()},
        pinned=(Pinned("an unknown operator", ("s",), 1, "aten.foo"), Pinned("?", (), 0)),
        certificate={"spaces": {ODD: {"error": 1e-16, "control": None}}, "seeds": [0, 1], "it's": True},
        atoms={"x": 7},
    )
    planes = spec_of({"q": "(p k) ."}, Space("r", "rotation", 2, on="k", over=("p",)), atoms={"p": 3})
    return dataclasses.replace(spec, spaces={**spec.spaces, **planes.spaces}, axes={**spec.axes, **planes.axes})


SPECS = {**{name: network.spec for name, network in NETWORKS.items()}, "rich": rich_spec(), "empty": Spec({}, {})}


def test_every_kind_is_among_them() -> None:
    assert {space.kind for spec in SPECS.values() for space in spec.spaces.values()} == set(KINDS)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", SPECS)
def test_a_spec_reads_back_equal(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"spec{suffix}"
    SPECS[name].save(path)
    read = Spec.load(path)
    assert read == SPECS[name]
    assert [*read.spaces] == [*SPECS[name].spaces] and [*read.axes] == [*SPECS[name].axes]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_written_spec_is_short_and_by_lines(tmp_path: Path) -> None:
    text = toml_text(to_table(SPECS["gated-unit"]))
    assert 'f = { kind = "permutation", size = 7 }\n' in text
    assert 'f_scale = { kind = "scale", size = 7, on = "f", exponents = { up = [1], down = [-1] } }\n' in text
    assert 'down = ". f"\n' in text
    assert max(map(len, toml_text(to_table(SPECS["stream-rms"])).splitlines())) <= 120


def test_a_spec_by_hand_is_read() -> None:
    text = """
        schema = "symcheck.spec/1"
        [spaces]
        h = { kind = "permutation", size = 8 }
        half = { kind = "scale", on = "h", size = 8, exponents = { "fc1.weight" = ["1/2"], "fc2.weight" = ["-1/2"] } }
        whole = { kind = "scale", whole = true, exponents = { "fc1.weight" = [2] } }
        push = { kind = "shift", shape = [2, 3], terms = [{ to = "b", equation = "x y -> (x y)", factor = 2 }] }
        [axes]
        "fc1.weight" = "h ."
        "fc2.weight" = ". (h 4)"
        b = "."
    """
    spec = from_table(tomllib.loads(text))
    assert spec.spaces["half"].exponents == {"fc1.weight": (Fraction(1, 2),), "fc2.weight": (Fraction(-1, 2),)}
    assert spec.spaces["whole"].whole and spec.spaces["whole"].size == 1
    assert spec.spaces["push"].size == 6 and spec.spaces["push"].terms[0].factor == 2.0


HEAD: dict[str, Any] = {"schema": "symcheck.spec/1", "axes": {"w": "h ."}}
H = {"kind": "permutation", "size": 4}


@pytest.mark.parametrize(
    ("table", "where", "problem"),
    [
        ({}, "schema", "the schema is None"),
        ({**HEAD, "schema": "symcheck.spec/2"}, "schema", "'symcheck.spec/2'"),
        ({**HEAD, "space": {}}, "space", "unknown key 'space'"),
        ({**HEAD, "spaces": {"h": {**H, "sise": 4}}}, "spaces.h.sise", "unknown key 'sise'"),
        ({**HEAD, "spaces": {"h": {**H, "size": "4"}}}, "spaces.h.size", "must be a positive whole number"),
        ({**HEAD, "spaces": {"h": {**H, "size": True}}}, "spaces.h.size", "must be a positive whole number"),
        ({**HEAD, "spaces": {"h": {"kind": "permutation"}}}, "spaces.h", "has no size"),
        ({**HEAD, "spaces": {"h": {"size": 4}}}, "spaces.h", "has no kind"),
        ({**HEAD, "spaces": {"h": [1]}}, "spaces", "'spaces' must be a table of spaces"),
        ({**HEAD, "spaces": {"h": {**H, "kind": "perm"}}}, "space 'h'", "unknown kind 'perm'"),
        ({**HEAD, "spaces": {"h": {**H, "exponents": {"w": [0.5]}}}}, "spaces.h.exponents", "lists of whole numbers"),
        ({**HEAD, "spaces": {"h": {**H, "exponents": {"w": ["1/0"]}}}}, "spaces.h.exponents", "lists of whole"),
        ({**HEAD, "spaces": {"h": {**H, "terms": [{"to": "w"}]}}}, "spaces.h.terms[0]", "no equation"),
        ({**HEAD, "spaces": {"h": {**H, "terms": [{"too": "w"}]}}}, "spaces.h.terms[0].too", "unknown key"),
        ({**HEAD, "axes": {"w": "(h"}}, "axes.w, column 1", "lacks a closing"),
        ({**HEAD, "axes": {"w": 3}}, "axes", "patterns in quotes"),
        ({**HEAD, "offsets": {"w": float("inf")}}, "offsets", "tensors and numbers"),
        ({**HEAD, "shapes": {"w": [-1, 2]}}, "shapes", "lists of whole numbers"),
        ({**HEAD, "pinned": [{"tensors": ["w"]}]}, "pinned[0]", "no reason"),
        ({**HEAD, "pinned": [{"reason": "x", "tensor": "w"}]}, "pinned[0].tensor", "unknown key"),
        ({**HEAD, "certificate": 3}, "certificate", "must be a table"),
    ],
)
def test_what_is_not_understood_is_refused(table: dict[str, Any], where: str, problem: str) -> None:
    from_table({**HEAD, "spaces": {"h": H}})
    with pytest.raises(SymcheckError) as error:
        from_table(table)
    assert where in error.value.where and problem in error.value.message and error.value.hint


def test_a_misspelt_key_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError) as error:
        from_table({**HEAD, "spaces": {"h": {**H, "exponent": {}}}})
    assert "'exponents'" in error.value.hint


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.toml", "schema = ", "this is no TOML"),
        ("a.json", "{", "this is no JSON"),
        ("a.json", '{"schema": "symcheck.spec/1", "schema": "x"}', "'schema' stands twice"),
        ("a.json", '{"schema": "symcheck.spec/1", "offsets": {"b": NaN}}', "it holds NaN"),
        ("a.json", "[]", "the schema is None"),
        ("a.yaml", "", "'.yaml'"),
        ("a.toml", 'schema = "symcheck.spec/1"\n[certificate]\njson = "{"', "this is no TOML"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SymcheckError) as error:
        Spec.load(path)
    assert problem in error.value.message and str(path) in error.value.where


def test_a_missing_file_and_a_bad_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(SymcheckError, match="cannot be read"):
        Spec.load(tmp_path / "none.toml")
    with pytest.raises(SymcheckError, match="cannot be written"):
        SPECS["mlp"].save(tmp_path / "none" / "spec.toml")
    with pytest.raises(ConfigError, match="not kept as"):
        SPECS["mlp"].save(tmp_path / "spec.txt")


def test_a_certificate_must_be_plain() -> None:
    with pytest.raises(ValueError):
        Spec({}, {}, certificate={"error": float("nan")})


def test_json_holds_plain_tables(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    SPECS["rich"].save(path)
    assert json.loads(path.read_text()) == to_table(SPECS["rich"])
