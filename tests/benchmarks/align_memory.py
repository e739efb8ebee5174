"""Align two decoders that do not fit: peak memory of the process, time, recovered units, reads of every tensor.

    python tests/benchmarks/align_memory.py [--gigabytes 2.5] [--dtype bfloat16] [--folder /tmp] [--kill]

B is A re-labelled (heads, groups of heads, hidden units, the stream), turned within its heads, with noise. Both are
folders of shards. The peak must stay below 2.5 GB. With --kill one run is killed halfway and another
is asked to end; a third one goes on, and what it writes must be what a run of its own writes.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from decoders import Sizes, decoder, hidden_by

from symcheck.weights.element import inverse, load_element
from symcheck.weights.spec import Spec
from symcheck.weights.stream import INDEX, apply_to_files, open_checkpoint
from symcheck.weights.tensor_file import TensorFile, head_of, write_bytes

LIMIT, SHARD = 2.5e9, 5e8  # bytes
LAYER = 45_092_864  # entries of a layer of these sizes
NOISE = 0.1  # of the size of an entry
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.5, help="of each checkpoint")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--kill", action="store_true", help="also stop it twice and go on")
    given = parser.parse_args()
    dtype = getattr(torch, given.dtype)
    words = min(32_000, int(given.gigabytes * 4e6))
    layers = max(1, round((given.gigabytes * 1e9 / dtype.itemsize - 2 * words * 2048) / LAYER))
    sizes = Sizes(stream=2048, hidden=5632, kv=4, group=4, width=128, words=words, layers=layers)
    with room(given.folder, 5 * given.gigabytes * 1e9) as folder:
        spec, element = generate(folder, sizes, dtype)
        size = sum(path.stat().st_size for path in (folder / "a").iterdir())
        print(f"{size / 1e9:.2f} GB each, {layers} layers, {len(spec.spaces)} spaces")
        peak = measured(folder, "whole")
        good = recovered(folder, spec, element) and peak < LIMIT
        if given.kill:
            good = stopped(folder) and good
        left = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
        print("ok" if good and not left else f"FAILS {left}")
        sys.exit(0 if good and not left else 1)


@contextmanager
def room(parent: str | None, needed: float) -> Iterator[Path]:
    """A folder of its own, which is removed; refused where the disk is too full."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        if shutil.disk_usage(folder).free < 1.2 * needed:
            sys.exit(f"{folder} has no room for {needed / 1e9:.0f} GB")
        yield folder
    finally:
        shutil.rmtree(folder)


def generate(folder: Path, sizes: Sizes, dtype: torch.dtype) -> tuple[Spec, dict[str, Tensor]]:
    """Write A, B and the spec; what B was made with is returned."""
    tensors, spec = decoder(sizes)
    rng = torch.Generator().manual_seed(0)
    shards: list[list[str]] = [[]]
    for name in tensors:
        if sum(torch.Size(tensors[n][0]).numel() for n in (*shards[-1], name)) * dtype.itemsize > SHARD and shards[-1]:
            shards.append([])
        shards[-1].append(name)
    (folder / "a").mkdir()
    for k, names in enumerate(shards):
        with (folder / "a" / f"{k + 1:02}.safetensors").open("wb") as file:
            file.write(head_of({name: (dtype, tensors[name][0]) for name in names}, {"format": "pt"}))
            for name in names:
                shape = tensors[name][0]
                values = torch.randn(shape, generator=rng)
                write_bytes((values * shape[-1] ** -0.5 if len(shape) > 1 else 1 + 0.3 * values).to(dtype), file)
    where = {name: f"{k + 1:02}.safetensors" for k, names in enumerate(shards) for name in names}
    (folder / "a" / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    element = hidden_by(spec, 1)
    apply_to_files(spec, element, open_checkpoint(folder / "a"), folder / "b")

    def noisy(file: TensorFile, name: str) -> Tensor:
        tensor = file.read(name)
        noise = torch.randn(tensor.shape, generator=rng) * (NOISE * tensor.float().square().mean().sqrt())
        return (tensor.float() + noise).to(tensor.dtype)

    for path in sorted((folder / "b").glob("*.safetensors")):
        file = TensorFile.open(path)
        file.rewrite(folder / "noisy", lambda name, file=file: noisy(file, name))
        (folder / "noisy").replace(path)
    spec.save(folder / "spec.json")
    return spec, element


def begun(folder: Path, target: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    words = ["align", folder / "a", folder / "b", "--spec", folder / "spec.json", "-o", folder / target, "--stream"]
    words += ["--save-element", folder / f"{target}.safetensors", "--report", folder / f"{target}.json"]
    return subprocess.Popen([sys.executable, "-c", CHILD, *map(str, words)], stdout=subprocess.PIPE, text=True)


def measured(folder: Path, target: str) -> float:
    """Run the command to its end; print and return its peak of resident memory."""
    start = time.perf_counter()
    text = begun(folder, target).communicate()[0]
    seconds, peak = time.perf_counter() - start, float(text.split("peak ")[1])
    streamed = json.loads((folder / f"{target}.json").read_text())["streamed"]
    print(f"{seconds:7.1f} s   peak {peak / 1e6:5.0f} MB   reads {streamed['reads']}   resumed {streamed['resumed']}")
    return peak


def recovered(folder: Path, spec: Spec, element: dict[str, Tensor]) -> bool:
    """Whether the element that was found takes back what B was made with, for units that are over nothing."""
    found, good, units = load_element(folder / "whole.safetensors"), 0, 0
    for name, space in spec.spaces.items():
        if space.kind == "permutation" and not space.over:
            good += int((found[name] == inverse(space, element[name])).sum())
            units += space.size
    record = json.loads((folder / "whole.json").read_text())["alignments"][0]
    before, after = record["cosine"]["before"], record["cosine"]["after"]
    print(f"{good} of {units} units recovered, cosine {before:.4f} -> {after:.4f}")
    return good == units and after > 0.99


def stopped(folder: Path) -> bool:
    """Kill a run, ask the next one to end, and let a third one finish; whether that one is as good as a whole one."""
    seconds = json.loads((folder / "whole.json").read_text())["seconds"]
    for how in (signal.SIGKILL, signal.SIGTERM):
        process, state = begun(folder, "again"), folder / ".again.align.safetensors"
        while not state.is_file() and process.poll() is None:
            time.sleep(1)
        time.sleep(seconds / 3)
        process.send_signal(how)
        code = process.wait()
        print(f"{how.name}: exit code {code}, state kept: {state.is_file()}, output: {(folder / 'again').exists()}")
    peak = measured(folder, "again")
    same = [
        filecmp.cmp(path, folder / "again" / path.name, shallow=False) for path in sorted((folder / "whole").iterdir())
    ]
    print(f"{sum(same)} of {len(same)} files are the same")
    return all(same) and peak < LIMIT


if __name__ == "__main__":
    main()
