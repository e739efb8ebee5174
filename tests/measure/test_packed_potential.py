"""The trained potential on packed molecules of mixed size: the dense network's numbers, and all of its symmetries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.report.model import Verdict
from symcheck.subject_file import read_subject_file

FIXTURES = Path(__file__).parents[2] / "fixtures"
SUBJECT = read_subject_file(FIXTURES / "graphs.toml")


def network(factory: str) -> nn.Module:
    found = symcheck.load(FIXTURES / "potential.safetensors", model=str(FIXTURES / factory))
    assert found.module is not None
    return found.module


def molecules(samples: int = 10) -> dict[str, Tensor]:
    from symcheck.loading import load_inputs

    return load_inputs(str(FIXTURES / "graphs.py:molecules"), samples=samples, seed=0)


def test_packed_molecules_have_the_energies_and_forces_of_dense_ones() -> None:
    packed, dense = network("graphs.py:packed_potential"), network("models.py:potential")
    data = molecules()
    near = torch.cdist(data["pos"], data["pos"]) <= 5.0
    mates = data["batch"][:, None] == data["batch"][None]
    edges = torch.nonzero((near & mates).fill_diagonal_(False)).T
    found = packed(**data, edge_index=edges)
    for sample in range(10):
        rows = data["batch"] == sample
        alone = dense(data["pos"][rows][None], data["z"][rows][None])
        assert float(found["energy"][sample].detach()) == pytest.approx(float(alone["energy"][0].detach()), rel=1e-5)
        assert torch.allclose(found["forces"][rows], alone["forces"][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("claim", SUBJECT.claims)
def test_every_claim_of_the_subject_file_holds(claim: str) -> None:
    model, graph = network("graphs.py:packed_potential"), str(SUBJECT.graph)
    report = symcheck.audit(model, claim, molecules(), elements=4, graph=graph)
    limit = (Verdict.EXACT, Verdict.APPROXIMATE) if claim.startswith("Gradient") else (Verdict.EXACT,)
    assert report.findings and all(finding.verdict in limit for finding in report.findings)


def test_an_energy_with_a_constant_is_not_extensive() -> None:
    claim = "Copies(2): pos=points, z=nodes, batch=owner -> energy=extensive, forces=nodes"
    model, graph = network("graphs.py:packed_potential"), str(SUBJECT.graph)
    found = {f.output: f.verdict for f in symcheck.audit(model, claim, molecules(), elements=4, graph=graph).findings}
    assert found == {"energy": Verdict.BROKEN, "forces": Verdict.EXACT}
