"""Damaged files and unusable inputs: an error of three lines, in bounded time; their good twins load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import make_hostile as make
import numpy as np
import pytest
import torch
from refused import listing, refusal

from symcheck.loading import load_inputs, load_subject

Maker = Callable[[Path, Path], Path]


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
