"""Objects that one process of a user sends to another one of the same audit: pickled, so the sender must be trusted."""

from __future__ import annotations

import pickle
from typing import Any

from symcheck.errors import ConfigError, LoadError
from symcheck.importing import extra


def packed(thing: Any, what: str) -> bytes:
    """The pickled object, with what is defined in a notebook or a script; ConfigError where it cannot be pickled."""
    cloudpickle = extra("cloudpickle", "cluster")
    try:
        return bytes(cloudpickle.dumps(thing))
    except Exception as error:  # whatever pickling a network may raise
        raise ConfigError(
            f"'{what}' cannot be sent to workers: {type(error).__name__}: {error}",
            where="scheduler",
            hint="use the command line, where the workers build it themselves: --model path/file.py:factory",
        ) from error


def unpacked(data: bytes, where: str) -> Any:
    """What `packed` was given; LoadError where this process lacks what defines it."""
    try:
        return pickle.loads(data)
    except Exception as error:  # whatever unpickling a network may raise
        raise LoadError(
            f"the network that was sent cannot be unpickled: {type(error).__name__}: {error}",
            where=where,
            hint="install what defines it on the workers too, or name it: --model path/file.py:factory",
        ) from error
