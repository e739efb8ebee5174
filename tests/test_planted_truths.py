"""Every planted truth has the property it claims, by plain torch and nothing of the tool's measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import planted_models as nets
import pytest
import torch
from planted import PLANTED, Planted, leaky, rotations
from torch import Tensor

from symcheck.grammar import parse_claim

TABLE = {row.name: row for row in PLANTED}
VERDICTS = {"invalid", "trivial", "exact", "approximate", "broken", "inconclusive"}
FLOAT32_CONSTANTS = "float32 constants"


@dataclass(frozen=True)
class Element:
    """One group element as the numbers that act; what it does not name, it leaves alone."""

    matrix: Tensor = field(default_factory=lambda: torch.eye(3, dtype=torch.float64))
    move: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    order: Tensor | None = None
    shift: tuple[int, int] | None = None
    quarters: int = 0


def planar(angle: float, dimension: int) -> Tensor:
    """A rotation of the plane, about z where there are three dimensions."""
    matrix = torch.eye(dimension, dtype=torch.float64)
    c, s = math.cos(angle), math.sin(angle)
    matrix[:2, :2] = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    return matrix


def icosahedral() -> Tensor:
    """The 60 rotations of the icosahedron with vertices (0, ±1, ±φ), by closure."""
    golden = (1 + math.sqrt(5)) / 2
    axis = torch.tensor([0.0, 1.0, golden], dtype=torch.float64) / math.sqrt(1 + golden**2)
    cross = torch.linalg.cross(torch.eye(3, dtype=torch.float64), axis.expand(3, 3), dim=-1)
    fifth = torch.linalg.matrix_exp(-2 * math.pi / 5 * cross)
    found = [torch.eye(3, dtype=torch.float64)]
    for known in found:
        for generator in (fifth, torch.eye(3, dtype=torch.float64)[[1, 2, 0]]):
            new = generator @ known
            if all((new - old).abs().max() > 1e-6 for old in found):
                found.append(new)
    return torch.stack(found)


def elements(group: str, x: Tensor) -> list[Element]:
    """A few elements of the group, of order 3 and more where it has them."""
    turns = rotations(8, seed=7)
    rng = torch.Generator().manual_seed(8)
    match group.partition("("):
        case ("SO", _, "3)"):
            return [Element(r) for r in turns]
        case ("O", _, "3)"):
            return [Element(r * sign) for r, sign in zip(turns, (1, -1) * 4, strict=True)]
        case ("SE", _, _):
            return [Element(r, 20 * torch.rand(3, generator=rng, dtype=torch.float64) - 10) for r in turns]
        case ("SO", _, "2)"):
            return [Element(planar(angle, x.shape[-1])) for angle in (0.4, 1.3, 2.9, 5.1)]
        case ("C4" | "C8" as name, _, _):
            n = int(name[1:])
            return [Element(planar(2 * math.pi * k / n, x.shape[-1]), quarters=k) for k in range(1, n)]
        case ("I", _, _):
            return [Element(r) for r in icosahedral()]
        case ("S", _, _):
            return [Element(order=torch.randperm(x.shape[1], generator=rng)) for _ in range(8)]
        case ("Shift", _, step):
            size = int(step[:-1])
            return [Element(shift=(size * a, size * b)) for a, b in ((1, 0), (0, 1), (2, 3), (-1, 2))]
        case ("Sign", _, _):
            return [Element(-torch.eye(x.shape[-1], dtype=torch.float64))]
    raise NotImplementedError(group)


def act(word: str, g: Element, x: Tensor) -> Tensor:
    """g·x for a batch."""
    matrix = g.matrix.to(x.dtype)
    match word:
        case "scalar" | "invariant":
            return x
        case "pseudoscalar":
            return x * torch.linalg.det(matrix)
        case "vector":
            return x @ matrix.T
        case "points":
            return x @ matrix.T + g.move.to(x.dtype)[: x.shape[-1]] if g.move.any() else x @ matrix.T
        case "nodes":
            assert g.order is not None
            return torch.empty_like(x).index_copy_(1, g.order, x)
        case "image":
            return torch.roll(x, g.shift, (-2, -1)) if g.shift else torch.rot90(x, g.quarters, (-2, -1))
    assert word.endswith(":transposed")
    return nets.transposed(g.matrix.expand(len(x), 3, 3), x)


def words(side: str) -> list[str]:
    """The actions of one side of a claim, names dropped."""
    return [slot.rpartition("=")[2] for slot in side.split(", ")]


class Case:
    """One row of the table in one precision: outputs before and after every element, and the other side."""

    def __init__(self, row: Planted, dtype: torch.dtype = torch.float64) -> None:
        model, claim, inputs = row.build()
        group, _, body = claim.partition(": ")
        left, _, right = body.partition(" -> ")
        self.model, self.inputs = model.to(dtype), [x.to(dtype) for x in inputs.values()]
        self.words, self.elements = words(left), elements(group, self.inputs[0])
        with torch.no_grad():
            self.out = self.model(*self.inputs)
            self.moved = [self.model(*self.move(g)) for g in self.elements]
        self.sides = [act(right, g, self.out) for g in self.elements]

    def move(self, g: Element) -> list[Tensor]:
        """g·x of every input."""
        return [act(word, g, x) for word, x in zip(self.words, self.inputs, strict=True)]

    @property
    def spread(self) -> float:
        """The root mean square of the output about its mean over samples."""
        return (self.out - self.out.mean(0)).square().mean().sqrt().item()

    def error(self) -> float:
        """rms(f(g·x) - g·f(x)) over samples and elements, relative to the spread."""
        difference = torch.stack(self.moved) - torch.stack(self.sides)
        return difference.square().mean().sqrt().item() / self.spread

    def symptoms(self) -> set[str]:
        """What makes a measurement of this row meaningless."""
        found = set()
        if any(out.isnan().any() for out in (self.out, *self.moved)):
            found.add("nan")
        with torch.no_grad():
            again, alone = self.model(*self.inputs), self.model(*(x[:5] for x in self.inputs))
        if not torch.equal(again.nan_to_num(), self.out.nan_to_num()):
            found.add("random")
        elif not torch.allclose(alone, self.out[:5], rtol=1e-9, atol=1e-12, equal_nan=True):
            found.add("mates")
        g, h = self.elements[:2] if len(self.elements) > 1 else self.elements * 2
        if g.order is None and g.shift is None and not g.move.any() and self.words[0] != "image":
            both = act(self.words[0], Element(g.matrix @ h.matrix), self.inputs[0])
            if (both - act(self.words[0], g, act(self.words[0], h, self.inputs[0]))).abs().max() > 1e-9:
                found.add("action")
        return found

    def unmoved(self) -> bool:
        """Whether no element changes any input."""
        return all(
            torch.equal(a, b) for g in self.elements for a, b in zip(self.move(g), self.inputs, strict=True)
        )


def of(verdict: str) -> list[Planted]:
    return [row for row in PLANTED if row.verdict == verdict]


def ids(row: Planted) -> str:
    return row.name


@pytest.mark.parametrize("row", PLANTED, ids=ids)
def test_rows_are_well_formed_and_the_same_every_time(row: Planted) -> None:
    first, second = row.build(), row.build()
    assert parse_claim(first[1]) == parse_claim(str(parse_claim(second[1])))
    assert row.verdict in VERDICTS and set(row.dtypes) <= {"float32", "float64"}
    for name, x in first[2].items():
        assert x.dtype == torch.float32 and torch.equal(x, second[2][name])
    for name, p in first[0].state_dict().items():
        assert p.dtype == torch.float32 and torch.equal(p, second[0].state_dict()[name])


def test_names_are_unique_and_every_verdict_that_a_function_can_earn_occurs() -> None:
    assert len(TABLE) == len(PLANTED)
    assert {row.verdict for row in PLANTED} == VERDICTS - {"inconclusive"}


@pytest.mark.parametrize("row", of("exact"), ids=ids)
def test_exact_rows_are_exact_in_float64_and_not_vacuous(row: Planted) -> None:
    case = Case(row)
    assert case.error() < (1e-6 if row.name == FLOAT32_CONSTANTS else 1e-12)
    assert case.spread > 0 and not case.unmoved()


@pytest.mark.parametrize("row", of("broken"), ids=ids)
def test_broken_rows_are_well_above_the_tolerance(row: Planted) -> None:
    assert Case(row).error() > 5e-3


@pytest.mark.parametrize("row", [row for row in PLANTED if row.leak], ids=ids)
def test_leaks_have_the_size_that_they_claim(row: Planted) -> None:
    assert row.leak is not None
    assert row.leak / 3 < Case(row).error() < 3 * row.leak
    assert row.verdict == ("broken" if row.leak > 1e-3 else "approximate")


def test_a_leak_of_another_size_would_be_found() -> None:
    wrong = Planted("wrong", lambda: leaky(1e-5), "approximate", leak=1e-6)
    with pytest.raises(AssertionError):
        test_leaks_have_the_size_that_they_claim(wrong)


@pytest.mark.parametrize("row", of("trivial"), ids=ids)
def test_trivial_rows_test_nothing(row: Planted) -> None:
    case = Case(row)
    assert case.spread == 0 or case.unmoved()


@pytest.mark.parametrize("row", PLANTED, ids=ids)
def test_exactly_the_invalid_rows_have_a_symptom(row: Planted) -> None:
    expected = {
        "NaN for some rotations": {"nan"},
        "NaN always": {"nan"},
        "transposed input": {"action"},
        "transposed both": {"action"},
        "batch statistics": {"mates"},
        "dropout": {"random"},
    }
    assert Case(row).symptoms() == expected.get(row.name, set())
    assert (row.verdict == "invalid") == (row.name in expected)


def test_nan_for_some_rotations_spares_the_unmoved_samples_and_other_rotations() -> None:
    case = Case(TABLE["NaN for some rotations"])
    bad = torch.stack([out.isnan().flatten(1).any(1) for out in case.moved])
    assert not case.out.isnan().any()
    assert 0 < bad.double().mean() < 1


def test_the_vector_neuron_loses_digits_in_float32_that_float64_restores() -> None:
    row = TABLE["vector neuron"]
    single, double = Case(row, torch.float32).error(), Case(row).error()
    assert single > 1e-6
    assert single / double > 1e7


def test_float32_constants_stop_improving_in_float64() -> None:
    row = TABLE[FLOAT32_CONSTANTS]
    assert 1e-10 < Case(row).error() < 1e-6
    model, _, inputs = row.build()
    assert isinstance(model, nets.Traceless)
    model.double().basis /= model.basis.flatten(1).norm(dim=1).reshape(5, 1, 1)
    healed = Case(Planted("healed", lambda: (model, "SO(3): points -> vector", inputs), "exact"))
    assert healed.error() < 1e-12


def test_the_icosahedral_net_has_all_sixty_rotations_and_no_other() -> None:
    exact, free = Case(TABLE["icosahedral, I"]), Case(TABLE["icosahedral, SO(3)"])
    assert len(exact.elements) == 60
    assert max((a - b).abs().max().item() for a, b in zip(exact.moved, exact.sides, strict=True)) < 1e-12
    assert free.error() > 0.05


def test_the_icosahedral_group_is_a_group() -> None:
    group = icosahedral()
    products = (group.unsqueeze(0) @ group.unsqueeze(1)).reshape(-1, 1, 9)
    assert (products - group.reshape(1, 60, 9)).abs().amax(-1).amin(1).max() < 1e-12


def test_the_cosine_sees_nothing_of_the_cosine_blind_network() -> None:
    case = Case(TABLE["cosine-blind"])
    cosine = torch.cosine_similarity(torch.stack(case.moved).flatten(1), torch.stack(case.sides).flatten(1))
    assert cosine.min() > 0.99
    assert case.error() > 0.1


def test_only_the_improper_half_breaks_the_chiral_net() -> None:
    case = Case(TABLE["chiral, O(3)"])
    for g, moved, side in zip(case.elements, case.moved, case.sides, strict=True):
        error = (moved - side).abs().max().item()
        assert error > 0.1 if torch.linalg.det(g.matrix) < 0 else error < 1e-12


def test_the_unmoved_input_hides_a_broken_function() -> None:
    model, claim, inputs = TABLE["unmoved input"].build()
    inputs["pos"] = inputs["pos"] + nets.draw(9, *inputs["pos"].shape)
    assert Case(Planted("moved", lambda: (model, claim, inputs), "broken")).error() > 0.1
