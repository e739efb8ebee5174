"""Axes whose entries a permutation moves: nodes, pairs, channels, classes, boards, and the group itself.

A permutation p sends slot i to slot p(i): y[p(i)] = x[i], a scatter.
"""

from __future__ import annotations

import re
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions, no_options, split_options
from symcheck.actions.grid import check_degree, check_shift, permute, roll, scaled, turn
from symcheck.actions.options import listens, spelled, whole
from symcheck.actions.planar import check_planar, matrices, on_lattice, signed
from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Extents, Group
from symcheck.groups.draws import Draws


class Slots(Action):
    """y[.., p(i), ..] = x[.., i, ..] on `axes` axes from `axis` on: one for nodes and labels, two for pairs.

    Shapes: axes are counted without the batch.
    """

    uses = frozenset({"permutation"})

    def __init__(self, name: str, axis: int, axes: int = 1) -> None:
        self.name, self.axis, self.axes = name, axis, axes
        self.relabels = axis == 0 and axes == 1

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The permutations, (n, degree) int64."""
        return (group.face("permutation", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather."""
        axis = self.axis + 1 if self.axis >= 0 else x.dim() + self.axis
        return permute(x, rep[0], axis, self.axes)

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """The degree: the size of the axis."""
        inside = -len(shape) <= self.axis < len(shape)
        return Extents(degree=shape[self.axis]) if inside else Extents()

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless every axis is there and as long as the permutations."""
        for axis in range(self.axis, self.axis + self.axes):
            if not -len(shape) <= axis < len(shape):
                raise ClaimError(
                    f"'{self.name}' moves axis {axis}, but the sample has the shape {tuple(shape)}",
                    where=what,
                    hint="axes are counted without the batch; nodes(axis=1) names another one",
                )
            check_degree(group, self.name, shape[axis], what)


class Edges(Action):
    """e ↦ p(e): the node numbers of an edge index are renamed, the columns stay where they are.

    Shapes: samples (2, E) int64.
    """

    name = "edges"
    uses = frozenset({"permutation"})
    relabels = True

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The permutations, (n, degree) int64."""
        return (group.face("permutation", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """Look every node number up."""
        if x.is_floating_point() or x.is_complex():
            raise DataError(
                f"an edge index holds node numbers, but its dtype is {x.dtype}",
                where="action 'edges'",
                hint="give int64 node numbers; weights of edges are 'scalar'",
            )
        if x.device.type == "cpu" and x.numel() and int(x.max()) >= rep[0].shape[1]:
            raise DataError(
                f"an edge names node {int(x.max())}, but there are only {rep[0].shape[1]} nodes",
                where="action 'edges'",
                hint="number the nodes of each sample from 0",
            )
        numbers = x.reshape(len(x), prod(x.shape[1:])).to(torch.int64)
        return rep[0].gather(1, numbers).to(x.dtype).reshape(x.shape)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the sample has two rows, sources and targets."""
        if len(shape) != 2 or shape[0] != 2:
            raise ClaimError(
                f"'edges' needs an edge index of shape (2, E), but the sample has the shape {tuple(shape)}",
                where=what,
                hint="row 0 holds the sources and row 1 the targets; an adjacency matrix is 'pairs'",
            )


class Channels(Action):
    """y[p(c)] = x[c], or y[c] = ±x[c] under Sign, on the first axis of the sample.

    Shapes: samples (C, ..). `channels(permute)` and `channels(sign)` listen to one kind of group only, so
    that `D4 x S(3): image*channels(permute)` leaves the turns to the image.
    """

    kinds: ClassVar = {"permute": "permutation", "sign": "linear"}

    def __init__(self, words: list[str] | None = None) -> None:
        self.uses = listens("channels", words or [], self.kinds)
        self.name = spelled("channels", *(words or []))

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The permutations (n, C) or the signs (n, C) or (n, 1), int64."""
        if self._permutes(group):
            return (group.face("permutation", g),)
        signs = torch.diagonal(group.face("linear", g), dim1=1, dim2=2).round()
        return (signs.to(torch.int64),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather, or one product."""
        if self._permutes(group):
            return permute(x, rep[0], 1)
        return x * rep[0].to(x.dtype).view(len(x), -1, *(1,) * (x.dim() - 2))

    def _permutes(self, group: Group) -> bool:
        return "permutation" in self.uses & group.faces

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """The degree: the number of channels."""
        return Extents(degree=shape[0]) if shape and "permutation" in self.uses else Extents()

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the group permutes as many channels as there are, or flips their signs."""
        if not shape:
            raise ClaimError(
                f"'{self.name}' needs a channel axis",
                where=what,
                hint="a single number is 'scalar'",
            )
        if self._permutes(group):
            return check_degree(group, self.name, shape[0], what)
        matrix = group.face("linear", group.sample(8, Draws(0, "channels")))
        size = matrix.shape[1]
        if not bool((matrix.abs() == torch.eye(size)).all()):
            raise ClaimError(
                f"'{self.name}' cannot be moved by {group.name}, which mixes coordinates",
                where=what,
                hint="it understands S and Sign; channels(permute) leaves rotations to another action",
            )
        if size not in (1, shape[0]):
            raise ClaimError(
                f"{group.name} has {size} signs, but '{self.name}' has {shape[0]} channels",
                where=what,
                hint=f"use Sign({shape[0]}), or Sign for one sign of all",
            )
        return None


class Board(Action):
    """The first H·W entries of the last axis are a board that moves as an image does; the rest stay.

    Shapes: samples (.., H·W + rest), e.g. the moves of a board game and a pass. Turns, flips and shifts only.
    """

    uses = frozenset({"linear", "shift"})

    def __init__(self, height: int, width: int) -> None:
        self.sizes = (height, width)
        self.name = f"labels({height}x{width})"

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The shifts (n, 2) or the signed permutation matrices (n, 2, 2), int64."""
        return (group.face("shift", g) if "shift" in group.faces else signed(matrices(group, g)),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather of the board."""
        cells = prod(self.sizes)
        board = x[..., :cells].reshape(*x.shape[:-1], *self.sizes)
        if rep[0].dim() == 2:
            board = roll(board, scaled(group, rep[0], self.sizes, 0), board.dim() - 2)
        else:
            board = turn(board, rep[0])
        return torch.cat([board.flatten(-2), x[..., cells:]], dim=-1)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the board fits the axis and every element moves whole cells."""
        if not shape or shape[-1] < prod(self.sizes):
            raise ClaimError(
                f"'{self.name}' needs {prod(self.sizes)} entries on the last axis of {tuple(shape)}",
                where=what,
                hint="name the rows and columns of the board; further entries stay in place",
            )
        if "shift" in group.faces:
            return check_shift(group, self.sizes, 0, what)
        check_planar(group, self.name, self.sizes, what)
        listed = group.elements()
        if listed is None or not bool(on_lattice(group, listed).all()):
            raise ClaimError(
                f"'{self.name}' cannot be moved by {group.name}, which turns by less than a quarter",
                where=what,
                hint="use C4, D4, or a group of shifts",
            )
        return None


class Regular(Action):
    """y[.., gh] = x[.., h]: the last axis counts the elements of the group, in the order of `elements()`.

    Shapes: samples (.., |G|). The optional size is checked against the order of the group.
    """

    uses = frozenset({"regular"})

    def __init__(self, size: int | None = None) -> None:
        self.size = size
        self.name = spelled("regular", "" if size is None else str(size))

    def represent(self, group: Group, g: Tensor) -> Rep:
        """Left multiplication, (n, |G|) int64."""
        return (group.face("regular", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather."""
        return permute(x, rep[0], x.dim() - 1)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the axis and the stated size are the order of the group."""
        sizes = {shape[-1] if shape else 0, self.size or group.order}
        if sizes != {group.order}:
            raise ClaimError(
                f"'{self.name}' needs an axis of the order of {group.name}, {group.order}, "
                f"but the sample has the shape {tuple(shape)}",
                where=what,
                hint="one entry per group element, on the last axis",
            )


@actions.register("nodes", "set")
def nodes(*args: str) -> Slots:
    """`nodes`: the first axis of the sample; `nodes(axis=1)` another one."""
    plain, options = split_options(args)
    no_options("nodes", plain)
    axis = whole("nodes", options, "axis", least=-3)
    no_options("nodes", options)
    return Slots(spelled("nodes", f"axis={axis}" if axis else ""), axis)


@actions.register("pairs")
def pairs(*args: str) -> Slots:
    """`pairs`: the first two axes of the sample, as of an adjacency matrix."""
    no_options("pairs", list(args))
    return Slots("pairs", 0, axes=2)


@actions.register("edges")
def edges(*args: str) -> Edges:
    """`edges`: an edge index of node numbers."""
    no_options("edges", list(args))
    return Edges()


@actions.register("channels")
def channels(*args: str) -> Channels:
    """`channels`, `channels(permute)`, `channels(sign)`."""
    return Channels(list(args))


@actions.register("labels")
def labels(*args: str) -> Slots | Board:
    """`labels`: the classes on the last axis; `labels(8x8)`: a board."""
    board = re.fullmatch(r"(\d+)x(\d+)", args[0]) if len(args) == 1 else None
    if board:
        return Board(int(board[1]), int(board[2]))
    no_options("labels", list(args))
    return Slots("labels", -1)


@actions.register("regular")
def regular(*args: str) -> Regular:
    """`regular`, `regular(24)`."""
    if len(args) == 1 and args[0].isdigit():
        return Regular(int(args[0]))
    no_options("regular", list(args))
    return Regular()
