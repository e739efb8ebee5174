"""Packed graphs: neighbour lists, how a model takes them, and errors where an edge crosses the cut-off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.batch import Batch
from symcheck.errors import ConfigError, DataError
from symcheck.measure.graphs import Graph
from symcheck.measure.session import audit_runner
from symcheck.measure.worst import load_worst, replay
from symcheck.report.model import Finding, Report, Verdict
from symcheck.subject import as_subject

SIZES = (3, 5, 4, 5, 7, 3)
TURNS = "O(3): pos=points, z=scalar, batch=owner -> energy=scalar"
RADIUS = 1.7


def molecules(seed: int = 0, sizes: tuple[int, ...] = SIZES) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    pos = 1.2 * torch.randn(sum(sizes), 3, generator=rng)
    return {"pos": pos, "z": torch.randint(1, 9, (sum(sizes),), generator=rng), "batch": owner}


def at_the_cut_off(seed: int = 0) -> dict[str, Tensor]:
    """Molecules in each of which two atoms are at the cut-off, as far as float32 can tell."""
    data = molecules(seed, 4 * SIZES)
    for sample in range(4 * len(SIZES)):
        first, second = torch.nonzero(data["batch"] == sample).flatten()[:2]
        line = data["pos"][second] - data["pos"][first]
        data["pos"][second] = data["pos"][first] + line * (RADIUS / line.norm())
    return data


class Pairs(nn.Module):
    """E = Σ over edges of a function of the distance, cut off hard or smoothly; `tilt` breaks rotations."""

    def __init__(self, smooth: bool = True, tilt: float = 0.0) -> None:
        super().__init__()
        self.smooth, self.tilt = smooth, tilt
        generator = torch.Generator().manual_seed(3)
        self.charge = nn.Parameter(torch.rand(9, generator=generator) + 0.5)

    def energy(self, pos: Tensor, z: Tensor, owner: Tensor, edges: Tensor, count: int) -> Tensor:
        vector = pos[edges[0]] - pos[edges[1]]
        distance = vector.norm(dim=1)
        term = self.charge[z[edges[0]]] * self.charge[z[edges[1]]] * torch.exp(-distance / 2)
        term = term + self.tilt * vector[:, 0].square()
        if self.smooth:
            term = term * (1 - distance / RADIUS).clamp(min=0).square()
        return pos.new_zeros(count).index_add_(0, owner[edges[0]], term)

    def forward(self, pos: Tensor, z: Tensor, batch: Tensor) -> dict[str, Tensor]:
        near = (torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist") <= RADIUS) & (
            batch[:, None] == batch[None]
        )
        edges = torch.nonzero(near.fill_diagonal_(False)).T
        return {"energy": self.energy(pos, z, batch, edges, int(batch.max()) + 1)}


class FromDict(Pairs):
    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:  # type: ignore[override]
        return super().forward(data["pos"], data["z"], data["batch"])


class FromEdges(Pairs):
    def forward(self, pos: Tensor, z: Tensor, batch: Tensor, edge_index: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"energy": self.energy(pos, z, batch, edge_index, int(batch.max()) + 1)}


class WithAtoms(Pairs):
    """Also returns a number for each atom."""

    def forward(self, pos: Tensor, z: Tensor, batch: Tensor) -> dict[str, Tensor]:
        return {**super().forward(pos, z, batch), "atoms": self.charge[z] + self.tilt * pos[:, 0]}


class Dense(WithAtoms):
    """Takes molecules of one size at a time, (n, atoms, 3)."""

    def forward(self, pos: Tensor, z: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        owner = torch.arange(len(z)).repeat_interleave(z.shape[1])
        found = super().forward(pos.flatten(0, 1), z.flatten(), owner)
        return {**found, "atoms": found["atoms"].reshape(z.shape)}


def audit(model: nn.Module, claim: str = TURNS, data: dict[str, Tensor] | None = None, **options: Any) -> Report:
    return symcheck.audit(model, claim, data or molecules(), elements=16, **options)


def means(report: Report) -> list[float]:
    return [f.error.absolute.mean for f in report.findings if f.error is not None]


def batch_of(data: dict[str, Tensor]) -> Batch:
    sizes = torch.bincount(data["batch"])
    kinds = {name: "sample" if len(x) == len(sizes) else "row" for name, x in data.items()} | {"batch": "owner"}
    return Batch(data, len(sizes), data["batch"], sizes, kinds)


def by_hand(data: dict[str, Tensor], radius: float) -> set[tuple[int, int, tuple[float, ...]]]:
    """Edges (source, target, target − source) with an image of the source within the radius, one by one."""
    pos, owner, found = data["pos"].numpy(), data["batch"].numpy(), set()
    cells = data["cell"].numpy() if "cell" in data else np.zeros((owner.max() + 1, 3, 3))
    for i in range(len(pos)):
        for j in np.flatnonzero(owner == owner[i]):
            reach = range(-3, 4) if cells[owner[i]].any() else range(1)
            for offset in np.ndindex(len(reach), len(reach), len(reach)):
                steps = np.array([reach[k] for k in offset])
                line = pos[i] - pos[j] - steps @ cells[owner[i]]
                if np.linalg.norm(line) <= radius and (i != j or steps.any()):
                    found.add((int(j), i, tuple(np.round(line, 6).tolist())))
    return found


@pytest.mark.parametrize("periodic", [False, True])
def test_edges_are_those_found_one_by_one(periodic: bool) -> None:
    data = {name: x.double() if x.is_floating_point() else x for name, x in molecules(1, (3, 2, 4)).items()}
    if periodic:
        rng = torch.Generator().manual_seed(2)
        data["cell"] = 2.2 * torch.eye(3).double() + 0.3 * torch.rand(3, 3, 3, generator=rng)
    (source, target), shift = Graph.parse("edge_index+edge_shift=radius(2.5)").build(batch_of(data))
    line = data["pos"][target] - data["pos"][source] + shift
    rows = [tuple(np.round(row, 6).tolist()) for row in line.numpy()]
    found = list(zip(source.tolist(), target.tolist(), rows, strict=True))
    assert len(found) == len(set(found)) and set(found) == by_hand(data, 2.5)


def test_nearest_neighbours_are_nearest() -> None:
    data = molecules(2, (6, 9))
    (source, target), _ = Graph.parse("knn(4)").build(batch_of(data))
    assert torch.bincount(target).tolist() == [4] * 15
    for i in range(15):
        mates = torch.nonzero(data["batch"] == data["batch"][i]).flatten()
        mates = mates[mates != i]
        nearest = mates[(data["pos"][mates] - data["pos"][i]).norm(dim=1).argsort()[:4]]
        assert set(source[target == i].tolist()) == set(nearest.tolist())


def test_equal_graphs_have_equal_keys_in_any_company() -> None:
    graph, whole = Graph.parse("radius(2)"), batch_of(molecules())
    for ranked in (True, False):
        keys = graph.key(whole, ranked)
        assert torch.equal(graph.key(whole.slice(2, 5), ranked), keys[2:5])
        assert len(keys.unique()) >= len(keys) - 1  # two triangles
    assert whole.owner is not None
    nudged = whole.with_tensors({**whole.tensors, "pos": whole.tensors["pos"] * 1.3})
    changed = [set(map(tuple, torch.stack(graph.build(one)[0]).T.tolist())) for one in (whole, nudged)]
    assert changed[0] != changed[1]
    assert (graph.key(nudged, True) == graph.key(whole, True)).tolist() == [
        {e for e in changed[0] if whole.owner[e[0]] == i} == {e for e in changed[1] if whole.owner[e[0]] == i}
        for i in range(len(SIZES))
    ]


def test_every_way_to_take_a_batch_is_the_same_network() -> None:
    plain = means(audit(Pairs(tilt=0.1)))
    assert min(plain) > 1e-3
    assert means(audit(FromDict(tilt=0.1), takes="dict")) == pytest.approx(plain, rel=1e-6)
    assert means(audit(FromEdges(tilt=0.1), graph="edge_index=radius(1.7)")) == pytest.approx(plain, rel=1e-6)
    claim = TURNS + ", atoms=scalar"
    packed = audit(WithAtoms(tilt=0.1), claim)
    assert means(audit(Dense(tilt=0.1), claim, takes="dense")) == pytest.approx(means(packed), rel=1e-6)


def test_a_graph_batch_reaches_the_model() -> None:
    pytest.importorskip("torch_geometric")

    class FromData(Pairs):
        def forward(self, data: Any) -> dict[str, Tensor]:  # type: ignore[override]
            edges = data.edge_index
            return {"energy": self.energy(data.pos, data.z, data.batch, edges, data.num_graphs)}

    report = audit(FromData(tilt=0.1), takes="data", graph="edge_index=radius(1.7)")
    assert means(report) == pytest.approx(means(audit(Pairs(tilt=0.1))), rel=1e-6)


def test_a_packed_batch_is_cut_to_the_batch_size() -> None:
    whole = audit(Pairs(tilt=0.1), data=molecules())
    assert means(audit(Pairs(tilt=0.1), batch_size=2)) == pytest.approx(means(whole), rel=1e-6)


def only(report: Report) -> Finding:
    return report.findings[0]


def test_an_edge_that_crosses_a_hard_cut_off_is_told_apart() -> None:
    report = audit(Pairs(smooth=False), "SO(3): pos=points, z=scalar, batch=owner -> energy=scalar",
                   at_the_cut_off(), graph="radius(1.7)")  # fmt: skip
    finding = only(report)
    assert finding.verdict is Verdict.BROKEN
    split = {part.name: part for part in finding.by_graph}
    assert 0 < split["graph changed"].pairs < finding.counts.pairs
    assert split["graph changed"].pairs + split["same graph"].pairs == finding.counts.pairs
    assert split["same graph"].max < 1e-5 < split["graph changed"].mean
    assert "crosses the cut-off" in finding.note and "fade out" in finding.advice
    assert Report.from_json(report.to_json()).findings[0].by_graph == finding.by_graph


def test_a_smooth_cut_off_is_exact_whatever_crosses_it() -> None:
    finding = only(audit(Pairs(), data=at_the_cut_off(), graph="radius(1.7)"))
    assert finding.verdict is Verdict.EXACT
    assert any(part.name == "graph changed" for part in finding.by_graph)


def test_a_broken_network_is_broken_on_the_same_graph_too() -> None:
    finding = only(audit(Pairs(smooth=False, tilt=0.1), data=at_the_cut_off(), graph="radius(1.7)"))
    assert finding.verdict is Verdict.BROKEN and "crosses" not in finding.note
    assert next(part for part in finding.by_graph if part.name == "same graph").mean > 1e-2


def test_a_frozen_graph_stays_that_of_x() -> None:
    claim = "SO(3): pos=points, z=scalar, batch=owner, edge_index=scalar -> energy=scalar"
    report = audit(FromEdges(smooth=False), claim, at_the_cut_off(), graph="edge_index=radius(1.7, frozen)")
    assert only(report).verdict is Verdict.EXACT and not only(report).by_graph
    rebuilt = audit(FromEdges(smooth=False), TURNS, at_the_cut_off(), graph="edge_index=radius(1.7)")
    assert only(rebuilt).verdict is Verdict.BROKEN


def test_jumps_are_told_of_where_no_graph_is_watched() -> None:
    finding = only(audit(Pairs(smooth=False), data=at_the_cut_off()))
    assert finding.verdict is Verdict.EXACT and "the output jumps" in finding.note
    assert "jumps" not in only(audit(Pairs(), data=at_the_cut_off())).note


def test_the_worst_pair_of_a_graph_that_is_not_the_largest_is_replayed(tmp_path: Path) -> None:
    claim = "O(3) x S: pos=points*nodes, z=nodes, batch=owner -> energy=scalar"
    model, file = Pairs(tilt=0.1), tmp_path / "worst.safetensors"
    finding = only(audit(model, claim, save=file))
    pairs, _ = load_worst(file)
    assert finding.worst is not None and SIZES[finding.worst.sample] < max(SIZES)
    assert len(pairs[0].inputs["pos"]) == SIZES[finding.worst.sample]
    again = replay(pairs[0], audit_runner(as_subject(model), pairs[0], None, "as-is"))
    assert again == pytest.approx(pairs[0].error, rel=1e-5) and again > 1e-2


def test_permutations_keep_the_graph() -> None:
    claim = "S: pos=nodes, z=nodes, batch=owner -> energy=invariant"
    finding = only(audit(Pairs(), claim, graph="radius(1.7)"))
    assert finding.verdict is Verdict.EXACT
    assert [part.name for part in finding.by_graph] == ["same graph"]


@pytest.mark.parametrize("text", ["radius", "radius(0)", "near(3)", "radius(2,3)", "radius(2,frozen)", "radius(2,a=b)"])
def test_what_is_no_graph_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Graph.parse(text)


def test_a_graph_without_positions_names_the_inputs() -> None:
    data = molecules()
    data["where"] = data.pop("pos")
    with pytest.raises(DataError, match="there is no input 'pos'"):
        audit(nn.Identity(), "O(3): where=points, z=scalar, batch=owner -> scalar", data, graph="edge_index=radius(2)")


def test_without_claims_packed_molecules_are_asked_for_the_family() -> None:
    report = symcheck.audit(WithAtoms(), inputs=molecules(sizes=4 * SIZES), elements=4, output="energy")
    groups = {finding.claim.split(":")[0] for finding in report.findings}
    assert report.proposed and {"O(3)", "T(3)", "S"} <= groups
    assert {f.verdict for f in report.findings if f.claim.startswith(("O(3)", "T(3)", "S:"))} == {Verdict.EXACT}
