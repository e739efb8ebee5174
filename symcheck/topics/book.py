"""The texts of `text/*.md` as frozen data.

    # verdicts | answers: what is said of a claim     the chapter: its names and what it is about
    ...                                         an introduction
    Requires: Formula, Do                       what every topic of it must say

    ## exact                                    a topic; names that mean the same stand beside it: `a | b`
    Nothing beyond rounding.                    the first sentence is its summary
    Formula: ...                                a paragraph that starts with a label

The topics of the chapter of presets are the comments at the head of `symcheck/presets/*.toml`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from symcheck.errors import ConfigError
from symcheck.preset import built_in, header

LABELS = ("Formula", "Example", "Source", "Do")
_LABELLED = re.compile(rf"({'|'.join(LABELS)}): +(.*)", re.S)
_SENTENCE = re.compile(r"(.*?[.!?])(\s|$)", re.S)


@dataclass(frozen=True)
class Topic:
    """One word of a chapter: its names, the first of which heads it, and its paragraphs as (label or nothing, text)."""

    chapter: str
    names: tuple[str, ...]
    paragraphs: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The name in the heading."""
        return self.names[0]

    @property
    def summary(self) -> str:
        """The first sentence."""
        found = _SENTENCE.match(self.paragraphs[0][1]) if self.paragraphs else None
        return found[1] if found else ""

    def said(self, label: str) -> tuple[str, ...]:
        """The paragraphs under one label."""
        return tuple(text for own, text in self.paragraphs if own == label)


@dataclass(frozen=True)
class Chapter:
    """The topics of one kind, in the order of the file, and the labels that each of them must have."""

    names: tuple[str, ...]
    about: str
    introduction: str
    requires: tuple[str, ...]
    topics: tuple[Topic, ...]

    @property
    def name(self) -> str:
        """The name of its file, and of what `symcheck list` lists."""
        return self.names[0]


@lru_cache(maxsize=1)
def chapters() -> tuple[Chapter, ...]:
    """Every chapter, in the order of the names of the files."""
    folder = files("symcheck.topics") / "text"
    texts = sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir() if file.is_file())
    return tuple(parse(text + _own(name), name) for name, text in texts if name.endswith(".md"))


def _own(name: str) -> str:
    """Topics that are written elsewhere: presets say in their files what they are for."""
    if not name.endswith("-presets.md"):
        return ""
    heads = ((preset, header(path.read_text(encoding="utf-8"))) for preset, path in built_in().items())
    return "".join(f"\n## {preset}\n{head}\n" for preset, head in heads)


def parse(text: str, where: str) -> Chapter:
    """The chapter that a file holds. Raises ConfigError when a heading has nothing under it or a label is missing."""
    head, *rest = re.split(r"^## ", text, flags=re.M)
    title, _, body = head.partition("\n")
    heading, colon, about = title.removeprefix("# ").partition(": ")
    names = tuple(name.strip() for name in heading.split(" | "))
    if not (title.startswith("# ") and colon):
        raise _fault("the first line is no title", where, "write '# name: what it is about'")
    required = re.search(r"^Requires: (.*)$", body, flags=re.M)
    requires = tuple(word.strip() for word in required[1].split(",")) if required else ()
    if unknown := [label for label in requires if label not in LABELS]:
        raise _fault(f"'{unknown[0]}' is no label", where, f"use {', '.join(LABELS)}")
    introduction = re.sub(r"^Requires: .*$", "", body, flags=re.M)
    topics = tuple(_topic(names[0], one, requires, where) for one in rest)
    return Chapter(names, about.strip(), _flowing(introduction), requires, topics)


def _topic(chapter: str, text: str, requires: tuple[str, ...], where: str) -> Topic:
    heading, _, body = text.partition("\n")
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", body.strip()):
        labelled = _LABELLED.fullmatch(paragraph.strip())
        paragraphs.append((labelled[1], _flowing(labelled[2])) if labelled else ("", _flowing(paragraph)))
    found = Topic(chapter, tuple(name.strip() for name in heading.split(" | ")), tuple(paragraphs))
    if paragraphs[0][0] or not found.summary:
        raise _fault(f"'{found.name}' does not say what it is", where, "begin with a sentence")
    if missing := [label for label in requires if not found.said(label)]:
        raise _fault(f"'{found.name}' has no '{missing[0]}'", where, f"add a paragraph '{missing[0]}: ...'")
    return found


def _flowing(text: str) -> str:
    """The words of a paragraph in one line."""
    return " ".join(text.split())


def _fault(what: str, where: str, hint: str) -> ConfigError:
    return ConfigError(f"this text explains nothing: {what}", where=where, hint=hint)
