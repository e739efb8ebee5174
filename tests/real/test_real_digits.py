"""Four convolutional digit classifiers: turns, flips, circular and cropped shifts of logits, probabilities, label."""

from __future__ import annotations

import checks
import pytest
import torch.nn.functional as F
from checks import Audited, Averaged, Planted
from digits import MARGIN, NETS, handwritten, prepared, reader, right

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

OUTPUTS = "logits=invariant, probabilities=invariant, winner=invariant"


def test_they_are_loaded_right() -> None:
    right()


@pytest.mark.parametrize("name", NETS)
def test_turns_flips_and_shifts(name: str, audited: Audited) -> None:
    net, images = reader(name), prepared(name, handwritten()[0][:64])
    canvas = F.pad(images, (MARGIN,) * 4, value=float(images.min()))
    claims = [f"D4: image -> {OUTPUTS}", f"Shift: image -> {OUTPUTS}"]
    report = audited(name, net, claims, {"image": images}, samples=24, elements=12)
    assert {f.part for f in report.findings if f.claim.startswith("D4")} == {"proper", "improper"}
    report = audited(name, net, [f"Shift: image(crop=4) -> {OUTPUTS}"], {"image": canvas}, samples=24, elements=12)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


@pytest.mark.parametrize("name", ["mnist", "usps"])
def test_averaged_over_the_square_it_is_exact_and_a_fault_is_found(name: str, audited: Audited) -> None:
    images = prepared(name, handwritten()[0][:24])
    net, claim = Averaged(reader(name), {}), "D4: image -> logits=invariant, probabilities=ignore, winner=ignore"
    report = audited(f"{name}, averaged", net, [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.EXACT}
    report = audited(f"{name}, fault", Planted(net, "logits", [images]), [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
    assert all(
        2e-3 < f.error.spread.mean < 5e-2 for f in report.findings if f.error
    )  # one part in a hundred was planted
