"""Losses of single samples: against torch, with padding; what does not fit is refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_nets import labelled, plain
from torch import nn
from torch.nn import functional as F

from symcheck.errors import ConfigError, DataError, LoadError
from symcheck.measure.loss import Labelled, Loss, batch_of, loss_for, loss_of, per_sample, scores

CE, MSE = loss_of("cross_entropy"), loss_of("mse")


def test_cross_entropy_is_that_of_torch_sample_by_sample() -> None:
    logits, labels = 8 * torch.randn(50, 7), torch.randint(0, 7, (50,))
    expected = F.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(CE.of(logits, labels), expected, rtol=1e-6, atol=1e-6)
    assert CE.correct is not None
    assert torch.equal(CE.correct(logits, labels), (logits.argmax(1) == labels).double())


def test_confident_predictions_keep_their_small_losses() -> None:
    logits = 128 + torch.tensor([[20.0, 0.0, 1.0], [0.0, 14.0, 2.0]])  # the logarithm of a sum is off by 1e-5 here
    expected = F.cross_entropy(logits.double(), torch.tensor([0, 1]), reduction="none")
    assert torch.allclose(CE.of(logits, torch.tensor([0, 1])).double(), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("layout", ["classes last", "classes second"])
def test_positions_are_averaged_and_padding_is_left_out(layout: str) -> None:
    logits, labels = torch.randn(6, 5, 7), torch.randint(0, 7, (6, 5))
    labels[0, 2:], labels[3, 0] = -100, -100
    given = logits if layout == "classes last" else logits.movedim(-1, 1)
    each = F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none", ignore_index=-100)
    counts = (labels != -100).sum(1)
    assert torch.allclose(CE.of(given, labels), each.sum(1) / counts, rtol=1e-6)
    right = ((logits.argmax(-1) == labels) & (labels != -100)).sum(1) / counts
    assert CE.correct is not None
    assert torch.allclose(CE.correct(given, labels), right.double())


def test_half_precision_is_summed_in_float32_and_double_stays_double() -> None:
    logits, labels = torch.randn(40, 9), torch.randint(0, 9, (40,))
    half = logits.bfloat16()
    assert torch.allclose(CE.of(half, labels), F.cross_entropy(half.float(), labels, reduction="none"), rtol=1e-6)
    assert CE.of(logits.double(), labels).dtype == torch.float64


def test_mse_is_a_mean_over_components() -> None:
    y, z = torch.randn(8, 3, 2), torch.randn(8, 3, 2)
    assert torch.allclose(MSE.of(y, z), (y - z).square().mean((1, 2)).double())
    assert torch.allclose(MSE.of(y[:, :1, 0], z[:, 0, 0]), (y - z)[:, 0, 0].square().double())
    assert MSE.correct is None


def test_the_loss_goes_by_the_labels() -> None:
    assert loss_for(torch.zeros(3, dtype=torch.int64)).name == "cross_entropy"
    assert loss_for(torch.zeros(3, 2)).name == "mse"


def test_outputs_called_logits_are_taken_and_several_without_are_refused() -> None:
    logits, labels = torch.randn(4, 3), torch.randint(0, 3, (4,))
    both = {"hidden": torch.randn(4, 9), "logits": logits}
    assert torch.equal(CE.of(both, labels), CE.of(logits, labels))
    with pytest.raises(DataError, match="several outputs: a, b"):
        CE.fits({"a": logits, "b": logits}, labels)


@pytest.mark.parametrize(
    ("labels", "message", "where"),
    [
        (torch.tensor([0, 1, 4, 2]), "label 4 is none of the 4 classes", "sample 2"),
        (torch.tensor([0, -1, 2, 3]), "label -1 is none", "sample 1"),
        (torch.tensor([0, 1, -100, 2]), "no label that counts", "sample 2"),
        (torch.tensor([[0], [1], [2], [3]]), "no classes for logits of shape", "cross_entropy"),
        (torch.zeros(4), "labels of float32", "cross_entropy"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: torch.Tensor, message: str, where: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        CE.fits(torch.randn(4, 4), labels)
    assert where in error.value.where


def test_a_label_out_of_range_names_its_position() -> None:
    labels = torch.zeros(3, 5, dtype=torch.int64)
    labels[1, 3] = 9
    with pytest.raises(DataError) as error:
        CE.fits(torch.randn(3, 5, 4), labels)
    assert error.value.where == "labels, sample 1, position 3"


def test_mse_refuses_other_shapes() -> None:
    with pytest.raises(DataError, match="do not fit outputs"):
        MSE.fits(torch.randn(4, 3), torch.randn(4, 2))


def test_a_loss_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def far(y, z):\n    return (y - z).abs().amax(-1)\n\nMEAN = 3\n")
    loss = loss_of("own.py:far", tmp_path)
    assert loss.correct is None
    assert torch.equal(loss.of(torch.ones(2, 3), torch.zeros(2, 3)), torch.ones(2))
    with pytest.raises(LoadError, match="has no 'near'"):
        loss_of("own.py:near", tmp_path)
    with pytest.raises(ConfigError, match="no function"):
        loss_of("own.py:MEAN", tmp_path)
    with pytest.raises(ConfigError, match="unknown loss") as error:
        loss_of("crossentropy")
    assert "cross_entropy" in error.value.hint


@pytest.mark.parametrize("value", [torch.tensor(1.0), torch.ones(4, 2), torch.ones(3), 1.0])
def test_a_loss_that_is_not_one_number_a_sample_is_refused(value: object) -> None:
    loss = loss_of("mse")
    odd = type(loss)("own", lambda y, z: value)  # type: ignore[arg-type, return-value]
    with pytest.raises(DataError, match="not one number for each of 4 samples"):
        per_sample(odd, None, torch.zeros(4))


def test_batches_cover_every_sample_once_and_are_even() -> None:
    data = labelled(6, count=23)
    parts = [*data.batches(5)]
    assert [part.count for part in parts] == [4, 5, 4, 5, 5]
    assert torch.equal(torch.cat([part.labels for part in parts]), data.labels)
    assert torch.equal(torch.cat([part.inputs["x"] for part in parts]), data.inputs["x"])


@pytest.mark.parametrize(("inputs", "labels"), [(0, 0), (3, 2), (2, 0)])
def test_empty_and_uneven_data_are_refused(inputs: int, labels: int) -> None:
    with pytest.raises(DataError):
        Labelled({"x": torch.zeros(inputs, 2)}, torch.zeros(labels, dtype=torch.int64))
    with pytest.raises(DataError, match="no labelled samples"):
        Labelled({}, torch.zeros(3))


def test_tensors_are_inputs_as_they_are_and_in_a_tuple() -> None:
    x, labels = torch.randn(4, 2), torch.zeros(4, dtype=torch.int64)
    assert [*Labelled(x, labels).inputs] == ["input"]
    for several in ((x, 2 * x), [x, 2 * x]):
        found = Labelled(several, labels)
        assert [*found.inputs] == ["input0", "input1"] and torch.equal(found.inputs["input1"], 2 * x)
    net = TwoInputs()
    assert torch.equal(
        scores(net, Labelled((x, 2 * x), x), MSE).loss, scores(net, Labelled({"u": x, "v": 2 * x}, x), MSE).loss
    )


@pytest.mark.parametrize(
    ("inputs", "labels", "where"),
    [
        (3.0, torch.zeros(1), "inputs: float"),
        ("x", torch.zeros(1), "inputs: str"),
        ({"x": [1, 2]}, torch.zeros(2), "x: list"),
        ((torch.zeros(2), None), torch.zeros(2), "input1: NoneType"),
        (torch.zeros(2), [0, 1], "labels: list"),
    ],
)
def test_what_is_no_tensor_is_refused_by_its_name(inputs: object, labels: object, where: str) -> None:
    with pytest.raises(DataError, match="are no tensors") as error:
        Labelled(inputs, labels)  # type: ignore[arg-type]
    assert error.value.where == f"Labelled(inputs, labels), {where}"


def test_a_loss_that_raises_is_its_own_error() -> None:
    def broken(y: object, z: object) -> torch.Tensor:
        raise RuntimeError("of my own\nand more")

    with pytest.raises(DataError, match="the loss raised RuntimeError: of my own") as error:
        per_sample(Loss("broken", broken), None, torch.zeros(4))
    assert "'broken'" in error.value.where and "and more" not in error.value.message


def test_large_samples_make_small_batches() -> None:
    assert batch_of(labelled(6)) == 512
    assert batch_of(Labelled({"x": torch.zeros(2, 3, 1024, 1024)}, torch.zeros(2))) == 5


def test_scores_do_not_depend_on_the_batch_size() -> None:
    net, data = plain(), labelled(6, count=37)
    whole, parts = scores(net, data, CE), scores(net, data, CE, 8)
    assert torch.allclose(whole.loss, parts.loss, rtol=1e-5)
    assert whole.correct is not None and parts.correct is not None
    assert torch.equal(whole.correct, parts.correct)
    with torch.no_grad():
        expected = F.cross_entropy(net(data.inputs["x"]), data.labels)
    assert float(whole.loss.mean()) == pytest.approx(float(expected), rel=1e-5)


class TwoInputs(nn.Module):
    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first - 2 * second


def test_inputs_go_by_name_where_the_model_has_such_parameters() -> None:
    first, second = torch.randn(5, 3), torch.randn(5, 3)
    labels = torch.zeros(5, 3)
    named = scores(TwoInputs(), Labelled({"second": second, "first": first}, labels), MSE)
    ordered = scores(TwoInputs(), Labelled({"u": first, "v": second}, labels), MSE)
    assert torch.equal(named.loss, ordered.loss)
