"""What loaders of frameworks share: a factory with its arguments, and the weights of a local file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from symcheck.subject import Subject


def built(factory: str, arguments: Mapping[str, object], base: Path) -> Subject:
    """The module that the factory builds; `checkpoint_path` in the arguments names its weights, `key` a part of them.

    Without a file the weights are as the factory leaves them, which a note says. Raises LoadError as `load_subject`.
    """
    from symcheck.loading.subjects import load_subject  # which looks for loaders itself

    given = dict(arguments)
    path, key = given.pop("checkpoint_path", None), given.pop("key", None)
    file = None if path is None else base / Path(str(path)).expanduser()
    return load_subject(file, model=factory, arguments=given, key=None if key is None else str(key))
