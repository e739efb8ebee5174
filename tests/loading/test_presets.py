"""Presets: their files, the fitting of their claims, and for every family a healthy network and a planted fault."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from family_networks import FAMILIES, Bag, Cloud, Family, Listener, Nodes, Potential, molecules, normal
from torch import Tensor, nn

import symcheck
from symcheck.claim import Claim
from symcheck.errors import ClaimError, ConfigError, DataError, LoadError
from symcheck.grammar import parse_claim
from symcheck.preset import (
    KEYS,
    Missing,
    built_in,
    fit_inputs,
    fit_outputs,
    header,
    preset_text,
    read_preset,
    settled,
)
from symcheck.report.model import Finding, Report

PRESETS = sorted(built_in())
QUICK = {"samples": 12, "elements": 12}


def by(preset: str | Path, model: nn.Module, inputs: Tensor | dict[str, Tensor], **given: Any) -> Report:
    return symcheck.audit(model, inputs=inputs, **{**read_preset(preset), **QUICK, **given})


def audited(family: Family, fault: float) -> Report:
    return by(family.preset, family.network(fault).double(), doubled(family.data), elements=family.elements)


def doubled(data: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.double() if x.is_floating_point() else x for name, x in data.items()}


def group_of(finding: Finding) -> str:
    return str(parse_claim(finding.claim).group)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f"{f.preset} {f.network.__name__}")
def test_a_healthy_network_passes_and_a_planted_fault_is_found(family: Family) -> None:
    healthy, faulty = audited(family, 0.0), audited(family, 1.0)
    resampled = [f for f in healthy.findings if f.part == "resampled"]  # a floor of its own, not the network's
    told = [f for f in healthy.findings if f not in resampled and f.verdict != "trivial"]
    assert {f.verdict for f in told} == {"exact"}, [(f.claim, f.output, f.part, f.verdict) for f in told]
    assert family.broken <= {group_of(f) for f in told}, healthy.notes
    assert family.broken <= {group_of(f) for f in faulty.findings if f.verdict == "broken"}


def test_every_preset_has_a_network() -> None:
    assert {family.preset for family in FAMILIES} == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_is_for_and_explains_every_line(name: str) -> None:
    text = preset_text(name)
    head = header(text)
    assert head.splitlines()[0].startswith("A ") or head.splitlines()[0].startswith("An ")
    assert "\n\nDo: " in head
    stated = read_preset(name)
    assert stated.keys() <= set(KEYS) and stated["claims"]
    previous, beneath = "", False
    for line in text.splitlines():
        key = line.split(" = ")[0]
        if key in KEYS and key != "claims":
            assert "#" in line, f"'{key}' is not explained"
        if line.startswith('  "'):
            assert previous.startswith("  #") or beneath, f"not explained: {line[:40]}"
        beneath = line.startswith('  "') and (beneath or previous.startswith("  #"))
        previous = line


@pytest.mark.parametrize("name", PRESETS)
def test_every_template_resolves_under_every_name_that_it_offers(name: str) -> None:
    for text in read_preset(name)["claims"]:
        tree = parse_claim(text)
        for way in range(4):  # the first names, the second ones, ..., the last ones where there are fewer
            inputs, outputs = ([pick(slot.name or "", way) for slot in side] for side in (tree.inputs, tree.outputs))
            half = fit_inputs(text, list(filter(None, inputs)))
            assert isinstance(half, str)
            whole = fit_outputs(half, list(filter(None, outputs)))
            assert isinstance(whole, str)
            assert str(Claim.parse(settled(whole))) == whole


def pick(name: str, way: int) -> str:
    known = name.rstrip("?").split("|")
    return known[min(way, len(known) - 1)].strip("*")


POSITIONS = "O(3): pos|R=points, cell?=lattice, *=ignore -> energy|E=scalar, forces?=vector, *=ignore"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["pos"], "pos=points"),
        (["R"], "R=points"),
        (["cell", "pos", "y"], "cell=lattice, pos=points, y=ignore"),
        (["xyz"], "xyz=points"),  # one alone is the one that is needed
        (["input0", "input1"], "input0=points, input1=lattice"),  # no names: in order
    ],
)
def test_inputs_are_fitted(names: list[str], found: str) -> None:
    rest = POSITIONS.partition(" -> ")[2]
    assert fit_inputs(POSITIONS, names) == f"O(3): {found} -> {rest}"


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["energy", "forces"], "energy=scalar, forces=vector"),
        (["forces", "E", "charges"], "forces=vector, E=scalar, charges=ignore"),
        (["output"], "output=scalar"),
        (["output0", "output1"], "output0=scalar, output1=vector"),
    ],
)
def test_outputs_are_fitted(names: list[str], found: str) -> None:
    assert fit_outputs(POSITIONS, names) == f"{POSITIONS.partition(' -> ')[0]} -> {found}"


@pytest.mark.parametrize(
    ("text", "names", "why"),
    [
        (POSITIONS, ["cell", "y"], "there is no input pos or R, but cell, y"),
        (POSITIONS, [], "there is no input pos or R, but none"),
        ("S: a?=nodes, b?=nodes, *=ignore -> invariant", ["c", "d"], "there is no input a, but c, d"),
        ("S: nodes, pairs -> invariant", ["x"], "there is no input for each of its 2 slots, but x"),
        ("S: a=nodes, b=nodes -> invariant", ["input0"], "there is no input b, but input0"),
    ],
)
def test_what_is_missing_is_named(text: str, names: list[str], why: str) -> None:
    found = fit_inputs(text, names)
    assert isinstance(found, Missing) and found.why == why
    assert str(found) == f"{parse_claim(text).group} ({why})"


def test_a_rest_alone_takes_everything() -> None:
    text = "S: *=nodes -> *=invariant"
    found = fit_inputs(text, ["x", "y"])
    assert isinstance(found, str) and fit_outputs(found, ["z"]) == "S: x=nodes, y=nodes -> z=invariant"


def test_plain_claims_are_fitted_by_position() -> None:
    assert fit_inputs("S: nodes, pairs -> invariant", ["x", "adj"]) == "S: x=nodes, adj=pairs -> invariant"


def test_what_no_slot_names_is_an_error() -> None:
    with pytest.raises(DataError, match=r"does not declare the input\(s\) charge") as error:
        fit_inputs("O(3): pos=points -> scalar", ["pos", "charge"])
    assert "charge=scalar" in error.value.hint
    with pytest.raises(DataError, match=r"output\(s\) stress"):
        fit_outputs("O(3): pos=points -> energy=scalar", ["energy", "stress"])


def test_a_claim_without_its_slot_is_noted_and_the_others_are_measured() -> None:
    report = by("potential", Potential(), {**molecules(), "cell": torch.zeros(12, 3, 3)})
    notes = "; ".join(report.notes)
    assert "not measured: Strain (there is no output stress, but energy, forces)" in notes
    assert "not measured: GL(3,Z) (GL(3,Z) moves nothing)" in notes  # cells of molecules are zero
    assert "not measured: Supercell(2) (Supercell(2) is about crystals" in notes
    measured = {group_of(finding) for finding in report.findings}
    assert measured == {"O(3)", "T(3)", "S", "Copies(2)", "Gradient", "NetForce", "NetTorque"}


@pytest.mark.parametrize("graph", ["edge_index=radius(1.5, pos=x)", "edge_index=radius(1.5, frozen, pos=x)"])
def test_a_neighbour_graph_is_built(graph: str) -> None:
    packed = {name: x for name, x in molecules().items() if name == "batch"} | {"x": molecules()["pos"]}
    report = by("node", Nodes(), packed, graph=graph)
    ((claim, verdict),) = {(f.claim, f.verdict) for f in report.findings}
    assert verdict == "exact" and ("edge_index=edges" in claim) == ("frozen" in graph)


def test_oblong_images_have_no_quarter_turns() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    report = by("image-classifier", model, normal(8, 1, 8, 12))
    assert {group_of(f) for f in report.findings} == {"C2", "Shift(1)", "Shift(4)"}
    assert {f.output for f in report.findings} == {"logits", "probabilities", "label"}
    assert any("D4 turns rows into columns" in note for note in report.notes)


def test_nothing_applies_is_an_error() -> None:
    with pytest.raises(DataError, match="no claim of the preset applies") as error:
        by("weight-space", Listener(), {"a": normal(8, 4, 3), "b": normal(8, 4, 3)})
    assert "no input w1" in error.value.where


def test_a_part_of_the_module_is_not_taken_for_an_output() -> None:
    class Named(Cloud):
        def build(self) -> None:
            super().build()
            self.logits = nn.Linear(4, 4)

        def forward(self, points: Tensor) -> Tensor:
            return super().forward(points) + 0 * self.logits(points.new_zeros(len(points), 4)) + points[:, 0, :1]

    report = by("point-cloud", Named(), normal(8, 6, 3))
    assert {f.output for f in report.findings} == {"output"}
    assert "broken" in {f.verdict for f in report.findings}


def test_what_the_caller_says_stands_above_the_preset() -> None:
    stated = read_preset("audio")
    report = symcheck.audit(Listener(), inputs=normal(70, 320), **{**stated, "elements": 4})
    assert (report.settings["samples"], report.settings["tolerance"]) == (stated["samples"], stated["tolerance"])
    claims = ["Sign: wave=vector -> invariant"]
    report = by("audio", Listener(), {"wave": normal(8, 320)}, claims=claims)
    assert {f.claim for f in report.findings} == set(claims)
    with pytest.raises(ClaimError, match=r"leaves 'batch\?' open"):  # a stated claim is no template
        by("audio", Listener(), {"wave": normal(8, 320)}, claims=["Sign: wave=vector, batch?=owner -> invariant"])


def test_tolerances_by_template(tmp_path: Path) -> None:
    sign, other = "Sign: wave|x=vector -> y=invariant", "Sign: sound=vector, mask=vector -> y=invariant"
    mine = tmp_path / "mine.toml"
    mine.write_text(f'claims = ["{sign}", "{other}"]\ntolerance = {{ "{sign}" = 9.0, "{other}" = 9.0 }}\n')
    (finding,) = by(mine, Listener(fault=0.1), {"wave": normal(8, 320)}).findings
    assert finding.verdict == "approximate"
    (finding,) = by(mine, Listener(fault=0.1), {"wave": normal(8, 320)}, tolerance=1e-3).findings
    assert finding.verdict == "broken"


@dataclass(frozen=True)
class Wrong:
    text: str
    error: type[Exception]
    says: str


@pytest.mark.parametrize(
    "wrong",
    [
        Wrong('claims = ["C4: image -> invariant"]\ncheckpoint = "x.pt"', ConfigError, "a preset has no 'checkpoint'"),
        Wrong('claims = ["C4: image -> invariant"]\nseed = 3', ConfigError, "a preset has no 'seed'"),
        Wrong("samples = 8", ConfigError, "no claims"),
        Wrong('claims = ["C4 image -> invariant"]', ClaimError, "has no ':'"),
        Wrong('claims = ["C4: image -> invariant"]\nclaim = 1', ConfigError, "unknown key 'claim'"),
        Wrong("claims = [", ConfigError, "this is not TOML"),
    ],
    ids=lambda wrong: wrong.says,
)
def test_a_faulty_preset_is_refused(wrong: Wrong, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(wrong.text)
    with pytest.raises(wrong.error, match=wrong.says):
        read_preset(tmp_path / "mine.toml")


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'potental'") as error:
        read_preset("potental")
    assert error.value.hint.startswith("did you mean 'potential'")
    with pytest.raises(LoadError, match="no such file"):
        read_preset("missing.toml")


def test_a_plug_in_brings_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brought.py").write_text(f"from pathlib import Path\nhere = Path({str(tmp_path)!r}) / 'own.toml'\n")
    (tmp_path / "own.toml").write_text('claims = ["S: bag=nodes, mask?=nodes -> invariant"]')
    entry = EntryPoint("bags", "brought:here", "symcheck.presets")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("symcheck.preset.plugins", lambda group: (entry,) if group == "symcheck.presets" else ())
    assert read_preset("bags")["claims"] == ("S: bag=nodes, mask?=nodes -> invariant",)
    bags = {"bag": normal(8, 7, 3), "mask": torch.ones(8, 7)}
    assert {f.verdict for f in by("bags", Bag(), bags).findings} == {"exact"}


def test_what_a_claim_withholds_from_the_model_and_it_needs_is_named() -> None:
    """Neighbour lists cross the cell: another basis would change them, and the network runs on nothing else."""

    def energy(pos: Tensor, z: Tensor, edge_index: Tensor, cell: Tensor, batch: Tensor) -> Tensor:
        i, j = edge_index
        near = z[i] * z[j] * torch.exp(-(pos[i] - pos[j]).square().sum(1))
        return near.new_zeros(len(cell)).index_add(0, batch[i], near)

    batch = torch.arange(6).repeat_interleave(4)
    ring = torch.arange(24).reshape(6, 4)
    edges = torch.stack([ring.flatten(), ring.roll(1, 1).flatten()])
    pos = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
    cell, z = 4 * torch.eye(3).repeat(6, 1, 1), torch.arange(1, 25) % 3 + 1
    inputs = {"pos": pos, "z": z, "edge_index": edges, "cell": cell, "batch": batch}
    report = symcheck.audit(energy, inputs=inputs, **{**read_preset("potential"), "elements": 4})
    assert {str(finding.verdict) for finding in report.findings} == {"exact"}
    assert any("GL(3,Z) (without edge_index, the model raised TypeError" in note for note in report.notes)
