"""`symcheck audit --replay` and the command of a report, for subjects that more than a file of weights makes."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from symcheck.cli.main import main
from symcheck.gate.files import digests

NETS = '''
import torch

class Packed(torch.nn.Module):
    """A potential that reads the first coordinate and, a little, which node is listed first."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.7))

    def forward(self, data):
        pos, batch, (i, j) = data["pos"], data["batch"], data["edge_index"]
        near = torch.exp(-self.scale * (pos[i] - pos[j]).norm(dim=1))
        first = torch.ones_like(batch)
        first[1:] = (batch[1:] != batch[:-1]).long()
        rows = torch.zeros_like(pos[:, 0]).index_add(0, j, near) + 0.3 * pos[:, 0] * (1 + first)
        return {"rows": rows, "energy": rows.new_zeros(int(batch.max()) + 1).index_add(0, batch, rows)}

class Centred(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return self.scale * x - 0.05 * x.mean(0)

def calm():
    """A calculator whose energy is the height of its atoms."""
    from ase.calculators.calculator import Calculator

    class Calm(Calculator):
        implemented_properties = ["energy"]

        def calculate(self, atoms, properties, system_changes):
            super().calculate(atoms, properties, system_changes)
            self.results = {"energy": float(atoms.positions[:, 2].sum())}

    return Calm()
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with code, weights, and graphs of many sizes, the largest of them first."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([9, 3, 4, 5, 6, 7, 3, 4])
    batch = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    pos = torch.randn(len(batch), 3, generator=generator) * torch.where(batch == 3, 4.0, 1.0)[:, None]
    save_file({"scale": torch.tensor(0.7)}, "net.safetensors")
    save_file({"pos": pos, "batch": batch}, "graphs.safetensors")
    save_file({"x": torch.randn(16, 4, generator=generator)}, "rows.safetensors")
    return tmp_path


PACKED = (
    "audit", "net.safetensors", "S: pos=nodes, batch=owner -> energy=invariant, rows=nodes", "--model",
    "nets.py:Packed", "-i", "graphs.safetensors", "--takes", "dict", "--graph", "edge_index=radius(2.0)",
)  # fmt: skip


def test_packed_graphs_are_replayed_as_they_were_passed(capsys: pytest.CaptureFixture[str]) -> None:
    """The worst sample is smaller than the largest one; how graphs are passed stands in the file."""
    assert main([*PACKED, "--quiet", "-o", "r.json"]) == 1
    found = json.loads(Path("r.json").read_text())["findings"]
    assert {f["verdict"] for f in found} == {"broken"} and any(f["worst"]["sample"] != 0 for f in found)
    capsys.readouterr()
    assert main(["audit", "--replay", "r.worst.safetensors", "--model", "nets.py:Packed"]) == 0
    assert capsys.readouterr().out.count("the same") == 2


def test_company_is_not_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    claim = "Mates: x=scalar -> scalar"
    audit = ["audit", "net.safetensors", claim, "--model", "nets.py:Centred", "-i", "rows.safetensors"]
    assert main([*audit, "-o", "r.json"]) == 1
    capsys.readouterr()
    assert main(["audit", "--replay", "r.worst.safetensors", "--model", "nets.py:Centred"]) == 0
    told = capsys.readouterr().out
    assert "audit again" in told and "rounding" not in told


def command(report: str) -> list[str]:
    """The command with which a page says that the run is repeated."""
    text = html.unescape(Path(report).read_text())
    return next(shlex.split(c) for c in re.findall(r"symcheck audit [^<\n]*", text) if "--replay" not in c)[1:]


def test_the_command_of_a_report_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    derived = ("--derive", "most=sigmoid(energy)", "--output", "most")
    claim = "T(3): pos=points, batch=owner -> most=scalar"
    words = [*PACKED[:2], claim, *PACKED[3:], *derived]
    first, again = (main([*which, "-o", name]) for which, name in ((words, "a.html"), (words, "a.json")))
    assert first == again == main([*command("a.html"), "-o", "b.json"]) == 1
    one, two = (json.loads(Path(name).read_text())["findings"] for name in ("a.json", "b.json"))
    assert [f["output"] for f in one] == ["most"] and one[0]["error"] == two[0]["error"]


def test_files_that_are_named_with_options_or_a_loader_have_digests(folder: Path) -> None:
    (folder / "net").mkdir()
    save_file({"scale": torch.tensor(0.7)}, "net/model.safetensors")
    Path("frames.extxyz").write_text("1\\n\\nH 0 0 0\\n")
    settings = {"checkpoint": "hf:net", "structures": "frames.extxyz(rattle=0.1)", "inputs": "normal(3,4)"}
    before = digests(settings, checkpoint="of the loader")
    assert before.keys() == {"folder", "structures"}
    save_file({"scale": torch.tensor(0.8)}, "net/model.safetensors")
    Path("frames.extxyz").write_text("1\\n\\nH 0 0 1\\n")
    after = digests(settings, checkpoint="of the loader")
    assert all(before[what] != after[what] for what in before)


def test_calculators_are_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ase")
    claim = "O(3): pos=points, z=scalar, cell=lattice, pbc=scalar, batch=owner -> energy=scalar"
    calculator = ["--calculator", "nets.py:calm"]
    words = ["audit", claim, *calculator, "--structures", "builtin:molecules", "--samples", "4", "-o", "r.html"]
    assert main(words) == 1
    assert {*calculator, "--structures"} <= {*command("r.html")} and "-i" not in command("r.html")
    capsys.readouterr()
    assert main(["audit", "--replay", "r.worst.safetensors"]) == 2
    assert "--calculator nets.py:calm" in capsys.readouterr().err
    assert main(["audit", "--replay", "r.worst.safetensors", *calculator]) == 0
    assert "the same" in capsys.readouterr().out
