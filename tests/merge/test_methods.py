"""Every way of merging against its definition, on states whose merge is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from symcheck.errors import ConfigError, LoadError, SymcheckError
from symcheck.merge.isotropic import isotropic, isotropic_with_tasks, superposed
from symcheck.merge.layers import conflicts, interference, kept, subspace_alignment
from symcheck.merge.methods import elected, methods
from symcheck.merge.sources import Sources

NAMES = ("average", "slerp", "task", "ties", "dare", "dare-ties", "iso-c", "iso-cts", "superpose")
SHAPES = {"a.weight": (12, 10), "a.bias": (12,), "conv.weight": (6, 4, 3, 3), "norm.running_mean": (6,), "heat": ()}


def state(seed: int, size: float = 1.0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    found = {n: size * torch.randn(shape, generator=rng, dtype=torch.float64) for n, shape in SHAPES.items()}
    found["norm.running_var"] = torch.rand(6, generator=rng, dtype=torch.float64) + 0.5
    return {n: t.to(dtype) for n, t in found.items()} | {"norm.num_batches_tracked": torch.tensor(7 + seed)}


def moved(base: dict[str, Tensor], *updates: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Models at base + update; integers as in the update, running statistics positive."""
    return [
        {n: base[n] + u[n] if u[n].is_floating_point() else u[n] for n in base} for u in updates
    ]


BASE = state(0, 5.0)
MODELS = moved(BASE, state(1), state(2), state(3))


def close(a: dict[str, Tensor], b: dict[str, Tensor], tolerance: float = 1e-12) -> bool:
    return all(torch.allclose(a[n].double(), b[n].double(), rtol=tolerance, atol=tolerance) for n in b)


def test_all_methods_are_known() -> None:
    assert set(methods.names()) == set(NAMES)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_average_of_copies_is_the_model(count: int, dtype: torch.dtype) -> None:
    one = state(4, dtype=dtype)
    other = {n: t.clone() for n, t in one.items()}
    other["a.bias"] = torch.nextafter(one["a.bias"].float(), torch.tensor(9.0)).to(dtype)  # so that something differs
    merged = methods.get("average")(Sources((one,) * count))
    assert all(torch.equal(merged[n], one[n]) and merged[n].dtype == one[n].dtype for n in one)
    weighted = methods.get("average")(Sources((one, other)), weights=(1.0, 0.0))
    assert all(torch.equal(weighted[n], one[n]) for n in one)


@pytest.mark.parametrize("name", NAMES)
def test_merging_copies_of_the_base_returns_it(name: str) -> None:
    merged = methods.get(name)(Sources((BASE, {n: t.clone() for n, t in BASE.items()}), BASE))
    assert all(torch.equal(merged[n], BASE[n]) for n in BASE)


@pytest.mark.parametrize("name", NAMES)
def test_names_shapes_dtypes_integers_and_statistics(name: str) -> None:
    models = [{n: t.float() if t.is_floating_point() else t for n, t in m.items()} for m in MODELS[:2]]
    merged = methods.get(name)(Sources(tuple(models), BASE))
    assert [*merged] == [*BASE]
    assert all(merged[n].shape == t.shape and merged[n].dtype == t.dtype for n, t in models[0].items())
    assert int(merged["norm.num_batches_tracked"]) == 8
    for statistic in ("norm.running_mean", "norm.running_var"):  # a sum of variances may be negative
        assert torch.allclose(merged[statistic], (models[0][statistic] + models[1][statistic]) / 2)
    assert not torch.equal(merged["a.weight"], models[0]["a.weight"])


def test_weights_are_normalised_in_averages() -> None:
    merged = methods.get("average")(Sources(tuple(MODELS)), weights=(2.0, 1.0, 1.0))
    expected = {n: 0.5 * MODELS[0][n] + 0.25 * (MODELS[1][n] + MODELS[2][n]) for n in SHAPES}
    assert close(merged, expected)


def test_slerp_has_the_ends_and_keeps_the_norm() -> None:
    a, b = state(1), state(2)
    for n in SHAPES:
        b[n] = b[n] * (a[n].norm() / b[n].norm())
    sources = Sources((a, b))
    slerp = methods.get("slerp")
    for n in SHAPES:
        assert torch.equal(slerp(sources, t=0.0)[n], a[n])
        assert torch.equal(slerp(sources, t=1.0)[n], b[n])
    for n in ("a.weight", "a.bias", "conv.weight"):
        for t in (0.2, 0.5, 0.9):
            point = slerp(sources, t=t)[n]
            assert float(point.norm() / a[n].norm()) == pytest.approx(1, abs=1e-12)
            cosine = float((a[n] * point).sum() / a[n].norm() / point.norm())
            whole = float((a[n] * b[n]).sum() / a[n].norm() / b[n].norm())
            assert math.acos(cosine) == pytest.approx(t * math.acos(whole), abs=1e-9)


def test_slerp_takes_the_chord_where_there_is_no_arc() -> None:
    a = {"zero": torch.zeros(4), "along": torch.tensor([1.0, 2.0]), "against": torch.tensor([1.0, -1.0])}
    b = {"zero": torch.ones(4), "along": torch.tensor([2.0, 4.0]), "against": torch.tensor([-1.0, 1.0])}
    merged = methods.get("slerp")(Sources((a, b)), t=0.25)
    assert all(torch.allclose(merged[n], 0.75 * a[n] + 0.25 * b[n]) for n in a)


def test_task_arithmetic_adds_weighted_updates() -> None:
    merged = methods.get("task")(Sources(tuple(MODELS), BASE), weights=(1.0, 0.5, 0.0), scale=0.4)
    for n in ("a.weight", "a.bias", "conv.weight"):
        update = (MODELS[0][n] - BASE[n]) + 0.5 * (MODELS[1][n] - BASE[n])
        assert torch.allclose(merged[n], BASE[n] + 0.4 * update)


def test_ties_without_conflict_or_trimming_is_the_mean() -> None:
    updates = [{n: t.abs() + 0.1 if t.is_floating_point() else t for n, t in state(s).items()} for s in (1, 2, 3)]
    models = tuple(moved(BASE, *updates))
    assert close(methods.get("ties")(Sources(models, BASE), density=1.0), methods.get("average")(Sources(models)))


def test_ties_by_hand() -> None:
    base = {"w": torch.zeros(2, 3)}
    one = {"w": torch.tensor([[3.0, -1.0, 0.1], [2.0, 0.0, 5.0]])}
    two = {"w": torch.tensor([[1.0, 2.0, 0.2], [-2.0, -4.0, 0.3]])}
    # kept of the first: 3, 2, 5; of the second: 2, -2, -4. The fourth entry balances.
    expected = torch.tensor([[3.0, 2.0, 0.0], [0.0, -4.0, 5.0]])
    assert torch.equal(methods.get("ties")(Sources((one, two), base), density=0.5)["w"], expected)
    # all kept; signs + + + 0 - +; each the mean of those that agree
    expected = torch.tensor([[2.0, 2.0, 0.15], [0.0, -4.0, 2.65]])
    assert torch.allclose(methods.get("ties")(Sources((one, two), base), density=1.0)["w"], expected)


def test_election_weighs() -> None:
    updates = torch.tensor([[1.0, 1.0], [-3.0, -0.5]])
    assert elected(updates, torch.tensor([1.0, 1.0])).tolist() == [-3.0, 1.0]
    assert elected(updates, torch.tensor([4.0, 1.0])).tolist() == [1.0, 1.0]


def test_dare_is_unbiased_and_depends_on_seed_name_and_model() -> None:
    sources = Sources(tuple(MODELS[:2]), BASE)
    dare, whole = methods.get("dare"), methods.get("task")(sources)
    drawn = [dare(sources, density=0.5, seed=s) for s in range(400)]
    assert all(torch.equal(drawn[3][n], dare(sources, density=0.5, seed=3)[n]) for n in BASE)
    samples = torch.stack([torch.cat([d[n].flatten() for n in ("a.weight", "a.bias", "conv.weight")]) for d in drawn])
    expected = torch.cat([whole[n].flatten() for n in ("a.weight", "a.bias", "conv.weight")])
    z = (samples.mean(0) - expected) / (samples.std(0) / 20)
    assert float(z.abs().max()) < 5 and 0.85 < float(z.std()) < 1.15
    mask = [drawn[0]["a.weight"] == value for value in (BASE["a.weight"], whole["a.weight"])]
    assert 0.1 < float(mask[0].double().mean()) < 0.4  # both dropped: a quarter; one mask for both would drop a half


def test_dropping_nothing_is_task_arithmetic() -> None:
    sources = Sources(tuple(MODELS), BASE)
    assert close(methods.get("dare")(sources, density=1.0), methods.get("task")(sources))
    assert close(methods.get("dare-ties")(sources, density=1.0), methods.get("ties")(sources, density=1.0))


def test_isotropic_updates_have_one_singular_value() -> None:
    sources = Sources(tuple(MODELS), BASE)
    for name in ("iso-c", "iso-cts"):
        merged = methods.get(name)(sources)
        for n in ("a.weight", "conv.weight"):
            s = torch.linalg.svdvals((merged[n] - BASE[n]).flatten(1))
            assert float((s.max() - s.min()) / s.mean()) < 1e-12
        assert torch.allclose(merged["a.bias"], sum(m["a.bias"] for m in MODELS) / 3)
    summed = sum(m["a.weight"] - BASE["a.weight"] for m in MODELS)
    update = methods.get("iso-c")(sources)["a.weight"] - BASE["a.weight"]
    assert float(torch.linalg.svdvals(update)[0]) == pytest.approx(float(torch.linalg.svdvals(summed).mean()))
    u, _, v = torch.linalg.svd(summed, full_matrices=False)
    assert torch.allclose(update / update.norm(), u @ v / (u @ v).norm())


def test_isotropic_with_tasks() -> None:
    updates = torch.stack([m["a.weight"] - BASE["a.weight"] for m in MODELS])
    assert torch.allclose(isotropic_with_tasks(updates, 1.0), isotropic(updates))
    # of rank 10, 0.6 -> 6 common and round(4 / 3) = 1 of each task, so 7 common
    merged = isotropic_with_tasks(updates, 0.6)
    u, s, _ = torch.linalg.svd(updates.sum(0), full_matrices=False)
    left = updates - u[:, :7] @ (u[:, :7].mT @ updates)
    sizes = [*s[:7].tolist(), *(float(torch.linalg.svdvals(each)[0]) for each in left)]
    assert float(torch.linalg.svdvals(merged)[0]) == pytest.approx(sum(sizes) / 10)
    # what only one task has, and the sum does not show, is kept beside the common directions
    eye = torch.eye(8, dtype=torch.float64)
    tasks = torch.stack([4 * torch.diag(eye[:4].sum(0)) + 2 * torch.outer(eye[i], eye[i]) for i in (6, 7)])
    merged = isotropic_with_tasks(tasks, 0.75)
    assert float(merged[6, 6]) == pytest.approx(float(merged[7, 7])) == pytest.approx(float(merged[0, 0]))


def low_rank(seed: int, ranks: tuple[int, ...], rows: int, columns: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    draw = [
        torch.randn(rows, k, generator=rng, dtype=torch.float64)
        @ torch.randn(k, columns, generator=rng, dtype=torch.float64)
        for k in ranks
    ]
    return torch.stack(draw)


@pytest.mark.parametrize("ranks", [(3, 5), (2, 2, 2), (1, 7)])
def test_superposition_is_exact_where_there_is_room(ranks: tuple[int, ...]) -> None:
    updates = low_rank(1, ranks, 20, 16)
    merged = superposed(updates)
    for each in updates:
        u, s, v = torch.linalg.svd(each, full_matrices=False)
        k = int((s > 1e-9).sum())
        assert float(((v[:k] @ merged.mT).mT - u[:, :k] * s[:k]).norm() / s.norm()) < 1e-12
    assert max(interference(merged, updates)) < 1e-11
    assert max(interference(updates.sum(0), updates)) > 0.1  # the sum is not exact


def test_superposition_of_full_ranks_stays_small() -> None:
    updates = low_rank(2, (16, 16), 20, 16)
    assert float(superposed(updates).norm()) < 2 * float(updates[0].norm())
    full = superposed(updates, features=8)
    u, s, v = torch.linalg.svd(updates[0], full_matrices=False)
    assert float(((v[:8] @ full.mT).mT - u[:, :8] * s[:8]).norm() / s.norm()) < 1e-10


def test_task_columns_within_the_merged_space_are_aligned() -> None:
    updates = low_rank(3, (2, 3), 20, 16)
    assert min(subspace_alignment(10 * updates[0] + 10 * updates[1], updates)) > 0.95
    left = torch.linalg.qr(torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    within = left @ low_rank(4, (4, 4), 4, 16)
    merged = left @ torch.eye(4, 16, dtype=torch.float64)
    assert subspace_alignment(merged, within) == pytest.approx([1, 1], abs=1e-12)
    outside = within - merged @ (merged.mT @ within) + low_rank(5, (2, 2), 20, 16)
    assert max(subspace_alignment(merged, outside)) < 0.9


@pytest.mark.parametrize("shape", [(20, 9), (9, 20), (12, 12)])
def test_subspaces_are_those_of_the_singular_vectors(shape: tuple[int, int]) -> None:
    updates = low_rank(6, (3, 3), *shape) + 0.02 * low_rank(7, (9, 9), *shape)
    merged = updates.sum(0)

    def fewest(m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, s, v = torch.linalg.svd(m, full_matrices=False)
        k = next(k for k in range(len(s) + 1) if float(s[k:].norm()) <= 0.05 * float(s.norm()))
        return u[:, :k], v[:k], s

    u = fewest(merged)[0]
    assert u.shape[1] < 9  # something is left out
    expected = [float((u @ u.mT @ each).norm() / each.norm()) for each in updates]
    assert subspace_alignment(merged, updates) == pytest.approx(expected, rel=1e-9)
    rows = [fewest(each)[1] for each in updates]
    expected = [
        float(((merged - each) @ v.mT).norm() / (each @ v.mT).norm()) for each, v in zip(updates, rows, strict=True)
    ]
    assert interference(merged, updates) == pytest.approx(expected, rel=1e-9)
    models = tuple({"w": each} for each in updates)
    (layer,) = kept(Sources(models), {"w": merged})
    p = fewest(merged)[2] / fewest(merged)[2].sum()
    assert layer.rank == pytest.approx(float((-(p * p.log()).sum()).exp()))


def test_planted_sign_conflicts_are_counted() -> None:
    update = state(1)["a.weight"].abs() + 0.1
    other = update.clone()
    other.view(-1)[:17] *= -1
    assert conflicts(torch.stack([update, other])) == 17 / 120
    assert conflicts(torch.stack([update, torch.zeros_like(update)])) == 0
    sources = Sources(({"w": 2 + update}, {"w": 2 + other}), {"w": torch.full_like(update, 2)})
    (layer,) = kept(sources, methods.get("average")(sources))
    assert layer.conflict == 17 / 120
    assert layer.cosine == pytest.approx(float((update * other).sum() / update.norm() / other.norm()))
    assert layer.least_cosine == layer.cosine
    assert layer.change[0] == pytest.approx(float(update.norm()) / (2 * 120**0.5))


def test_one_layer_without_an_update() -> None:
    base = {"w": torch.ones(4, 4), "v": torch.ones(4, 4)}
    models = ({"w": torch.eye(4), "v": torch.ones(4, 4)}, {"w": torch.ones(4, 4), "v": torch.ones(4, 4)})
    (layer,) = kept(Sources(models, base), methods.get("task")(Sources(models, base)))
    assert layer.name == "w" and layer.cosine is None and layer.alignment == ()


def test_tied_tensors_count_once() -> None:
    def tied(s: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"emb": s["a.weight"], "other": s["a.bias"], "head": s["a.weight"].clone()}

    sources = Sources(tuple(map(tied, MODELS)), tied(BASE))
    assert sources.ties == {"head": "emb"} and sources.names == ["emb", "other"]
    for name in ("dare", "ties", "iso-c"):
        merged = methods.get(name)(sources)
        assert torch.equal(merged["emb"], merged["head"])
    untied = [dict(s, head=s["head"] + i) for i, s in enumerate(map(tied, MODELS))]
    assert not Sources(tuple(untied), tied(BASE)).ties


def test_what_is_equal_everywhere_is_kept() -> None:
    mask = torch.full((3, 3), -math.inf).triu(1)
    models = [{"mask": mask, "w": m["a.weight"]} for m in MODELS]
    for name in NAMES:
        count = 2 if name == "slerp" else 3
        merged = methods.get(name)(Sources(tuple(models[:count]), {"mask": mask.clone(), "w": BASE["a.weight"]}))
        assert torch.equal(merged["mask"], mask) and bool(torch.isfinite(merged["w"]).all())


def test_complex_tensors_are_merged_by_entries() -> None:
    a, b = (torch.complex(s["a.weight"], s["a.weight"].flip(0)).to(torch.complex64) for s in MODELS[:2])
    for name in ("average", "superpose"):
        merged = methods.get(name)(Sources(({"w": a}, {"w": b})))["w"]
        assert merged.dtype == torch.complex64 and torch.allclose(merged, (a + b) / 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"a.bias": torch.ones(13)}, "'a.bias' is (13,), not (12,)"),
        ({"a.bias": torch.ones(12, dtype=torch.int64)}, "'a.bias' holds torch.int64"),
        ({"new": torch.ones(1)}, "'new' is not expected"),
        ({"a.bias": torch.full((12,), math.nan, dtype=torch.float64)}, "NaN"),
    ],
)
def test_states_that_do_not_fit_are_refused(change: dict[str, Tensor], words: str) -> None:
    with pytest.raises(LoadError) as caught:
        Sources((BASE, MODELS[0] | change))
    assert words in str(caught.value)
    with pytest.raises(LoadError, match="the base"):
        Sources((BASE, MODELS[0]), MODELS[1] | change)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("average", {"density": 0.5}, "no setting 'density'"),
        ("average", {"weights": (1.0, 2.0)}, "2 weights for 3"),
        ("average", {"weights": (1.0, -2.0, 1.0)}, "at least 0"),
        ("average", {"weights": (0.0, 0.0, 0.0)}, "at least 0"),
        ("average", {"weights": (math.nan, 1.0, 1.0)}, "at least 0"),
        ("slerp", {}, "joins two checkpoints, not 3"),
        ("ties", {"density": 0.0}, "no share"),
        ("dare", {"density": 1.5}, "no share"),
        ("iso-cts", {"common_share": -0.1}, "no share"),
        ("superpose", {"features": 0}, "too few"),
    ],
)
def test_settings_that_mean_nothing_are_refused(name: str, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        methods.get(name)(Sources(tuple(MODELS), BASE), **settings)


@pytest.mark.parametrize("name", ["task", "ties", "dare", "dare-ties", "iso-c", "iso-cts"])
def test_updates_need_a_base(name: str) -> None:
    with pytest.raises(ConfigError, match="from a base, and there is none"):
        methods.get(name)(Sources(tuple(MODELS[:2])))


def test_one_model_is_not_merged_and_a_misspelt_method_is_corrected() -> None:
    with pytest.raises(ConfigError, match="not merged"):
        Sources((BASE,))
    with pytest.raises(SymcheckError, match="did you mean 'slerp'"):
        methods.get("slurp")
