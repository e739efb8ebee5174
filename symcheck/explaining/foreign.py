"""Explainers from elsewhere: a user's function, and those of Captum."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from symcheck.errors import ConfigError, DataError, SymcheckError
from symcheck.explaining.explainers import Asked, Explainer, explainers
from symcheck.importing import extra, import_object


@final
class Foreign(Explainer):
    """attribution = function(model, x, target): x and the attribution are a tensor, or dicts where inputs are several.

    `model` is the nn.Module, `target` (n,) the class of each sample, None for the sum of the output.
    """

    own = True

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function

    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """What the function returns, checked: one attribution of the shape of each input."""
        lone = len(asked.inputs) == 1
        given = next(iter(asked.inputs.values())) if lone else dict(asked.inputs)
        try:
            result = self.function(asked.model, given, asked.labels)
        except (SymcheckError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever the function may raise is reported as its own
            raise DataError(
                f"the explainer raised {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}",
                where=f"{self.name}(model, x, target)",
                hint="it is called with the network, inputs with a leading sample axis, and one class a sample",
            ) from error
        found = result if isinstance(result, Mapping) else {asked.wrt[0]: result}
        for name in asked.wrt:
            shape, x = tuple(asked.inputs[name].shape), found.get(name)
            if not isinstance(x, Tensor) or tuple(x.shape) != shape:
                got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
                raise DataError(
                    f"the explainer gave {got} for the input '{name}' of shape {shape}",
                    where=f"{self.name}(model, x, target)",
                    hint="return one attribution of the shape of the input, for several inputs a dict by name",
                )
        return {name: found[name] for name in asked.wrt}


@explainers.register("module:function")
def users(text: str) -> Explainer:
    """A user's `module:function(model, x, target) -> attribution`."""
    function = import_object(text)
    if not callable(function):
        raise ConfigError(
            f"'{text}' is a {type(function).__name__}", where="--explainer", hint="name a function (model, x, target)"
        )
    return Foreign(text.rpartition(":")[2], function)


@final
class Captum(Explainer):
    """A method of captum.attr, called as METHOD(model).attribute(inputs, target=..., options)."""

    own = True

    def __init__(self, method: str, options: Mapping[str, Any]) -> None:
        self.method, self.options = method, options
        self.name = f"captum-{method}"
        known = extra("captum.attr", "captum")
        made: Any = getattr(known, method, None)
        self.made = made
        if not (inspect.isclass(made) and issubclass(made, known.Attribution)):
            raise ConfigError(
                f"Captum has no method '{method}'", where="--explainer captum(...)", hint="e.g. captum(Saliency)"
            )

    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """The attributions of all inputs that get one."""
        rest = {name: x for name, x in asked.inputs.items() if name not in asked.wrt}

        def outputs(*xs: Tensor) -> Tensor:
            return asked.outputs({**rest, **dict(zip(asked.wrt, xs, strict=True))})

        def summed(*xs: Tensor) -> Tensor:
            return outputs(*xs).sum(1)

        module = isinstance(asked.model, nn.Module) and len(asked.inputs) == 1 and asked.labels is not None
        target = asked.model if module else outputs if asked.labels is not None else summed
        xs = tuple(asked.inputs[name].detach().requires_grad_(True) for name in asked.wrt)
        options = self.options if asked.labels is None else {**self.options, "target": asked.labels}
        try:
            found = self.made(target).attribute(xs, **options)
        except Exception as error:  # whatever the method may raise is reported as its own
            raise DataError(
                f"{self.method} raised {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}",
                where=f"--explainer captum({self.method})",
                hint="take a method for models of this kind, and give the options that it needs",
            ) from error
        return {name: a.detach() for name, a in zip(asked.wrt, found, strict=True)}


@explainers.register("captum")
def captum(method: str, **options: str) -> Explainer:
    """A method of Captum; values are read as Python literals."""
    values = {}
    for name, text in options.items():
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return Captum(method, values)
