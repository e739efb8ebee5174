"""Folders that transformers wrote: what is loaded, what is refused, texts as inputs. The network is never used."""

from __future__ import annotations

import json
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import symcheck
from symcheck.errors import ConfigError, DataError, LoadError
from symcheck.loading import load_inputs, load_subject
from symcheck.loading.frameworks.pooling import pooled
from symcheck.report.model import Verdict

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "under", "mat", "house", "old", "red", "big"]
TEXTS = ["The cat sat on the mat", "old dog ran", "a big red house", "the dog sat under the old house on the mat"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("the loader reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def saved(folder: Path, kind: str = "BertModel", **config: Any) -> Path:
    """A small network with biases and generic weights, and a tokenizer of a few words."""
    folder.mkdir(exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(1)
    sizes = {
        "vocab_size": len(vocabulary), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 32,
    }  # fmt: skip
    net = getattr(transformers, kind)(transformers.BertConfig(**{**sizes, **config}))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3)
    net.save_pretrained(folder)
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32)
    tokenizer.save_pretrained(folder)
    return folder


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


def test_a_relative_folder_starts_at_the_subject_file(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bert.parent)
    assert load_subject("hf:bert").source.path == str(bert.resolve())


@pytest.mark.parametrize(("pooling", "place"), [("cls", 1), ("last", 3)])
def test_pooling_stays_within_the_mask(pooling: str, place: int) -> None:
    states = torch.randn(2, 5, 3)
    mask = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 1, 1, 0]])
    assert torch.equal(pooled(states, mask, pooling), states[:, place])


def test_texts_become_tokens_and_variants_stand_beside(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(TEXTS) + "\n")
    (tmp_path / "b.txt").write_text("\n".join(reversed(TEXTS)))
    encode = load_subject(f"hf:{bert}").encode
    sources = {"text": "a.txt", "upper": "upper(text)", "shuffled": "shuffled(text)", "other": "b.txt"}
    found = load_inputs(sources, samples=3, seed=0, base=tmp_path, encode=encode)
    prefixes = ("", "upper.", "shuffled.", "other.")
    assert set(found) == {p + name for p in prefixes for name in ("input_ids", "attention_mask")}
    assert {tuple(x.shape) for x in found.values()} == {(3, 12)}  # as long as the longest of all
    assert torch.equal(found["input_ids"], found["upper.input_ids"])  # an uncased tokenizer
    assert torch.equal(found["input_ids"].sort(1).values, found["shuffled.input_ids"].sort(1).values)
    assert not torch.equal(found["input_ids"], found["shuffled.input_ids"])
    assert not torch.equal(found["input_ids"], found["other.input_ids"])
    alone = load_inputs("a.txt", samples=3, seed=0, base=tmp_path, encode=encode)
    assert set(alone) == {"input_ids", "attention_mask"}


def test_texts_that_are_no_inputs(bert: Path, tmp_path: Path) -> None:
    encode = load_subject(f"hf:{bert}").encode
    (tmp_path / "gap.txt").write_text("the cat\n\nthe dog\n")
    (tmp_path / "long.txt").write_text("the cat\n" + "the " * 40)
    (tmp_path / "one.txt").write_text("the cat")
    with pytest.raises(DataError, match="line 2 is empty"):
        load_inputs("gap.txt", samples=2, seed=0, base=tmp_path, encode=encode)
    with pytest.raises(DataError, match="text 2 has 42 tokens, the network takes 32"):
        load_inputs("long.txt", samples=2, seed=0, base=tmp_path, encode=encode)
    with pytest.raises(DataError, match="no tokenizer"):
        load_inputs("one.txt", samples=2, seed=0, base=tmp_path)
    with pytest.raises(DataError, match="different numbers of texts"):
        load_inputs({"text": "one.txt", "de": "long.txt"}, samples=2, seed=0, base=tmp_path, encode=encode)
    with pytest.raises(DataError, match="no texts 'txt'"):
        load_inputs({"text": "one.txt", "upper": "upper(txt)"}, samples=2, seed=0, base=tmp_path, encode=encode)
    cut = load_subject(f"hf:{bert}", arguments={"max_length": 8}).encode
    assert load_inputs("long.txt", samples=2, seed=0, base=tmp_path, encode=cut)["input_ids"].shape == (2, 8)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_stands_on_the_side_that_is_asked_for(bert: Path, side: str) -> None:
    encode = load_subject(f"hf:{bert}", arguments={"padding_side": side}).encode
    assert encode is not None
    mask = encode(["the cat", "the cat sat on the mat"])["attention_mask"]
    assert mask[0].tolist() == sorted(mask[0].tolist(), reverse=side == "right")


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


def test_what_stands_behind_the_mask_is_exact_and_word_order_breaks(bert: Path) -> None:
    subject = load_subject(f"hf:{bert}", arguments={"pooling": "mean"})
    assert subject.encode is not None
    inputs = dict(subject.encode([*TEXTS, "red dog", "the big mat"]))
    others = "last_hidden_state=ignore, pooler_output=ignore"
    order = f"S: input_ids=sequence, attention_mask=sequence -> {others}, embedding=invariant"
    report = symcheck.audit(subject, [order], inputs, samples=6, elements=4)
    assert {f.verdict for f in report.findings} == {Verdict.BROKEN}
    with torch.no_grad():
        module: Any = subject.module
        module.embeddings.position_embeddings.weight.zero_()
    report = symcheck.audit(subject, [order], inputs, samples=6, elements=4)
    assert {f.verdict for f in report.findings} == {Verdict.EXACT}
