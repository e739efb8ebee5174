"""Options that take one of a few words: refused with a suggestion, completed by the shell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from symcheck.errors import ConfigError
from symcheck.registry import suggest

Pairs = list[tuple[str, str]]
Complete = Callable[[str], Pairs]


def check_choice(word: str, known: Collection[str], flag: str) -> None:
    """Raise ConfigError, with the closest of the known words, when `word` is none of them."""
    if word not in known:
        raise ConfigError(f"unknown {flag.lstrip('-').lower()} '{word}'", where=flag, hint=suggest(word, [*known]))


def words(*known: str) -> Complete:
    """Completion from a fixed list."""
    return lambda incomplete: _fitting(((word, "") for word in known), incomplete)


def names(chapter: str) -> Complete:
    """Completion from the names of one chapter of the topics."""

    def complete(incomplete: str) -> Pairs:
        from symcheck.topics import chapters

        topics = (topic for found in chapters() if found.name == chapter for topic in found.topics)
        return _fitting(((topic.name.partition("(")[0], topic.summary) for topic in topics), incomplete)

    return complete


def kinds(incomplete: str) -> Pairs:
    """Completion of what can be listed: the chapters."""
    from symcheck.topics import chapters

    return _fitting(((chapter.name, chapter.about) for chapter in chapters()), incomplete)


def topics(incomplete: str) -> Pairs:
    """Completion of what can be explained: topics and whole chapters."""
    from symcheck.topics import chapters

    found = ((topic.name, topic.summary) for chapter in chapters() for topic in chapter.topics)
    return [*_fitting(found, incomplete), *kinds(incomplete)]


def _fitting(pairs: Iterable[tuple[str, str]], incomplete: str) -> Pairs:
    """The pairs that begin as the word does, each word once."""
    return [pair for pair in dict(pairs).items() if pair[0].startswith(incomplete)]
