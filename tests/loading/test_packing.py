"""Graphs one by one, as dicts of arrays or as torch_geometric holds them, to packed inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.errors import DataError, LoadError
from symcheck.loading import load_inputs
from symcheck.loading.packing import pack, packable
from symcheck.report.model import Verdict

SIZES = (3, 5, 2, 4)


def graph(i: int, n: int, **more: Any) -> dict[str, Any]:
    """A ring of n atoms with everything that graphs carry."""
    g = torch.Generator().manual_seed(i)
    ring = torch.arange(n)
    edges = torch.cat([torch.stack([ring, (ring + 1) % n]), torch.stack([(ring + 1) % n, ring])], 1)
    return {
        "z": torch.randint(1, 9, (n,), generator=g), "pos": torch.randn(n, 3, generator=g),
        "edge_index": edges, "edge_attr": torch.randn(2 * n, 2, generator=g),
        "cell": torch.eye(3) * (i + 1), "y": torch.randn(1, 4, generator=g), "energy": float(i), **more,
    }  # fmt: skip


def graphs() -> list[dict[str, Any]]:
    return [graph(i, n) for i, n in enumerate(SIZES)]


def test_rows_edges_and_what_belongs_to_a_whole_graph() -> None:
    found = pack(graphs(), "here")
    assert found["batch"].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3]
    shapes = {name: tuple(x.shape) for name, x in found.items()}
    assert shapes == {
        "z": (14,), "pos": (14, 3), "edge_index": (2, 28), "edge_attr": (28, 2), "cell": (4, 3, 3), "y": (4, 4),
        "energy": (4,), "batch": (14,),
    }  # fmt: skip
    owner = found["batch"][found["edge_index"]]
    assert torch.equal(owner[0], owner[1])
    second = found["edge_index"][:, 6:16] - 3
    assert torch.equal(second, graph(1, 5)["edge_index"])
    assert found["energy"].tolist() == [0.0, 1.0, 2.0, 3.0] and found["energy"].dtype == torch.float32


def test_graphs_of_one_size_keep_their_cells_apart() -> None:
    found = pack([graph(i, 3) for i in range(3)], "here")
    assert found["cell"].shape == (3, 3, 3) and found["pos"].shape == (9, 3)


def test_numpy_arrays_and_none() -> None:
    found = pack([{"R": np.zeros((n, 3)), "Z": [6] * n, "forces": None} for n in SIZES], "here")
    assert set(found) == {"R", "Z", "batch"} and found["Z"].dtype == torch.int64 and found["R"].shape == (14, 3)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([graph(0, 3), graph(1, 4, extra=torch.ones(4))], "not every sample has 'extra'"),
        ([graph(0, 3, name="water"), graph(1, 4, name="ice")], "'name' of a sample is a str"),
        ([graph(0, 3, w=torch.ones(2)), graph(1, 4, w=torch.ones(5))], "'w' has neither one entry per row"),
        ([graph(0, 3, v=torch.ones(3, 2)), graph(1, 4, v=torch.ones(4, 3))], "rows of different shapes"),
        ([{"edge_index": torch.zeros(2, 4, dtype=torch.int64)}] * 2, "no array counts the rows"),
        ([graph(0, 3, index=torch.zeros(2, 4, dtype=torch.int64))] * 2, "several edge indices"),
    ],
)
def test_what_cannot_be_packed_is_said(samples: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        pack(samples, "here")


@pytest.mark.parametrize("content", [{"a": torch.ones(3)}, torch.ones(3), [torch.ones(3)], (), np.ones(3), 3])
def test_plain_tensors_are_no_graphs(content: object) -> None:
    assert not packable(content)


def test_a_function_may_return_dicts(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(
        "import numpy as np\n"
        "def ragged(samples, seed):\n"
        "    return [{'pos': np.ones((n + 2, 3), dtype='f4'), 'z': np.ones(n + 2, int)} for n in range(samples)]\n"
    )
    found = load_inputs("data.py:ragged", samples=3, seed=0, base=tmp_path)
    assert found["batch"].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2] and found["pos"].shape == (9, 3)


class Messages(nn.Module):
    """An energy from distances along edges, and forces along them, with an optional leak that does not turn."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.leak = leak

    def forward(self, pos: Tensor, z: Tensor, edge_index: Tensor, batch: Tensor) -> dict[str, Tensor]:
        source, target = edge_index
        away = pos[target] - pos[source]
        strength = (-away.square().sum(1) / 2).exp() * (0.3 + z[source] * z[target])
        energy = torch.zeros(int(batch.max()) + 1).to(pos).index_add(0, batch[target], strength)
        forces = torch.zeros_like(pos).index_add(0, target, strength[:, None] * away)
        return {"energy": energy, "forces": forces + self.leak}


CLAIM = "SO(3): pos=points, z=scalar, edge_index=scalar, batch=owner -> energy=scalar, forces=vector"


@pytest.mark.parametrize(("leak", "verdict"), [(0.0, Verdict.EXACT), (0.5, Verdict.BROKEN)])
def test_what_is_packed_can_be_audited(leak: float, verdict: Verdict) -> None:
    rings = [graph(i, 3 + i % 3) for i in range(12)]
    inputs = pack([{k: g[k] for k in ("pos", "z", "edge_index")} for g in rings], "here")
    report = symcheck.audit(Messages(leak), [CLAIM], inputs, samples=12, elements=16)
    assert {f.verdict for f in report.findings if f.output == "forces"} == {verdict}



def test_data_of_torch_geometric_is_packed_as_it_packs_itself() -> None:
    pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
    from torch_geometric.data import Batch, Data  # type: ignore[import-untyped]

    one = [{**g, "cell": g["cell"][None]} for g in graphs()]
    listed = [Data(**g) for g in one]
    expected = Batch.from_data_list(listed)
    for found in (pack(listed, "here"), pack(expected, "here")):
        assert set(found) == set(one[0]) | {"batch"}
        for name, x in found.items():
            assert torch.equal(x, expected[name].to(x.dtype)), name
    alone = pack(listed[1], "here")
    assert alone["batch"].tolist() == [0] * 5 and torch.equal(alone["edge_index"], listed[1].edge_index)


def test_pickled_graphs_are_refused_with_the_way_out(tmp_path: Path) -> None:
    pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
    from torch_geometric.data import Data

    torch.save([Data(**g) for g in graphs()], tmp_path / "graphs.pt")
    with pytest.raises(LoadError, match="pickled objects of torch_geometric") as caught:
        load_inputs("graphs.pt", samples=2, seed=0, base=tmp_path)
    assert "-i file.py:graphs" in caught.value.hint


@pytest.mark.slow
def test_a_graph_convolution_of_torch_geometric() -> None:
    pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
    from torch_geometric.nn import GCNConv, global_mean_pool  # type: ignore[import-untyped]

    class Net(nn.Module):
        def __init__(self, rank: float = 0.0) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.rank, self.first, self.second = rank, GCNConv(3, 8), GCNConv(8, 4)

        def forward(self, pos: Tensor, edge_index: Tensor, batch: Tensor) -> dict[str, Tensor]:
            h = self.first(pos, edge_index).tanh()
            h = self.second(h, edge_index) + 0.1
            rank = torch.arange(len(h)) - torch.searchsorted(batch, batch)
            h = h + self.rank * rank.to(h)[:, None]
            return {"nodes": h, "graph": global_mean_pool(h.square(), batch)}

    inputs = pack([{k: g[k] for k in ("pos", "edge_index")} for g in [graph(i, 3 + i % 3) for i in range(12)]], "here")
    claim = "S: pos=nodes, edge_index=edges, batch=owner -> nodes=nodes, graph=invariant"
    for rank, verdict in ((0.0, Verdict.EXACT), (0.5, Verdict.BROKEN)):
        report = symcheck.audit(Net(rank), [claim], inputs, samples=12, elements=16)
        assert {f.verdict for f in report.findings if f.output == "nodes"} == {verdict}
