"""Modules of e3nn, fields of escnn, networks of timm: what they state is read, and what they lack is said."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import symcheck
from symcheck.errors import ClaimError, DataError, LoadError
from symcheck.loading import load_inputs, load_subject
from symcheck.report.model import Verdict


class Stated:
    """What e3nn's Irreps shows of itself: its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Mixed(nn.Module):
    """Scalars and vectors to vectors: s v, with an optional leak that does not turn."""

    irreps_in, irreps_out = Stated("2x0e+2x1o"), Stated("2x1o")

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.leak, self.weight = leak, nn.Parameter(torch.tensor([0.7, -1.3]))

    def forward(self, x: Tensor) -> Tensor:
        scalars, vectors = x[:, :2], x[:, 2:].reshape(-1, 2, 3)
        moved = (self.weight * scalars + 0.3)[..., None] * vectors
        return (moved + self.leak * vectors.abs()).flatten(1)


@pytest.mark.parametrize(("leak", "verdict"), [(0.0, Verdict.EXACT), (0.02, Verdict.BROKEN)])
def test_irreps_are_read_off_the_module(leak: float, verdict: Verdict) -> None:
    inputs = load_inputs("irreps(2x0e+2x1o)", samples=12, seed=0)
    report = symcheck.audit(Mixed(leak), None, inputs, elements=4)
    assert {f.claim for f in report.findings} == {"O(3): irreps(2x0e+2x1o) -> irreps(2x1o)"}
    assert {f.verdict for f in report.findings} == {verdict}
    assert {f.part for f in report.findings} == {"proper", "improper"}


def test_irreps_that_do_not_fit_the_tensors_are_said() -> None:
    with pytest.raises(DataError, match="width 8 for the input 'input'"):
        symcheck.audit(Mixed(), None, torch.randn(6, 7))
    wrong = Mixed()
    wrong.irreps_out = Stated("3x1o")
    with pytest.raises(DataError, match="width 9 for the output 'output'"):
        symcheck.audit(wrong, None, torch.randn(6, 8))


def test_an_attribute_of_that_name_that_is_something_else_is_left_alone() -> None:
    class Plain(nn.Module):
        irreps_in, irreps_out = 8, {"x": "1x1o"}

        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1)

    report = symcheck.audit(Plain(), None, torch.randn(6, 5, 4), elements=4)
    assert "irreps" not in " ".join(f.claim for f in report.findings)


def test_irreps_as_a_distribution() -> None:
    assert load_inputs("irreps(16x0e+8x1o)", samples=4, seed=0)["input"].shape == (4, 40)
    assert load_inputs("irreps(5,2e)", samples=4, seed=0)["input"].shape == (4, 5, 5)
    few, many = (load_inputs("irreps(4x1o)", samples=n, seed=3)["input"] for n in (2, 9))
    assert torch.equal(few, many[:2])
    with pytest.raises(ClaimError, match="not an irrep"):
        load_inputs("irreps(4x1a)", samples=4, seed=0)
    with pytest.raises(DataError, match="positive whole numbers"):
        load_inputs("irreps(0,4x1o)", samples=4, seed=0)


@pytest.mark.parametrize(
    ("name", "inputs", "output"),
    [
        ("Linear", ("4x0e+2x1o",), ("3x1o",)),
        ("FullyConnectedTensorProduct", ("2x0e+1x1o", "1x1o"), ("3x1e",)),
        ("Norm", ("3x1o",), ()),
    ],
)
def test_modules_of_e3nn(name: str, inputs: tuple[str, ...], output: tuple[str, ...]) -> None:
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed")
    torch.manual_seed(0)
    module = getattr(o3, name)(*inputs, *output)
    sources = {f"x{i}": f"irreps({text})" for i, text in enumerate(inputs)}
    report = symcheck.audit(module, None, load_inputs(sources, samples=8, seed=0), elements=4)
    assert report.findings and {f.verdict for f in report.findings} == {Verdict.EXACT}


def plane(angle: float) -> Any:
    g = torch.tensor(angle)
    return torch.stack([torch.stack([g.cos(), -g.sin()]), torch.stack([g.sin(), g.cos()])]).double().numpy()


class Turns:
    """The cyclic group C4 as escnn shows it: elements are turns 0..3."""

    elements = (0, 1, 2, 3)

    def order(self) -> int:
        return 4


class Space:
    dimensionality = 2

    def basespace_action(self, turn: int) -> Any:
        return plane(turn * torch.pi / 2)


def trivial(turn: int) -> list[list[float]]:
    return [[1.0]]


def vector(turn: int) -> Any:
    return plane(turn * torch.pi / 2)


def regular(turn: int) -> Any:
    return torch.roll(torch.eye(4), turn, 0).double().numpy()


def alternating(turn: int) -> list[list[float]]:
    return [[(-1.0) ** turn]]


class FieldType:
    gspace, fibergroup = Space(), Turns()

    def __init__(self, *representations: Any) -> None:
        self.representations = representations
        self.size = sum(len(representation(0)) for representation in representations)


class Gradient(nn.Module):
    """An image to its gradient (x right, y up) and its mean square, as fields: a vector and a number."""

    def __init__(self, out: FieldType, factor: float = 1.0) -> None:
        super().__init__()
        self.in_type, self.out_type, self.factor = FieldType(trivial), out, factor

    def forward(self, x: Tensor) -> Tensor:
        right = x.roll(-1, 3) - x.roll(1, 3)
        up = x.roll(1, 2) - x.roll(-1, 2)
        return torch.cat([self.factor * right, up, x.square() + 0.2 * x], 1)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, Verdict.EXACT), (1.02, Verdict.BROKEN)])
def test_field_types_are_read_off_the_module(factor: float, verdict: Verdict) -> None:
    report = symcheck.audit(Gradient(FieldType(vector, trivial), factor), None, torch.randn(8, 1, 7, 7), elements=4)
    assert {f.claim for f in report.findings} == {"C4: image(fiber=1*trivial) -> image(fiber=vector+trivial)"}
    assert {f.verdict for f in report.findings} == {verdict}


def test_a_regular_field_is_told_by_its_matrices() -> None:
    class Lifted(Gradient):
        def forward(self, x: Tensor) -> Tensor:
            weight = torch.tensor([[0.0, 0.3, 0.0], [0.1, 0.7, 1.1], [0.0, -0.4, 0.0]])
            turned = torch.stack([torch.rot90(weight, k) for k in range(4)])[:, None].to(x)
            return nn.functional.conv2d(x, turned, padding=1).relu()

    report = symcheck.audit(Lifted(FieldType(regular)), None, torch.randn(8, 1, 7, 7), elements=4)
    assert {f.claim for f in report.findings} == {"C4: image(fiber=1*trivial) -> image(fiber=1*regular)"}
    assert {f.verdict for f in report.findings} == {Verdict.EXACT}


def test_field_types_without_a_word_a_group_or_of_other_channels_are_said() -> None:
    class Skew(Space):
        def basespace_action(self, turn: int) -> Any:
            return plane(turn * 0.1)

    odd = Gradient(FieldType(vector))
    odd.in_type.gspace = Skew()
    with pytest.raises(DataError, match="no group here turns the plane"):
        symcheck.audit(odd, None, torch.randn(8, 1, 7, 7))
    with pytest.raises(DataError, match="no words for the out_type"):
        symcheck.audit(Gradient(FieldType(vector, alternating)), None, torch.randn(8, 1, 7, 7))
    with pytest.raises(DataError, match="states 1 channels"):
        symcheck.audit(Gradient(FieldType(vector, trivial)), None, torch.randn(8, 3, 7, 7))


def test_an_action_of_a_field_type_moves_pixels_and_channels() -> None:
    from symcheck.actions.base import Bound
    from symcheck.actions.image import image
    from symcheck.actions.plain import user_action
    from symcheck.grammar import parse_group
    from symcheck.groups.products import make_group
    from symcheck.loading.frameworks.escnn import field_action

    group = make_group(parse_group("C4"))
    x, g = torch.randn(4, 7, 5, 5), group.elements()
    assert g is not None
    own = user_action("own", field_action(FieldType(vector, trivial, regular), "C4"))
    moved = own.act(group, own.represent(group, g), x)
    words = image("fiber=vector+trivial+regular")
    assert torch.allclose(moved, Bound((words,), group).act((words.represent(group, g),), x), atol=1e-6)
    other = user_action("other", field_action(FieldType(trivial), "C8"))
    eighth = make_group(parse_group("C8"))
    with pytest.raises(ClaimError, match="not the group of the field type"):
        other.act(eighth, other.represent(eighth, torch.ones_like(eighth.identity(1))), x[:1, :1])


def test_escnn_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("escnn", reason="escnn is not installed")
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom escnn import gspaces, nn\n"
        "def net():\n"
        "    torch.manual_seed(0)\n"
        "    g = gspaces.rot2dOnR2(4)\n"
        "    a, b = nn.FieldType(g, 2 * [g.trivial_repr]), nn.FieldType(g, [g.irrep(1), g.regular_repr])\n"
        "    return nn.R2Conv(a, b, 3, padding=1)\n"
    )
    monkeypatch.chdir(tmp_path)
    subject = load_subject("escnn:nets.py:net")
    report = symcheck.audit(subject, None, torch.randn(8, 2, 7, 7), elements=4)
    assert {f.claim for f in report.findings} == {"C4: image(fiber=2*trivial) -> image(fiber=vector+regular)"}
    assert {f.verdict for f in report.findings} == {Verdict.EXACT}


def stub(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def create_model(model_name: str, pretrained: bool = False, num_classes: int = 4, **named: Any) -> nn.Module:
    assert not pretrained and not named
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, num_classes))


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> None:
    stub(monkeypatch, "torchvision")
    known = {"is_model": lambda name: name == "net", "list_models": lambda: ["net"]}
    stub(monkeypatch, "timm", create_model=create_model, **known)


def test_a_network_of_timm_as_it_is_built(timm: None) -> None:
    subject = load_subject("timm:net.tag", arguments={"num_classes": 5})
    assert subject.name == "net.tag" and subject.call(torch.zeros(2, 3, 2, 2)).shape == (2, 5)
    assert any("no checkpoint was loaded" in note for note in subject.notes)


def test_a_network_of_timm_with_weights_of_a_local_file(timm: None, tmp_path: Path) -> None:
    state = {"1.weight": torch.randn(4, 12), "1.bias": torch.randn(4)}
    save_file(state, tmp_path / "w.safetensors")
    subject = load_subject("timm:net", arguments={"checkpoint_path": str(tmp_path / "w.safetensors")})
    assert torch.equal(subject.call(torch.zeros(1, 3, 2, 2))[0], state["1.bias"]) and not subject.notes
    save_file({"1.weight": state["1.weight"]}, tmp_path / "part.safetensors")
    with pytest.raises(LoadError, match=r"1 missing: 1\.bias"):
        load_subject("timm:net", arguments={"checkpoint_path": str(tmp_path / "part.safetensors")})


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("nett", {}, "no network 'nett'"),
        ("hf-hub:timm/net", {}, "nothing is fetched"),
        ("net", {"pretrained": True}, "nothing is fetched"),
    ],
)
def test_what_timm_is_not_asked_for(timm: None, name: str, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(LoadError, match=words):
        load_subject(f"timm:{name}", arguments=arguments)


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(missing: str) -> Any:
        return lambda name, *rest: None if name == missing else found(name, *rest)

    stub(monkeypatch, "timm", is_model=lambda name: True)
    monkeypatch.setattr("symcheck.loading.frameworks.timm.find_spec", without("torchvision"))
    with pytest.raises(LoadError, match="timm needs torchvision, which is not installed"):
        load_subject("timm:net")
    for name in ("escnn", "escnn.nn"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(LoadError, match="escnn"):
        load_subject("escnn:nets.py:net")
