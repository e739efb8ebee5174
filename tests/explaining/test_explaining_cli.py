"""`symcheck audit --explainer`: findings in the same report, exit codes, refusals before anything is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from attributions import C4Net
from torch import nn

from symcheck.api import audit
from symcheck.cli.main import main
from symcheck.errors import ConfigError
from symcheck.explaining.explain import explain

NET = f"{Path(__file__).with_name('attributions.py')}:C4Net"
RUN = ["audit", "C4: image -> invariant", "--model", NET, "-i", "normal(2,8,8)", "--samples", "8", "-q"]


def run(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    torch.manual_seed(0)
    code = main([*RUN, *more])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_findings_stand_in_the_same_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    code, printed = run(capsys, "--explainer", "gradient", "--explainer", "occlusion(window=2)", "-o", str(out))
    assert code == 0, printed
    report = json.loads(out.read_text())
    outputs = {finding["output"] for finding in report["findings"]}
    assert {"explanation.gradient.input", "explanation.occlusion.input"} <= outputs
    assert report["settings"]["explainers"] == ["gradient", "occlusion(window=2)"]
    assert "mean cosine" in printed


def test_the_worst_pairs_of_explanations_replay(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    here = Path(__file__).with_name("attributions.py")
    code, _ = run(capsys, "--explainer", f"{here}:leaning", "-o", str(tmp_path / "report.json"))
    assert code == 1
    file = json.loads((tmp_path / "report.json").read_text())["findings"][1]["worst"]["file"]
    assert file == f"{tmp_path / 'report.explained.safetensors'}#0"
    again = ["audit", "--replay", file.partition("#")[0], "--model", NET]
    assert main(again) == 2 and "names code that would be run" in capsys.readouterr().err
    torch.manual_seed(0)
    code = main([*again, "--explainer", f"{here}:leaning"])
    printed = " ".join(capsys.readouterr().out.split())
    assert code == 0 and "now: the same" in printed and "explanation.leaning.input" in printed


def test_a_planted_fault_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    here = Path(__file__).with_name("attributions.py")
    code, printed = run(capsys, "--explainer", f"{here}:leaning")
    assert code == 1 and "broken" in printed and "average the explanation over the group" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--explainer", "gradiant"], "did you mean 'gradient'"),
        (["--explainer", "gradient", "--shard", "1/2", "-o", "x.json"], "by one process"),
        (["--explainer", "gradient", "--explainer", "gradient(target=1)"], "two explainers are called"),
        (["--explainer", "gradient(of=other)"], "there is no output 'other'"),
        (["--explainer", "gradient(target=9)"], "has no number 9"),
    ],
)
def test_what_cannot_be_asked_is_refused(capsys: pytest.CaptureFixture[str], more: list[str], said: str) -> None:
    code, printed = run(capsys, *more)
    assert code == 2 and said in " ".join(printed.split())


def test_inputs_without_numbers_are_refused() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Embedding(9, 4), Mean(), nn.Linear(4, 3)), torch.randint(0, 9, (8, 5))
    report = audit(model, "C2: sequence -> invariant", x)
    assert report.holds
    with pytest.raises(ConfigError, match="no input has numbers"):
        explain(report, model, x, ["gradient"])


class Mean(nn.Module):
    """The mean over the sequence."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, T, d) -> (n, d)."""
        return x.mean(1)


@pytest.mark.slow
def test_methods_of_captum() -> None:
    pytest.importorskip("captum", reason="the package captum is not installed")
    torch.manual_seed(0)
    model, x = C4Net(), torch.randn(6, 2, 8, 8)
    report = audit(model, "C4: image -> invariant", x)
    for text in ("captum(Saliency)", "captum(InputXGradient)"):
        found = explain(report, model, x, [text])
        assert all(f.verdict == "exact" for f in found.findings), text
    with pytest.raises(ConfigError, match="no method 'Salience'"):
        explain(report, model, x, ["captum(Salience)"])


def test_one_explainer_twice_is_asked_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, printed = run(capsys, "--explainer", "gradient", "--explainer", "gradient", "-o", str(tmp_path / "r.json"))
    assert code == 0, printed
    assert json.loads((tmp_path / "r.json").read_text())["settings"]["explainers"] == ["gradient"]
