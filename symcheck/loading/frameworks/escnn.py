"""`escnn:module:factory`: a network on fields of escnn, with plain tensors in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.actions.base import Bound
from symcheck.actions.image import Image
from symcheck.errors import ClaimError, LoadError
from symcheck.grammar import parse_group
from symcheck.groups.products import make_group
from symcheck.importing import extra
from symcheck.loading.frameworks.local import built
from symcheck.loading.loaders import loaders
from symcheck.measure.field_types import fibre_matrices, is_field_type
from symcheck.subject import Subject


class Fields(nn.Module):
    """A network on fields as one on tensors (n, C, H, W); `in_type` and `out_type` are its own."""

    def __init__(self, net: nn.Module, wrap: Callable[[Tensor, Any], Any]) -> None:
        super().__init__()
        self.net, self._wrap = net, wrap
        self.in_type, self.out_type = getattr(net, "in_type", None), getattr(net, "out_type", None)

    def forward(self, image: Tensor) -> Any:
        """The tensor of what the network returns."""
        found = self.net(self._wrap(image, self.in_type))
        return found if isinstance(found, Tensor) else found.tensor


@loaders.register("escnn")
def load_escnn(rest: str, *, arguments: Mapping[str, object], base: Path) -> Subject:
    """The network that a factory builds, whose `in_type` says which fields its tensors are.

    `checkpoint_path` names a file of weights, `key` a part of it. Without a claim the one of its field types is
    proposed. Raises LoadError: escnn is missing, or the network has no `in_type`.
    """
    wrap = extra("escnn.nn", "escnn").GeometricTensor
    subject = built(rest, arguments, base)
    net = subject.module
    if net is None or not is_field_type(getattr(net, "in_type", None)):
        raise LoadError(
            f"'{rest}' builds a network without fields on the plane",
            where=f"escnn:{rest}",
            hint="it needs the attribute in_type, an escnn FieldType on R2; a network on plain tensors needs no escnn:",
        )
    fields = Fields(net, wrap).eval()
    return replace(subject, call=fields, module=fields)


def field_action(field: Any, group: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The action (g·x)(p) = ρ(g) x(g⁻¹·p) of a field type whose ρ no word of `image(fiber=…)` describes.

    Keep it in a file, `hidden = field_action(net.out_type, "C4")`, and claim `C4: image -> file.py:hidden`.
    """
    ours, image = make_group(parse_group(group)), Image()
    pixels = Bound((image,), ours)

    def act(g: Tensor, x: Tensor) -> Tensor:
        elements = g.to(ours.identity(1).dtype)
        rho = fibre_matrices(field, ours, elements)
        if rho is None:
            raise ClaimError(
                f"{group} is not the group of the field type", where=str(field), hint="give the group of its plane"
            )
        moved = pixels.act((image.represent(ours, elements),), x)
        return torch.einsum("nij,njhw->nihw", rho.to(moved), moved)

    return act
