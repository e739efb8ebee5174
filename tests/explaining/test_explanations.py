"""Attributions are audited as outputs: what follows the model passes, and every planted fault is found."""

from __future__ import annotations

import pytest
import torch
from attributions import C4Net, Energy
from torch import Tensor

from symcheck.api import audit
from symcheck.errors import ConfigError, DataError
from symcheck.explaining.explain import How, explain, explanations
from symcheck.explaining.explainers import state
from symcheck.explaining.replays import subject_of
from symcheck.measure.audit import Options
from symcheck.measure.session import runner_for
from symcheck.measure.worst import replay
from symcheck.report.model import Finding, Report, Verdict
from symcheck.subject import as_subject

HERE = "attributions"
ALONE = How(weights=False)  # rewrites of the weights have tests of their own
C4 = "C4: image -> invariant"


def images(count: int = 12) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def network(turns: int = 4) -> C4Net:
    torch.manual_seed(0)
    return C4Net(turns)


def explained(*texts: str, turns: int = 4, claim: str = C4) -> tuple[Report, list[Finding]]:
    model, x = network(turns), images()
    report = explain(audit(model, claim, x), model, x, texts, ALONE)
    return report, [f for f in report.findings if f.output.startswith("explanation.") and "weights" not in f.claim]


@pytest.mark.parametrize(
    "text",
    ["gradient", "gradient-x-input", "integrated-gradients(steps=8)", "occlusion", f"{HERE}:saliency",
     "gradient(target=sum)", "gradient(target=2)"],
)  # fmt: skip
def test_what_follows_the_model_is_exact(text: str) -> None:
    _, [finding] = explained(text)
    assert finding.verdict is Verdict.EXACT
    assert "mean cosine 1.0000" in finding.note
    assert finding.error is not None and finding.error.spread.max < 1e-3


def test_an_explainer_that_leans_is_broken_and_the_cosine_says_how_far() -> None:
    _, [finding] = explained(f"{HERE}:leaning")
    assert finding.verdict is Verdict.BROKEN
    assert finding.error is not None and finding.error.spread.low > 0.05
    cosine = float(finding.note.split("mean cosine ")[1].split()[0])
    assert 0.5 < cosine < 0.999


def test_a_broken_model_is_not_explained_and_nothing_passes() -> None:
    report, findings = explained("gradient", turns=1)
    assert findings == []
    assert not report.holds
    assert any("does not hold for the model itself" in note for note in report.notes)


def test_blocks_that_the_group_cuts_are_found() -> None:
    _, [whole] = explained("occlusion(window=4)")
    _, [cut] = explained("occlusion(window=3)")  # 3 + 3 + 2 of 8 pixels: turned, they are 2 + 3 + 3
    assert (whole.verdict, cut.verdict) == (Verdict.EXACT, Verdict.BROKEN)
    assert "ties among them in" in whole.note


def test_a_baseline_that_the_group_moves_is_refused() -> None:
    x = torch.randn(8, 5, 3, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    model = Energy()
    report = audit(model, "SE(3): pos=points -> invariant", {"pos": x}, elements=8)
    assert report.holds
    with pytest.raises(ConfigError, match="moves the baseline"):
        explain(report, model, {"pos": x}, ["integrated-gradients"], ALONE)


def test_gradients_of_points_are_covectors_and_products_of_coordinates_are_not() -> None:
    x = torch.randn(8, 5, 3, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    model = Energy()
    report = audit(model, "SO(3): pos=points -> invariant", {"pos": x}, elements=8)
    texts, how = ["gradient", "gradient-x-input", "occlusion"], How(Options(elements=8), weights=False)
    found = explain(report, model, {"pos": x}, texts, how)
    verdicts = {f.output: f.verdict for f in found.findings if f.output.startswith("explanation")}
    assert verdicts["explanation.gradient.pos"] is Verdict.EXACT
    assert verdicts["explanation.occlusion.pos"] is Verdict.EXACT  # a weight for each point
    assert verdicts["explanation.gradient_x_input.pos"] is Verdict.BROKEN


def test_random_numbers_are_fixed_and_told() -> None:
    report, [finding] = explained(f"{HERE}:noisy")
    assert any("another seed changes the attributions by" in note for note in report.notes)
    assert finding.verdict is Verdict.BROKEN  # its noise does not turn
    assert finding.floor.repeat == 0


def test_an_attribution_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match="explainer gave"):
        explained(f"{HERE}:wrong_shape")


def test_a_target_that_the_group_moves_is_refused() -> None:
    class Map(torch.nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.tanh(image) * image

    x = images()
    report = audit(Map(), "C4: image -> image", x)
    assert report.holds
    with pytest.raises(Exception, match="the group moves what would be explained"):
        explain(report, Map(), x, ["gradient(target=3)"], ALONE)
    found = explain(report, Map(), x, ["gradient(target=sum)"], ALONE)
    assert [f.verdict for f in found.findings if f.output == "explanation.gradient.input"] == [Verdict.EXACT]


def test_parts_that_the_model_does_not_hold_give_no_pass() -> None:
    model, x = network(), images()
    report = audit(model, "D4: image -> invariant", x)
    parts = {f.part: f.verdict for f in report.findings}
    assert parts["proper"] is Verdict.EXACT and parts["improper"] is Verdict.BROKEN
    found = [f for f in explain(report, model, x, ["gradient"], ALONE).findings if f.claim.startswith("D4: input=")]
    assert {f.part: f.verdict for f in found} == {"proper": Verdict.EXACT, "improper": Verdict.INCONCLUSIVE}


def test_the_worst_pair_replays_on_the_explained_subject() -> None:
    model, x = network(), images()
    report = audit(model, C4, x)
    [one], _ = explanations(report, as_subject(model), x, [state(f"{HERE}:leaning")], How())
    [pair] = one.worst
    for made in (one.made, subject_of(as_subject(model), pair)):
        again = replay(pair, runner_for(made, pair.claim, pair.inputs, None, "as-is"))
        assert again == pytest.approx(pair.error, rel=1e-4) and pair.error > 0


def test_the_completeness_gap_is_told_and_falls_with_the_steps() -> None:
    report, _ = explained("integrated-gradients(steps=16)")
    [note] = [note for note in report.notes if "completeness gap" in note]
    gaps = [float(part.split()[0]) for part in note.split(": ", 2)[2].split(", ")]
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.1


def test_the_labels_are_those_of_the_sample_not_of_its_images() -> None:
    class Fickle(torch.nn.Module):
        """Two classes in turn: which is larger depends on the pose, by rounding alone; gradients differ much."""

        def forward(self, image: Tensor) -> Tensor:
            a, b = image.mean((1, 2, 3)), image.square().mean((1, 2, 3))
            tilt = 1e-9 * image[:, 0, 0, 0]
            return torch.stack([a + tilt, a + 0 * b], 1)

    x = images()
    report = audit(Fickle(), C4, x, dtype="float64", tolerance=1e-6)
    found = explain(report, Fickle(), x, ["gradient"], How(dtype="float64", weights=False))
    finding = next(f for f in found.findings if f.output == "explanation.gradient.input")
    assert finding.error is None or finding.error.relative.max < 1e-5


def test_images_of_a_module_that_cannot_be_turned_are_left_as_they_were() -> None:
    model, x = network(), images()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    model.train()
    explain(audit(model, C4, x), model, x, ["integrated-gradients(steps=2)"], ALONE)
    assert model.training and all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_another_precision_than_that_of_the_weights() -> None:
    model, x = network(), images()
    report = audit(model, C4, x, dtype="float64")
    found = explain(report, model, x, ["integrated-gradients(steps=4)"], How(dtype="float64", weights=False))
    [finding] = [f for f in found.findings if f.claim.startswith("C4: input=")]
    assert finding.verdict is Verdict.EXACT and finding.error is not None and finding.error.spread.max < 1e-11


def test_packed_graphs_and_relations_are_not_explained() -> None:
    class Sum(torch.nn.Module):
        def forward(self, pos: Tensor, batch: Tensor) -> Tensor:
            size = pos.square().sum(1)
            return torch.zeros(int(batch.max()) + 1, dtype=pos.dtype).index_add_(0, batch, size)

    inputs = {"pos": torch.randn(12, 3), "batch": torch.arange(4).repeat_interleave(3)}
    report = audit(Sum(), "SO(3): pos=points, batch=owner -> invariant", inputs, elements=4)
    assert report.holds
    with pytest.raises(ConfigError, match="packed graphs cannot be explained"):
        explain(report, Sum(), inputs, ["gradient"])
