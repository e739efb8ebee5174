"""The trained fixtures load from their subject files, learned something, and keep their symmetry."""

from __future__ import annotations

import importlib.util
import inspect
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from planted import rotations
from safetensors.torch import load_file
from torch import Tensor, nn

from symcheck.grammar import parse_claim

HERE = Path(__file__).parents[1] / "fixtures"
NAMES = ("digits-cnn", "digits-c4", "potential", "potential-mlp", "sets", "causal", "metanet")


def module(name: str) -> ModuleType:
    """`fixtures/<name>.py`, imported from its file."""
    spec = importlib.util.spec_from_file_location(f"fixture_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def load(name: str) -> tuple[nn.Module, dict[str, Tensor]]:
    """A fixture in float64 with its inputs."""
    subject = tomllib.loads((HERE / f"{name}.toml").read_text())
    model: nn.Module = getattr(module("models"), subject["model"].partition(":")[2])()
    model.load_state_dict(load_file(HERE / subject["checkpoint"]))
    with np.load(HERE / subject["inputs"], allow_pickle=False) as arrays:
        inputs = {k: torch.from_numpy(arrays[k]) for k in arrays.files}
    return model.eval().double(), {k: x.double() if x.is_floating_point() else x for k, x in inputs.items()}


def relative(a: Tensor, b: Tensor) -> float:
    """rms(a - b) over the spread of b between samples."""
    return ((a - b).square().mean().sqrt() / (b - b.mean(0)).square().mean().sqrt()).item()


def atoms_errors(name: str) -> dict[str, float]:
    """The larger relative error of energy and forces under O(3), translations and permutations."""
    model, inputs = load(name)
    pos, z = inputs["pos"], inputs["z"]
    turn = -rotations(len(pos))
    order = torch.tensor([2, 0, 1, 5, 3, 7, 4, 6])
    base = model(pos, z)
    sides = {
        "O": (model(pos @ turn.mT, z), base["forces"] @ turn.mT),
        "T": (model(pos + torch.tensor([3.0, -7.0, 1.0]), z), base["forces"]),
        "S": (model(pos[:, order], z[:, order]), base["forces"][:, order]),
    }
    return {
        group: max(relative(out["energy"], base["energy"]), relative(out["forces"], forces))
        for group, (out, forces) in sides.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_subject_files_are_complete_and_small(name: str) -> None:
    subject = tomllib.loads((HERE / f"{name}.toml").read_text())
    assert set(subject) == {"checkpoint", "model", "inputs", "claims"}
    assert subject["claims"] and all(str(parse_claim(claim)) == claim for claim in subject["claims"])
    model, inputs = load(name)
    if not isinstance(model, nn.Sequential):
        assert list(inputs) == list(inspect.signature(model.forward).parameters)
    assert all(len(x) <= 128 for x in inputs.values())
    assert all((HERE / subject[key]).stat().st_size < 300_000 for key in ("checkpoint", "inputs"))


@torch.no_grad()
@pytest.mark.parametrize(("name", "exact"), [("digits-c4", True), ("digits-cnn", False)])
def test_quarter_turns_of_digits(name: str, exact: bool) -> None:
    model, inputs = load(name)
    error = relative(model(torch.rot90(inputs["image"], 1, (-2, -1))), model(inputs["image"]))
    assert error < 1e-12 if exact else error > 0.1


def test_the_potential_is_equivariant() -> None:
    assert max(atoms_errors("potential").values()) < 1e-11


def test_the_twin_has_translations_only() -> None:
    errors = atoms_errors("potential-mlp")
    assert errors["T"] < 1e-11
    assert min(errors["O"], errors["S"]) > 0.05


@pytest.mark.parametrize("name", ["potential", "potential-mlp"])
def test_forces_are_the_gradient_with_and_without_grad_mode(name: str) -> None:
    model, inputs = load(name)
    pos, z = inputs["pos"][:4], inputs["z"][:4]
    step = torch.zeros_like(pos)
    step[:, 2, 1] = 1e-5
    with torch.no_grad():
        out = model(pos, z)
        slope = (model(pos + step, z)["energy"] - model(pos - step, z)["energy"]) / 2e-5
    assert not out["energy"].requires_grad and not out["forces"].requires_grad
    torch.testing.assert_close(out["forces"][:, 2, 1], -slope, rtol=1e-6, atol=1e-6)
    moved = pos.clone().requires_grad_(True)
    (curvature,) = torch.autograd.grad(model(moved, z)["forces"].square().sum(), moved)
    assert curvature.abs().max() > 0


def test_the_potential_learned_its_physics_and_the_twin_less() -> None:
    data = module("data")
    scores = {}
    for name in ("potential", "potential-mlp"):
        model, inputs = load(name)
        energy, forces = data.true_forces(inputs["pos"], inputs["z"])
        out = model(inputs["pos"], inputs["z"])
        scores[name] = relative(out["energy"], energy), relative(out["forces"], forces)
    assert max(scores["potential"]) < 0.2
    assert scores["potential-mlp"][0] < 0.7
    assert all(a < b for a, b in zip(scores["potential"], scores["potential-mlp"], strict=True))


@torch.no_grad()
def test_sets_ignore_order() -> None:
    model, inputs = load("sets")
    assert relative(model(inputs["x"].roll(5, 1)), model(inputs["x"])) < 1e-12


@torch.no_grad()
def test_the_sequence_model_is_causal_and_minds_order_and_place() -> None:
    model, inputs = load("causal")
    tokens = inputs["tokens"]
    base = model(tokens)
    later = tokens.clone()
    later[:, 20:] = 4
    torch.testing.assert_close(model(later)[:, :20], base[:, :20])
    assert relative(model(later)[:, 20:], base[:, 20:]) > 0.1
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    assert relative(model(tokens[:, order]), base[:, order]) > 0.1
    assert relative(model(tokens.roll(3, 1)), base.roll(3, 1)) > 0.1


@torch.no_grad()
def test_the_metanetwork_ignores_the_order_and_the_signs_of_units() -> None:
    model, weights = load("metanet")
    base = model(**weights)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    signs = torch.where(torch.arange(16) % 3 == 0, -1.0, 1.0).double()
    moved = {
        "w1": (weights["w1"] * signs[:, None])[:, order],
        "b1": (weights["b1"] * signs)[:, order],
        "w2": (weights["w2"] * signs)[..., order],
        "b2": weights["b2"],
    }
    assert relative(model(**moved), base) < 1e-12
    assert relative(model(**{**moved, "w2": weights["w2"]}), base) > 0.05
