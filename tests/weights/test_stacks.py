"""Permutations that move whole tensors: number i of a stack goes to number p(i)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from spec_networks import normal, spec_of

from symcheck.errors import ConfigError
from symcheck.weights.canonical import canonical
from symcheck.weights.fingerprint import differing, fingerprint
from symcheck.weights.rebasin import to_axes_to_perm
from symcheck.weights.spec import Space, Spec
from symcheck.weights.stream import apply_to_files, open_checkpoint

STATE = {f"e.{i}.w": x for i, x in enumerate(normal(1, **{str(i): (4, 5) for i in range(3)}).values())}
STATE |= normal(2, router=(3, 5))
AXES = {"router": "e .", "e.0.w": "h .", "e.1.w": "k .", "e.2.w": "z ."}
CYCLE = torch.tensor([1, 2, 0])


def spec(*others: Space) -> Spec:
    return spec_of(AXES, Space("e", "permutation", 3, stacks=("e.*.w",)), *others)


def test_whole_tensors_scatter() -> None:
    moved = spec().apply({"e": CYCLE}, STATE)
    assert all(torch.equal(moved[f"e.{int(CYCLE[i])}.w"], STATE[f"e.{i}.w"]) for i in range(3))
    assert torch.equal(moved["router"], STATE["router"][[2, 0, 1]])
    back = spec().apply({"e": CYCLE}, moved, inverse=True)
    assert all(torch.equal(back[name], x) for name, x in STATE.items())


def test_composition() -> None:
    """A left action: (1 2 0) after (1 0 2)."""
    swap = torch.tensor([1, 0, 2])
    apart = spec().apply({"e": CYCLE}, spec().apply({"e": swap}, STATE))
    together = spec().apply({"e": CYCLE[swap]}, STATE)
    assert all(torch.equal(apart[name], x) for name, x in together.items())
    assert not torch.equal(apart["e.0.w"], spec().apply({"e": swap[CYCLE]}, STATE)["e.0.w"])


def test_what_moves_has_been_acted_on_before() -> None:
    """Scales first, then permutations inside, then whole tensors; each on what stands there by then."""
    scale = Space("s", "scale", 4, on="h", exponents={"e.0.w": (1,)})
    inner = Space("k", "permutation", 4)
    whole = spec(scale, inner)
    element = whole.sample(3) | {"e": CYCLE}
    moved, apart = whole.apply(element, STATE), STATE
    for name in ("s", "k", "e"):
        apart = whole.apply({name: element[name]}, apart)
    assert all(torch.equal(moved[name], x) for name, x in apart.items())
    assert torch.equal(moved["e.1.w"], element["s"][:, None] * STATE["e.0.w"])
    assert torch.equal(moved["e.2.w"][element["k"]], STATE["e.1.w"])
    back = whole.apply(element, moved, inverse=True)
    assert all(torch.allclose(back[name], x, rtol=1e-14) for name, x in STATE.items())


def test_nothing_given_is_changed_or_shared() -> None:
    before = {name: x.clone() for name, x in STATE.items()}
    moved = spec().apply({"e": CYCLE}, STATE)
    for x in moved.values():
        x.zero_()
    assert all(torch.equal(STATE[name], x) for name, x in before.items())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float32, torch.int8], ids=str)
def test_dtypes_and_files(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: (8 * x).to(dtype) for name, x in STATE.items()}
    save_file(state, tmp_path / "a.safetensors")
    apply_to_files(spec(), {"e": CYCLE}, open_checkpoint(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    found, expected = load_file(tmp_path / "b.safetensors"), spec().apply({"e": CYCLE}, state)
    assert all(torch.equal(found[name].float(), x.float()) and x.dtype == dtype for name, x in expected.items())
    assert torch.equal(expected["e.1.w"].float(), state["e.0.w"].float())


def test_files_keep_stacks(tmp_path: Path) -> None:
    for suffix in ("toml", "json"):
        spec().save(tmp_path / f"s.{suffix}")
        assert Spec.load(tmp_path / f"s.{suffix}") == spec()


def test_all_of_a_stack_is_acted_on() -> None:
    shapes = {name: tuple(x.shape) for name, x in STATE.items()}
    assert replace(spec(), shapes=shapes).coverage.acted == sum(x.numel() for x in STATE.values())


def test_fingerprints_do_not_tell_the_numbers_of_a_stack() -> None:
    moved = spec().apply({"e": CYCLE}, STATE)
    assert differing(fingerprint(spec(), STATE), fingerprint(spec(), moved), 1e-16) == ""
    assert differing(fingerprint(spec(), STATE), fingerprint(spec(), {**moved, "router": STATE["router"] + 1}), 1e-16)


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ({"kind": "sign", "exponents": {}}, "moves whole tensors"),
        ({"over": ("h",)}, "moves whole tensors"),
        ({"stacks": ("e.w",)}, "has the stacks e.w"),
        ({"stacks": ("e.*.*.w",)}, "has the stacks"),
        ({"stacks": ("f.*.w",)}, "f.0.w"),
        ({"on": "h", "size": 4, "stacks": ("e.*.w",)}, "e.3.w"),
        ({"on": "h"}, "stands in a stack and has the atom 'h'"),
    ],
)
def test_stacks_that_cannot_be_meant(space: dict[str, object], problem: str) -> None:
    fields = {"kind": "permutation", "size": 3, "stacks": ("e.*.w",), "on": "e"} | space
    axes = AXES if fields["on"] == "e" or fields["size"] == 4 else {**AXES, "e.0.w": ". h"}
    with pytest.raises(ConfigError, match=problem.replace("*", r"\*")):
        spec_of(axes, Space("x", **fields))  # type: ignore[arg-type]


def test_the_canonical_form_does_not_tell_the_numbers_of_a_stack() -> None:
    whole = spec(*(Space(atom, "permutation", 4) for atom in "hkz"))
    moved = whole.apply(whole.sample(1) | {"e": CYCLE}, STATE)
    first, second = (canonical(whole, state)[0] for state in (STATE, moved))
    assert all(torch.equal(first[name], x) for name, x in second.items())


def test_tensors_of_a_stack_are_alike() -> None:
    with pytest.raises(ConfigError, match="differ in shape"):
        replace(spec(), shapes={"e.0.w": (4, 5), "e.1.w": (5, 4), "e.2.w": (4, 5)})


def test_tables_of_permutations_refuse_stacks() -> None:
    with pytest.raises(ConfigError, match="moves whole tensors"):
        to_axes_to_perm(spec())
