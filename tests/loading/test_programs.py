"""TorchScript, exported programs and pickled modules as subjects: fixed batch, keywords, precision, mode."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from symcheck.errors import LoadError
from symcheck.loading import load_subject


class Pair(nn.Module):
    """Two inputs, the second by keyword, a dict out; dropout tells evaluation from training."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, pos: Tensor, *, z: Tensor) -> dict[str, Tensor]:
        return {"energy": (self.drop(self.mix(pos)).sum(-1) * z), "twice": 2 * z}


def exported(folder: Path, module: nn.Module, inputs: tuple[Any, ...], **options: Any) -> Path:
    path = folder / "program.bin"
    with path.open("wb") as file:
        torch.export.save(torch.export.export(module.eval(), inputs, **options), file)
    return path


def test_a_program_without_dynamic_shapes_takes_its_own_batch_only(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    path = exported(tmp_path, module, (torch.ones(5, 3),))
    subject = load_subject(path, allow_program=True)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert subject.fixed_batch == 5
    assert torch.allclose(subject.call(x), module(x))
    with pytest.raises((RuntimeError, AssertionError)):
        subject.call(x[:4])
    assert not subject.castable
    assert subject.source.format == "pt2"
    assert subject.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert subject.parameters == 16 and subject.dtype == torch.float32


@pytest.mark.parametrize("axis", [0, 1])
def test_only_a_dynamic_first_axis_frees_the_batch(axis: int, tmp_path: Path) -> None:
    size = torch.export.Dim("size", min=2, max=64)
    path = exported(tmp_path, nn.Tanh(), (torch.ones(5, 7),), dynamic_shapes=({axis: size},))
    subject = load_subject(path, allow_program=True)
    assert subject.fixed_batch == (None if axis == 0 else 5)
    shape = (9, 7) if axis == 0 else (5, 9)
    assert subject.call(torch.zeros(shape)).shape == shape


def test_inputs_of_different_fixed_sizes_are_noted(tmp_path: Path) -> None:
    class Outer(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a[:, None] * b

    subject = load_subject(exported(tmp_path, Outer(), (torch.ones(5), torch.ones(7))), allow_program=True)
    assert subject.fixed_batch is None and "5, 7" in subject.notes[0]


@pytest.mark.parametrize("dynamic", [False, True])
def test_keyword_inputs_follow_by_position(dynamic: bool, tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes = {"pos": {0: batch}, "z": {0: batch}} if dynamic else None
    module, pos, z = Pair().eval(), torch.randn(4, 3), torch.arange(4.0)
    path = exported(tmp_path, module, (pos,), kwargs={"z": z}, dynamic_shapes=shapes)
    subject = load_subject(path, allow_program=True)
    assert torch.allclose(subject.call(pos, z)["energy"], module(pos, z=z)["energy"])
    assert subject.fixed_batch == (None if dynamic else 4)


def test_the_mode_of_a_program_is_baked_in(tmp_path: Path) -> None:
    path = exported(tmp_path, nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)), (torch.ones(5, 3),))
    module = load_subject(path, allow_program=True).module
    assert module is not None
    x = torch.ones(5, 3)
    before = module(x)
    assert torch.equal(copy.deepcopy(module).train().eval()(x), before)
    with torch.inference_mode():
        assert torch.equal(module.train()(x), before)


def test_gradients_pass_through_a_program(tmp_path: Path) -> None:
    subject = load_subject(exported(tmp_path, nn.Tanh(), (torch.ones(5, 3),)), allow_program=True)
    x = torch.zeros(5, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(subject.call(x).sum(), x)
    assert torch.allclose(gradient, torch.ones(5, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_a_callable_subject_of_fixed_precision(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.9))
    path = tmp_path / "script.zip"
    torch.jit.script(module).save(str(path))
    subject = load_subject(path, allow_program=True)
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(subject.call(x), module.eval()(x))
    assert (subject.castable, subject.fixed_batch, subject.parameters) == (False, None, 16)
    assert subject.source.format == "torchscript"


def test_a_pickled_module_says_what_it_needed(tmp_path: Path) -> None:
    path = tmp_path / "module.bin"
    torch.save(nn.Sequential(nn.Conv1d(2, 3, 3), nn.GELU(), nn.BatchNorm1d(3)), path)
    subject = load_subject(path, allow_program=True)
    assert subject.module is not None and not subject.module.training
    assert subject.castable and subject.source.format == "pickled module"
    assert "torch.nn.modules.activation.GELU" in subject.notes[0]


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_networks_hold_is_not_mistaken_for_harm(protocol: int, tmp_path: Path) -> None:
    import numpy as np

    module = nn.TransformerEncoderLayer(8, 2, 16, activation=torch.tanh)
    module.extras = [
        np.ones(3),
        np.float64(2.0),
        Path("a"),
        torch.float16,
        torch.Size([2]),
        {1, 2},
        slice(3),
        range(4),
    ]
    torch.save(module, tmp_path / "module.bin", pickle_protocol=protocol)
    assert load_subject(tmp_path / "module.bin", allow_program=True).parameters > 0


class Local(nn.Module):
    """A network of a third package, which is this file."""


def test_a_third_package_counts_once_it_has_named_a_network(tmp_path: Path) -> None:
    module = Local()
    torch.save(module, tmp_path / "module.bin")
    assert load_subject(tmp_path / "module.bin", allow_program=True).source.model == "Local"
    torch.save({"x": refusal}, tmp_path / "module.bin")
    with pytest.raises(LoadError, match="refusal"):
        load_subject(tmp_path / "module.bin", allow_program=True)


def refusal() -> None:
    """A function that a pickle may not name before a network of the same package."""


def test_a_class_that_is_gone_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    module = Local()
    torch.save(module, tmp_path / "module.bin")
    data = (tmp_path / "module.bin").read_bytes()
    (tmp_path / "module.bin").write_bytes(data.replace(b"\nLocal\n", b"\nLokal\n"))
    with pytest.raises(LoadError, match="Lokal") as caught:
        load_subject(tmp_path / "module.bin", allow_program=True)
    assert "--model" in caught.value.hint


def test_options_of_weights_do_not_apply_to_programs(tmp_path: Path) -> None:
    path = exported(tmp_path, nn.Tanh(), (torch.ones(5, 3),))
    with pytest.raises(LoadError, match="--model and --key cannot apply"):
        load_subject(path, model="a:b", key="c", allow_program=True)
