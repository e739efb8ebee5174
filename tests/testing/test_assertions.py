"""Assertions about models: what holds passes and is returned, whatever else fails and says by how much."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.cli.main import main
from symcheck.errors import ClaimError, ConfigError, DataError
from symcheck.measure.worst import load_worst
from symcheck.testing import assert_equivariant, assert_invariant
from symcheck.testing.assertions import judge_equivariant

CLAIM = "C4: image -> invariant"
IMAGES = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def pooled(image: Tensor) -> Tensor:
    return image.square().mean((2, 3))


def leaking(size: float) -> Callable[[Tensor], Tensor]:
    def leaky(image: Tensor) -> Tensor:
        return pooled(image) + size * image[..., 0].mean(2)

    return leaky


def two(image: Tensor) -> dict[str, Tensor]:
    return {"good": pooled(image), "bad": leaking(0.1)(image)}


def failure(*arguments: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_equivariant(*arguments, **options)
    return str(caught.value)


def test_what_holds_is_returned() -> None:
    report = assert_equivariant(pooled, CLAIM, IMAGES, exact=True)
    assert [str(f.verdict) for f in report.findings] == ["exact"]
    assert assert_equivariant(leaking(1e-5), CLAIM, IMAGES).worst == "approximate"


def test_what_is_broken_says_everything_that_is_known() -> None:
    words = failure(leaking(0.1), CLAIM, IMAGES)
    (finding,) = symcheck.audit(leaking(0.1), CLAIM, IMAGES).findings
    assert words.startswith("leaky is not as claimed: 1 broken\n\nbroken: C4: image -> invariant (output)\n")
    error = r"error [\d.]+ % \[[\d.]+, [\d.]+\] of the spread, floor \d[\d.e-]+; demanded: tolerance 0.1 %"
    assert re.search(error, words)
    assert f"worst {100 * finding.worst.value:.0f} % at {finding.worst.element}, sample {finding.worst.sample}" in words
    assert "the whole interval lies above the tolerance" in words
    keep = "pass save=Path('worst.safetensors') to keep the worst pairs for symcheck audit --replay"
    assert words.endswith(f"replay: {keep}")


def test_what_is_only_approximate_is_not_exact() -> None:
    words = failure(leaking(1e-5), CLAIM, IMAGES, exact=True)
    assert "within the tolerance, but more than rounding" in words and "demanded: exact" in words
    assert "approximate" in failure(leaking(0.1), CLAIM, IMAGES, tolerance=10.0, exact=True)


def nan(image: Tensor) -> Tensor:
    return pooled(image) * float("nan")


def noisy(image: Tensor) -> Tensor:
    return pooled(image) + torch.randn(len(image), 1)


def constant(image: Tensor) -> Tensor:
    return torch.ones(len(image), 3)


@pytest.mark.parametrize(
    ("model", "verdict", "why"),
    [(nan, "invalid", "NaN"), (noisy, "invalid", "not deterministic"), (constant, "trivial", "nothing was tested")],
)
@pytest.mark.parametrize("exact", [False, True])
def test_what_tests_nothing_never_passes(model: Any, verdict: str, why: str, exact: bool) -> None:
    words = failure(model, CLAIM, IMAGES, tolerance=1e9, exact=exact)
    assert f"1 {verdict}" in words and why in words


def test_what_is_undecided_fails_and_says_what_would_decide() -> None:
    mean = symcheck.audit(leaking(0.1), CLAIM, IMAGES).findings[0].error.spread.mean
    words = failure(leaking(0.1), CLAIM, IMAGES, tolerance=mean)
    assert "1 inconclusive" in words and re.search(r"about \d+ samples .* would decide", words)


def test_one_bad_output_of_two_fails_and_may_be_left_out() -> None:
    claim = "C4: image -> good=invariant, bad=invariant"
    words = failure(two, claim, IMAGES)
    assert "1 exact, 1 broken" in words and "(bad)" in words and "(good)" not in words
    report = assert_equivariant(two, claim, IMAGES, output="good")
    assert [f.output for f in report.findings] == ["good"]
    with pytest.raises(ConfigError, match="no output 'goood'") as caught:
        assert_equivariant(two, claim, IMAGES, output="goood")
    assert "'good'" in caught.value.hint


@pytest.mark.parametrize("claims", [None, "", []])
def test_nothing_asserted_is_an_error(claims: Any) -> None:
    for check in (assert_equivariant, assert_invariant):
        with pytest.raises(ConfigError, match="no claim to assert"):
            check(pooled, claims, IMAGES)


def test_bad_input_is_no_failed_assertion() -> None:
    with pytest.raises(ClaimError):
        assert_equivariant(pooled, "C4: imagge -> invariant", IMAGES)
    with pytest.raises(DataError):
        assert_equivariant(pooled, CLAIM, IMAGES * float("nan"))
    with pytest.raises(TypeError):
        assert_equivariant(pooled, CLAIM, IMAGES, sampels=3)


def test_options_reach_the_audit() -> None:
    claim, chosen = "SO(2): image -> invariant", {"samples": 5, "elements": 3, "seed": 7}
    report = assert_equivariant(pooled, claim, IMAGES, tolerance=9.0, **chosen)
    assert {key: report.settings[key] for key in chosen} == chosen
    assert {f.tolerance for f in report.findings} == {9.0}


def test_worst_pairs_are_kept_only_of_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "worst.safetensors"
    words = failure(leaking(0.1), CLAIM, IMAGES, save=file)
    assert words.endswith(f"replay: symcheck audit --replay {file} --model MODULE:FACTORY")
    (pair,) = load_worst(file)[0]
    assert pair.claim == CLAIM and pair.error > 0
    report = assert_equivariant(pooled, CLAIM, IMAGES, save=file)
    assert not file.exists() and report.findings[0].worst.file == ""


def test_the_line_to_replay_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "class Net(torch.nn.Module):\n    def forward(self, image):\n        return image[..., 0].mean(2)\n"
    (tmp_path / "nets.py").write_text(f"import torch\n\n{source}")
    net = symcheck.load(None, model=f"{tmp_path / 'nets.py'}:Net")
    words = failure(net, CLAIM, IMAGES, save=tmp_path / "worst pairs.safetensors")
    line = words.splitlines()[-1].removeprefix("replay: symcheck ")
    assert line.endswith(f"worst pairs.safetensors' --model {tmp_path / 'nets.py'}:Net")
    assert main(shlex.split(line)) == 0
    assert "the same" in capsys.readouterr().out


def test_all_outputs_are_invariant_or_named_as_not() -> None:
    assert {f.output for f in assert_invariant(lambda x: (pooled(x), pooled(x)), "C4: image", IMAGES).findings} == {
        "output0",
        "output1",
    }
    with pytest.raises(AssertionError, match=r"broken: C4: image -> invariant, invariant \(bad\)"):
        assert_invariant(two, ["D2: image", "C4: image"], IMAGES)
    with pytest.raises(ClaimError, match="here all of them are invariant") as caught:
        assert_invariant(pooled, CLAIM, IMAGES)
    assert "'C4: image'" in caught.value.hint


def test_invariance_of_cropped_and_of_packed_inputs() -> None:
    assert_invariant(pooled, "C4: image(crop=2)", IMAGES)
    pos, owner = IMAGES.reshape(-1, 3), torch.arange(512).repeat_interleave(1)

    def energy(pos: Tensor, owner: Tensor) -> Tensor:
        return torch.zeros(int(owner.max()) + 1).to(pos).index_add(0, owner, pos.square().sum(1))[:, None]

    assert_invariant(energy, "SO(3): pos=points, owner=owner", {"pos": pos, "owner": owner // 4}, samples=16)


def test_outcomes_are_of_what_was_demanded() -> None:
    judged = judge_equivariant(leaking(1e-5), CLAIM, IMAGES, exact=True)
    (outcome,) = judged.outcomes("test_it")
    assert (outcome.status, outcome.expect, outcome.verdict) == ("failed", "exact", "approximate")
    assert outcome.limit is None and "tolerance" not in outcome.rule
    assert outcome.gate.startswith("test_it: ") and "more than rounding" in outcome.reason
    (outcome,) = judge_equivariant(leaking(1e-5), CLAIM, IMAGES).outcomes("test_it")
    assert (outcome.status, outcome.expect, outcome.limit) == ("passed", "holds", 1e-3)
