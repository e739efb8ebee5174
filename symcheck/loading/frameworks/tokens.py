"""Texts to the tensors that a network of transformers takes, with the tokenizer in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from symcheck.errors import DataError

_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
_UNLIMITED = 1_000_000  # a tokenizer that states no length states a number of thirty digits


@dataclass(frozen=True)
class Tokens:
    """Texts -> {input_ids, attention_mask} (n, tokens), padded to the longest on the side that the tokenizer says.

    `limit` is the longest text that the network takes, in tokens (0: none stated); with `cut` longer ones are cut.
    """

    tokenizer: Any
    limit: int = 0
    cut: bool = False

    def __call__(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Raises DataError for a text that is too long for the network."""
        limited = {"truncation": True, "max_length": self.limit} if self.cut else {}
        found: Mapping[str, Tensor] = self.tokenizer(list(texts), padding=True, return_tensors="pt", **limited)
        if not self.cut and self.limit:
            lengths = found["attention_mask"].sum(1)
            if int(lengths.max()) > self.limit:
                raise DataError(
                    f"text {int(lengths.argmax()) + 1} has {int(lengths.max())} tokens, the network takes {self.limit}",
                    where="the texts of the inputs",
                    hint=f"shorten it, or say -m max_length={self.limit} to cut every text there",
                )
        kinds = found.get("token_type_ids")
        plain = kinds is not None and not bool(kinds.any())  # all zero is what the network takes without them
        return {str(name): x for name, x in found.items() if not (plain and name == "token_type_ids")}


def tokens_of(transformers: Any, folder: Path, side: str, longest: int) -> tuple[Tokens | None, list[str]]:
    """The tokenizer of a folder, None where it has none, and notes; `side` and `longest` beat what it says itself."""
    if not any((folder / name).is_file() for name in _FILES):
        return None, []
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    notes = []
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
        notes.append("the tokenizer has no padding token: its last token stands in, behind the mask")
    if side:
        tokenizer.padding_side = side
    stated = int(tokenizer.model_max_length)
    limit = longest or (stated if stated < _UNLIMITED else 0)
    return Tokens(tokenizer, limit, cut=bool(longest)), notes
