"""Every operation of a forward is seen, with its module, and can be replaced."""

from __future__ import annotations

import pytest
import torch
from planted_weights import draws, generic
from torch import Tensor, nn
from torch.nn import functional as F

from symcheck.batch import Batch
from symcheck.errors import ModelError
from symcheck.locate.recorder import record
from symcheck.locate.stations import Call, passing, put, same_way
from symcheck.measure.runner import Runner, measuring
from symcheck.subject import as_subject

PAIRS = 7


class Mixed(nn.Module):
    """Operations of every kind: modules, functions, in place, by index, several results, stored tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm1d(4)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.attend = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
        self.position = nn.Parameter(torch.zeros(9, 5))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, 9) to features."""
        h = torch.relu(self.norm(self.conv(x))).mT
        y, (state, _) = self.lstm(h)
        y = y + self.position[: y.shape[1]]
        y += 1
        z = F.pad(y, (0, 1))
        z[:, 0] = 2 * z[:, 1]
        values, _ = self.attend(z).topk(2, dim=-1)
        return {"top": values, "state": state[0]}


def runner(module: nn.Module) -> Runner:
    return Runner(as_subject(module), torch.device("cpu"), torch.float64, [])


def batch(*shape: int) -> Batch:
    return Batch({"x": draws(1, PAIRS, *shape)}, PAIRS)


def test_every_operation_is_named_by_the_module_in_whose_forward_it_runs() -> None:
    one = runner(generic(Mixed(), 1))
    with measuring(one):
        stations = record(one, batch(3, 9)).stations.values()
    seen = [(s.path, s.function) for s in stations]
    assert ("conv", "conv1d") in seen and ("norm", "batch_norm") in seen and ("lstm", "lstm") in seen
    assert ("attend.self_attn", "multi_head_attention_forward") in seen
    assert ("", "__setitem__") in seen and ("", "topk") in seen
    assert all(s.line.startswith("test_stations.py:") for s in stations)
    added = next(s for s in stations if s.function == "add" and not s.path)
    assert added.names == ("position",)
    assert not any(function in ("transpose", "mT", "__getitem__") for _, function in seen)


@pytest.mark.parametrize("fault", [False, True])
def test_a_run_with_all_stations_replaced_is_the_recorded_one(fault: bool) -> None:
    one = runner(generic(Mixed(), 1))
    with measuring(one):
        recording = record(one, batch(3, 9))
        last = max(recording.stations)

        def visit(call: Call) -> object:
            if call.place not in recording.values:
                return call()
            values = recording.values[call.place]
            off = 1e-3 if fault and call.place == last else 0.0
            return put(call, recording.results[call.place], [v + off if v.is_floating_point() else v for v in values])

        other = Batch({"x": draws(2, PAIRS, 3, 9)}, PAIRS)
        found = passing(one, visit).kept(other)
    same = all(torch.equal(found[name], recording.outputs[name]) for name in found)
    assert same != fault


def test_the_sources_of_a_station_are_those_that_it_reads_from() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.a(x)
            return x + self.b(h).exp()

    one = runner(generic(Skip(), 2))
    with measuring(one):
        recording = record(one, batch(3))
    by_name = {s.path or s.function: s for s in recording.stations.values()}
    assert by_name["a"].sources == (-1,)
    assert by_name["b"].sources == (by_name["a"].place,)
    assert by_name["add"].sources == (-1, by_name["exp"].place)
    assert recording.ends == {by_name["add"].place}
    assert recording.before(by_name["add"].sources, {by_name["exp"].place, by_name["b"].place}) == (
        by_name["b"].place,
        by_name["exp"].place,
    )


def test_a_network_that_branches_on_its_input_is_refused() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sin() if float(x.sum()) > 0 else x.cos()

    one = runner(Branch())
    with measuring(one):
        recording = record(one, Batch({"x": torch.ones(PAIRS, 2, dtype=torch.float64)}, PAIRS))
        with pytest.raises(ModelError, match="another way"):
            passing(one, lambda call: same_way(recording, call) or call()).kept(
                Batch({"x": -torch.ones(PAIRS, 2, dtype=torch.float64)}, PAIRS)
            )


def test_stored_tensors_of_another_precision_keep_their_names() -> None:
    one = Runner(as_subject(nn.Linear(3, 2)), torch.device("cpu"), torch.float64, [])
    with measuring(one):
        stations = record(one, batch(3)).stations.values()
    assert [s.names for s in stations] == [("bias", "weight")]
