"""Checkpoints in several files: all of them are read, and one that is missing, doubled or contradicted is one error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from symcheck.errors import LoadError
from symcheck.files import INDEX, sha256
from symcheck.loading import Kind, load_subject, sniff

MODEL = "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))\n"
NAMES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards and their index beside other files, as transformers writes them."""
    state = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5)).state_dict()
    path = tmp_path / "shards"
    path.mkdir()
    where = {name: NAMES[name > "0.weight"] for name in state}
    for file in NAMES:
        save_file({name: state[name] for name in state if where[name] == file}, path / file)
    (path / INDEX).write_text(json.dumps({"metadata": {"total_size": 148}, "weight_map": where}))
    (path / "config.json").write_text("{}")
    (tmp_path / "nets.py").write_text(MODEL)
    return path


def model(folder: Path) -> str:
    return f"{folder.parent / 'nets.py'}:net"


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in NAMES for name, tensor in load_file(folder / file).items()}


@pytest.mark.parametrize("place", ["", INDEX])
def test_every_shard_is_read(place: str, folder: Path) -> None:
    path = folder / place
    assert sniff(path) is Kind.SHARDS
    subject = load_subject(path, model=model(folder))
    assert subject.module is not None and subject.source.format == "safetensors in shards"
    assert all(torch.equal(value, stored(folder)[name]) for name, value in subject.module.state_dict().items())


def test_a_folder_without_an_index_and_an_index_of_another_name(folder: Path) -> None:
    (folder / INDEX).rename(folder / "weights.safetensors.index.json")
    assert load_subject(folder, model=model(folder)).parameters == 41
    (folder / "weights.safetensors.index.json").unlink()
    assert load_subject(folder, model=model(folder)).parameters == 41


def test_the_digest_changes_with_any_shard(folder: Path) -> None:
    before = {place: sha256(folder / place) for place in ("", INDEX)}
    assert load_subject(folder, model=model(folder)).source.sha256 == before[""]
    state = load_file(folder / NAMES[1])
    save_file({name: tensor + 1 for name, tensor in state.items()}, folder / NAMES[1])
    assert all(sha256(folder / place) != digest for place, digest in before.items())


def missing(folder: Path) -> None:
    (folder / NAMES[1]).unlink()


def doubled(folder: Path) -> None:
    save_file({**load_file(folder / NAMES[1]), "0.bias": torch.zeros(4)}, folder / NAMES[1])


def lacking(folder: Path) -> None:
    state = load_file(folder / NAMES[1])
    save_file({name: state[name] for name in state if name != "1.bias"}, folder / NAMES[1])


def truncated(folder: Path) -> None:
    (folder / NAMES[1]).write_bytes((folder / NAMES[1]).read_bytes()[:-9])


def escaping(folder: Path) -> None:
    (folder / NAMES[1]).rename(folder.parent / NAMES[1])
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"]["1.bias"] = f"../{NAMES[1]}"
    (folder / INDEX).write_text(json.dumps(index))


def several(folder: Path) -> None:
    (folder / INDEX).rename(folder / "a.safetensors.index.json")
    (folder / "b.safetensors.index.json").write_bytes((folder / "a.safetensors.index.json").read_bytes())


def nonsense(folder: Path) -> None:
    (folder / INDEX).write_text("[1]")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (missing, f"the index names '{NAMES[1]}', which is no file beside it"),
        (doubled, f"'0.bias' stands in two files, {NAMES[0]} and {NAMES[1]}"),
        (lacking, "no shard holds '1.bias', which the index names"),
        (truncated, "damaged"),
        (escaping, "which is no file beside it"),
        (several, "the folder holds 2 checkpoints: a.safetensors.index.json, b.safetensors.index.json"),
        (nonsense, "the index cannot be read"),
    ],
)
@pytest.mark.parametrize("with_model", [True, False])
def test_a_fault_is_one_clear_error(fault: Callable[[Path], None], word: str, with_model: bool, folder: Path) -> None:
    fault(folder)
    with pytest.raises(LoadError) as caught:
        load_subject(folder, model=model(folder) if with_model else None)
    assert word in caught.value.message and caught.value.where and caught.value.hint


def test_keys_that_do_not_fit_are_listed(folder: Path) -> None:
    save_file({**load_file(folder / NAMES[1]), "more": torch.zeros(4)}, folder / NAMES[1])
    with pytest.raises(LoadError, match="1 unexpected: more"):
        load_subject(folder, model=model(folder))


def test_a_folder_of_other_things_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(LoadError, match="a directory is no checkpoint") as caught:
        load_subject(tmp_path)
    assert "notes.txt" in caught.value.hint
