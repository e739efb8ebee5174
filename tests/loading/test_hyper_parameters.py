"""Hyper-parameters in a checkpoint against those that the network was built with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from symcheck.cli.values import pairs
from symcheck.errors import LoadError
from symcheck.loading import load_subject
from symcheck.loading.lightning import as_options, contradictions

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width, turns=4, act="relu", **more):
        super().__init__()
        self.turns, self.net = turns, nn.Linear(3, width)

    def forward(self, x):
        return self.turns * self.net(x)

built = Net(5)
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(MODEL)
    return f"{tmp_path / 'nets.py'}:Net"


def saved(folder: Path, **values: Any) -> Path:
    state = {"net.weight": torch.randn(5, 3), "net.bias": torch.randn(5)}
    torch.save({"state_dict": state, "hyper_parameters": values}, folder / "a.ckpt")
    return folder / "a.ckpt"


def contradicted(notes: tuple[str, ...]) -> list[str]:
    return [note for note in notes if "was trained with" in note]


def test_a_default_that_the_file_contradicts_is_told(model: str, tmp_path: Path) -> None:
    path = saved(tmp_path, width=5, turns=1, lr=0.1)
    assert contradicted(load_subject(path, model=model, arguments={"width": 5}).notes) == [
        "the file was trained with turns=1, but the network was built with turns=4: add -m turns=1 if that is wrong"
    ]
    assert not contradicted(load_subject(path, model=model, arguments={"width": 5, "turns": 1}).notes)


def test_an_argument_that_the_file_contradicts_is_told_too(model: str, tmp_path: Path) -> None:
    path = saved(tmp_path, width=5, turns=1, act="tanh", dropout=0.5)
    (note,) = contradicted(load_subject(path, model=model, arguments={"width": 5, "turns": 2, "dropout": 0.1}).notes)
    assert "trained with turns=1 and act='tanh' and dropout=0.5, but" in note
    built, _, hint = note.partition("built with ")[2].partition(": ")
    assert built == "turns=2 and act='relu' and dropout=0.1"
    assert hint == "say -m turns=1 -m act=tanh -m dropout=0.5 if that is wrong"


def test_a_network_that_was_built_already_says_nothing_of_its_arguments(model: str, tmp_path: Path) -> None:
    path = saved(tmp_path, width=5, turns=1)
    assert not contradicted(load_subject(path, model=model.replace(":Net", ":built")).notes)


def test_a_missing_argument_is_offered_with_the_value_of_the_file(model: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="missing a required argument: 'width'") as caught:
        load_subject(saved(tmp_path, width=5, turns=1), model=model)
    assert caught.value.hint.startswith("add -m width=5 (from the file's hyper-parameters); it is called as")
    with pytest.raises(LoadError, match="missing a required argument: 'width'") as caught:
        load_subject(saved(tmp_path, turns=1), model=model)
    assert caught.value.hint.startswith("it is called as")


SAME = [
    (4, 4.0), ((1, 2), [1, 2]), (np.float64(0.5), 0.5), (torch.tensor(3), 3), (float("nan"), float("nan")),
    ("a", "a"), (None, None),
]  # fmt: skip
OTHER = [
    (4, 5), ([1, 2], [1]), (np.int64(2), 3), (torch.tensor(3.0), 4), (None, 3), ("a", "b"), (1, "1"), (True, False),
]  # fmt: skip
FOREIGN = [({"a": 1}, {"a": 2}), (torch.ones(3), 1), ([object()], [1]), (object(), 2), (np.ones(2), [1, 2])]


@pytest.mark.parametrize(("file", "own", "told"), [
    *((*two, False) for two in SAME), *((*two, True) for two in OTHER), *((*two, False) for two in FOREIGN),
])  # fmt: skip
def test_plain_values_are_compared_and_nothing_else(file: object, own: object, told: bool) -> None:
    def factory(value: object = own) -> None: ...

    assert bool(contradictions(factory, {}, {"value": file, "other": 1})) is told
    assert bool(contradictions(factory, {"value": file}, {"value": own})) is told


def test_none_cannot_be_written_and_is_told_all_the_same() -> None:
    def factory(hidden: int | None = 3) -> None: ...

    note = contradictions(factory, {}, {"hidden": None})
    assert note == "the file was trained with hidden=None, but the network was built with hidden=3"


WORDS = ["relu", "1", "true", "a b", 'quo"te', "it's", "two\nlines", "3 # 4", ""]


@pytest.mark.parametrize("value", [3, -0.5, 1e-05, True, [1, 2], ["a", "b"], [[1.5], []], *WORDS])
def test_what_is_offered_is_read_back_as_it_was(value: object) -> None:
    flag, text = shlex.split(as_options({"x": value}))
    assert flag == "-m" and "\n" not in text and pairs([text], "-m", toml=True) == {"x": value}
