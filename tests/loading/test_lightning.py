"""Training checkpoints: the one state dict in them is found, what stands beside it is told, and the rest is offered."""

from __future__ import annotations

import argparse
import collections
import datetime
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from symcheck.errors import LoadError
from symcheck.loading import load_subject
from symcheck.loading.data import read_torch
from symcheck.loading.sniff import sniff

MODEL = """
from torch import nn

def net(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width))
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(MODEL)
    return f"{tmp_path / 'nets.py'}:net"


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def state(prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in network().state_dict().items()}


def optimizer() -> dict[str, Any]:
    net = network()
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(5, 3)).square().sum().backward()
    adam.step()
    return adam.state_dict()


def lightning(prefix: str = "", **more: Any) -> dict[str, Any]:
    """What a trainer writes: loops, callbacks with scores, optimisers, and the weights."""
    scores = {"best_model_score": torch.tensor(0.5), "best_k_models": {"/a/b.ckpt": torch.tensor(0.5)}}
    return {
        "epoch": 3, "global_step": 12, "pytorch-lightning_version": "2.4.0", "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": scores}, "optimizer_states": [optimizer()],
        "lr_schedulers": [{"last_epoch": 3, "_last_lr": [0.1]}], "state_dict": state(prefix),
        "hparams_name": "kwargs", "hyper_parameters": {"width": 4, "lr": 0.001}, **more,
    }  # fmt: skip


def saved(folder: Path, content: object, **how: Any) -> Path:
    path = folder / "last.ckpt"
    torch.save(content, path, **how)
    return path


def error(path: Path, **options: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load_subject(path, **options)
    assert caught.value.where and caught.value.hint and "\n" not in caught.value.hint
    return caught.value


@pytest.mark.parametrize("zipped", [True, False])
def test_the_weights_of_a_lightning_checkpoint_are_found_by_themselves(
    zipped: bool, tmp_path: Path, model: str
) -> None:
    content = lightning()
    subject = load_subject(saved(tmp_path, content, _use_new_zipfile_serialization=zipped), model=model)
    assert subject.module is not None and subject.source.key == "state_dict"
    assert all(torch.equal(v, content["state_dict"][k]) for k, v in subject.module.state_dict().items())
    assert subject.notes == (
        "the weights stand under 'state_dict' in the file",
        "hyper-parameters in the file: width=4, lr=0.001",
    )


def test_without_a_model_the_hyper_parameters_are_told(tmp_path: Path) -> None:
    failed = error(saved(tmp_path, lightning()))
    assert "its hyper-parameters: width=4, lr=0.001" in failed.message and "--model" in failed.hint


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "module._orig_mod.", "net.backbone.core."])
def test_a_prefix_of_several_parts_is_offered_with_the_key_and_taken_off(
    prefix: str, tmp_path: Path, model: str
) -> None:
    content = lightning(prefix)
    content["state_dict"]["loss.weight"] = torch.ones(3)  # a metric beside the network
    path = saved(tmp_path, content)
    key = f"state_dict.{prefix}"
    assert error(path, model=model).hint.endswith(f"add --key {key}")
    subject = load_subject(path, model=model, key=key)
    assert subject.module is not None
    assert torch.equal(subject.module.state_dict()["0.weight"], content["state_dict"][f"{prefix}0.weight"])


@pytest.mark.parametrize(
    "more",
    [{"callbacks": {"EMA": {"ema_state_dict": state()}}}, {"ema": [state(), state()]}, {"ema": state()}],
)
def test_of_several_state_dicts_none_is_guessed(more: dict[str, Any], tmp_path: Path, model: str) -> None:
    content = lightning(**more)
    failed = error(saved(tmp_path, content), model=model)
    keys = failed.hint.removeprefix("add ").replace(" or ", " ").split("--key ")[1:]
    assert "state_dict" in [key.strip() for key in keys] and len(keys) > 1
    for key in keys:
        assert load_subject(tmp_path / "last.ckpt", model=model, key=key.strip()).parameters == 24


@pytest.mark.parametrize("name", ["model_state_dict", "model", "net", "state", "ema_model"])
def test_any_name_will_do_where_there_is_one(name: str, tmp_path: Path, model: str) -> None:
    beside = {"epoch": torch.tensor(3), "optimizer": optimizer(), "best": torch.tensor(0.1)}
    path = saved(tmp_path, {**beside, name: state()})
    assert load_subject(path, model=model).source.key == name


def test_a_list_of_tensors_has_no_names(tmp_path: Path, model: str) -> None:
    path = saved(tmp_path, {"ema": {"decay": 0.9, "shadow_params": [*state().values()]}})
    assert "7 tensors without names" in error(path, model=model, key="ema.shadow_params").message


def test_a_configuration_with_a_tensor_in_it_is_no_state_dict(tmp_path: Path, model: str) -> None:
    config = {"cutoff": 5.0, "channels": 4, "shift": torch.ones(3), "name": "x"}
    assert load_subject(saved(tmp_path, {"config": config, "weights": state()}), model=model).source.key == "weights"


def test_a_pickle_of_others_is_told_apart(tmp_path: Path, model: str, package: Any) -> None:
    path = tmp_path / "jax.ckpt"
    path.write_bytes(pickle.dumps({"w": package.Node(3)}, protocol=2))
    assert error(path, model=model).hint.startswith("torch.save did not write this pickle")


def test_a_state_dict_with_a_number_beside_is_not_searched(tmp_path: Path, model: str) -> None:
    failed = error(saved(tmp_path, {**state(), "optimizer": optimizer()}), model=model)
    assert failed.message.endswith("1 unexpected: optimizer")


INERT: dict[str, object] = {
    "score": np.float64(0.25), "steps": np.int64(7), "flag": np.bool_(True), "table": np.arange(6.0).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)), "none": np.zeros((0, 3)),
    "words": np.array(["ab", "c"]), "path": Path("/a/b"), "when": datetime.datetime(2020, 1, 2, 3),
    "zone": datetime.UTC, "took": datetime.timedelta(3), "args": argparse.Namespace(width=4, deep=[1, 2]),
    "many": collections.defaultdict(list, {"a": [1]}), "version": torch.__version__,
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", INERT)
def test_what_is_inert_passes_without_the_users_word(name: str, zipped: bool, tmp_path: Path) -> None:
    path = saved(tmp_path, {"x": INERT[name], "w": torch.ones(2)}, _use_new_zipfile_serialization=zipped)
    found = read_torch(path, sniff(path))["x"]
    given = str(INERT[name]) if isinstance(INERT[name], Path) else INERT[name]
    assert np.array_equal(found, given) if isinstance(given, np.ndarray) else found == given


@pytest.mark.parametrize(
    "array", [np.array([{}], dtype=object), np.zeros(2, [("a", "f4")]), np.zeros(2, "V8"), np.zeros(2, "M8[s]")]
)
def test_arrays_of_more_than_numbers_and_texts_do_not(array: np.ndarray, tmp_path: Path, model: str) -> None:
    assert "no plain data" in error(saved(tmp_path, {**state(), "x": array}), model=model).message


class Lying:
    """A pickle of this claims an array of that shape in eight bytes."""

    def __init__(self, shape: tuple[Any, ...]) -> None:
        self.shape = shape

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, _ = np.zeros(1).__reduce__()
        return make, arguments, (1, self.shape, np.dtype("f8"), False, b"12345678")


@pytest.mark.parametrize("shape", [(10**12,), (-1,), (2,), ("a",), (2**40, 2**40)])
def test_an_array_that_lies_about_its_size_is_refused(shape: tuple[Any, ...], tmp_path: Path, model: str) -> None:
    good = saved(tmp_path, {"x": Lying((1,)), "w": torch.ones(2)})
    assert read_torch(good, sniff(good))["x"].shape == (1,)
    error(saved(tmp_path, {**state(), "x": Lying(shape)}), model=model)


def test_nothing_stays_allowed_afterwards(tmp_path: Path, model: str) -> None:
    before = set(torch.serialization.get_safe_globals())
    load_subject(saved(tmp_path, lightning()), model=model)
    assert set(torch.serialization.get_safe_globals()) == before


PACKAGE = """
class Config(dict):
    pass

class Node:
    def __init__(self, value=None):
        self.value = value
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package of other people's, which the file needs."""
    (tmp_path / "their_config.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_config", raising=False)
    return __import__("their_config")


SHAPES = {
    "beside": lambda p, s: (lightning(hyper_parameters=p.Config(width=p.Node(4))), "['state_dict']"),
    "deeper": lambda p, s: ({"nets": [s], "by": p.Node(p.Config(a=1))}, "['nets'][0]"),
    "at the top": lambda p, s: ({**s, "by": p.Node(p.Config(a=1))}, "c.items()"),
    "among several": lambda p, s: ({"model": s, "ema": s, "by": p.Node()}, "(or another one: model)"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_lines_that_save_the_tensors_alone_are_exact(
    shape: str, zipped: bool, tmp_path: Path, model: str, package: Any
) -> None:
    content, word = SHAPES[shape](package, state())
    path = saved(tmp_path, content, _use_new_zipfile_serialization=zipped)
    failed = error(path, model=model)
    assert "their_config." in failed.message and word in failed.hint
    lines = failed.hint.partition("re-save the tensors: ")[2].partition(" (or another")[0].partition("; then")[0]
    exec(lines, {})
    subject = load_subject(tmp_path / "last.weights.pt", model=model)
    assert subject.parameters == 24


def test_a_whole_network_in_a_dict_is_saved_by_its_state_dict(tmp_path: Path, model: str) -> None:
    failed = error(saved(tmp_path, {"model": network(), "epoch": 3}), model=model)
    assert "torch.save(c['model'].state_dict(), " in failed.hint


def test_a_whole_network_in_a_dict_is_loaded_with_the_users_word(tmp_path: Path, model: str) -> None:
    one, other = network(), network()
    path = saved(tmp_path, {"model": one, "epoch": 3})
    subject = load_subject(path, allow_program=True)
    assert subject.module is not None and subject.source.key == "model"
    assert torch.equal(subject.module[0].weight, one[0].weight) and not subject.module.training
    path = saved(tmp_path, {"model": one, "ema": other})
    assert error(path, allow_program=True).hint == "add --key ema or --key model"
    subject = load_subject(path, allow_program=True, key="ema")
    assert subject.module is not None and torch.equal(subject.module[0].weight, other[0].weight)
    assert "--model" in error(path, allow_program=True, key="ema", model=model).message


def test_a_safetensors_file_has_no_other_keys(tmp_path: Path, model: str) -> None:
    save_file(state("model."), tmp_path / "a.safetensors")
    assert error(tmp_path / "a.safetensors", model=model).hint.endswith("add --key model.")
    assert load_subject(tmp_path / "a.safetensors", model=model, key="model.").source.key == "model."
