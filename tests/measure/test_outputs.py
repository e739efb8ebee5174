"""Which outputs are measured: by name, derived from others, parts inside the module, and what the user chose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.errors import ConfigError, SymcheckError
from symcheck.measure.expressions import FUNCTIONS, Applied, Gradient, Named, parse_expression
from symcheck.report.model import Finding, Verdict


class Classifier(nn.Module):
    """Exactly invariant logits under C4, from a part that is equivariant; `leak` adds what is neither."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(2, 16, 1), nn.ReLU(inplace=True))
        self.head = nn.Linear(16, 4)
        self.stem[0].weight.data *= 3
        self.register_buffer("centre", self.stem(images(64)).mean((0, 2, 3)).detach())
        self.leak = nn.Parameter(leak * torch.randn(2 * 36, 4))

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.stem(image).mean((2, 3))
        return self.head(10 * (pooled - self.centre)) + image.flatten(1) @ self.leak


class Twice(nn.Module):
    """A part that is called twice, one that is never called, and one that returns a tuple; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.mix = nn.Linear(5, 5)
        self.spare = nn.Linear(5, 5)
        self.gru = nn.GRU(5, 3, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen, last = self.gru(self.mix(self.mix(x)).tanh())
        return seen, last[0]


class Scored(nn.Module):
    """A dict with an output that is no tensor, and one without a sample axis."""

    def forward(self, image: Tensor) -> dict[str, object]:
        pooled = image.mean((2, 3))
        return {"scores": torch.cat([pooled, pooled.square()], 1), "cache": ("kept",), "size": image.new_ones(())}


def images(count: int = 32) -> Tensor:
    return torch.randn(count, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def rows(count: int = 16) -> Tensor:
    return torch.randn(count, 7, 5, generator=torch.Generator().manual_seed(2))


def found(model: object, claims: str | list[str], x: Tensor, **options: object) -> dict[str, Finding]:
    return {f.output: f for f in symcheck.audit(model, claims, x, **options).findings}


@pytest.mark.parametrize(
    "text",
    ["-d(energy)/d(pos)", "d(sum(energy, 1))/d(pos)", "argmax(logits)", "argmax(softmax(logits, 2), -1)", "layer4.1",
     "layer4.1@2[1]", "0.conv[1]", "mean(normalize(a.b))", "positive(logits)"],
)  # fmt: skip
def test_expressions_come_back(text: str) -> None:
    assert str(parse_expression(text, "here")) == text


def test_trees_are_what_they_say() -> None:
    assert parse_expression(" - d( energy ) / d( pos ) ", "") == Gradient(True, Named("energy"), "pos")
    assert parse_expression("mean(head@2[1], -1)", "") == Applied("mean", Named("head", 2, 1), -1)


@pytest.mark.parametrize(
    ("text", "word"),
    [("softmx(logits)", "softmax"), ("logits +", "not understood"), ("sigmoid(x, 1)", "no axis"), ("", "understood")],
)
def test_what_is_no_expression_is_refused(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        parse_expression(text, "derive y")


def test_functions_are_what_torch_computes() -> None:
    x = torch.randn(3, 4, 5, 5)
    expected = {
        "softmax": x.softmax(1), "log_softmax": x.log_softmax(1), "argmax": x.argmax(1), "sigmoid": x.sigmoid(),
        "normalize": x / x.norm(dim=1, keepdim=True), "positive": x > 0, "mean": x.mean((1, 2, 3)),
        "sum": x.flatten(1).sum(1),
    }  # fmt: skip
    assert expected.keys() == FUNCTIONS.keys()
    for name, y in expected.items():
        made = Applied(name, Named("x")).of(x)
        assert torch.allclose(made.double(), y.double()), name
    assert torch.equal(Applied("argmax", Named("x"), -1).of(x), x.argmax(-1))


@pytest.mark.parametrize(
    ("text", "shape", "word"),
    [("argmax(x)", (3, 4, 5), "either axis"), ("argmax(x)", (3,), "one number"), ("softmax(x)", (3, 1), "one class"),
     ("mean(x, 0)", (3, 4), "no axis 0"), ("mean(x, -2)", (3, 4), "no axis -2"), ("sum(x)", (3,), "one number")],
)  # fmt: skip
def test_an_axis_that_cannot_be_told_is_asked_for(text: str, shape: tuple[int, ...], word: str) -> None:
    tree = parse_expression(text, "derive y")
    assert isinstance(tree, Applied)
    with pytest.raises(SymcheckError, match=word):
        tree.of(torch.randn(shape))


def test_several_outputs_of_one_tensor() -> None:
    claim = "C4: image -> logits=invariant, probabilities=invariant, label=invariant, stem=image, stem.0=image"
    got = found(Classifier(), claim, images())
    assert [*got] == ["logits", "probabilities", "label", "stem", "stem.0"]
    assert {f.verdict for f in got.values()} == {Verdict.EXACT}


def test_a_broken_head_is_found_beside_an_exact_part() -> None:
    got = found(Classifier(0.05), "C4: image -> logits=invariant, probabilities=invariant, stem=image", images())
    assert [f.verdict for f in got.values()] == [Verdict.BROKEN, Verdict.BROKEN, Verdict.EXACT]


def test_a_part_is_caught_before_what_follows_writes_into_it() -> None:
    x, model = images(), Classifier()
    seen = symcheck.audit(model, "C4: image -> stem.0=image", x).findings[0]
    assert seen.size == pytest.approx(model.stem[0](x).square().sum((1, 2, 3)).mean().sqrt().item(), rel=1e-4)
    assert bool((model.stem[0](x) < 0).any())  # else writing into it would not show


def test_the_only_output_may_be_left_out_where_others_are_derived_from_it() -> None:
    assert [*found(Classifier(), "C4: image -> label=invariant", images())] == ["label"]
    assert [*found(Classifier(), "C4: image -> stem.1=image", images())] == ["stem.1"]
    claims = ["C4: image -> logits=invariant", "C4: image -> label=invariant", "C4: image -> invariant"]
    report = symcheck.audit(Classifier(), claims, images())
    assert [f.output for f in report.findings] == ["logits", "label", "logits"]


def test_outputs_that_nobody_declared_stay_an_error() -> None:
    with pytest.raises(SymcheckError, match="does not declare the output"):
        found(Twice(), "S: nodes -> last=scalar", rows())
    with pytest.raises(SymcheckError, match="does not declare the output"):
        found(Twice(), "S: nodes -> seen=scalar, mix@1=nodes", rows())


def test_probabilities_stay_what_they_are() -> None:
    model = Classifier(0.05)
    claim = "C4: image -> probabilities=invariant"
    once = found(model, claim, images())["probabilities"]
    again = found(nn.Sequential(model, nn.Softmax(1)), claim, images())["probabilities"]
    assert again.error.spread.mean == pytest.approx(once.error.spread.mean, rel=1e-5)


def test_a_part_that_is_called_twice_says_so() -> None:
    with pytest.raises(ConfigError, match="is called 2 times") as caught:
        found(Twice(), "S: nodes -> mix=nodes", rows(), output="mix")
    assert "mix@1" in caught.value.hint
    got = found(Twice(), "S: nodes -> nodes", rows(), output=["mix@1", "mix@2"])
    assert [(f.output, f.verdict) for f in got.values()] == [("mix@1", Verdict.EXACT), ("mix@2", Verdict.EXACT)]


@pytest.mark.parametrize(
    ("name", "word"),
    [("mix@3", "2 times"), ("mix@0", "2 times"), ("spare", "not called"), ("gru[2]", "2 tensors")],
)
def test_what_a_part_did_not_return_is_an_error(name: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        found(Twice(), "S: nodes -> nodes", rows(), output=name)


def test_a_part_may_return_several_tensors() -> None:
    got = found(Twice(), "S: nodes -> scalar", rows(), output=["gru"], derive={})
    assert got["gru"].verdict is Verdict.BROKEN
    model = Twice()
    model.gru.batch_first = False  # the samples are then the steps
    with pytest.raises(SymcheckError, match="leading sample axis"):
        found(Twice(), "S: nodes -> scalar", rows(), output=["gru[1]"])


def test_hooks_are_removed_also_after_an_error() -> None:
    model = Classifier()
    found(model, "C4: image -> stem=image, label=invariant", images())
    with pytest.raises(SymcheckError, match="the model raised"):
        found(model, "C4: image -> label=invariant, stem=image", torch.randn(8, 3, 6, 6))
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_parts_are_measured_at_every_precision(dtype: str) -> None:
    got = found(Classifier(), "C4: image -> image", images(), dtype=dtype, output="stem")
    assert got["stem"].verdict is Verdict.EXACT
    assert got["stem"].floor.how == "float64 run"


def test_chosen_outputs_and_nothing_else() -> None:
    got = found(Scored(), "C4: image -> invariant", images(), output=["scores"])
    assert {n: f.verdict for n, f in got.items()} == {"scores": Verdict.EXACT}
    got = found(Classifier(0.05), "C4: image -> invariant", images(), output=["logits", "label"])
    assert [*got] == ["logits", "label"]
    got = found(Classifier(), "C4: image -> stem=image", images(), output=["stem"])
    assert [*got] == ["stem"]
    with pytest.raises(SymcheckError, match="does not declare the output"):
        found(Classifier(), "C4: image -> logits=invariant", images(), output=["logits", "label"])
    with pytest.raises(SymcheckError, match="does not have"):
        found(Classifier(), "C4: image -> logits=invariant, label=invariant", images(), output=["label"])


@pytest.mark.parametrize("name", ["stam", "stem.7", "labels", "logits[1]", "head.weight"])
def test_an_unknown_choice_lists_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match="no output or part") as caught:
        found(Classifier(), "C4: image -> invariant", images(), output=name)
    assert "outputs: output; parts: stem, head" in caught.value.where
    assert caught.value.hint


def test_a_path_in_a_claim_that_leads_nowhere_is_no_name_of_the_output() -> None:
    with pytest.raises(ConfigError, match=r"no output or part 'stem\.7'"):
        found(Classifier(), "C4: image -> stem.7=invariant", images())


def test_a_word_that_is_a_part_and_could_name_the_output_is_asked_about() -> None:
    with pytest.raises(ConfigError, match="is a part of the model, and could be a name"):
        found(Classifier(), "C4: image -> head=invariant", images())
    assert [*found(Classifier(), "C4: image -> invariant", images(), output="head")] == ["head"]


def test_claims_are_proposed_for_what_was_chosen() -> None:
    report = symcheck.audit(Classifier(), None, {"image": images()}, output=["label", "stem"])
    assert {f.output for f in report.findings} == {"label", "stem"}
    assert report.proposed


def test_a_file_is_no_output() -> None:
    with pytest.raises(ConfigError, match="name of a file") as caught:
        found(Classifier(), "C4: image -> invariant", images(), output="report.json")
    assert "-o report.json" in caught.value.hint


def test_it_is_asked_which_output_a_label_is_of() -> None:
    with pytest.raises(ConfigError, match="cannot be told") as caught:
        found(Twice(), "S: nodes -> seen=nodes, last=scalar, label=scalar", rows())
    assert "--derive label='argmax(seen)'" in caught.value.hint
    got = found(
        Twice(), "S: nodes -> label=scalar", rows(), output=["label"], derive={"label": "argmax(output1)"}
    )
    assert got["label"].flips is not None


def test_derived_outputs_build_on_each_other() -> None:
    derive = {"pooled": "mean(stem.0, -1)", "unit": "normalize(pooled, -1)", "gradient": "d(sum(output))/d(input)"}
    claim = "C4: image -> output=invariant, pooled=ignore, unit=ignore, gradient=image"
    got = found(Classifier(), claim, images(), derive=derive)
    assert got["gradient"].verdict is Verdict.EXACT
    with pytest.raises(ConfigError, match="is derived from itself"):
        found(Classifier(), "C4: image -> a=invariant", images(), derive={"a": "softmax(b)", "b": "softmax(a)"})


def test_programs_have_no_parts_to_watch() -> None:
    program = torch.jit.script(Classifier())
    with pytest.raises(ConfigError, match="no output or part 'stem'"):
        found(program, "C4: image -> invariant", images(), output="stem")


def test_a_callable_has_derived_outputs_and_no_parts() -> None:
    got = found(lambda image: image.mean((2, 3)), "C4: image -> label=invariant", images())
    assert got["label"].verdict is Verdict.EXACT
    with pytest.raises(ConfigError, match="parts: none"):
        found(lambda image: image.mean((2, 3)), "C4: image -> invariant", images(), output="stem")


def test_a_derived_output_hides_none_of_the_model() -> None:
    def model(pos: Tensor) -> dict[str, Tensor]:
        return {"energy": pos.square().sum((1, 2)), "forces": torch.zeros_like(pos)}

    claim, x = "O(3): pos=points -> energy=scalar, forces=vector", torch.randn(8, 4, 3)
    with pytest.raises(ConfigError, match="returns a 'forces' of its own"):
        symcheck.audit(model, claim, {"pos": x}, derive={"forces": "-d(energy)/d(pos)"})
    claim = claim + ", found=vector"
    report = symcheck.audit(model, claim, {"pos": x}, elements=4, derive={"found": "-d(energy)/d(pos)"})
    assert {f.verdict for f in report.findings if f.output == "found"} == {Verdict.EXACT}
    assert {f.verdict for f in report.findings if f.output == "forces"} == {Verdict.TRIVIAL}
