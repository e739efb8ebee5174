"""Certificates of whole networks: healthy layers pass below 1e-12, every planted fault is in the row where it sits."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from symcheck.actions.base import Bound
from symcheck.errors import ConfigError
from symcheck.groups.base import Group
from symcheck.groups.products import make_group
from symcheck.intertwiners.convolutions import convolution
from symcheck.intertwiners.features import Features, spaces
from symcheck.intertwiners.projection import project
from symcheck.intertwiners.representation import parse_actions
from symcheck.intertwiners.result import Certificate, Certified, LayerRow
from symcheck.locate.certificates import Declared, certify_layers

ROOT = Path(__file__).parents[2]
EXACT, BROKEN, UNKNOWN = Certified.EXACT, Certified.BROKEN, Certified.UNKNOWN


def generic(module: nn.Module, seed: int = 0) -> nn.Module:
    rng = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=rng, dtype=torch.float64)
    return module.double()


def symmetrised(net: nn.Module, group: str, actions: Mapping[str, Declared]) -> nn.Module:
    """Every linear layer and convolution projected on the equivariant ones, weights generic otherwise."""
    made = make_group(group)
    for path, child in generic(net).named_modules():
        declared = actions.get(path)
        if not isinstance(child, nn.Linear | nn.Conv2d | nn.Conv3d) or declared is None:
            continue
        source, target = declared if isinstance(declared, tuple) else (declared, declared)
        if isinstance(child, nn.Linear):
            found = spaces(made, [(target, child.out_features), (source, child.in_features)])
        else:
            found = list(convolution(child, made, source, target).spaces)
        child.weight.data = project(child.weight, *found).value
        if child.bias is not None:
            child.bias.data = project(child.bias, found[0]).value
    return net


def only(found: Certificate, layer: str) -> LayerRow:
    rows = [row for row in found.rows if row.layer == layer]
    assert len(rows) == 1, [row.layer for row in found.rows]
    return rows[0]


SETS: dict[str, Declared] = {
    "0": "nodes",
    "1": "nodes",
    "2": ("nodes", "pairs"),
    "3": "pairs",
    "4": ("pairs", "scalar"),
}
IMAGES: dict[str, Declared] = {
    "0": ("image", "image(fiber=regular)"),
    "1": "image(fiber=regular)",
    "2": ("image(fiber=regular)", "image(fiber=3*trivial+sign+vector)"),
}
VECTORS: dict[str, Declared] = {"0": ("2x0e+2x1o", "3x0e+1x1o+1x2e"), "1": ("3x0e+1x1o+1x2e", "1x1o")}
VOXELS: dict[str, Declared] = {"0": ("1x0e+1x1o", "2x0e+1x1o")}


def sets() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 25), nn.GELU(), nn.Linear(25, 3))


def images() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 5, padding=2))


CASES = {
    "S": (sets, "S", SETS),
    "A(5)": (sets, "A(5)", SETS),
    "C4": (images, "C4", IMAGES),
    "SO(3)": (lambda: nn.Sequential(nn.Linear(8, 11), nn.Linear(11, 3)), "SO(3)", VECTORS),
    "O": (lambda: nn.Sequential(nn.Conv3d(4, 5, 3)), "O", VOXELS),
}
LINEAR = {"S": "024", "A(5)": "024", "C4": "02", "SO(3)": "01", "O": "0"}
FAULTS = [(name, path, part) for name, paths in LINEAR.items() for path in paths for part in ("weight", "bias")]
FREE = {("S", "4", "bias"), ("A(5)", "4", "bias")}  # a bias on scalars may be anything


@pytest.mark.parametrize("name", CASES)
def test_healthy_networks_pass(name: str) -> None:
    make, group, actions = CASES[name]
    found = certify_layers(symmetrised(make(), group, actions), group, actions)
    assert found.verdict is EXACT
    for row in found.rows:
        assert row.verdict in (EXACT, Certified.TRIVIAL)
        assert row.level is None or row.level < 1e-12
        assert row.used is None or row.used == row.allowed  # generic weights use every direction


@pytest.mark.parametrize("size", [1e-3, 1e-8])
@pytest.mark.parametrize(("name", "path", "part"), [fault for fault in FAULTS if fault not in FREE])
def test_a_planted_fault_is_in_its_row(name: str, path: str, part: str, size: float) -> None:
    make, group, actions = CASES[name]
    net = symmetrised(make(), group, actions)
    getattr(net.get_submodule(path), part).data.view(-1)[-1] += size
    found = certify_layers(net, group, actions)
    assert [row.layer for row in found.broken()] == [f"{path}.{part}"]
    assert found.verdict is BROKEN
    assert only(certify_layers(net, group, actions, tolerance=1.0), f"{path}.{part}").verdict is Certified.APPROXIMATE


def test_a_generic_network_is_broken_everywhere_it_can_be() -> None:
    found = certify_layers(generic(sets()), "S", SETS)
    assert {row.layer for row in found.broken()} == {"0.weight", "0.bias", "2.weight", "2.bias", "4.weight"}
    assert only(found, "4.bias").verdict is Certified.TRIVIAL  # scalars: nothing is tested


def mover(shape: tuple[int, int, int], group: Group) -> Callable[[Tensor, Tensor], Tensor]:
    bound = Bound(parse_actions("image(fiber=regular)"), group)
    return lambda g, x: bound(g[None], x.reshape(1, *shape))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_the_certificate_of_a_convolution_agrees_with_its_outputs(groups: int, transposed: bool) -> None:
    made, regular = make_group("D4"), "image(fiber=regular)"
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = generic(kind(8, 16, 3, padding=1, groups=groups, bias=False))
    parts = convolution(conv, made, regular, regular)
    plain = nn.Conv2d(8, 16, 3, padding=1, bias=False).double()
    x = torch.randn(1, 8, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain.weight.data = parts.weight.flip(2, 3) if transposed else parts.weight
    assert (plain(x) - conv(x)).abs().max() < 1e-12  # the dense kernel is the layer
    dense = project(parts.weight, *parts.spaces).value
    plain.weight.data = dense.flip(2, 3) if transposed else dense
    into, out = mover((8, 6, 6), made), mover((16, 6, 6), made)
    elements = made.elements()
    assert elements is not None
    assert len(elements) == 8
    for g in elements:
        assert (plain(into(g, x)) - out(g, plain(x))).abs().max() < 1e-11
    assert (conv(into(elements[1], x)) - out(elements[1], conv(x))).abs().max() > 1e-2


def test_what_only_some_elements_were_tested_for_is_not_certified() -> None:
    actions = {"": ("image", "image(fiber=vector)")}
    net = nn.Conv2d(1, 2, 3, padding=1)
    for group in ("C8", "SO(2)"):
        made = make_group(group)
        conv = generic(copy.deepcopy(net))
        parts = convolution(conv, made, *actions[""])
        conv.weight.data = project(conv.weight, *parts.spaces).value  # type: ignore[operator, union-attr]
        conv.bias.data.zero_()  # type: ignore[operator, union-attr]
        row = only(certify_layers(conv, group, actions), "weight")
        assert row.verdict is UNKNOWN and "4 grid elements" in row.reason
        assert row.level is not None and row.level < 1e-12
        conv.weight.data[0, 0, 0, 0] += 1e-8  # type: ignore[operator, index, union-attr]
        assert only(certify_layers(conv, group, actions), "weight").verdict is BROKEN


def strided(**settings: object) -> nn.Module:
    conv = nn.Conv2d(1, 1, **settings)  # type: ignore[arg-type]
    conv.weight.data.fill_(1.0)
    return conv


def test_settings_that_single_out_an_axis_or_a_side_are_found() -> None:
    even, uneven = {"kernel_size": 2, "padding": "same"}, {"kernel_size": 3, "padding": (1, 0)}
    for settings in ({"kernel_size": (1, 3)}, even, uneven):
        assert certify_layers(strided(**settings), "C4", {"": "image"}).verdict is BROKEN
    assert certify_layers(strided(kernel_size=3, padding=1), "C4", {"": "image"}).verdict is EXACT
    assert certify_layers(strided(kernel_size=3, padding=1, stride=2), "C4", {"": "image"}).verdict is UNKNOWN
    assert certify_layers(strided(kernel_size=(1, 3), padding=(0, 1)), "C2", {"": "image"}).verdict is EXACT
    assert certify_layers(strided(kernel_size=3), "Shift(1)", {"": "image"}).verdict is UNKNOWN


class Mixed(nn.Module):
    """Children that are certified, a parameter of its own, and a layer without a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Softmax(-1))

    def forward(self, x: Tensor) -> Tensor:
        """The forward that no certificate sees."""
        return self.inner(x) * self.scale


def test_what_is_not_understood_is_named_and_never_passes() -> None:
    found = certify_layers(Mixed(), "S(3)", {})
    reasons = {row.layer: row.reason for row in found.rows}
    assert all(row.verdict is UNKNOWN for row in found.rows)
    assert "scale" in reasons[""] and "Softmax" in reasons["inner.1"] and "declared" in reasons["inner.0"]
    assert any("Mixed" in note for note in found.notes) and any("3 of 3" in note for note in found.notes)
    assert certify_layers(nn.Sequential(), "S(3)", {}).verdict is UNKNOWN
    wrong = certify_layers(nn.Linear(4, 4), "SO(3)", {"": "1x1o"})
    assert wrong.verdict is UNKNOWN and "needs the trailing axes (3,)" in wrong.rows[0].reason
    with pytest.raises(ConfigError, match="iner"):
        certify_layers(Mixed(), "S(3)", {"iner.0": "nodes"})


def test_patterns_name_many_layers() -> None:
    found = certify_layers(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)), "S", {"*": "nodes"})
    assert [row.layer for row in found.rows] == ["0.weight", "0.bias", "1", "2.weight", "2.bias"]


def test_weights_that_are_no_numbers_are_broken() -> None:
    net = nn.Linear(3, 3)
    net.weight.data[0, 0] = float("nan")
    found = certify_layers(net, "S", {"": "nodes"})
    assert found.verdict is BROKEN and "not finite" in found.rows[0].reason


def test_single_precision_has_its_own_floor() -> None:
    actions = SETS
    net = symmetrised(sets(), "S", actions).float()
    assert certify_layers(net, "S", actions).verdict is EXACT
    net.get_submodule("2").weight.data[3, 1] += 1e-3  # type: ignore[operator, index, union-attr]
    assert [row.layer for row in certify_layers(net, "S", actions).broken()] == ["2.weight"]


def normed() -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(5), nn.LayerNorm(5), nn.RMSNorm(5), nn.Dropout(0.1), nn.SiLU()).double().eval()


def test_normalisations_on_vectors_are_found() -> None:
    net = normed()
    scalars = certify_layers(net, "SO(3)", {"*": "5x0e"})
    assert scalars.verdict in (EXACT, Certified.TRIVIAL)
    found = certify_layers(net, "SO(3)", {"*": "2x0e+1x1o"})
    assert {row.layer for row in found.broken()} == {"1", "4"}
    net[0].running_mean[3] = 1e-8  # type: ignore[index, operator]
    net[2].weight.data[4] += 1e-8  # type: ignore[index, operator, union-attr]
    found = certify_layers(net, "SO(3)", {"*": "2x0e+1x1o"})
    assert {row.layer for row in found.broken()} == {"0.bias", "1", "2.weight", "4"}
    net[0].running_var[2] = 1.0 + 1e-3  # type: ignore[index, operator]
    net.train()
    found = certify_layers(net, "SO(3)", {"*": "2x0e+1x1o"})
    assert {row.layer for row in found.broken()} == {"0", "1", "2.weight", "3", "4"}
    net.eval()
    assert "0.weight" in {row.layer for row in certify_layers(net, "SO(3)", {"*": "2x0e+1x1o"}).broken()}


def test_more_free_weights_than_allowed_are_told() -> None:
    net = symmetrised(sets(), "S", SETS)
    row = only(certify_layers(net, "S", SETS), "2.weight")
    assert (row.free, row.allowed, row.used) == (125, 5, 5)
    assert "125 free numbers for 5 allowed directions" in row.reason


def test_several_features_a_node() -> None:
    net = generic(nn.Linear(12, 12))
    action = Features("nodes*vector", (4, 3))
    found = certify_layers(net, "SO(3) x S(4)", {"": action})
    assert only(found, "weight").allowed == 2 and found.verdict is BROKEN
    assert only(certify_layers(net, "S(6)", {"": "nodes"}), "weight").allowed == 8


def test_the_result_is_plain_data() -> None:
    found = certify_layers(generic(sets()), "S", SETS)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["schema"] == "symcheck.certificate/1" and data["verdict"] == "broken"
    assert data["rows"][0]["allowed"] == 2
    assert replace(found, rows=()).verdict is UNKNOWN


def test_a_linear_layer_of_e3nn_is_read_off() -> None:
    o3 = pytest.importorskip("e3nn.o3", reason="e3nn is not installed")
    layer = o3.Linear("4x0e+3x1o+2x2e", "5x0e+2x1o+2x2e", biases=True).double()
    with torch.no_grad():
        layer.bias.copy_(torch.arange(5.0))
    found = certify_layers(layer, "O(3)", {})
    assert found.verdict is EXACT
    row = only(found, "weight")
    assert (row.free, row.allowed, row.used) == (30, 30, 30) and row.method == "Schur blocks"
    assert row.level is not None and row.level < 1e-12
    assert certify_layers(layer, "O(3)", {"": ("4x0e+3x1e+2x2e", "5x0e+2x1o+2x2e")}).verdict is BROKEN


def trained() -> nn.Sequential:
    """The shipped C4 network with the kernels that its forward builds written out as plain convolutions."""
    path = ROOT / "fixtures" / "digits-c4.safetensors"
    w = {name: t.double() for name, t in load_file(path).items()}
    lift = torch.stack([torch.rot90(w["0.weight"], h, (-2, -1)) for h in range(4)], 1).flatten(0, 1)
    group = torch.stack([torch.rot90(w["3.weight"].roll(h, 2), h, (-2, -1)) for h in range(4)], 1)
    convs = []
    for kernel, bias in ((lift, w["0.bias"]), (group.flatten(2, 3).flatten(0, 1), w["3.bias"])):
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1).double()
        conv.weight.data, conv.bias.data = kernel, bias.repeat_interleave(4)  # type: ignore[union-attr]
        convs.append(conv)
    return nn.Sequential(convs[0], nn.ReLU(), convs[1])


@pytest.mark.parametrize("size", [0.0, 1e-3, 1e-8])
def test_a_trained_network_is_certified_and_one_changed_weight_is_found(size: float) -> None:
    net = trained()
    net[2].weight.data[5, 7, 0, 1] += size  # type: ignore[operator, index, union-attr]
    actions = {"0": ("image", "image(fiber=regular)"), "1": "image(fiber=regular)", "2": "image(fiber=regular)"}
    found = certify_layers(net, "C4", actions)
    assert [row.layer for row in found.broken()] == (["2.weight"] if size else [])
    assert found.verdict is (BROKEN if size else EXACT)
    plain = {"0": "image"}  # its channels do change places
    assert only(certify_layers(net, "C4", plain), "0.weight").verdict is BROKEN


def test_a_relation_has_no_representations() -> None:
    found = certify_layers(nn.Linear(3, 3), "Padding", {"": "scalar"})
    assert found.verdict is UNKNOWN and "relation" in found.rows[0].reason
