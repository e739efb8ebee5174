"""What every word of a report means: topics in `text/*.md`, one file a chapter, one heading a topic. No torch.

To add a topic, add a heading with a paragraph; to add a chapter, add a file.
"""

from __future__ import annotations

from symcheck.topics.book import Chapter, Topic, chapters, parse
from symcheck.topics.find import chapter_of, explained, unknown_words

__all__ = ["Chapter", "Topic", "chapter_of", "chapters", "explained", "parse", "unknown_words"]
