"""EfficientNet-Lite0 on photographs: flips, quarter turns and shifts of an ImageNet classifier with zero padding."""

from __future__ import annotations

import checks
import pytest
from checks import Audited, Averaged, Planted
from photographs import lite0, photographs, right, small

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow


def test_it_is_loaded_right() -> None:
    right()


def test_turns_flips_and_shifts(audited: Audited) -> None:
    images = photographs(224)[0][:4]
    outputs = "logits=invariant, probabilities=invariant, winner=ignore"
    report = audited("lite0", lite0(), [f"D4: image -> {outputs}"], {"image": images[..., 48:176, 48:176]})
    assert checks.parts(report) == {"proper", "improper"}
    shifts = [f"Shift({step}): image(crop=32) -> {outputs}" for step in (1, 8, 32)]
    report = audited("lite0", lite0(), shifts, {"image": images[..., 16:208, 16:208]}, elements=6)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


def test_averaged_over_the_square_it_is_exact_and_a_fault_is_found(audited: Audited) -> None:
    images, claim = small(4)["image"], "D4: image -> logits=invariant, probabilities=ignore, winner=ignore"
    net = Averaged(lite0(), {})
    report = audited("lite0, averaged", net, [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.EXACT}
    report = audited("lite0, fault", Planted(net, "logits", [images]), [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
