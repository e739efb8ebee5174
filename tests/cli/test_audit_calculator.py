"""`symcheck audit` of an ASE calculator on structures, from a subject file and from options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from symcheck.cli.main import main

pytest.importorskip("ase")

PLANTED = Path(__file__).parents[1] / "loading" / "planted_calculators.py"
CLAIM = "SO(3): pos=points, z=scalar, cell=lattice, pbc=scalar, batch=owner -> energy=scalar, forces=vector"
FEW = ["--samples", "6", "--elements", "6", "-q", "--format", "json"]


def written(folder: Path, arguments: str) -> Path:
    file = folder / "subject.toml"
    file.write_text(
        f'calculator = "{PLANTED}:pairwise"\narguments = {arguments}\n'
        f'structures = "builtin:molecules"\nclaims = "{CLAIM}"\n'
    )
    return file


@pytest.mark.parametrize(("arguments", "code"), [("{}", 0), ("{ pull = 0.05 }", 1)])
def test_a_subject_file_names_calculator_and_structures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, code: int
) -> None:
    assert main(["audit", str(written(tmp_path, arguments)), *FEW]) == code
    report = json.loads(capsys.readouterr().out)  # whatever the calculator prints
    assert report["settings"]["inputs"] == "builtin:molecules"
    assert {f["output"]: f["verdict"] == "broken" for f in report["findings"]} == {"energy": False, "forces": code == 1}


def test_options_do_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.xyz").write_text("2\n\nH 0 0 0\nF 0 0.1 0.9\n3\n\nO 0 0 0\nH 0 0.8 0.5\nH 0 -0.8 0.5\n")
    given = ["--calculator", f"{PLANTED}:pairwise", "--structures", str(tmp_path / "two.xyz")]
    assert main(["audit", CLAIM, *given, *FEW]) == 0
    assert "exact" in capsys.readouterr().out


def test_a_missing_file_of_structures_cannot_be_concluded_from(tmp_path: Path) -> None:
    given = ["--calculator", f"{PLANTED}:pairwise", "--structures", str(tmp_path / "gone.xyz")]
    assert main(["audit", CLAIM, *given, *FEW]) == 2
