"""`symcheck apply`: another checkpoint of the same function, by an element of a weight symmetry spec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from symcheck.cli import options
from symcheck.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from symcheck.weights.spec import Spec
    from symcheck.weights.stream import Applied

_ELEMENT, _OUTPUT = "The element", "Output"

Checkpoint = Annotated[
    Path,
    typer.Argument(
        help="Checkpoint: .safetensors, a folder of shards or its index (all streamed), or a weights-only .pt.",
        show_default=False,
    ),
]
SpecFile = Annotated[Path, typer.Option("--spec", help="Weight symmetry spec, .toml or .json.", show_default=False)]
Element = Annotated[
    str, typer.Option(help="random, or a FILE written with --save-element.", rich_help_panel=_ELEMENT)
]
Seed = Annotated[int | None, typer.Option(help="Seed of a random element. [default: 0]", rich_help_panel=_ELEMENT)]
Kinds = Annotated[
    str | None,
    typer.Option(help="Only spaces of these kinds: permutation,scale. [default: all]", rich_help_panel=_ELEMENT),
]
Spaces = Annotated[
    str | None,
    typer.Option(
        help="Only these spaces, separated by commas; an approximate one acts only if it is named here.",
        rich_help_panel=_ELEMENT,
    ),
]
Inverse = Annotated[bool, typer.Option("--inverse", help="Act with the inverse.", rich_help_panel=_ELEMENT)]
Output = Annotated[
    Path,
    typer.Option(
        "-o", "--out", help="Where to write: a file, or a folder for shards.", show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]  # fmt: skip
SaveElement = Annotated[
    Path | None, typer.Option(help="Also write the element, as FILE.safetensors.", rich_help_panel=_OUTPUT)
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.", rich_help_panel=_OUTPUT)]


def apply(
    checkpoint: Checkpoint,
    spec: SpecFile,
    output: Output,
    element: Element = "random",
    seed: Seed = None,
    kinds: Kinds = None,
    spaces: Spaces = None,
    inverse: Inverse = False,
    key: options.Key = None,
    save_element: SaveElement = None,
    force: Force = False,
    quiet: options.Quiet = False,
) -> None:
    """f(g·θ, x) = f(θ, x): write the checkpoint g·θ for an element g of the symmetries that a spec states.

    Exit code 0: written. 2: nothing was written.

    Examples:

      symcheck apply net.safetensors --spec net.toml -o moved.safetensors

      symcheck apply net.safetensors --spec net.toml --element g.safetensors --inverse -o back.safetensors

      symcheck apply llama/ --spec llama.toml --kinds permutation,general --seed 1 -o moved/
    """
    if element != "random" and seed is not None:
        raise ConfigError("a seed belongs to a random element", where="--seed", hint="drop --seed or --element")
    for path in filter(None, (output, save_element)):
        _check_free(path, force)
    from symcheck.weights.element import save_element as write_element
    from symcheck.weights.spec import Spec

    read = Spec.load(spec)
    steps = _element(read, element, seed or 0, _words(kinds), _words(spaces))
    done = _apply(read, steps, checkpoint, output, inverse, key, quiet)
    if save_element is not None:
        drawn = {"seed": str(seed or 0)} if element == "random" else {}
        write_element(steps, save_element, {"spec": str(spec), **drawn})
    _show(done, checkpoint, output)


def _element(
    spec: Spec, source: str, seed: int, kinds: list[str] | None, spaces: list[str] | None
) -> list[dict[str, Tensor]]:
    """The parts that act, of one element or of several that act one after another."""
    from symcheck.weights.checks import chosen
    from symcheck.weights.element import load_steps, sample

    if source == "random":
        steps = [sample(spec, seed, kinds, spaces)]
    else:
        wanted = chosen(spec, kinds, spaces, approximate=True)
        loaded = load_steps(Path(source))
        steps = [{n: part for n, part in step.items() if n in wanted or n not in spec.spaces} for step in loaded]
    steps = [step for step in steps if step]
    if not steps:
        raise ConfigError(
            "no space is left to act",
            where="--kinds, --spaces",
            hint=f"the spec has {', '.join(spec.spaces) or 'none'}; approximate ones must be named in --spaces",
        )
    return steps


def _apply(
    spec: Spec,
    steps: list[dict[str, Tensor]],
    checkpoint: Path,
    output: Path,
    inverse: bool,
    key: str | None,
    quiet: bool,
) -> Applied:
    """Stream what is safetensors; read another state dict whole and write it as safetensors."""
    from symcheck.cli.states import is_tensors, pickled_state
    from symcheck.weights.stream import apply_to_files, open_checkpoint, summary
    from symcheck.weights.tensor_file import write_tensors

    if is_tensors(checkpoint):
        if key is not None:
            raise ConfigError("a key belongs to a .pt file", where=f"--key {key}", hint="drop --key")
        with _progress(quiet) as tell:
            source = open_checkpoint(checkpoint)
            return apply_to_files(spec, steps, source, output, inverse=inverse, progress=tell)
    if output.suffix != ".safetensors":
        raise ConfigError(
            f"weights are not written as '{output.suffix or output.name}'",
            where=str(output),
            hint="end the name in .safetensors",
        )
    state = pickled_state(checkpoint, key)
    moved = state
    for step in steps[::-1] if inverse else steps:
        moved = spec.apply(step, moved, inverse=inverse)
    write_tensors(moved, output)
    parts = {name: part for step in steps for name, part in step.items()}
    return summary(spec, parts, {name: tuple(x.shape) for name, x in state.items()})


def _show(done: Applied, checkpoint: Path, output: Path) -> None:
    from collections import Counter

    kinds = Counter(space.kind for space in done.spaces)
    share = 100 * done.acted / done.entries if done.entries else 0.0
    extra = f", {len(done.unnamed)} not named in the spec" if done.unnamed else ""
    lines = (
        f"{checkpoint} -> {output}",
        f"  spaces   {len(done.spaces)}: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}",
        f"  tensors  {len(done.changed)} changed, {len(done.untouched)} untouched{extra}",
        f"  entries  {done.acted:,} of {done.entries:,} changed ({share:.1f} %)",
    )
    typer.echo("\n".join(lines))


def _words(text: str | None) -> list[str] | None:
    """The words of a list with commas."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _check_free(path: Path, force: bool) -> None:
    taken = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if taken and not force:
        raise ConfigError("the output exists", where=str(path), hint="choose another name, or add --force")
    if not path.parent.is_dir():
        raise ConfigError(f"the folder '{path.parent}' does not exist", where=str(path), hint=f"mkdir -p {path.parent}")


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr; nothing when stderr is no terminal."""
    from rich.progress import Progress

    from symcheck.cli.console import error_console

    console = error_console()
    if quiet or not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("applying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
