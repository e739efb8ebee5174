"""Tensors on disk: the same element as in memory, within the room that is given, and every fault said at once."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from decoders import Pair, pair, write
from safetensors.torch import load_file, save_file
from torch import Tensor

from symcheck.align import certainty, starts, streamed
from symcheck.align.alignment import align
from symcheck.align.certainty import searched
from symcheck.align.lazy import Lazy
from symcheck.align.products import Products
from symcheck.align.starts import random_start
from symcheck.align.streamed import Stage, Streamed, align_files, problem_on_disk
from symcheck.errors import LoadError
from symcheck.weights.element import inverse
from symcheck.weights.spec import Space
from symcheck.weights.stream import INDEX, open_checkpoint

TURNS = ("general", "rotation", "orthogonal")


def run(folder: Path, given: Pair, **options: object) -> Streamed:
    found = [open_checkpoint(write(x, folder / name)) for name, x in (("a", given.a), ("b", given.b))]
    return align_files(*found, given.spec, **options)  # type: ignore[arg-type]


def same(given: Pair, one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    assert one.keys() == two.keys()
    pairs = [(given.spec.spaces[name].kind, part, two[name]) for name, part in one.items()]
    return all(torch.equal(x, y) if k not in TURNS else torch.allclose(x, y, atol=1e-5) for k, x, y in pairs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("rotary", [True, False])
def test_it_is_what_is_found_in_memory(tmp_path: Path, rotary: bool, dtype: torch.dtype) -> None:
    given = pair(rotary=rotary)
    a, b = (open_checkpoint(write(x, tmp_path / name, dtype)) for name, x in (("a", given.a), ("b", given.b)))
    found = align_files(a, b, given.spec).alignment
    states = [{n: x.to(dtype).float() for n, x in state.items()} for state in (given.a, given.b)]
    expected = align(*states, given.spec, gauges=(), controls=False, starts=("signature",))
    assert same(given, found.steps[0], expected.steps[0])
    assert found.cosine == pytest.approx(expected.cosine, abs=1e-6)
    assert found.cosine[0] < 0.1 < 0.99 < found.cosine[1]
    assert torch.equal(found.steps[0]["h0"], inverse(given.spec.spaces["h0"], given.element["h0"]))


def test_another_element_is_not_the_same(tmp_path: Path) -> None:
    given = pair()
    found = run(tmp_path, given).alignment.steps[0]
    for name in ("res", "g1", "e0", "c1"):
        part = found[name]
        worse = part.roll(1, -1) if given.spec.spaces[name].kind == "permutation" else part + 0.01
        assert not same(given, {**found, name: worse}, found)


def test_spaces_are_told_with_their_cosines(tmp_path: Path) -> None:
    given = pair()
    told: list[Stage] = []
    found = run(tmp_path, given, tell=told.append).alignment
    assert [one.space for one in found.matched] == ["res", "h0", "kv0", "h1", "kv1", "g0", "g1"]
    assert all(one.before < 0.3 and one.after > 0.99 for one in found.matched)
    assert {one.space: one.moved for one in found.matched}["res"] == int(
        (given.element["res"] != torch.arange(24)).sum()
    )
    assert set(found.left.values()) == {"no gauge is fixed while tensors stay on disk"}
    words = [stage.words for stage in told]
    assert words.index("start: res") < words.index("start: h1") < words.index("matching: res")
    assert (told[-1].share, told[-1].left) == (1.0, 0.0)
    assert all(stage.left is not None and stage.left >= 0 for stage in told)


def test_matrices_in_a_basis_of_gains_are_left_alone(tmp_path: Path) -> None:
    given = pair()
    reads = {"head": ({"norm": -1},)}
    reads |= {f"layers.{i}.{n}": ({f"layers.{i}.norm1": -1},) for i in (0, 1) for n in "qkv"}
    reads |= {f"layers.{i}.{n}": ({f"layers.{i}.norm2": -1},) for i in (0, 1) for n in ("up", "gate")}
    writes = ["embed", *(f"layers.{i}.{n}" for i in (0, 1) for n in ("o", "down"))]
    turn = Space("turn", "orthogonal", 24, on="res", exponents=dict.fromkeys((*writes, *reads), (1,)), gains=reads)
    spec = replace(given.spec, spaces={**given.spec.spaces, "turn": turn})
    found = run(tmp_path, replace(given, spec=spec)).alignment
    assert found.left["turn"] == "acts in a basis of gains, which are not folded while tensors stay on disk"
    assert found.steps[0]["res"].tolist() == given.element["res"].argsort().tolist()
    assert "turn" not in found.steps[0]


def test_what_is_closer_as_it_is_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pair()
    near = Pair(given.spec, given.a, {n: x + 0.05 * torch.randn_like(x) for n, x in given.a.items()}, {})

    def astray(problem: streamed.Problem, *_: object) -> list[str]:
        random_start(problem, 0)
        return []

    monkeypatch.setattr(streamed, "signature_start", astray)
    found = run(tmp_path, near, sweeps=0).alignment
    assert found.cosine[0] == found.cosine[1] > 0.9
    assert all(torch.equal(p, torch.arange(p.shape[-1]).expand(p.shape)) for p in found.steps[0].values())
    assert not any(one.moved for one in found.matched)


# --- what is kept of what is read --------------------------------------------------------------------------------


def test_it_reads_what_the_element_made_of_it(tmp_path: Path) -> None:
    given = pair()
    b = open_checkpoint(write(given.b, tmp_path / "b"))
    element: dict[str, Tensor] = {}
    lazy = Lazy(given.spec, b, torch.float32, element)
    assert torch.equal(lazy["layers.0.o"], given.b["layers.0.o"])
    element["e0"] = given.element["e0"]
    expected = given.spec.apply({"e0": given.element["e0"]}, given.b)
    assert all(torch.allclose(lazy[name], expected[name]) for name in lazy)
    assert not torch.allclose(lazy["layers.0.o"], given.b["layers.0.o"])
    assert lazy.reads["layers.0.o"] == 2 and lazy.reads["layers.0.q"] == 1
    element.clear()
    assert torch.equal(lazy["layers.0.o"], given.b["layers.0.o"])


def test_memory_holds_what_there_is_room_for(tmp_path: Path) -> None:
    given = pair()
    a = open_checkpoint(write(given.a, tmp_path / "a"))
    lazy = Lazy(given.spec, a, torch.float32, room=3 * 40 * 24 * 4)
    for name in ("layers.0.up", "layers.0.gate", "layers.0.down", "layers.0.up", "layers.1.up", "layers.0.gate"):
        assert torch.equal(lazy[name], given.a[name])
    assert lazy.reads == {"layers.0.up": 1, "layers.0.gate": 2, "layers.0.down": 1, "layers.1.up": 1}
    assert torch.equal(lazy["embed"], given.a["embed"]) and torch.equal(lazy["embed"], given.a["embed"])
    assert lazy.reads["embed"] == 1
    assert torch.equal(lazy["layers.1.up"], given.a["layers.1.up"])
    assert lazy.reads["layers.1.up"] == 2  # the embedding fills the room


@pytest.mark.parametrize("room", [0, 2**30])
def test_little_room_finds_the_same_by_reading_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    given = pair()
    (tmp_path / "enough").mkdir()
    expected = run(tmp_path / "enough", given)
    for module, name, value in ((certainty, "WORTH", 1), (starts, "WORTH", 1), (certainty, "_HELD", 0)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(certainty, "_AT_ONCE", 64)
    monkeypatch.setattr(Lazy.__init__, "__defaults__", (None, room))
    found = run(tmp_path, given)
    assert same(given, found.alignment.steps[0], expected.alignment.steps[0])
    assert found.reads[0] > 2 * expected.reads[0] if room == 0 else found.reads == expected.reads


def test_certain_sources_are_those_of_all_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pair()
    a, b = (open_checkpoint(write(x, tmp_path / name)) for name, x in (("a", given.a), ("b", given.b)))
    problem = problem_on_disk(given.spec, a, b)
    space = given.spec.spaces["h0"]
    monkeypatch.setattr(certainty, "_FIRST", 16)
    problem.source["res"] = given.element["res"]  # unit i of A has become unit p(i) of B
    for held in (0, 2**26):
        monkeypatch.setattr(certainty, "_HELD", held)
        total, source = searched(Products(problem, 0), space, problem.uses(space))
        whole = Products(problem, 0).gains(space)[frozenset()]
        assert source is not None and torch.equal(source, whole.argmax(1))
        assert total is not None and not torch.allclose(total, whole, atol=1e-3)  # and not all columns were needed
    problem.source["res"] = torch.arange(24)  # nothing fits any more
    assert searched(Products(problem, 0), space, problem.uses(space))[1] is None


# --- faults ------------------------------------------------------------------------------------------------------


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write(pair().a, tmp_path / "a")
    (tmp_path / "a" / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(LoadError, match="model-00002-of-00003"):
        open_checkpoint(tmp_path / "a")


def test_a_truncated_shard_is_found_at_once(tmp_path: Path) -> None:
    path = write(pair().a, tmp_path / "a") / "model-00001-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LoadError, match="cannot be read as safetensors") as error:
        open_checkpoint(tmp_path / "a")
    assert error.value.where == str(path)


def test_a_shard_that_shrinks_meanwhile_is_found(tmp_path: Path) -> None:
    given = pair()
    a, b = (open_checkpoint(write(x, tmp_path / name)) for name, x in (("a", given.a), ("b", given.b)))
    path = tmp_path / "b" / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LoadError, match="ends within"):
        align_files(a, b, given.spec)


def test_another_shape_and_another_name_are_listed(tmp_path: Path) -> None:
    given = pair()
    other = {**given.b, "layers.1.up": torch.randn(41, 24), "extra": torch.zeros(1)}
    with pytest.raises(LoadError, match="2 tensors differ") as error:
        run(tmp_path, Pair(given.spec, given.a, other, {}))
    assert "'layers.1.up' is (40, 24) in A and (41, 24) in B" in error.value.where
    assert "'extra' is only in B" in error.value.where


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    given = pair()
    given.b["layers.1.gate"][3, 4] = value
    with pytest.raises(LoadError, match="NaN or infinity") as error:
        run(tmp_path, given)
    assert "layers.1.gate" in error.value.where


def test_shards_need_not_be_cut_alike_and_ties_are_followed(tmp_path: Path) -> None:
    given = pair()
    write(given.a, tmp_path / "a", shards=5)
    save_file({n: x.contiguous() for n, x in given.b.items()}, tmp_path / "b.safetensors")
    a, b = open_checkpoint(tmp_path / "a" / INDEX), open_checkpoint(tmp_path / "b.safetensors")
    expected = align_files(a, b, given.spec).alignment.steps[0]
    names = {name: f"model.{name}" for name in given.a}
    spec = type(given.spec)(given.spec.spaces, given.spec.axes, ties={new: old for old, new in names.items()})
    for k, path in enumerate([*sorted((tmp_path / "a").glob("*.safetensors")), tmp_path / "b.safetensors"]):
        save_file({names[n]: x for n, x in load_file(path).items()}, tmp_path / f"{k}.safetensors")
    state = {n: x for k in range(5) for n, x in load_file(tmp_path / f"{k}.safetensors").items()}
    a = open_checkpoint(write(state, tmp_path / "renamed"))
    found = align_files(a, open_checkpoint(tmp_path / "5.safetensors"), spec).alignment.steps[0]
    assert same(given, found, expected)
