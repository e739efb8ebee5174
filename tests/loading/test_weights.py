"""Weights into a model: strictness, keys and prefixes, factories, what the subject says about itself."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from symcheck.errors import LoadError
from symcheck.loading import Kind, load_subject, sniff

FACTORIES = """
import torch
from torch import nn

print("a banner on import")


def net(inner: int = 4, depth: int = 1, dtype: str = "float32"):
    print("a banner on construction")
    deep = [nn.Linear(inner, inner) for _ in range(depth - 1)]
    return nn.Sequential(nn.Linear(3, inner), *deep, nn.BatchNorm1d(inner)).to(getattr(torch, dtype))


def wrapped():
    outer = nn.Module()
    outer.core = net()
    return outer


class Meta(nn.Linear):
    def __init__(self):
        super().__init__(3, 4, device="meta")


def fails():
    raise RuntimeError("no such luck")


def leaves():
    raise SystemExit(1)


def number():
    return 3


def function():
    return torch.tanh


built = nn.Linear(3, 4)
"""


@pytest.fixture
def factories(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(FACTORIES)
    return str(tmp_path / "nets.py")


def network(inner: int = 4) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(3, inner), nn.BatchNorm1d(inner))
    net[1].running_mean.normal_(generator=torch.Generator().manual_seed(5))
    return net


def state(inner: int = 4) -> dict[str, torch.Tensor]:
    return dict(network(inner).state_dict())


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "weights.bin")
    return folder / "weights.bin"


def error(path: Path | None, **options: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load_subject(path, **options)
    assert caught.value.where and caught.value.hint
    return caught.value


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "legacy"])
def test_the_weights_arrive_in_eval_mode_with_their_origin(
    suffix: str, tmp_path: Path, factories: str
) -> None:
    path, weights = tmp_path / "weights.anything", state()
    if suffix == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=suffix == "pt")
    subject = load_subject(path, model=f"{factories}:net", arguments={"inner": 4})
    assert subject.module is not None and not subject.module.training
    assert all(torch.equal(value, weights[name]) for name, value in subject.module.state_dict().items())
    assert (subject.name, subject.castable, subject.fixed_batch) == ("weights", True, None)
    assert subject.source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert subject.source.path == str(path)
    assert subject.source.format == sniff(path).value
    assert subject.source.model == f"{factories}:net"
    assert subject.source.arguments == {"inner": 4}
    assert subject.notes == ()


def test_missing_and_unexpected_keys_are_listed_sorted_ten_of_each(tmp_path: Path, factories: str) -> None:
    given = {f"z{i:02}": torch.ones(1) for i in reversed(range(14))}
    message = error(saved(tmp_path, given), model=f"{factories}:net").message
    names = sorted(state())
    assert f"{len(names)} missing: {', '.join(names)};" in message
    assert f"14 unexpected: {', '.join(sorted(given)[:10])} and 4 more" in message


@pytest.mark.parametrize("drop", ["0.bias", "1.running_var", "1.num_batches_tracked"])
def test_one_missing_key_is_not_forgiven(drop: str, tmp_path: Path, factories: str) -> None:
    weights = state()
    del weights[drop]
    assert f"1 missing: {drop}" in error(saved(tmp_path, weights), model=f"{factories}:net").message


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("0.weight", torch.ones(3, 4), "0.weight (file (3, 4), model (4, 3))"),
        ("0.bias", torch.ones(1), "0.bias (file (1,), model (4,))"),
        ("0.bias", torch.ones(4, dtype=torch.int64), "0.bias (file int64, model float32)"),
        ("1.num_batches_tracked", torch.tensor(1.5), "1.num_batches_tracked (file float32, model int64)"),
        ("0.bias", 3.0, "0.bias (a float, not a tensor)"),
    ],
)
def test_a_weight_that_does_not_fit_is_named(
    name: str, value: object, word: str, tmp_path: Path, factories: str
) -> None:
    path = saved(tmp_path, {**state(), name: value})
    assert word in error(path, model=f"{factories}:net").message


def test_one_key_too_many_is_not_forgiven(tmp_path: Path, factories: str) -> None:
    failed = error(saved(tmp_path, {**state(), "epoch": 3}), model=f"{factories}:net")
    assert failed.message.endswith(": 1 unexpected: epoch")


def test_a_failed_load_says_what_to_change(tmp_path: Path, factories: str) -> None:
    failed = error(saved(tmp_path, state(6)), model=f"{factories}:net")
    assert failed.message.startswith("6 of 7 weights")
    assert "-m name=value" in failed.hint
    assert (
        load_subject(tmp_path / "weights.bin", model=f"{factories}:net", arguments={"inner": 6}).parameters
        == 36
    )


def test_the_keys_that_hold_state_dicts_are_offered(tmp_path: Path, factories: str) -> None:
    content = {"epoch": 3, "model_state_dict": state(), "nets": {"ema": state()}, "scores": {"loss": 0.5}}
    path = saved(tmp_path, content)
    failed = error(path, model=f"{factories}:net")
    assert failed.hint == "add --key model_state_dict or --key nets.ema"
    assert "epoch" in failed.message
    for key in ("model_state_dict", "nets.ema"):
        assert load_subject(path, model=f"{factories}:net", key=key).source.key == key
    assert "did you mean 'model_state_dict'?" in error(path, model=f"{factories}:net", key="model_state").hint


@pytest.mark.parametrize("inside", [None, "state"])
def test_a_prefix_before_every_key_is_offered_and_taken_off(
    inside: str | None, tmp_path: Path, factories: str
) -> None:
    weights = state()
    content: dict[str, Any] = {f"module.{name}": value for name, value in weights.items()}
    path = saved(tmp_path, content if inside is None else {inside: content})
    key = "module." if inside is None else f"{inside}.module."
    assert error(path, model=f"{factories}:net", key=inside).hint.endswith(f"add --key {key}")
    subject = load_subject(path, model=f"{factories}:net", key=key)
    assert subject.module is not None
    assert torch.equal(subject.module.state_dict()["1.running_mean"], weights["1.running_mean"])


def test_a_prefix_in_the_model_is_named(tmp_path: Path, factories: str) -> None:
    assert "'core.'" in error(saved(tmp_path, state()), model=f"{factories}:wrapped").hint


def test_another_dtype_in_the_file_is_noted(tmp_path: Path, factories: str) -> None:
    path = saved(tmp_path, {name: x.double() if x.is_floating_point() else x for name, x in state().items()})
    assert load_subject(path, model=f"{factories}:net").notes == (
        "6 weights stored as float64 run as float32",
    )
    same = load_subject(path, model=f"{factories}:net", arguments={"dtype": "float64"})
    assert same.notes == () and same.dtype == torch.float64


def test_a_model_on_the_meta_device_gets_real_weights(tmp_path: Path, factories: str) -> None:
    subject = load_subject(saved(tmp_path, dict(nn.Linear(3, 4).state_dict())), model=f"{factories}:Meta")
    assert torch.isfinite(subject.call(torch.ones(2, 3))).all()


def test_stdout_stays_clean(tmp_path: Path, factories: str, capsys: pytest.CaptureFixture[str]) -> None:
    load_subject(saved(tmp_path, state()), model=f"{factories}:net")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "a banner on import" in captured.err and "a banner on construction" in captured.err


@pytest.mark.parametrize(
    ("name", "arguments", "word"),
    [
        ("fails", {}, "RuntimeError: no such luck"),
        ("leaves", {}, "SystemExit"),
        ("number", {}, "returned a int"),
        ("function", {}, "not an nn.Module"),
        ("net", {"iner": 5}, "iner"),
        ("built", {"inner": 5}, "takes no arguments"),
        ("nothing", {}, "has no 'nothing'"),
    ],
)
def test_a_factory_that_does_not_serve(
    name: str, arguments: dict[str, object], word: str, tmp_path: Path, factories: str
) -> None:
    assert word in error(saved(tmp_path, state()), model=f"{factories}:{name}", arguments=arguments).message


def test_a_misspelt_argument_is_suggested(tmp_path: Path, factories: str) -> None:
    assert "'inner'" in error(None, model=f"{factories}:net", arguments={"iner": 5}).hint


def test_a_module_that_is_built_already_is_not_shared(tmp_path: Path, factories: str) -> None:
    one, two = nn.Linear(3, 4).state_dict(), nn.Linear(3, 4).state_dict()
    first = load_subject(saved(tmp_path, dict(one)), model=f"{factories}:built")
    load_subject(saved(tmp_path, dict(two)), model=f"{factories}:built")
    assert first.module is not None and torch.equal(first.module.state_dict()["weight"], one["weight"])


def test_without_a_checkpoint_the_model_is_measured_as_built_and_says_so(factories: str) -> None:
    subject = load_subject(None, model=f"{factories}:net", arguments={"depth": 2})
    assert subject.parameters == 44 and "no checkpoint" in subject.notes[0]
    assert subject.module is not None and not subject.module.training
    assert load_subject(None, model=f"{factories}:function").module is None


def test_options_that_cannot_apply_are_refused(tmp_path: Path, factories: str) -> None:
    path = saved(tmp_path, state())
    assert "--model" in error(path).hint
    assert "nothing to load" in error(None).message
    assert "needs a checkpoint" in error(None, model=f"{factories}:net", key="a").message
    whole = saved(tmp_path, nn.Linear(3, 4))
    assert "cannot apply" in error(whole, model=f"{factories}:net", allow_program=True).message


def test_sniffing_ignores_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    torch.save(state(), path)
    assert sniff(path) is Kind.TORCH
    torch.save(state(), path, _use_new_zipfile_serialization=False)
    assert sniff(path) is Kind.LEGACY
    save_file(state(), path)
    assert sniff(path) is Kind.SAFETENSORS
    path.write_text('12345678{"b": 2}')
    assert sniff(path) is Kind.UNKNOWN
    path.write_bytes(b"")
    assert sniff(path) is Kind.EMPTY
