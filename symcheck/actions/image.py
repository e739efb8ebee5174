"""Images: the last two axes are rows and columns, all axes before them channels.

x points to the right (columns) and y up, so that a rotation by +90° is counter-clockwise as displayed,
`torch.rot90(image, 1, (-2, -1))`. Quarter turns, flips and whole pixels move cells by index and are exact;
everything else is resampled and holds its own law only up to a floor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions, no_options, split_options
from symcheck.actions.fields import Fibre, probe
from symcheck.actions.grid import check_crop, check_shift, cut, roll, scaled, turn, window
from symcheck.actions.options import choice, spelled, whole
from symcheck.actions.planar import (
    check_planar,
    lattice_elements,
    matrices,
    on_lattice,
    only_translates,
    signed,
    translations,
)
from symcheck.actions.resample import slide, warp
from symcheck.errors import ClaimError
from symcheck.groups.base import Extents, Group


class Image(Action):
    """(g·x)(p) = x(g⁻¹·p) for a pixel p, about the centre of the image.

    Shapes: samples (.., H, W). Shifts are (rows, columns) in input pixels, scaled on outputs of another size;
    T(2) translates the torus, SE(2) and E(2) the plane with zeros outside, in pixels of the image itself.
    With `crop` the stored sample is a canvas of real content and the model sees it without a border; on an
    output the border is left out of the difference. `disc` leaves the corners out of both. `fiber` says what
    the channels do: `regular`, blocks of |G| feature maps, channel c·|G| + h goes to c·|G| + gh; `vector`,
    pairs (vx, vy) that rotate with the image; `sign`, pseudoscalars; `directions`, planes tagged with +x, +y,
    -x, -y, or with n directions counter-clockwise from +x as `directions(n)`, that change places; sums of these
    and of `trivial` ones on consecutive channels.
    """

    uses = frozenset({"linear", "shift", "translation", "factor"})

    def __init__(
        self, crop: int = 0, disc: bool = False, interpolation: str = "bicubic", fiber: Fibre | None = None
    ) -> None:
        self.crop, self.disc, self.interpolation, self.fiber = crop, disc, interpolation, fiber
        self.name = spelled(
            "image",
            f"crop={crop}" if crop else "",
            "mask=disc" if disc else "",
            f"interpolation={interpolation}" if interpolation != "bicubic" else "",
            f"fiber={fiber}" if fiber else "",
        )

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(shift[, fraction]) of rows and columns, or (signed[, inverse map]) and what the fibre does."""
        if "shift" in group.faces:
            return (group.face("shift", g),)
        t = translations(group, g)
        if only_translates(group):
            steps = torch.stack([-t[:, 1], t[:, 0]], dim=1)
            pixels = steps.floor()
            fraction = steps - pixels
            return (pixels.to(torch.int64), fraction) if bool(fraction.any()) else (pixels.to(torch.int64),)
        matrix = matrices(group, g)
        exact = on_lattice(group, g)
        turns = torch.where(exact[:, None, None], signed(matrix), 0)
        rep: Rep = (turns,)
        if not bool(exact.all()):
            inverse = torch.linalg.inv(matrix)
            rep = (turns, torch.cat([inverse, -inverse @ t[..., None]], dim=2))
        return (*rep, *self.fiber.represent(group, g, turns if len(rep) == 1 else matrix)) if self.fiber else rep

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather for whole pixels, one interpolation for the rest."""
        if rep[0].dim() == 2:
            shift = scaled(group, rep[0], tuple(x.shape[-2:]), self.crop)
            if len(rep) == 2:
                return slide(x, shift, rep[1], self.interpolation)
            return roll(x, shift, x.dim() - 2)
        places = rep[: len(rep) - len(self.fiber.moving)] if self.fiber else rep
        moved = turn(x, places[0])
        if len(places) == 2:
            exact = (places[0] != 0).any(2).any(1).view(-1, *(1,) * (x.dim() - 1))
            moved = torch.where(exact, moved, warp(x, places[1], self.interpolation))
        return self.fiber.act(group, rep[len(places) :], moved) if self.fiber else moved

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """The stored grid, and how far shifts may go before they leave the canvas."""
        return Extents(grid=tuple(shape[-2:]), reach=self.crop or None)

    def exact(self, group: Group, g: Tensor) -> Tensor:
        """(n,) bool: True for turns, flips and translations by whole pixels."""
        return on_lattice(group, g)

    def lattice(self, group: Group) -> Tensor | None:
        """The turns and flips, or small whole translations, of a group that also has elements to resample."""
        return None if "shift" in group.faces else lattice_elements(group)

    def mask(self, shape: tuple[int, ...]) -> Tensor | None:
        """(H, W): 1 in the inscribed disc of the observed image, which rotations map to itself."""
        return window(shape[-2:], self.crop, disc=True)

    def observe(self, x: Tensor) -> Tensor:
        """The canvas without its border, and zero outside the disc where asked for."""
        if self.disc:
            x = self._windowed(x)
        return cut(x, self.crop, x.dim() - 2, 2)

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """y - z, zero where nothing is compared: in the border, and outside the disc where asked for."""
        return self._windowed(y - z)

    def _windowed(self, x: Tensor) -> Tensor:
        part = window(x.shape[-2:], self.crop, self.disc, x.device)
        return x if part is None else x * part.to(x)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the sample is an image that the group can move."""
        if len(shape) < 2:
            raise ClaimError(
                f"'{self.name}' needs at least two axes, but the sample has the shape {tuple(shape)}",
                where=what,
                hint="rows and columns are the last two axes; 'shift' moves one axis",
            )
        sizes = (shape[-2], shape[-1])
        check_crop(self.name, sizes, self.crop, what)
        if "shift" in group.faces:
            return check_shift(group, sizes, self.crop, what)
        check_planar(group, self.name, sizes, what)
        if self.fiber and not only_translates(group):
            self.fiber.check(group, matrices(group, probe(group)), shape, self.name, what)
        return None


@actions.register("image")
def image(*args: str) -> Image:
    """`image`, with crop=pixels, mask=disc, interpolation=bicubic|bilinear, fiber=regular or a sum of fields."""
    plain, options = split_options(args)
    no_options("image", plain)
    fiber = options.pop("fiber", None)
    made = Image(
        whole("image", options, "crop"),
        choice("image", options, "mask", ("disc",)) == "disc",
        choice("image", options, "interpolation", ("bicubic", "bilinear")) or "bicubic",
        None if fiber is None else Fibre.parse(fiber, f"image(fiber={fiber})"),
    )
    no_options("image", options)
    return made
