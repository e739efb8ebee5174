"""Weight symmetries of shipped networks: derived and proved by the command, and what must be among them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import test_real_lite0
import test_real_protein
import test_real_text
from torch import Tensor, nn

from symcheck.cli.main import main
from symcheck.weights.spec import Spec

pytestmark = pytest.mark.slow


def minilm() -> nn.Module:
    return test_real_text.Embedding(test_real_text.minilm()[0])


def sentences(samples: int) -> dict[str, Tensor]:
    return test_real_text.sentences(samples)


def lite0() -> nn.Module:
    return test_real_lite0.lite0()


def photographs(samples: int) -> dict[str, Tensor]:
    return {"image": test_real_lite0.photographs()[0][:samples, :, 64:160, 64:160]}


def designer() -> nn.Module:
    return test_real_protein.designer()


def chains(samples: int) -> dict[str, Tensor]:
    return {name: x[:samples] for name, x in test_real_protein.pieces(32).items()}


def derived(network: str, inputs: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Spec, dict[str, Any]]:
    """The spec that the command derives, and its report; the table is printed."""
    spec, report = folder / "spec.toml", folder / "report.json"
    args = ["--model", f"{__file__}:{network}", "-i", f"{__file__}:{inputs}", "-o", str(spec), "--json", str(report)]
    code = main(["weights", *args, "--samples", "2"])
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
    test_real_text.minilm()  # or skip
    spec, report = derived("minilm", "sentences", tmp_path, capsys)
    found = count(spec)
    assert found["permutation", 1536] == 6  # the hidden units of six layers
    assert found["permutation", 12] >= 6  # their heads
    assert found["general", 32] == 12  # within the heads, of queries and keys and of values
    assert proved(report) == {*spec.spaces, "all spaces"}
    assert report["settings"]["weights"]["coverage"]["acted"] / spec.coverage.parameters > 0.95


def test_efficientnet_lite0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_real_lite0.photographs()  # or skip
    spec, report = derived("lite0", "photographs", tmp_path, capsys)
    assert sum(kind == "permutation" for kind, _ in count(spec).elements()) >= 16  # widths of its blocks, at the least
    assert proved(report) >= {name for name, space in spec.spaces.items() if space.kind == "permutation"}


def test_proteinmpnn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_real_protein.designer()  # or skip
    spec, report = derived("designer", "chains", tmp_path, capsys)
    assert spec.spaces and "all spaces" in proved(report)


def test_a_fault_is_found(tmp_path: Path) -> None:
    """One layer's spec, with the second matrix forgotten."""
    net = test_real_text.minilm()[0]
    names = [f"net.encoder.layer.2.{part}" for part in ("intermediate.dense.weight", "intermediate.dense.bias")]
    assert all(name.removeprefix("net.") in net.state_dict() for name in names)
    text = 'schema = "symcheck.spec/1"\n[spaces]\nh = { kind = "permutation", size = 1536 }\n[axes]\n'
    text += f'"{names[0]}" = "h ."\n"{names[1]}" = "h"\n"net.encoder.layer.2.output.dense.weight" = '
    verdicts = {}
    for atom in ("h", "1536"):
        (tmp_path / "spec.toml").write_text(f'{text}". {atom}"\n')
        args = ["--model", f"{__file__}:minilm", "-i", f"{__file__}:sentences", "--samples", "2"]
        verdicts[atom] = main(["weights", *args, "--spec", str(tmp_path / "spec.toml")])
    assert verdicts == {"h": 0, "1536": 1}
