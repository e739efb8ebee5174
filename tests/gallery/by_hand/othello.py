"""Othello on a board and on the turned board: the moves should turn, the pass and the value should stay."""

import torch
from asked import pairs, say
from games import trained, untrained


def turned(x: torch.Tensor, quarters: int, mirrored: int) -> torch.Tensor:
    return torch.rot90(x.flip(-2) if mirrored else x, quarters, (-2, -1))


def moved(y: torch.Tensor, element: list[int]) -> torch.Tensor:
    return torch.cat([turned(y[:, :64].reshape(-1, 8, 8), *element).flatten(1), y[:, 64:]], 1)


def main(name: str) -> None:
    net = trained() if name == "othello" else untrained()
    for entry, element, inputs in pairs(name):
        g, output = element.tolist(), entry["output"]
        with torch.no_grad():
            here = net(**inputs)[output]
            there = net(turned(inputs["board"], *g), moved(inputs["legal"], g))[output]
        say(entry, there - (here if output == "value" else moved(here, g)))


if __name__ == "__main__":
    main("othello")
