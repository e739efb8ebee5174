"""Two or more checkpoints of one network: the network once, a state dict for each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.cli.run import subject_of
from symcheck.cli.states import read_state
from symcheck.errors import ConfigError, LoadError
from symcheck.files import readable, sha256
from symcheck.loading import load_subject, read_subject_file
from symcheck.loading.data import read_safetensors
from symcheck.loading.nested import select_state
from symcheck.loading.sniff import Kind, sniff
from symcheck.subject import Subject
from symcheck.weights.session import network

State = dict[str, Tensor]
_SHOWN = 6


@dataclass(frozen=True)
class Checkpoints:
    """The states of all checkpoints in the order given, where each came from, and the network with the first's weights.

    `subject` is None where only tensors were asked for; `sources` hold path and sha256.
    """

    states: tuple[State, ...]
    sources: tuple[Mapping[str, str], ...]
    subject: Subject | None = None


def load_network(
    settings: Mapping[str, Any], others: Sequence[Path], allow_program: bool, command: str
) -> tuple[Subject, Checkpoints]:
    """The network of `settings` with its checkpoint, and the states of the others, which must be of that network.

    Each of the others is a checkpoint, or a subject file that names one. Raises LoadError with the layers that differ.
    """
    if not settings.get("checkpoint"):
        raise ConfigError(
            "there is no first checkpoint",
            where=f"symcheck {command}",
            hint=f"symcheck {command} A.safetensors B.safetensors --model module:factory, or a subject file for A",
        )
    subject = subject_of(settings, allow_program, command)
    first = {n: t.detach().clone() for n, t in network(subject).state_dict().items() if isinstance(t, Tensor)}
    paths = [_checkpoint(path) for path in others]
    states = [_state(path, settings, allow_program) for path in paths]
    for path, state in zip(paths, states, strict=True):
        same_network(first, state, subject.source.path, str(path))
    if ties := tied(network(subject)):
        source = Path(settings["checkpoint"])
        same_ties(ties, _state(source, settings, allow_program), str(source))
        for path, state in zip(paths, states, strict=True):
            same_ties(ties, state, str(path))
    own = {"path": subject.source.path, "sha256": subject.source.sha256}
    return subject, Checkpoints((first, *states), (own, *map(_source, paths)), subject)


def load_states(paths: Sequence[Path], key: str | None = None) -> Checkpoints:
    """The states of checkpoints of weights without their network, all with the same tensors."""
    paths = [_checkpoint(path) for path in paths]
    states = tuple(read_state(path, key) for path in paths)
    for path, state in zip(paths[1:], states[1:], strict=True):
        same_network(states[0], state, str(paths[0]), str(path))
    return Checkpoints(states, tuple(map(_source, paths)))


def same_network(a: Mapping[str, Tensor], b: Mapping[str, Tensor], name_a: str, name_b: str) -> None:
    """Refuse states whose tensors differ in name or shape, with the layers in which they do."""
    shapes = [n for n in a if n in b and a[n].shape != b[n].shape]
    kinds = [n for n in a if n in b and n not in shapes and a[n].is_floating_point() != b[n].is_floating_point()]
    found = {
        f"missing in {name_b}": sorted(set(a) - set(b)),
        f"only in {name_b}": sorted(set(b) - set(a)),
        "of another shape": [f"{n} {tuple(a[n].shape)} and {tuple(b[n].shape)}" for n in shapes],
        "of another kind": [f"{n} {a[n].dtype} and {b[n].dtype}".replace("torch.", "") for n in kinds],
    }
    if not any(found.values()):
        return
    odd = [*found[f"missing in {name_b}"], *found[f"only in {name_b}"], *shapes, *kinds]
    layers = [*dict.fromkeys(name.rpartition(".")[0] or name for name in odd)]
    listed = "; ".join(f"{what}: {_listing(names)}" for what, names in found.items() if names)
    raise LoadError(
        f"the checkpoints are of different networks, in the layers {_listing(layers)}: {listed}",
        where=f"{name_a} and {name_b}",
        hint="give two checkpoints of one network, built with the same arguments",
    )


def tied(module: nn.Module) -> list[tuple[str, str]]:
    """The pairs of names under which a network has one and the same tensor."""
    first: dict[int, str] = {}
    for name, x in module.state_dict(keep_vars=True).items():
        first.setdefault(id(x), name)
    return [(first[id(x)], name) for name, x in module.state_dict(keep_vars=True).items() if first[id(x)] != name]


def same_ties(ties: Sequence[tuple[str, str]], state: Mapping[str, Tensor], where: str) -> None:
    """Refuse a state in which tensors differ that are one in the network: which of them is meant cannot be known."""
    for one, other in ties:
        if one in state and other in state and not torch.equal(state[one], state[other]):
            raise LoadError(
                f"'{one}' and '{other}' are one tensor in the network, and differ in the checkpoint",
                where=where,
                hint="build the network without the tie, or save the checkpoint again from the network that has it",
            )


def short_names(paths: Sequence[str]) -> list[str]:
    """The names of files with as many of the folders above them as tell them apart."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    most = max(map(len, parts), default=1)
    for size in range(1, most):
        names = [str(Path(*each[-size:])) for each in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return list(paths)


def _checkpoint(path: Path) -> Path:
    """The checkpoint itself, or the one that a subject file names."""
    if path.suffix != ".toml":
        return path
    found = read_subject_file(path).checkpoint
    if found is None:
        raise ConfigError(
            "the subject file names no checkpoint", where=str(path), hint='add checkpoint = "weights.safetensors"'
        )
    return Path(found)


def _state(path: Path, settings: Mapping[str, Any], allow_program: bool) -> State:
    """The state of a checkpoint of weights, under the same key as the first; of a program what it holds."""
    key = settings.get("key")
    if not settings.get("model"):
        subject = load_subject(path, allow_program=allow_program)
        return {n: t.detach() for n, t in network(subject).state_dict().items() if isinstance(t, Tensor)}
    if key is not None and not path.is_dir() and sniff(readable(path)) is Kind.SAFETENSORS:
        return {n: t.detach() for n, t in select_state(read_safetensors(path), key, str(path)).items()}
    return read_state(path, key)


def _source(path: Path) -> dict[str, str]:
    """Where a state came from; a folder of shards has no digest of its own."""
    return {"path": str(path), "sha256": sha256(path) if path.is_file() else ""}


def _listing(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
