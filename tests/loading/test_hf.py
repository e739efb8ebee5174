"""Folders that transformers wrote: what is loaded, what is refused; the internet is never used."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hf_folders import TEXTS, offline, saved, transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from symcheck.errors import ConfigError, LoadError
from symcheck.loading import load_inputs, load_subject

__all__ = ["offline"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("hf") / "bert")


@pytest.fixture
def changed(bert: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Tensor]], None]], Path]:
    """A copy of the folder with other tensors in its file."""

    def make(change: Callable[[dict[str, Tensor]], None]) -> Path:
        folder = tmp_path / "changed"
        folder.mkdir()
        for file in bert.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    return make


def edited(folder: Path, name: str = "config.json", **values: Any) -> Path:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))
    return folder


def test_the_class_is_the_one_that_the_folder_names_and_the_outputs_are_its_own(bert: Path) -> None:
    subject = load_subject(f"hf:{bert}", arguments={"pooling": "mean", "normalize": True})
    assert subject.source.format == "transformers" and subject.source.model == "BertModel"
    assert subject.encode is not None
    inputs = subject.encode(TEXTS)
    with torch.no_grad():
        found = subject.call(**inputs)
        net = transformers.BertModel.from_pretrained(bert)
        states = net(**inputs).last_hidden_state
    assert list(found) == ["last_hidden_state", "pooler_output", "embedding"]
    mask = inputs["attention_mask"][..., None]
    mean = (states * mask).sum(1) / mask.sum(1)
    assert torch.allclose(found["embedding"], mean / mean.norm(dim=1, keepdim=True), atol=1e-6)
    with torch.no_grad():  # by position the mask is seen as well
        assert torch.equal(subject.call(inputs["input_ids"], inputs["attention_mask"])["embedding"], found["embedding"])


def test_a_relative_folder_starts_at_the_subject_file(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bert.parent)
    assert load_subject("hf:bert").source.path == str(bert.resolve())


def test_missing_weights_are_an_error_that_names_them(changed: Callable[..., Path]) -> None:
    folder = changed(lambda t: t.pop("encoder.layer.1.output.dense.weight"))
    with pytest.raises(LoadError, match=r"1 missing, and would be random: encoder\.layer\.1\.output\.dense\.weight"):
        load_subject(f"hf:{folder}")


def test_weights_left_over_are_an_error_and_known_buffers_a_note(changed: Callable[..., Path]) -> None:
    def add(tensors: dict[str, Tensor]) -> None:
        tensors["encoder.layer.2.output.dense.weight"] = torch.zeros(16, 24)
        tensors["embeddings.position_ids"] = torch.arange(32)[None]

    folder = changed(add)
    with pytest.raises(LoadError, match=r"1 left over: encoder\.layer\.2\.output\.dense\.weight") as caught:
        load_subject(f"hf:{folder}")
    assert "position_ids" not in str(caught.value)


def test_a_buffer_of_old_files_is_noted(changed: Callable[..., Path]) -> None:
    folder = changed(lambda t: t.update({"embeddings.position_ids": torch.arange(32)[None]}))
    assert [note for note in load_subject(f"hf:{folder}").notes if "embeddings.position_ids" in note]


def test_weights_of_another_shape_are_an_error(changed: Callable[..., Path]) -> None:
    folder = changed(lambda t: t.update({"pooler.dense.weight": torch.zeros(4, 16)}))
    with pytest.raises(LoadError, match=r"BertModel: 1 of another shape: pooler\.dense\.weight"):
        load_subject(f"hf:{folder}")


def test_a_head_of_the_file_is_used_left_out_by_word_or_missing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "masked", "BertForMaskedLM")
    subject = load_subject(f"hf:{folder}")
    assert subject.source.model == "BertForMaskedLM" and not subject.notes  # the tied decoder is not missing
    assert subject.encode is not None
    with torch.no_grad():
        assert list(subject.call(**subject.encode(TEXTS))) == ["logits"]
    with pytest.raises(LoadError, match=r"missing, and would be random: pooler\.dense\.bias, pooler\.dense\.weight"):
        load_subject(f"hf:{folder}", arguments={"task": "features"})
    with pytest.raises(LoadError, match=r"would be random: classifier\.bias, classifier\.weight"):
        load_subject(f"hf:{folder}", arguments={"task": "token-classification"})
    headed = saved(tmp_path / "labels", "BertForSequenceClassification")
    body = load_subject(f"hf:{headed}", arguments={"task": "features"})
    assert body.notes == ("weights of the file that this head does not use: classifier.bias, classifier.weight",)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_an_embedding_needs_no_pooler(tmp_path: Path, pooling: str) -> None:
    folder = saved(tmp_path / "masked", "BertForMaskedLM")
    with pytest.raises(LoadError, match="would be random: pooler") as caught:
        load_subject(f"hf:{folder}", arguments={"task": "features"})
    assert "-m pooling=mean" in caught.value.hint
    subject = load_subject(f"hf:{folder}", arguments={"task": "features", "pooling": pooling})
    note = "the file has no pooler (pooler.dense.bias, pooler.dense.weight): there is no pooler_output"
    assert note in subject.notes and subject.encode is not None
    inputs = subject.encode(TEXTS)
    with torch.no_grad():
        found = subject.call(**inputs)
        states = transformers.BertForMaskedLM.from_pretrained(folder).bert(**inputs).last_hidden_state
    assert list(found) == ["last_hidden_state", "embedding"]
    assert torch.allclose(found["last_hidden_state"], states, atol=1e-6)


@pytest.mark.parametrize("lost", ["pooler.dense.bias", "encoder.layer.1.output.dense.bias"])
def test_half_a_pooler_or_another_part_is_missing_all_the_same(changed: Callable[..., Path], lost: str) -> None:
    folder = changed(lambda t: t.pop(lost))
    with pytest.raises(LoadError, match=f"1 missing, and would be random: {lost}"):
        load_subject(f"hf:{folder}", arguments={"pooling": "mean"})


def test_beside_a_missing_pooler_other_weights_are_still_listed(changed: Callable[..., Path]) -> None:
    lost = ("pooler.dense.bias", "pooler.dense.weight", "encoder.layer.1.output.dense.bias")
    folder = changed(lambda t: [t.pop(name) for name in lost] and None)
    with pytest.raises(LoadError, match=r"1 missing, and would be random: encoder\.layer\.1\.output\.dense\.bias"):
        load_subject(f"hf:{folder}", arguments={"pooling": "mean"})


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_without_its_scheme_is_told_how_to_be_written(tmp_path: Path, name: str) -> None:
    folder = saved(tmp_path / "plain")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(tmp_path / "kept.safetensors")
    (save_file if name.endswith("safetensors") else torch.save)(tensors, folder / name)
    for path in [folder, *([folder / name] if name.endswith("safetensors") else [])]:
        with pytest.raises(LoadError) as caught:
            load_subject(path)
        assert f"write hf:{folder}" in caught.value.hint
    (folder / "config.json").write_text('{"width": 4}')  # somebody else's
    with pytest.raises(LoadError) as caught:
        load_subject(folder)
    assert "hf:" not in caught.value.hint


def test_a_causal_network_gives_logits_and_no_cache(tmp_path: Path, bert: Path) -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=18, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt")
    subject = load_subject(f"hf:{tmp_path / 'gpt'}")
    assert subject.encode is None and not subject.notes
    tokens = load_inputs({"input_ids": "integers(18,9)"}, samples=6, seed=0)
    with torch.no_grad():
        found = subject.call(**tokens)
    assert {name: tuple(x.shape) for name, x in found.items()} == {"logits": (6, 9, 18)}


def test_code_of_the_folder_never_runs(tmp_path: Path) -> None:
    folder = saved(tmp_path / "own")
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    code = {"AutoConfig": "modeling_own.Config", "AutoModel": "modeling_own.Net"}
    edited(folder, auto_map=code)
    assert any("code of its own" in note for note in load_subject(f"hf:{folder}").notes)
    edited(folder, model_type="own", architectures=["Net"])
    with pytest.raises(LoadError, match="knows no 'own': the folder brings its own code, which is not run"):
        load_subject(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()


class Planted:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_in_the_folder_is_read_as_data(bert: Path, tmp_path: Path) -> None:
    folder = saved(tmp_path / "bin")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    subject = load_subject(f"hf:{folder}")
    assert torch.equal(dict(subject.module.named_parameters())["pooler.dense.bias"], tensors["pooler.dense.bias"])  # type: ignore[union-attr]
    torch.save({**tensors, "x": Planted(tmp_path / "ran")}, folder / "pytorch_model.bin", pickle_module=pickle)
    with pytest.raises(LoadError):
        load_subject(f"hf:{folder}")
    assert not (tmp_path / "ran").exists()


def test_weights_in_several_files(tmp_path: Path) -> None:
    folder = saved(tmp_path / "shards")
    whole = transformers.BertModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="8KB")
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 1
    before = load_subject(f"hf:{folder}")
    assert torch.equal(before.call.pooler.dense.bias, whole.pooler.dense.bias)  # type: ignore[attr-defined]
    tensors = load_file(shards[0])
    save_file({name: 2 * x for name, x in tensors.items()}, shards[0], metadata={"format": "pt"})
    assert load_subject(f"hf:{folder}").source.sha256 != before.source.sha256
    save_file(dict(list(tensors.items())[1:]), shards[0], metadata={"format": "pt"})
    with pytest.raises(LoadError, match="1 missing"):
        load_subject(f"hf:{folder}")
    shards[0].unlink()
    with pytest.raises(LoadError, match="no such file"):
        load_subject(f"hf:{folder}")


def test_weights_that_a_class_would_excuse_are_an_error_all_the_same(
    changed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.BertModel, "_keys_to_ignore_on_load_missing", [r"pooler"])
    folder = changed(lambda t: t.pop("pooler.dense.bias"))
    with pytest.raises(LoadError, match=r"1 missing, and would be random: pooler\.dense\.bias"):
        load_subject(f"hf:{folder}")


def test_names_of_earlier_versions_are_no_fault(tmp_path: Path) -> None:
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8,),
        conv_stride=(5,), conv_kernel=(10,), num_feat_extract_layers=1, num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "sound")
    file = tmp_path / "sound" / "model.safetensors"
    renamed = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    tensors = load_file(file)
    for new, old in renamed.items():
        tensors = {name.replace(new, old): x for name, x in tensors.items()}
    assert any(name.endswith("weight_g") for name in tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    assert not load_subject(f"hf:{tmp_path / 'sound'}").notes


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: edited(f, architectures=["NoSuchNet"]), "no network 'NoSuchNet'"),
        (lambda f: edited(f, architectures=["AutoTokenizer"]), "no network 'AutoTokenizer'"),
        (lambda f: (f / "model.safetensors").write_bytes(b"damaged"), "cannot load the folder"),
    ],
)
def test_damaged_folders_say_what_they_lack(
    tmp_path: Path, break_it: Callable[[Path], object], words: str
) -> None:
    folder = saved(tmp_path / "bad")
    break_it(folder)
    with pytest.raises(LoadError, match=words):
        load_subject(f"hf:{folder}")


def test_a_name_of_a_hub_is_not_fetched() -> None:
    with pytest.raises(LoadError, match="no such folder") as caught:
        load_subject("hf:sentence-transformers/all-MiniLM-L6-v2")
    assert "nothing is fetched" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"poolng": "mean"}, "no argument 'poolng'"), ({"pooling": "max"}, "'max' is no pooling"),
        ({"normalize": 1}, "must be a bool"), ({"normalize": True}, "no embedding"), ({"task": "lm"}, "no task"),
    ],
)  # fmt: skip
def test_arguments_that_are_not_understood(bert: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_subject(f"hf:{bert}", arguments=arguments)
