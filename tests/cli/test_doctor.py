"""`symcheck doctor`: a healthy installation passes, and each planted fault is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pytest
import torch
from torch import nn

from symcheck.cli import doctor_checks, doctor_devices
from symcheck.cli.doctor_checks import Check, Stage, package, requirements, stage, versions
from symcheck.cli.doctor_devices import PLANTED, Potential, Summing, planted, precise, repeats
from symcheck.cli.main import main
from symcheck.measure import runner
from symcheck.report.model import Verdict

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_devices, "devices", lambda: [CPU])


def failed(checks: Iterator[Check]) -> list[str]:
    return [check.name for check in checks if check.ok is False]


def test_a_healthy_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "all is well"
    for words in ("torch", "equivariant on cpu", "O(3): points -> scalar: exact", "O(3): points -> scalar: broken"):
        assert words in out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["schema"], plain["ok"]) == ("symcheck.doctor/1", True)
    assert [stage["name"] for stage in plain["stages"]] == ["packages", "devices", "determinism", "planted networks"]
    for one in plain["stages"]:
        assert one["ok"] is True and one["seconds"] >= 0 and one["checks"]
        assert all(set(check) == {"name", "ok", "found", "hint"} for check in one["checks"])
    versions = {check["name"]: check["found"] for check in plain["stages"][0]["checks"]}
    assert versions["torch"] == torch.__version__


def test_a_failed_check_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stages = (Stage("packages", (Check("torch", False, "missing", "pip install torch"),), 0.1),)
    monkeypatch.setattr(doctor_checks, "examined", lambda: stages)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "missing; pip install torch" in out and "1 check failed" in out
    assert main(["doctor", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_swapped_planted_networks_are_found() -> None:
    (exact, expected), (leaky, leak) = PLANTED.values()
    assert failed(planted()) == []
    assert failed(planted({"equivariant": (leaky, expected), "leaky": (exact, leak)})) == [
        "equivariant on cpu", "leaky on cpu",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("leak", "verdict"), [(0.0, Verdict.EXACT), (1e-5, Verdict.APPROXIMATE), (1.0, Verdict.BROKEN)]
)
def test_the_planted_network_is_as_leaky_as_it_is_told(leak: float, verdict: Verdict) -> None:
    assert failed(planted({"network": (Potential(leak), verdict)})) == []


def test_a_call_that_is_not_deterministic_is_found() -> None:
    assert repeats(CPU, Summing()).ok
    assert repeats(CPU, lambda x: Summing()(nn.functional.dropout(x, 0.5))).ok is False
    assert repeats(CPU, lambda x: x * torch.nan).ok is False


def test_float32_that_is_less_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precise(CPU).ok
    monkeypatch.setattr(torch.Tensor, "float", lambda x: x.to(torch.bfloat16))
    assert precise(CPU).ok is False


def test_a_stage_that_raises_has_failed_and_keeps_what_it_found() -> None:
    def checks() -> Iterator[Check]:
        yield Check("first", True, "fine")
        raise RuntimeError("no kernel image is available\nand more")

    found = stage("devices", checks)
    assert [check.ok for check in found.checks] == [True, False] and not found.ok
    assert found.checks[1].found == "RuntimeError: no kernel image is available"


def cuda(monkeypatch: pytest.MonkeyPatch, built: str | None, count: int, metal: bool = False) -> dict[str, Check]:
    """What is said of the hardware of another machine."""
    kind = SimpleNamespace(name="Big", major=9, minor=0)
    monkeypatch.setattr(doctor_devices, "devices", lambda: [CPU, *(torch.device("cuda", i) for i in range(count))])
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: kind)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: metal)
    return {check.name: check for check in doctor_devices.hardware()}


def test_the_hardware_of_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cuda(monkeypatch, "12.4", 2)
    assert [*found] == ["cpu", "cuda:0", "cuda:1"]
    assert found["cuda:1"].found == "Big, 80 GiB, 10 free, capability 9.0"
    blind = cuda(monkeypatch, "12.4", 0)["cuda"]
    assert (blind.ok, "CUDA_VISIBLE_DEVICES" in blind.hint) == (None, True)
    assert cuda(monkeypatch, None, 0)["cuda"].hint == ""
    assert cuda(monkeypatch, None, 0, metal=True)["mps"].ok is None


def test_the_settings_are_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[runner.Runner] = []
    real = runner.measuring

    def watched(one: runner.Runner) -> AbstractContextManager[None]:
        seen.append(one)
        return real(one)

    monkeypatch.setattr(doctor_devices, "measuring", watched)
    before = torch.backends.cudnn.allow_tf32, torch.get_default_dtype(), torch.initial_seed()
    list(doctor_devices.determinism())
    assert seen and before == (torch.backends.cudnn.allow_tf32, torch.get_default_dtype(), torch.initial_seed())


@pytest.mark.parametrize(
    ("name", "allowed", "found"),
    [
        ("torch", ">=2.6", ""),
        ("no-such-package-here", ">=1", "missing"),
        ("torch", ">=99", "but >=99 is needed"),
        ("torch", "<1", "but <1 is needed"),
    ],
)
def test_packages(name: str, allowed: str, found: str) -> None:
    check = package(name, allowed)
    assert check.ok is (found == "")
    assert found in check.found
    assert check.ok or check.hint == f"pip install '{name}{allowed}'"


def test_extras_are_told_with_their_install_line() -> None:
    found = {check.name: check for check in versions(("rich>=1", 'no-such-package>=2; extra == "more"'))}
    assert found["rich"].ok
    assert (found["[more]"].ok, found["[more]"].found) == (None, "missing: no-such-package")
    assert found["[more]"].hint == "pip install 'symcheck[more]'"


def test_what_is_required_is_what_the_project_file_says() -> None:
    required = requirements()
    assert any(one.startswith("torch") for one in required)
    assert any("extra ==" in one for one in required)


def test_what_a_machine_without_a_working_torch_is_told(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "symcheck", "doctor", "--format", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")
    (packages,) = json.loads(done.stdout)["stages"]
    torches = [check for check in packages["checks"] if check["name"] == "torch"]
    assert [check["ok"] for check in torches] == [False]
    assert "does not load: OSError: libtorch_cpu.so" in torches[0]["found"]
    assert torches[0]["hint"].startswith("pip install 'torch")


def test_planted_is_not_to_be_changed() -> None:
    assert isinstance(PLANTED, MappingProxyType)
