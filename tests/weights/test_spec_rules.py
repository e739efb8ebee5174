"""What cannot be meant is refused where it is written; each rule is shown its fault and a healthy neighbour."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from spec_networks import NETWORKS, spec_of

from symcheck.errors import ConfigError
from symcheck.weights.spec import Pinned, Space, Spec, Term

TERMS = (Term("b", "h -> h"),)
HEALTHY: list[dict[str, Any]] = [
    {"kind": "permutation"},
    {"kind": "scale", "exponents": {"w": (1,), "v": (Fraction(-1, 2),)}},
    {"kind": "scale", "size": 1, "on": None, "exponents": {"w": (1,)}},
    {"kind": "sign", "terms": TERMS},
    {"kind": "orthogonal", "fixes": "ones", "gains": {"v": ({"b": -1},)}},
    {"kind": "general", "exponents": {"w": (1,), "v": (-1,)}},
    {"kind": "shift", "shape": (2, 2), "terms": TERMS},
    {"kind": "rotation", "size": 2, "on": "p", "over": ("q",)},
    {"kind": "tree", "size": 3, "on": "n", "leaves": "h"},
]
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "permutations"}, "unknown kind"),
    ({"kind": "permutation", "size": 0}, "size 0"),
    ({"kind": "permutation", "on": None}, "no atom"),
    ({"kind": "scale", "size": 1, "on": None}, "names none"),
    ({"kind": "scale", "on": None, "exponents": {"w": (1,)}}, "whole tensors and has size 4"),
    ({"kind": "permutation", "exponents": {"w": (1,)}}, "has exponents"),
    ({"kind": "scale", "gains": {"w": ({"b": 1},)}}, "has gains"),
    ({"kind": "scale", "terms": TERMS}, "1 terms"),
    ({"kind": "shift", "shape": (4,)}, "0 terms"),
    ({"kind": "shift", "shape": (3,), "terms": TERMS}, "shape (3,)"),
    ({"kind": "rotation"}, "rotation has size 4"),
    ({"kind": "general", "fixes": "ones"}, "fixes 'ones'"),
    ({"kind": "orthogonal", "fixes": "one"}, "fixes 'one'"),
    ({"kind": "scale", "shape": (4,)}, "has a shape"),
    ({"kind": "tree", "leaves": "h"}, "tree has size 4"),
    ({"kind": "tree", "size": 3, "on": "n"}, "leaves ''"),
    ({"kind": "permutation", "leaves": "h"}, "leaves 'h'"),
    ({"kind": "sign", "exponents": {"w": (Fraction(1, 2),)}}, "fractional"),
    ({"kind": "general", "exponents": {"w": (2,)}}, "other than"),
    ({"kind": "permutation", "over": ("h",)}, "is over h"),
    ({"kind": "permutation", "over": ("q", "q")}, "is over q, q"),
    ({"kind": "permutation", "on": "hh"}, "no tensor has an axis 'hh'"),
    ({"kind": "permutation", "over": ("q",)}, "'w' has the atom 'h' and lacks 'q'"),
    ({"kind": "scale", "exponents": {"u": (1,)}}, "no tensor 'u'"),
    ({"kind": "scale", "exponents": {"w": (1, 1)}}, "'w' has 2 exponents where the atom 'h' stands 1 times"),
    ({"kind": "general", "gains": {"w": ()}}, "'w' has 0 gains"),
    ({"kind": "general", "gains": {"w": ({"u": 1},)}}, "no tensor 'u'"),
    ({"kind": "sign", "terms": (Term("u", "h -> h"),)}, "no tensor 'u'"),
    ({"kind": "sign", "terms": (Term("b", "h, h -> h"),)}, "2 inputs for 0 operands"),
    ({"kind": "sign", "terms": (Term("b^2", "h -> h"),)}, "adds to 'b^2'"),
    ({"kind": "sign", "terms": (Term("b", "h"),)}, "no '->'"),
    ({"kind": "sign", "terms": (Term("b", "(h + 1) -> h"),)}, "it holds '(h + 1)'"),
    ({"kind": "sign", "terms": (Term("b", "h, o h -> o", ("v[1:2",)),)}, "'v[1:2' refers to no tensor"),
]


def build(**given: Any) -> Spec:
    axes = {"w": "h .", "b": "h", "v": ". h", "r": "(p q)", "t": "n"}
    return spec_of(axes, Space("h", **{"size": 4, **given}), atoms={"q": 3})


@pytest.mark.parametrize("given", HEALTHY, ids=lambda given: given["kind"])
def test_a_healthy_space_is_taken(given: dict[str, Any]) -> None:
    assert build(**given).spaces["h"].kind == given["kind"]


@pytest.mark.parametrize(("given", "problem"), FAULTS, ids=[problem for _, problem in FAULTS])
def test_a_planted_fault_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(**given)
    assert problem in error.value.message and error.value.hint


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"ties": {"u": "x"}}, "no tensor 'x'"),
        ({"ties": {"b": "w"}}, "has a pattern or a tie of its own"),
        ({"offsets": {"x": 0.1}}, "no tensor 'x'"),
        ({"offsets": {"b": float("nan")}}, "offset nan"),
        ({"shapes": {"x": (1,)}}, "no tensor 'x'"),
        ({"shapes": {"w": (4,)}}, "1 axes and a pattern of 2"),
        ({"shapes": {"w": (5, 2)}}, "axis 0 has 5 entries, with h = 4"),
        ({"shapes": {"w": (4, 2), "b": (4,), "v": (2, 3)}}, "'v' of shape (2, 3) is no '. h'"),
        ({"pinned": (Pinned("why", ("x",), 3),)}, "no tensor 'x'"),
        ({"atoms": {"h": 5}}, "the sizes 5 and 4"),
    ],
)
def test_a_fault_in_the_spec_is_named(parts: dict[str, Any], problem: str) -> None:
    axes, space = {"w": "h .", "b": "h", "v": ". h"}, Space("h", "permutation", 4)
    assert spec_of(axes, space, ties={"u": "w"}, offsets={"b": 0.1}, shapes={"w": (4, 2)}, atoms={"h": 4})
    with pytest.raises(ConfigError) as error:
        spec_of(axes, space, **parts)
    assert problem in error.value.message


def test_two_spaces_that_disagree_about_a_size_are_named() -> None:
    with pytest.raises(ConfigError, match="the atom 'h' has the sizes 4 and 5"):
        spec_of({"w": "h ."}, Space("h", "permutation", 4), Space("s", "sign", 5, on="h"))


def test_only_and_without_choose_spaces_and_keep_sizes() -> None:
    spec = NETWORKS["grouped-queries"].spec
    assert [*spec.only(kinds=["general"]).spaces] == ["qk", "vo"]
    assert spec.only(kinds=["general"]).sizes == spec.sizes  # kv and g have no space any more
    assert [*spec.without(["kv", "key", "value"]).spaces] == ["g", "qk", "vo"]
    with pytest.raises(ConfigError, match="there is no space 'kw'") as error:
        spec.only(spaces=["kw"])
    assert "kv" in error.value.hint
    with pytest.raises(ConfigError, match="there is no space 'kw'"):
        spec.without(["kw"])
