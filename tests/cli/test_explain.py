"""`symcheck explain`: what a user writes finds its topics, and what nobody explains is refused."""

from __future__ import annotations

import pytest
from test_layers import loaded

from symcheck.cli.main import main
from symcheck.errors import ConfigError
from symcheck.topics import explained, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("broken", ["verdicts broken"]),
        ("Broken", ["verdicts broken"]),
        ("exit 2", ["codes 2"]),
        ("141", ["codes 141"]),
        ("C4", ["groups C(n)"]),
        ("D6", ["groups D(n)"]),
        ("C", ["groups C(n)"]),
        ("SO(3)", ["groups SO(n)"]),
        ("SO(1,3)", ["groups SO(1,n)"]),
        ("SO(1,3,0.5)", ["groups SO(n)", "groups SO(1,n)"]),
        ("lorentz group", ["words Lorentz group"]),
        ("O(3)", ["groups O(n)"]),
        ("O", ["groups O"]),
        ("T(3)", ["groups T(n)"]),
        ("T", ["groups T"]),
        ("S(16)", ["groups S"]),
        ("GL+(3,0.5)", ["groups GL+"]),
        ("irreps(16x0e+8x1o)", ["actions irreps"]),
        ("image(crop=4)", ["actions image"]),
        ("axes(h .)", ["actions axes"]),
        ("invariant", ["actions scalar"]),
        ("C4 x Shift(4)", ["groups C(n)", "groups Shift", "words product"]),
        ("C4: image -> invariant", ["groups C(n)", "actions image", "actions scalar"]),
        ("SO(3) x S: pos=points*nodes -> scalar",
         ["groups SO(n)", "groups S", "actions points", "actions nodes", "actions scalar"]),
        ("sign", ["symmetries sign"]),
        ("Sign", ["groups Sign"]),
        ("shift", ["actions shift", "symmetries shift"]),
        ("trivial", ["verdicts trivial", "actions scalar"]),
        ("linear  mode connectivity", ["words linear mode connectivity"]),
        ("until_decided", ["gates until-decided"]),
        ("REPAIR", ["variants repair"]),
    ],
)  # fmt: skip
def test_what_is_written_finds_its_topics(text: str, found: list[str]) -> None:
    assert [f"{topic.chapter} {topic.name}" for topic in explained(text)] == found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("brokn", "did you mean 'broken'?"),
        ("SE3x", "did you mean 'SE'?"),
        ("vectr(3)", "did you mean 'vector'"),
        ("C4 x Shft(4)", "did you mean 'Shift'?"),
        ("C4: imge -> invariant", "did you mean 'image'"),
        ("Q4: image -> invariant", "symcheck explain --list"),
        ("zzzz", "symcheck explain --list"),
        ("C4:", "symcheck explain --list"),
        ("image(", "did you mean 'image'"),
    ],
)
def test_what_nobody_explains_is_refused(text: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", text]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["symcheck", "where", "hint"]
    assert hint in err.splitlines()[2]


@pytest.mark.parametrize("args", [[], ["broken", "--list"], ["broken", "--format", "jsn"]])
def test_a_command_that_asks_nothing_is_refused(args: list[str]) -> None:
    assert main(["explain", *args]) == 2


def test_a_topic_says_its_formula_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "broken"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "broken  (verdicts)"
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == ["The", "formula", "do"]
    assert max(map(len, lines)) <= 100


def test_words_that_belong_together_need_no_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "linear", "mode", "connectivity"]) == 0
    assert "linear mode connectivity" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["codes"], ["exit code"], ["exit", "codes"], ["Exit-Code"]])
def test_a_chapter_has_more_names_than_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *words]) == 0
    out = capsys.readouterr().out
    assert out.startswith("codes  what the exit code") and "130, exit 130" in out


def test_a_misspelt_chapter_is_answered_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "exit cods"]) == 2
    assert "did you mean 'exit codes'" in capsys.readouterr().err


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "share", "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("## share (metrics)\n\n")
    assert "**Formula.** share = √(V / (V + D))" in out


def test_a_chapter_is_explained_by_its_topics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "verdicts"]) == 0
    brief = capsys.readouterr().out
    assert main(["explain", "--list", "--format", "markdown"]) == 0
    whole = capsys.readouterr().out
    assert "inconclusive  " in brief
    assert whole.count("\n# ") + 1 >= 15 and "- **inconclusive**: " in whole


HEALTHY = """# verdicts | answers: what is said

Introduction.

Requires: Do

## fine | good
It is fine. Really.

Do: Nothing.
"""


def test_a_chapter_is_read() -> None:
    chapter = parse(HEALTHY, "a.md")
    assert (chapter.name, chapter.about, chapter.introduction) == ("verdicts", "what is said", "Introduction.")
    assert chapter.names == ("verdicts", "answers")
    (topic,) = chapter.topics
    assert (topic.names, topic.summary, topic.said("Do")) == (("fine", "good"), "It is fine.", ("Nothing.",))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# verdicts | answers: what is said", "verdicts", "no title"),
        ("# verdicts | answers: what is said", "# verdicts", "no title"),
        ("Do: Nothing.\n", "", "'fine' has no 'Do'"),
        ("It is fine. Really.\n\n", "", "'fine' does not say what it is"),
        ("It is fine. Really.", "fine", "'fine' does not say what it is"),
        ("Requires: Do", "Requires: Dont", "'Dont' is no label"),
        ("Requires: Do", "Requires: Do, Formula", "'fine' has no 'Formula'"),
    ],
)
def test_a_planted_fault_in_a_text_is_found(old: str, new: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        parse(HEALTHY.replace(old, new), "a.md")


@pytest.mark.parametrize("args", [["broken"], ["C4 x S: image*channels -> scalar"], ["--list"], ["nothing"]])
def test_explaining_loads_nothing_heavy(args: list[str]) -> None:
    assert loaded(f"from symcheck.cli.main import main\nmain({['explain', *args]!r})") == set()
