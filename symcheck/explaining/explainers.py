"""Explainers: from a score and inputs to an attribution of the shape of each input, by name or by a user's function.

    gradient(target=3)      integrated-gradients(steps=64, baseline=0.5)      captum(Saliency)      file.py:explain
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from symcheck.actions.base import split_options
from symcheck.errors import ClaimError, ConfigError
from symcheck.grammar import Term, parse_term
from symcheck.registry import Registry, suggest

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Asked:
    """What is to be explained: the score (n,) of inputs (n, *S), and the inputs `wrt` that get an attribution.

    `labels` (n,) names the entry of the output that the score is, None for the sum of all; `outputs` gives all
    entries, (n, C); `model` is the network itself, or the callable where there is none.
    """

    score: Callable[[Inputs], Tensor]
    outputs: Callable[[Inputs], Tensor]
    inputs: Inputs
    wrt: tuple[str, ...]
    labels: Tensor | None
    model: Any

    def gradients(self, inputs: Inputs) -> dict[str, Tensor]:
        """∂ score / ∂ x of each sample at these inputs; 0 where the score does not depend on one."""
        leaves = {name: inputs[name].detach().requires_grad_(True) for name in self.wrt}
        score = self.score({**inputs, **leaves}).sum()
        if not score.requires_grad:
            raise ConfigError(
                "the model's output has no gradient with respect to its inputs",
                where=", ".join(self.wrt),
                hint="take an explainer that needs none: --explainer occlusion",
            )
        found = torch.autograd.grad(score, list(leaves.values()), allow_unused=True)
        return {n: torch.zeros_like(x) if g is None else g for (n, x), g in zip(leaves.items(), found, strict=True)}


class Explainer(ABC):
    """e(x): an attribution for each input; `kind` says how it is moved.

    `gradient`: as ∂/∂x; `entries`: as the input, entry by entry; `places`: a weight for each place of the input,
    whatever stands there. `baseline` is the number put in place of an input, None where there is none; `own`: the
    explainer may be of any kind, also random.
    """

    name: str
    kind: str = "entries"
    baseline: float | None = None
    own: bool = False

    @abstractmethod
    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """The attributions by input, (n, *S) each."""

    def notes(self, asked: Asked) -> list[str]:
        """What else is to be told of this explainer on these inputs."""
        return []


Maker = Callable[..., Explainer]
explainers: Registry[Maker] = Registry(
    "explainer",
    modules=("symcheck.explaining.integrated", "symcheck.explaining.foreign"),
    entry_point="symcheck.explainers",
)


@dataclass(frozen=True)
class Stated:
    """An explainer as a user states it, with what it explains: `target` argmax, sum or a number, of output `of`."""

    text: str
    explainer: Explainer
    target: str = "auto"
    of: str = ""

    @property
    def word(self) -> str:
        """The explainer's name as part of the name of an output."""
        return "".join(c if c.isalnum() else "_" for c in self.explainer.name)


def state(text: str) -> Stated:
    """`NAME(option=value, ...)`; unknown names and options are a ConfigError."""
    try:
        term = parse_term(text)
        plain, options = split_options(term.args)
        target, of = options.pop("target", "auto"), options.pop("of", "")
        maker = explainers.get("module:function" if ":" in term.name else term.name, where=text)
    except ClaimError as error:
        raise ConfigError(error.message, where=f"--explainer '{text}'", hint=error.hint) from error
    if target not in ("auto", "argmax", "sum") and not target.isdigit():
        raise ConfigError(
            f"'{target}' is no target", where=f"--explainer '{text}'", hint="write target=argmax, sum, or a class: 3"
        )
    if ":" in term.name:
        plain = [term.name, *plain]
    return Stated(text, _made(maker, term, plain, options), target, of)


def _made(maker: Maker, term: Term, plain: list[str], options: Mapping[str, str]) -> Explainer:
    signature = inspect.signature(maker)
    try:
        signature.bind(*plain, **options)
    except TypeError as error:
        known = [*signature.parameters, "target", "of"]
        odd = next((name for name in options if name not in known), ", ".join(plain))
        raise ConfigError(
            f"the explainer '{term.name}' does not take '{odd}'",
            where=f"--explainer '{term}'",
            hint=suggest(odd, known),
        ) from error
    return maker(*plain, **options)


def whole(text: str, name: str) -> int:
    """A whole number of at least 1 among the options of an explainer."""
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{name}={text} is no whole number above 0", where="--explainer", hint=f"write {name}=16")
    return int(text)


def real(text: str, name: str) -> float:
    """A finite number among the options of an explainer."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name}={text} is no number", where="--explainer", hint=f"write {name}=0")
    return value


@final
class Gradient(Explainer):
    """∂ score / ∂ x."""

    name, kind = "gradient", "gradient"

    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """One backward pass."""
        return asked.gradients(asked.inputs)


@final
class GradientTimesInput(Explainer):
    """x · ∂ score / ∂ x, entry by entry."""

    name = "gradient-x-input"
    baseline = 0.0

    def __call__(self, asked: Asked) -> dict[str, Tensor]:
        """One backward pass."""
        return {name: g * asked.inputs[name] for name, g in asked.gradients(asked.inputs).items()}


@explainers.register("gradient")
def gradient() -> Explainer:
    """∂ score / ∂ x."""
    return Gradient()


@explainers.register("gradient-x-input")
def gradient_times_input() -> Explainer:
    """x · ∂ score / ∂ x."""
    return GradientTimesInput()
