"""Files that are programs (TorchScript, .pt2, pickled modules): they need the user's word."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from symcheck.errors import LoadError
from symcheck.files import open_zip, reason
from symcheck.loading.pickled import load_pickled
from symcheck.loading.pt2 import load_exported
from symcheck.loading.sniff import Kind
from symcheck.subject import Source, Subject

_WORDS = {Kind.SCRIPT: "a TorchScript program", Kind.EXPORT: "an exported program"}


def load_program(path: Path, kind: Kind, *, allow_program: bool) -> Subject:
    """The subject in a TorchScript or .pt2 file; LoadError without `allow_program`, or when a check fails.

    The bytes are read once: what was checked is what is loaded.
    """
    if not allow_program:
        raise LoadError(
            f"the file is {_WORDS[kind]}, which runs code when it is loaded",
            where=str(path),
            hint="if you trust its author, add --allow-program; safer: a state dict with --model",
        )
    data = path.read_bytes()
    with contextlib.redirect_stdout(sys.stderr):
        if kind is Kind.EXPORT:
            module, batch, notes = load_exported(path, data)
        else:
            module, batch, notes = _load_script(path, data), None, []
    source = Source(str(path), hashlib.sha256(data).hexdigest(), kind.value)
    return Subject(
        path.stem, module, module=module, source=source, castable=False, fixed_batch=batch, notes=tuple(notes)
    )


def _load_script(path: Path, data: bytes) -> Any:
    """TorchScript's pickles name only classes of the archive itself and are read by torch's own reader."""
    with open_zip(path, data) as archive:
        outside = [n for n in archive.namelist() if n.startswith("/") or "\\" in n or ".." in n.split("/")]
        if outside:
            raise LoadError(
                f"the archive names '{outside[0]}', outside of itself",
                where=str(path),
                hint="do not load this file",
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(io.BytesIO(data), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # torch raises nearly anything on a damaged program
        raise LoadError(
            f"torch {torch.__version__} cannot load the TorchScript program: {reason(error)}",
            where=str(path),
            hint="save it again with the installed version of torch, or export it with torch.export.save",
        ) from error
    return module.eval()


def load_trusted_pickle(path: Path) -> tuple[Any, list[str]]:
    """What a torch.save file holds when it is more than tensors, after the user's word; see `pickled`."""
    with contextlib.redirect_stdout(sys.stderr):
        return load_pickled(path, path.read_bytes())


def pickled_subject(path: Path, module: nn.Module, digest: str, needed: list[str], key: str = "") -> Subject:
    """A subject from a module that was pickled whole, alone or under a key."""
    return Subject(
        path.stem,
        module.eval(),
        module=module,
        source=Source(str(path), digest, "pickled module", type(module).__name__, key=key),
        notes=(f"loaded from a whole pickle, which needed {', '.join(needed)}",),
    )
