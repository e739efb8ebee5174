"""The vocabulary in which the symmetries of an architecture are written down, and the motifs that recur."""

from __future__ import annotations

from zoo_entry import Expect, Expects, expects


def perm(size: int, *on: str, over: int = 1) -> Expect:
    return Expect("permutation", size, on, over)


def general(size: int, *on: str, over: int = 1, off: tuple[str, ...] = ()) -> Expect:
    return Expect("general", size, on, over, off)


def ortho(size: int, *on: str) -> Expect:
    return Expect("orthogonal", size, on)


def scale(size: int, *on: str) -> Expect:
    return Expect("scale", size, on)


def sign(size: int, *on: str) -> Expect:
    return Expect("sign", size, on)


def eps(size: int, *on: str) -> Expect:
    """A scale that is exact only where a normaliser's eps is 0."""
    return Expect("scale", size, on, eps=True)


def shift(size: int, *on: str, off: tuple[str, ...] = ()) -> Expect:
    return Expect("shift", size, on, off=off)


def real(size: int, *on: str) -> Expects:
    """Any non-zero factor: positive scale and sign."""
    return scale(size, *on), sign(size, *on)


def homogeneous(size: int, *on: str) -> Expects:
    """Units between linear maps with a positively homogeneous activation; one number each at the first place."""
    return perm(size, *on), scale(size, on[0])


def odd(size: int, *on: str) -> Expects:
    """Units between linear maps with an odd activation."""
    return perm(size, *on), sign(size, on[0])


def gated(gate: str, up: str, down: str, size: int) -> Expects:
    """down(act(gate x) ⊙ up x): one permutation, any non-zero factor of up."""
    return expects(perm(size, f"{gate}:0", f"{up}:0", f"{down}:1"), real(size, f"{up}:0"))


def swiglu(prefix: str, size: int) -> Expects:
    """The names of transformers' gated layers."""
    return gated(*(f"{prefix}.{name}_proj.weight" for name in ("gate", "up", "down")), size)


def attention(
    q: str, k: str, v: str, o: str, heads: int, dim: int, *, norm: str = "", rows: int = 0, key_bias: bool = True
) -> Expects:
    """Heads, QK GL, VO GL, and the shifts of key and value bias; `rows` is the output axis of the projections."""
    a, b = rows, 1 - rows
    found = [
        perm(heads, f"{q}.weight:{a}", f"{o}.weight:{b}"),
        general(dim, f"{q}.weight:{a}", f"{k}.weight:{a}", over=heads, off=(f"{o}.weight",)),
        general(dim, f"{v}.weight:{a}", f"{o}.weight:{b}", over=heads),
        shift(heads * dim, f"{v}.bias", f"{o}.bias"),
    ]
    if key_bias:
        found.append(shift(heads * dim, f"{k}.bias", off=(f"{o}.bias", *((f"{norm}.bias",) if norm else ()))))
    return tuple(found)


def rotary(prefix: str, groups: int, per_group: int, planes: int) -> Expects:
    """Grouped queries under rotary positions without biases: heads, scaled rotations of every plane, VO GL."""
    q, k, v, o = (f"{prefix}.{name}_proj.weight" for name in "qkvo")
    return (
        *grouped(q, k, v, o, groups, per_group, 2 * planes),
        Expect("rotation", 2, (f"{q}:0", f"{k}:0"), groups * planes),
        scale(groups * planes, f"{q}:0", f"{k}:0"),
    )


def grouped(q: str, k: str, v: str, o: str, groups: int, per_group: int, dim: int) -> Expects:
    """Grouped queries: groups, heads inside a group, VO GL per group."""
    return (
        perm(groups, f"{q}:0", f"{k}:0", f"{v}:0", f"{o}:1"),
        perm(per_group, f"{q}:0", f"{o}:1", over=groups),
        general(dim, f"{v}:0", f"{o}:1", over=groups),
    )


def gain(norm: str, size: int) -> Expects:
    """A norm whose output only linear maps read: its gain against their columns."""
    return real(size, f"{norm}.weight:0")


def affine(norm: str, size: int) -> Expects:
    """The same, and its bias against the biases of the readers."""
    return *gain(norm, size), shift(size, f"{norm}.bias")


def shifts(*pairs: tuple[str, int]) -> Expects:
    """A shift of so many numbers of each tensor: the mean direction of a writer, the null direction of a reader."""
    return tuple(shift(size, tensor) for tensor, size in pairs)


def nulls(*readers: str, size: int) -> Expects:
    """The null directions of linear maps that read a LayerNorm."""
    return shifts(*((f"{reader}.weight", size) for reader in readers))


def segment(*writers: str) -> Expects:
    """Stretches of stream between norms, by a writer or its bias: all of it may change its sign, or its size (eps)."""
    return expects(*((sign(1, writer), eps(1, writer)) for writer in writers))


def batch_norm(conv: str, norm: str, size: int) -> Expects:
    """The scale and sign of what enters BatchNorm, and of its variance against its gain."""
    return scale(size, f"{conv}.weight:0"), scale(size, f"{norm}.running_var:0"), sign(size, f"{conv}.weight:0")


def normed(size: int, *layers: str) -> Expects:
    """The same for layers whose convolution is `.0` and whose norm is `.1`."""
    return expects(*(batch_norm(f"{layer}.0", f"{layer}.1", size) for layer in layers))
