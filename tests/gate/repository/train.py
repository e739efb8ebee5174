"""Trains every checkpoint of this repository, on one thread in some seconds: `python train.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networks
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = Path(__file__).parent
KEPT = 64  # held-out samples of each task


def initialise(model: nn.Module, rng: torch.Generator) -> nn.Module:
    """Draw all weights from `rng`."""
    for p in model.parameters():
        nn.init.uniform_(p, -0.7, 0.7, generator=rng)
    return model


def fit(parameters: list[Tensor], loss: Callable[[], Tensor], steps: int, decay: float = 0.0) -> float:
    """Adam with a falling rate; the last loss."""
    adam = torch.optim.AdamW(parameters, lr=0.02, weight_decay=decay)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    value = torch.zeros(())
    for _ in range(steps):
        adam.zero_grad()
        value = loss()
        value.backward()
        adam.step()
        fall.step()
    return value.item()


def images(count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """The shapes L (0) and J (1), in any place and turn, on noise."""
    shape = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    labels = torch.randint(2, (count,), generator=rng)
    x = 0.1 * torch.randn(count, 1, 8, 8, generator=rng)
    for i, label in enumerate(labels):
        turn, row, column = (int(torch.randint(n, (), generator=rng)) for n in (4, 6, 6))
        piece = torch.rot90(shape.flip(1) if label else shape, turn)
        height, width = piece.shape
        x[i, 0, row : row + height, column : column + width] += piece[: 8 - row, : 8 - column]
    return x, labels


def train_handed(rng: torch.Generator) -> tuple[nn.Module, dict[str, Tensor], float]:
    """Train one kernel of each four, then store all turns of it."""
    x, y = images(1200, rng)
    model = initialise(networks.handed(), rng)
    kernels = [(p[::4].detach().clone()).requires_grad_() for p in (model.conv.weight, model.conv.bias)]
    head = model.head.weight[:, ::4].detach().clone().requires_grad_()

    def whole() -> dict[str, Tensor]:
        turned = torch.stack([torch.rot90(kernels[0], h, (2, 3)) for h in range(4)], 1).flatten(0, 1)
        bias, weight = kernels[1].repeat_interleave(4), head.repeat_interleave(4, 1)
        return {"conv.weight": turned, "conv.bias": bias, "head.weight": weight, "head.bias": model.head.bias}

    def loss() -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, whole(), (x[KEPT:],)), y[KEPT:])

    value = fit([*kernels, head, model.head.bias], loss, 500)
    model.load_state_dict({name: p.detach() for name, p in whole().items()})
    return model, {"image": x[:KEPT]}, value


def train_energy(rng: torch.Generator) -> tuple[nn.Module, dict[str, Tensor], float]:
    """Five atoms that attract and repel each other."""
    pos = 1.2 * torch.randn(800, 5, 3, generator=rng)
    r = (pos.unsqueeze(1) - pos.unsqueeze(2)).square().sum(-1)
    y = (2 * torch.exp(-2 * r) - torch.exp(-0.4 * r)).sum((1, 2))
    model = initialise(networks.energy(), rng)
    value = fit([*model.parameters()], lambda: F.mse_loss(model(pos[KEPT:]), y[KEPT:]), 500)
    return model, {"pos": pos[:KEPT]}, value


def train_trend(rng: torch.Generator) -> tuple[nn.Module, dict[str, Tensor], float]:
    """The slope of the line through eight noisy values."""
    times, slope = torch.linspace(-1, 1, 8).unsqueeze(-1), torch.randn(600, 1, 1, generator=rng)
    x = slope * times + 0.3 * torch.randn(600, 8, 1, generator=rng)
    model = initialise(networks.trend(), rng)
    value = fit([*model.parameters()], lambda: F.mse_loss(model(x[KEPT:]), slope[KEPT:, 0]), 300)
    return model, {"sequence": x[:KEPT]}, value


def train_ring(rng: torch.Generator, seed: int) -> tuple[nn.Module, dict[str, Tensor], float]:
    """Points on a ring or elsewhere; both seeds see the same points."""
    x = F.normalize(torch.randn(512, 2, generator=rng), dim=1) * 2 * torch.rand(512, 1, generator=rng)
    y = ((x.norm(dim=1) - 1).abs() < 0.5).long()
    model = initialise(networks.ring(), torch.Generator().manual_seed(seed))
    value = fit([*model.parameters()], lambda: F.cross_entropy(model(x), y), 1500, decay=0.3)
    return model, {"x": x, "y": y}, value


def save(name: str, model: nn.Module) -> None:
    """The weights, as they are."""
    save_file({key: p.contiguous() for key, p in model.state_dict().items()}, HERE / "weights" / f"{name}.safetensors")


def main() -> None:
    """All checkpoints and their data; the second ring is aligned with the first."""
    from symcheck.cli.main import main as symcheck

    torch.set_num_threads(1)
    recipes = {
        "handed": train_handed, "energy": train_energy, "trend": train_trend,
        "ring-a": lambda rng: train_ring(rng, 1), "ring-b-raw": lambda rng: train_ring(rng, 3),
    }  # fmt: skip
    for name, train in recipes.items():
        model, inputs, loss = train(torch.Generator().manual_seed(0))
        print(f"{name}: loss {loss:.4f}")
        save(name, model)
        np.savez_compressed(HERE / "data" / f"{name.split('-')[0]}.npz", **{k: x.numpy() for k, x in inputs.items()})
    a, b, aligned = (str(HERE / "weights" / f"ring-{end}.safetensors") for end in ("a", "b-raw", "b"))
    model = f"{HERE / 'networks.py'}:ring"
    data = str(HERE / "data" / "ring.npz")
    if symcheck(["align", a, b, "--model", model, "-i", data, "-o", aligned, "--force"]):
        raise SystemExit("the rings were not aligned")


if __name__ == "__main__":
    main()
