"""Labels are categories: compared as equal or not, with the rate at which they flip, its interval, and the margin."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.claim import Claim
from symcheck.measure.audit import Options
from symcheck.measure.flips import flips_of
from symcheck.measure.piece import Block, findings_of
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.measure.statistics import wilson_interval
from symcheck.measure.tally import Cell
from symcheck.report.model import Finding, Verdict
from symcheck.subject import as_subject

CLAIM = "C4: image -> logits=invariant, probabilities=invariant, label=invariant"


class Classes(nn.Module):
    """Invariant logits, well apart; `leak` adds what turns with the image, in units of the logits."""

    def __init__(self, leak: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 16, 1), nn.Linear(16, 5)
        self.conv.weight.data *= 3
        self.rest = nn.Parameter(leak * torch.randn(64, 5))

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.conv(image).relu().mean((2, 3))
        return self.head(10 * (pooled - 0.5)) + image.flatten(1) @ self.rest


class Marked(nn.Module):
    """The label of a mark in a corner, which turns keep, is flipped for the share of pairs whose pixel is so."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(share))

    def forward(self, image: Tensor) -> Tensor:
        label = (image[:, 0].sum((1, 2)) > 0).long()
        turned = image[:, 1, 0, 0] > 0  # only in the first pose is it not
        flipped = turned & (image[:, 1].amax((1, 2)) < self.threshold)
        return torch.where(flipped, 7 - label, label)


def images(count: int = 64) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def marked(count: int) -> Tensor:
    """Images whose second channel is a number in one corner that is not the first: under a half turn it is there."""
    x = torch.randn(count, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    x[:, 1] = 0
    x[:, 1, 3, 3] = torch.rand(count, generator=torch.Generator().manual_seed(3)).clamp(min=1e-6)
    return x


def found(model: object, claims: str, x: Tensor, **options: object) -> dict[str, Finding]:
    return {f.output: f for f in symcheck.audit(model, claims, x, **options).findings}


def test_labels_that_keep_within_their_margin_are_exact_where_probabilities_are_broken() -> None:
    x, model = images(), Classes(0.002)
    top = Classes(0.0)(x).topk(2, 1).values
    clear = x[(top[:, 0] - top[:, 1]) > 0.3]  # margins that this leak does not reach
    got = found(model, CLAIM, clear)
    assert [f.verdict for f in got.values()] == [Verdict.BROKEN, Verdict.BROKEN, Verdict.EXACT]
    flips = got["label"].flips
    assert flips is not None and flips.rate == flips.low == 0
    assert flips.effective == len(clear)
    assert got["logits"].flips is None


def test_all_three_are_exact_or_broken_together() -> None:
    assert {f.verdict for f in found(Classes(0.0), CLAIM, images()).values()} == {Verdict.EXACT}
    assert {f.verdict for f in found(Classes(0.3), CLAIM, images()).values()} == {Verdict.BROKEN}


def test_flips_are_counted_as_they_are() -> None:
    x, model = images(), Classes(0.05)
    label = found(model, CLAIM, x)["label"]
    turned = torch.stack([model(torch.rot90(x, k, (2, 3))).argmax(1) for k in (1, 2, 3)])
    assert label.flips is not None and label.error is not None
    assert label.flips.rate == pytest.approx((turned != model(x).argmax(1)).double().mean().item())
    assert label.error.absolute.mean == pytest.approx(label.flips.rate)
    assert label.flips.pairs == turned.numel()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_planted_flips_are_found_with_their_rate_in_the_interval(share: float) -> None:
    # of the three turns one brings the marked corner to the first: 3 · rate is the share of samples below `share`
    flips = found(Marked(share), "C4: image -> label=invariant", marked(400), samples=400)["label"].flips
    assert flips is not None
    assert flips.low <= share / 3 <= flips.high
    assert flips.high - flips.low < 0.06
    none = found(Marked(0.0), "C4: image -> label=invariant", marked(400), samples=400)["label"]
    assert none.verdict is Verdict.EXACT
    assert none.flips is not None and none.flips.rate == 0


def test_class_numbers_do_not_matter() -> None:
    def renamed(numbers_: list[int]):
        return lambda image: torch.tensor(numbers_)[Classes(0.05)(image).argmax(1)]

    claim = "C4: image -> label=invariant"
    one, two = (found(renamed(n), claim, images())["label"] for n in ([0, 1, 2, 3, 4], [9, 900, 0, 7, 3]))
    assert one.error == two.error
    assert one.flips == two.flips
    assert one.verdict is Verdict.BROKEN


def test_truth_values_are_labels() -> None:
    def leaning(image: Tensor) -> Tensor:
        return image[:, 0, 0, 0] > 0

    got = found(leaning, "C4: image -> invariant", images())["output"]
    assert got.verdict is Verdict.BROKEN
    assert got.flips is not None and got.flips.low < 0.5 < got.flips.high + 0.1


def test_a_constant_label_is_trivial_and_a_data_set_in_order_is_not() -> None:
    got = found(lambda image: image.new_zeros(len(image)).long(), "C4: image -> invariant", images())["output"]
    assert got.verdict is Verdict.TRIVIAL
    ordered = images()
    ordered = ordered[Classes(0.0)(ordered).argmax(1).argsort()]
    shuffled = found(Classes(0.05), CLAIM, images())["label"]
    assert found(Classes(0.05), CLAIM, ordered)["label"].spread == pytest.approx(shuffled.spread, rel=0.05)


def test_the_spread_of_a_label_is_half_the_chance_that_two_samples_differ() -> None:
    x = torch.arange(40) % 4
    got = found(lambda x: x[:, 0].long(), "S: nodes -> scalar", torch.stack([x, x], 1).float()[..., None])
    label = got["output"]
    assert label.spread == pytest.approx(math.sqrt(0.5 * 30 / 39), rel=1e-9)  # 30 of 39 others have another label
    assert label.size == 1


def test_pixels_and_nodes_have_labels_too() -> None:
    torch.manual_seed(0)
    pixels = nn.Conv2d(1, 3, 1)
    pixels.weight.data *= 5
    claim = "C4: image -> label=image"
    assert found(pixels, claim, images(16))["label"].verdict is Verdict.EXACT
    skewed = nn.Conv2d(1, 3, 3, padding=1)
    broken = found(skewed, claim, images(16))["label"]
    assert broken.verdict is Verdict.BROKEN
    assert broken.flips is not None and broken.error is not None
    y = skewed(images(16)).argmax(1)
    turned = [skewed(torch.rot90(images(16), k, (2, 3))).argmax(1).rot90(-k, (1, 2)) for k in (1, 2, 3)]
    assert broken.flips.rate == pytest.approx(torch.stack([z != y for z in turned]).double().mean().item())
    nodes = torch.randn(16, 6, 3, generator=torch.Generator().manual_seed(4))
    got = found(nn.Linear(3, 4), "S: nodes -> label=nodes", nodes, derive={"label": "argmax(output, -1)"})
    assert got["label"].verdict is Verdict.EXACT


def test_flips_fall_with_the_margin() -> None:
    flips = found(Classes(0.02), CLAIM, images(256), samples=256)["label"].flips
    assert flips is not None
    at = flips.margins
    assert [one.samples for one in at] == [64] * 4
    assert sum(one.rate for one in at) / 4 == pytest.approx(flips.rate)
    assert at[0].rate > 3 * max(at[3].rate, 0.01)
    assert all(one.least <= one.most for one in at) and at[0].most <= at[1].least
    top = Classes(0.02)(images(256)).detach().topk(2, 1).values
    margins = (top[:, 0] - top[:, 1]).sort().values
    assert at[0].least == pytest.approx(float(margins[0]), rel=1e-4)
    assert at[3].most == pytest.approx(float(margins[-1]), rel=1e-4)


def test_a_label_on_the_edge_flips_by_rounding_and_is_exact() -> None:
    class Edge(nn.Module):
        """The sign of a sum that is zero but for rounding, which depends on the order of its terms."""

        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, x: Tensor) -> Tensor:
            total = torch.zeros(len(x), dtype=x.dtype)
            for term in (self.scale * x).flatten(1).unbind(1):
                total = total + term
            return torch.stack([total, -total], 1)

    x = torch.randn(64, 12, 1, generator=torch.Generator().manual_seed(5))
    x = torch.cat([x, -x], 1)  # sums to zero
    got = found(Edge(), "S: nodes -> label=scalar", x)["label"]
    assert got.flips is not None and got.flips.rate > 0.05
    assert got.verdict is Verdict.EXACT


def test_pieces_of_an_audit_add_up_to_the_same_flips() -> None:
    torch.manual_seed(0)
    x, model = torch.randn(12, 6, 2), nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    claim = "S: nodes -> label=scalar"
    whole = found(model, claim, x)["label"]
    runner = runner_for(as_subject(model), claim, {"input": x}, None, "as-is")
    with measuring(runner):
        session = open_session(runner, {"input": x}, [claim], Options(), None)
        pieces = [p for i in range(3) for p in session.measure(Claim.parse(claim), Block(i, 3))]
    ((joined, _),) = findings_of(pieces)
    assert joined.flips == whole.flips and joined.flips is not None and joined.flips.margins


def cell(shares: np.ndarray, margin: np.ndarray | None = None) -> Cell:
    ones = np.ones(shares.shape[1])
    return Cell(shares, shares, ones, ones, ones, None, True, None, None, labels=True, margin=margin)


def test_wilson_holds_at_the_ends_and_is_what_it_was() -> None:
    assert wilson_interval(0.0, 100) == pytest.approx((0.0, 0.0370), abs=1e-4)
    assert wilson_interval(0.1, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    low, high = wilson_interval(1.0, 100)
    assert (low, high) == pytest.approx((0.9630, 1.0), abs=1e-4)


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_covers_the_rate(clustered: bool) -> None:
    rng, covered, draws = np.random.default_rng(0), 0, 300
    for _ in range(draws):  # clustered: a fifth of the samples flips for half of the elements
        often = 0.5 * (rng.random((1, 64)) < 0.2) if clustered else 0.1
        flips = rng.random((32, 64)) < often
        got = flips_of(cell(flips.astype(float)), False)
        assert got is not None
        covered += got.low <= 0.1 <= got.high
        assert got.effective <= 2048
    assert covered >= 0.9 * draws


def test_pairs_that_share_samples_count_less() -> None:
    by_sample, by_pair = np.zeros((32, 64)), np.zeros((32, 64))
    by_sample[:, :8] = 1
    by_pair[np.add.outer(np.arange(32), np.arange(64)) % 8 == 0] = 1
    whole, single = (flips_of(cell(flips), False) for flips in (by_sample, by_pair))
    assert whole is not None and single is not None
    assert whole.rate == single.rate
    assert whole.effective == pytest.approx(64, rel=0.05)
    assert single.effective > 10 * whole.effective


def test_too_few_flips_say_little() -> None:
    none, one = np.zeros((32, 64)), np.zeros((32, 64))
    one[3, 5] = 1
    for flips in (none, one, 1 - none):
        got = flips_of(cell(flips), False)
        assert got is not None and got.effective == 64
    assert flips_of(replace(cell(none), labels=False), False) is None
    assert flips_of(cell(none * np.nan), False) is None
    few = flips_of(cell(none[:, :7], np.arange(7.0)), False)
    assert few is not None and few.margins == ()


@pytest.mark.parametrize("derived", ["argmax(logits)", "positive(logits)"])
def test_labels_of_nan_are_invalid_though_none_flips(derived: str) -> None:
    images = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(0))

    def logits(image: Tensor) -> Tensor:
        mean = image.mean((1, 2, 3))
        return torch.stack([mean, -mean], 1)

    def partly(image: Tensor) -> Tensor:
        return logits(image).masked_fill(image.mean((1, 2, 3))[:, None] > 0, torch.nan)

    for model, wanted in ((logits, Verdict.EXACT), (partly, Verdict.INVALID)):
        report = symcheck.audit(
            model, "C4: image -> label=invariant", images, derive={"label": derived}, output="label"
        )
        assert [finding.verdict for finding in report.findings] == [wanted]


def test_classes_that_are_ruled_out_have_no_margin_and_are_no_fault() -> None:
    images = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(0))

    def masked(image: Tensor) -> Tensor:
        means = torch.stack([image.mean((1, 2, 3)), -image.mean((1, 2, 3))], 1)
        return torch.where(means > 0, means, -torch.inf)

    (found,) = symcheck.audit(masked, "C4: image -> label=invariant", images, output="label").findings
    assert found.verdict is Verdict.EXACT
