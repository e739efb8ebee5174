"""Shards: their parts are together what one run measures, and nothing else is taken for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_cases import Net, assert_same, audited, images, shards
from torch import Tensor

from symcheck.engines.shards import join
from symcheck.errors import ConfigError, DataError, LoadError
from symcheck.measure.piece_file import load_pieces
from symcheck.measure.runner import measuring
from symcheck.measure.session import audit_runner
from symcheck.measure.worst import load_worst, replay
from symcheck.report.merging import merge
from symcheck.report.model import Report
from symcheck.report.write import parts_file
from symcheck.subject import as_subject

Shards = list[tuple[Path, Report]]


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_all_shards_together_are_one_run(tmp_path: Path, count: int) -> None:
    made = shards(tmp_path, count)
    joined = join(made)
    assert_same(joined, audited())
    assert [report.settings["shard"] for _, report in made] == [f"{i}/{count}" for i in range(1, count + 1)]
    assert joined.settings["shards"] == count and "shard" not in joined.settings
    assert joined.forwards == sum(report.forwards for _, report in made)


def test_a_shard_may_hold_no_element(tmp_path: Path) -> None:
    made = shards(tmp_path, 4, claims=["C4: image -> invariant"])  # three elements
    assert [len(report.findings) for _, report in made] == [0, 1, 0, 1]
    assert [f.counts.elements for _, report in made for f in report.findings] == [2, 1]
    assert not any(f.counts.exhaustive for _, report in made for f in report.findings)
    joined = join(made)
    assert_same(joined, audited(claims=["C4: image -> invariant"]))
    assert joined.findings[0].counts.exhaustive


def test_proposed_claims_are_joined_too(tmp_path: Path) -> None:
    assert_same(join(shards(tmp_path, 2, claims=None, elements=4)), audited(claims=None, elements=4))


def test_an_exact_network_stays_exact(tmp_path: Path) -> None:
    def norm(x: Tensor) -> Tensor:
        return torch.stack([x.square().sum((1, 2, 3)), x.abs().sum((1, 2, 3)).sqrt()], 1)

    made = shards(tmp_path, 3, net=norm)
    joined, alone = join(made), audited(norm)
    assert [str(f.verdict) for f in joined.findings] == [str(f.verdict) for f in alone.findings] == ["exact"] * 4
    assert [f.counts for f in joined.findings] == [f.counts for f in alone.findings]


def test_nan_in_one_shard_is_invalid_in_all(tmp_path: Path) -> None:
    def hurt(x: Tensor) -> Tensor:
        return torch.where(x[:, :1, 0, 0] == images()[0, 0, 7, 7], torch.nan, x[:, 0, 0, :1])

    joined = join(shards(tmp_path, 2, net=hurt, claims=["C4: image -> invariant"]))
    assert [str(f.verdict) for f in joined.findings] == ["invalid"]


def test_worst_pairs_are_those_of_all_and_can_be_replayed(tmp_path: Path) -> None:
    found = join(shards(tmp_path, 3), tmp_path / "all.worst.safetensors")
    alone = audited(save=tmp_path / "one.worst.safetensors")
    assert_same(found, alone)
    pairs, origin = load_worst(tmp_path / "all.worst.safetensors")
    expected, expected_origin = load_worst(tmp_path / "one.worst.safetensors")
    assert origin == expected_origin
    for i, (pair, other) in enumerate(zip(pairs, expected, strict=True)):
        assert torch.equal(pair.element, other.element) and pair.error == pytest.approx(other.error, rel=1e-12)
        assert pair.spread == pytest.approx(other.spread, rel=1e-12)
        runner = audit_runner(as_subject(Net()), pair, None, "as-is")
        with measuring(runner):
            assert replay(pair, runner) == pytest.approx(pair.error, rel=1e-9)
        assert found.findings[i].worst and found.findings[i].worst.file.endswith(f"all.worst.safetensors#{i}")


def other_seed(made: Shards, folder: Path) -> Shards:
    return [made[0], shards(folder, 2, seed=1)[1]]


def other_weights(made: Shards, folder: Path) -> Shards:
    return [made[0], shards(folder, 2, net=Net(5))[1]]


def other_data(made: Shards, folder: Path) -> Shards:
    return [made[0], shards(folder, 2, inputs=images(2))[1]]


def other_elements(made: Shards, folder: Path) -> Shards:
    return [made[0], shards(folder, 2, elements=14)[1]]


def other_claims(made: Shards, folder: Path) -> Shards:
    return [made[0], shards(folder, 2, claims=["C4: image -> invariant"])[1]]


def other_search(made: Shards, folder: Path) -> Shards:
    return [made[0], shards(folder, 2, worst=True)[1]]


def other_version(made: Shards, folder: Path) -> Shards:
    path = parts_file(made[1][0])
    from symcheck.measure.piece_file import save_pieces

    pieces, about = load_pieces(path)
    save_pieces(path, pieces, {**about, "job": {**about["job"], "version of symcheck": "0.0.1"}})
    return made


def swapped_parts(made: Shards, folder: Path) -> Shards:
    one, two = (parts_file(path) for path, _ in made)
    one.rename(folder / "kept"), two.rename(one), (folder / "kept").rename(two)
    return made


def flipped_bit(made: Shards, folder: Path) -> Shards:
    path = parts_file(made[1][0])
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    return made


def cut_short(made: Shards, folder: Path) -> Shards:
    path = parts_file(made[1][0])
    path.write_bytes(path.read_bytes()[:-100])
    return made


def no_parts(made: Shards, folder: Path) -> Shards:
    parts_file(made[1][0]).unlink()
    return made


def a_whole_report(made: Shards, folder: Path) -> Shards:
    path, report = made[1]
    return [made[0], (path, replace(report, settings={k: v for k, v in report.settings.items() if k != "shard"}))]


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (other_seed, "differ in their seed"),
        (other_weights, "differ in their weights"),
        (other_data, "digest of the data"),
        (other_elements, "differ in their elements"),
        (other_claims, "differ in their claims"),
        (other_search, "differ in their search"),
        (other_version, "differ in their version of symcheck"),
        (swapped_parts, "differ in their number"),
        (flipped_bit, "damaged"),
        (cut_short, "cannot be read"),
        (no_parts, "cannot be read"),
        (a_whole_report, "no shard"),
        (lambda made, folder: made[:1], "shard 2/2 is missing"),
        (lambda made, folder: [*made, made[1]], "shard 2/2 is there twice"),
        (lambda made, folder: [made[0], shards(folder, 3)[1]], "shards of 2 and 3"),
    ],
)
def test_what_is_no_shard_of_the_same_audit_is_refused(
    tmp_path: Path, harm: Callable[[Shards, Path], Shards], says: str
) -> None:
    (tmp_path / "other").mkdir()
    made = shards(tmp_path, 2)
    with pytest.raises((LoadError, DataError), match=says):
        join(harm(made, tmp_path / "other"))


def test_shards_are_no_reports_to_be_merged_by_claim(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="shard of elements"):
        merge([(str(path), report) for path, report in shards(tmp_path, 2)])


@pytest.mark.parametrize(
    "options",
    [
        {"shard": (0, 2)}, {"shard": (3, 2)}, {"shard": (1, 2), "scheduler": "tcp://127.0.0.1:1"},
        {"devices": ["cpu"], "scheduler": "tcp://127.0.0.1:1"}, {"devices": []},
        {"devices": ["cpu"], "device": "cuda:1"}, {"parts": Path("x.safetensors")},
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(options: dict[str, object]) -> None:
    net = Net()
    with pytest.raises(ConfigError):
        audited(net, **options)
    assert not net.calls


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"sahrd.*shard"):
        audited(sahrd=(1, 2))


def test_the_report_of_a_shard_is_plain_json(tmp_path: Path) -> None:
    path, _ = shards(tmp_path, 4, claims=["C4: image -> invariant"])[3]
    assert json.loads(path.read_text())["settings"]["shard"] == "4/4"
