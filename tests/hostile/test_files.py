"""Hostile and damaged files are refused in three lines, run nothing, write nothing; their good twins load."""

from __future__ import annotations

import functools
import importlib
import operator
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import make_hostile as make
import numpy as np
import pytest
import torch
from torch import nn

from symcheck.errors import SymcheckError
from symcheck.loading import load_inputs, load_subject

Maker = Callable[[Path, Path], Path]


def refusal(action: Callable[[], Any]) -> str:
    """The text of the error, which must say what, where and what to do."""
    with pytest.raises(SymcheckError) as caught:
        action()
    error = caught.value
    assert error.message and error.where and error.hint
    assert [line.split(":")[0] for line in str(error).splitlines()[1:]] == ["where", "hint"]
    return str(error)


def listing(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_size for p in folder.rglob("*") if "__pycache__" not in p.parts}


# name -> (maker, does it need --allow-program to get as far as it can, a word of the error)
SUBJECTS: dict[str, tuple[Maker, bool, str]] = {
    "state dict with a bomb": (
        lambda f, m: make.saved(f, {**make.state_dict(), "x": make.Bomb(m)}),
        False,
        "system",
    ),
    "the same, programs allowed": (lambda f, m: make.saved(f, {"x": make.Bomb(m)}), True, "system"),
    "legacy file with a bomb": (
        lambda f, m: make.saved(f, {"x": make.Bomb(m)}, legacy=True),
        False,
        "system",
    ),
    "legacy, programs allowed": (
        lambda f, m: make.saved(f, {"x": make.Bomb(m)}, legacy=True),
        True,
        "system",
    ),
    "whole module with a bomb": (lambda f, m: make.saved(f, planted_module(m)), False, "system"),
    "module, programs allowed": (lambda f, m: make.saved(f, planted_module(m)), True, "system"),
    "sample inputs of a .pt2": (make.sample_input_bomb, True, "sample_inputs"),
    "pickled weight of a .pt2": (make.weight_bomb, True, "weight_0"),
    "opaque constant of a .pt2": (make.constant_bomb, True, "opaque_obj_0"),
    "size of a .pt2 that is code": (make.size_bomb, True, "more than arithmetic"),
    "text in a size of a .pt2": (make.nested_size_bomb, True, "more than arithmetic"),
    "guard of a .pt2 that is code": (make.guard_bomb, True, "more than arithmetic"),
    "operator that is no operator": (lambda f, m: make.operator_bomb(f), True, "no torch operator"),
    "operator that loads a library": (lambda f, m: make.library_bomb(f), True, "no torch operator"),
    "native code in a .pt2": (lambda f, m: make.native_code(f), True, "native code"),
    "member twice in a .pt2": (make.member_twice, True, "twice"),
    ".pt2 of the old layout": (make.old_layout, True, "root folder"),
}


def planted_module(marker: Path) -> nn.Module:
    module = nn.Linear(3, 4)
    module.extra = make.Bomb(marker)
    return module


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_hostile_checkpoint_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    maker, allowed, word = SUBJECTS[name]
    marker = tmp_path / "marker"
    path = maker(tmp_path, marker)
    model = make.network(tmp_path) if path.suffix == ".pt" and not allowed else None
    before = listing(tmp_path)
    text = refusal(lambda: load_subject(path, model=model, allow_program=allowed))
    assert word in text
    assert not marker.exists()
    assert listing(tmp_path) == before


def test_a_path_through_an_allowed_function_reaches_no_builtin(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = hand_made(tmp_path, marker)
    assert "__builtins__" in refusal(lambda: load_subject(path, allow_program=True))
    assert not marker.exists()


CALLS = {
    "os.system": (os.system, "true"),
    "subprocess.Popen": (subprocess.Popen, ["true"]),
    "builtins.eval": (eval, "1"),
    "builtins.exec": (exec, "1"),
    "builtins.__import__": (__import__, "os"),
    "importlib.import_module": (importlib.import_module, "os"),
    "operator.attrgetter": (operator.attrgetter, "a"),
    "builtins.open": (open, "/dev/null"),
    "getattr of a class": (getattr, nn.Module, "apply"),
    "getattr of a file operator": (getattr, torch._C._VariableFunctionsClass, "from_file"),
    "torch.load": (torch.load, "x"),
    "torch.hub.load": (torch.hub.load, "a/b", "c"),
    "torch.storage._load_from_bytes": (torch.storage._load_from_bytes, b""),
    "torch.fx graph of code": (torch.fx.graph_module.reduce_graph_module, {}, ""),
    "partial of a command": (functools.partial, os.system, "true"),
    "numpy.load": (np.load, "x"),
    "a third package": (pytest.main, []),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_that_may_run_commands_is_unpickled_even_with_the_users_word(
    name: str, tmp_path: Path
) -> None:
    path = make.saved(tmp_path, {"x": make.Call(*CALLS[name])})
    assert "no network needs" in refusal(lambda: load_subject(path, allow_program=True))


def test_a_program_needs_the_users_word(tmp_path: Path) -> None:
    script = tmp_path / "script.pt"
    torch.jit.script(nn.Linear(3, 4)).save(str(script))
    module = make.saved(tmp_path, nn.Linear(3, 4))
    for path in (make.exported(tmp_path), script, module):
        assert "--allow-program" in refusal(lambda path=path: load_subject(path))


def test_the_good_twins_load(tmp_path: Path) -> None:
    model = make.network(tmp_path)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    weights = make.state_dict()
    expected = x @ weights["weight"].T + weights["bias"]
    for legacy in (False, True):
        subject = load_subject(make.saved(tmp_path, weights, legacy=legacy), model=model)
        assert torch.allclose(subject.call(x), expected)
        module = nn.Linear(3, 4)
        subject = load_subject(make.saved(tmp_path, module, legacy=legacy), allow_program=True)
        assert torch.equal(subject.call(x), module(x))
    subject = load_subject(make.rewritten(make.exported(tmp_path)), allow_program=True)
    assert subject.call(x).shape == (5, 4)


BITING: list[tuple[str, Maker]] = [
    ("torch.load(path, weights_only=False)", lambda f, m: make.saved(f, planted_module(m))),
    ("torch.load(path, weights_only=False)", lambda f, m: hand_made(f, m)),
    ("torch.export.load(path)", make.sample_input_bomb),
    ("torch.export.load(path)", make.weight_bomb),
    ("torch.export.load(path)", make.constant_bomb),
    ("torch.export.load(path)", make.size_bomb),
    ("torch.export.load(path)", make.nested_size_bomb),
    ("torch.export.load(path).module()(torch.ones(3, 3))", make.guard_bomb),
    ("numpy.load(path, allow_pickle=True)['images']", make.object_array),
]


def hand_made(folder: Path, marker: Path) -> Path:
    content = make.BuiltinBomb(marker).pickled()
    return make.rewritten(make.saved(folder, {"x": 1}), lambda n, data: content if n == "data.pkl" else data)


def test_the_plain_loaders_run_what_is_planted(tmp_path: Path) -> None:
    """The files above bite: one process loads each of them the plain way, and every marker appears."""
    lines = ["import numpy, torch, contextlib"]
    markers = {}
    for i, (call, maker) in enumerate(BITING):
        folder = tmp_path / str(i)
        folder.mkdir()
        markers[f"{i} {call}"] = folder / "marker"
        path = maker(folder, folder / "marker")
        lines.append(f"path = {str(path)!r}\nwith contextlib.suppress(Exception):\n    {call}")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(lines)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert {name for name, marker in markers.items() if not marker.exists()} == set(), done.stderr


def lying(change: Callable[[dict[str, Any]], None]) -> Maker:
    def maker(folder: Path, marker: Path) -> Path:
        header = make.good_header()
        change(header)
        return make.safetensors(folder, header, bytes(64))

    return maker


def raw(content: bytes) -> Maker:
    def maker(folder: Path, marker: Path) -> Path:
        path = folder / "file.bin"
        path.write_bytes(content)
        return path

    return maker


def truncated(maker: Maker, keep: float) -> Maker:
    def cut(folder: Path, marker: Path) -> Path:
        path = maker(folder, marker)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
        return path

    return cut


GOOD = lying(lambda header: None)
DAMAGED: dict[str, tuple[Maker, str]] = {
    "truncated safetensors": (truncated(GOOD, 0.9), "damaged"),
    "safetensors cut in its header": (truncated(GOOD, 0.2), "truncated"),
    "header of 2^63 bytes": (
        lambda f, m: make.safetensors(f, make.good_header(), bytes(64), length=2**63),
        "claims",
    ),
    "header one byte too long": (lambda f, m: make.safetensors(f, {}, b"", length=3), "claims"),
    "shape against offsets": (lying(lambda h: h["weight"].update(shape=[4, 4])), "damaged"),
    "overlapping offsets": (lying(lambda h: h["bias"].update(data_offsets=[32, 48])), "damaged"),
    "offsets past the end": (lying(lambda h: h["bias"].update(data_offsets=[48, 640])), "damaged"),
    "negative shape": (lying(lambda h: h["bias"].update(shape=[-4])), "damaged"),
    "overflowing shape": (lying(lambda h: h["bias"].update(shape=[2**62, 2**62])), "damaged"),
    "unknown dtype": (lying(lambda h: h["bias"].update(dtype="F13")), "damaged"),
    "wrong magic": (raw(b"\x89PNG\r\n\x1a\n" + bytes(100)), "no known format"),
    "text": (raw(b'{"weights": {"a": 1}}'), "no known format"),
    "git-lfs pointer": (raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "git lfs pull"),
    "empty file": (raw(b""), "empty"),
    "onnx": (raw(b"\x08\x07\x12\x07pytorch\x1a\x05"), "ONNX"),
    "zip without a directory": (raw(b"PK\x03\x04" + bytes(60)), "damaged"),
    "truncated .pt": (truncated(lambda f, m: make.saved(f, make.state_dict()), 0.7), "damaged"),
    "truncated legacy .pt": (
        truncated(lambda f, m: make.saved(f, make.state_dict(), legacy=True), 0.7),
        "truncated",
    ),
    "truncated .pt2": (truncated(lambda f, m: make.exported(f), 0.7), "damaged"),
    "pickle of nothing": (raw(b"\x80\x04."), "read as tensors"),
    "a tensor alone": (lambda f, m: make.saved(f, torch.ones(3)), "not a state dict"),
    "no file": (lambda f, m: f / "none.pt", "no such file"),
    "a directory": (lambda f, m: f, "directory"),
    "a device": (lambda f, m: Path(os.devnull), "no regular file"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_an_error_of_three_lines(name: str, tmp_path: Path) -> None:
    maker, word = DAMAGED[name]
    model = make.network(tmp_path)
    path = maker(tmp_path, tmp_path / "marker")
    before = listing(tmp_path)
    text = refusal(
        lambda: load_subject(path, model=None if path.suffix == ".pt2" else model, allow_program=True)
    )
    assert word in text
    assert str(path) in text
    assert listing(tmp_path) == before


def test_the_good_safetensors_loads(tmp_path: Path) -> None:
    path = GOOD(tmp_path, tmp_path / "marker")
    subject = load_subject(path, model=make.network(tmp_path))
    assert torch.equal(subject.call(torch.ones(2, 3)), torch.zeros(2, 4))


def test_a_million_keys_are_refused_quickly_and_shortly(tmp_path: Path) -> None:
    path = make.million_keys(tmp_path)
    start = time.process_time()  # not the wall clock, which other processes stretch
    text = refusal(lambda: load_subject(path, model=make.network(tmp_path)))
    assert time.process_time() - start < 10
    assert "1000000 unexpected: k000000" in text and "and 999990 more" in text
    assert len(text) < 1000


def test_a_header_above_the_limit_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    with path.open("wb") as file:  # a sparse file: it takes no room on the disk
        file.write((150_000_000).to_bytes(8, "little") + b"{")
        file.truncate(200_000_000)
    assert "100,000,000" in refusal(lambda: load_subject(path, model=make.network(tmp_path)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = make.saved(tmp_path, make.state_dict())
    path.chmod(0)
    assert "permissions" in refusal(lambda: load_subject(path, model=make.network(tmp_path)))


INPUTS: dict[str, tuple[Maker, str]] = {
    "object array with a bomb": (make.object_array, "pickled objects"),
    "tensors with a bomb": (lambda f, m: make.saved(f, {"x": make.Bomb(m)}), "system"),
    "NaN alone": (lambda f, m: make.array_file(f, images=np.full((4, 3), np.nan, np.float32)), "12 of 12"),
    "one infinity": (lambda f, m: make.array_file(f, images=np.array([[1.0, np.inf]])), "1 of 2"),
    "no samples": (lambda f, m: make.array_file(f, images=np.zeros((0, 3))), "empty"),
    "a number": (lambda f, m: make.array_file(f, images=np.float64(3)), "no sample axis"),
    "words": (lambda f, m: make.array_file(f, images=np.array(["a", "b"])), "not a numeric array"),
    "no arrays": (lambda f, m: make.array_file(f), "no arrays"),
    "swollen archive": (lambda f, m: make.swollen_archive(f), "expands to"),
    "boastful archive": (lambda f, m: make.boastful_archive(f), "expands to"),
    "a trillion numbers": (lambda f, m: make.lying_array(f), "damaged"),
    "truncated archive": (truncated(lambda f, m: make.array_file(f, images=np.ones((9, 9))), 0.6), "damaged"),
    "a network": (lambda f, m: make.exported(f), "no arrays"),
    "no file": (lambda f, m: f / "none.npz", "no such file"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_hostile_inputs_are_refused(name: str, tmp_path: Path) -> None:
    maker, word = INPUTS[name]
    marker = tmp_path / "marker"
    path = maker(tmp_path, marker)
    before = listing(tmp_path)
    start = time.process_time()
    text = refusal(lambda: load_inputs(str(path), samples=4, seed=0))
    assert word in text
    assert time.process_time() - start < 5
    assert not marker.exists()
    assert listing(tmp_path) == before


def test_the_good_arrays_load(tmp_path: Path) -> None:
    path = make.array_file(tmp_path, images=np.arange(12.0).reshape(4, 3))
    assert torch.equal(
        load_inputs(str(path), samples=3, seed=0)["images"], torch.arange(9.0).double().reshape(3, 3)
    )


def test_the_makers_change_only_what_they_say(tmp_path: Path) -> None:
    """The edit of a graph is the reason for the refusal: the same edit with the same text loads."""
    symbol = make.symbol_in_graph(tmp_path)
    path = make.edited_graph(tmp_path, symbol, symbol)
    assert load_subject(path, allow_program=True).call(torch.ones(4, 3)).shape == (4, 4)
