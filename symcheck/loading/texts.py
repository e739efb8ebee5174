"""Texts as inputs: one a line of a .txt file, turned into tensors by the tokenizer that comes with the subject."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from symcheck.errors import ClaimError, DataError
from symcheck.files import readable, reason
from symcheck.grammar import parse_term
from symcheck.registry import suggest

Encode = Callable[[Sequence[str]], Mapping[str, Tensor]]
MAIN = "text"


def _shuffled(text: str, place: int, seed: int) -> str:
    words = text.split()
    random.Random(f"{seed} {place}").shuffle(words)
    return " ".join(words)


_CHANGES: dict[str, Callable[[str, int, int], str]] = {
    "upper": lambda text, place, seed: text.upper(),
    "lower": lambda text, place, seed: text.lower(),
    "shuffled": _shuffled,
}


def split_texts(sources: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The sources that are texts, a .txt file or a change of another one such as `upper(text)`, and the others."""
    texts = {name: source for name, source in sources.items() if Path(source).suffix == ".txt" or _change(source)}
    return texts, {name: source for name, source in sources.items() if name not in texts}


def load_texts(
    sources: Mapping[str, str], encode: Encode | None, *, samples: int, seed: int, base: Path
) -> dict[str, Tensor]:
    """The tensors of the first `samples` texts, all of one length; those of `upper=upper(text)` are `upper.input_ids`.

    The texts called `text`, or else the first file, give the names without a prefix. Changes: `upper(text)`,
    `lower(text)`, `shuffled(text)` (its words in another order). Raises DataError: no tokenizer, an empty line,
    files of different lengths; LoadError: a file that cannot be read.
    """
    if encode is None:
        raise DataError(
            "the inputs are texts, but the subject has no tokenizer",
            where=", ".join(f"{name}={source}" for name, source in sources.items()),
            hint="give a folder with a tokenizer (hf:FOLDER), or numbers: -i input_ids='integers(30000,16)'",
        )
    lines = {name: _lines(source, base) for name, source in sources.items() if not _change(source)}
    counts = {name: len(texts) for name, texts in lines.items()}
    if len(set(counts.values())) > 1:
        raise DataError(
            f"the inputs have different numbers of texts: {counts}",
            where="files of texts",
            hint="write one text a line in each",
        )
    for name, source in sources.items():
        if name not in lines:
            lines[name] = _changed(name, source, lines, seed)
    main = MAIN if MAIN in lines else next(iter(lines))
    chosen = {name: texts[:samples] for name, texts in lines.items()}
    together = encode([text for texts in chosen.values() for text in texts])
    found: dict[str, Tensor] = {}
    for i, (name, texts) in enumerate(chosen.items()):
        prefix = "" if name == main else f"{name}."
        found |= {f"{prefix}{key}": x[i * len(texts) : (i + 1) * len(texts)] for key, x in together.items()}
    return found


def _change(source: str) -> tuple[str, str] | None:
    """(change, name of the texts) of `upper(text)`."""
    try:
        term = parse_term(source)
    except ClaimError:
        return None
    return (term.name, term.args[0]) if term.name in _CHANGES and len(term.args) == 1 else None


def _changed(name: str, source: str, lines: Mapping[str, list[str]], seed: int) -> list[str]:
    change, of = _change(source) or ("", "")
    if of not in lines:
        raise DataError(f"there are no texts '{of}'", where=f"input '{name}'", hint=suggest(of, [*lines]))
    return [_CHANGES[change](text, i, seed) for i, text in enumerate(lines[of])]


def _lines(source: str, base: Path) -> list[str]:
    path = readable(base / Path(source).expanduser())
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"this is not text in UTF-8: {reason(error)}", where=str(path), hint="save it as UTF-8, one text a line"
        ) from error
    empty = next((i for i, line in enumerate(lines, 1) if not line.strip()), None if lines else 1)
    if empty is not None:
        raise DataError(f"line {empty} is empty", where=str(path), hint="write one text a line")
    return lines
