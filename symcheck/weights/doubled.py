"""A private copy of a model in double precision, whose casts to lower precision are double precision too."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from symcheck.errors import ModelError

_RAISED = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex32: torch.complex128,
    torch.complex64: torch.complex128,
}
_CASTS: set[Any] = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}
_BITS: set[Any] = {torch.Tensor.view}  # with a dtype it reads the same bits in another way
_EPS = ("eps", "epsilon", "variance_epsilon", "layer_norm_eps", "norm_eps")


class Doubled(TorchFunctionMode):
    """While active, every float32, float16 or bfloat16 that Python code asks for is float64: casts and new tensors."""

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The function with dtypes raised in its arguments and its result."""
        keywords = dict(kwargs or {})
        if func in _CASTS:
            func = torch.Tensor.double
        elif func not in _BITS:
            args = tuple(_RAISED.get(a, a) if isinstance(a, torch.dtype) else a for a in args)
            keywords = {k: _RAISED.get(v, v) if isinstance(v, torch.dtype) else v for k, v in keywords.items()}
        result = func(*args, **keywords)
        if isinstance(result, Tensor) and result.dtype in _RAISED and not any(result is a for a in args):
            return raised(result)
        return result


def raised(tensor: Tensor) -> Tensor:
    """The tensor in double precision if it is a float or a complex number."""
    return tensor.to(_RAISED.get(tensor.dtype, tensor.dtype))


def private(model: nn.Module, convert: Callable[[Tensor], Tensor] | None = None) -> nn.Module:
    """A copy in eval mode with every stored tensor converted; tensors shared before are shared after.

    Raises ModelError for a model that cannot be copied.
    """
    try:
        module = copy.deepcopy(model).eval()
    except Exception as error:  # whatever a model's own copying may raise
        raise ModelError(
            f"the model cannot be copied: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            where=type(model).__name__,
            hint="give a model without tensors in the middle of a gradient, such as one freshly built and loaded",
        ) from error
    if convert is None:
        return module
    done: dict[int, tuple[Tensor, Tensor]] = {}  # the tensor itself too, so that its id stays taken

    def once(tensor: Tensor) -> Tensor:
        if id(tensor) not in done:
            done[id(tensor)] = tensor, convert(tensor.detach())
        return done[id(tensor)][1]

    for part in module.modules():
        for name, value in part._buffers.items():
            part._buffers[name] = value if value is None else once(value)
        for name, value in vars(part).items():
            if isinstance(value, Tensor):
                vars(part)[name] = once(value)
    for parameter in module.parameters():
        parameter.data = once(parameter)
        parameter.grad = None
    return module


@contextmanager
def eps_zero(module: nn.Module) -> Iterator[None]:
    """The normalisers with eps = 0 for the time; not BatchNorm, whose gauge knows its eps."""
    norms = (part for part in module.modules() if not isinstance(part, nn.modules.batchnorm._BatchNorm))
    found = [(part, key, vars(part)[key]) for part in norms for key in _EPS if isinstance(vars(part).get(key), float)]
    try:
        for part, key, _ in found:
            setattr(part, key, 0.0)
        yield
    finally:
        for part, key, value in found:
            setattr(part, key, value)
