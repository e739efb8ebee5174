"""The words of a claim are known without torch: built-in ones, those of plug-ins, and functions of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import loaded

from symcheck.actions.base import actions
from symcheck.errors import ClaimError
from symcheck.groups.base import groups
from symcheck.topics import unknown_words

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("SO(3): pos=pionts -> energy=scalar", [("pionts", "did you mean 'points' or 'positions'?")]),
        ("SO(3): points -> points*nodse", [("nodse", "did you mean 'nodes'?")]),
        ("C4 x Shft(4): image -> invariant", [("Shft", "did you mean 'Shift'?")]),
        ("Z(3): image, image -> q, q", [
            ("Z", "symcheck list groups shows them all"), ("q", "symcheck list actions shows them all"),
        ]),
        ("image: C4 -> invariant", [
            ("image", "did you mean 'Mates'?"), ("C4", "symcheck list actions shows them all"),
        ]),
    ],
)  # fmt: skip
def test_an_unknown_word_is_found_once_with_its_hint(claim: str, found: list[tuple[str, str]]) -> None:
    assert unknown_words(claim) == found


@pytest.mark.parametrize(
    "claim",
    [
        "C4 x Shift(4): image -> invariant",
        "SO(3) x S: pos=points*nodes, y=ignore -> scalar",
        "S(16): w1=axes(h .), b1=axes(h), w2=axes(. h) -> scalar",
        "C4: image -> mine.py:turned",
        "C4: package.module:turned -> folder/mine.py:turned(rowwise)",
        "folder/mine.py:law: x=scalar -> y=scalar",
    ],
)
def test_a_good_claim_has_none(claim: str) -> None:
    assert unknown_words(claim) == []


@pytest.mark.parametrize("group", groups.names())
def test_every_group_is_known(group: str) -> None:
    assert unknown_words(f"{group}(3): scalar -> scalar") == []


@pytest.mark.parametrize("action", actions.names())
def test_every_action_is_known(action: str) -> None:
    assert unknown_words(f"C4: x={action} -> y={action}") == []


def test_what_is_no_claim_is_refused() -> None:
    with pytest.raises(ClaimError, match="has no ':'"):
        unknown_words("C4 image -> invariant")


@pytest.mark.parametrize(("setting", "found"), [({}, ""), ({"SYMCHECK_PLUGINS": ""}, "turned Spin")])
def test_plug_ins_are_known_and_not_loaded(tmp_path: Path, setting: dict[str, str], found: str) -> None:
    info = tmp_path / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    added = "[symcheck.groups]\nSpin = thing:Spin\n[symcheck.actions]\nturned = thing:t\n"
    (info / "entry_points.txt").write_text(added)
    (tmp_path / "thing.py").write_text("raise RuntimeError('loaded')")
    code = "from symcheck.topics import unknown_words as u; print(*sorted(w for w, _ in u('Spin: turned -> scalar')))"
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths, **setting}, text=True, capture_output=True
    )
    assert (done.stdout.split(), done.stderr) == (found.split()[::-1], "")


def test_nothing_heavy_is_loaded() -> None:
    assert loaded("from symcheck.topics import unknown_words\nunknown_words('Z: image -> mine.py:f')\nprint()") == set()
