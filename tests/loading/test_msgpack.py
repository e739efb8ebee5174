"""What flax writes: nested maps of arrays, as data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from symcheck.errors import LoadError
from symcheck.loading import Kind, load_subject, sniff
from symcheck.loading.msgpack import read_msgpack

msgpack = pytest.importorskip("msgpack")
KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)
MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.params = nn.ParameterDict({"kernel": torch.zeros(3, 4), "bias": torch.zeros(4)})

    def forward(self, x):
        return x @ self.params["kernel"] + self.params["bias"]
"""


def packed(value: Any) -> Any:
    """The extension of an array (1), a complex number (2) or a NumPy number (3)."""
    if isinstance(value, np.ndarray):
        return msgpack.ExtType(1, msgpack.packb((value.shape, value.dtype.name, value.tobytes())))
    if isinstance(value, complex):
        return msgpack.ExtType(2, msgpack.packb((value.real, value.imag)))
    return msgpack.ExtType(3, msgpack.packb((value.shape, value.dtype.name, value.tobytes())))


def written(folder: Path, content: object) -> Path:
    path = folder / "flax_model.bin"
    path.write_bytes(msgpack.packb(content, default=packed))
    return path


def test_nested_maps_become_dotted_keys(tmp_path: Path) -> None:
    dense = {"kernel": KERNEL, "bias": np.ones(4, np.float16)}
    content = {
        "params": {"Dense_0": dense, "layers": [np.arange(3), np.zeros((0, 2))]},
        "step": np.int32(7), "phase": 1 + 2j, "epoch": 3, "nothing": None,
    }  # fmt: skip
    path = written(tmp_path, content)
    assert sniff(path) is Kind.MSGPACK
    found = read_msgpack(path)
    assert {name: (tuple(x.shape), str(x.dtype)) for name, x in found.items()} == {
        "params.Dense_0.kernel": ((3, 4), "torch.float32"), "params.Dense_0.bias": ((4,), "torch.float16"),
        "params.layers.0": ((3,), "torch.int64"), "params.layers.1": ((0, 2), "torch.float64"),
        "step": ((), "torch.int32"), "phase": ((), "torch.complex64"), "epoch": ((), "torch.int64"),
    }  # fmt: skip
    assert np.array_equal(found["params.Dense_0.kernel"], KERNEL) and found["step"] == 7 and found["phase"] == 1 + 2j


def test_bfloat16_keeps_its_numbers(tmp_path: Path) -> None:
    values = torch.tensor([1.5, -2.0, 0.007]).bfloat16()
    raw = values.view(torch.int16).numpy().tobytes()
    path = written(tmp_path, {"w": msgpack.ExtType(1, msgpack.packb(((3,), "bfloat16", raw)))})
    assert torch.equal(read_msgpack(path)["w"], values)


def test_an_array_in_pieces_is_put_together(tmp_path: Path) -> None:
    pieces = {"0": KERNEL.flatten()[:7], "1": KERNEL.flatten()[7:]}
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 3, "1": 4}, "chunks": pieces}
    assert np.array_equal(read_msgpack(written(tmp_path, {"w": chunked}))["w"], KERNEL)


def test_it_is_a_checkpoint_of_a_model_with_these_names(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(MODEL)
    content = {"params": {"kernel": KERNEL, "bias": np.ones(4, np.float32)}}
    subject = load_subject(written(tmp_path, content), model=f"{tmp_path / 'nets.py'}:Net")
    assert subject.source.format == "msgpack"
    assert torch.equal(subject.call(torch.ones(1, 3)), torch.tensor([[13.0, 16.0, 19.0, 22.0]]))


@pytest.mark.parametrize(
    "content",
    [
        {"w": "text"}, {"w": msgpack.ExtType(9, b"")},
        {"w": msgpack.ExtType(1, msgpack.packb(((9,), "float32", b"1")))},
        {"w": msgpack.ExtType(1, msgpack.packb(((1,), "object", b"12345678")))},
        {"w": msgpack.ExtType(1, msgpack.packb(((10**12,), "float32", b"1234")))},
        {"w": msgpack.ExtType(1, b"\xc1")},
    ],
)  # fmt: skip
def test_what_is_no_array_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="cannot be read as weights"):
        load_subject(written(tmp_path, content))


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_an_error(keep: float, tmp_path: Path) -> None:
    path = written(tmp_path, {"params": {"kernel": KERNEL}})
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(LoadError, match="cannot be read as weights"):
        load_subject(path)


def test_a_missing_package_says_how_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"w": KERNEL})
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(LoadError) as caught:
        load_subject(path)
    assert caught.value.hint == "install it with: pip install 'symcheck[flax]'"
