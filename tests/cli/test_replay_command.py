"""`symcheck audit --replay`: the same pairs once more; what other weights give is never told as a change."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import symcheck
from symcheck.cli.main import main
from symcheck.measure.worst import FORMAT, load_worst, same_weights
from symcheck.subject import as_subject
from symcheck.testing import assert_equivariant

FIXTURES = Path(__file__).parents[2] / "fixtures"
CLAIM = "C4: image -> invariant"
IMAGES = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
SOURCE = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(6, 3)

    def forward(self, image):
        return self.linear(image[:, 0].mean(1)) * SCALE

SCALE = 1.0

class Plain(torch.nn.Module):
    def forward(self, image):
        return image[..., 0].mean(2) * SCALE

def nan():
    return lambda image: image.mean((2, 3)) * float("nan")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "replayed.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def run(*args: object) -> int:
    return main([str(a) for a in args])


def replayed(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    capsys.readouterr()
    said = () if "--model" in args else ("--allow-program",)  # whose file this is, the test knows
    assert run("audit", "--replay", *args, *said) == 0
    return capsys.readouterr().out


def from_memory(name: str) -> tuple[torch.nn.Module, str]:
    """A network in memory that fails, and the line that is said to replay it."""
    net = symcheck.load(None, model=f"replayed.py:{name}").module
    with pytest.raises(AssertionError) as caught:
        assert_equivariant(net, CLAIM, IMAGES, save=Path("w.safetensors"))
    return net, str(caught.value).splitlines()[-1].removeprefix("replay: ")


def test_random_weights_are_other_weights(capsys: pytest.CaptureFixture[str]) -> None:
    from_memory("Net")
    out = replayed(capsys, "w.safetensors", "--model", "replayed.py:Net")
    assert out.startswith("note: other weights: ") and "replayed.py:Net, as its factory builds it" in out
    assert "give a checkpoint with its weights" in out
    assert out.rstrip().endswith(": other weights") and "changed" not in out


def test_the_line_with_what_it_needs_works(capsys: pytest.CaptureFixture[str]) -> None:
    net, line = from_memory("Net")
    words = shlex.split(line, comments=True)
    assert words == ["symcheck", "audit", "--replay", "w.safetensors", "weights.pt", "--model", "MODULE:FACTORY"]
    assert line.endswith("# first torch.save(model.state_dict(), 'weights.pt')")
    torch.save(net.state_dict(), "weights.pt")
    out = replayed(capsys, *words[3:-1], "replayed.py:Net")
    assert "note" not in out and "the same" in out
    torch.save({k: 2 * v for k, v in net.state_dict().items()}, "weights.pt")
    out = replayed(capsys, *words[3:-1], "replayed.py:Net")
    assert "of a network in memory, whose weights" in out and "these are of weights.pt" in out
    assert out.rstrip().endswith(": other weights")


def test_what_has_no_weights_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    line = from_memory("Plain")[1]
    assert line == "symcheck audit --replay w.safetensors --model MODULE:FACTORY"
    out = replayed(capsys, "w.safetensors", "--model", "replayed.py:Plain")
    assert "note" not in out and "the same" in out
    Path("other.py").write_text(SOURCE.replace("SCALE = 1.0", "SCALE = 2.0"))
    assert replayed(capsys, "w.safetensors", "--model", "other.py:Plain").rstrip().endswith(": changed")


def test_a_factory_that_draws_its_weights_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", CLAIM, "--model", "replayed.py:Net", "-i", "normal(1,6,6)", "-q", "--exit-zero"]
    assert run(*command, "-o", "r.json") == 0
    out = replayed(capsys, "r.worst.safetensors")
    assert "the pairs are of replayed.py:Net, whose weights were in no file" in out and ": other weights" in out


def audited(weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, "net.safetensors")
    common = ["--model", f"{FIXTURES}/models.py:cnn", "-i", FIXTURES / "digits-cnn-data.npz", "--samples", "4", "-q"]
    assert run("audit", "net.safetensors", CLAIM, *common, "-o", "r.json") == 1


def test_a_checkpoint_is_known_by_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_file(FIXTURES / "digits-cnn.safetensors")
    audited(weights)
    assert "the same" in replayed(capsys, "r.worst.safetensors")
    other = {k: v * 1.5 if v.is_floating_point() else v for k, v in weights.items()}
    save_file(other, "other.safetensors")
    out = replayed(capsys, "r.worst.safetensors", "other.safetensors")
    assert "the pairs are of net.safetensors; these are of other.safetensors" in out and ": changed" not in out
    save_file(other, "net.safetensors")
    out = replayed(capsys, "r.worst.safetensors")
    assert "other weights: the checkpoint net.safetensors has changed since" in out and ": changed" not in out


def test_the_same_weights_in_another_file_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_file(FIXTURES / "digits-cnn.safetensors")
    audited(weights)
    torch.save(weights, "copy.pt")
    out = replayed(capsys, "r.worst.safetensors", "copy.pt")
    assert "note" not in out and "the same" in out


@pytest.mark.parametrize("kind", ["program", "double", "cast"])
def test_weights_are_known_whatever_the_network_is(kind: str) -> None:
    net = symcheck.load(None, model="replayed.py:Plain").module
    scripted = torch.jit.trace(torch.nn.Conv2d(1, 2, 3), torch.randn(2, 1, 6, 6))
    convolution = scripted if kind == "program" else torch.nn.Conv2d(1, 2, 3)
    convolution = convolution.double() if kind == "double" else convolution
    images, claim = IMAGES.double() if kind == "double" else IMAGES, "C4: image -> image"
    options = {"dtype": "float64"} if kind == "cast" else {}
    symcheck.audit(convolution, claim, images, save=Path("w.safetensors"), **options)
    origin = load_worst(Path("w.safetensors"))[1]
    assert same_weights(as_subject(convolution), origin) and not same_weights(as_subject(net), origin)


def test_the_stored_subject_beats_the_project_of_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    audited(load_file(FIXTURES / "digits-cnn.safetensors"))
    text = 'checkpoint = "elsewhere.safetensors"\nmodel = "replayed.py:Net"\n'
    Path("pyproject.toml").write_text(f"[tool.symcheck]\n{text}")
    out = replayed(capsys, "r.worst.safetensors")
    assert "note" not in out and "the same" in out


def test_nan_that_stays_nan_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", CLAIM, "--model", "replayed.py:nan", "-i", "normal(1,6,6)", "-q", "--exit-zero"]
    assert run(*command, "-o", "r.json") == 0
    assert "nan of the spread then, nan now: the same" in replayed(capsys, "r.worst.safetensors")


def test_nan_is_never_within_rounding(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", "C4: image -> image", "--model", "replayed.py:odd", "-i", "normal(1,6,6)", "-q"]
    Path("replayed.py").write_text("def odd():\n    return lambda image: image * 3\n")
    assert run(*command, "-o", "r.json") == 0
    assert "both within rounding" in replayed(capsys, "r.worst.safetensors")
    Path("broken.py").write_text("def odd():\n    return lambda image: image * float('nan')\n")
    out = replayed(capsys, "r.worst.safetensors", "--model", "broken.py:odd")
    assert "nan now: changed" in out


def test_a_file_that_does_not_tell_its_weights_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from_memory("Net")
    with safe_open("w.safetensors", framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    origin = json.loads(metadata["source"])
    assert metadata["format"] == FORMAT and origin.pop("weights")
    save_file(tensors, "w.safetensors", metadata={**metadata, "source": json.dumps(origin)})
    out = replayed(capsys, "w.safetensors", "--model", "replayed.py:Net")
    assert "does not tell of which weights" in out and out.rstrip().endswith(": not the same")


def test_a_replay_writes_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--replay", "w.safetensors", "-o", "r.json") == 2
    assert "a replay writes no report" in capsys.readouterr().err


def test_a_file_of_data_runs_no_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pairs = tmp_path / "r.worst.safetensors"
    model = symcheck.load(None, model="replayed.py:Plain")
    symcheck.audit(model, CLAIM, IMAGES, save=pairs)
    with safe_open(pairs, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    source = json.loads(metadata["source"]) | {"model": "os:system", "arguments": {"command": f"touch {marker}"}}
    save_file(tensors, pairs, metadata={**metadata, "source": json.dumps(source)})
    assert run("audit", "--replay", pairs) == 2
    said = capsys.readouterr().err
    assert not marker.exists() and "'os:system'" in said and "--model" in said
