"""A checkpoint on disk, tensor by tensor: bit for bit as in memory, same heads, nothing left behind."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from spec_networks import NETWORKS, Network
from torch import Tensor

from symcheck.errors import ConfigError, LoadError, SymcheckError
from symcheck.weights import tensor_file
from symcheck.weights.stream import INDEX, Applied, apply_to_files, open_checkpoint
from symcheck.weights.tensor_file import DTYPES, TensorFile, write_tensors


def run(network: Network, source: Path, target: Path, seed: int = 0, **options: bool) -> Applied:
    return apply_to_files(network.spec, network.spec.sample(seed), open_checkpoint(source), target, **options)


def save(state: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: x.clone().contiguous() for name, x in state.items()}, path, {"format": "pt", "note": "kept"})


def shard(state: Mapping[str, Tensor], folder: Path, count: int = 3) -> dict[str, str]:
    """Split a state dict over files with an index."""
    folder.mkdir()
    where = {name: f"model-{i % count + 1:05}-of-{count:05}.safetensors" for i, name in enumerate(state)}
    for file in sorted(set(where.values())):
        save({name: x for name, x in state.items() if where[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return where


def head(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: 8 + int.from_bytes(data[:8], "little")]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_streamed_is_in_memory_bit_for_bit(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    network = NETWORKS[name]
    state = {key: x.to(dtype) for key, x in network.state.items()}
    source, target = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save(state, source)
    for inverse in (False, True):
        run(network, source, target, inverse=inverse)
        expected = network.spec.apply(network.spec.sample(0), load_file(source), inverse=inverse)
        found = load_file(target)
        assert found.keys() == state.keys()
        assert all(x.dtype == dtype and torch.equal(x, expected[key]) for key, x in found.items())
        assert head(target) == head(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("by_index", [False, True])
@pytest.mark.parametrize("name", ["grouped-queries", "sigmoid", "stream-rms"])
def test_shards_are_kept(tmp_path: Path, name: str, by_index: bool) -> None:
    """What terms and gains read may be in another shard."""
    network = NETWORKS[name]
    source, target = tmp_path / "a", tmp_path / "b"
    where = shard(network.state, source)
    (source / "config.json").write_text("{}")
    run(network, source / INDEX if by_index else source, target)
    expected = network.spec.apply(network.spec.sample(0), network.state)
    for key, file in where.items():
        assert torch.equal(load_file(target / file)[key], expected[key])
        assert head(target / file) == head(source / file)
    assert (target / INDEX).read_bytes() == (source / INDEX).read_bytes()
    assert sorted(p.name for p in target.iterdir()) == [*sorted(set(where.values())), INDEX]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_without_an_index(tmp_path: Path) -> None:
    network = NETWORKS["mlp"]
    shard(network.state, tmp_path / "a")
    (tmp_path / "a" / INDEX).unlink()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("stays")
    run(network, tmp_path / "a", tmp_path / "b")
    assert len([*(tmp_path / "b").glob("*.safetensors")]) == 3 and (tmp_path / "b" / "mine.txt").exists()
    save({"w1": torch.ones(2)}, tmp_path / "a" / "zz.safetensors")
    with pytest.raises(LoadError, match="'w1' stands in two files"):
        open_checkpoint(tmp_path / "a")


def test_the_summary_counts(tmp_path: Path) -> None:
    network = NETWORKS["conv-flatten"]
    save({**network.state, "extra": torch.ones(7)}, tmp_path / "a.safetensors")
    element = network.spec.sample(0, spaces=["c_out"])
    source = open_checkpoint(tmp_path / "a.safetensors")
    seen: list[tuple[int, int]] = []
    done = apply_to_files(
        network.spec, element, source, tmp_path / "b.safetensors", progress=lambda i, n: seen.append((i, n))
    )
    assert [space.name for space in done.spaces] == ["c_out"]
    assert (set(done.changed), set(done.unnamed)) == ({"gain", "bias", "out"}, {"extra"})
    assert set(done.untouched) == {"w", "b", "mean", "var"}
    assert done.acted == 6 + 6 + 4 * 96 and done.entries == sum(x.numel() for x in network.state.values()) + 7
    assert seen == [(i + 1, 8) for i in range(8)]


@pytest.mark.parametrize("kept", [("enc", "b"), ("dec", "b"), ("enc", "dec", "b")])
def test_a_file_may_hold_either_name_of_tied_tensors(tmp_path: Path, kept: tuple[str, ...]) -> None:
    network = NETWORKS["tied"]
    save({name: network.state[name] for name in kept}, tmp_path / "a.safetensors")
    done = run(network, tmp_path / "a.safetensors", tmp_path / "b.safetensors", seed=1)
    expected = network.spec.apply(network.spec.sample(1), network.state)
    found = load_file(tmp_path / "b.safetensors")
    assert found.keys() == set(kept) and all(torch.equal(x, expected[name]) for name, x in found.items())
    assert done.entries == 4 * 7 + 4


def test_dtypes_that_nothing_acts_on_are_copied(tmp_path: Path) -> None:
    """Every dtype of the format beside an acted tensor, one that we cannot read among them."""
    state = {f"x{i}": torch.arange(6).to(dtype) for i, dtype in enumerate(DTYPES.values())}
    path = tmp_path / "a.safetensors"
    write_tensors({**NETWORKS["mlp"].state, **state}, path, {"who": "me"})
    raw = path.read_bytes().replace(b'"dtype":"F8_E5M2"', b'"dtype":"F8_E8M0"')
    path.write_bytes(raw)
    run(NETWORKS["mlp"], path, tmp_path / "b.safetensors")
    before, after = TensorFile.open(path), TensorFile.open(tmp_path / "b.safetensors")
    assert after.metadata == {"who": "me"} and before.head == after.head
    for name in state:
        entry = before.entries[name]
        moved = (tmp_path / "b.safetensors").read_bytes()[entry.start : entry.stop]
        assert moved == raw[entry.start : entry.stop]
    with pytest.raises(LoadError, match="stored as F8_E8M0"):
        before.read(next(name for name in state if before.entries[name].dtype == "F8_E8M0"))


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_written_files_are_read_by_others(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).to(dtype), "scalar": torch.ones((), dtype=dtype)}
    tensors |= {"empty": torch.zeros((0, 3), dtype=dtype), "view": torch.arange(6).reshape(2, 3).to(dtype).T}
    path = tmp_path / "x.safetensors"
    write_tensors(tensors, path, {"k": "v"})
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"k": "v"} and {*file.keys()} == set(tensors)
        for name, x in tensors.items():
            found, ours = file.get_tensor(name), TensorFile.open(path).read(name)
            for each in (found, ours):
                assert each.dtype == dtype and each.shape == x.shape
                assert each.contiguous().reshape(-1).view(torch.uint8).tolist() == (
                    x.contiguous().reshape(-1).view(torch.uint8).tolist()
                )
    assert len(head(path)) % 8 == 0


def test_a_dtype_that_the_format_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'x' holds torch"):
        write_tensors({"x": torch.zeros(2, dtype=torch.complex128)}, tmp_path / "x.safetensors")
    assert not [*tmp_path.iterdir()]


def test_the_output_is_never_the_input(tmp_path: Path) -> None:
    network = NETWORKS["mlp"]
    source = tmp_path / "a.safetensors"
    save(network.state, source)
    (tmp_path / "link.safetensors").symlink_to(source)
    (tmp_path / "hard.safetensors").hardlink_to(source)
    before = source.read_bytes()
    for target in (source, tmp_path / "link.safetensors", tmp_path / "hard.safetensors"):
        with pytest.raises(ConfigError, match="the output is the input"):
            run(network, source, target)
    shard(network.state, tmp_path / "folder")
    with pytest.raises(ConfigError, match="the output is the input"):
        run(network, tmp_path / "folder", tmp_path / "folder")
    with pytest.raises(ConfigError, match="must be a file"):
        run(network, source, tmp_path / "folder")
    with pytest.raises(ConfigError, match="must be a folder"):
        run(network, tmp_path / "folder", source)
    with pytest.raises(ConfigError, match="does not exist"):
        run(network, source, tmp_path / "none" / "b.safetensors")
    assert source.read_bytes() == before


def test_nothing_is_left_behind_by_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk and an interrupt in the middle: no output, no temporary file, and an old output unharmed."""
    network = NETWORKS["mlp"]
    source, target = tmp_path / "a", tmp_path / "b"
    shard(network.state, source)
    real, left = tensor_file.write_bytes, [3]

    def failing(tensor: Tensor, file: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise errors[0]
        real(tensor, file)  # type: ignore[arg-type]

    monkeypatch.setattr(tensor_file, "write_bytes", failing)
    full = OSError(28, "No space left on device")
    for error, seen in ((full, SymcheckError), (KeyboardInterrupt(), KeyboardInterrupt)):
        errors, left[0] = [error], 3
        with pytest.raises(seen):
            run(network, source, target)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]
    monkeypatch.undo()
    run(network, source, target)
    old = {path.name: path.read_bytes() for path in target.iterdir()}
    monkeypatch.setattr(tensor_file, "write_bytes", failing)
    left[0] = 3
    with pytest.raises(KeyboardInterrupt):
        run(network, source, target, seed=5)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == old


def test_a_misfit_writes_nothing(tmp_path: Path) -> None:
    network = NETWORKS["mlp"]
    state = {**network.state, "w2": torch.ones(6, 9)}
    save(state, tmp_path / "a.safetensors")
    with pytest.raises(LoadError, match="'w2' of shape"):
        run(network, tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    del state["w2"], state["b1"]
    save(state, tmp_path / "a.safetensors")
    with pytest.raises(LoadError, match="2 tensors that are missing"):
        run(network, tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cannot be read"),
        (b"\xff" * 16, "cannot be read"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}tail", "cannot be read"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(LoadError, match=problem):
        open_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ("{", "the index cannot be read"),
        ("{}", "the index cannot be read: KeyError"),
        ('{"weight_map": 3}', "the index cannot be read"),
        ('{"weight_map": {"w1": "../a.safetensors"}}', "which is no file beside it"),
        ('{"weight_map": {"w1": "none.safetensors"}}', "which is no file beside it"),
        ('{"weight_map": {"nothing": "model-00001-of-00003.safetensors"}}', "no shard holds 'nothing'"),
    ],
)
def test_damaged_indices_are_named(tmp_path: Path, index: str, problem: str) -> None:
    shard(NETWORKS["mlp"].state, tmp_path / "a")
    open_checkpoint(tmp_path / "a")
    (tmp_path / "a" / INDEX).write_text(index)
    with pytest.raises(LoadError) as error:
        open_checkpoint(tmp_path / "a")
    assert problem in error.value.message


def test_an_empty_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="holds no safetensors"):
        open_checkpoint(tmp_path)
    with pytest.raises(LoadError, match="cannot be read"):
        open_checkpoint(tmp_path / "none.safetensors")


def test_memory_holds_one_tensor_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file is rewritten no two of its tensors are alive, but for what terms and gains read."""
    network = NETWORKS["gated-unit"]
    save(network.state, tmp_path / "a.safetensors")
    alive: list[weakref.ref[Tensor]] = []
    most = [0]
    real = TensorFile.read

    def counting(self: TensorFile, name: str) -> Tensor:
        tensor = real(self, name)
        alive.append(weakref.ref(tensor))
        most[0] = max(most[0], sum(ref() is not None for ref in alive))
        return tensor

    monkeypatch.setattr(TensorFile, "read", counting)
    run(network, tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert len(alive) == 3 and most[0] == 1
