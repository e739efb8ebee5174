"""all-MiniLM-L6-v2 as people have it: a folder of transformers and a file of texts, by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentences

from symcheck.cli.main import main

pytestmark = pytest.mark.slow

TEXTS = """the cat sat on the mat
a dog ran
prices rose in the second quarter
an old man and a young child ran near the cold river
red houses
the dog is happy under the big tree today
she reads
who wrote the letter that came this morning?"""
SEEN = "input_ids=tokens, attention_mask=mask"
UPPER = "upper.input_ids=variant, upper.attention_mask=variant"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    sentences.transformers()  # or skip
    (tmp_path / "texts.txt").write_text(TEXTS)
    monkeypatch.chdir(tmp_path)
    return f"hf:{sentences.folder()}"


@pytest.mark.parametrize(
    ("claim", "code", "verdict"),
    [
        (f"Mates: {SEEN} -> embedding=scalar", 0, "exact"),
        (f"Padding(8): {SEEN} -> embedding=scalar", 0, "exact"),
        (f"Variant(upper): {SEEN}, {UPPER} -> embedding=scalar", 1, "trivial"),
        ("S: input_ids=sequence, attention_mask=sequence -> embedding=invariant", 1, "broken"),
    ],
)
def test_batches_and_padding_hold_word_order_breaks_and_upper_case_never_arrives(
    folder: str, claim: str, code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = ["-i", "text=texts.txt", *(["-i", "upper=upper(text)"] if "upper" in claim else [])]
    asked = ["--output", "embedding", "-m", 'pooling="mean"', "-m", "normalize=true"]
    amount = ["--samples", "8", "--elements", "4", "-q"]
    assert main(["audit", folder, claim, *inputs, *asked, *amount]) == code
    assert verdict in capsys.readouterr().out
