"""Finite symmetries that nobody declared: planted ones are found and named, generic networks have none."""

from __future__ import annotations

import io
from collections.abc import Callable

import networkx
import pytest
import torch
from planted_finite import Antisymmetric, Edges, Parities, Ring, mlp, normal, session
from rich.console import Console
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.cli.discover_parts_text import discrete_lines
from symcheck.discover.discrete import find_discrete
from symcheck.discover.discrete_result import Discrete
from symcheck.discover.group_names import name_of, needed
from symcheck.groups.generated import Generated
from symcheck.groups.products import make_group
from symcheck.report.page import Page


def found(model: nn.Module | Callable[..., Tensor], inputs: Tensor | dict[str, Tensor]) -> Discrete:
    with session(model, inputs) as audit:
        return find_discrete(audit)


def names(result: Discrete) -> set[tuple[str, str, str]]:
    return {(group.name, group.action, group.verdict) for group in result.groups}


def group(text: str) -> Generated:
    made = make_group(text)
    assert isinstance(made, Generated)
    return made


PETERSEN = [(int(i), int(j)) for i, j in networkx.petersen_graph().edges]
PLANTED: dict[str, tuple[nn.Module, tuple[int, ...], tuple[str, str, str]]] = {
    "cyclic, invariant": (Ring(6), (6,), ("C6", "invariant", "exact")),
    "cyclic, its terms": (Ring(5, terms=True), (5,), ("C5", "same", "exact")),
    "flips and an exchange": (Parities(), (6,), ("Z2^4", "sign", "exact")),
    "a graph": (Edges(PETERSEN), (10,), ("S5", "invariant", "exact")),
    "a square": (Edges([(0, 1), (1, 2), (2, 3), (3, 0)]), (4,), ("D4", "invariant", "exact")),
    "antisymmetric": (Antisymmetric(), (4, 3), ("S4", "sign", "exact")),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_group_is_found_and_nothing_else(case: str) -> None:
    model, shape, expected = PLANTED[case]
    assert names(found(model, normal(40, *shape))) == {expected}


@pytest.mark.parametrize("case", PLANTED)
def test_claims_parse_and_hold_when_they_are_audited_again(case: str) -> None:
    model, shape, _ = PLANTED[case]
    claims = found(model, normal(40, *shape)).claims
    assert claims
    with session(model, normal(24, *shape, seed=9)) as audit:
        for text in claims:
            assert str(Claim.parse(text)) == text
            assert all(piece.finding.verdict.holds for piece in audit.measure(Claim.parse(text)))


@pytest.mark.parametrize("seed", range(10))
def test_a_generic_network_has_no_symmetry(seed: int) -> None:
    result = found(mlp(5, 3, seed), normal(40, 5, seed=seed))
    assert result.groups == ()
    assert len(result.tried) > 10


def test_a_small_leak_is_not_exact_and_a_smaller_one_is_approximate() -> None:
    assert found(Ring(6, leak=0.05), normal(40, 6)).groups == ()
    assert names(found(Ring(6, leak=2e-4), normal(40, 6))) == {("C6", "invariant", "approximate")}


def test_inputs_that_may_change_places_are_found() -> None:
    h = mlp(3, 4, 5)
    inputs = {"u": normal(40, 3, seed=1), "v": normal(40, 3, seed=2)}
    result = found(lambda u, v: h(u) * h(v), inputs)
    assert [(g.input, g.name, g.claim) for g in result.groups] == [("u and v", "Z2", "")]
    assert found(lambda u, v: h(u) - 2 * h(v), inputs).groups == ()


def test_slots_of_two_inputs_move_together() -> None:
    h = mlp(3, 2, 6)

    def pooled(pos: Tensor, z: Tensor) -> Tensor:
        return h(torch.cat([pos, z[..., None]], -1)).sum(1)

    result = found(pooled, {"pos": normal(40, 5, 2, seed=3), "z": normal(40, 5, seed=4)})
    assert "S: pos=nodes, z=nodes -> output=invariant" in result.claims
    assert {g.input for g in result.groups} == {"pos, z"}


def test_turns_of_pictures_are_found() -> None:
    h = mlp(9, 2, 7)

    def averaged(image: Tensor) -> Tensor:
        turned = [torch.rot90(image, k, (-2, -1)) for k in range(4)]
        return torch.stack([h(one[:, 0, 1:4, 1:4].reshape(len(one), 9)) for one in turned]).mean(0)

    result = found(averaged, {"image": normal(40, 1, 5, 5)})
    assert result.claims == ("C4: image=image -> output=invariant",)


def test_a_constant_is_no_symmetry() -> None:
    result = found(lambda x: torch.ones(len(x), 2), normal(20, 3))
    assert result.groups == ()
    assert "nothing was tested" in result.notes[0]


def test_the_terminal_shows_what_was_found() -> None:
    stream = io.StringIO()
    discrete_lines(Page(Console(file=stream, width=100)), found(Ring(6), normal(40, 6)))
    assert "C6 on x: output is invariant" in stream.getvalue()
    assert "Shift(1): x=sequence -> output=invariant" in stream.getvalue()


NAMES = {
    "Perm((0 1 2 3 4 5))": "C6", "Perm((0 1 2 3 4 5),(1 5)(2 4))": "D6", "Perm(5,(0 1 2),(1 2 3))": "A4",
    "Perm((0 1),(0 1 2 3 4 5 6 7 8 9 10 11))": "S12", "Perm((0 1 2),(0 1 2 3 4 5 6 7 8))": "A9",
    "Signed((0 -0),(1 -1))": "Z2^2", "Signed((0 1 -0 -1))": "C4", "Signed((0 -0),(0 1 2),(0 1))": "B3",
    "Perm((0 1)(2 3),(0 2)(1 3))": "Z2^2", "Perm((0 1),(2 3 4 5))": "C4 x Z2", "Perm((0 1 2),(3 4 5))": "C3^2",
    "Perm((0 1 2)(3 4))": "C6", "Perm((0 1),(0 2),(3 4))": "S3 x Z2", "Perm(-(0 1))": "Z2",
    "Signed((0 1 -0 -1)(2 3 -2 -3),(0 2 -0 -2)(1 -3 -1 3))": "Q8",
}  # fmt: skip


@pytest.mark.parametrize("text", NAMES)
def test_a_group_has_its_name(text: str) -> None:
    assert name_of(group(text)) == NAMES[text]


def test_superfluous_generators_are_dropped() -> None:
    assert needed(group("Perm((0 1 2 3),(0 2)(1 3),(0 3 2 1))")).name == "Perm(4,(0 3 2 1))"
