"""A checkpoint made equivariant, as a factory that a subject file names: `model = "symcheck.frames.wrapped:build"`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from symcheck.claim import Claim
from symcheck.errors import ConfigError
from symcheck.frames.modules import Canonicalized, FrameAveraged, GroupAveraged, Symmetrised
from symcheck.loading import load_subject
from symcheck.registry import suggest
from symcheck.subject import Subject

FACTORY = "symcheck.frames.wrapped:build"
WAYS = ("frame", "average", "canonical")


def build(
    claim: str,
    by: str = "frame",
    checkpoint: str | None = None,
    model: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    key: str | None = None,
    allow_program: bool = False,
    canonicalizer: str | None = None,
    count: int = 64,
    seed: int = 0,
    inputs: Sequence[str] = (),
    derive: Mapping[str, str] | None = None,
    takes: str = "arguments",
) -> Symmetrised:
    """The network of a checkpoint, symmetrised under a claim; `derive` and `takes` are those of the network itself.

    Raises LoadError, ClaimError, ConfigError.
    """
    subject = load_subject(checkpoint, model=model, arguments=arguments, key=key, allow_program=allow_program)
    subject = replace(subject, derive=dict(derive or {}), takes=takes)
    return symmetrised(subject, claim, by, canonicalizer, count, seed, inputs)


def symmetrised(
    subject: Subject,
    claim: str,
    by: str = "frame",
    canonicalizer: str | None = None,
    count: int = 64,
    seed: int = 0,
    inputs: Sequence[str] = (),
) -> Symmetrised:
    """The network averaged over frames, over the group, or canonicalised; ConfigError for what does not go together."""
    if by not in WAYS:
        raise ConfigError(f"'{by}' is no way to symmetrise", where="--by", hint=suggest(by, [*WAYS]))
    if by == "average":
        if canonicalizer:
            raise ConfigError(
                "an average over the group needs no canonicaliser", where="--canonicalizer", hint="use --by frame"
            )
        return GroupAveraged(subject, claim, count, seed, inputs)
    if by == "frame":
        return FrameAveraged(subject, claim, canonicalizer or "pca", inputs)
    return Canonicalized(subject, claim, canonicalizer or _default(claim), inputs)


def _default(claim: str) -> str:
    """The canonicaliser of a finite group; any other must be given."""
    group = Claim.parse(claim).group()
    if group.order is None:
        raise ConfigError(
            f"there is no canonicaliser of one element for {group.name} that needs no choice",
            where="--by canonical",
            hint="give --canonicalizer 'gram-schmidt(a,b)' or module:function, or use --by frame",
        )
    return "argmax"
