"""Checkpoints written `scheme:rest`: built-in loaders and those of installed packages, relative paths, and faults."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from symcheck.cli.main import main
from symcheck.errors import LoadError
from symcheck.files import scheme
from symcheck.loading import load_subject
from symcheck.loading.loaders import loaders
from symcheck.subject_file import read_subject_file

PLUGIN = """
import torch
from symcheck.subject import Source, Subject

def load(rest, *, arguments, base):
    print("a banner")
    weights = torch.load(base / rest / "w.pt", weights_only=True)
    scale = arguments.get("scale", 1)
    return Subject(rest, lambda x: scale * x @ weights, source=Source(rest, "", "acme"))

def fails(rest, *, arguments, base):
    raise RuntimeError("no such luck")

def number(rest, *, arguments, base):
    return 3
"""
NAMES = {"acme": "load", "fails": "fails", "number": "number", "gone": "gone"}
SUBJECT = """
checkpoint = "acme:net"
inputs = "normal(3)"
claims = ["C2: sequence -> sequence"]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with loaders as pip would install it, and a folder with a file that one of them reads."""
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    lines = [f"{name} = acme_loader:{function}" for name, function in NAMES.items()]
    (info / "entry_points.txt").write_text("\n".join(["[symcheck.loaders]", *lines, ""]))
    (tmp_path / "acme_loader.py").write_text(PLUGIN)
    (tmp_path / "work" / "net").mkdir(parents=True)
    torch.save(torch.eye(3) * 2, tmp_path / "work" / "net" / "w.pt")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_loader", raising=False)
    monkeypatch.delenv("SYMCHECK_PLUGINS", raising=False)
    monkeypatch.setattr(loaders, "_items", dict(loaders._items))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.parametrize("checkpoint", ["acme:net", Path("acme:net"), "acme:{0}/net"])
def test_a_plug_in_supplies_a_loader(
    checkpoint: str | Path, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if isinstance(checkpoint, str):
        checkpoint = checkpoint.format(installed)
    subject = load_subject(checkpoint, arguments={"scale": 3})
    assert torch.equal(subject.call(torch.ones(1, 3)), torch.full((1, 3), 6.0))
    assert subject.source.format == "acme"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "a banner\n")


def test_the_command_line_and_a_subject_file_elsewhere(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "net.toml").write_text(SUBJECT)
    assert main(["audit", "acme:net", "C2: sequence -> sequence", "-i", "normal(3)"]) == 0
    monkeypatch.chdir(installed.parent)
    assert main(["audit", "work/net.toml"]) == 0
    assert capsys.readouterr().out.count("1 exact") == 2


def test_what_follows_the_colon_starts_at_the_subject_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "nets.py").write_text("")
    given = {
        "hf:folder": f"hf:{tmp_path}/folder", "escnn:nets.py:net": f"escnn:{tmp_path}/nets.py:net",
        "timm:resnet18": "timm:resnet18", "nets.pt": f"{tmp_path}/nets.pt",
    }  # fmt: skip
    for text, found in given.items():
        (tmp_path / "subject.toml").write_text(f'checkpoint = "{text}"\n')
        assert read_subject_file(tmp_path / "subject.toml").checkpoint == found


def test_a_file_that_is_there_wins(installed: Path) -> None:
    torch.save({"w": torch.ones(2)}, installed / "acme:net")
    with pytest.raises(LoadError, match="holds only weights"):
        load_subject("acme:net")


def test_a_path_is_no_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("C:\\nets\\a.pt", "c:a.pt", "a/b:c", "./hf:net", "hf:", ":net", "Net:work"):
        assert scheme(text) is None
    assert scheme("hf:C:\\nets") == ("hf", "C:\\nets")


@pytest.mark.parametrize(
    ("checkpoint", "message", "hint"),
    [
        ("amce:net", "no loader is called 'amce'", "did you mean 'acme'?"),
        ("xyz:net", "no loader is called 'xyz'", "known: acme, "),
        ("calculater:a:b", "no loader is called 'calculater'", "did you mean 'calculator'?"),
        ("fails:net", "the loader 'fails' fails: RuntimeError: no such luck", "what follows the colon"),
        ("gone:net", "the loader 'gone' fails: AttributeError", ""),
        ("number:net", "returned a int, not a Subject", ""),
        ("acme:nothing", "the loader 'acme' fails: FileNotFoundError", ""),
    ],
)
def test_what_a_loader_cannot_load_is_an_error(checkpoint: str, message: str, hint: str, installed: Path) -> None:
    with pytest.raises(LoadError) as caught:
        load_subject(checkpoint)
    assert message in caught.value.message and hint in caught.value.hint and caught.value.where == checkpoint


def test_a_model_and_a_key_cannot_apply(installed: Path) -> None:
    with pytest.raises(LoadError, match="brings its own network; --model and --key cannot apply"):
        load_subject("acme:net", model="a:b", key="c")
