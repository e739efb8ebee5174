"""Weight symmetries of shipped networks: derived and proved by the command, and what must be among them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import photographs
import protein
import pytest
import sentences

from symcheck.cli.main import main
from symcheck.weights.spec import Spec

pytestmark = pytest.mark.slow


def of(file: ModuleType, network: str, inputs: str) -> list[str]:
    """The options that name a network and its inputs."""
    return ["--model", f"{file.__file__}:{network}", "-i", f"{file.__file__}:{inputs}", "--samples", "2"]


def derived(network: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Spec, dict[str, Any]]:
    """The spec that the command derives, and its report; the table is printed."""
    spec, report = folder / "spec.toml", folder / "report.json"
    code = main(["weights", *network, "-o", str(spec), "--json", str(report)])
    out, err = capsys.readouterr()
    with capsys.disabled():
        print("\n" + out + err)
    assert code == 0
    found: dict[str, Any] = json.loads(report.read_text())
    assert found["settings"]["certificate"]["failed"] == []
    return Spec.load(spec), found


def count(spec: Spec) -> Counter[tuple[str, int]]:
    return Counter((space.kind, space.size) for space in spec.spaces.values())


def proved(report: dict[str, Any]) -> set[str]:
    return {f["output"] for f in report["findings"] if f["verdict"] in ("exact", "approximate")}


def test_minilm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentences.minilm()  # or skip
    spec, report = derived(of(sentences, "minilm", "sentences"), tmp_path, capsys)
    found = count(spec)
    assert found["permutation", 1536] == 6  # the hidden units of six layers
    assert found["permutation", 12] >= 6  # their heads
    assert found["general", 32] == 12  # within the heads, of queries and keys and of values
    assert proved(report) == {*spec.spaces, "all spaces"}
    assert report["settings"]["weights"]["coverage"]["acted"] / spec.coverage.parameters > 0.95


def test_efficientnet_lite0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs.small(1)  # or skip
    spec, report = derived(of(photographs, "lite0", "small"), tmp_path, capsys)
    assert sum(kind == "permutation" for kind, _ in count(spec).elements()) >= 16  # widths of its blocks, at the least
    assert proved(report) >= {name for name, space in spec.spaces.items() if space.kind == "permutation"}


def test_proteinmpnn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    protein.designer()  # or skip
    spec, report = derived(of(protein, "designer", "short"), tmp_path, capsys)
    assert spec.spaces and "all spaces" in proved(report)


def test_a_fault_is_found(tmp_path: Path) -> None:
    """One layer's spec, with the second matrix forgotten."""
    net = sentences.minilm()
    names = [f"net.encoder.layer.2.{part}" for part in ("intermediate.dense.weight", "intermediate.dense.bias")]
    assert all(name in net.state_dict() for name in names)
    text = 'schema = "symcheck.spec/1"\n[spaces]\nh = { kind = "permutation", size = 1536 }\n[axes]\n'
    text += f'"{names[0]}" = "h ."\n"{names[1]}" = "h"\n"net.encoder.layer.2.output.dense.weight" = '
    verdicts = {}
    for atom in ("h", "1536"):
        (tmp_path / "spec.toml").write_text(f'{text}". {atom}"\n')
        network = of(sentences, "minilm", "sentences")
        verdicts[atom] = main(["weights", *network, "--spec", str(tmp_path / "spec.toml")])
    assert verdicts == {"h": 0, "1536": 1}
