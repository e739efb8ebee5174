"""Checkpoints written `scheme:rest`, such as `hf:FOLDER`: a loader of that name makes the subject.

A loader is `loader(rest, *, arguments, base) -> Subject`: what follows the colon, the arguments of `-m`, and the
folder where relative paths start. Packages add theirs under the entry point `symcheck.loaders`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from symcheck.errors import ClaimError, LoadError, SymcheckError
from symcheck.registry import Registry
from symcheck.subject import Subject


class Loader(Protocol):
    """What makes a subject of the text behind `scheme:`; raises LoadError."""

    def __call__(self, rest: str, *, arguments: Mapping[str, object], base: Path) -> Subject:
        """The subject; relative paths start at `base`."""


loaders: Registry[Loader] = Registry(
    "loader",
    modules=(
        "symcheck.loading.frameworks.hf",
        "symcheck.loading.frameworks.timm",
        "symcheck.loading.frameworks.escnn",
    ),
    entry_point="symcheck.loaders",
)


@loaders.register("calculator")
def load_calculator(rest: str, *, arguments: Mapping[str, object], base: Path) -> Subject:
    """An ASE calculator as a subject: `calculator:module:factory`."""
    from symcheck.loading import atoms

    return atoms.load_calculator(rest, arguments)


def load_by_scheme(scheme: str, rest: str, *, arguments: Mapping[str, object], base: Path) -> Subject:
    """The subject that the loader called `scheme` makes of `rest`; what it prints goes to stderr.

    Raises LoadError: no loader has that name, or the loader fails, with its cause.
    """
    where = f"{scheme}:{rest}"
    try:
        loader = _named(scheme, where)
        with contextlib.redirect_stdout(sys.stderr):
            subject = loader(rest, arguments=arguments, base=base)
    except SymcheckError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        raise LoadError(
            f"the loader '{scheme}' fails: {type(error).__name__}: {error}",
            where=where,
            hint="check what follows the colon, and the arguments (-m name=value); --traceback shows where",
        ) from error
    if not isinstance(subject, Subject):
        raise LoadError(
            f"the loader '{scheme}' returned a {type(subject).__name__}, not a Subject",
            where=where,
            hint="a loader returns a symcheck.subject.Subject",
        )
    return subject


def _named(scheme: str, where: str) -> Loader:
    try:
        return loaders.get(scheme)
    except ClaimError as error:
        raise LoadError(
            f"there is no such file, and no loader is called '{scheme}'", where=where, hint=error.hint
        ) from error
