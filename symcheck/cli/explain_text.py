"""Topics for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from symcheck.report.page import GAP, INDENT, Page
from symcheck.topics import Chapter, Topic

_WIDTH = 100  # columns; longer lines are hard to read
_LABEL = 8


def show_topics(page: Page, topics: Sequence[Topic]) -> None:
    """Each topic under its names: paragraphs, then what is labelled beside its label."""
    for i, topic in enumerate(topics):
        if i:
            page.line()
        heading = page.text(", ".join(topic.names), "bold")
        page.whole(Text.assemble(heading, page.text(f"  ({topic.chapter})", "dim")))
        for label, words in topic.paragraphs:
            cells = [(page.text(words), _room(page, INDENT))]
            if label:
                beside = _room(page, INDENT + _LABEL + GAP)
                cells = [(page.text(label.lower(), "bold"), _LABEL), (page.text(words), beside)]
            page.row(cells, INDENT)


def show_chapters(page: Page, chapters: Sequence[Chapter]) -> None:
    """Each chapter with its introduction and a line for every topic."""
    for i, chapter in enumerate(chapters):
        if i:
            page.line()
        page.whole(Text.assemble(page.text(chapter.name, "bold"), page.text(f"  {chapter.about}", "dim")))
        if len(chapters) == 1 and chapter.introduction:
            page.row([(page.text(chapter.introduction), _room(page, INDENT))], INDENT)
        show_lines(page, [(", ".join(topic.names), topic.summary) for topic in chapter.topics])


def show_lines(page: Page, lines: Sequence[tuple[str, str]]) -> None:
    """A name and a sentence on every line."""
    width = max((len(name) for name, _ in lines), default=0)
    for name, words in lines:
        page.row([(page.text(name, "bold"), width), (page.text(words), _room(page, INDENT + width + GAP))], INDENT)


def contents(chapter: Chapter) -> str:
    """A chapter as Markdown: its introduction and a list of its topics."""
    lines = [f"- **{', '.join(topic.names)}**: {topic.summary}" for topic in chapter.topics]
    return "\n\n".join(filter(None, (f"# {chapter.name}: {chapter.about}", chapter.introduction, "\n".join(lines))))


def section(topic: Topic) -> str:
    """A topic as Markdown."""
    said = [f"**{label}.** {words}" if label else words for label, words in topic.paragraphs]
    return "\n\n".join([f"## {', '.join(topic.names)} ({topic.chapter})", *said])


def _room(page: Page, taken: int) -> int:
    return max(min(page.width, _WIDTH) - taken, 20)
