"""Causality, padding, company, other words, tiles: each passes a sound network and finds a planted fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import symcheck
from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.errors import SymcheckError
from symcheck.groups import make_group
from symcheck.groups.draws import Draws
from symcheck.measure.samples import Samples
from symcheck.relations.base import Relation, Roles
from symcheck.relations.mates import picked

LENGTH, WORDS, WIDTH = 12, 9, 8


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with generic weights, biases included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(max(weight.shape[-1], 4)))
    return module


class Text(nn.Module):
    """One attention layer over tokens, causal with a leak, or masked where a mask is given and heeded."""

    def __init__(self, leak: float = 0.0, heeded: float = 1.0, pooled: bool = False, absolute: bool = False) -> None:
        super().__init__()
        self.leak, self.heeded, self.pooled, self.absolute = leak, heeded, pooled, absolute
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(64, WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, text: Tensor, mask: Tensor | None = None, ids: Tensor | None = None) -> Tensor:
        x = self.embedding(text)
        if self.absolute:
            x = x + self.places(torch.arange(text.shape[1]) if ids is None else ids)
        scores = self.query(x) @ self.key(x).mT / math.sqrt(WIDTH)
        weights = scores.exp()
        if mask is None:
            weights = weights * (torch.ones_like(scores).tril() + self.leak * torch.ones_like(scores).triu(1))
        else:
            kept = 1 - self.heeded * (1 - mask.to(weights.dtype))
            weights = weights * kept[:, None]
        logits: Tensor = self.head(torch.tanh(weights / weights.sum(-1, keepdim=True) @ self.value(x) + x))
        if not self.pooled:
            return logits
        kept = torch.ones_like(logits[..., 0]) if mask is None else mask.to(logits.dtype)
        return (logits * kept[..., None]).sum(1) / kept.sum(1, keepdim=True)


def texts(count: int = 16) -> dict[str, Tensor]:
    """Tokens with a mask that hides the ends of some, and the numbers of their positions."""
    text = Draws(1, "text").integers(count, LENGTH, high=WORDS)
    lengths = LENGTH - Draws(1, "lengths").integers(count, high=4)
    return {
        "text": text,
        "mask": (torch.arange(LENGTH) < lengths[:, None]).long(),
        "ids": torch.arange(LENGTH).expand(count, LENGTH).contiguous(),
    }


def verdict(model: nn.Module, claim: str, inputs: Mapping[str, Tensor], tolerance: float = 1e-3) -> str:
    (found,) = symcheck.audit(model, claim, dict(inputs), elements=12, tolerance=tolerance).findings
    return str(found.verdict)


def some(*names: str) -> dict[str, Tensor]:
    return {name: x for name, x in texts().items() if name in names}


# Causality


@pytest.mark.parametrize("role", ["tokens", "sequence"])
def test_a_causal_network_passes_and_a_small_leak_is_found(role: str) -> None:
    claim = f"Causal: text={role} -> sequence"
    assert verdict(seeded(Text()), claim, some("text")) == "exact"
    assert verdict(seeded(Text(leak=1e-3)), claim, some("text"), tolerance=1e-4) == "broken"
    assert verdict(seeded(Text(leak=1e-3)), claim, some("text"), tolerance=1e-2) == "approximate"


class Convolution(nn.Module):
    """A convolution in time, channels first, padded by 2 on the left and `right` on the right, with a stride."""

    def __init__(self, right: int = 0, stride: int = 1) -> None:
        super().__init__()
        self.right, self.stride = right, stride
        self.layer = nn.Conv1d(3, 4, 3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(F.pad(x, (2 - self.right, self.right)))
        return torch.tanh(y)


def test_time_may_run_along_another_axis_and_be_read_in_strides() -> None:
    audio = {"x": Draws(0, "audio").normal(8, 3, LENGTH)}
    claim = "Causal: x=sequence(axis=-1) -> y=sequence(axis=-1)"
    assert verdict(seeded(Convolution()), claim, audio) == "exact"
    assert verdict(seeded(Convolution(right=1)), claim, audio) == "broken"
    assert verdict(seeded(Convolution(stride=2)), claim, audio) == "exact"
    assert verdict(seeded(Convolution(right=2, stride=2)), claim, audio) == "broken"


def test_a_pooled_output_may_see_everything() -> None:
    both = seeded(Text())

    def model(text: Tensor) -> dict[str, Tensor]:
        logits = both(text)
        return {"logits": logits, "mean": logits.mean(1)}

    found = symcheck.audit(model, "Causal: text=tokens -> logits=sequence, mean=scalar", some("text")).findings
    assert [(one.output, str(one.verdict)) for one in found] == [("logits", "exact")]


def roles_of(claim: str) -> Roles:
    parsed = Claim.parse(claim)
    return Roles(*({s.name or "": parsed.actions(s)[0] for s in slots} for slots in (parsed.tree.inputs,
                 parsed.tree.outputs)))  # fmt: skip


def test_only_what_comes_later_is_replaced_and_by_other_entries() -> None:
    relation, text = make_group("Causal"), torch.arange(LENGTH).expand(6, LENGTH)
    assert isinstance(relation, Relation)
    g = relation.sample(6, Draws(0, "g"))
    roles = roles_of("Causal: text=tokens -> y=sequence")
    moved = relation.move(g, Batch({"text": text}, 6), roles).tensors["text"]
    kept = LENGTH - (g[:, 0] * (LENGTH - 1)).ceil().long()
    assert torch.equal(moved != text, torch.arange(LENGTH) >= kept[:, None])
    assert int(kept.min()) >= 1 and int(kept.max()) < LENGTH and len(kept.unique()) > 2
    assert torch.equal(relation.move(relation.identity(6), Batch({"text": text}, 6), roles).tensors["text"], text)
    rest = {"y": torch.ones(6, LENGTH, 2, dtype=torch.float64)}
    owed = relation.residual("y", g, {"y": 2 * rest["y"]}, rest, Batch({"text": text}, 6), roles)
    assert torch.allclose(owed.flatten(1).norm(dim=1), rest["y"].flatten(1).norm(dim=1))


# Padding


@pytest.mark.parametrize(("pooled", "output"), [(False, "sequence"), (True, "scalar")])
@pytest.mark.parametrize("side", ["", ",left"])
def test_padding_that_is_masked_changes_nothing(side: str, pooled: bool, output: str) -> None:
    claim = f"Padding(5{side}): text=tokens, mask=mask -> {output}"
    data = some("text", "mask")
    assert verdict(seeded(Text(pooled=pooled)), claim, data) == "exact"
    assert verdict(seeded(Text(pooled=pooled, heeded=0.0)), claim, data) == "broken"
    assert verdict(seeded(Text(pooled=pooled, heeded=1 - 1e-2)), claim, data, tolerance=1e-4) == "broken"


def test_positions_go_on_after_the_end_and_stand_still_in_front() -> None:
    claim = "Padding(5{}): text=tokens, mask=mask{} -> sequence"
    absolute = seeded(Text(absolute=True))
    assert verdict(absolute, claim.format("", ""), some("text", "mask")) == "exact"
    assert verdict(absolute, claim.format(",left", ""), some("text", "mask")) == "broken"
    assert verdict(absolute, claim.format(",left", ", ids=positions"), texts()) == "exact"
    assert verdict(absolute, claim.format("", ", ids=positions"), texts()) == "exact"


def test_a_mask_may_say_what_is_padded() -> None:
    model = seeded(Text())

    def turned(text: Tensor, hidden: Tensor) -> Tensor:
        assert hidden.dtype == torch.bool
        result: Tensor = model(text, ~hidden)
        return result

    data = {"text": texts()["text"], "hidden": texts()["mask"] == 0}
    claim = "Padding(3): text=tokens, hidden=mask{} -> sequence"
    verdicts = [
        str(symcheck.audit(turned, claim.format(word), data).findings[0].verdict) for word in ("(padded)", "")
    ]
    assert verdicts == ["exact", "broken"]


# Batch-mates


class Normed(nn.Module):
    """Batch normalisation by the numbers of the batch, or by stored ones."""

    def __init__(self, training: bool) -> None:
        super().__init__()
        self.of_the_batch = training
        self.layer, self.head = nn.Linear(4, WIDTH), nn.Linear(WIDTH, 3)
        self.register_buffer("mean", torch.full((WIDTH,), 0.3))
        self.register_buffer("var", torch.full((WIDTH,), 1.7))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        mean, var = (y.mean(0), y.var(0, unbiased=False)) if self.of_the_batch else (self.mean, self.var)
        result: Tensor = self.head(torch.tanh((y - mean) / (var + 1e-5).sqrt()))
        return result


def test_norms_by_the_batch_are_found() -> None:
    data = {"x": Draws(0, "x").normal(16, 4)}
    assert verdict(seeded(Normed(training=False)), "Mates: x=scalar -> y=scalar", data) == "exact"
    assert verdict(seeded(Normed(training=True)), "Mates: x=scalar -> y=scalar", data) in ("broken", "invalid")


def owed(relation: Relation, model: Callable[[Mapping[str, Tensor]], Tensor], batch: Batch) -> float:
    """The largest residual of one element, f(x) taken in the batch itself: only the company tells them apart."""
    g = relation.sample(1, Draws(3, "g")).expand(batch.count, -1)
    roles = Roles({}, {})
    seen, rest = (model(one.tensors) for one in (relation.move(g, batch, roles), batch))
    return float(relation.residual("y", g, {"y": seen}, {"y": rest}, batch, roles).abs().max())


def test_company_differs_even_where_everybody_is_in_the_batch() -> None:
    """A mean over all samples is the same in any order."""
    relation = make_group("Mates")
    assert isinstance(relation, Relation)
    batch = Batch({"x": Draws(0, "x").normal(16, 4)}, 16)
    assert owed(relation, lambda x: x["x"].square(), batch) == 0
    assert owed(relation, lambda x: x["x"] - x["x"].mean(0), batch) > 0.1
    assert owed(relation, lambda x: x["x"] - x["x"].roll(1, 0), batch) > 0.1


def graphs() -> Samples:
    """Three graphs of 2, 4 and 3 nodes, with features of nodes, edges and graphs."""
    return Samples(
        {
            "x": Draws(0, "x").normal(9, 2),
            "edge_index": torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 8], [1, 0, 3, 4, 5, 2, 7, 8, 6]]),
            "edge_length": Draws(0, "length").normal(9, 1),
            "charge": Draws(0, "charge").normal(3, 1),
            "batch": torch.tensor([0, 0, 1, 1, 1, 1, 2, 2, 2]),
        },
        "batch",
    )


def passed(x: Mapping[str, Tensor]) -> Tensor:
    """One round of messages: rows."""
    source, target = x["edge_index"]
    messages = x["x"][source] * x["edge_length"] + x["charge"][x["batch"][source]]
    return torch.zeros_like(x["x"]).index_add_(0, target, messages)


def summed(x: Mapping[str, Tensor]) -> Tensor:
    """One number for each graph."""
    return torch.zeros(len(x["charge"]), 2, dtype=torch.float64).index_add_(0, x["batch"], passed(x))


def test_packed_graphs_change_places_with_their_edges() -> None:
    relation, samples = make_group("Mates"), graphs()
    assert isinstance(relation, Relation)
    batch = samples.take(torch.tensor([0, 1, 2, 1]))
    again = picked(batch, torch.tensor([2, 0, 0]))
    wanted = samples.take(torch.tensor([2, 0, 0]))
    assert all(torch.equal(again.tensors[name], x) for name, x in wanted.tensors.items())
    for model in (passed, summed):
        assert owed(relation, model, batch) < 1e-12
        assert owed(relation, lambda x, model=model: model(x) - model(x).mean(0), batch) > 0.1  # type: ignore[misc]


# Variants


def spoken() -> dict[str, Tensor]:
    """Words 0..3 in small letters, 4..7 the same in capitals."""
    text = Draws(1, "text").integers(16, LENGTH, high=4)
    return {"text": text, "upper.text": text + 4}


def test_a_network_that_reads_capitals_as_small_letters_passes() -> None:
    model = seeded(Text(pooled=True))

    def blind(text: Tensor) -> Tensor:
        result: Tensor = model(text % 4)
        return result

    claim = "Variant(upper): text=tokens, upper.text=variant -> scalar"
    assert str(symcheck.audit(blind, claim, spoken()).findings[0].verdict) == "exact"
    assert str(symcheck.audit(model, claim, spoken()).findings[0].verdict) == "broken"


def test_a_variant_is_kept_from_the_model_under_a_group_too() -> None:
    model = seeded(Text(pooled=True))
    found = symcheck.audit(model, "S: text=sequence, upper.text=variant -> scalar", spoken()).findings
    assert [str(one.verdict) for one in found] == ["broken"]  # causal, so the order matters


# Tiles


class Pooled(nn.Module):
    """Two convolutions with this padding, then the mean over all pixels, or an image."""

    def __init__(self, padding: str, image: bool = False) -> None:
        super().__init__()
        self.padding, self.image = padding, image
        self.first, self.second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3)

    def forward(self, image: Tensor) -> Tensor:
        y = image
        for layer in (self.first, self.second):
            y = torch.tanh(layer(F.pad(y, (1, 1, 1, 1), mode=self.padding)))
        return y if self.image else y.mean((-2, -1))


@pytest.mark.parametrize(("image", "output"), [(False, "scalar"), (True, "image")])
@pytest.mark.parametrize("group", ["Tile(2)", "Tile(1,3)"])
def test_tiles_are_seen_with_circular_padding_and_not_with_zeros(group: str, image: bool, output: str) -> None:
    data, claim = {"image": Draws(0, "image").normal(6, 2, 6, 5)}, f"{group}: image=image -> {output}"
    assert verdict(seeded(Pooled("circular", image)), claim, data) == "exact"
    assert verdict(seeded(Pooled("constant", image)), claim, data) == "broken"


def test_the_difference_of_an_image_is_that_of_one_tile() -> None:
    relation, roles = make_group("Tile(2,3)"), roles_of("Tile(2,3): x=image -> y=image")
    assert isinstance(relation, Relation)
    y = Draws(0, "y").normal(2, 1, 3, 4)
    tiles = relation.move(torch.ones(2, 1), Batch({"x": y}, 2), roles).tensors["x"]
    assert tiles.shape == (2, 1, 6, 12)
    change = Draws(0, "z").normal(2, 1, 3, 4)
    found = relation.residual("y", torch.ones(2, 1), {"y": tiles + change.repeat(1, 1, 2, 3)}, {"y": y},
                              Batch({"x": y}, 2), roles)  # fmt: skip
    assert torch.allclose(found, change.abs())


# Refusals


@pytest.mark.parametrize(
    ("claim", "inputs", "says"),
    [
        ("Causal: text=scalar -> sequence", ("text",), "no such input"),
        ("Causal: text=tokens -> image", ("text",), "does not understand"),
        ("Causal: text=sequence(axis=1) -> sequence", ("text",), "no axis of positions"),
        ("Padding(4): text=tokens -> scalar", ("text",), "role 'mask'"),
        ("Padding(4): text=sequence, mask=mask -> scalar", ("text", "mask"), "does not understand"),
        ("Padding(4): text=tokens, mask=mask -> pooled=sequence", ("text", "mask"), "5 positions with padding"),
        ("Padding(0): text=tokens, mask=mask -> scalar", ("text", "mask"), "at least 1"),
        ("Padding(4,up): text=tokens, mask=mask -> scalar", ("text", "mask"), "no side"),
        ("Variant(upper): text=tokens, mask=variant -> scalar", ("text", "mask"), "upper.NAME"),
        ("Variant(upper): text=tokens -> scalar", ("text",), "role 'variant'"),
        ("Tile(2): text=image -> scalar", ("text",), "no image"),
        ("Tile(1): text=image -> scalar", ("text",), "repeats nothing"),
        ("Tile(2): text=image(crop=1) -> scalar", ("text",), "whole images"),
        ("Tile(2) x C4: text=image -> scalar", ("text",), "no products"),
    ],
)
def test_what_a_relation_cannot_say_is_refused(claim: str, inputs: tuple[str, ...], says: str) -> None:
    with pytest.raises(SymcheckError) as error:
        symcheck.audit(seeded(Text(pooled=True)), claim, some(*inputs))
    assert says in str(error.value)
    assert error.value.where and error.value.hint


def test_a_relation_that_changes_nothing_tests_nothing() -> None:
    data = texts()
    same = {"text": data["text"], "upper.text": data["text"]}
    claim = "Variant(upper): text=tokens, upper.text=variant -> scalar"
    report = symcheck.audit(seeded(Text(pooled=True)), claim, same, elements=4)
    assert {f.verdict for f in report.findings} == {"trivial"}
