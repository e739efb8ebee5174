"""Merging as a whole: what is refused, what is aligned, and how the result is measured."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from spec_networks import NETWORKS
from torch import Tensor, nn
from torch.nn import functional as F

from symcheck.errors import ConfigError, DataError, LoadError, ModelError, SymcheckError
from symcheck.measure.loss import Labelled, Loss, loss_of
from symcheck.merge.evaluate import ENSEMBLE, Score, Trial, reset_statistics
from symcheck.merge.merge import MERGED, NAIVE, UNRESET, Merge, merge
from symcheck.merge.notes import setbacks
from symcheck.merge.related import order, relation
from symcheck.weights.session import derive_spec
from symcheck.weights.spec import Space, Spec

WIDE = (20, 48, 40, 10)


def mlp_spec() -> Spec:
    from symcheck.patterns import parse_axes

    axes = {"0.weight": "h .", "0.bias": "h", "2.weight": "k h", "2.bias": "k", "4.weight": ". k", "4.bias": "."}
    spaces = {"h": Space("h", "permutation", 48), "k": Space("k", "permutation", 40)}
    return Spec(spaces, {name: parse_axes(text) for name, text in axes.items()})


SPEC = mlp_spec()


def mlp(seed: int) -> nn.Sequential:
    layers = [m for i, o in itertools.pairwise(WIDE) for m in (nn.Linear(i, o), nn.ReLU())][:-1]
    return filled(nn.Sequential(*layers), seed)


def filled(module: nn.Sequential, seed: int) -> nn.Sequential:
    rng = torch.Generator().manual_seed(seed)
    for name, p in module.state_dict().items():
        if p.is_floating_point():
            p.copy_(torch.randn(p.shape, generator=rng) / (p[0].numel() ** 0.5 if p.dim() > 1 else 3))
            if "var" in name:
                p.abs_().add_(0.5)
    return module


def noisy(state: dict[str, Tensor], seed: int, size: float = 0.1) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {
        n: t + size * float(t.std()) * torch.randn(t.shape, generator=rng) if t.is_floating_point() else t
        for n, t in state.items()
    }


def data(seed: int = 0, count: int = 90) -> Labelled:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, WIDE[0], generator=rng)
    return Labelled({"x": x}, torch.randint(0, WIDE[-1], (count,), generator=rng))


A, B = (dict(mlp(seed).state_dict()) for seed in (1, 2))
MOVED = SPEC.apply(SPEC.sample(3), A)
CROSS = loss_of("cross_entropy")


def test_the_moments_over_all_orders_are_exact() -> None:
    rng = torch.Generator().manual_seed(1)
    a, b = (torch.randn(8, 5, generator=rng, dtype=torch.float64) + 1 for _ in "ab")
    gram = (a - a.mean(0)) @ (b - b.mean(0)).T
    orders = torch.tensor([*itertools.permutations(range(8))])
    sums = gram[torch.arange(8), orders].sum(1)
    found = order("w", a, b)
    assert found is not None
    assert found.z == pytest.approx(float((gram.trace() - sums.mean()) / sums.std(correction=0)), rel=1e-9)
    assert order("w", b.T.contiguous(), a.T.contiguous()).z == pytest.approx(found.z, rel=1e-9)  # type: ignore[union-attr]


def test_independent_trainings_are_told_from_one_lineage() -> None:
    zs = [o.z for s in range(30) for o in relation(A, dict(mlp(100 + s).state_dict())).orders]
    assert len(zs) == 90 and max(zs) < 4 and 0.6 < float(torch.tensor(zs).std()) < 1.3
    for size in (0.01, 0.3, 1.0, 3.0):
        assert not relation(A, noisy(A, 5, size)).mixed
    assert len(relation(A, MOVED).mixed) == 3
    alike = relation(A, {n: t.clone() for n, t in A.items()})
    assert alike.cosine == pytest.approx(1) and alike.distance == pytest.approx(0, abs=1e-6) and not alike.mixed


@pytest.mark.parametrize("space", ["h", "k"])
def test_one_moved_space_is_seen_where_it_acts(space: str) -> None:
    one = SPEC.apply(SPEC.sample(3, spaces=[space]), noisy(A, 4, 0.05))
    names = {"h": {"0.weight", "2.weight"}, "k": {"2.weight", "4.weight"}}
    assert {o.name for o in relation(A, one).mixed} == names[space]


def test_common_rows_do_not_look_like_a_common_order() -> None:
    """A mean that all units share, as borders of images give it, says nothing about their order."""
    shared = 5 * torch.randn(WIDE[0], generator=torch.Generator().manual_seed(9))
    a, b = ({**s, "0.weight": s["0.weight"] + shared} for s in (A, B))
    found = relation(a, b)
    assert found.cosine > 0.9 and len(found.mixed) == 3


def test_small_tensors_are_not_judged() -> None:
    assert order("w", torch.randn(4, 7), torch.randn(4, 7)) is None
    done = merge([{"w": torch.ones(3, 2)}, {"w": torch.zeros(3, 2)}])
    assert any("no tensor was large enough" in note for note in done.notes)


@pytest.mark.parametrize("other", [B, MOVED], ids=["another training", "a moved copy"])
def test_what_is_not_aligned_is_refused(other: dict[str, Tensor]) -> None:
    with pytest.raises(LoadError) as caught:
        merge([A, other], names=("a", "b"))
    assert "a and b are not aligned" in str(caught.value) and "--unaligned" in caught.value.hint
    done = merge([A, other], unaligned=True)
    assert done.notes[0].startswith("unaligned: ")
    assert torch.allclose(done.state["0.weight"], (A["0.weight"] + other["0.weight"]) / 2)


def test_one_lineage_is_merged_as_it_is() -> None:
    other = noisy(A, 1)
    done = merge([A, other])
    assert not done.notes and not done.alignments
    assert torch.allclose(done.state["2.bias"], (A["2.bias"] + other["2.bias"]) / 2)


@pytest.mark.parametrize("count", [2, 3])
def test_moved_copies_are_aligned_first(count: int) -> None:
    others = [SPEC.apply(SPEC.sample(s), A) for s in range(count - 1)]
    done = merge([A, *others], spec=SPEC)
    assert len(done.alignments) == count - 1
    assert all(torch.allclose(done.state[n], A[n], atol=1e-6) for n in A)
    assert all(not found.mixed for found in done.relations.values())


def test_continuous_gauges_are_aligned_too() -> None:
    network = NETWORKS["mlp"]
    moved = network.spec.apply(network.spec.sample(2), network.state)
    done = merge([network.state, moved], spec=network.spec)
    assert torch.allclose(network.call(done.state), network.call(network.state), rtol=1e-8)


def test_updates_from_a_base() -> None:
    tuned = [noisy(A, 1), noisy(A, 2)]
    done = merge(tuned, "task", base=A)
    assert torch.allclose(done.state["0.bias"], tuned[0]["0.bias"] + tuned[1]["0.bias"] - A["0.bias"], atol=1e-6)
    assert [*done.relations] == ["the base and model 1", "the base and model 2"] and not done.alignments
    assert 0.05 < done.relations["the base and model 1"].distance < 0.2
    with pytest.raises(LoadError, match="the base and model 2 are not aligned"):
        merge([tuned[0], SPEC.apply(SPEC.sample(1), tuned[1])], "task", base=A)
    with pytest.raises(LoadError, match="times as large as the base"):
        merge([tuned[0], {n: 3 * t for n, t in tuned[1].items()}], "task", base=A)
    back = merge([tuned[0], SPEC.apply(SPEC.sample(1), tuned[1])], "task", base=A, spec=SPEC, align=True)
    assert all(torch.allclose(back.state[n], done.state[n], atol=1e-5) for n in A)


def test_infinities_of_a_mask_do_not_hide_how_far_models_are_apart() -> None:
    mask = {"mask": torch.full((9, 9), -math.inf).triu(1)}
    done = merge([noisy(A, 1) | mask, noisy(A, 2) | mask], "task", base=A | mask)
    found = done.relations["the base and model 1"]
    assert 0.05 < found.distance < 0.2 and found.cosine > 0.9
    assert torch.equal(done.state["mask"], mask["mask"])


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e100])
def test_what_a_layer_kept_does_not_depend_on_its_unit(size: float) -> None:
    states = [{"w": size * state["0.weight"].double()} for state in (A, noisy(A, 1), noisy(A, 2))]
    (layer,) = merge(states, unaligned=True).layers
    average = sum(state["w"] for state in states) / 3
    for state, found in zip(states, layer.interference, strict=True):
        whole = float((average - state["w"]).norm() / state["w"].norm())  # nearly all directions lead
        assert found == pytest.approx(whole, rel=0.1) and found < 0.2
    sizes = torch.linalg.svdvals(average / size)
    entropy = torch.special.entr(sizes / sizes.sum()).sum()
    assert layer.rank == pytest.approx(float(entropy.exp())) and min(layer.alignment) > 0.98


def test_a_few_units_out_of_order_are_seen_with_a_spec() -> None:
    part = torch.arange(48)
    part[:8] = part[:8].roll(1)
    other = SPEC.apply({"h": part}, noisy(A, 1))
    assert not relation(A, other).mixed
    merge([noisy(A, 2), other], "task", base=A)
    with pytest.raises(LoadError, match="would move 9 % of the units of model 2"):
        merge([noisy(A, 2), other], "task", base=A, spec=SPEC)
    merge([noisy(A, 2), noisy(A, 1)], "task", base=A, spec=SPEC)


def test_aligning_needs_a_spec() -> None:
    with pytest.raises(ConfigError, match="weight symmetries"):
        merge([A, B], align=True)


def measured(done: Merge) -> dict[str, tuple[float, float | None, float]]:
    return {s.model: (s.loss, s.accuracy, s.distance) for s in done.scores if s.data == "train"}


@pytest.mark.parametrize("batch", [None, 7])
def test_baselines_are_measured_beside_it(batch: int | None) -> None:
    trial = Trial(mlp(9), {"train": data(), "test": data(1, 40)}, CROSS, batch)
    other = noisy(A, 1, 0.5)
    done = merge([A, other], weights=(3.0, 1.0), trial=trial, names=("a", "b"))
    assert [s.model for s in done.scores] == 2 * ["a", "b", ENSEMBLE, NAIVE, MERGED]
    assert [s.data for s in done.scores] == 5 * ["train"] + 5 * ["test"]
    x, y = data().inputs["x"], data().labels

    def output(state: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(mlp(0), state, (x,)).detach()

    merged = {n: 0.75 * A[n] + 0.25 * other[n] for n in A}
    naive = {n: 0.5 * A[n] + 0.5 * other[n] for n in A}
    expected = {
        "a": output(A), "b": output(other), ENSEMBLE: (output(A) + output(other)) / 2, NAIVE: output(naive),
        MERGED: output(merged),
    }  # fmt: skip
    found = measured(done)
    for name, out in expected.items():
        loss, accuracy, distance = found[name]
        assert loss == pytest.approx(float(F.cross_entropy(out, y)), rel=1e-5)
        assert accuracy == pytest.approx(float((out.argmax(1) == y).double().mean()))
        gap = (expected[MERGED] - out).double()
        apart = float((gap - gap.mean(0)).norm() / (out.double() - out.double().mean(0)).norm())
        assert distance == pytest.approx(apart, rel=1e-3, abs=1e-6)
    errors = F.cross_entropy(expected["a"].double(), y, reduction="none")
    assert done.scores[0].error == pytest.approx(float(errors.std()) / 90**0.5, rel=1e-5)


def test_names_do_not_hide_one_another() -> None:
    trial = Trial(mlp(9), {"train": data()}, CROSS)
    done = merge([A, noisy(A, 1)], names=(MERGED, "b"), trial=trial, weights=(0.0, 1.0))
    rows = measured(done)
    assert [*rows] == [f"{MERGED} (given)", "b", ENSEMBLE, NAIVE, MERGED]
    assert rows[MERGED][0] == pytest.approx(rows["b"][0]) != pytest.approx(rows[f"{MERGED} (given)"][0])
    with pytest.raises(ConfigError, match="1 names for 2 checkpoints"):
        merge([A, noisy(A, 1)], names=("b", "b"))


def test_the_module_and_the_states_stay_as_they_were() -> None:
    module = mlp(9).train()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    copies = [{n: t.clone() for n, t in s.items()} for s in (A, MOVED)]
    merge([A, MOVED], spec=SPEC, trial=Trial(module, {"train": data()}, CROSS))
    assert module.training and all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert all(torch.equal(s[n], c[n]) for s, c in zip((A, MOVED), copies, strict=True) for n in s)


def test_an_output_that_is_not_finite_is_no_result() -> None:
    huge = {n: t * 1e30 for n, t in noisy(A, 1).items()}
    with pytest.raises(ModelError, match="'model 2' is NaN or infinite"):
        merge([A, huge], trial=Trial(mlp(9), {"train": data()}, CROSS), unaligned=True)


def normalised(seed: int) -> nn.Sequential:
    return filled(
        nn.Sequential(nn.Linear(20, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 10), nn.BatchNorm1d(10)), seed
    )


def test_statistics_are_measured_anew() -> None:
    module = normalised(1)
    state = dict(module.state_dict())
    trial = Trial(module, {"train": data()}, CROSS, batch_size=30)
    reset = reset_statistics(trial, state, data())
    assert all(torch.equal(reset[n], state[n]) for n in state if "running" not in n and "num" not in n)
    batches = data().inputs["x"].split(30)
    first = [F.linear(x, state["0.weight"], state["0.bias"]) for x in batches]
    assert torch.allclose(reset["1.running_mean"], sum(x.mean(0) for x in first) / 3, atol=1e-6)
    assert torch.allclose(reset["1.running_var"], sum(x.var(0) for x in first) / 3, atol=1e-6)
    second = [
        F.linear(F.batch_norm(x, None, None, state["1.weight"], state["1.bias"], True).relu(), state["3.weight"])
        + state["3.bias"]
        for x in first
    ]
    assert torch.allclose(reset["4.running_mean"], sum(x.mean(0) for x in second) / 3, atol=1e-5)
    assert not torch.allclose(state["1.running_mean"], reset["1.running_mean"], atol=0.1)


def test_with_data_statistics_are_reset_and_both_are_measured() -> None:
    state = dict(normalised(1).state_dict())
    other = noisy(state, 2)
    other["1.running_var"], other["4.running_var"] = state["1.running_var"] * 1.1, state["4.running_var"] * 1.1
    trial = Trial(normalised(3), {"train": data()}, CROSS)
    averaged = merge([state, other], trial=trial, reset=False)
    assert any("running statistics were averaged" in note for note in averaged.notes) and not averaged.reset
    reset = merge([state, other], trial=trial)
    assert reset.reset and not any("running statistics" in note for note in reset.notes)
    assert [s.model for s in reset.scores][-2:] == [UNRESET, MERGED]
    assert measured(reset)[UNRESET][0] == pytest.approx(measured(averaged)[MERGED][0])
    assert measured(reset)[MERGED][0] != pytest.approx(measured(averaged)[MERGED][0])
    assert any("give -i data and --reset" in note for note in merge([state, other]).notes)
    with pytest.raises(ConfigError, match="re-estimated from data"):
        merge([state, other], reset=True)
    with pytest.raises(ConfigError, match="no running statistics"):
        merge([A, noisy(A, 1)], trial=Trial(mlp(1), {"train": data()}, CROSS), reset=True)


def test_a_reset_changes_statistics_and_nothing_else() -> None:
    """Even where the gains of one model stand against statistics of another size."""
    module = normalised(1)
    state = dict(module.state_dict())
    c = torch.linspace(0.3, 3, 48)
    other = state | {"1.weight": c * state["1.weight"], "1.running_var": c**2 * state["1.running_var"]}
    trial = Trial(module, {"train": data()}, CROSS)
    reset, averaged = (merge([state, other], trial=trial, reset=each) for each in (True, False))
    learned = [n for n in state if "running" not in n and "num" not in n]
    assert all(torch.equal(reset.state[n], averaged.state[n]) for n in learned)
    expected = reset_statistics(trial, averaged.state, data())
    assert all(torch.equal(reset.state[n], expected[n]) for n in state)
    assert not torch.allclose(reset.state["1.running_var"], averaged.state["1.running_var"], rtol=0.1)


def test_a_copy_in_another_gauge_keeps_its_function_through_alignment_and_reset() -> None:
    module, batch = normalised(1), data(count=4000)
    trial = Trial(module, {"train": batch}, CROSS, batch_size=4000)
    state = reset_statistics(trial, dict(module.state_dict()), batch)
    module.load_state_dict(state)
    spec = derive_spec(module, batch.inputs["x"][:4], seed=0)
    exponents = {n: s.exponents or {} for n, s in spec.spaces.items() if s.kind == "scale"}
    scales = [n for n, powers in exponents.items() if any("running_mean" in key for key in powers)]
    spaces = [n for n, s in spec.spaces.items() if s.kind in ("permutation", "sign")] + scales
    assert len(scales) == 2  # of what is normalised, with its statistics; they stay those of the data
    moved = spec.apply(spec.sample(3, spaces=spaces), state)
    done = merge([state, moved], spec=spec, trial=trial)
    rows = measured(done)
    assert done.reset and rows[MERGED][0] == pytest.approx(rows["model 1"][0], rel=1e-3)
    assert rows[NAIVE][2] > 0.1 > 1e-2 > rows[UNRESET][2]


def test_one_sample_has_no_statistics() -> None:
    states = [dict(normalised(1).state_dict()), dict(normalised(1).state_dict())]
    states[1] = noisy(states[1], 2, 0.01) | {n: t for n, t in states[0].items() if "var" in n}
    for trial in (
        Trial(normalised(3), {"train": data(count=1)}, CROSS), Trial(normalised(3), {"train": data()}, CROSS, 1)
    ):  # fmt: skip
        with pytest.raises(DataError, match="no variance") as caught:
            merge(states, trial=trial)
        assert "--batch-size" in caught.value.hint and "--no-reset" in caught.value.hint
        assert merge(states, trial=trial, reset=False).scores


def raising(outputs: object, labels: Tensor) -> Tensor:
    raise RuntimeError("no such loss")


def test_a_loss_that_raises_is_named() -> None:
    with pytest.raises(SymcheckError, match="no such loss"):
        merge([A, noisy(A, 1)], trial=Trial(mlp(9), {"train": data()}, Loss("mine", raising)))


@pytest.mark.parametrize("network", [mlp(9), normalised(3)], ids=["measured", "reset"])
def test_data_of_another_network_are_named(network: nn.Module) -> None:
    state = dict(network.state_dict())
    wrong = Labelled({"x": torch.ones(30, WIDE[0] + 1)}, torch.zeros(30, dtype=torch.long))
    with pytest.raises(ModelError, match="raised RuntimeError") as caught:
        merge([state, state], trial=Trial(network, {"train": wrong}, CROSS))
    assert caught.value.where == f"inputs x (30, {WIDE[0] + 1})"


def taught() -> Labelled:
    """Labels that the network A predicts, all of them."""
    x = data().inputs["x"]
    return Labelled({"x": x}, torch.func.functional_call(mlp(0), A, (x,)).argmax(1))


@pytest.mark.parametrize("what", ["accuracy", "loss"])
def test_a_merge_that_is_worse_than_all_says_so(what: str) -> None:
    labelled, loss = (taught(), CROSS) if what == "accuracy" else (numbers(), loss_of("mse"))
    trial = Trial(mlp(9), {"train": labelled}, loss)
    worse = merge([A, MOVED], unaligned=True, trial=trial)
    notes = [note for note in worse.notes if note.startswith("the merged network is worse")]
    rows = measured(worse)
    assert len(notes) == 1 and f"worse than every one of them: {what} " in notes[0]
    if what == "accuracy":
        assert f"{what} {100 * (rows[MERGED][1] or 0):.3g} % against 100 %" in notes[0]
    best = merge([A, MOVED], spec=SPEC, trial=trial)
    assert not any("worse" in note for note in best.notes)


def numbers() -> Labelled:
    """The outputs of the network A as labels."""
    x = data().inputs["x"]
    return Labelled({"x": x}, torch.func.functional_call(mlp(0), A, (x,)).detach())


def test_a_merge_that_is_worse_than_the_naive_average_says_so() -> None:
    tuned = [noisy(A, 1, 0.02), noisy(A, 2, 0.02)]
    trial = Trial(mlp(9), {"train": taught()}, CROSS)
    overdone = merge(tuned, "task", base=A, scale=40.0, trial=trial)
    assert sum("worse than the average of the checkpoints as given" in note for note in overdone.notes) == 1
    assert not any("worse" in note for note in merge(tuned, "task", base=A, scale=0.5, trial=trial).notes)


def test_worse_within_the_standard_error_is_not_worse() -> None:
    def score(model: str, accuracy: float, error: float, data: str = "test") -> Score:
        return Score(model, data, 1 - accuracy, error, accuracy, error, 0.0)

    rows = [score("a", 0.9, 0.02), score("b", 0.8, 0.02), score(NAIVE, 0.1, 0.02)]
    assert not [*setbacks([*rows, score(MERGED, 0.78, 0.02)], ["a", "b"], NAIVE, MERGED)]
    (found,) = setbacks([*rows, score(MERGED, 0.76, 0.02)], ["a", "b"], NAIVE, MERGED)
    assert found.endswith("every one of them: accuracy 76 % against 80 %")
    assert not [*setbacks([*rows, score(MERGED, 0.85, 0.02)], ["a", "b"], NAIVE, MERGED)]
    first = [score(name, 0.9, 0.02, "train") for name in ("a", "b", NAIVE, MERGED)]
    (found,) = setbacks([*first, *rows, score(MERGED, 0.5, 0.02)], ["a", "b"], NAIVE, MERGED)
    assert found.endswith("80 %, on test") and not [*setbacks([], ["a"], NAIVE, MERGED)]


def test_an_alignment_by_chance_is_named() -> None:
    notes = merge([A, B], spec=SPEC).notes
    assert any("alignment of model 2 found little more than chance: cosine 0.3" in note for note in notes)
    notes = merge([A, SPEC.apply(SPEC.sample(3), noisy(A, 4, 0.5))], spec=SPEC).notes
    assert not any("chance" in note for note in notes)


def test_what_was_not_run_is_not_proved() -> None:
    said = "nothing was run to prove"
    assert any(said in note for note in merge([A, MOVED], spec=SPEC).notes)
    proved = merge([A, MOVED], spec=SPEC, trial=Trial(mlp(9), {"train": data()}, CROSS))
    assert not any(said in note for note in proved.notes)
    assert not any(said in note for note in merge([A, noisy(A, 1)]).notes)


def test_a_spec_that_does_not_hold_is_found_out() -> None:
    from symcheck.patterns import parse_axes

    axes = {"0.weight": "h .", "0.bias": "h", "2.weight": ". h", "2.bias": ".", "4.weight": ". ."}
    wrong = {**axes, "2.weight": ". .", "2.bias": "."}
    space = {"h": Space("h", "permutation", 48)}
    trial = Trial(mlp(9), {"train": data()}, CROSS)
    for given, fails in ((axes, False), (wrong, True)):
        spec = Spec(space, {name: parse_axes(text) for name, text in given.items()})
        other = SPEC.apply(SPEC.sample(1, spaces=["h"]), A)
        if fails:
            with pytest.raises(LoadError, match="aligned, model 2 is another function"):
                merge([A, other], spec=spec, trial=trial)
        else:
            assert merge([A, other], spec=spec, trial=trial).alignments["model 2"]["same_function"]["same"]


def test_all_that_is_found_is_plain_data() -> None:
    aligned = merge([A, MOVED], spec=SPEC)
    assert json.loads(json.dumps(aligned.to_dict(), allow_nan=False))["alignments"]["model 2"]["cosine"]["after"] > 0.99
    done = merge([A, noisy(A, 1)], "superpose", features=3, trial=Trial(mlp(9), {"train": data()}, CROSS))
    told = json.loads(json.dumps(done.to_dict(), allow_nan=False))
    assert told["settings"] == {"scale": 1.0, "features": 3} and len(told["layers"]) == 6
    layer = next(one for one in told["layers"] if one["name"] == "2.weight")
    assert len(layer["interference"]) == len(layer["alignment"]) == 2 and layer["cosine"] > 0.98
    assert math.isclose(done.layers[0].cosine or 0, 0.995, abs_tol=0.01)
