"""A configuration is read whole or refused with file, line and what to do; nothing in it goes unread."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from symcheck.cli.main import main
from symcheck.errors import ConfigError, LoadError, SymcheckError
from symcheck.gate.config import GateFile, find_config, read_gates
from symcheck.gate.lines import tables
from symcheck.loading import read_subject_file

TODAY = datetime.date(2030, 1, 15)
SUBJECT = 'checkpoint = "net.safetensors"\nmodel = "net.py:Net"\ninputs = "x.npz"\n'
GATE = '[[gate]]\nid = "turns"\nclaim = "C4: image -> invariant"\nlimit = 0.01\n'


def written(folder: Path, text: str, name: str = "symcheck.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, name: str = "symcheck.toml") -> GateFile:
    return read_gates(written(folder, text, name), TODAY)


def test_a_whole_configuration(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        'baseline = "base.jsonl"\n[subject.net]\n' + SUBJECT + '[subject.other]\nmodel = "net.py:Other"\n'
        '[[gate]]\nid = "turns"\nsubject = "net"\nclaim = "C4:image->invariant"\noutput = "logits"\npart = "proper"\n'
        'metric = "relative"\nstat = "q95"\nlimit = 1\nratchet = 0.1\nallow = ["trivial"]\nsamples = 8\nelements = 4\n'
        '[[gate]]\nid = "sure"\nsubject = "net"\nclaim = "SO(3): points -> scalar"\nlimit = 1e-3\nfraction = 0.01\n'
        'confidence = 0.99\n[[gate]]\nid = "hands"\nsubject = "other"\nclaim = "O(3): points -> scalar"\n'
        'expect = "breaks"\n[[gate]]\nid = "basin"\nsubject = "net"\ncheck = "barrier"\nagainst = "b.pt"\nlimit = 0.1\n'
        'align = true\nspec = "s.toml"\n[[gate]]\nid = "same"\nsubject = "net"\ncheck = "same-function"\n'
        'against = "b.pt"\n[[gate]]\nid = "proof"\nsubject = "net"\ncheck = "weights"\n'
        '[[waiver]]\ngate = "turns"\nreason = "known"\nuntil = 2030-01-15\n',
    )
    turns, sure, hands, basin, same, proof = config.gates
    assert turns.claim == "C4: image -> invariant" and turns.limit == 1 and turns.allow == ("trivial",)
    assert (turns.metric, turns.stat, turns.output, turns.part) == ("relative", "q95", "logits", "proper")
    assert (sure.fraction, sure.confidence, hands.expect, hands.limit) == (0.01, 0.99, "breaks", None)
    assert basin.against == str(tmp_path / "b.pt") and basin.spec == str(tmp_path / "s.toml") and basin.align
    assert same.verdict == "exact" and proof.check == "weights"
    assert config.subject(turns).checkpoint == str(tmp_path / "net.safetensors")
    assert config.waivers[0].until == TODAY and config.baseline == str(tmp_path / "base.jsonl")
    assert turns.place.line == 8 and proof.place.line > same.place.line > basin.place.line


def test_the_only_subject_needs_no_name(tmp_path: Path) -> None:
    for head, name in ((SUBJECT, "net"), ("[subject.mine]\n" + SUBJECT, "mine")):
        gate = read(tmp_path, head + GATE).gates[0]
        assert gate.subject == ("" if name == "net" else name)


def test_pyproject_and_a_file_of_its_own_say_the_same(tmp_path: Path) -> None:
    own = read(tmp_path, "[subject.a]\n" + SUBJECT + GATE)
    table = ("[subject.a]\n" + SUBJECT + GATE).replace("[subject", "[tool.symcheck.subject")
    other = read(tmp_path, table.replace("[[gate", "[[tool.symcheck.gate"), "pyproject.toml")
    assert [vars(g) | {"place": 0} for g in own.gates] == [vars(g) | {"place": 0} for g in other.gates]
    assert own.subjects == other.subjects and other.gates[0].place.line == own.gates[0].place.line


def test_a_subject_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub", SUBJECT, "potential.toml")
    gate = GATE + 'subject = "sub/potential.toml"\n'
    config = read(tmp_path, gate)
    assert config.subject(config.gates[0]).checkpoint == str(tmp_path / "sub" / "net.safetensors")


def test_audits_read_the_subject_beside_gates(tmp_path: Path) -> None:
    path = written(tmp_path, SUBJECT + GATE)
    assert read_subject_file(path).model == str(tmp_path / "net.py:Net")
    with pytest.raises(ConfigError, match="gates"):
        read_subject_file(written(tmp_path, SUBJECT + GATE.replace("[[gate]]", "[[gates]]")))


BAD = {
    "unknown key": ("clam = 1", "unknown key 'clam' of a gate", "claim", "symcheck.toml:8"),
    "unknown word": ('metric = "spred"', "unknown metric 'spred'", "spread", ":8"),
    "kind of a number": ('ratchet = "0.1"', "'ratchet' must be a number", "'0.1'", ":8"),
    "negative": ("ratchet = -1", "not negative", "-1", ":8"),
    "not finite": ("ratchet = nan", "not negative", "nan", ":8"),
    "boolean": ("samples = true", "whole number", "True", ":8"),
    "fraction": ("fraction = 1.5", "between 0 and 1", "1.5", ":8"),
    "allow": ('allow = ["broken"]', "trivial", "broken", ":8"),
    "two answers": ('verdict = "exact"', "both a limit and a verdict", "limit = 0.01", ":4"),
    "unread": ('against = "b.pt"', "does not read", "remove against", ":8"),
    "too many pairs": ("fraction = 1e-9", "independent pairs", "larger fraction", ":8"),
    "a break of nothing": ('expect = "breaks"\nallow = ["trivial"]', "allows that nothing", "remove allow", ":9"),
    "enormous": ("ratchet = 1" + "0" * 400, "not negative", "1000", ":8"),
    "share": ('metric = "share"\nstat = "max"', "one number", "remove stat", ":9"),
    "confidence alone": ("confidence = 0.9", "no fraction", "fraction", ":8"),
    "certificate of a mean": ('fraction = 0.1\nstat = "max"', "certificate", "remove stat", ":8"),
    "ratchet of a break": ('expect = "breaks"\nratchet = 0.1', "should be small", "remove", ":9"),
    "unknown subject": ('subject = "nett"', "no subject of this file", "known|\\[subject", ":8"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_its_line(name: str, tmp_path: Path) -> None:
    extra, message, hint, place = BAD[name]
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, SUBJECT + GATE + extra + "\n")
    assert message in caught.value.message
    assert any(word in caught.value.hint for word in hint.split("|")) or "\\" in hint
    assert place in caught.value.where


@pytest.mark.parametrize(("text", "message"), [
    (SUBJECT, "there is no gate"),
    ("", "there is no gate"),
    (SUBJECT + '[[gate]]\nclaim = "C4: image -> invariant"\nlimit = 1\n', "must have an id"),
    (SUBJECT + GATE + GATE, "two gates are called 'turns'"),
    (SUBJECT + '[[gate]]\nid = "a"\nlimit = 1\n', "has no claim"),
    (SUBJECT + '[[gate]]\nid = "a"\nclaim = "C4: image -> invariant"\n', "neither a limit nor a verdict"),
    (SUBJECT + '[[gate]]\nid = "a"\nclaim = "C4: image > invariant"\nlimit = 1\n', "C4: image > invariant"),
    (SUBJECT + '[[gate]]\nid = "a"\ncheck = "barrier"\nlimit = 1\n', "no second checkpoint"),
    (SUBJECT + '[[gate]]\nid = "a"\ncheck = "barrier"\nagainst = "b"\n', "no limit"),
    (SUBJECT + '[[gate]]\nid = "a"\ncheck = "barrier"\nagainst = "b"\nlimit = 1\nspec = "s"\n', "does not align"),
    (SUBJECT + '[[gate]]\nid = "a"\ncheck = "weights"\nlimit = 1\n', "a proof does not have"),
    (SUBJECT + "gate = 3\n", "[[gate]]"),
    (SUBJECT + "[gate]\nid = 'a'\n", "[[gate]]"),
    ("[subject.a]\n" + SUBJECT + "[subject.b]\n" + SUBJECT + GATE, "does not say for which subject"),
    (GATE, "does not say for which subject"),
    ("[subject.a]\nchekpoint = 'x'\n" + GATE, "unknown key 'chekpoint'"),
    ("chekpoint = 'x'\n" + GATE, "unknown key 'chekpoint'"),
    ("baseline = 3\n" + SUBJECT + GATE, "'baseline' must be a file name"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turns"\nuntil = 2031-01-01\n', "must have 'reason'"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turns"\nreason = ""\nuntil = 2031-01-01\n', "must have 'reason'"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turns"\nreason = " "\nuntil = 2031-01-01\n', "must have 'reason'"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turns"\nreason = "r"\n', "must have 'until'"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turns"\nreason = "r"\nuntil = "2031-01-01"\n', "must be a date"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turn"\nreason = "r"\nuntil = 2031-01-01\n', "which is no gate"),
    (SUBJECT + GATE + '[[waiver]]\ngate = "turns"\nreason = "r"\nuntil = 2030-01-14\n', "expired on 2030-01-14"),
    ("[[gate\n", "not TOML"),
])  # fmt: skip
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SymcheckError) as caught:
        read(tmp_path, text)
    assert message in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.where and caught.value.hint


def test_a_missing_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoadError, match="no such file"):
        read_gates(tmp_path / "symcheck.toml", TODAY)
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "[project]\nname = 'x'\n", "pyproject.toml")
    with pytest.raises(ConfigError, match="no configuration"):
        find_config(None)
    written(tmp_path, "[tool.symcheck]\n", "pyproject.toml")
    assert find_config(None) == Path("pyproject.toml")
    written(tmp_path, "", "symcheck.toml")
    assert find_config(None) == Path("symcheck.toml")


def test_lines_are_found_beside_comments_and_texts_of_several_lines() -> None:
    text = 'note = """\n[[gate]]\n"""\n# [[gate]]\n[[ gate ]] # first\n  id = "a"\n[other]\nid = 1\n'
    text += '[[gate]]\n"id"="b"\n'
    one, two = tables(text, "gate", 2)
    assert (one.start, one.of("id"), two.start, two.of("id"), two.of("claim")) == (5, 6, 9, 10, 9)
    assert [lines.start for lines in tables("gate = [{id = 'a'}]", "gate", 1)] == [1]


@pytest.mark.parametrize(("claim", "hint"), [("C4: imaeg -> invariant", "image"), ("Sift: shift -> shift", "Shift")])
def test_words_that_nobody_knows_are_refused(
    claim: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SUBJECT + GATE.replace("C4: image -> invariant", claim))
    assert main(["gate", str(path), "--check-config"]) == 2
    found = capsys.readouterr().err
    assert f"'{hint}'" in found and "symcheck.toml:4" in found


def test_a_check_says_what_is_not_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, SUBJECT + GATE)
    assert main(["gate", str(path), "--check-config"]) == 2
    assert "the code of the model is not here" in capsys.readouterr().err
    (tmp_path / "net.py").touch()
    assert main(["gate", str(path), "--check-config"]) == 0
    out = capsys.readouterr().out
    assert "1 gate, 1 subject, 0 waivers" in out and out.count("not here") == 2 and "x.npz (inputs)" in out
    for name in ("x.npz", "net.safetensors"):
        (tmp_path / name).touch()
    assert main(["gate", str(path), "--check-config"]) == 0 and "not here" not in capsys.readouterr().out


def test_checking_a_configuration_loads_no_torch(tmp_path: Path) -> None:
    path = written(tmp_path, SUBJECT + GATE)
    (tmp_path / "net.py").touch()
    code = (
        "import sys\nfrom symcheck.cli.main import main\n"
        f"code = main(['gate', {str(path)!r}, '--check-config'])\n"
        "print(code, [m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
