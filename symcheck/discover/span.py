"""The generators that were found, as matrices on each input and output, and their description as a Lie algebra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.discover.algebra import Structure, cosines, reduced, row_space, structure
from symcheck.discover.forms import block_diagonal, null_space, preserved, signature
from symcheck.discover.naming import Known, abstract_name, known, one_parameter
from symcheck.discover.result import Algebra, Generator, Named, PreservedForm
from symcheck.discover.spectrum import Solutions
from symcheck.discover.unknowns import Block, Slot

_SHOWN = 4  # named algebras that are listed
_WIDEST = 16  # vectors up to which algebras are compared and forms are solved for


@dataclass(frozen=True)
class Span:
    """k generators: on each block (k, d + 1, d + 1), acting on (x, scale); on each free output (k, q, q).

    `still` are the outputs that stay as they are; `accuracy` is how far the span may be off, in radians.
    """

    blocks: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    still: tuple[str, ...]
    sources: tuple[Block, ...]
    accuracy: float

    @property
    def tolerance(self) -> float:
        """What counts as zero where generators are compared."""
        return max(1e-7, self.accuracy)

    def __len__(self) -> int:
        return len(next(iter(self.blocks.values())))

    @property
    def joint(self) -> Tensor:
        """(k, numbers): all blocks side by side."""
        return torch.cat([x.reshape(len(x), -1) for x in self.blocks.values()], 1)

    @property
    def matrices(self) -> Tensor:
        """(k, D, D): all blocks on one diagonal."""
        return torch.stack([block_diagonal(x[i] for x in self.blocks.values()) for i in range(len(self))])

    def mixed(self, coefficients: Tensor) -> Span:
        """The generators Σ_j c[i, j] X_j."""

        def mix(x: Tensor) -> Tensor:
            return torch.einsum("ij,jab->iab", coefficients, x)

        blocks, outputs = ({n: mix(x) for n, x in part.items()} for part in (self.blocks, self.outputs))
        return replace(self, blocks=blocks, outputs=outputs)

    def towards(self, targets: Mapping[str, Tensor]) -> tuple[Span, float]:
        """The found generators nearest to (m, d + 1, d + 1) on some blocks, and the largest relative distance left."""
        wanted = torch.cat([x.reshape(len(x), -1) for x in targets.values()], 1)
        own = torch.cat([self.blocks[name].reshape(len(self), -1) for name in targets], 1)
        coefficients = wanted @ torch.linalg.pinv(own, rtol=self.tolerance)
        left = torch.linalg.vector_norm(coefficients @ own - wanted, dim=1) / torch.linalg.vector_norm(wanted, dim=1)
        return self.mixed(coefficients), float(left.max())


def span_of(solutions: Solutions, kinds: Sequence[str], blocks: Sequence[Block], slots: Sequence[Slot]) -> Span:
    """The directions of these kinds as matrices, orthonormal on the inputs."""
    picked = [i for i, one in enumerate(solutions.directions) if one.kind in kinds]
    inputs, outputs = solutions.inputs[picked], solutions.outputs[picked]
    matrices, at = {}, 0
    for block in blocks:
        wide = torch.einsum("km,mia->kia", inputs[:, at : at + len(block.basis)], block.basis)
        matrices[block.name] = torch.nn.functional.pad(wide, (0, 0, 0, 1))
        at += len(block.basis)
    following, at = {}, 0
    for slot in slots:
        if slot.acting == "free":
            size = slot.width**2
            following[slot.name] = outputs[:, at : at + size].reshape(-1, slot.width, slot.width)
            at += size
    last = max(max(solutions.directions[i].sigma, solutions.directions[i].floor) for i in picked)
    beyond = next((one.sigma for one in solutions.directions if one.kind not in ("exact", *kinds)), 1.0)
    still = tuple(slot.name for slot in slots if slot.acting == "invariant")
    span = Span(matrices, following, still, tuple(blocks), 5 * last / max(beyond, 1e-300))
    u, values, _ = torch.linalg.svd(span.joint, full_matrices=False)
    return span.mixed((u / values).T)


def describe(span: Span) -> Algebra:
    """The algebra by name, with its invariants, its preserved forms, its neighbours and a sparse basis."""
    tolerance = span.tolerance
    algebra = structure(span.matrices, tolerance)
    images = {name: _image(span, name) for name in span.blocks}
    own = {name: _named(image, span.tolerance) for name, image in images.items()}
    first, standard = next(iter(span.blocks)), _standard(span)
    name = standard.name if standard else _abstract(algebra, span, first)
    chosen = canonical(span)
    return Algebra(
        name if algebra.closed or standard else f"{name}, not closed under brackets", standard is not None, len(span),
        algebra.closure, algebra.closed, algebra.killing_signature, algebra.centre, algebra.derived,
        len(algebra.radical), {n: _word(own[n], image, tolerance) for n, image in images.items()},
        tuple(form for n in span.blocks for form in _forms(n, images[n], tolerance)),
        tuple(_nearest(images[first], tolerance)) if len(images) == 1 else (),
        _generators(chosen, standard),
    )  # fmt: skip


def translations(matrices: Tensor, tolerance: float) -> int:
    """The dimension of the elements that only translate."""
    linear = matrices[:, :-1, :-1].reshape(len(matrices), -1)
    return len(null_space(linear.T, tolerance)) if linear.abs().max() > tolerance else len(matrices)


def _image(span: Span, name: str) -> Tensor:
    """A basis of what the algebra does to one block."""
    x = span.blocks[name]
    return row_space(x.reshape(len(x), -1), max(span.tolerance, 1e-7)).reshape(-1, *x.shape[1:])


def _width(image: Tensor) -> int:
    return image.shape[-1] - 1


def _standard(span: Span) -> Known | None:
    """The known algebra that acts on every block alike, without a kernel."""
    images = {name: _image(span, name) for name in span.blocks}
    own = {one.name: one for one in (_named(image, span.tolerance) for image in images.values()) if one}
    whole = all(len(image) == len(span) and _named(image, span.tolerance) for image in images.values())
    return next(iter(own.values())) if whole and len(own) == 1 else None


def _named(image: Tensor, tolerance: float) -> Known | None:
    """The known algebra that this is, in the coordinates of the data: no principal angle above 10 tolerances."""
    if not len(image) or _width(image) > _WIDEST:
        return None
    for one in known(_width(image), True):
        if len(one.matrices) == len(image) and _inside(cosines(image, one.matrices), tolerance):
            return one
    return None


def _inside(cosine: Tensor, tolerance: float) -> bool:
    return bool(1 - float(cosine.min()) <= 50 * tolerance**2 + 1e-13)


def _abstract(algebra: Structure, span: Span, first: str) -> str:
    if len(span) == 1 and len(span.blocks) == 1:
        return one_parameter(span.blocks[first][0], span.tolerance)
    shifts = translations(span.blocks[first], span.tolerance) if len(span.blocks) == 1 else 0
    return abstract_name(algebra, span.sources[0].width, shifts)


def _word(own: Known | None, image: Tensor, tolerance: float) -> str:
    if own is not None:
        return own.name
    if not len(image):
        return "nothing"
    if len(image) == 1:
        return one_parameter(image[0], tolerance)
    return abstract_name(structure(image, tolerance), _width(image), translations(image, tolerance))


def _forms(name: str, image: Tensor, tolerance: float) -> list[PreservedForm]:
    """The forms that the linear parts preserve, of both kinds."""
    found: list[PreservedForm] = []
    linear = image[:, :-1, :-1]
    if not len(image) or not linear.abs().max() > tolerance or linear.shape[-1] > _WIDEST:
        return found
    for symmetric in (True, False):
        forms = preserved(linear, symmetric=symmetric, tolerance=max(1e-7, tolerance))
        if not len(forms):
            continue
        kind = "symmetric" if symmetric else "antisymmetric"
        if len(forms) > 1:
            found.append(PreservedForm(name, kind, len(forms)))
            continue
        form = forms[0] / forms[0].flatten()[forms[0].abs().argmax()]
        above, below, _ = signature(form)
        if symmetric and (not above or above > below > 0):  # definite ones are positive, one time against many spaces
            form, above, below = -form, below, above
        found.append(PreservedForm(name, kind, 1, _rows(form), (above, below) if symmetric else None))
    return found


def _nearest(image: Tensor, tolerance: float) -> list[Named]:
    """Known algebras by chordal distance √(max(k, m) − Σ cos²)."""
    if not len(image) or _width(image) > _WIDEST:
        return []
    ranked = []
    for one in known(_width(image), True):
        found = cosines(image, one.matrices)
        distance = max(len(image), len(one.matrices)) - float(found.square().sum())
        inside = len(one.matrices) <= len(image) and _inside(found, tolerance)
        ranked.append((distance, Named(one.name, len(one.matrices), tuple(found.tolist()), inside)))
    return [named for _, named in sorted(ranked, key=lambda pair: pair[0])[:_SHOWN]]


def canonical(span: Span) -> Span:
    """The standard basis where there is one, else a sparse one; what is a whole or half number is made so."""
    standard, first = _standard(span), next(iter(span.blocks))
    if standard is not None:
        chosen = span.towards({first: standard.matrices})[0]
    else:
        sparse = reduced(span.joint, max(1e-7, span.tolerance))
        chosen = span.mixed(sparse @ torch.linalg.pinv(span.joint))
    return replace(
        chosen,
        blocks={name: _snapped(x, span.tolerance) for name, x in chosen.blocks.items()},
        outputs={name: _snapped(x, span.tolerance) for name, x in chosen.outputs.items()},
    )


def _snapped(x: Tensor, tolerance: float) -> Tensor:
    halves = (2 * x).round() / 2
    return torch.where((x - halves).abs() <= tolerance, halves, x)


def _generators(span: Span, standard: Known | None) -> tuple[Generator, ...]:
    """Every generator in the coordinates of the data, numbers that are rounding only as 0."""
    widths = {name for block in span.sources for name in block.inputs}
    found = []
    for i in range(len(span)):
        inputs: dict[str, tuple[tuple[float, ...], ...]] = {}
        for block in span.sources:
            x = span.blocks[block.name][i]
            whole = torch.cat([x[:-1, :-1], x[:-1, -1:] * block.scale], 1) if block.affine else x[:-1, :-1]
            inputs |= {name: _rows(_clean(whole)) for name in block.inputs if name in widths}
        outputs = {name: _rows(_clean(x[i])) for name, x in span.outputs.items()}
        found.append(Generator(standard.names[i] if standard else "", inputs, outputs))
    return tuple(found)


def _clean(x: Tensor) -> Tensor:
    return torch.where(x.abs() > 1e-9 * x.abs().max(), x, 0.0) if x.numel() else x


def _rows(x: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{v:.12g}") for v in row) for row in x.tolist())
