"""Layer certificates: what the weights alone say of a network's equivariance, layer by layer, without data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from torch import nn

from symcheck.errors import ConfigError
from symcheck.groups.base import Group
from symcheck.groups.products import make_group
from symcheck.intertwiners.features import Given
from symcheck.intertwiners.layers import Layer, irreps_of, known, rows, unknown
from symcheck.intertwiners.result import Certificate, Certified, LayerRow
from symcheck.registry import suggest

Declared = Given | tuple[Given, Given]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
UNDECLARED = "no representation is declared for its features"


def certify_layers(
    module: nn.Module, group: Group | str, actions: Mapping[str, Declared], *, tolerance: float | None = None
) -> Certificate:
    """Rows `layer | ρ_in → ρ_out | s_G | used/allowed | verdict` for every module of a network.

    `actions` maps a module's path, or a pattern such as `blocks.*.linear`, to what its features are: one declaration
    for both sides, or a pair (input, output); an action's text (`8x0e+4x1o`, `nodes`, `regular`, `image(fiber=...)`,
    `scalar`), Features, a bound action, or a representation. Linear layers of e3nn state their own. What is not
    declared, or has no rule, is `unknown` with the reason, and never passes. Above the rounding of the weights'
    dtype a level is `broken`, or `approximate` up to `tolerance`. Raises ConfigError for a path that is not there.
    """
    group = make_group(group) if isinstance(group, str) else group
    paths = dict(module.named_modules())
    for pattern in actions:
        if not any(_matches(path, pattern) for path in paths):
            raise ConfigError(
                f"no layer is called '{pattern}'",
                where=f"the actions of {type(module).__name__}",
                hint=suggest(pattern, [path for path in paths if path] or ["''"]),
            )
    found = tuple(_walk("", module, group, actions, tolerance))
    return Certificate(group.name, found, tuple(_notes(module, found)))


def _walk(
    path: str, module: nn.Module, group: Group, actions: Mapping[str, Declared], tolerance: float | None
) -> Iterator[LayerRow]:
    """The rows of one module, or of its children where it only holds them."""
    declared = _declared(path, actions) or irreps_of(module)
    children = [*module.named_children()]
    if known(module) or not (children or isinstance(module, _CONTAINERS)):
        if declared is None and known(module):
            yield unknown(Layer(path, module, group, "?", "?"), UNDECLARED)
            return
        source, target = declared if isinstance(declared, tuple) else (declared or "?", declared or "?")
        yield from rows(Layer(path, module, group, source, target, tolerance))
        return
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if own:
        layer = Layer(path, module, group, "?", "?")
        yield unknown(layer, f"there is no rule for what it does with {', '.join(own)}")
    for name, child in children:
        yield from _walk(f"{path}.{name}" if path else name, child, group, actions, tolerance)


def _declared(path: str, actions: Mapping[str, Declared]) -> Declared | None:
    """What is said of a module: by its path, else by the first pattern that fits."""
    if path in actions:
        return actions[path]
    return next((value for pattern, value in actions.items() if _matches(path, pattern)), None)


def _matches(path: str, pattern: str) -> bool:
    return path == pattern or fnmatchcase(path, pattern)


def _notes(module: nn.Module, found: tuple[LayerRow, ...]) -> Iterator[str]:
    plain = {
        type(child).__name__
        for child in module.modules()
        if next(child.children(), None) is not None and not isinstance(child, _CONTAINERS) and not known(child)
    }
    if plain:
        names = ", ".join(sorted(plain))
        yield f"what the forward of {names} does between these layers is not seen: functions, sums, reshapes"
    missing = sum(row.verdict is Certified.UNKNOWN for row in found)
    if missing:
        yield f"{missing} of {len(found)} rows are unknown, so the network is not certified"
