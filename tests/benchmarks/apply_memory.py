"""Act on a 2 GB checkpoint: peak memory of the process and time, against a plain copy of the file.

    python tests/benchmarks/apply_memory.py [--layers 24] [--dtype bfloat16] [--folder /tmp]

A decoder with RMSNorm, grouped queries and SwiGLU; permutations of hidden units, heads and the stream, GL in every
head, O(d) on the stream with the gains folded, scales. The peak must stay below 1 GB, torch included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors import safe_open

from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec
from symcheck.weights.tensor_file import head_of, write_bytes

LIMIT = 1e9
STREAM, KV, GROUP, HEAD, VOCABULARY = 1024, 4, 4, 64, 65_536
# getrusage counts what the parent held when it forked: the kernel's own mark of this process is asked instead
CHILD = """
import sys
from pathlib import Path
from symcheck.cli.main import main
code = main(sys.argv[1:])
marks = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print("peak", int(marks["VmHWM"].split()[0]) * 1024)
sys.exit(code)
"""


def describe(layers: int) -> tuple[dict[str, tuple[tuple[int, ...], str]], Spec]:
    """Shapes and patterns of every tensor, and the spec."""
    hidden = 4 * STREAM
    query, key = KV * GROUP * HEAD, KV * HEAD
    tensors: dict[str, tuple[tuple[int, ...], str]] = {"embed": ((VOCABULARY, STREAM), ". res")}
    spaces = [Space("res", "permutation", STREAM)]
    writes, reads, gains = ["embed"], {}, {}
    for i in range(layers):
        h, kv, g, d, e = (f"{name}{i}" for name in ("h", "kv", "g", "d", "e"))
        block = {
            "q": ((query, STREAM), f"({kv} {g} {d}) res"), "k": ((key, STREAM), f"({kv} {d}') res"),
            "v": ((key, STREAM), f"({kv} {e}) res"), "o": ((STREAM, query), f"res ({kv} {g} {e}')"),
            "up": ((hidden, STREAM), f"{h} res"), "gate": ((hidden, STREAM), f"{h} res"),
            "down": ((STREAM, hidden), f"res {h}"), "norm1": ((STREAM,), "res"), "norm2": ((STREAM,), "res"),
        }  # fmt: skip
        tensors |= {f"layers.{i}.{name}": value for name, value in block.items()}
        writes += [f"layers.{i}.o", f"layers.{i}.down"]
        reads |= {f"layers.{i}.{name}": f"layers.{i}.norm1" for name in ("q", "k", "v")}
        reads |= {f"layers.{i}.{name}": f"layers.{i}.norm2" for name in ("up", "gate")}
        ends = {f"layers.{i}.up": (1,), f"layers.{i}.down": (-1,)}
        spaces += [
            Space(h, "permutation", hidden), Space(f"{h}_scale", "scale", hidden, on=h, exponents=ends),
            Space(kv, "permutation", KV), Space(g, "permutation", GROUP, over=(kv,)),
            Space(d, "general", HEAD, over=(kv,)), Space(e, "general", HEAD, over=(kv,)),
        ]  # fmt: skip
    tensors |= {"norm": ((STREAM,), "res"), "head": ((VOCABULARY, STREAM), ". res")}
    reads["head"] = "norm"
    gains = {name: ({gain: -1},) for name, gain in reads.items()}
    exponents = dict.fromkeys((*writes, *reads), (1,))
    spaces.append(Space("turn", "orthogonal", STREAM, on="res", exponents=exponents, gains=gains))
    axes = {name: parse_axes(text) for name, (_, text) in tensors.items()}
    return tensors, Spec({space.name: space for space in spaces}, axes)


def generate(path: Path, tensors: dict[str, tuple[tuple[int, ...], str]], dtype: torch.dtype) -> None:
    """Write generic weights, one tensor at a time."""
    rng = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(head_of({name: (dtype, shape) for name, (shape, _) in tensors.items()}, {}))
        for shape, _ in tensors.values():
            values = torch.randn(shape, generator=rng) * (1 if len(shape) == 1 else shape[-1] ** -0.5)
            write_bytes((values + 2 if len(shape) == 1 else values).to(dtype), file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--folder", default=None)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder))
    source, target, spec_file = folder / "net.safetensors", folder / "moved.safetensors", folder / "net.json"
    tensors, spec = describe(given.layers)
    try:
        generate(source, tensors, getattr(torch, given.dtype))
        spec.save(spec_file)
        print(f"{source.stat().st_size / 1e9:.2f} GB, {len(tensors)} tensors, {len(spec.spaces)} spaces")
        start = time.perf_counter()
        shutil.copyfile(source, folder / "copy.safetensors")
        os.sync()
        print(f"plain copy   {time.perf_counter() - start:6.1f} s")
        os.remove(folder / "copy.safetensors")
        kinds = ("permutation", "scale", "general", "orthogonal", "permutation,scale,general,orthogonal")
        peaks = [measure(source, spec_file, target, each) for each in kinds]
        good = max(peaks) < LIMIT and whole(target, tensors)
        print("ok" if good else "FAILS: the peak is above 1 GB, or the output is not whole")
        sys.exit(0 if good else 1)
    finally:
        shutil.rmtree(folder)


def whole(path: Path, tensors: dict[str, tuple[tuple[int, ...], str]]) -> bool:
    """Whether the file holds every tensor, all of finite entries."""
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        return names == set(tensors) and all(bool(file.get_tensor(name).isfinite().all()) for name in names)


def measure(source: Path, spec: Path, target: Path, kinds: str) -> float:
    """Run the command in a process of its own; print and return its peak resident memory."""
    target.unlink(missing_ok=True)
    command = [sys.executable, "-c", CHILD, "apply", source, "--spec", spec, "--kinds", kinds, "-o", target, "-q"]
    start = time.perf_counter()
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=True)
    os.sync()
    seconds = time.perf_counter() - start
    peak = float(done.stdout.split("peak ")[1])
    print(f"{'all' if ',' in kinds else kinds:<12} {seconds:6.1f} s   peak {peak / 1e6:6.0f} MB")
    return peak


if __name__ == "__main__":
    main()
