"""Every name of the code has a topic, every topic is about something that is there, and each says what it must."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path

import pytest
from rich.console import Console

from symcheck.actions.base import actions
from symcheck.align.matchers import MATCHERS
from symcheck.claim import Claim
from symcheck.cli.main import BROKEN_PIPE, DEFECT, INTERRUPTED, UNCONCLUDED
from symcheck.connect.variants import PATHS
from symcheck.connect.walk import Treatment
from symcheck.explaining.explainers import explainers
from symcheck.gate.checks import WORDS
from symcheck.gate.config import Gate, Waiver
from symcheck.groups.base import groups
from symcheck.loading.loaders import loaders
from symcheck.loading.sniff import Kind
from symcheck.locate.locate import PARTS as LOCATED
from symcheck.merge.methods import methods
from symcheck.preset import built_in
from symcheck.report.formats import PRINTED, SUFFIXES
from symcheck.report.model import Error, Floor, Scale, Verdict
from symcheck.report.outcome import EXIT, Status
from symcheck.report.page import Page
from symcheck.topics import Chapter, Topic, chapters
from symcheck.weights.spec import KINDS

TEXTS = Path(__file__).parents[2] / "symcheck" / "topics" / "text"
TOPICS = [topic for chapter in chapters() for topic in chapter.topics]
NO_FORMATS = {Kind.POINTER, Kind.EMPTY, Kind.UNKNOWN, Kind.LEGACY}  # what a file is when it is none of them, or old
INTERVALS = re.compile(r"q\d\d_(low|high)|low|high")


def names(of: type) -> set[str]:
    return {field.name for field in fields(of)}


# What the topics of a chapter are about: all of it must be there, and for some chapters nothing else.
WHOLE: dict[str, Callable[[], Collection[str]]] = {
    "groups": groups.names,
    "actions": actions.names,
    "matchers": lambda: MATCHERS,
    "methods": methods.names,
    "explainers": explainers.names,
    "paths": lambda: PATHS,
    "variants": lambda: {"naive", "aligned", *Treatment} - {"plain"},
    "symmetries": lambda: KINDS,
    "verdicts": lambda: list(Verdict),
    "statuses": lambda: list(Status),
    "checks": lambda: WORDS["check"],
    "statistics": lambda: {name for name in names(Scale) if not INTERVALS.fullmatch(name)} | {"median", "worst"},
    "floors": lambda: names(Floor) - {"low", "high", "how"},
    "codes": lambda: {str(code) for code in (*EXIT.values(), UNCONCLUDED, DEFECT, INTERRUPTED, BROKEN_PIPE)},
    "presets": built_in,
    "gates": lambda: (names(Gate) | names(Waiver)) - {"id", "place"}
    | {"certificate", "waiver", "baseline", "until-decided"},
}
PART: dict[str, Callable[[], Collection[str]]] = {
    "metrics": lambda: {*names(Error), *WORDS["metric"], "certificate", "barrier"},
    "statistics": lambda: WORDS["stat"],
    "formats": lambda: {*(set(Kind) - NO_FORMATS), *PRINTED, *(suffix.strip(".") for suffix in SUFFIXES)},
    "frameworks": loaders.names,
    "locating": lambda: ({*LOCATED} - {"group"} | {"subgroups", "attribution", "own defect", "hidden action", "cause"}),
    "discovering": lambda: ("generators", "Killing form", "finite symmetries", "representation", "profile", "frame"),
    "words": lambda: ("group", "element", "action", "orbit", "claim", "subject", "finding", "report", "tolerance"),
}


def plain(name: str) -> str:
    return name.partition("(")[0].removeprefix("exit ")


def unexplained(chapter: str, wanted: Collection[str], topics: Collection[Topic] = tuple(TOPICS)) -> set[str]:
    return set(wanted) - {plain(name) for topic in topics if topic.chapter == chapter for name in topic.names}


def orphans(chapter: str, wanted: Collection[str], topics: Collection[Topic] = tuple(TOPICS)) -> set[str]:
    found = {plain(name) for topic in topics if topic.chapter == chapter for name in topic.names}
    return found - set(wanted) - {"gate"}


@pytest.mark.parametrize("chapter", WHOLE)
def test_every_name_has_a_topic_and_no_topic_is_orphaned(chapter: str) -> None:
    wanted = {str(name) for name in WHOLE[chapter]()}
    assert (unexplained(chapter, wanted), orphans(chapter, wanted)) == (set(), set())


@pytest.mark.parametrize("chapter", PART)
def test_every_name_has_a_topic_among_others(chapter: str) -> None:
    assert unexplained(chapter, {str(name) for name in PART[chapter]()}) == set()


def test_a_planted_missing_topic_is_found_and_a_planted_orphan() -> None:
    wanted = groups.names()
    without = [topic for topic in TOPICS if topic.name != "Oh"]
    assert unexplained("groups", wanted, without) == {"Oh"}
    assert orphans("groups", [name for name in wanted if name != "Oh"]) == {"Oh"}


def test_every_chapter_is_compared_with_the_code() -> None:
    assert {chapter.name for chapter in chapters()} == WHOLE.keys() | PART.keys()


def test_every_file_is_a_chapter_of_its_own_name() -> None:
    assert [path.stem.partition("-")[2] for path in sorted(TEXTS.glob("*"))] == [c.name for c in chapters()]


def test_no_name_stands_twice_in_a_chapter() -> None:
    for chapter in chapters():
        all_names = [name for topic in chapter.topics for name in topic.names]
        assert len(all_names) == len(set(all_names)), chapter.name


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: f"{topic.chapter} {topic.name}")
def test_a_topic_is_well_made(topic: Topic) -> None:
    assert len(topic.summary) <= 130 and topic.summary[-1] in ".?!"
    for label, words in topic.paragraphs:
        assert words and not words.startswith(":"), label
        assert topic.chapter == "gates" or label == "Example" or words[-1] in ".?!", words
        assert not re.search(r"(^|\s)(Formula|Example|Source|Do):", words), "a label in the middle of a paragraph"
    for source in topic.said("Source"):
        for number in re.findall(r"arXiv:(\S+)", source):
            assert re.fullmatch(r"(\d{4}\.\d{5}|[a-z-]+/\d{7})[.,;]?", number), number


@pytest.mark.parametrize("chapter", chapters(), ids=lambda chapter: chapter.name)
def test_a_terminal_that_shows_only_ascii_shows_every_formula(chapter: Chapter) -> None:
    page = Page(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), width=100))
    words = [words for topic in chapter.topics for _, words in topic.paragraphs]
    shown = [page.text(one).plain for one in words]
    assert [a for a, b in zip(words, shown, strict=True) if a.count("?") != b.count("?")] == []


CLAIMS = [(t, e) for t in TOPICS if t.chapter != "gates" for e in t.said("Example")]


@pytest.mark.parametrize(("topic", "example"), CLAIMS, ids=[f"{t.name} {e}" for t, e in CLAIMS])
def test_an_example_is_a_claim_that_uses_its_topic(topic: Topic, example: str) -> None:
    claim = Claim.parse(example)
    assert str(claim) == example
    if topic.chapter in ("groups", "actions"):
        assert any(re.search(rf"(?<![\w(=]){re.escape(plain(name))}(?![a-z])|={plain(name)}\b", example)
                   for name in topic.names)  # fmt: skip


@pytest.mark.parametrize("topic", [t for t in TOPICS if t.chapter == "gates"], ids=lambda topic: topic.name)
def test_an_example_of_a_gate_is_toml_with_a_known_key(topic: Topic) -> None:
    for example in topic.said("Example"):
        (key,) = tomllib.loads(example)
        assert key in names(Gate) | names(Waiver) | {"baseline"}


def test_commands_that_are_named_exist() -> None:
    from typer.main import get_command

    from symcheck.cli.main import app

    text = "".join(path.read_text(encoding="utf-8") for path in TEXTS.glob("*"))
    named = set(re.findall(r"`symcheck ([a-z]+)", text))
    assert len(named) >= 8
    assert named <= set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_numbers_that_are_stated() -> None:
    """Facts of the texts that can be computed."""
    from math import ceil, log

    from symcheck.gate.certificate import draws_needed, violating_fraction
    from symcheck.groups import make_group
    from symcheck.measure.audit import Options
    from symcheck.measure.floors import RATIO

    assert 0.99**299 < 0.05 < 0.99**298
    assert draws_needed(0.01, 0.95) == ceil(log(0.05) / log(0.99)) == 299
    assert violating_fraction(0, 299, 0.95) <= 0.01
    assert violating_fraction(0, 299, 0.95) == pytest.approx(1 - 0.05 ** (1 / 299))
    assert (RATIO, Options().tolerance) == (3.0, 1e-3)
    orders = {"O": 24, "T": 12, "I": 60, "Th": 24, "Oh": 48, "Ih": 120, "D4": 8, "A(5)": 60, "Sign(3)": 8}
    assert {name: make_group(name).order for name in orders} == orders
    assert "[-10, 10]^3" in make_group("SE(3)").law and "[-2, 2]^3" in make_group("SE(3,2)").law
    assert "[0, 2]" in make_group("SO(1,3)").law and "[0, 1]" in make_group("GL+(3)").law
