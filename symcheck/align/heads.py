"""Units that have axes of their own: heads, groups of heads, experts. They are compared by what turning and
re-ordering within them does not change, and the best order within is found for every pair: a nested assignment.

With rows x of A and y of B in one inner basis on the two sides of a product, queries and keys say,
⟨x₊ᵀx₋, y₊ᵀy₋⟩ = ⟨x₊y₊ᵀ, x₋y₋ᵀ⟩, so that the large products are never formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.align.assign import assign
from symcheck.align.problem import Problem, Use
from symcheck.align.trees import tree_gains
from symcheck.align.turns import improve_turn
from symcheck.weights.spec import Space

_GAIN = 1e-9
_TURNS = 3


@dataclass
class _Part:
    """Rows of a block, (slots, inner slots, planes, basis, rest) for A and B; inner slots are 1 without an order."""

    a: Tensor
    b: Tensor
    inner: str


@dataclass
class _Group:
    """Blocks that are compared together: by products of their sides, or as they are; up to a sign where odd."""

    sides: list[list[_Part]] = field(default_factory=list)
    planar: bool = False
    odd: bool = False
    plain: bool = False


def improve_heads(problem: Problem, space: Space) -> bool:
    """Find the best order of the units of a space together with all that lies within them; whether it was a gain."""
    permuted, turned = problem.inner(space)
    blocks = [block for block in problem.blocks if space.on in block.atoms]
    before = problem.objective(blocks)
    kept = (dict(problem.source), problem.b, dict(problem.element))
    trees = tuple(other for other in turned if other.kind == "tree")
    turned = tuple(other for other in turned if other.kind != "tree")
    found = {tree.name: tree_gains(problem, tree, space) for tree in trees if tree.name not in problem.element}
    flipped = {atom for tree in trees if tree.name in found for atom in (tree.on or "", tree.leaves)}
    more = sum((gains for gains, _ in found.values()), torch.zeros(()))
    outer, within = _matched(problem, space, permuted, turned, (flipped, more))
    problem.source[space.name] = outer
    for name, (_, turned_nodes) in found.items():
        problem.turn(problem.spec.spaces[name], turned_nodes[outer.argsort(), torch.arange(space.size)])
    for other in permuted:
        problem.source[other.name] = within[other.name][torch.arange(space.size), outer]
    signs = tuple(sign for other in (space, *permuted) for sign in problem.signs(other))
    for _ in range(_TURNS):
        moved = [improve_turn(problem, other) for other in (*turned, *signs)]
        if not any(moved):
            break
    after = problem.objective(blocks)
    if after > before + _GAIN * abs(before):
        return True
    problem.source.update(kept[0])
    problem.restore(*kept[1:])
    return False


def _matched(
    problem: Problem,
    space: Space,
    permuted: tuple[Space, ...],
    turned: tuple[Space, ...],
    trees: tuple[set[str], Tensor],
) -> tuple[Tensor, dict[str, Tensor]]:
    """The best sources of the units, and those within for every pair, (slots of A, units of B, inner slots).

    `trees` are the atoms that flips of trees move, and how well the units fit along them.
    """
    groups = list(_groups(problem, space, permuted, turned, trees[0]))
    scales = [_scale(group, space.size) for group in groups]
    n = space.size
    gains = torch.zeros(n, n, dtype=torch.float64) + trees[1]
    within = {other.name: torch.zeros(n, n, other.size, dtype=torch.int64) for other in permuted}
    for i in range(n):
        found: dict[str, Tensor] = {}
        for group, scale in zip(groups, scales, strict=True):
            inner, values = _compared(group, i)
            found[inner] = found.get(inner, 0) + values / scale
        for inner, values in found.items():
            if not inner:
                gains[i] += values[:, 0, 0]
                continue
            best = assign(values)
            within[inner][i] = best
            gains[i] += values.gather(-1, best[..., None]).sum((-1, -2))
    return assign(gains), within


def _groups(
    problem: Problem, space: Space, permuted: tuple[Space, ...], turned: tuple[Space, ...], without: set[str]
) -> Iterator[_Group]:
    """The blocks of the units by the space that turns them; those that nothing turns, by their order within."""
    taken: set[tuple[str, tuple[int, ...]]] = set()
    for turn in turned:
        sides: dict[object, list[_Part]] = {}
        for use in problem.uses(turn):
            power = problem.exponent(turn, use)
            if power:
                side = power > 0 if turn.kind == "general" else use.block.tensor
                sides.setdefault(side, []).append(_part(problem, space, permuted, use.block.atoms.index, use))
                taken.add((use.block.tensor, use.block.marks))
        if sides:
            yield _Group([*sides.values()], turn.kind == "rotation")
    plain: dict[tuple[str, frozenset[str]], list[_Part]] = {}
    for use in problem.uses(space):
        if (use.block.tensor, use.block.marks) not in taken and not without & {*use.block.atoms}:
            part = _part(problem, space, permuted, None, use)
            plain.setdefault((part.inner, _odd(problem, (space, *permuted), use)), []).append(part)
    for (_, odd), parts in plain.items():
        yield _Group([parts], odd=bool(odd), plain=True)


def _odd(problem: Problem, spaces: tuple[Space, ...], use: Use) -> frozenset[str]:
    """The signs that are looked for which flip this block."""
    found = set()
    for own in spaces:
        here = [Use(use.block, d) for d, atom in enumerate(use.block.atoms) if atom == own.on]
        found |= {sign.name for sign in problem.signs(own) if any(problem.exponent(sign, other) % 2 for other in here)}
    return frozenset(found)


def _part(problem: Problem, space: Space, permuted: tuple[Space, ...], turned: object, use: Use) -> _Part:
    """The rows of a block with the units first, then what is ordered within, planes, and what turns."""
    atoms = use.block.atoms
    inner = next((other for other in permuted if other.on in atoms), None)
    own = atoms.index(space.on or "")
    turning = use.dim if turned is not None else None
    planes = [d for d, atom in enumerate(atoms) if turning is not None and atom and d not in (own, turning)]
    planes = [d for d in planes if atoms[d] in _over(problem, atoms[use.dim]) and atoms[d] != space.on]
    but = [own, *([atoms.index(inner.on or "")] if inner else [])]
    order = [own, *but[1:], *planes, *([turning] if turning is not None else [])]
    shaped = []
    for view in (problem.view_a(use.block), problem.view_b(use.block, but=but)):
        moved = view.movedim(order, tuple(range(len(order)))).double()
        sizes = iter(moved.shape)
        first, second = next(sizes), next(sizes) if inner else 1
        middle = 1
        for _ in planes:
            middle *= next(sizes)
        last = next(sizes) if turning is not None else 1
        shaped.append(moved.reshape(first, second, middle, last, -1))
    return _Part(shaped[0], shaped[1], inner.name if inner else "")


def _over(problem: Problem, atom: str) -> frozenset[str]:
    """The atoms for whose every slot something turns along this one."""
    spaces = problem.spec.spaces.values()
    return frozenset(other for s in spaces if s.on == atom and s.name in problem.turning for other in s.over)


def _compared(group: _Group, i: int) -> tuple[str, Tensor]:
    """How slot i of A fits every unit of B: the space within, and (units, inner slots of A, of B)."""
    sides = [(_crossed(side, i, group.planar), next((p.inner for p in side if p.inner), "")) for side in group.sides]
    inner = next((name for _, name in sides if name), "")
    if group.plain:
        values = sides[0][0].sum((-1, -2, -3))
        return inner, values.abs() if group.odd else values
    if len(sides) == 1:
        return inner, sides[0][0].square().sum((-1, -2, -3))
    total: Tensor | float = 0.0
    for k, (x, _) in enumerate(sides):
        for y, _ in sides[k + 1 :]:
            total = total + (x * y).sum((-1, -2, -3))
    return inner, torch.as_tensor(total)


def _crossed(side: list[_Part], i: int, planar: bool) -> Tensor:
    """Σ x yᵀ of slot i with every unit, (units, inner of A, inner of B, planes, basis, basis)."""
    total: Tensor | float = 0.0
    for part in side:
        cross = torch.einsum("apdk,jbpek->jabpde", part.a[i], part.b)
        if planar:  # what commutes with rotations of the plane: multiples of 1 and of the quarter turn
            along = cross[..., 0, 0] + cross[..., 1, 1]
            across = cross[..., 1, 0] - cross[..., 0, 1]
            cross = torch.stack([along, across], -1)[..., None, :]
        total = total + cross
    return torch.as_tensor(total)


def _scale(group: _Group, n: int) -> float:
    """The geometric mean of how well A fits A and B fits B: groups then count alike."""
    sizes = []
    for pick in ("a", "b"):
        sides = [[_Part(getattr(p, pick), getattr(p, pick), p.inner) for p in side] for side in group.sides]
        own = _Group(sides, group.planar, group.odd, group.plain)
        values = [_compared(own, i)[1][i].diagonal(dim1=-2, dim2=-1).sum() for i in range(n)]
        sizes.append(float(sum(values)) / n)
    product = sizes[0] * sizes[1]
    return product**0.5 if product > 0 else 1.0
