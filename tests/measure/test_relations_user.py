"""A user's own relation, named by file or module: it is found, checked at every step, and measured as any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.claim import Claim
from symcheck.errors import ClaimError, SymcheckError
from symcheck.grammar import heard, parse_claim
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group

SOURCE = """
import torch

class Swap:
    '''f(a, b) = −f(b, a), at any gain: two inputs change places.'''

    def sample(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.stack([1 + torch.rand(2, generator=generator) for _ in range(n)])

    def move(self, g, inputs):
        a, b = inputs["a"], inputs["b"]
        return {"a": torch.cat([b, a]), "b": torch.cat([a, b])}

    def residual(self, g, seen, rest):
        y = seen["score"]
        swapped, same = y[: len(y) // 2], y[len(y) // 2 :]
        return {"score": swapped + rest["score"] + 0 * same}

swap = Swap()

class Few(Swap):
    def move(self, g, inputs):
        return {"a": inputs["b"]}

class Short(Swap):
    def move(self, g, inputs):
        return {"a": inputs["a"][1:], "b": inputs["b"][1:]}

class Raising(Swap):
    def move(self, g, inputs):
        return {"a": inputs["c"], "b": inputs["b"]}

class Twice(Swap):
    '''Two views, and neither of them is changed.'''

    def move(self, g, inputs):
        return {name: torch.cat([x, x]) for name, x in inputs.items()}

    def residual(self, g, seen, rest):
        one, other = seen["score"].chunk(2)
        return {"score": one - other}

class Listed(Swap):
    def move(self, g, inputs):
        return [inputs["b"], inputs["a"]]

class Odd(Swap):
    def residual(self, g, seen, rest):
        return rest["score"][:, :1]

class Silent(Swap):
    def residual(self, g, seen, rest):
        return {}

class Drawn(Swap):
    def sample(self, n, seed):
        return torch.zeros(n + 1)

class Half:
    def move(self, g, inputs):
        return inputs

few, short, listed, odd, silent, drawn, half, number = Few(), Short(), Listed(), Odd(), Silent(), Drawn(), Half(), 3
raising, twice = Raising(), Twice()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def inputs() -> dict[str, Tensor]:
    return {"a": Draws(0, "a").normal(12, 4), "b": Draws(0, "b").normal(12, 4)}


WEIGHT = Draws(0, "weight").normal(4, 3)


def model(a: Tensor, b: Tensor) -> dict[str, Tensor]:
    weight = WEIGHT.to(a)
    return {"score": torch.tanh(a @ weight) - torch.tanh(b @ weight), "total": a.sum(1) + b.sum(1)}


def leaky(a: Tensor, b: Tensor) -> dict[str, Tensor]:
    scores = model(a, b)
    return {**scores, "score": scores["score"] + 0.01 * b.square().mean(1, keepdim=True)}


def test_a_users_relation_is_measured(source: Path) -> None:
    claim = f"{source}:swap: a=scalar, b=scalar -> score=scalar, total=ignore"
    assert str(symcheck.audit(model, claim, inputs()).findings[0].verdict) == "exact"
    (found,) = symcheck.audit(leaky, claim, inputs()).findings
    assert (found.claim, found.output, str(found.verdict)) == (claim, "score", "broken")


def test_the_change_itself_is_made_in_double_precision(tmp_path: Path) -> None:
    """In float32 its rounding would stand in for an error of the network that float64 does not remove."""
    (tmp_path / "gain.py").write_text(
        "import torch\n"
        "def sample(n, seed):\n"
        "    return torch.stack([torch.rand(1, generator=torch.Generator().manual_seed(seed + i)) for i in range(n)])\n"
        "def move(g, inputs):\n"
        "    return {'a': inputs['a'] * (1 + g.to(inputs['a']))}\n"
        "class Linear:\n"
        "    sample, move = staticmethod(sample), staticmethod(move)\n"
        "    def residual(g, seen, rest):\n"
        "        return seen['output'] - rest['output'] * (1 + g.to(rest['output']))\n"
        "    residual = staticmethod(residual)\n"
    )
    claim = f"{tmp_path}/gain.py:Linear: a=scalar -> output=scalar"
    data = {"a": inputs()["a"].float()}
    layer = torch.nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(WEIGHT.T)
    assert str(symcheck.audit(layer, claim, data).findings[0].verdict) == "exact"
    shifted = torch.nn.Linear(4, 3)
    shifted.load_state_dict({"weight": WEIGHT.T.float(), "bias": torch.tensor([0.1, -0.2, 0.3])})
    assert str(symcheck.audit(shifted, claim, data).findings[0].verdict) == "broken"


def test_a_module_is_a_relation_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "laws_for_this_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "swap.py").write_text(SOURCE + "\nsample, move, residual = swap.sample, swap.move, swap.residual\n")
    (folder / "__init__.py").write_text("from laws_for_this_test import swap\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    claim = "laws_for_this_test:swap: a=scalar, b=scalar -> score=scalar, total=ignore"
    assert str(symcheck.audit(leaky, claim, inputs()).findings[0].verdict) == "broken"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("few", "move(g, inputs) returned {a: a tensor of shape (8, 4)}"),
        ("short", "move(g, inputs) returned {a: a tensor of shape (7, 4)"),
        ("listed", "move(g, inputs) returned a list"),
        ("raising", "move raised KeyError: 'c'"),
        ("odd", "residual(g, seen, rest) returned a tensor of shape"),
        ("silent", "residual(g, seen, rest) returned {}"),
        ("drawn", "sample(n, seed) returned a tensor of shape"),
        ("half", "no function sample, residual"),
        ("number", "no function sample, move, residual"),
        ("swop", "did you mean 'swap'"),
    ],
)
def test_each_step_that_goes_wrong_has_its_error(source: Path, name: str, says: str) -> None:
    claim = f"{source}:{name}: a=scalar, b=scalar -> score=scalar, total=ignore"
    with pytest.raises(SymcheckError) as error:
        symcheck.audit(model, claim, inputs(), elements=2)
    assert says in str(error.value)
    assert error.value.where and error.value.hint


def test_views_of_what_is_not_changed_test_nothing(source: Path) -> None:
    claim = f"{source}:twice: a=scalar, b=scalar -> score=scalar, total=ignore"
    (found,) = symcheck.audit(model, claim, inputs(), elements=2).findings
    assert str(found.verdict) == "trivial"


def test_one_tensor_will_not_do_for_two_outputs(source: Path) -> None:
    claim = f"{source}:odd: a=scalar, b=scalar -> score=scalar, total=scalar"
    with pytest.raises(SymcheckError, match="one tensor for each output"):
        symcheck.audit(model, claim, inputs())


def test_rows_of_a_sample_are_those_of_a_shard(source: Path) -> None:
    relation = make_group(f"{source}:swap")
    whole = relation.sample(9, Draws(3, "rows"))
    assert torch.equal(relation.sample(4, Draws(3, "rows", start=5)), whole[5:])
    assert not torch.equal(relation.sample(9, Draws(4, "rows")), whole)
    assert not torch.equal(relation.sample(9, Draws(3, "other")), whole)
    assert whole.dtype == torch.float64 and torch.equal(relation.identity(3), torch.zeros(3, 2).double())


@pytest.mark.parametrize(
    ("text", "group", "named"),
    [
        ("mine.py:swap: a=scalar -> scalar", "mine.py:swap", "a=scalar"),
        ("some/where/mine.py:swap: scalar -> y=scalar", "some/where/mine.py:swap", "scalar"),
        ("module.part:swap: scalar -> scalar", "module.part:swap", "scalar"),
        ("C4: image -> mine.py:turned", "C4", "image"),
        ("C4:image -> mine.py:turned", "C4", "image"),
        ("C4:x=mine.py:turned -> mine.py:turned", "C4", "x=mine.py:turned"),
    ],
)
def test_the_group_ends_at_the_first_colon_before_a_blank(text: str, group: str, named: str) -> None:
    tree = parse_claim(text)
    assert (str(tree.group), str(tree.inputs[0])) == (group, named)
    assert parse_claim(str(tree)) == tree
    assert heard(text) == str(tree)


def test_parsing_runs_no_code_of_a_relation() -> None:
    claim = "no/such/file.py:law: x=scalar -> scalar"
    assert str(Claim.parse(claim)) == claim


@pytest.mark.parametrize("text", ["mine.py:swap x C4: x=scalar -> scalar", "mine.py:swap(3): x=scalar -> scalar"])
def test_a_users_relation_stands_alone_and_takes_nothing(text: str) -> None:
    with pytest.raises(ClaimError) as error:
        Claim.parse(text)
    assert error.value.where and error.value.hint
