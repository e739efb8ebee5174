"""Hostile and damaged files are refused in three lines, run nothing, write nothing; their good twins load."""

from __future__ import annotations

import functools
import importlib
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import make_hostile as make
import numpy as np
import pytest
import torch
from refused import listing, refusal
from torch import nn

from symcheck.loading import load_subject

Maker = Callable[[Path, Path], Path]


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
    "operator that is a set's method": (lambda f, m: make.registry_call(f), True, "no torch operator"),
    "path to a builtin": (make.builtin_bomb, True, "__builtins__"),
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


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch._utils", "_rebuild_tensor.__builtins__.get"),
        ("torch._utils", "_rebuild_tensor.__class__"),
        ("torch.storage", "UntypedStorage.from_file"),
        ("torch.nn.functional", "warnings.warn"),
        ("torch.nn.modules.module", "torch.load"),
    ],
)
def test_no_path_through_an_allowed_object_reaches_another(module: str, name: str, tmp_path: Path) -> None:
    path = make.hand_made(tmp_path, make.named(module, name))
    assert f"'{module}.{name}', which no network needs" in refusal(
        lambda: load_subject(path, allow_program=True)
    )


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
    ("torch.load(path, weights_only=False)", make.builtin_bomb),
    ("torch.export.load(path)", make.sample_input_bomb),
    ("torch.export.load(path)", make.weight_bomb),
    ("torch.export.load(path)", make.constant_bomb),
    ("torch.export.load(path)", make.size_bomb),
    ("torch.export.load(path)", make.nested_size_bomb),
    ("torch.export.load(path).module()(torch.ones(3, 3))", make.guard_bomb),
    ("numpy.load(path, allow_pickle=True)['images']", make.object_array),
]


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


def test_the_makers_change_only_what_they_say(tmp_path: Path) -> None:
    """The edit of a graph is the reason for the refusal: the same edit with the same text loads."""
    symbol = make.symbol_in_graph(tmp_path)
    path = make.edited_graph(tmp_path, symbol, symbol)
    assert load_subject(path, allow_program=True).call(torch.ones(4, 3)).shape == (4, 4)
