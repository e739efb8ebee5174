"""Moving images by less than whole pixels: inverse warps by cubic or linear interpolation about the centre.

Resampling is no exact action: g⁻¹·(g·x) differs from x by a floor, which is measured and reported beside
the error.
"""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from symcheck.actions.grid import roll
from symcheck.errors import DataError

_PAD = 2  # cubic interpolation reaches two pixels


def warp(x: Tensor, inverse: Tensor, mode: str) -> Tensor:
    """y(p) = x(A p + b), zero outside, with p in pixels from the centre, x to the right and y up.

    Shapes: x (n, .., H, W) floating; inverse = [A | b] (n, 2, 3), from a pixel to where its value comes from.
    """
    if not x.is_floating_point():
        raise DataError(
            f"an image of {x.dtype} cannot be resampled",
            where="a rotation, translation or dilation by less than whole pixels",
            hint="give the image as floating point numbers, or use a group of quarter turns and flips",
        )
    height, width = x.shape[-2:]
    scale = inverse.new_tensor([2 / width, -2 / height])
    linear, offset = scale[:, None] * inverse[..., :2] / scale, scale * inverse[..., 2]
    theta = torch.cat([linear, offset[..., None]], dim=2)
    flat = x.reshape(len(x), prod(x.shape[1:-2]), height, width)
    grid = F.affine_grid(theta.to(x.dtype), list(flat.shape), align_corners=False)
    return F.grid_sample(flat, grid, mode=mode, padding_mode="zeros", align_corners=False).reshape(x.shape)


def slide(x: Tensor, whole: Tensor, fraction: Tensor, mode: str) -> Tensor:
    """y(p) = x(p - whole - fraction) on the torus: whole pixels by index, the rest by interpolation.

    Shapes: x (n, .., H, W); whole (n, 2) int64, rows and columns; fraction (n, 2) in [0, 1), same axes.
    """
    x = roll(x, whole, x.dim() - 2)
    height, width = x.shape[-2:]
    rows = torch.arange(-_PAD, height + _PAD, device=x.device) % height
    columns = torch.arange(-_PAD, width + _PAD, device=x.device) % width
    offset = torch.stack([-fraction[:, 1], fraction[:, 0]], dim=1)
    inverse = torch.cat([torch.eye(2).to(offset).expand(len(x), 2, 2), offset[..., None]], dim=2)
    wide = warp(x[..., rows, :][..., columns], inverse, mode)[..., _PAD : _PAD + height, _PAD : _PAD + width]
    still = (fraction == 0).all(1).view(-1, *(1,) * (x.dim() - 1))
    return torch.where(still, x, wide)
