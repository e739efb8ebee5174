"""`derive_spec` and `verify_spec`: what they take, what they prove, what they drop, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.errors import ConfigError, ModelError
from symcheck.patterns import parse_axes
from symcheck.weights import session
from symcheck.weights.spec import Space, Spec, Term

SEEDS = torch.Generator().manual_seed(5)


class Two(nn.Module):
    """Two inputs by name; a hidden layer of six units."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(3, 6), nn.Linear(2, 6), nn.Linear(6, 2)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last((self.left(a) + self.right(b)).relu())


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))


def pair() -> tuple[Tensor, Tensor]:
    return torch.randn(4, 3, generator=SEEDS), torch.randn(4, 2, generator=SEEDS)


EXAMPLES: list[Callable[[], object]] = [
    pair,
    lambda: dict(zip(("a", "b"), pair(), strict=True)),
    lambda: dict(zip(("b", "a"), reversed(pair()), strict=True)),
    lambda: (pair(), {}),
    lambda: (pair()[:1], {"b": pair()[1]}),
    lambda: lambda seed: tuple(x + seed for x in pair()),
    lambda: tuple(x.double() for x in pair()),
    lambda: dict(zip(("first", "second"), pair(), strict=True)),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_inputs_come_in_many_forms(example: Callable[[], object]) -> None:
    spec = symcheck.derive_spec(Two(), example())
    assert {(s.kind, s.size) for s in spec.spaces.values()} == {("permutation", 6), ("scale", 6), ("shift", 6)}


def test_a_derived_spec_is_proved_and_certified(tmp_path: Path) -> None:
    model, x = net(), torch.randn(4, 3)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    spec = symcheck.derive_spec(model, x, seed=3)
    assert {s.kind for s in spec.spaces.values()} == {"permutation", "scale"}
    assert spec.certificate is not None
    assert spec.certificate["failed"] == [] and len(spec.certificate["graph"]) == 64 and spec.certificate["seed"] == 3
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    spec.save(tmp_path / "net.toml")
    assert symcheck.Spec.load(tmp_path / "net.toml") == spec
    report = symcheck.verify_spec(spec, model, x)
    assert report.holds and len(report.findings) == len(spec.spaces) + 1
    moved = spec.apply(spec.sample(0), model.state_dict())
    assert not torch.equal(moved["0.weight"], before["0.weight"])
    torch.testing.assert_close(torch.func.functional_call(model, moved, (x,)), model(x))


def test_without_verification_nothing_is_certified() -> None:
    spec = symcheck.derive_spec(net(), torch.randn(4, 3), verify=False)
    assert spec.certificate is None and len(spec.spaces) == 2


def test_a_wrong_spec_fails_and_names_the_tensor() -> None:
    model, x = net(), torch.randn(4, 3)
    spec = symcheck.derive_spec(model, x).only(kinds=["permutation"])
    wrong = replace(spec, axes={**spec.axes, "2.weight": parse_axes(". .")})
    report = symcheck.verify_spec(wrong, model, x)
    assert [f.verdict for f in report.findings] == ["broken"]
    assert "2.weight" in report.findings[0].note


def planted(monkeypatch: pytest.MonkeyPatch, change: Callable[[Spec], Spec]) -> None:
    """Let the derivation find more than there is."""
    assemble = session.assemble
    monkeypatch.setattr(session, "assemble", lambda traced: change(assemble(traced)))


def test_what_fails_its_proof_is_dropped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(spec: Spec) -> Spec:
        shift = Space("late", "shift", 2, shape=(2,), terms=(Term("2.bias", "c -> c"),))
        return replace(spec, spaces={**spec.spaces, "late": shift})

    planted(monkeypatch, too_much)
    spec = symcheck.derive_spec(net(), torch.randn(4, 3))
    assert "late" not in spec.spaces and len(spec.spaces) == 2
    (dropped,) = (pinned for pinned in spec.pinned if "'late'" in pinned.reason)
    assert "failed its proof" in dropped.reason and dropped.where == "2.bias"
    assert spec.certificate is not None and spec.certificate["failed"] == ["late"]


class Dead(nn.Module):
    """The first hidden unit neither hears nor speaks: whichever of its two ends moves alone changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, 3))
        with torch.no_grad():
            self.a[0], self.b[:, 0] = 0, 0

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.a.T @ self.b.T


def test_spaces_that_do_not_go_together_are_dropped_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(spec: Spec) -> Spec:
        ends = {"in": Term("a[0:1, :]", "i -> 1 i"), "out": Term("b[:, 0:1]", "o -> o 1")}
        shifts = {name: Space(name, "shift", 2, shape=(2,), terms=(term,)) for name, term in ends.items()}
        return replace(spec, spaces=shifts)

    planted(monkeypatch, both)
    spec = symcheck.derive_spec(Dead(), torch.randn(4, 2))
    assert list(spec.spaces) == ["in"]
    assert any("'out'" in pinned.reason and "does not go together" in pinned.reason for pinned in spec.pinned)
    assert spec.certificate is not None and spec.certificate["failed"] == ["out"]
    assert spec.certificate["joint"]["verdict"] == "exact"


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x) * torch.rand(4))


class Broken(Noisy):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).relu()) / 0 * 0


@pytest.mark.parametrize(("model", "problem"), [(Noisy(), "not deterministic"), (Broken(), "NaN")])
def test_where_nothing_can_be_proved_is_an_error(model: nn.Module, problem: str) -> None:
    with pytest.raises(ModelError) as caught:
        symcheck.derive_spec(model, torch.randn(4, 3))
    assert problem in caught.value.message and caught.value.hint


def test_a_function_has_no_weights() -> None:
    with pytest.raises(ConfigError, match="has no weights"):
        symcheck.derive_spec(lambda x: x, torch.randn(4, 3))


def test_what_symcheck_load_returns_is_a_model() -> None:
    fixtures = Path(__file__).parents[2] / "fixtures"
    subject = symcheck.load(fixtures / "sets.safetensors", model=f"{fixtures / 'models.py'}:deep_sets")
    spec = symcheck.derive_spec(subject, torch.randn(3, 12, 2))
    assert {"permutation", "scale"} <= {s.kind for s in spec.spaces.values()}
    assert symcheck.verify_spec(spec, subject, torch.randn(3, 12, 2)).holds


def test_every_part_keeps_its_mode() -> None:
    inner = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2)).eval()
    wrapper = nn.Sequential(inner)  # a new module is in training mode, what it wraps may not be
    session.derive_spec(wrapper, torch.randn(5, 3))
    assert wrapper.training and not any(part.training for part in inner.modules())
