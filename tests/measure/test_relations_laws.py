"""What every registered relation keeps: rows that stand alone, words for its elements, and no law of composition."""

from __future__ import annotations

import pytest
import torch

from symcheck.errors import ClaimError
from symcheck.groups.base import groups
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.relations.base import Relation, Single


def texts() -> list[str]:
    """The examples of every relation, apart from what stands for the user's."""
    made = {name: groups.get(name) for name in groups.names() if ":" not in name}
    return [
        text
        for name, maker in made.items()
        if getattr(maker, "related", False)
        for text in getattr(maker, "examples", (name,))
    ]


def test_there_are_relations() -> None:
    assert {"Causal", "Mates", "Padding(8,left)", "Tile(2)", "Variant(upper)"} <= set(texts())


@pytest.mark.parametrize("text", texts())
def test_a_relation_is_drawn_row_by_row_and_named(text: str) -> None:
    relation = make_group(text)
    assert isinstance(relation, Relation)
    assert make_group(relation.name).name == relation.name
    g = relation.sample(9, Draws(3, "rows"))
    assert torch.equal(relation.sample(4, Draws(3, "rows", start=5)), g[5:])
    assert isinstance(relation, Single) or not torch.equal(relation.sample(9, Draws(4, "rows")), g)
    assert relation.identity(2).shape == (2, *g.shape[1:]) and not relation.identity(2).any()
    assert relation.law and all(relation.label(g, i) and "\n" not in relation.label(g, i) for i in range(9))
    for call in (lambda: relation.compose(g, g), lambda: relation.inverse(g)):
        with pytest.raises(ClaimError, match="is a relation"):
            call()


@pytest.mark.parametrize("text", texts())
def test_a_relation_has_no_products(text: str) -> None:
    with pytest.raises(ClaimError, match="no products"):
        make_group(f"{text} x C4")
