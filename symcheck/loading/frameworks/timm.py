"""`timm:NAME`: a network of timm as it is built, or with the weights of a local file. Nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from symcheck.errors import LoadError
from symcheck.importing import extra
from symcheck.loading.frameworks.local import built
from symcheck.loading.loaders import loaders
from symcheck.registry import suggest
from symcheck.subject import Subject

_FACTORY = "timm:create_model"


@loaders.register("timm")
def load_timm(rest: str, *, arguments: Mapping[str, object], base: Path) -> Subject:
    """`timm.create_model(NAME, pretrained=False, …)`; `checkpoint_path` names a file of weights, `key` a part of it.

    Without a file the weights are random, which a note says. Raises LoadError: no such network, weights that do not
    fit, each key listed, or a hub.
    """
    if ":" in rest or arguments.get("pretrained"):
        raise LoadError(
            "nothing is fetched from a hub",
            where=f"timm:{rest}" + (", -m pretrained" if arguments.get("pretrained") else ""),
            hint='download the file yourself and say -m checkpoint_path=\'"FILE"\'',
        )
    if find_spec("timm") is not None and find_spec("torchvision") is None:
        raise LoadError(
            "timm needs torchvision, which is not installed",
            where=f"timm:{rest}",
            hint="install the torchvision that was built for your torch, see pytorch.org/get-started",
        )
    timm = extra("timm", "timm")
    if not timm.is_model(rest.partition(".")[0]):
        raise LoadError(
            f"timm has no network '{rest}'", where=f"timm:{rest}",
            hint=suggest(rest, timm.list_models(), "timm.list_models() lists them"),
        )  # fmt: skip
    subject = built(_FACTORY, {"model_name": rest, "pretrained": False, **arguments}, base)
    return replace(subject, name=rest)
