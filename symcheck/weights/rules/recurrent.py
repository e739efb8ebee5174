"""LSTM, GRU and plain recurrent layers, kept whole: gate blocks are segments that all carry the hidden units' atom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcheck.weights.axes import Axis
from symcheck.weights.network import Network
from symcheck.weights.relations import Value
from symcheck.weights.rules.contraction import linear
from symcheck.weights.rules.table import rule


def _gates(net: Network, x: Value, count: int) -> list[Value]:
    width = x.shape[-1] // count
    return [net.narrow(x, -1, i * width, (i + 1) * width) for i in range(count)]


def _layer(net: Network, x: Value, state: Value, weights: Sequence[Value], kind: str, cell: Value | None) -> Value:
    """One direction of one layer: the relations of one step, with the new state tied to the old one."""
    w_ih, w_hh, *rest = weights
    biases = rest if len(rest) >= 2 else [None, None]
    projection = rest[2] if len(rest) == 3 else (rest[0] if len(rest) == 1 else None)
    given, recurrent = linear(net, x, w_ih, biases[0]), linear(net, state, w_hh, biases[1])
    if kind == "lstm":
        i, f, g, o = _gates(net, net.add([given, recurrent]), 4)
        i, f, o = (net.pointwise(v, "zero", "zero") for v in (i, f, o))
        g = net.pointwise(g, "zero", "linear")
        new_cell = net.add([net.multiply([(i, 1), (g, 1)]), *([] if cell is None else [net.multiply([(f, 1), (cell, 1)])])])
        if cell is None:
            new_cell = net.multiply([(f, 0), (new_cell, 1)])
        out = net.multiply([(o, 1), (net.pointwise(new_cell, "zero", "linear"), 1)])
        if projection is not None:
            out = linear(net, out, projection)
    elif kind == "gru":
        (r, z, n), (hr, hz, hn) = _gates(net, given, 3), _gates(net, recurrent, 3)
        r, z = (net.pointwise(net.add(pair), "zero", "zero") for pair in ([r, hr], [z, hz]))
        n = net.pointwise(net.add([n, net.multiply([(r, 1), (hn, 1)])]), "zero", "linear")
        out = net.add([net.multiply([(z, 1), (n, 1)]), net.multiply([(z, 1), (state, 1)])])
    else:
        summed = net.add([given, recurrent])
        out = net.pointwise(summed, "zero", "linear") if kind == "rnn_tanh" else net.pointwise(summed, "linear", "zero")
    _tie(net, out, state)
    return out


def _tie(net: Network, out: Value, state: Value) -> None:
    """The new state moves as the old one."""
    net.add([out, state])


def _state(net: Network, x: Value, weights: Sequence[Value]) -> Value:
    """The running state, (…, H): free, since the recurrence ties it."""
    return net.value([*x.axes[:-1], Axis(weights[1].shape[1])])


def _recurrent(net: Network, kind: str, x: Value, first: Sequence[Value], arguments: Sequence[Any]) -> list[Value]:
    weights, _, layers, _, _, bidirectional, _ = arguments
    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    for value in first:
        if value.data is None or bool(value.data.count_nonzero()):
            raise ValueError("an initial state other than zero")
    finals = []
    for layer in range(layers):
        outs = []
        for direction in range(directions):
            k = (layer * directions + direction) * each
            mine = weights[k : k + each]
            state = _state(net, x, mine)
            out = _layer(net, x, state, mine, kind, None)
            outs.append(out)
            finals.append(out)
        x = net.cat(outs, -1) if len(outs) > 1 else outs[0]
    return [x, *finals]


def _outputs(net: Network, values: list[Value], states: int) -> list[Any]:
    """The sequence, and the final states (stacked over layers and directions)."""
    x, finals = values[0], values[1:]
    lead = [net.reduce(net.same(v), [0], keep=True) if len(v.axes) == 2 else _last(net, v) for v in finals]
    stacked = net.cat(lead, 0) if len(lead) > 1 else lead[0]
    return [x, *([stacked] * states)]


def _last(net: Network, value: Value) -> Value:
    """(…, …, H) at one step: (1, N, H); the axis of time is pinned as an input's."""
    order = range(len(value.axes))
    wide = net.permute(value, list(order))
    batch = 0 if net.batch_first else 1
    step = net.narrow(wide, 1 - batch, 0, 1)
    return net.permute(step, [1 - batch, batch, 2])


@rule("lstm")
def lstm(net: Network, x: Value, states: Sequence[Value], *arguments: Any) -> list[Any]:
    """Gates i, f, g, o; flips of g and h pass through tanh."""
    net.batch_first = bool(arguments[-1])
    values = _recurrent(net, "lstm", x, states, arguments)
    return _outputs(net, values, 2) if net.reads > 1 else [values[0], values[0], values[0]]


@rule("gru")
def gru(net: Network, x: Value, state: Value, *arguments: Any) -> list[Any]:
    """Gates r, z, n with the reset inside the candidate."""
    net.batch_first = bool(arguments[-1])
    values = _recurrent(net, "gru", x, [state], arguments)
    return _outputs(net, values, 1) if net.reads > 1 else [values[0], values[0]]


@rule("rnn_tanh", "rnn_relu")
def rnn(net: Network, x: Value, state: Value, *arguments: Any) -> list[Any]:
    """h' = act(W x + U h + b)."""
    net.batch_first = bool(arguments[-1])
    values = _recurrent(net, net.operator, x, [state], arguments)
    return _outputs(net, values, 1) if net.reads > 1 else [values[0], values[0]]
