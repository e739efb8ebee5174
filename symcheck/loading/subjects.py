"""One checkpoint, one factory, or both, to a Subject."""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from symcheck.errors import LoadError
from symcheck.files import of_transformers, scheme, sha256
from symcheck.importing import import_object
from symcheck.loading.contents import NAMES, READERS
from symcheck.loading.data import pickled_names
from symcheck.loading.fit import check_names, fit_state
from symcheck.loading.lightning import as_options, contradictions, hyper_parameters, told
from symcheck.loading.loaders import load_by_scheme
from symcheck.loading.nested import select_state, sole_key, state_keys
from symcheck.loading.onnx import load_onnx
from symcheck.loading.program import load_program, load_trusted_pickle, pickled_subject
from symcheck.loading.sniff import Kind, sniff
from symcheck.registry import suggest
from symcheck.subject import Source, Subject

_PROGRAMS = (Kind.SCRIPT, Kind.EXPORT, Kind.ONNX)
_PICKLES = (Kind.TORCH, Kind.LEGACY)
_HINTS = {
    Kind.EMPTY: "copy or download it again",
    Kind.POINTER: "fetch the file itself with: git lfs pull",
    Kind.NPZ: "arrays are inputs: give them with --inputs; weights come as safetensors or .pt",
    Kind.NPY: "arrays are inputs: give them with --inputs; weights come as safetensors or .pt",
    Kind.UNKNOWN: "give safetensors, what torch.save wrote, TorchScript, .pt2, ONNX or flax's msgpack",
}


def load_subject(
    checkpoint: str | Path | None,
    *,
    model: str | None = None,
    arguments: Mapping[str, object] | None = None,
    key: str | None = None,
    allow_program: bool = False,
) -> Subject:
    """The subject `model(**arguments)` with the weights in `checkpoint`, or the program that `checkpoint` is.

    `model` is `module:factory` or `path/to/file.py:factory`; a checkpoint of weights needs it, and without a
    checkpoint the model is measured as built. `key` is where in the file the state dict stands
    (`model_state_dict`, `a.b`, or a prefix to take off, `module.`). `allow_program` is the user's word to run
    TorchScript, .pt2 and pickled modules, which are checked first all the same.
    `scheme:rest` is left to the loader called `scheme`. An ONNX graph is run by onnxruntime and holds no code.
    Raises LoadError: unreadable or refused files, and weights that do not fit, each key listed.
    """
    if checkpoint is None:
        return _untrained(model, dict(arguments or {}), key)
    if (named := scheme(checkpoint)) is not None:
        _no_options(str(checkpoint), "read by a loader", model, None, key)
        return load_by_scheme(*named, arguments=dict(arguments or {}), base=Path.cwd())
    path = Path(checkpoint).expanduser()
    kind = sniff(path)
    if kind in _PROGRAMS:
        _no_options(str(path), _named(kind), model, arguments, key)
        return load_onnx(path) if kind is Kind.ONNX else load_program(path, kind, allow_program=allow_program)
    if kind in _HINTS:
        raise LoadError(f"the file is {_named(kind)}, not a checkpoint", where=str(path), hint=_HINTS[kind])
    return _from_weights(path, kind, model, dict(arguments or {}), key, allow_program)


def _from_weights(
    path: Path,
    kind: Kind,
    model: str | None,
    arguments: dict[str, object],
    key: str | None,
    allow_program: bool,
) -> Subject:
    where, module, needed = str(path), None, list[str]()
    if kind in NAMES:
        names = NAMES[kind](path)
        module = build(_needed(model, path), arguments)
        if key is None:
            check_names(module, names, where)  # before a million tensors are read for nothing
        content = READERS[kind](path)
    else:
        content, needed = _content(path, kind, allow_program)
        whole, inside = _network(content, key, where)
        if whole is not None:
            _no_options(where, "a pickled module", model, arguments, None if inside else key)
            return pickled_subject(path, whole, sha256(path), needed, inside)
    place = sole_key(content, where) if key is None else key
    state, beside = select_state(content, place, where), told(content)
    stored = hyper_parameters(content)
    module = module or build(_needed(model, path, beside), arguments, stored=stored)
    other = contradictions(import_object(model), arguments, stored) if model and stored else ""
    notes = [
        *([f"the pickle needed {', '.join(needed)}"] if needed else []),
        *([f"the weights stand under '{place}' in the file"] if place != (key or "") else []),
        *([f"hyper-parameters in the file: {beside}"] if beside else []),
        *([other] if other else []),
        *fit_state(module, state, where, place),
    ]
    source = Source(str(path), sha256(path), kind.value, model or "", arguments, place)
    return Subject(path.stem, module, module=module, source=source, notes=tuple(notes))


def _content(path: Path, kind: Kind, allow_program: bool) -> tuple[Any, list[str]]:
    """The content and, if the user's word was needed, the names that the pickle used."""
    try:
        return READERS[kind](path), []
    except LoadError:
        if not allow_program or kind not in _PICKLES or not pickled_names(path, kind):
            raise
    return load_trusted_pickle(path)


def _network(content: Any, key: str | None, where: str) -> tuple[nn.Module | None, str]:
    """The network that was pickled whole, alone or under a key, and that key; None where the file holds weights."""
    if isinstance(content, nn.Module) or not isinstance(content, Mapping):
        return (content, "") if isinstance(content, nn.Module) else (None, "")
    found = {str(name): value for name, value in content.items() if isinstance(value, nn.Module)}
    if key is not None or not found or state_keys(content):
        return found.get(key or ""), key or ""
    if len(found) > 1:
        options = " or ".join(f"--key {name}" for name in sorted(found))
        raise LoadError(f"the file holds {len(found)} networks", where=where, hint=f"add {options}")
    ((name, module),) = found.items()
    return module, name


def _untrained(model: str | None, arguments: dict[str, object], key: str | None) -> Subject:
    if model is None:
        raise LoadError(
            "there is nothing to load",
            where="no checkpoint and no --model",
            hint="give a checkpoint, --model, or both",
        )
    if key is not None:
        raise LoadError(
            "a key needs a checkpoint", where=f"--key {key}", hint="give the checkpoint, or drop the key"
        )
    built = build(model, arguments, callables=True)
    module = built if isinstance(built, nn.Module) else None
    note = "no checkpoint was loaded: the model is measured as its factory builds it"
    inner = getattr(built, "subject", None)  # a network around another one says which it is
    if isinstance(inner, Subject) and inner.source.path:
        note = f"the factory loaded {inner.source.path}"
    name = model.rpartition(":")[2]
    return Subject(
        name,
        built,
        module=module,
        source=Source(format="factory", model=model, arguments=arguments),
        notes=(note,),
    )


def build(
    model: str,
    arguments: Mapping[str, object],
    *,
    callables: bool = False,
    stored: Mapping[str, Any] | None = None,
) -> Any:
    """The nn.Module that `model(**arguments)` returns, in eval mode; what it prints goes to stderr.

    With `callables` a function on tensors may stand in for a module; `stored` are the hyper-parameters that the
    checkpoint tells. Raises LoadError when the arguments do not fit, the factory fails, or it returns something else.
    """
    factory = import_object(model)
    if isinstance(factory, nn.Module):
        _no_arguments(model, arguments)
        return copy.deepcopy(factory).eval()
    if not callable(factory):
        raise LoadError(
            f"'{model}' is a {type(factory).__name__}, not a factory",
            where=f"--model {model}",
            hint="name a class or a function that returns an nn.Module",
        )
    _check_arguments(model, factory, arguments, stored or {})
    try:
        with contextlib.redirect_stdout(sys.stderr):
            built = factory(**arguments)
    except (Exception, SystemExit) as error:
        raise LoadError(
            f"'{model}' fails: {type(error).__name__}: {error}",
            where=f"--model {model}",
            hint="check its arguments (-m name=value); --traceback shows where",
        ) from error
    if isinstance(built, nn.Module):
        return built.eval()
    if callables and callable(built):
        return built
    raise LoadError(
        f"'{model}' returned a {type(built).__name__}, not an nn.Module",
        where=f"--model {model}",
        hint="let the factory return the network itself",
    )


def _check_arguments(
    model: str, factory: Callable[..., Any], arguments: Mapping[str, object], stored: Mapping[str, Any]
) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # builtins without a signature: the call itself will tell
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        known = [n for n, p in signature.parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        unknown = [name for name in arguments if name not in known]
        hint = suggest(unknown[0], known) if unknown and known else f"it is called as {model}{signature}"
        lacking = {n: stored[n] for n in _required(signature) if n in stored and n not in arguments}
        if not unknown and (options := as_options(lacking)):
            hint = f"add {options} (from the file's hyper-parameters); {hint}"
        raise LoadError(
            f"the arguments do not fit '{model}': {error}", where=f"--model {model}", hint=hint
        ) from error


def _required(signature: inspect.Signature) -> list[str]:
    """The parameters without a default, but for `*args` and `**kwargs`."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = signature.parameters.items()
    return [n for n, p in parameters if p.default is inspect.Parameter.empty and p.kind not in several]


def _no_arguments(model: str, arguments: Mapping[str, object]) -> None:
    if arguments:
        raise LoadError(
            f"'{model}' is a module that is built already and takes no arguments",
            where=f"-m {next(iter(arguments))}",
            hint="name its class or a function instead, or drop the arguments",
        )


def _needed(model: str | None, path: Path, beside: str = "") -> str:
    if model is None:
        folder = path if path.is_dir() else path.parent
        raise LoadError(
            "the file holds only weights, not the network that they belong to"
            + (f"; its hyper-parameters: {beside}" if beside else ""),
            where=str(path),
            hint=(f"what transformers wrote is read whole: write hf:{folder}; or " if of_transformers(folder) else "")
            + "add --model module:factory (or path/to/file.py:factory), which builds the network",
        )
    return model


def _no_options(
    where: str, what: str, model: str | None, arguments: Mapping[str, object] | None, key: str | None
) -> None:
    given = [n for n, value in (("--model", model), ("-m", arguments), ("--key", key)) if value]
    if given:
        raise LoadError(
            f"the checkpoint is {what} and brings its own network; {' and '.join(given)} cannot apply",
            where=where,
            hint=f"drop {' and '.join(given)}, or give a file of weights",
        )


def _named(kind: Kind) -> str:
    words = {
        Kind.SCRIPT: "a TorchScript program",
        Kind.EXPORT: "an exported program (.pt2)",
        Kind.ONNX: "an ONNX graph",
        Kind.EMPTY: "empty",
        Kind.UNKNOWN: "of no known format",
    }
    return words.get(kind, f"of the format {kind.value}")
