"""A small network of transformers in a folder, with a tokenizer of a few words; nothing may reach for the internet."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "under", "mat", "house", "old", "red", "big"]
TEXTS = ["The cat sat on the mat", "old dog ran", "a big red house", "the dog sat under the old house on the mat"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("the loader reached for the internet")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def saved(
    folder: Path, kind: str = "BertModel", words: Sequence[str] = WORDS, lower: bool = True, **config: Any
) -> Path:
    """A small network with biases and generic weights, and a tokenizer of a few words."""
    folder.mkdir(exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", *words]
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
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32, do_lower_case=lower)
    tokenizer.save_pretrained(folder)
    return folder
