"""The action on weights by axis patterns: its laws, its meaning, and metanetworks audited with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.actions.base import Action, Bound
from symcheck.actions.plain import make_action
from symcheck.claim import Claim
from symcheck.cli.main import main
from symcheck.errors import ClaimError
from symcheck.grammar import parse_term
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.testing import check_action

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = [
    ("S(5)", "axes(h .)", (5, 3)),
    ("S(5)", "axes(h h .)", (5, 5, 2)),
    ("S(5)", "axes((h 4) .)", (20, 2)),
    ("S(5)", "axes((3 h .) h)", (30, 5)),
    ("S(5)", "axes((h + 2 + h))", (12,)),
    ("S(5)", "axes(((h 2) + (3 h)) .)", (25, 2)),
    ("S(5)", "axes((h | 5) .)", (10, 2)),
    ("S(5) x S(3)", "axes(k h)", (3, 5)),
    ("S(5) x S(3)", "axes((h k) .)", (15, 2)),
    ("S(3) x S(5)", "axes(h k, h=2, k=1)", (5, 3)),
    ("Sign(5)", "axes(. h)", (2, 5)),
    ("O(4)", "axes(d .)", (4, 2)),
    ("GL+(3)", "axes(d d')", (3, 3)),
    ("GL+(3) x S(4)", "axes((d h) .)", (12, 2)),
    ("C4 x S(5)", "axes(h ., h=2)", (5, 2)),
]


def bound(group: str, action: str) -> Bound:
    made = make_action(parse_term(action))
    slot = Bound((made,), make_group(group))
    return slot


@pytest.mark.parametrize(("group", "action", "shape"), CASES)
def test_the_laws_are_obeyed(group: str, action: str, shape: tuple[int, ...]) -> None:
    check_action(action, group, shape)
    slot = bound(group, action)
    assert slot(slot.group.sample(0, Draws(1, "g")), torch.zeros(0, *shape)).shape == (0, *shape)


def test_the_other_direction_breaks_the_law() -> None:
    class Gathered(Action):
        """Planted fault: y[i] = x[p(i)]."""

        name, uses = "gathered", frozenset({"permutation"})

        def represent(self, group: Group, g: Tensor) -> tuple[Tensor, ...]:
            return (group.face("permutation", g),)

        def act(self, group: Group, rep: tuple[Tensor, ...], x: Tensor) -> Tensor:
            return x.gather(1, rep[0].unsqueeze(-1).expand_as(x))

    with pytest.raises(AssertionError, match="left action"):
        check_action(Gathered(), "S(5)", (5, 3))


def test_slot_i_goes_to_slot_p_of_i_wherever_the_name_stands() -> None:
    p = torch.tensor([[2, 0, 1, 4, 3]])
    x = torch.arange(5.0)
    expected = torch.zeros(5).scatter(0, p[0], x)
    assert torch.equal(bound("S(5)", "axes(h)")(p, x[None])[0], expected)
    blocks = bound("S(5)", "axes((h 4) .)")(p, x.repeat_interleave(4)[None, :, None])[0, :, 0]
    assert torch.equal(blocks, expected.repeat_interleave(4))
    heads = bound("S(5)", "axes((3 h) .)")(p, x.repeat(3)[None, :, None])[0, :, 0]
    assert torch.equal(heads, expected.repeat(3))
    turns = bound("S(5)", "axes((h | 5) .)")(p, torch.stack([x, x], 1).flatten()[None, :, None])[0, :, 0]
    assert torch.equal(turns, torch.stack([expected, x], 1).flatten())


def test_a_primed_name_moves_by_the_contragredient() -> None:
    slot, group = bound("GL+(3)", "axes(d)"), make_group("GL+(3)")
    g, (v, w) = group.sample(9, Draws(0, "g")), Draws(0, "v").normal(9, 2, 3).unbind(1)
    paired = (slot(g, v) * bound("GL+(3)", "axes(d')")(g, w)).sum(-1)
    assert torch.allclose(paired, (v * w).sum(-1), atol=1e-12)
    assert not torch.allclose((slot(g, v) * slot(g, w)).sum(-1), (v * w).sum(-1), atol=1e-2)


def test_names_belong_to_factors_in_alphabetical_order() -> None:
    claim = Claim.parse("S(5) x S(3): w=axes(k h), v=axes(h) -> axes(k)")
    bound_claim = claim.bind({"w": (3, 5), "v": (5,)})
    g = bound_claim.group.sample(4, Draws(0, "g"))
    h, k = bound_claim.group.split(g)
    w = Draws(0, "w").normal(4, 3, 5)
    expected = torch.stack([x[k[i].argsort()][:, h[i].argsort()] for i, x in enumerate(w)])
    assert torch.equal(bound_claim.inputs["w"](g, w), expected)
    assert str(Claim.parse(str(claim))) == str(claim)


def test_the_degree_of_one_group_is_read_from_the_weights() -> None:
    for slots, shapes in (("w=axes(h .)", {"w": (7, 2)}), ("w=axes((h 9) .), b=axes(h)", {"w": (63, 2), "b": (7,)})):
        assert Claim.parse(f"S: {slots} -> invariant").bind(shapes).group.name == "S(7)"


@pytest.mark.parametrize(
    ("text", "shapes", "problem"),
    [
        ("S(5): w=axes(.) -> invariant", {"w": (5,)}, "the name of an axis"),
        ("S(5): w=axes(h, h=0) -> invariant", {"w": (5,)}, "a number for every name"),
        ("S(5): w=axes(h k, h=1) -> invariant", {"w": (5, 5)}, "a number for every name"),
        ("S(5): w=axes(h, quick) -> invariant", {"w": (5,)}, "does not take 'quick'"),
        ("S(5): w=axes((h) -> invariant", {"w": (5,)}, "closing"),
        ("S(5): w=axes(h ?) -> invariant", {"w": (5,)}, "means nothing here"),
        ("S(5): w=axes(h), b=axes(k) -> invariant", {"w": (5,), "b": (5,)}, "cannot be matched with the factors"),
        ("S(5) x S(3): w=axes(h .) -> invariant", {"w": (5, 3)}, "S(3) permutes 3 slots"),
        ("S(5) x S(3): w=axes(h k l) -> invariant", {"w": (5, 3, 2)}, "cannot be matched with the factors"),
        ("S(5): w=axes(h, h=2) -> invariant", {"w": (5,)}, "'h' cannot be moved by factor 2"),
        ("Shift(2): w=axes(h) -> invariant", {"w": (6,)}, "'h' cannot be moved by"),
        ("S(5): w=axes(h .) -> invariant", {"w": (4, 5)}, "S(5) permutes 5 slots"),
        ("O(5): w=axes(h .) -> invariant", {"w": (4, 5)}, "does not fit a tensor of shape (4, 5): h has 5"),
        ("S(5) x S(3): w=axes(k h) -> invariant", {"w": (5, 3)}, "k has 3, h has 5"),
        ("S(5): w=axes(h) -> invariant", {"w": (5, 5)}, "does not fit"),
        ("S(5): w=axes((h 4)) -> invariant", {"w": (18,)}, "does not fit"),
        ("O(5): w=axes((h + 4)) -> invariant", {"w": (8,)}, "does not fit"),
        ("S(5): w=axes((h | .)) -> invariant", {"w": (11,)}, "does not fit"),
    ],
)
def test_what_cannot_be_meant_is_explained(text: str, shapes: dict[str, tuple[int, ...]], problem: str) -> None:
    with pytest.raises(ClaimError) as caught:
        Claim.parse(text).bind(shapes)
    assert problem in caught.value.message
    assert caught.value.where and caught.value.hint


def weights_of_networks(n: int = 16) -> dict[str, Tensor]:
    """Weights of n networks with 2 inputs, 6 and 5 hidden units and one output."""
    shapes = {"w1": (6, 2), "b1": (6,), "w2": (5, 6), "b2": (5,), "w3": (1, 5), "b3": (1,)}
    return {name: Draws(4, name).normal(n, *shape) for name, shape in shapes.items()}


SLOTS = "w1=axes(h .), b1=axes(h), w2=axes(k h), b2=axes(k), w3=axes(. k), b3=trivial"


def pooled(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor) -> Tensor:
    """A metanetwork that knows of units: sums over them, layer by layer."""
    first = torch.einsum("bh,bkh->bk", (w1.square().sum(-1) + b1).tanh(), w2)
    return torch.einsum("bk,bok->bo", (first + b2).tanh(), w3) + b3


def flat(*weights: Tensor) -> Tensor:
    """A metanetwork that reads the weights as one long vector."""
    joined = torch.cat([w.flatten(1) for w in weights], 1)
    return (joined * torch.linspace(-1, 1, joined.shape[1]).to(joined)).sum(1, keepdim=True).tanh()


def test_a_metanetwork_that_pools_is_invariant_and_a_flat_one_is_not() -> None:
    inputs = weights_of_networks()
    (good,) = symcheck.audit(pooled, f"S(6) x S(5): {SLOTS} -> invariant", inputs, samples=16, elements=8).findings
    assert good.verdict == "exact"
    (bad,) = symcheck.audit(flat, f"S(6) x S(5): {SLOTS} -> invariant", inputs, samples=16, elements=8).findings
    assert bad.verdict == "broken"
    (tied,) = symcheck.audit(
        pooled, f"S(6) x S(5): {SLOTS.replace('b2=axes(k)', 'b2=trivial')} -> invariant", inputs, samples=16, elements=8
    ).findings
    assert tied.verdict == "broken"


def test_an_editor_of_weights_is_equivariant_where_it_treats_units_alike() -> None:
    outputs = "w1=axes(h .), w2=axes(k h)"

    def editor(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, w3: Tensor, b3: Tensor) -> dict[str, Tensor]:
        return {"w1": w1 * b1.unsqueeze(-1).sigmoid(), "w2": w2 - w2.mean(1, keepdim=True) * b2.unsqueeze(-1)}

    def partial(*weights: Tensor) -> dict[str, Tensor]:
        edited = editor(*weights)
        return {**edited, "w2": edited["w2"].cumsum(2)}

    inputs = weights_of_networks()
    claim = f"S(6) x S(5): {SLOTS} -> {outputs}"
    good = symcheck.audit(editor, claim, inputs, samples=16, elements=8)
    assert [f.verdict for f in good.findings] == ["exact", "exact"]
    bad = {f.output: f.verdict for f in symcheck.audit(partial, claim, inputs, samples=16, elements=8).findings}
    assert bad == {"w1": "exact", "w2": "broken"}


def test_the_trained_metanetwork_is_invariant_and_its_leaky_variant_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(FIXTURES / "metanet.toml")]) == 0
    assert "2 exact" in capsys.readouterr().out
    subject = symcheck.load(FIXTURES / "metanet.safetensors", model=f"{FIXTURES / 'models.py'}:metanet")
    with np.load(FIXTURES / "metanet-data.npz") as arrays:
        inputs = {name: torch.from_numpy(arrays[name]) for name in arrays.files}

    def leaky(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        return subject.call(w1, b1, w2, b2) + 0.05 * b1[:, :1]

    claim = "S(16): w1=axes(h .), b1=axes(h), w2=axes(. h), b2=trivial -> invariant"
    (finding,) = symcheck.audit(leaky, claim, inputs, samples=32, elements=8).findings
    assert finding.verdict == "broken"
