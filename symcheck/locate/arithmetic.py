"""Ways to run a model in other arithmetic: autocast, TF32 as the device has it, or emulated where it has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

Context = Callable[[], AbstractContextManager[Any]]

TF32_BITS = 10  # of the mantissa; float32 has 23
EMULATED = "emulated: operands of products and convolutions rounded to 10 bits of mantissa"
_PRODUCTS = frozenset({
    "mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "linear", "matmul", "einsum", "bilinear",
    "convolution", "_convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "mkldnn_convolution", "mkldnn_rnn_layer", "convolution_backward",
    "scaled_dot_product_attention",
})  # fmt: skip


def context_of(precision: str, device: torch.device) -> tuple[Context, str]:
    """The context in which float32 is computed as `precision`, and how where it is not the device's own."""
    if precision in ("bfloat16", "float16"):
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float16
        return lambda: torch.autocast(device.type, dtype), "autocast"
    if precision != "tf32":
        return _nothing, ""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return _tf32, "matrix products and convolutions of the device"
    return Rounded, EMULATED


class Rounded(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every product and convolution of float32 tensors takes operands with a mantissa of so many bits."""

    def __init__(self, bits: int = TF32_BITS) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bits = bits

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The operation, on rounded operands where it is a product."""
        given = dict(kwargs or {})
        if str(func.overloadpacket).rpartition(".")[2].removesuffix("_") in _PRODUCTS:
            args, given = tree_map_only(Tensor, self._rounded, (args, given))
            return func(*args, **given)
        with self:  # what is made of other operations may hold products: recurrent layers
            found = func.decompose(*args, **given)
        return func(*args, **given) if found is NotImplemented else found

    def _rounded(self, x: Tensor) -> Tensor:
        return rounded(x, self.bits) if x.dtype == torch.float32 else x


def rounded(x: Tensor, bits: int) -> Tensor:
    """float32 numbers to the nearest with a mantissa of `bits` bits, ties to even; infinities and NaN as they are."""
    drop = 23 - bits
    whole = x.contiguous().view(torch.int32)
    odd = (whole >> drop) & 1
    near = (whole + (1 << (drop - 1)) - 1 + odd) & ~((1 << drop) - 1)
    return torch.where(x.isfinite(), near.view(torch.float32), x)


@contextmanager
def _tf32() -> Iterator[None]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = True, True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def _nothing() -> Iterator[None]:
    yield
