"""Convolutions: the kernel turns with the channels, W(g p) = ρ_out(g) W(p) ρ_in(g)⁻¹, on the elements of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from symcheck.actions.base import Bound
from symcheck.actions.image import Image
from symcheck.actions.linear import linear_dimension
from symcheck.actions.nodes import Channels
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.finite import Sign
from symcheck.groups.generated import Generated
from symcheck.intertwiners.features import Features, Given, spaces
from symcheck.intertwiners.representation import Representation, parse_actions, trivial
from symcheck.intertwiners.within import Listed, kernel, on_grid


@dataclass(frozen=True, eq=False)
class Convolution:
    """A dense kernel (out, in, *k), its representations (out, in, kernel), and how many numbers were trained.

    `fault` says why no kernel could make the layer equivariant, `open` what a sound kernel leaves undecided.
    """

    weight: Tensor
    spaces: tuple[Representation, Representation, Representation]
    free: int
    open: str = ""
    fault: str = ""


def convolution(module: nn.Module, group: Group, source: Given, target: Given) -> Convolution:
    """The kernel of a convolution and what moves it.

    A group that turns space turns the kernel, by those of its elements that keep the grid; permutations and signs
    of channels leave it. Raises ClaimError for shifts, for products, and where the kernel is not kept.
    """
    conv: nn.Conv2d = module  # type: ignore[assignment]
    weight = _dense(conv)
    if "shift" in group.faces or "translation" in group.faces:
        raise ClaimError(
            f"the certificate does not cover the shifts of {group.name}",
            where="a convolution",
            hint="weight sharing commutes with shifts where padding is circular and the stride divides them; audit it",
        )
    out, into = spaces(group, [(target, conv.out_channels), (source, conv.in_channels)])
    group = out.group
    if not _turns(group, (source, target), weight.dim() - 2):
        size = weight[0, 0].numel()
        return Convolution(weight, (out, into, trivial(group, size)), conv.weight.numel())
    grid = on_grid(group, weight.dim() - 2)
    left = [f"only {grid.name} were tested, the others resample the kernel"] if grid.name != group.name else []
    weight = _squared(weight, grid)
    turned = (replace(out, group=grid), replace(into, group=grid), kernel(grid, tuple(weight.shape[2:])))
    if max(conv.stride) > 1:
        left.append("the stride must divide size + 2 padding - dilation (kernel - 1) - 1, which the data decides")
    return Convolution(weight, turned, conv.weight.numel(), "; ".join(left), _fault(conv, grid))


def _dense(conv: nn.Conv2d) -> Tensor:
    """(out, in, *k) with zeros between the groups of channels."""
    weight = conv.weight.detach()
    transposed = isinstance(conv, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    if conv.groups == 1:
        return weight.transpose(0, 1) if transposed else weight
    blocks = [block.transpose(0, 1) if transposed else block for block in weight.chunk(conv.groups)]
    whole = weight.new_zeros(conv.out_channels, conv.in_channels, *weight.shape[2:])
    rows, columns = conv.out_channels // conv.groups, conv.in_channels // conv.groups
    for i, block in enumerate(blocks):
        whole[i * rows : (i + 1) * rows, i * columns : (i + 1) * columns] = block
    return whole


def _turns(group: Group, given: Sequence[Given], axes: int) -> bool:
    """Whether the group turns the grid, and not only channels."""
    if isinstance(group, Sign | Generated) or "linear" not in group.faces:
        return False
    for what in given:
        actions = what.actions if isinstance(what, Bound) else ()
        if isinstance(what, str | Features):
            actions = parse_actions(what if isinstance(what, str) else what.action)
        if any(isinstance(action, Image) for action in actions):
            return True
        if any(isinstance(action, Channels) for action in actions):
            return False
    return linear_dimension(group) in (axes, 2 if axes == 3 else axes)


def _squared(weight: Tensor, group: Listed) -> Tensor:
    """The kernel with zeros around it, so that axes which change places have one size; parities must agree."""
    sizes = weight.shape[2:]
    if len(set(sizes)) == 1 or not _mixes(group):
        return weight
    largest = max(sizes)
    if any((largest - size) % 2 for size in sizes):
        raise ClaimError(
            f"a kernel of {' x '.join(map(str, sizes))} has no common centre with its turned copies",
            where="a convolution",
            hint="use odd sizes, or even ones",
        )
    pads = [edge for size in reversed(sizes) for edge in [(largest - size) // 2] * 2]
    return torch.nn.functional.pad(weight, pads)


def _mixes(group: Listed) -> bool:
    """Whether an element exchanges axes of the grid."""
    matrices = group.face("linear", group.elements())
    return bool((matrices - torch.diag_embed(matrices.diagonal(dim1=1, dim2=2))).abs().amax() > 0.5)


def _fault(conv: nn.Conv2d, group: Listed) -> str:
    """Why no kernel helps: settings that single out an axis or a side."""
    sizes = conv.kernel_size
    if any(conv.output_padding):
        return "output_padding adds to one side only"
    if conv.padding == "same" and any(size % 2 == 0 for size in sizes):
        return "padding='same' with an even kernel pads one side more than the other"
    settings: list[tuple[float, ...]] = [conv.stride, conv.dilation]
    if isinstance(conv.padding, tuple):  # what is left of the border on each side
        settings.append(tuple(p - d * (k - 1) / 2 for p, d, k in zip(conv.padding, conv.dilation, sizes, strict=True)))
    if _mixes(group) and any(len(set(values)) > 1 for values in settings):
        return f"its axes, which {group.name} exchanges, have different strides, paddings or dilations"
    return ""
