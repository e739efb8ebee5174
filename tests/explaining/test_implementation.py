"""Networks of the same function: IG and gradient explain them alike, a rule that sees the scale of layers does not."""

from __future__ import annotations

import torch
from attributions import C4Net, mlp
from torch import Tensor, nn

from symcheck.explaining.explainers import state
from symcheck.explaining.implementation import implementation
from symcheck.explaining.rewrites import doubled, rewrites
from symcheck.report.model import Finding, Verdict
from symcheck.subject import as_subject

HERE = "attributions"


def rows(count: int = 24) -> dict[str, Tensor]:
    return {"input": torch.randn(count, 6, generator=torch.Generator().manual_seed(3))}


def found(*texts: str) -> dict[tuple[str, str], Finding]:
    torch.manual_seed(0)
    findings, notes = implementation(as_subject(mlp()), rows(), [state(text) for text in texts])
    assert notes == []
    return {(f.output.split(".")[1], f.part): f for f in findings}


def test_what_depends_on_the_function_alone_passes() -> None:
    findings = found("gradient", "integrated-gradients(steps=8)", "occlusion")
    assert {part for _, part in findings} == {"permutation", "scale", "identity"}
    assert all(f.verdict is Verdict.EXACT for f in findings.values())
    assert all(f.error is not None and f.error.spread.max < 1e-12 for f in findings.values())


def test_a_rule_that_sees_the_scale_of_layers_is_found_and_told_from_permutations() -> None:
    findings = found(f"{HERE}:weights_times_activation")
    name = "weights_times_activation"
    assert findings[name, "scale"].verdict is Verdict.BROKEN
    assert findings[name, "permutation"].verdict is Verdict.EXACT
    assert "times the floor" in findings[name, "scale"].note


def test_rewrites_compute_the_same_function() -> None:
    torch.manual_seed(0)
    model, x = mlp().double(), {"input": rows()["input"].double()}
    made, notes = rewrites(model, x, 0)
    assert notes == [] and {one.name for one in made} == {"permutation", "scale", "identity"}
    for one in made:
        assert torch.allclose(one.module(x["input"]), model(x["input"]), rtol=1e-12, atol=1e-12)
        changed = any(
            not torch.equal(a, b) for a, b in zip(one.module.parameters(), model.parameters(), strict=True)
        )
        assert changed == (one.name != "identity")


def test_identities_go_after_every_linear_layer_and_the_model_stays() -> None:
    model = C4Net()
    other, layers = doubled(model)
    x = torch.randn(2, 2, 6, 6)
    assert layers == 3 and isinstance(model.head, nn.Linear) and torch.allclose(other(x), model(x), atol=1e-6)


def test_a_rewrite_that_changes_the_outputs_is_left_out() -> None:
    class Nosy(nn.Module):
        """Counts its layers: an identity changes what it computes."""

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.net(x) * float(len(list(self.modules())))
            return y

    findings, notes = implementation(as_subject(Nosy()), rows(), [state("gradient")])
    assert any("identity is left out: its outputs differ" in note for note in notes)
    assert all(f.part != "identity" for f in findings)


def test_a_plain_function_has_no_weights_to_move() -> None:
    findings, [note] = implementation(as_subject(lambda x: x.square()), rows(), [state("gradient")])
    assert findings == [] and "is not measured" in note


def test_what_the_weights_do_not_enter_is_trivial() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"scores": self.net(x), "size": x.square().sum(1, keepdim=True)}

    torch.manual_seed(0)
    findings, _ = implementation(as_subject(Aside()), rows(), [state("gradient(of=size)")])
    assert findings and all(f.verdict is Verdict.TRIVIAL for f in findings)
    findings, _ = implementation(as_subject(Aside()), rows(), [state("gradient(of=scores)")])
    assert findings and all(f.verdict is Verdict.EXACT for f in findings)


def test_attributions_that_are_not_finite_do_not_pass() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.net(x)
            return y + (x * 0).abs().sqrt().sum(1, keepdim=True)  # the slope of a root at 0

    findings, _ = implementation(as_subject(Odd()), rows(), [state("gradient")])
    assert findings and all(f.verdict is Verdict.INVALID for f in findings)
