"""What `symcheck align` does where tensors stay on disk: begin or go on, write, and leave nothing half-done."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from symcheck.align.resume import Keeper, Position, bound_of, clear_leftovers, load_position
from symcheck.align.streamed import Stage, Streamed, align_files
from symcheck.cli.align_run import DEFAULTS, Asked, Found, _check, document
from symcheck.cli.apply import _check_free
from symcheck.cli.console import error_console
from symcheck.cli.pairs import Checkpoints
from symcheck.cli.states import is_tensors
from symcheck.errors import ConfigError, SymcheckError
from symcheck.report.numbers import duration
from symcheck.report.write import write_text
from symcheck.weights.element import save_element
from symcheck.weights.spec import Spec
from symcheck.weights.stream import Checkpoint, apply_to_files, check_target, open_checkpoint

LARGE = 2**30  # bytes of both checkpoints
_EVERY = 30.0  # seconds between two lines of progress where there is no terminal


def streams(first: Path, others: Sequence[Path], flags: Mapping[str, Any], asked: Asked) -> bool:
    """Whether tensors stay on disk: where that is asked for, or possible and worth it.

    Raises ConfigError when it is asked for and something else as well that needs the tensors in memory.
    """
    if asked.stream is False:
        return False
    needed = {f"--{name}": name in flags for name in ("model", "arguments", "key", "inputs", "labels", "loss")}
    needed |= {
        "no --spec": asked.spec is None, "more than two checkpoints": len(others) > 1,
        "--matcher": asked.matcher != "weights", "--gauges": bool(asked.gauges), "--restarts": asked.restarts > 0,
        "what is no safetensors": not all(path.exists() and is_tensors(path) for path in (first, *others)),
    }  # fmt: skip
    against = [what for what, here in needed.items() if here]
    if asked.stream:
        if against:
            raise ConfigError(
                f"tensors cannot stay on disk with {', '.join(against)}", where="--stream", hint="drop one of them"
            )
        return True
    if against:
        return False
    folder = first.is_dir() and asked.output is not None and asked.output.suffix != ".safetensors"
    return folder or sum(map(_size, (first, *others))) > LARGE


def run_streamed(first: Path, other: Path, asked: Asked, console: Console | None) -> Found:
    """Align, write, and remove what was kept to go on from; after an interruption keep it, and say how to go on."""
    a, b = open_checkpoint(first), open_checkpoint(other)
    spec = Spec.load(asked.spec or "")
    _check_output(asked, b)
    keeper = _keeper(asked, bound_of(a, b, spec, {"kinds": asked.kinds}))
    known = keeper.position
    if console is not None and known.before:
        console.print(f"going on after {duration(known.seconds)} of work, from {keeper.path}", soft_wrap=True)
    with _terminable():
        try:
            with _progress(console) as tell:
                done = align_files(a, b, spec, kinds=asked.kinds, keeper=keeper, tell=tell)
                written = _write(done, spec, b, asked, {"onto": str(first), "from": str(other)}, tell)
        except BaseException as error:
            with contextlib.suppress(SymcheckError):
                keeper.write()
            if isinstance(error, KeyboardInterrupt) and keeper.path is not None and keeper.path.exists():
                kept = f"the work so far is kept in {keeper.path}; the same command goes on from there"
                error_console().print(kept, soft_wrap=True)
            raise
    sources = ({"path": str(first), "sha256": ""}, {"path": str(other), "sha256": ""})
    found = Found(
        Checkpoints((), sources), spec, (done.alignment,), (None,), (), 0, False, done.seconds, written, done
    )
    if asked.report is not None:
        write_text(asked.report, json.dumps(document(found, DEFAULTS, asked), indent=2, default=str) + "\n")
    keeper.forget()
    return found


def _keeper(asked: Asked, bound: Mapping[str, str]) -> Keeper:
    """What keeps the position beside the output, with what an earlier run has left there."""
    if asked.output is None:
        return Keeper(None, bound)
    path = asked.output.with_name(f".{asked.output.name}.align.safetensors")
    for target in (asked.output, path):
        clear_leftovers(target)
    try:
        return Keeper(path, bound, load_position(path, bound) or Position())
    except ConfigError:
        if not asked.force:
            raise
        return Keeper(path, bound)


def _write(
    done: Streamed, spec: Spec, b: Checkpoint, asked: Asked, about: Mapping[str, str], tell: Callable[[Stage], None]
) -> dict[str, Path]:
    """Write what was asked for, every file whole or not at all; first the one that takes long."""
    written: dict[str, Path] = {}
    steps = done.alignment.steps
    if asked.output is not None:
        start = time.monotonic()

        def progress(count: int, total: int) -> None:
            left = (time.monotonic() - start) * (total - count) / count
            tell(Stage(f"writing {asked.output}", count / total, left))

        apply_to_files(spec, steps, b, asked.output, progress=progress)
        written["aligned"] = asked.output
    if asked.element is not None:
        save_element(steps, asked.element, about)
        written["element"] = asked.element
    if asked.save_spec is not None:
        spec.save(asked.save_spec)
        written["spec"] = asked.save_spec
    return written


def _check_output(asked: Asked, b: Checkpoint) -> None:
    """Refuse bad destinations, and a disk that is too full, before hours of work."""
    _check(asked, 1, folder=b.folder)
    if asked.output is None:
        return
    _check_free(asked.output, asked.force)
    check_target(b, asked.output)
    needed, free = sum(file.path.stat().st_size for file in b.files), shutil.disk_usage(asked.output.parent).free
    if free < needed:
        raise ConfigError(
            f"the output needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB left",
            where=str(asked.output),
            hint="make room, or choose a place on another disk",
        )


def _size(path: Path) -> int:
    """The bytes of a checkpoint, as far as its files are there."""
    folder = path if path.is_dir() else path.parent if path.name.endswith(".json") else None
    return sum(each.stat().st_size for each in ([path] if folder is None else folder.glob("*.safetensors")))


@contextmanager
def _terminable() -> Iterator[None]:
    """A request to end, SIGTERM, is what Ctrl-C is."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(console: Console | None) -> Iterator[Callable[[Stage], None]]:
    """A bar with the time that is left, on stderr; a line now and then where that is no terminal."""
    if console is None:
        yield lambda _: None
        return
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=1.0)
            yield lambda stage: bar.update(task, completed=stage.share, description=_told(stage))
        return
    due = time.monotonic() + _EVERY

    def line(stage: Stage) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _EVERY
            console.print(f"{100 * stage.share:3.0f} %  {_told(stage)}", soft_wrap=True)

    yield line


def _told(stage: Stage) -> str:
    return stage.words if stage.left is None else f"{stage.words}, {duration(stage.left)} left"
