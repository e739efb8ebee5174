"""Names of a state dict that stand for one storage."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def ties(state: Mapping[str, Tensor]) -> tuple[dict[str, str], dict[str, str]]:
    """Names of one tensor -> the first of them; names that share memory in another way -> one they share it with."""
    first: dict[object, str] = {}
    tied: dict[str, str] = {}
    spans: dict[int, list[tuple[int, int, str]]] = {}
    shared: dict[str, str] = {}
    for name, tensor in state.items():
        if tensor.numel() == 0 or tensor.device.type == "meta":
            continue
        start = tensor.data_ptr()
        key = start, tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype
        if key in first:
            tied[name] = first[key]
            continue
        first[key] = name
        stop = start + tensor.itemsize * (
            1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
        )
        others = spans.setdefault(tensor.untyped_storage().data_ptr(), [])
        for begin, end, other in others:
            if begin < stop and start < end:
                shared[name], shared[other] = other, name
        others.append((start, stop, name))
    return tied, shared
