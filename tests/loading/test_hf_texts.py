"""Texts as inputs: the tokenizer of a folder, variants of one text, and audits from a folder to a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hf_folders import TEXTS, WORDS, offline, saved
from safetensors.torch import load_file, save_file

import symcheck
from symcheck.cli.main import main
from symcheck.errors import DataError
from symcheck.loading import load_inputs, load_subject
from symcheck.loading.frameworks.pooling import pooled
from symcheck.report.model import Verdict

__all__ = ["offline"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("hf") / "bert")


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


def test_what_stands_behind_the_mask_is_exact_and_word_order_breaks(bert: Path) -> None:
    subject = load_subject(f"hf:{bert}", arguments={"pooling": "mean"})
    assert subject.encode is not None
    inputs = dict(subject.encode([*TEXTS, "red dog", "the big mat"]))
    others = "last_hidden_state=ignore, pooler_output=ignore"
    order = f"S: input_ids=sequence, attention_mask=sequence -> {others}, embedding=invariant"
    report = symcheck.audit(subject, [order], inputs, samples=6, elements=4)
    assert {f.verdict for f in report.findings} == {Verdict.BROKEN}
    with torch.no_grad():
        module = subject.module
        assert module is not None
        dict(module.named_parameters())["embeddings.position_embeddings.weight"].zero_()
    report = symcheck.audit(subject, [order], inputs, samples=6, elements=4)
    assert {f.verdict for f in report.findings} == {Verdict.EXACT}


AUDIT = """
checkpoint = "hf:FOLDER"
arguments = { pooling = "mean" }
inputs = { text = "texts.txt", upper = "upper(text)" }
output = "embedding"
claims = ["Variant(upper): input_ids=tokens, attention_mask=mask, VARIANTS -> embedding=scalar"]
""".replace("VARIANTS", "upper.input_ids=variant, upper.attention_mask=variant")


def lines(count: int) -> str:
    """Texts of the known words, of several lengths."""
    chosen = torch.randint(len(WORDS), (count, 9), generator=torch.Generator().manual_seed(0))
    return "\n".join(" ".join(WORDS[w] for w in row[: 3 + i % 7]) for i, row in enumerate(chosen.tolist()))


@pytest.mark.parametrize(
    ("case", "code", "verdict"),
    [("uncased", 1, "trivial"), ("the same rows", 0, "exact"), ("other rows", 1, "broken")],
)
def test_one_command_from_a_folder_to_a_verdict(
    tmp_path: Path, case: str, code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = WORDS if case == "uncased" else [*WORDS, *(word.upper() for word in WORDS)]
    folder = saved(tmp_path / "net", words=words, lower=case == "uncased")
    if case == "the same rows":
        tensors = load_file(folder / "model.safetensors")
        tensors["embeddings.word_embeddings.weight"][-len(WORDS) :] = tensors["embeddings.word_embeddings.weight"][6:18]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "texts.txt").write_text(lines(8))
    (tmp_path / "net.toml").write_text(AUDIT.replace("FOLDER", "net"))
    assert main(["audit", str(tmp_path / "net.toml"), "--samples", "8", "-q"]) == code
    assert verdict in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "groups", "output"),
    [
        ("BertModel", ["Mates", "Padding(8)"], "embedding=scalar"),
        ("BertForSequenceClassification", ["Mates", "Padding(8)"], "logits=scalar"),
        ("BertForMaskedLM", ["Causal", "Mates", "Padding(8)", "Padding(8,left)"], "logits=sequence"),
        ("BertForQuestionAnswering", ["S", "Shift(1)", "C2"], "start_logits=sequence"),  # no preset knows these
    ],
)
def test_without_a_claim_a_network_on_texts_is_asked_what_its_preset_asks(
    tmp_path: Path, kind: str, groups: list[str], output: str
) -> None:
    pooling = {"pooling": "mean"} if kind == "BertModel" else {}
    subject = load_subject(f"hf:{saved(tmp_path / 'net', kind)}", arguments=pooling)
    assert subject.encode is not None
    report = symcheck.audit(subject, None, dict(subject.encode(lines(24).splitlines())), samples=24, elements=8)
    claims = [str(claim) for claim in report.settings["claims"]]
    assert [claim.partition(":")[0] for claim in claims] == groups and all(output in claim for claim in claims)
    verdicts = {f.claim.partition(":")[0]: f.verdict for f in report.findings}
    healthy = {"Mates", "Padding(8)"} & {*groups}
    assert report.proposed and {verdicts[name] for name in healthy} <= {Verdict.EXACT}
    assert {verdicts[name] for name in {*groups} - healthy} <= {Verdict.BROKEN}  # a mask that looks both ways
