"""Two checkpoints connected: equal ones, permuted ones, trained ones; what is shared, refused and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_nets import clusters, labelled, normed, permuted, plain, state_of, trained_pair
from torch import Tensor, nn
from torch.nn import functional as F

from symcheck.connect.connect import connect
from symcheck.errors import ConfigError, DataError, LoadError
from symcheck.measure.loss import Labelled, Loss, PerSample, loss_of
from symcheck.weights.spec import Spec

State = dict[str, Tensor]
IMAGES = labelled(2, 6, 6)
SPEC = """
schema = "symcheck.spec/1"
[spaces]
h = { kind = "permutation", size = 12 }
[axes]
"0.weight" = "h ."
"0.bias" = "h"
"2.weight" = ". h"
"2.bias" = "."
"4.weight" = ". ."
"4.bias" = "."
"""


def moved(state: State) -> State:
    """The same function, its first units in another order (of order 12: a cycle)."""
    return permuted(state, "0", "2", torch.arange(12).roll(1))


def learnt(count: int) -> Labelled:
    """Data whose labels the network predicts."""
    inputs = labelled(6, count=count).inputs
    with torch.no_grad():
        return Labelled(inputs, plain()(inputs["x"]).argmax(1))


def test_a_network_and_itself_have_no_barrier() -> None:
    net, a = normed(), state_of(normed())
    found = connect(net, a, a, IMAGES, aligned=a, points=5)
    assert [*found.variants] == ["naive", "naive + reset", "aligned", "aligned + reset", "aligned + REPAIR"]
    for name in ("naive", "aligned"):
        curve = found.variants[name].curves["train"]
        assert abs(curve.barrier.value) < 1e-6 and curve.error_barrier is not None
        assert curve.error_barrier.value == 0
        assert found.variants[name].deviation == pytest.approx(dict.fromkeys(found.variants["naive"].deviation, 1.0))
    assert found.ratio("aligned") is None  # nothing to be a part of


def test_a_permuted_copy_has_a_barrier_until_it_is_aligned() -> None:
    net, a = plain(), state_of(plain())
    found = connect(net, a, moved(a), learnt(200), aligned=a, points=7)
    naive, aligned = (found.variants[name].curves["train"].barrier for name in ("naive", "aligned"))
    assert naive.value > 5 * naive.error
    assert abs(aligned.value) < 1e-6
    assert found.alignment["how"] == "given" and found.alignment["outputs"] < 1e-5
    assert found.ratio("aligned") == pytest.approx(0, abs=1e-5)


def test_the_alignment_is_found_by_a_spec_or_derived(tmp_path: Path) -> None:
    net, a = plain(), state_of(plain())
    (tmp_path / "spec.toml").write_text(SPEC)
    for spec in (Spec.load(tmp_path / "spec.toml"), None):
        found = connect(net, a, moved(a), learnt(50), spec=spec, points=3)
        assert found.variants["naive"].curves["train"].barrier.value > 0.01
        assert abs(found.variants["aligned"].curves["train"].barrier.value) < 1e-4
        assert ("derived" in found.alignment["how"]) == (spec is None)


def test_an_aligned_checkpoint_that_is_another_function_is_refused() -> None:
    net, a = plain(), state_of(plain())
    with pytest.raises(DataError, match="another function than B"):
        connect(net, a, moved(a), labelled(6), aligned={**a, "2.bias": a["2.bias"] + 0.05})


def test_what_is_equal_is_computed_once() -> None:
    net, a, b = normed(), state_of(normed()), state_of(normed(seed=1))
    found = connect(net, a, b, IMAGES, aligned=b, points=5)
    passes = found.forwards / IMAGES.count
    assert passes == 5 + 4 + 2 * (2 * 5) + 2 * 3  # A is shared, and both ends by REPAIR; resets take a pass to learn
    assert {len(v.curves["train"].loss) for v in found.variants.values()} == {5}
    first = {v.curves["train"].loss[0] for v in found.variants.values() if v.treatment != "reset"}
    assert len(first) == 1


def test_without_alignment_the_naive_path_is_repaired() -> None:
    found = connect(plain(), state_of(plain()), state_of(plain(seed=1)), labelled(6), align=False, points=4)
    assert [*found.variants] == ["naive", "naive + REPAIR"]
    assert found.t == (0, 1 / 3, 0.5, 2 / 3, 1)
    assert any("nothing to reset" in note for note in found.notes)


def test_a_reset_and_repair_restore_a_midpoint_whose_variance_collapsed() -> None:
    net, a, b = trained_pair(True)
    found = connect(net, a, b, clusters(seed=1), test=clusters(seed=2), align=False, points=3)
    naive, reset, repair = (found.variants[name] for name in ("naive", "naive + reset", "naive + REPAIR"))
    assert naive.deviation["13"] < 0.6 and reset.deviation["13"] == pytest.approx(1, abs=0.02)
    assert repair.deviation["13"] == pytest.approx(1, abs=0.02)
    for data in ("train", "test"):
        for fixed in (reset, repair):
            before, after = naive.curves[data], fixed.curves[data]
            assert after.barrier.value < 0.6 * before.barrier.value
            assert before.error_barrier is not None and after.error_barrier is not None
            assert after.error_barrier.value < before.error_barrier.value - 2 * before.error_barrier.error


def test_repair_works_without_batch_normalisation() -> None:
    net, a, b = trained_pair(False)
    found = connect(net, a, b, clusters(seed=1), align=False, points=3)
    naive, repair = found.variants["naive"], found.variants["naive + REPAIR"]
    assert "naive + reset" not in found.variants
    assert naive.deviation["8"] < 0.7 and repair.deviation["8"] == pytest.approx(1, abs=0.01)
    assert repair.curves["train"].barrier.value < 0.85 * naive.curves["train"].barrier.value


def test_a_reset_estimates_the_statistics_of_both_ends_too_and_touches_no_gain() -> None:
    net, a = normed(), state_of(normed())
    found = connect(net, a, state_of(normed(seed=1)), IMAGES, align=False, points=3)
    plain_loss, reset = (found.variants[name].curves["train"].loss for name in ("naive", "naive + reset"))
    own = normed()
    own.train()
    for part in own.modules():
        part.momentum = None  # type: ignore[assignment]
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
    with torch.no_grad():
        own(IMAGES.inputs["x"])
        expected = F.cross_entropy(own.eval()(IMAGES.inputs["x"]), IMAGES.labels)
    assert reset[0] == pytest.approx(float(expected), rel=1e-5)
    assert abs(plain_loss[0] - reset[0]) > 0.01  # the statistics that were kept are others


def test_where_repair_is_a_reset_a_note_says_so() -> None:
    words = "all that REPAIR corrects are batch normalisations"
    a, b = state_of(normed()), state_of(normed(seed=1))
    assert any(words in note for note in connect(normed(), a, b, IMAGES, align=False, points=3).notes)
    found = connect(plain(), state_of(plain()), state_of(plain(seed=1)), labelled(6), align=False, points=3)
    assert not any(words in note for note in found.notes)


def test_a_trained_middle_is_noted() -> None:
    a, b = state_of(plain()), state_of(plain(seed=1))
    words = "trained on the first data set"
    for path, noted in (("bezier", True), ("linear", False)):
        found = connect(plain(), a, b, labelled(6), align=False, points=3, path=path, path_steps=2)
        assert any(words in note for note in found.notes) == noted


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (lambda y, z: y.detach().square().mean(-1), "the loss has no gradient"),
        (lambda y, z: y.mean(-1) / 0, "not finite in step 1"),
        (lambda y, z: y.nothing, "the loss raised AttributeError"),
    ],
)
def test_a_curve_is_not_trained_on_a_loss_that_cannot_be(of: PerSample, message: str) -> None:
    a, b = state_of(plain()), state_of(plain(seed=1))
    with pytest.raises(DataError, match=message):
        connect(plain(), a, b, labelled(6), loss=Loss("own", of), align=False, points=3, path="bezier", path_steps=2)


@pytest.mark.parametrize("path", ["quadratic", "bezier"])
def test_curved_paths_have_all_variants(path: str) -> None:
    net, a, b = normed(), state_of(normed()), state_of(normed(seed=1))
    found = connect(net, a, b, IMAGES, aligned=b, points=3, path=path, path_steps=4)
    assert {variant.path for variant in found.variants.values()} == {path}
    ends = [found.variants["naive"].curves["train"].loss[i] for i in (0, -1)]
    straight = connect(net, a, b, IMAGES, align=False, points=3).variants["naive"].curves["train"]
    assert ends == pytest.approx([straight.loss[0], straight.loss[-1]], rel=1e-6)
    assert found.variants["naive"].curves["train"].loss[1] != pytest.approx(straight.loss[1], rel=1e-4)


def test_numbers_as_labels_have_no_error_rate() -> None:
    net = plain()
    data = Labelled({"x": torch.randn(40, 6)}, torch.randn(40, 4))
    found = connect(net, state_of(net), state_of(plain(seed=1)), data, align=False, points=3)
    assert found.loss == "mse"
    assert found.variants["naive"].curves["train"].error is None


def test_whole_numbers_that_differ_are_noted() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = plain()
            self.register_buffer("order", torch.arange(6))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x[:, self.order])

    a = state_of(Table())
    found = connect(Table(), a, {**a, "order": torch.arange(6).flip(0)}, labelled(6), align=False, points=3)
    assert any("stay those of A where B has others: order" in note for note in found.notes)


def test_states_that_do_not_fit_are_refused() -> None:
    net, a = plain(), state_of(plain())
    with pytest.raises(LoadError, match=r"2\.weight \(file"):
        connect(net, a, {**a, "2.weight": torch.zeros(3, 3)}, labelled(6))
    with pytest.raises(LoadError, match=r"1 missing: 2\.bias"):
        connect(net, a, {n: x for n, x in a.items() if n != "2.bias"}, labelled(6))


def test_options_are_checked() -> None:
    net, a = plain(), state_of(plain())
    with pytest.raises(ConfigError, match="unknown path 'cubic'"):
        connect(net, a, a, labelled(6), path="cubic")
    with pytest.raises(ConfigError, match="1 points"):
        connect(net, a, a, labelled(6), points=1)
    with pytest.raises(ConfigError, match="seed 9223372036854775808 is out of range"):
        connect(net, a, a, labelled(6), seed=2**63)


def test_the_document_is_plain_json_without_nan() -> None:
    net, a, b = plain(), state_of(plain()), state_of(plain(seed=1))
    one = Labelled({"x": torch.randn(1, 6)}, torch.tensor([2]))
    found = connect(net, a, b, one, loss=loss_of("cross_entropy"), align=False, points=3)
    assert [*found.variants] == ["naive"] and any("no statistics" in note for note in found.notes)
    plain_data = json.loads(found.to_json())
    assert plain_data["schema"] == "symcheck.connect/1"
    curve = plain_data["variants"]["naive"]["curves"]["train"]
    assert curve["barrier"]["error"] is None  # one sample has no standard error
    assert curve["loss"] == pytest.approx(found.variants["naive"].curves["train"].loss)
    assert {"value", "at", "error", "midpoint", "midpoint_error"} == set(curve["barrier"])
    assert plain_data["settings"]["samples"] == {"train": 1}
