"""From what a user writes to the topics that explain it: names, `SO(3)`, `image(crop=4)`, products, whole claims."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

from symcheck.errors import ClaimError, ConfigError
from symcheck.grammar import ClaimTree, Term, parse_claim, parse_group
from symcheck.preset import PLUGINS
from symcheck.registry import plugins, suggest
from symcheck.topics.book import Chapter, Topic, chapters

_ANY = re.compile(r"[a-z]|…")  # an argument of a heading that stands for any: C(n), Shift(step, …)

# entry points of plug-ins by chapter
ADDED = {
    "groups": "symcheck.groups", "actions": "symcheck.actions", "presets": PLUGINS, "frameworks": "symcheck.loaders",
}  # fmt: skip


def explained(text: str) -> tuple[Topic, ...]:
    """The topics that `text` names, each once. Raises ConfigError with the closest names when there is none."""
    wanted = " ".join(text.split())
    return tuple(dict.fromkeys(_named(wanted) or _parsed(wanted)))


def chapter_of(text: str) -> Chapter | None:
    """The chapter that has this name, in any case, and with - or blanks for _."""
    return next((found for found in chapters() if _plain(text) in map(_plain, found.names)), None)


def unknown_words(claim: str) -> list[tuple[str, str]]:
    """The groups and actions of a claim that are neither built in nor a plug-in's, each with a hint.

    What is the user's own, `module:name` or `file.py:name`, is not looked for. Raises ClaimError when the
    text is no claim.
    """
    found = {}
    for term, chapter in _terms(parse_claim(claim)):
        known = names(chapter)
        if term.name in known or ":" in term.name:
            continue
        known += [entry.name for entry in plugins(ADDED[chapter])]
        if term.name not in known:
            found[term.name] = suggest(term.name, known, f"symcheck list {chapter} shows them all")
    return list(found.items())


def names(*wanted: str) -> list[str]:
    """Every name of the topics of these chapters, or of all, without the arguments of headings."""
    found = (topic for topic in _topics() if topic.chapter in wanted or not wanted)
    return list(dict.fromkeys(name.partition("(")[0] for topic in found for name in topic.names))


def _topics() -> Iterator[Topic]:
    return (topic for chapter in chapters() for topic in chapter.topics)


def _named(word: str) -> list[Topic]:
    """The topics with this very name; else in any case, and with - or blanks for _."""
    exact = [topic for topic in _topics() if word in topic.names]
    return exact or [topic for topic in _topics() if _plain(word) in map(_plain, topic.names)]


def _plain(word: str) -> str:
    return re.sub(r"[-_\s]+", " ", word.casefold()).strip(" .")


def _parsed(text: str) -> list[Topic]:
    """The topics of the terms of a claim, of a product of groups, or of one group or action."""
    try:
        if "->" in text:
            each = [_fitting(term, kind) or _unknown(term.name, kind) for term, kind in _terms(parse_claim(text))]
            return [topic for found in each for topic in found]
        terms = parse_group(text).factors
    except ClaimError:
        return _unknown(text)
    if len(terms) > 1:
        each = [_fitting(term, "groups") or _unknown(term.name, "groups") for term in terms]
        return [topic for found in (*each, _named("product")) for topic in found]
    return _fitting(terms[0], "groups") + _fitting(terms[0], "actions") or _unknown(terms[0].name)


def _terms(tree: ClaimTree) -> list[tuple[Term, str]]:
    """Every term of a claim with the chapter that it is from."""
    slots = [term for slot in (*tree.inputs, *tree.outputs) for term in slot.terms]
    return [(term, "groups") for term in tree.group.factors] + [(term, "actions") for term in slots]


def _unknown(word: str, *wanted: str) -> NoReturn:
    chaptered = [name for found in chapters() for name in found.names if not wanted]
    raise ConfigError(
        f"there is no topic '{word}'",
        where="symcheck explain",
        hint=suggest(word, [*names(*wanted), *chaptered], "symcheck explain --list shows them all"),
    )


def _fitting(term: Term, chapter: str) -> list[Topic]:
    """The topics of a chapter whose heading the term fits best: as it stands, as a pattern, or by name alone."""
    if ":" in term.name and chapter == "groups":  # a user's own relation
        term = Term("module:name")
    ranked = [(_rank(term, name), topic) for topic in _topics() if topic.chapter == chapter for name in topic.names]
    best = max((rank for rank, _ in ranked), default=0)
    return [topic for rank, topic in ranked if rank == best] if best else []


def _rank(term: Term, heading: str) -> int:
    """0 for another name, 1 for the same name, more where the arguments fit, most where they are the same."""
    own = parse_group(heading).factors[0]
    if own.name != term.name:
        return 0
    pairs = list(zip(own.args, term.args, strict=False))
    if len(own.args) != len(term.args) or not all(a == b or _ANY.fullmatch(a) for a, b in pairs):
        return 1
    return 2 + sum(a == b for a, b in pairs)
