"""The sample repository, copied, and what can go wrong with it: one regression each."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

HERE = Path(__file__).parent / "repository"
ROOT = HERE.parents[2]
CONFIG = "pyproject.toml"
Change = Callable[[Path], object]


def copied(folder: Path) -> Path:
    """The repository in `folder`, without what runs leave behind."""
    return shutil.copytree(HERE, folder / "repository", ignore=shutil.ignore_patterns("__pycache__"))


def environment(**more: str) -> dict[str, str]:
    """That of a process of its own: this interpreter first on the path, this symcheck, a plain terminal."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "PYTEST_"))}
    return {**plain, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "OMP_NUM_THREADS": "1", **more}


def weights(name: str, change: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]) -> Change:
    """Replace tensors of one checkpoint by what `change` makes of them."""

    def act(folder: Path) -> None:
        path = folder / "weights" / f"{name}.safetensors"
        state = load_file(path)
        save_file({**state, **{key: x.contiguous() for key, x in change(state).items()}}, path)

    return act


def text(name: str, old: str, new: str) -> Change:
    """Replace a text that occurs once in a file, a regular expression; it must be there."""

    def act(folder: Path) -> None:
        path = folder / name
        found, count = re.subn(old, new, path.read_text(encoding="utf-8"), flags=re.S)
        assert count == 1, (old, count)
        path.write_text(found, encoding="utf-8")

    return act


def gone(name: str) -> Change:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def both(*changes: Change) -> Change:
    """One change after the other."""

    def act(folder: Path) -> None:
        for change in changes:
            change(folder)

    return act


def _noise(x: Tensor, size: float) -> Tensor:
    return x + size * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))


def _shuffled(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The hidden units in another order: the same function, out of alignment."""
    order = torch.randperm(len(state["0.bias"]), generator=torch.Generator().manual_seed(1))
    rows = {key: state[key][order] for key in ("0.weight", "0.bias")}
    return {**rows, "2.weight": state["2.weight"][:, order]}


@dataclass(frozen=True)
class Regression:
    """What changes, and the gates that fail from then on; all others stay as they were."""

    change: Change
    fails: frozenset[str]


def regression(change: Change, *fails: str) -> Regression:
    """A change with what must fail."""
    return Regression(change, frozenset(fails))


leak = weights("handed", lambda s: {"conv.weight": _noise(s["conv.weight"], 1e-3)})
REGRESSIONS = {
    "a leak of 1e-3": regression(leak, "turns"),
    "reflections are broken": regression(
        text("networks.py", r"det\(vectors\)\.square\(\)", "det(vectors)"), "reflections"
    ),
    "the order of atoms matters": regression(
        text("networks.py", r"-1\)\)\.sum\(\(1, 2\)\)", "-1)).squeeze(-1)[:, :3].sum(1)"), "permutations"
    ),
    "a preferred direction": regression(
        text("networks.py", r"offset = pos", "pos = pos * pos.new_tensor([1.02, 1, 1])\n        offset = pos"),
        "rotations", "reflections", "certified",
    ),
    "a constant output": regression(
        weights("handed", lambda s: {"head.weight": 0 * s["head.weight"]}), "turns", "hands", "places"
    ),
    "NaN in the weights": regression(
        weights("handed", lambda s: {"head.bias": s["head.bias"] * torch.nan}), "turns", "hands", "places"
    ),
    "mirror images look alike": regression(
        text(
            "networks.py", r"F\.relu\(self\.conv\(image\)\)\.mean",
            "sum(F.relu(self.conv(x)) for x in (image, image.flip(-1))).mean",
        ),
        "hands",
    ),
    "the order of values no longer matters": regression(
        weights("trend", lambda s: {"places": s["places"].mean(0).expand(8, -1)}), "order"
    ),
    "the alignment is lost": regression(weights("ring-b", _shuffled), "basin"),
    "aligning changed the function": regression(
        weights("ring-b", lambda s: {"2.bias": s["2.bias"] + torch.tensor([0.0, 0.01])}), "aligned"
    ),
    "worse than the baseline": regression(
        weights("ring-a", lambda s: {"0.weight": s["0.weight"] * torch.tensor([1.0, 1.2])}), "learned"
    ),
    "a waiver ends": regression(text(CONFIG, r"\[\[tool\.symcheck\.waiver\]\].*?2099-12-31", ""), "places"),
}  # fmt: skip
