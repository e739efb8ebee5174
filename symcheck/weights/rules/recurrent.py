"""LSTM, GRU and plain recurrent layers, kept whole: gate blocks are segments that all carry the hidden units' atom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from symcheck.weights.axes import Axis
from symcheck.weights.network import Network
from symcheck.weights.relations import Value
from symcheck.weights.rules.contraction import linear
from symcheck.weights.rules.table import rule


def _gates(net: Network, x: Value, count: int) -> list[Value]:
    width = x.shape[-1] // count
    if x.zero:
        return [net.given(torch.zeros([*x.shape[:-1], width]), True) for _ in range(count)]
    return [net.narrow(x, -1, i * width, (i + 1) * width) for i in range(count)]


def _step(
    net: Network, x: Value, state: Value, weights: Sequence[Value | None], kind: str, cell: Value | None = None
) -> tuple[Value, Value]:
    """The new state and, of an LSTM, the new cell."""
    w_ih, w_hh, *rest = weights
    if w_ih is None or w_hh is None:
        raise ValueError("a recurrent layer without weights")
    biases = rest if len(rest) >= 2 else [None, None]
    projection = rest[2] if len(rest) == 3 else (rest[0] if len(rest) == 1 else None)
    given, recurrent = linear(net, x, w_ih, biases[0]), linear(net, state, w_hh, biases[1])
    if kind == "lstm" and cell is not None:
        i, f, g, o = _gates(net, net.add([given, recurrent]), 4)
        i, f, o = (net.pointwise(v, "zero", "zero") for v in (i, f, o))
        new = net.multiply([(i, 1), (net.pointwise(g, "zero", "linear"), 1)])
        cell = net.add([new, net.multiply([(f, 1), (cell, 1)])])
        out = net.multiply([(o, 1), (net.pointwise(cell, "zero", "linear"), 1)])
        return out if projection is None else linear(net, out, projection), cell
    if kind == "gru":
        (r, z, n), (hr, hz, hn) = _gates(net, given, 3), _gates(net, recurrent, 3)
        r, z = (net.pointwise(net.add(pair), "zero", "zero") for pair in ([r, hr], [z, hz]))
        n = net.pointwise(net.add([n, net.multiply([(r, 1), (hn, 1)])]), "zero", "linear")
        out = net.add([net.multiply([(z, 1), (n, 1)]), net.multiply([(z, 1), (state, 1)])])
        return out, out
    summed = net.add([given, recurrent])
    out = net.pointwise(summed, "zero", "linear") if kind == "rnn_tanh" else net.pointwise(summed, "linear", "zero")
    return out, out


def _first(net: Network, given: Value, k: int, x: Value) -> Value | None:
    """The initial state of one layer and direction, shaped to broadcast against the sequence; None where it is zero."""
    if given.zero:
        return None
    one = net.narrow(given, 0, k, k + 1, keep=False)
    shape = [1, *one.shape] if len(x.axes) == 2 or not net.batch_first else [one.shape[0], 1, one.shape[1]]
    return net.view(one, shape)


def _running(net: Network, x: Value, width: int, first: Value | None) -> Value:
    """The running state, (…, H): free, since the recurrence ties it to the new one; the first moves as it does.

    A shift of the first is none of the others: it does not pass.
    """
    state = net.value([*x.axes[:-1], Axis(width)])
    return state if first is None else net.add([state, first], linear=False)


def _recurrent(
    net: Network, kind: str, x: Value, first: Sequence[Value], arguments: Sequence[Any]
) -> tuple[Value, list[list[Value]]]:
    """The sequence, and the final states, and cells, one for each layer and direction."""
    weights, _, layers, _, _, bidirectional, net.batch_first = arguments
    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    finals: list[list[Value]] = [[] for _ in first]
    for layer in range(layers):
        outs = []
        for k in range(layer * directions, (layer + 1) * directions):
            mine = weights[k * each : (k + 1) * each]
            old = [_first(net, given, k, x) for given in first]
            state = _running(net, x, mine[1].shape[1], old[0])
            cell = _running(net, x, mine[1].shape[0] // 4, old[1]) if len(old) > 1 else None
            new = _step(net, x, state, mine, kind, cell)
            for value, before in zip(new, (state, cell), strict=True):
                if before is not None:
                    net.add([value, before])  # the new state moves as the old one
            for found, value in zip(finals, new, strict=False):
                found.append(_last(net, value))
            outs.append(new[0])
        x = net.cat(outs, -1) if len(outs) > 1 else outs[0]
    return x, finals


def _last(net: Network, value: Value) -> Value:
    """(…, …, H) at one step: (1, N, H), or (1, H) without a batch."""
    if len(value.axes) == 2 or not net.batch_first:
        return net.narrow(value, 0, 0, 1)
    return net.permute(net.narrow(value, 1, 0, 1), [1, 0, 2])


def _outputs(net: Network, x: Value, finals: Sequence[Sequence[Value]]) -> list[Value]:
    """The sequence, and what is read of the final states, stacked over layers and directions."""
    read = [net.cat(each, 0) if len(each) > 1 else each[0] for each in finals[: net.reads - 1]]
    return [x, *read, *[x] * (len(finals) - len(read))]


@rule("lstm")
def lstm(net: Network, x: Value, states: Sequence[Value], *arguments: Any) -> list[Value]:
    """Gates i, f, g, o; flips of g and h pass through tanh."""
    return _outputs(net, *_recurrent(net, "lstm", x, states, arguments))


@rule("gru", "rnn_tanh", "rnn_relu")
def recurrent(net: Network, x: Value, state: Value, *arguments: Any) -> list[Value]:
    """GRU: gates r, z, n with the reset inside the candidate; RNN: h' = act(W x + U h + b)."""
    return _outputs(net, *_recurrent(net, net.operator, x, [state], arguments))


@rule("lstm_cell")
def lstm_cell(net: Network, x: Value, states: Sequence[Value], *weights: Value | None) -> list[Value]:
    """One step of an LSTM: the new state and the new cell."""
    return [*_step(net, x, states[0], weights, "lstm", states[1])]


@rule("gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(net: Network, x: Value, state: Value, *weights: Value | None) -> Value:
    """One step of a GRU or a plain recurrence."""
    return _step(net, x, state, weights, net.operator.removesuffix("_cell"))[0]
