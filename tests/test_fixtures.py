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
import torch.nn.functional as F
from planted import rotations
from safetensors.torch import load_file
from torch import Tensor, nn

from symcheck.grammar import parse_claim

HERE = Path(__file__).parents[1] / "fixtures"
PAIRS = ("digits-mlp", "digits-resnet", "digits-lstm", "digits-trees", "letters")
ENDS = tuple(f"{pair}-{seed}" for pair in PAIRS for seed in "ab")
NAMES = ("digits-cnn", "digits-c4", "potential", "potential-mlp", "sets", "causal", "metanet", *ENDS)
KEYS = {"checkpoint", "model", "inputs", "claims"}


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
    file, _, factory = subject["model"].partition(":")
    model: nn.Module = getattr(module(file.removesuffix(".py")), factory)(**subject.get("arguments", {}))
    model.load_state_dict(load_file(HERE / subject["checkpoint"]))
    return model.eval().double(), arrays(subject["inputs"])


def arrays(file: str) -> dict[str, Tensor]:
    """The arrays of a data file, real numbers in float64."""
    with np.load(HERE / file, allow_pickle=False) as found:
        tensors = {name: torch.from_numpy(found[name]) for name in found.files}
    return {name: x.double() if x.is_floating_point() else x for name, x in tensors.items()}


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of labels that the network ranks first."""
    return (model(x).argmax(-1) == y).double().mean().item()


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
    assert subject.keys() - {"arguments"} == KEYS
    assert subject["claims"] and all(str(parse_claim(claim)) == claim for claim in subject["claims"])
    model, inputs = load(name)
    labels = ["y"] if name in ENDS else []
    assert list(inputs)[len(inputs) - len(labels) :] == labels
    if not isinstance(model, nn.Sequential):
        assert [*inspect.signature(model.forward).parameters, *labels] == list(inputs)
    assert all(len(x) <= (357 if labels else 128) for x in inputs.values())
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


@pytest.mark.parametrize("pair", PAIRS)
def test_the_ends_of_a_pair_are_one_network_trained_twice(pair: str) -> None:
    """The same tensors and data files; weights that have nothing to do with each other; both do the task."""
    one, two = (tomllib.loads((HERE / f"{pair}-{seed}.toml").read_text()) for seed in "ab")
    assert {key: one.get(key) for key in one if key != "checkpoint"} == {
        key: two.get(key) for key in two if key != "checkpoint"
    }
    (a, inputs), (b, _) = (load(f"{pair}-{seed}") for seed in "ab")
    ends = [dict(model.named_parameters()) for model in (a, b)]
    assert [(k, w.shape) for k, w in ends[0].items()] == [(k, w.shape) for k, w in ends[1].items()]
    flat = [torch.cat([w.detach().flatten() for w in end.values() if w.ndim > 1]) for end in ends]
    assert torch.cosine_similarity(*flat, 0).abs() < 0.15
    scores = [accuracy(model, *inputs.values()) for model in (a, b)]
    assert min(scores) > (0.8 if pair == "letters" else 0.95)


@torch.no_grad()
@pytest.mark.parametrize("pair", PAIRS)
def test_the_mean_of_a_pair_forgets_the_task(pair: str) -> None:
    """There is a barrier between the ends as they are, which an alignment has to remove."""
    (a, inputs), (b, _) = (load(f"{pair}-{seed}") for seed in "ab")
    x, y = inputs.values()
    ends = [F.cross_entropy(model(x).movedim(-1, 1), y).item() for model in (a, b)]
    other = b.state_dict()
    a.load_state_dict({k: (v + other[k]) / 2 if v.is_floating_point() else v for k, v in a.state_dict().items()})
    assert F.cross_entropy(a(x).movedim(-1, 1), y).item() > 3 * max(ends)


@pytest.mark.parametrize(("task", "count"), [("digits", 1797), ("letters", 2256)])
def test_train_and_test_samples_of_a_task_are_apart(task: str, count: int) -> None:
    train, test = (list(arrays(f"{task}-{part}.npz").values()) for part in ("train", "test"))
    assert len(train[0]) + len(test[0]) == count
    rows = [{tuple(row.flatten().tolist()) for row in x[0]} for x in (train, test)]
    assert not rows[0] & rows[1]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (7, "seven"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (300, "three hundred"),
        (512, "five hundred and twelve"),
        (1000, "one thousand"),
        (1100, "one thousand one hundred"),
        (4092, "four thousand and ninety-two"),
        (8888, "eight thousand eight hundred and eighty-eight"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert module("data").spelled(number) == words


def test_letters_are_followed_by_the_next() -> None:
    tokens, following = module("data").counting(20, torch.Generator().manual_seed(1))
    assert tokens.shape == following.shape == (20, 32)
    assert torch.equal(tokens[:, 1:], following[:, :-1])
    assert set(tokens.flatten().tolist()) <= set(range(len(module("data").LETTERS)))
